# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an owner's record tells: what to set again after a reboot, and which GPU was reset meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import BindError, Problem
from ..core.model import Change, Claim
from .modes import parse_compute_mode
from .quantity import UNLOCKED, Bound, Clocks, Power
from .resolve import claim_name, unsupported
from .selectors import Rule, Selector, parse_selector
from .settings import ACCOUNTING, COMPUTE, LOCKS, POWER, SETTINGS, Wish
from .state import Gpu


def wishes_from_claims(claims: Mapping[str, Claim], owner: str = "gpu") -> dict[str, Wish]:
    """Wishes by key, each value for the GPU (by UUID) it was applied to. `claims`: those of the record.

    Claims of other layers are passed over. A GPU that is away is left alone and keeps its claims.
    Raises BindError for values that this layer never applies.
    """
    rules: dict[str, list[Rule]] = {}
    problems: list[Problem] = []
    origin = f"record of owner {owner}"
    for name, claim in claims.items():
        key, _space, uuid = name.partition(" ")
        if key not in SETTINGS or claim.applied is None:
            continue
        try:
            rules.setdefault(key, []).append(_rule(key, parse_selector(uuid), claim.applied))
        except (ValueError, TypeError, AttributeError) as error:
            problems.append(Problem(key, claim.applied, f"what this layer records: {error}", origin, uuid))
    if problems:
        raise BindError(problems)
    return {
        key: Wish(SETTINGS[key], tuple(rules[key]), _raw(rules[key]), origin, recorded=True)
        for key in SETTINGS
        if key in rules
    }


def without_reset_locks(gpu: Gpu, claims: Mapping[str, Claim]) -> Gpu:
    """The GPU with its locks unknown, if another volatile value that was applied to it is gone.

    A reset of a GPU takes both away and leaves the driver loaded, so that nothing else would tell.
    """
    for key in (POWER, ACCOUNTING):
        claim = claims.get(claim_name(key, gpu.uuid))
        default = gpu.default(key)
        if claim is not None and unsupported(key, gpu):
            continue  # It cannot be set again, and would tell of a reset for ever.
        if claim is not None and gpu.live(key) == default and claim.applied not in (None, default):
            return replace(gpu, locks={name: lock for name, lock in gpu.locks.items() if lock == UNLOCKED})
    return gpu


def record_change(old: Mapping[str, Claim], new: Mapping[str, Claim], labels: Mapping[str, str]) -> Change:
    """Nothing to do on a GPU, but the record is not what it should be. `labels`: UUID → the GPU's name."""
    names = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
    gone = all(name not in new for name in names)
    # Labels, not UUIDs: plans of identical nodes have one digest.
    parts = [name.partition(" ") for name in names]
    shown = sorted(f"{key} ({labels.get(uuid, uuid)})" for key, _space, uuid in parts)
    return Change(
        "record",
        f"holds {', '.join(shown)}",
        "released" if gone else "brought up to date",
        undo="none",
        why="no longer asked for, and nothing to put back"
        if gone
        else "the GPU has this value already; on record is what would have to be set again",
    )


def _rule(key: str, selector: Selector, applied: Any) -> Rule:
    return Rule(selector, applied, _quantity(key, applied))


def _quantity(key: str, applied: Any) -> Any:
    """The parsed form of a value as records and results show it."""
    if key == POWER:
        if isinstance(applied, bool) or not isinstance(applied, (int, float)):
            raise ValueError("a power in W")
        return Power("mW", round(applied * 1000))
    if key in LOCKS:
        if applied == UNLOCKED:
            return Clocks()
        low, high = applied
        return Clocks(_clock(low), _clock(high))
    if key == COMPUTE:
        return parse_compute_mode(applied)
    if not isinstance(applied, bool):
        raise ValueError("true or false")
    return applied


def _clock(megahertz: Any) -> Bound:
    if isinstance(megahertz, bool) or not isinstance(megahertz, int):
        raise ValueError("clocks in MHz")
    return Bound("MHz", megahertz)


def _raw(rules: list[Rule]) -> dict[str, Any]:
    return {str(rule.selector): rule.raw for rule in rules}
