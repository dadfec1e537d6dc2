# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a key that is no longer asked for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.model import Change, Claim, Unapplied
from .effects import effect, with_words
from .modes import refusal_name
from .quantity import UNLOCKED, watts
from .resolve import claim_name, unsupported
from .settings import COMPUTE, LOCKS, PERSISTENCE, POWER, SETTINGS, VOLATILE
from .state import Gpu


@dataclass(frozen=True)
class Release:
    """One key to give back.

    lasts: persistence is on and stays on, so that a volatile value outlives the module
    relied_on_by: another owner who holds volatile keys on this GPU, or ""
    """

    gpu: Gpu
    key: str
    claim: Claim
    lasts: bool = True
    relied_on_by: str = ""


@dataclass(frozen=True)
class Released:
    """The change that gives it back, if any is needed, and what to say of it."""

    change: Change | None = None
    note: str = ""


def is_stuck(gpu: Gpu, key: str, claim: Claim) -> bool:
    """Whether it cannot be given back now: the driver refuses to, or MIG has the compute mode."""
    if claim.applied == claim.first_seen:
        return False
    if key == COMPUTE and gpu.mig:
        return True
    return refusal_name(key, claim.first_seen) in gpu.refusals and gpu.live(key) == claim.applied


def stuck(gpu: Gpu, key: str, claim: Claim) -> Unapplied:
    """What is said of it: it stays on record, to be given back later."""
    return Unapplied(
        key=key,
        wanted=UNLOCKED if key in LOCKS else claim.first_seen,
        reason="unsupported",
        detail=f"no longer asked for, but {unsupported(key, gpu, claim.first_seen)}",
        live=gpu.live(key),
        target=gpu.uuid,
        target_name=gpu.label,
    )


def release(given: Release) -> Released:
    """Back to the value seen first if the live value is still ours; clock locks are lifted."""
    if unsupported(given.key, given.gpu):
        return Released()
    if given.key in LOCKS:
        return _unlock(given)
    live, back, why = given.gpu.live(given.key), *_goal(given)
    variable, label = SETTINGS[given.key].variable, given.gpu.label
    if live == back:
        return Released()
    if live != given.claim.applied:
        gone = given.key in VOLATILE and not given.lasts
        return Released(
            note=f"{label}: {variable} is no longer asked for; it is {live}, not the {given.claim.applied} "
            "this collection had set, so it "
            + ("is not given back; it lasts no longer than persistence" if gone else "stays as it is")
        )
    if given.key == PERSISTENCE and not back and given.relied_on_by:
        return Released(note=f"{label}: persistence stays on; owner {given.relied_on_by!r} relies on it")
    if given.key == PERSISTENCE and not back and given.gpu.kept_by_daemon:
        return Released(note=f"{label}: persistence stays on; nvidia-persistenced holds the GPU")
    return Released(_change(given, live, back, why))


def _unlock(given: Release) -> Released:
    live = given.gpu.live(given.key)
    if live == UNLOCKED:
        return Released()
    return Released(_change(given, live, UNLOCKED, "no longer asked for: the lock is lifted"))


def _goal(given: Release) -> tuple[Any, str]:
    """(value to go back to, why)."""
    first = given.claim.first_seen
    default = given.gpu.default(given.key)
    if first is None:
        return default, "no longer asked for: the board's default, as the value seen first is unknown"
    board = given.gpu.power_range
    if given.key == POWER and board and not watts(board.minimum) <= first <= watts(board.maximum):
        return default, f"no longer asked for: the board's default, as it does not take {first} W any more"
    return first, "no longer asked for: back to the value seen first"


def _change(given: Release, live: Any, back: Any, why: str) -> Change:
    gpu, setting = given.gpu, SETTINGS[given.key]
    fleeting = given.key in VOLATILE and not given.lasts and back != gpu.default(given.key)
    found = effect(gpu, given.key, back)
    if fleeting:
        why += " (it lasts only while something holds the driver: persistence is off)"
    return Change(
        given.key,
        live,
        back,
        target=gpu.uuid,
        target_name=gpu.label,
        unit=setting.unit,
        when=found.when,
        disruption=found.disruption,
        verify="accepted" if fleeting or given.key in LOCKS else "readback",
        undo="to_default" if live is None else "exact",
        why=with_words(why, found),
        claim=claim_name(given.key, gpu.uuid),
    )
