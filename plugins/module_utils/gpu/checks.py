# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with wishes before any single GPU is looked at. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..core.errors import Problem
from .lost import may_be_lost
from .selectors import MODEL, missing, short_name
from .settings import RESET_VARIABLE, Expect, Wish
from .state import Gpu, NodeState


@dataclass(frozen=True)
class Unexpected(Problem):
    """The node does not have the GPUs it should: said as an expectation, not as a refused value."""

    def __str__(self) -> str:
        origin = f" (from {self.origin})" if self.origin else ""
        return f"expected {self.value}{origin}, found {self.allowed}"


def expect_problems(expect: Expect, state: NodeState) -> list[Problem]:
    """At most one: fewer GPUs than expected, another model, or a mixture where all should be alike."""
    models = Counter(gpu.model for gpu in state.gpus)
    found = ", ".join(f"{count} × {model}" for model, count in sorted(models.items())) or "none"
    wanted = short_name(expect.gpu)
    fits = models[wanted] if wanted else len(state.gpus)
    strangers = wanted and len(models) > (1 if wanted in models else 0)
    if fits < (1 if expect.count is None else expect.count) or strangers:
        return [_unexpected(expect, str(expect), found + _unseen(state))]
    if expect.uniform and len(models) > 1:
        return [_unexpected(expect, "GPUs of one model (uniform)", found)]
    return []


def _unexpected(expect: Expect, value: str, found: str) -> Problem:
    return Unexpected("node_expect", value, found, expect.origin)


def _unseen(state: NodeState) -> str:
    """What is in the node and does not count: it does not work."""
    away = [f"{gpu.place}: {gpu.why}" for gpu in state.lost]
    if state.unseen:
        away.append(f"{', '.join(state.unseen)} is on the PCI bus, but NVML does not see it")
    return f" ({'; '.join(away)})" if away else ""


def target_problems(wishes: Iterable[Wish], state: NodeState) -> list[Problem]:
    """Indexes, PCI addresses and UUIDs that this node does not have."""
    known = [gpu.identity for gpu in state.gpus]
    here = "; ".join(f"{gpu.index} = {gpu.uuid} ({_place(gpu)})" for gpu in state.gpus)
    allowed = f"a GPU this node has: {here}"
    return [
        Problem(variable, selector.value, allowed, origin, "the selector")
        for wish in wishes
        if not wish.recorded
        for variable, origin, rules in (
            (wish.setting.variable, wish.origin, wish.rules),
            (RESET_VARIABLE, wish.reset_origin, wish.reset),
        )
        for selector in missing(rules, known)
        if not may_be_lost(selector, state)
    ]


def _place(gpu: Gpu) -> str:
    return f"{gpu.model} at {gpu.bus_id}" if gpu.bus_id else gpu.model


def idle_notes(wishes: Iterable[Wish], state: NodeState) -> list[str]:
    """A map that no GPU here matches may be meant so (a fleet's map) or be a misspelt model."""
    notes = []
    for wish in wishes:
        models = [rule.selector for rule in wish.rules if rule.selector.kind == MODEL]
        if (
            models
            and len(models) == len(wish.rules)
            and not any(selector.matches(*gpu.identity) for selector in models for gpu in state.gpus)
        ):
            names = ", ".join(str(selector) for selector in models)
            here = ", ".join(sorted({gpu.model for gpu in state.gpus}))
            notes.append(f"{wish.setting.variable} names only {names}; this node has {here}")
    return notes


def merged(problems: list[Problem]) -> list[Problem]:
    """The same mistake on eight GPUs is one problem with eight targets."""
    groups: dict[tuple[str, str, str, str], list[Problem]] = {}
    for problem in problems:
        key = (problem.key, repr(problem.value), problem.allowed, problem.origin)
        groups.setdefault(key, []).append(problem)
    return [
        replace(group[0], target=", ".join(dict.fromkeys(item.target for item in group)))
        for group in groups.values()
    ]
