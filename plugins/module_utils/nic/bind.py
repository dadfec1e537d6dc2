# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wish means on one device: a value, why it cannot be so, or why it must not be asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from ..core.errors import Problem
from ..core.model import Claim
from . import cpus
from .model import Nic, NicState, Wish
from .settings import (
    DEFAULT,
    DYNAMIC,
    IRQ,
    MQ,
    PER_QUEUE,
    QDISC,
    ROUNDS,
    RPS,
    RSS,
    SYSFS,
    XPS,
    group_of,
    member_of,
)


@dataclass(frozen=True)
class Refusal:
    """Why a wish cannot hold, as `unapplied` has it."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Queues:
    """How many there will be once the channels are set. waiting: a change of them may not be made now"""

    rx: int
    tx: int
    rings: int
    waiting: bool = False


Bound = Union[Refusal, Problem, tuple[Any, str]]
"""A refusal, a problem, or the value with a word on where it comes from."""


def bind(wish: Wish, nic: Nic, state: NicState, queues: Queues, asked: Mapping[str, Wish]) -> Bound:
    """What is to be live. asked: all that is asked of the device, by setting"""
    if wish.name == QDISC and not state.tc:
        return Refusal("not_installed", "tc is not installed (package iproute2)")
    missing = _missing(wish.name, nic)
    if missing:
        return missing
    group = group_of(wish.name)
    if group in ("rings", "channels"):
        found = _counted(wish, nic)
    elif wish.name == RSS:
        found = _rss(wish, nic, queues)
    elif wish.name in PER_QUEUE:
        found = _cpus(wish, nic, state, queues)
    elif wish.name == QDISC:
        found = _qdisc(wish, nic, queues)
    else:
        found = wish.value, "as asked for"
    return _withheld(wish, nic, state, found, asked)


def same(nic: Nic, name: str, live: Any, wanted: Any) -> bool:
    """Whether the live value is what is wanted: equal, or what the driver is known to make of it."""
    return bool(live == wanted) or nic.rounded.get(name) == (wanted, live)


def rounded_up(name: str, live: Any, wanted: Any) -> bool:
    """Whether a driver may have made `live` of `wanted`: the next size it has, below twice as much."""
    if group_of(name) not in ROUNDS or isinstance(live, bool) or isinstance(wanted, bool):
        return False
    return isinstance(live, int) and isinstance(wanted, int) and wanted < live < 2 * wanted


def ours(nic: Nic, name: str, claim: Claim) -> bool:
    """Whether the live value is what we have set, or on its way there from what was before.

    A setting of several queues may have been cut off half-way, or have got new queues since.
    """
    live = live_of(nic, name, claim.applied)
    if same(nic, name, live, claim.applied) or (name == QDISC and nic.marked_qdisc):
        return True
    if name not in PER_QUEUE or not all(isinstance(item, str) for item in (live, *vars(claim).values())):
        return False
    count = _count(nic, name)
    now, first, applied = (cpus.expand(text, count) for text in (live, claim.first_seen, claim.applied))
    return all(part in pair for part, *pair in zip(now, first, applied))


def cannot_set(nic: Nic, state: NicState, name: str, value: Any) -> Optional[Refusal]:
    """Why this process, on this node, cannot give the device that value; None where it can."""
    if name in nic.refused and nic.refused[name][0] == value:
        return Refusal("unsupported", nic.refused[name][1])
    if name in nic.foreign:
        return Refusal("managed_by", nic.foreign[name])
    if name in nic.fixed:
        driver = nic.driver or "of the device"
        return Refusal("readonly", f"the driver {driver} does not let it be changed (fixed)")
    if name == IRQ and state.irqbalance:
        return Refusal("managed_by", f"irqbalance ({state.irqbalance}): it would move the interrupts again")
    if name in nic.locked:
        return Refusal("readonly", nic.locked[name])
    if not state.may and name not in SYSFS and name not in PER_QUEUE:
        return Refusal("readonly", "this process may not set network devices (no CAP_NET_ADMIN: a container)")
    return None


# -- inside


def _missing(name: str, nic: Nic) -> Optional[Refusal]:
    driver = f"the driver {nic.driver}" if nic.driver else "the device"
    if group_of(name) in ("rings", "channels"):
        if name in nic.values and nic.limits.get(name, 0) > 0:
            return None
        return Refusal("unsupported", f"{driver} has no {name}")
    if name in nic.values:
        return None
    if group_of(name) == "features":
        return Refusal("unsupported", f"this kernel has no feature {member_of(name)}")
    if name in SYSFS:
        return Refusal("unsupported", f"this kernel has no /sys/class/net/{nic.name}/{SYSFS[name]}")
    return Refusal("unsupported", f"{driver} has no {name}")


def _counted(wish: Wish, nic: Nic) -> Bound:
    """Numbers with an upper limit of the device's."""
    most, live = nic.limits[wish.name], nic.values[wish.name]
    if wish.value == "max":
        return most, f"the most {nic.name} takes"
    if wish.value == "cores":
        count = len(nic.cpus)
        return min(count, most), f"{count} CPUs are near {nic.name}, which takes up to {most}"
    if wish.floor:
        wanted = max(live, min(wish.value, most))
        less = f", of which {nic.name} takes {most} at most" if wish.value > most else ""
        return wanted, f"at least {wish.value}{less}"
    if wish.value > most:
        if wish.exact:
            return Refusal("unsupported", f"{nic.name} takes up to {most} now")
        words = f"0 to {most} (what {nic.name} takes), max, or '>={wish.value}'"
        return Problem(f"nic.{wish.name}", wish.value, words, wish.origin, nic.name)
    return wish.value, "as asked for"


def _rss(wish: Wish, nic: Nic, queues: Queues) -> Bound:
    if isinstance(wish.value, list):
        return wish.value, "as on record"
    if wish.value == "max":
        return queues.rings, f"all {queues.rings} queues"
    if wish.value <= queues.rings:
        return wish.value, "as asked for"
    if wish.exact:
        return Refusal("unsupported", f"{nic.name} has {queues.rings} queues now")
    if queues.waiting:
        return Refusal("needs_more_disruption", f"it has {queues.rings} queues; more of them need more")
    words = f"1 to {queues.rings}, the queues that {nic.name} has, or max"
    return Problem(f"nic.{wish.name}", wish.value, words, wish.origin, nic.name)


def _cpus(wish: Wish, nic: Nic, state: NicState, queues: Queues) -> Bound:
    if wish.exact:
        return wish.value, "as on record"
    if wish.value == cpus.OFF:
        return cpus.OFF, "as asked for"
    near = {"local": nic.cpus, "all": state.online}.get(wish.value)
    numbers = near if near is not None else cpus.parse(wish.value)
    unknown = sorted(set(numbers) - set(state.online))
    if unknown and near is None:
        words = f"CPUs of this node that are online: {cpus.text(state.online)}"
        return Problem(f"nic.{wish.name}", wish.value, words, wish.origin, nic.name)
    why = f"{wish.value} CPUs {cpus.text(numbers)}" if near is not None else "as asked for"
    if wish.name == RPS:
        return cpus.text(numbers), why
    if wish.name == XPS:
        return (cpus.spread(numbers, queues.tx) if near is not None else cpus.text(numbers)), why
    return cpus.one_each(numbers), why


def _qdisc(wish: Wish, nic: Nic, queues: Queues) -> Bound:
    root, _plus, leaf = wish.value.partition("+")
    if wish.value == DEFAULT:
        return DEFAULT, "the kernel's own"
    if root == MQ and queues.tx < 2 and not str(nic.values[QDISC]).startswith(MQ):
        return leaf, f"{nic.name} has one queue"
    return wish.value, "as asked for"


def _withheld(wish: Wish, nic: Nic, state: NicState, found: Bound, asked: Mapping[str, Wish]) -> Bound:
    """The value, unless somebody or something keeps it from being set."""
    if isinstance(found, (Refusal, Problem)):
        return found
    name, wanted, live = wish.name, found[0], live_of(nic, wish.name, found[0])
    tuned = state.tuned.held(nic.name).get(name)
    if tuned is not None and not _equal_words(tuned, wanted):
        return Refusal("shadowed_by", f"tuned profile {state.tuned.profile} (sets {name} to {tuned})")
    if live == wanted:
        return found
    blocked = cannot_set(nic, state, name, wanted)
    if blocked:
        return blocked
    moved_by = _moved_by(name, nic, asked)
    return Refusal("managed_by", f"the driver, which moves it while {moved_by} is on") if moved_by else found


def _moved_by(name: str, nic: Nic, asked: Mapping[str, Wish]) -> str:
    """The adaptive setting that is on, and stays on, and moves this one; or ""."""
    for adaptive, moved in DYNAMIC.items():
        key = f"coalesce.{adaptive}"
        ends = key in asked and asked[key].value is False
        if group_of(name) == "coalesce" and member_of(name) in moved and nic.values.get(key) and not ends:
            return adaptive
    return ""


def live_of(nic: Nic, name: str, wanted: Any = None) -> Any:
    """The live value, in the words of `wanted` where it is the same.

    Of a queueing discipline nobody has set that is "default"; of CPUs per queue a text that has more parts.
    """
    if name == QDISC and wanted == DEFAULT and nic.default_qdisc:
        return DEFAULT
    live = nic.values.get(name)
    if name not in PER_QUEUE or not isinstance(live, str) or not isinstance(wanted, str):
        return live
    count = _count(nic, name)
    return wanted if count and cpus.expand(live, count) == cpus.expand(wanted, count) else live


def _count(nic: Nic, name: str) -> int:
    """How many queues or interrupts a setting is for."""
    return {RPS: nic.rx, XPS: nic.tx, IRQ: nic.irqs}[name]


def _equal_words(text: str, value: Any) -> bool:
    """Whether a value in a profile of tuned's is this one."""
    if isinstance(value, bool):
        return text.lower() in (("on", "true", "1") if value else ("off", "false", "0"))
    return text == str(value)
