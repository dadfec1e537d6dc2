# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what the nic layer changes. Pure: wishes, state and record in, plan out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional

from ..core.errors import BindError, Problem
from ..core.model import DISRUPTIONS, Change, Claim, Plan, Unapplied
from ..core.store import Record
from .bind import Queues, Refusal, bind, cannot_set, live_of, ours, same
from .giving_back import give_back
from .model import NO_DEFAULT_ROUTE, Nic, NicState, Wish
from .rivals import notes as rival_notes
from .select import DEFAULT_ROUTE, choose, expanded, matching
from .settings import DEFAULT, PREFIX, QDISC, RSS, group_of
from .steps import changes_of

Asked = Mapping[str, Wish]
ALL_QUEUES = "max"
"""First seen of RSS: an even table over all queues, which is the driver's own."""


def plan_nic(
    wishes: Sequence[Wish],
    state: NicState,
    record: Record,
    others: Mapping[str, str],
    max_disruption: str = "perf",
) -> Plan:
    """The ordered changes of all devices. Raises BindError with every problem found.

    max_disruption: what the engine will leave out; the number of queues that will be there hangs on it
    """
    held_names = {name.partition(" ")[2] for name in record.claims}
    chosen = choose(wishes, state, held_names)
    planner = _Planner(state, record, others, max_disruption)
    planner.chosen = chosen
    if state.beneath == NO_DEFAULT_ROUTE:
        planner.parked = {
            one.name for wish in wishes if wish.selector == DEFAULT_ROUTE for one in expanded(wish)
        }
    for device in sorted({*chosen, *(name for name in held_names if name in state.nics)}):
        planner.device(state.nics[device], chosen.get(device, {}))
    if planner.problems:
        raise BindError(planner.problems)
    give_back(planner.plan, record, state, wishes, planner.absent)
    planner.notes(wishes)
    return planner.finished()


class _Planner:
    """Collects the plan device by device. absent: held of devices that are not in the node.

    parked: settings asked of the devices beneath a default route that is not there now
    """

    def __init__(
        self, state: NicState, record: Record, others: Mapping[str, str], max_disruption: str
    ) -> None:
        self.state = state
        self.record = record
        self.others = others
        self.allowed = DISRUPTIONS.index(max_disruption)
        self.plan = Plan()
        self.problems: list[Problem] = []
        self.offered: set[tuple[str, str]] = set()
        self.chosen: Mapping[str, Asked] = {}
        self.parked: set[str] = set()
        self.absent = sorted(name for name in record.claims if name.partition(" ")[2] not in state.nics)

    # -- one device

    def device(self, nic: Nic, asked: Asked) -> None:
        """Channels first: how many queues there will be, all else hangs on."""
        wanted: dict[str, tuple[Any, str, Optional[Wish]]] = {}
        channels = {name: wish for name, wish in asked.items() if group_of(name) == "channels"}
        now = Queues(nic.rx, nic.tx, nic.limits.get("rss.equal", nic.rx))
        for wish in channels.values():
            self._wish(wish, nic, now, asked, wanted)
        self._release(nic, asked, now, wanted, channels=True)
        queues = self._queues(nic, now, wanted)
        for name, wish in asked.items():
            if name not in channels:
                self._wish(wish, nic, queues, asked, wanted)
        self._short_names(nic, asked)
        self._check_channels(nic, wanted, channels)
        self._release(nic, asked, queues, wanted)
        self.plan.changes += changes_of(nic, wanted, asked, self.record)

    def _wish(
        self,
        wish: Wish,
        nic: Nic,
        queues: Queues,
        asked: Asked,
        wanted: dict[str, tuple[Any, str, Optional[Wish]]],
    ) -> None:
        key = f"{PREFIX}{wish.name} {nic.name}"
        other = self.others.get(key)
        if other:
            allowed = f"one owner; {other!r} holds it on this node"
            self.problems.append(Problem(PREFIX + wish.name, wish.text, allowed, wish.origin, nic.name))
            return
        found = bind(wish, nic, self.state, queues, asked)
        if isinstance(found, Problem):
            self.problems.append(found)
            return
        self.plan.before[key] = self.plan.after[key] = nic.values.get(wish.name)
        if isinstance(found, Refusal):
            self._leave(wish, nic, found, key)
        else:
            self.offered.add((nic.name, wish.short))
            self._want(wish, nic, found, key, wanted)
        self._detail(wish, nic, key)

    def _want(
        self,
        wish: Wish,
        nic: Nic,
        found: tuple[Any, str],
        key: str,
        wanted: dict[str, tuple[Any, str, Optional[Wish]]],
    ) -> None:
        claim = self.record.claims.get(key)
        live = live_of(nic, wish.name, found[0])
        if wish.floor and claim is None and live == found[0]:
            return  # High enough by somebody else's doing: nothing to hold.
        holds = same(nic, wish.name, live, found[0])
        first = claim.first_seen if claim else _first_seen(nic, wish.name)
        self.plan.claims[key] = Claim(first, found[0])
        if holds:
            if live != found[0]:
                self.plan.notes.append(f"{key}: {nic.driver or 'the driver'} makes {live} of {found[0]}")
            return
        self.plan.after[key] = found[0]
        wanted[wish.name] = (found[0], found[1], wish)

    def _leave(self, wish: Wish, nic: Nic, refusal: Refusal, key: str) -> None:
        """Says why not; what we already hold stays on record."""
        self.plan.unapplied.append(
            Unapplied(
                PREFIX + wish.name,
                wish.text,
                refusal.reason,
                refusal.detail,
                nic.values.get(wish.name),
                nic.name,
                required=wish.required,
                origin=wish.origin,
            )
        )
        if key in self.record.claims:
            self.plan.claims[key] = self.record.claims[key]

    def _short_names(self, nic: Nic, asked: Asked) -> None:
        """A device has its part of what a short name means: only a name of which it has nothing is said."""
        shorts = {f"{PREFIX}{wish.name}": wish for wish in asked.values() if wish.short}
        left: dict[str, Unapplied] = {}
        for item in [one for one in self.plan.unapplied if one.target == nic.name and one.key in shorts]:
            self.plan.unapplied.remove(item)
            wish = shorts[item.key]
            if (nic.name, wish.short) not in self.offered:
                left.setdefault(wish.short, replace(item, key=f"{PREFIX}features.{wish.short}"))
        self.plan.unapplied += left.values()

    def _detail(self, wish: Wish, nic: Nic, key: str) -> None:
        claim = self.record.claims.get(key)
        self.plan.details.append(
            {
                "key": key,
                "wanted": wish.text,
                "live": nic.values.get(wish.name),
                "persistent": "swarm-node-nic.service" if claim else None,
                "after_reboot": claim.applied if claim else None,
                "owner": self.record.owner if claim else None,
                "origin": wish.origin,
            }
        )

    # -- queues

    def _queues(self, nic: Nic, now: Queues, wanted: Mapping[str, tuple[Any, str, Optional[Wish]]]) -> Queues:
        """How many there will be. What disturbs too much will be left out, and then nothing changes."""
        more = {name: value[0] - nic.values[name] for name, value in wanted.items()}
        steps = changes_of(nic, dict(wanted), {}, self.record)
        if any(DISRUPTIONS.index(step.disruption) > self.allowed for step in steps):
            return Queues(now.rx, now.tx, now.rings, waiting=True)
        both = more.get("channels.combined", 0)
        rx, tx = both + more.get("channels.rx", 0), both + more.get("channels.tx", 0)
        return Queues(max(1, now.rx + rx), max(1, now.tx + tx), max(1, now.rings + rx))

    def _check_channels(
        self, nic: Nic, wanted: Mapping[str, tuple[Any, str, Optional[Wish]]], asked: Asked
    ) -> None:
        live = {name: value for name, value in nic.values.items() if group_of(name) == "channels"}
        will = {**live, **{name: value[0] for name, value in wanted.items() if name in live}}
        for side in ("rx", "tx"):
            if asked and will.get("channels.combined", 0) + will.get(f"channels.{side}", 0) < 1:
                wish = next(iter(asked.values()))
                allowed = f"at least one {side} or combined channel in all"
                self.problems.append(Problem(PREFIX + wish.name, wish.text, allowed, wish.origin, nic.name))

    # -- what is no longer asked for

    def _release(
        self,
        nic: Nic,
        asked: Asked,
        queues: Queues,
        wanted: dict[str, tuple[Any, str, Optional[Wish]]],
        channels: bool = False,
    ) -> None:
        """Settings we hold and are no longer asked for go back to the value seen first."""
        for key, claim in sorted(self.record.claims.items()):
            name, device = key.partition(" ")[0][len(PREFIX) :], key.partition(" ")[2]
            if device != nic.name or name in asked or channels != (group_of(name) == "channels"):
                continue
            if name in self.parked:
                self.plan.claims[key] = claim
                self.plan.before[key] = self.plan.after[key] = nic.values.get(name)
            else:
                self._give_back(nic, name, key, claim, queues, wanted)

    def _give_back(
        self,
        nic: Nic,
        name: str,
        key: str,
        claim: Claim,
        queues: Queues,
        wanted: dict[str, tuple[Any, str, Optional[Wish]]],
    ) -> None:
        first = queues.rings if name == RSS and claim.first_seen == ALL_QUEUES else claim.first_seen
        live = live_of(nic, name, first)
        self.plan.before[key] = self.plan.after[key] = live
        if name not in nic.values or live == first:
            return
        left = f"{key} is no longer asked for; "
        blocked = cannot_set(nic, self.state, name, first)
        if not ours(nic, name, claim):
            self.plan.notes.append(
                f"{left}it is {live!r}, not the {claim.applied!r} this collection had set, so it stays"
            )
        elif first is None:
            self.plan.notes.append(f"{left}what it was before is not known, so {live!r} stays")
        elif blocked is not None:
            self.plan.claims[key] = claim
            self.plan.unapplied.append(
                Unapplied(PREFIX + name, first, blocked.reason, blocked.detail, live, nic.name)
            )
        else:
            self.plan.after[key] = first
            wanted[name] = (first, "no longer asked for: back to the value seen first", None)

    # -- in the end

    def notes(self, wishes: Sequence[Wish]) -> None:
        selectors = {wish.selector for wish in wishes}
        if DEFAULT_ROUTE in selectors and not matching(DEFAULT_ROUTE, self.state) and self.state.beneath:
            stays = "; what is held of its devices stays" if self.parked else ""
            self.plan.notes.append(f"{DEFAULT_ROUTE} names no device here: {self.state.beneath}{stays}")
        asked = {
            device: {group_of(name) for name in wanted} for device, wanted in self.chosen.items() if wanted
        }
        self.plan.notes += rival_notes(self.state.rivals, asked)
        if self.state.reverted is not None:
            self.plan.notes.append(self.state.reverted.sentence)
            self.plan.attention.append(self.state.reverted.attention)

    def finished(self) -> Plan:
        """The plan. A record that is to change while nothing else does is a change, too."""
        plan, old = self.plan, self.record.claims
        names = sorted(key for key in {**old, **plan.claims} if old.get(key) != plan.claims.get(key))
        if names and not plan.changes:
            why = "nothing to set, but what this owner holds is not what the record says"
            plan.changes.append(
                Change("record", f"holds {', '.join(names)}", "brought up to date", undo="none", why=why)
            )
        return plan


def _first_seen(nic: Nic, name: str) -> Any:
    """What is the kernel's or the driver's own is theirs, whatever it is by the time it goes back."""
    if name == QDISC and nic.default_qdisc:
        return DEFAULT
    if name == RSS and nic.values[name] == nic.limits.get(name):
        return ALL_QUEUES
    return nic.values[name]
