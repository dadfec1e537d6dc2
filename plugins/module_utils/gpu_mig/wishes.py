# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the GPUs of a node: one layout, or a map from selector to layout.

Pure; also used on the controller, where only the writing can be checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..core.errors import BindError, Problem
from ..core.model import Claim
from ..gpu.selectors import ALL, Rule, Selector, parse_selector
from ..gpu.settings import Setting, Wish
from .notation import DISABLED, ENABLED, WORDS, Refusal, is_instance, parse_layout

MODE, LAYOUT = "gpu_mig.mode", "gpu_mig.layout"
KEYS = (MODE, LAYOUT)
VARIABLE, LAYOUTS_VARIABLE = "gpu_mig", "gpu_mig_layouts"

NAMES = "a name that is neither a profile nor one of " + ", ".join(WORDS) + " nor begins with 'all-'"


class LayoutSetting(Setting):
    """The layout as the rules of the gpu layer on selectors and broken GPUs see it."""

    @property
    def variable(self) -> str:
        return VARIABLE


@dataclass(frozen=True)
class MigWish:
    """`rules`: for which GPUs which layout; the most specific selector counts."""

    rules: tuple[Rule, ...]
    raw: Any = None
    origin: str = ""
    required: bool = False

    def problem(self, allowed: str, value: Any, target: str = "") -> Problem:
        return Problem(VARIABLE, value, allowed, self.origin, target)

    @property
    def as_setting(self) -> Wish:
        """The same as a wish of the gpu layer."""
        setting = LayoutSetting(LAYOUT, "", "node_jobs", parse_layout)
        return Wish(setting, self.rules, self.raw, self.origin, self.required)


def claim_name(key: str, uuid: str) -> str:
    """Under which the owner record keeps a key of a GPU."""
    return f"{key} {uuid}"


def mistakes_in_layout(raw: Any, layouts: Optional[Mapping[Any, Any]] = None) -> list[tuple[Any, str]]:
    """What is wrong with the writing of `gpu_mig`, as (value, what is allowed)."""
    return [] if raw is None else _parse_rules(raw, layouts or {})[1]


def mistakes_in_layouts(raw: Any) -> list[tuple[Any, str]]:
    """The same for `gpu_mig_layouts`: name → layout."""
    if raw is None:
        return []
    if not isinstance(raw, Mapping):
        return [(raw, "a map from name to layout")]
    mistakes: list[tuple[Any, str]] = []
    for name, layout in raw.items():
        if not _is_name(name):
            mistakes.append((name, NAMES))
        try:
            parse_layout(layout)
        except Refusal as error:
            mistakes.append((error.value, f"in the layout {name!r}: {error}"))
    return mistakes


def parse_wish(
    raw: Any, layouts: Optional[Mapping[Any, Any]], origins: Mapping[str, str], required: Sequence[str]
) -> Optional[MigWish]:
    """The wish of a module's options; None if nothing is asked for. Raises BindError."""
    problems = _unknown_required(required, origins)
    layouts_origin = origins.get("mig_layouts", origins.get("layouts", ""))
    problems += [
        Problem(LAYOUTS_VARIABLE, value, allowed, layouts_origin)
        for value, allowed in mistakes_in_layouts(layouts)
    ]
    wish = None
    if raw is not None and not problems:
        rules, mistakes = _parse_rules(raw, layouts or {})
        wish = MigWish(rules, raw, origins.get("mig", ""), bool(required))
        problems += [wish.problem(allowed, value) for value, allowed in mistakes]
    if problems:
        raise BindError(problems)
    return wish


def wishes_from_claims(claims: Mapping[str, Claim]) -> dict[str, Any]:
    """The option `mig` that brings every GPU to what the owner record says was applied: UUID → layout.

    After a reboot or a reload of the driver this is what has to be made again.
    """
    wishes: dict[str, Any] = {}
    for name, claim in claims.items():
        key, _space, uuid = name.partition(" ")
        if key == MODE and claim.applied in (ENABLED, DISABLED):
            wishes.setdefault(uuid, claim.applied)
        elif key == LAYOUT and claim.applied:
            wishes[uuid] = list(claim.applied)
    return wishes


def _parse_rules(raw: Any, layouts: Mapping[Any, Any]) -> tuple[tuple[Rule, ...], list[tuple[Any, str]]]:
    """(rules, mistakes). `null` leaves GPUs alone."""
    if not isinstance(raw, Mapping) or any(is_instance(key) for key in raw):
        raw = {ALL: raw}
    if not raw:
        return (), [(raw, "one layout, or a map from selector to layout that is not empty")]
    rules: list[Rule] = []
    mistakes: list[tuple[Any, str]] = []
    for name, value in raw.items():
        selector = Selector(ALL)
        try:
            selector = parse_selector(name)
        except ValueError as error:
            quote = "; put it in quotes if YAML read it as a number" if isinstance(name, float) else ""
            mistakes.append((name, f"as a selector {error}{quote}"))
        try:
            rules.append(Rule(selector, value, None if value is None else parse_layout(value, layouts)))
        except Refusal as error:
            mistakes.append((error.value, str(error)))
    return tuple(rules), mistakes


def _is_name(name: Any) -> bool:
    if not isinstance(name, str) or not name.strip() or is_instance(name):
        return False
    word = name.strip().lower()
    return word not in WORDS and not word.startswith("all-")


def _unknown_required(required: Sequence[str], origins: Mapping[str, str]) -> list[Problem]:
    """A misspelt key would silently require nothing."""
    allowed = (*KEYS, VARIABLE, "mig")
    return [
        Problem("required", name, ", ".join(allowed), origins.get("required", ""))
        for name in required
        if name not in allowed
    ]
