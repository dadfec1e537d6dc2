# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts: what a node that pulls says it has done, as a file for the operator. No secret is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...module_utils.core.errors import BindError, Problem
from .candidates import Candidate, sealed_copies
from .registry import Registry, Sealed
from .shares import Shares, digest
from .values import Wrong

SCHEMA = 1
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ALLOWED = f"a receipt as mesh_pull writes it: schema {SCHEMA}, name, shares, sealed"


@dataclass(frozen=True)
class Receipt:
    """shares: mesh → digest of the share it has; sealed: mesh → preshared keys it made, for the other ends"""

    name: str
    shares: Mapping[str, str]
    sealed: Mapping[str, Mapping[str, Sealed]]


def read_receipts(paths: Iterable[str]) -> list[Receipt]:
    """paths: files, or directories with files *.yml. Raises BindError."""
    found, problems = list[Receipt](), list[Problem]()
    for path in _files(paths, problems):
        try:
            found.append(_read(path))
        except BindError as error:
            problems += error.problems
    if problems:
        raise BindError(problems)
    return found


def applied_by(receipts: Iterable[Receipt], shares: Shares) -> set[str]:
    """The members whose receipt is for the share they have now; that for an older share says nothing."""
    mesh, members = shares.registry.mesh, shares.registry.members
    return {
        item.name
        for item in receipts
        if item.name in members and item.shares.get(mesh) == digest(shares.of(item.name).as_data())
    }


def sealed_by(receipts: Iterable[Receipt], registry: Registry) -> list[Candidate]:
    """Members that made preshared keys, each with what it sealed."""
    mesh = registry.mesh
    return [
        Candidate(item.name, sealed=item.sealed[mesh])
        for item in receipts
        if item.name in registry.members and item.sealed.get(mesh)
    ]


def _files(paths: Iterable[str], problems: list[Problem]) -> list[Path]:
    found: list[Path] = []
    for text in paths:
        path = Path(text).expanduser().absolute()
        if path.is_dir():
            found += sorted(path.glob("*.yml"))
        elif path.is_file():
            found.append(path)
        else:
            allowed = "a receipt that mesh_pull wrote, or a directory of such files"
            problems.append(Problem("receipts", text, allowed, str(path)))
    return found


def _read(path: Path) -> Receipt:
    """Raises BindError."""
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = " ".join(str(error).split())
        raise BindError([Problem("receipts", said, "YAML that can be read", str(path))]) from None
    wrong = BindError([Problem("receipts", data, ALLOWED, str(path))])
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise wrong
    name, shares, sealed = data.get("name"), data.get("shares"), data.get("sealed", {})
    if not isinstance(name, str) or not isinstance(shares, dict) or not isinstance(sealed, dict):
        raise wrong
    if not all(isinstance(text, str) and DIGEST.fullmatch(text) for text in shares.values()):
        raise wrong
    try:
        copies = {str(mesh): sealed_copies(keys) for mesh, keys in sealed.items()}
    except Wrong as mistake:
        raise BindError([Problem("receipts", mistake.value, mistake.allowed, str(path))]) from None
    return Receipt(name, {str(mesh): text for mesh, text in shares.items()}, copies)
