# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GPU a wish is for. Pure; also used on the controller, where only the syntax can be checked.

A wish is one value for all GPUs or a map selector → value. Selectors, the most specific first:
UUID (`GPU-…`), PCI address (`0000:5d:00.0`), index (`0`), model as NVML reports it with or without
"NVIDIA " and "Tesla ", `all`. A UUID is a board, an address the slot it sits in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from .presence import bus_address

ALL, MODEL, INDEX, PCI, UUID = "all", "model", "index", "pci", "uuid"
SPECIFICITY = {ALL: 0, MODEL: 1, INDEX: 2, PCI: 3, UUID: 4}
FORMS = (
    "'all', an index such as 0, a UUID such as GPU-6f3a…, a PCI address in quotes such as '0000:5d:00.0', "
    "or a model such as 'H100 80GB HBM3'"
)

_UUID = re.compile(r"GPU-[0-9a-fA-F][0-9a-fA-F-]*")
_PCI = re.compile(r"(?:[0-9a-fA-F]{4,8}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]")
_NEARLY_PCI = re.compile(r"[0-9a-fA-F]+(?::[0-9a-fA-F]+)+(?:\.[0-9]+)?")


@dataclass(frozen=True)
class Selector:
    """`value` is normalised.

    UUID in lower case, PCI address as sysfs writes it, index as digits, model without the vendor's prefix
    """

    kind: str
    value: str = ""

    def matches(self, index: int, uuid: str, name: str, bus_id: str = "") -> bool:
        """`bus_id`: the PCI address as sysfs writes it, "" if unknown."""
        if self.kind == UUID:
            return uuid.lower() == self.value
        if self.kind == PCI:
            return bus_id.lower() == self.value
        if self.kind == INDEX:
            return str(index) == self.value
        return self.kind == ALL or short_name(name) == self.value

    def __str__(self) -> str:
        return self.value or ALL


@dataclass(frozen=True)
class Rule:
    """One entry of a wish: for these GPUs this value. `quantity` None: leave them alone."""

    selector: Selector
    raw: Any
    quantity: Any


class Contradiction(ValueError):
    """Two equally specific selectors want different things of one GPU."""

    def __init__(self, one: Rule, other: Rule) -> None:
        self.one, self.other = one, other
        super().__init__(
            f"one value per GPU; two entries that are equally specific ({one.selector.kind}) say "
            f"{one.raw!r} and {other.raw!r}"
        )


def short_name(name: str) -> str:
    """The model without the vendor's words: `NVIDIA H100 80GB HBM3` → `H100 80GB HBM3`."""
    name = " ".join(name.split())
    for prefix in ("NVIDIA ", "Tesla "):
        if name.startswith(prefix):
            name = name[len(prefix) :]
    return name


def parse_selector(raw: Any) -> Selector:
    """Raises ValueError saying what is allowed."""
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raise ValueError(FORMS)
    text = str(raw).strip()
    if text == ALL:
        return Selector(ALL)
    if re.fullmatch(r"[0-9]+", text):
        return Selector(INDEX, str(int(text)))
    if _UUID.fullmatch(text):
        return Selector(UUID, text.lower())
    if text.lower().startswith("mig-"):
        raise ValueError(f"{FORMS}; a MIG instance shares the settings of its GPU")
    if _PCI.fullmatch(text):
        return Selector(PCI, bus_address(text if text.count(":") == 2 else f"0000:{text}"))
    if not text or text.lower().startswith("gpu-") or text[0] in "-+" or _NEARLY_PCI.fullmatch(text):
        raise ValueError(FORMS)
    return Selector(MODEL, short_name(text))


def choose(rules: Iterable[Rule], index: int, uuid: str, name: str, bus_id: str = "") -> Rule | None:
    """The most specific rule for this GPU, or None. Raises Contradiction."""
    matching = [rule for rule in rules if rule.selector.matches(index, uuid, name, bus_id)]
    if not matching:
        return None
    level = max(SPECIFICITY[rule.selector.kind] for rule in matching)
    best = [rule for rule in matching if SPECIFICITY[rule.selector.kind] == level]
    for rule in best[1:]:
        if rule.quantity != best[0].quantity:
            raise Contradiction(best[0], rule)
    return best[0]


Identity = Union[tuple[int, str, str], tuple[int, str, str, str]]
"""(index, uuid, name) of a GPU, and its PCI address where it is known."""


def missing(rules: Iterable[Rule], known: Sequence[Identity]) -> list[Selector]:
    """Selectors by index, PCI address or UUID that no GPU of this node has.

    A model that is not here is no mistake: maps are written for whole fleets.
    """
    return [
        rule.selector
        for rule in rules
        if rule.selector.kind in (INDEX, PCI, UUID) and not any(rule.selector.matches(*gpu) for gpu in known)
    ]
