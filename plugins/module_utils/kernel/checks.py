# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which wishes this node cannot or must not have. Pure."""

from __future__ import annotations

from ..core.errors import BindError, Problem
from .model import EXCLUSIVE, KernelState, Live, Wish
from .sysctl_conf import numbers


def check(wishes: list[Wish], state: KernelState, others: dict[str, str]) -> None:
    """Raises BindError with every problem found. `others`: key → other owner who holds it."""
    problems = [_held(wish, others) or _problem(wish, state) for wish in wishes]
    found = [problem for problem in problems if problem is not None]
    asked = {wish.knob.key: wish for wish in wishes}
    for key, rival in EXCLUSIVE.items():
        mine, other = asked.get(key), asked.get(rival)
        if mine and other and key < rival and "0" not in (mine.value, other.value):
            allowed = f"only one of the two; {rival} is asked to be {other.value} (from {other.origin})"
            found.append(Problem(key, mine.value, allowed, mine.origin))
    if found:
        raise BindError(found)


def held_by(wish: Wish, others: dict[str, str]) -> str:
    """Who else holds the key, or the one that its writing would set to 0; or ""."""
    key = wish.knob.key
    return others.get(key) or others.get(EXCLUSIVE.get(key, "")) or ""


def _held(wish: Wish, others: dict[str, str]) -> Problem | None:
    """Keys of another owner, and keys whose writing would set a key of another owner to 0."""
    key = wish.knob.key
    for name in (key, EXCLUSIVE.get(key, "")):
        if name in others:
            what = "this key" if name == key else f"{name}, which the kernel sets to 0 along with it,"
            allowed = f"one owner; {others[name]!r} holds {what} on this node"
            return Problem(key, wish.value, allowed, wish.origin)
    return None


def _problem(wish: Wish, state: KernelState) -> Problem | None:
    key, value, origin = wish.knob.key, wish.value, wish.origin
    if key == "vm.overcommit_memory" and value == "2":
        return Problem(key, value, "0 or 1: strict accounting makes GPU processes fail to map memory", origin)
    if key in EXCLUSIVE and key.endswith("_bytes") and value == "0":
        allowed = f"bytes above 0 (the kernel refuses 0); for a share of memory ask for {EXCLUSIVE[key]}"
        return Problem(key, value, allowed, origin)
    live = state.live.get(key, Live())
    if not live.exists:
        return None
    if live.value is None:
        return Problem(key, value, "keys that can be read; this one is a trigger, not a setting", origin)
    if live.choices and value not in live.choices:
        return Problem(key, value, "one of " + ", ".join(live.choices) + " (what this kernel offers)", origin)
    have = numbers(live.value)
    if have is None and wish.at_least:
        allowed = f"a plain value; the live value {live.value!r} is no number, so there is no floor to it"
        return Problem(key, f">={value}", allowed, origin)
    if have and len(numbers(value) or []) != len(have):
        count = "a whole number" if len(have) == 1 else f"{len(have)} whole numbers"
        return Problem(key, value, f"{count}, as the live value {live.value!r}", origin)
    return None
