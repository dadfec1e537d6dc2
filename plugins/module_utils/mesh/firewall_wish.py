# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be asked of the node's firewall (`mesh_firewall`). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..core.errors import BindError, Problem

VARIABLE = "mesh_firewall"
FORMS = (
    "auto, none, firewalld, ufw, 'nft chain FAMILY TABLE CHAIN' or 'nft set FAMILY TABLE SET' "
    "with the family inet, ip or ip6"
)
FAMILIES = ("inet", "ip", "ip6")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./\\-]{0,127}")
"""What nft takes as a name. It stands in a command's argument and in a file that nft reads."""


@dataclass(frozen=True)
class Wish:
    """kind: auto, none, firewalld, ufw, chain or set; the rest is of an nftables chain or set"""

    kind: str
    family: str = ""
    table: str = ""
    name: str = ""

    @property
    def manager(self) -> str:
        """The name under which the record has it: `nft chain inet filter input`, `ufw`."""
        return f"nft {self.kind} {self.family} {self.table} {self.name}" if self.family else self.kind


def mistakes_in_firewall(value: Any) -> list[tuple[Any, str]]:
    """What is wrong with the writing of `mesh_firewall`, as (value, what is allowed)."""
    if value is None or value in ("auto", "none", "firewalld", "ufw"):
        return []
    words = value.split() if isinstance(value, str) else []
    if len(words) != 5 or words[0] != "nft" or words[1] not in ("chain", "set"):
        return [(value, FORMS)]
    if words[2] not in FAMILIES or not all(_NAME.fullmatch(word) for word in words[3:]):
        return [(value, FORMS)]
    if words[3].startswith("swarm_node_mesh_"):
        return [(value, "a table that is not the mesh's own")]
    return []


def parse_wish(value: Any, origin: str = "") -> Wish:
    """None is auto. Raises BindError."""
    mistakes = mistakes_in_firewall(value)
    if mistakes:
        raise BindError([Problem(VARIABLE, found, allowed, origin) for found, allowed in mistakes])
    words = str(value or "auto").split()
    return Wish(words[0]) if len(words) == 1 else Wish(words[1], words[2], words[3], words[4])
