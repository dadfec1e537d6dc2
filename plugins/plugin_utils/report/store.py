# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes reports to a directory, whole or not at all, and keeps a limited number of them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

SUFFIXES = (".html", ".json")

_OURS = re.compile(r"(?P<stem>\d{8}T\d{6}Z-[A-Za-z0-9_.-]+)\.(?:html|json)")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def write(directory: Path, report: Mapping[str, Any], page: str, finished: datetime, keep: int) -> Path:
    """Writes `<UTC time>-<playbook>.{html,json}` and `latest.*`; returns the HTML file's path.

    `finished` is in UTC. `keep` older reports stay beside the new one, all if negative.
    Raises OSError when the directory cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    stem = _free_stem(directory, finished, str(report["run"]["playbook"]))
    texts = {".html": page, ".json": json.dumps(report, indent=1, ensure_ascii=False, default=str) + "\n"}
    for suffix in SUFFIXES:
        _write_whole(directory / f"{stem}{suffix}", texts[suffix])
    for suffix in SUFFIXES:
        _point(directory / f"latest{suffix}", f"{stem}{suffix}")
    if keep >= 0:
        prune(directory, stem, keep)
    return directory / f"{stem}.html"


def prune(directory: Path, newest: str, keep: int) -> list[str]:
    """Removes all but the `keep` latest reports before `newest`; other files are left alone."""
    found: dict[str, list[Path]] = {}
    for path in directory.iterdir():
        match = _OURS.fullmatch(path.name)
        if match and match["stem"] != newest and path.is_file() and not path.is_symlink():
            found.setdefault(match["stem"], []).append(path)
    old = sorted(found, reverse=True)[keep:]
    for stem in old:
        for path in found[stem]:
            path.unlink(missing_ok=True)
    return old


def _free_stem(directory: Path, finished: datetime, playbook: str) -> str:
    """A name no report has yet: two runs may end in the same second."""
    name = _UNSAFE.sub("_", Path(playbook).stem)[:60] or "playbook"
    first = stem = f"{finished:%Y%m%dT%H%M%SZ}-{name}"
    number = 2
    while any((directory / f"{stem}{suffix}").exists() for suffix in SUFFIXES):
        stem = f"{first}.{number}"
        number += 1
    return stem


def _write_whole(path: Path, text: str) -> None:
    """Never leaves half a file under `path`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Text of a node may hold lone surrogates; they must not cost the report.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _point(link: Path, name: str) -> None:
    """Makes the symlink `link` lead to `name`, in one step."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(name)
    temporary.replace(link)
