# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shares by host as files of one run: however many hosts and forks there are, a registry is parsed once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ...module_utils.core.errors import BindError, Problem
from .parse import parse_registry
from .shares import Shares, digest, unlisted

PROBLEMS = ".problems"


def cached_share(path: Path, host: str, directory: Path) -> dict[str, Any]:
    """`{share, digest}` of the host, or `{left}`: the day on which it left.

    directory: of this run, on the controller

    Raises BindError: what is wrong with the registry, or that the host is not in it.
    """
    place = _prepared(path, directory)
    try:
        return dict(json.loads((place / f"{host}.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise BindError([unlisted(path.stem, host)]) from None


def _prepared(path: Path, directory: Path) -> Path:
    """The directory with the shares of the file as it is now. Raises BindError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        allowed = f"a mesh with a registry ({error.strerror}): the playbook swarm.node.mesh_join makes it"
        raise BindError([Problem("mesh_name", path.stem, allowed, str(path))]) from error
    name = hashlib.sha256(str(path).encode() + b"\0" + content).hexdigest()[:32]
    place = directory / f"swarm_mesh_{name}"
    if not place.is_dir():
        with (directory / f"swarm_mesh_{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():
                _fill(path, content, place)
    problems = place / PROBLEMS
    if problems.is_file():
        raise BindError([Problem(**item) for item in json.loads(problems.read_text(encoding="utf-8"))])
    return place


def _fill(path: Path, content: bytes, place: Path) -> None:
    """Makes the directory whole, by a rename."""
    temporary = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=str(place.parent)))
    try:
        try:
            _write_shares(path, content, temporary)
        except BindError as error:
            found = [{**vars(problem), "value": _plain(problem.value)} for problem in error.problems]
            (temporary / PROBLEMS).write_text(json.dumps(found), encoding="utf-8")
        temporary.replace(place)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _write_shares(path: Path, content: bytes, directory: Path) -> None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BindError([Problem("registry", str(error), "text in UTF-8", str(path))]) from error
    registry = parse_registry(text, str(path))
    if registry.mesh != path.stem:
        raise BindError([Problem("mesh", registry.mesh, f"{path.stem}, as the file is named", str(path))])
    for share in Shares(registry).all():
        data = share.as_data()
        item = {"share": data, "digest": digest(data)}
        (directory / f"{share.member}.json").write_text(json.dumps(item), encoding="utf-8")
    for name, gone in registry.departed.items():
        (directory / f"{name}.json").write_text(json.dumps({"left": gone.left}), encoding="utf-8")


def _plain(value: Any) -> Any:
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
