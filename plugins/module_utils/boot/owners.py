# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of one owner: that its record is re-applied, and how. Pure."""

from __future__ import annotations

import configparser
from dataclasses import dataclass, fields

from ..core.errors import NodeError
from ..core.marking import marked

MANAGE = ("auto", "manage")


@dataclass(frozen=True)
class Owner:
    """How the record of owner `name` is re-applied: the module's options of the same names."""

    name: str
    manage: str = "auto"
    pynvml_path: str = ""
    nvml_library: str = ""


def render_owner(owner: Owner) -> str:
    lines = [f"{item.name} = {getattr(owner, item.name)}".rstrip() for item in fields(owner)[1:]]
    return marked("[boot]\n" + "\n".join(lines) + "\n")


def parse_owner(name: str, text: str) -> Owner:
    """Raises NodeError that names what is wrong."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
        values = dict(parser["boot"])
    except (configparser.Error, KeyError) as error:
        raise NodeError(
            f"it has no section [boot] that can be read ({' '.join(str(error).split())})"
        ) from error
    known = {item.name for item in fields(Owner)[1:]}
    unknown = sorted(set(values) - known)
    if unknown:
        raise NodeError(f"{', '.join(unknown)} is not known; allowed: {', '.join(sorted(known))}")
    if values.get("manage", "auto") not in MANAGE:
        raise NodeError(f"manage: {values['manage']!r} is refused; allowed: {', '.join(MANAGE)}")
    return Owner(name, **values)
