# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wish comes to on one GPU. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Union

from ..core.errors import Problem
from ..core.model import Unapplied
from .modes import refusal_name
from .quantity import watts
from .selectors import Contradiction, Rule, choose
from .settings import (
    ACCOUNTING,
    COMPUTE,
    ECC,
    LOCKS,
    PERSISTENCE,
    POWER,
    RESET_VARIABLE,
    SETTINGS,
    VOLATILE,
    Setting,
    Wish,
)
from .state import BLACKWELL, LOCK_FLOOR, Gpu


@dataclass(frozen=True)
class Want:
    """A bound wish: this GPU's key is to be `after`. `raw` is what was written.

    reset: nobody asks for this key, but for defaults; it gives way to other owners
    yields: it is persistence's default, which gives way to whatever needs persistence
    implied: nobody asks for it, but another wish needs it
    """

    gpu: Gpu
    setting: Setting
    after: Any
    raw: Any
    why: str
    origin: str = ""
    required: bool = False
    reset: bool = False
    yields: bool = False
    implied: bool = False

    @property
    def name(self) -> str:
        return claim_name(self.setting.key, self.gpu.uuid)

    @property
    def volatile(self) -> bool:
        """Whether the GPU loses it when the driver tears it down."""
        return self.setting.key in VOLATILE and self.after != self.gpu.default(self.setting.key)

    def problem(self, allowed: str) -> Problem:
        return Problem(self.setting.variable, self.raw, allowed, self.origin, self.gpu.label)


_NAMES = {
    PERSISTENCE: "persistence mode",
    COMPUTE: "compute mode",
    ACCOUNTING: "accounting mode",
    ECC: "ECC mode",
}
"""Keys that are modes, as messages name them."""

MIG_TAKES = {
    COMPUTE: "MIG is on: the compute mode is then the MIG instances' own",
    ACCOUNTING: "MIG is on: the driver keeps no account of a GPU then",
}
"""What the whole GPU does not have while MIG is on."""

Resolved = Union[Want, Unapplied, Problem, None]


def claim_name(key: str, uuid: str) -> str:
    """Under which the owner record keeps a key of a GPU."""
    return f"{key} {uuid}"


def resolve(wish: Wish, gpu: Gpu) -> Resolved:
    """None: the wish is not about this GPU, or needs nothing of it."""
    try:
        rule = choose(wish.rules, *gpu.identity)
    except Contradiction as error:
        raws = {str(error.one.selector): error.one.raw, str(error.other.selector): error.other.raw}
        return wish.problem(str(error), raws, gpu.label)
    reset = rule is None
    if reset:
        rule = choose(wish.reset, *gpu.identity)
    if rule is None or rule.quantity is None:
        return None
    origin, key = wish.reset_origin if reset else wish.origin, wish.setting.key
    wants_default = reset or rule.quantity == wish.setting.default
    refusal = unsupported(key, gpu, wish.setting.default if wants_default else rule.quantity)
    if refusal and wants_default and gpu.live(key) in (None, gpu.default(key)):
        return None  # What cannot be set is as the board made it, which is what is asked for.
    if not refusal and wants_default and gpu.default(key) is None:
        refusal = f"the driver does not tell the board's default for {gpu.model}"
    if refusal and (wants_default or not _holds_already(key, rule, gpu)):
        return unapplied(wish, rule.raw, gpu, "unsupported", refusal, origin)
    if wants_default:
        why = f"the board's default, as {RESET_VARIABLE} asks" if reset else "the board's default"
        yields = key == PERSISTENCE
        after = gpu.default(key)
        return Want(gpu, wish.setting, after, rule.raw, why, origin, wish.required, reset, yields)
    try:
        after, why = _bound(key, rule, gpu)
    except ValueError as error:
        return wish.problem(str(error), rule.raw, gpu.label)
    return Want(gpu, wish.setting, after, rule.raw, why, origin, wish.required)


def _holds_already(key: str, rule: Rule, gpu: Gpu) -> bool:
    """Whether it is as asked for, so that it does not matter that the driver refuses to set it."""
    if unsupported(key, replace(gpu, refusals={})):
        return False
    try:
        return bool(_bound(key, rule, gpu)[0] == gpu.live(key))
    except ValueError:
        return True  # A mistake all the same: binding it again says so.


def unsupported(key: str, gpu: Gpu, value: Any = None) -> str:
    """Why this GPU cannot have the key (or this value of it), or ""."""
    if gpu.virtual_guest:
        return "a vGPU guest: the host of the virtual machine decides"
    words = gpu.refusals.get(refusal_name(key, value))
    if words:
        return f"the driver refused it (this load of the driver): {words}"
    if key == POWER and (gpu.power_range is None or gpu.power_limit is None):
        return f"the driver offers no power limits for {gpu.model} (as on laptops)"
    if key in MIG_TAKES and gpu.mig:
        return MIG_TAKES[key]
    if key in _NAMES and gpu.live(key) is None:
        return f"the driver knows no {_NAMES[key]} for {gpu.model}"
    return _unlockable(key, gpu) if key in LOCKS else ""


def _unlockable(key: str, gpu: Gpu) -> str:
    """Why these clocks cannot be locked, or ""."""
    floor, generation = LOCK_FLOOR[key]
    if gpu.architecture is not None and gpu.architecture < floor:
        return (
            f"{gpu.model} is older than {generation}, the first generation whose {_clock(key)} can be locked"
        )
    if not gpu.clocks(key):
        return f"the driver lists no supported {_clock(key)} for {gpu.model}"
    return ""


def remark(want: Want) -> str:
    """What an operator should know of a wish that is otherwise fine, or ""."""
    gpu, key = want.gpu, want.setting.key
    blackwell = gpu.architecture is not None and gpu.architecture >= BLACKWELL
    if key in LOCKS and want.volatile and blackwell:
        if key == LOCKS[0]:
            return f"{gpu.label}: Blackwell may override the lower end of an accepted graphics clock lock"
        return f"{gpu.label}: locked memory clocks have cost up to 16 % of speed on Blackwell; measure it"
    enforced = gpu.power_enforced
    if key != POWER or enforced is None or gpu.power_limit is None:
        return ""
    if watts(enforced) >= want.after or enforced >= gpu.power_limit:
        return ""
    return (
        f"{gpu.label}: another hand caps it: enforced are {watts(enforced)} W, asked for are "
        f"{want.after} W (a cap of the BMC, or a power brake)"
    )


def needs_persistence(gpu: Gpu, needed_by: list[Want]) -> Want:
    """Persistence that nobody asked for, but without which other wishes would vanish."""
    names = ", ".join(want.setting.variable for want in needed_by)
    why = f"needed by {names}: volatile without it"
    return Want(gpu, SETTINGS[PERSISTENCE], True, True, why, needed_by[0].origin, implied=True)


def _bound(key: str, rule: Rule, gpu: Gpu) -> tuple[Any, str]:
    """(value as results show it, why). Raises ValueError with what is allowed."""
    if key in _NAMES:
        return rule.quantity, "as asked for"
    if key == POWER:
        board = gpu.power_range
        if board is None:
            raise ValueError("nothing: this board has no power limits")
        after = watts(rule.quantity.bind(board))
        return after, f"{rule.raw} of {board}" if "%" in str(rule.raw) else f"as asked for; range {board}"
    after, note = rule.quantity.bind(gpu.clocks(key))
    asked = "as asked for" if "%" not in str(rule.raw) else f"{rule.raw} of {_span(gpu.clocks(key))}"
    return after, f"{asked}; {note}" if note else asked


def unapplied(wish: Wish, raw: Any, gpu: Gpu, reason: str, detail: str, origin: str) -> Unapplied:
    return Unapplied(
        key=wish.setting.key,
        wanted=raw,
        reason=reason,
        detail=detail,
        live=gpu.in_force(wish.setting.key),
        target=gpu.uuid,
        target_name=gpu.label,
        required=wish.required,
        origin=origin,
    )


def _clock(key: str) -> str:
    return key.partition(".")[2].replace("_", " ")


def _span(clocks: tuple[int, ...]) -> str:
    return f"{clocks[0]}-{clocks[-1]} MHz"


Others = Mapping[str, str]
"""Claim name → owner, of keys that other owners hold."""


def others_on(gpu: Gpu, others: Others) -> str:
    """An owner who holds a volatile key on this GPU and so relies on its persistence, or ""."""
    return next((others[name] for key in VOLATILE if (name := claim_name(key, gpu.uuid)) in others), "")
