# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line in each of our files with the digest of what follows: so an edit by hand is seen. Pure."""

from __future__ import annotations

import hashlib
import re

_LINE = re.compile(r"\A(?:#![^\n]*\n)?# swarm\.node keeps this file \(sha256:([0-9a-f]{16})\)[^\n]*\n")


def marked(body: str, first: str = "") -> str:
    """`body` below its line. `first`: a line that must stand before it ("#!/usr/bin/python3 -I")."""
    line = f"# swarm.node keeps this file (sha256:{_digest(body)}): change the inventory, not the file.\n"
    return f"{first}\n{line}{body}" if first else line + body


def is_untouched(text: str) -> bool:
    """Whether it is a file of ours, of whatever version, as we wrote it."""
    found = _LINE.match(text)
    return found is not None and found[1] == _digest(text[found.end() :])


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()[:16]
