# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what the gpu layer changes. Pure: wishes, state and record in, plan out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import BindError, Problem
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from .checks import expect_problems, idle_notes, merged, target_problems
from .release import Release, release
from .resolve import Others, Want, claim_name, needs_persistence, others_on, remark, resolve
from .settings import LOCKS, PERSISTENCE, SETTINGS, Expect, Wish
from .state import Gpu, NodeState

FIRST, LAST = 0, len(SETTINGS)
"""Phases: persistence goes on before anything, and off after everything, that relies on it."""


def plan_gpus(
    wishes: Mapping[str, Wish],
    expect: Expect | None,
    state: NodeState,
    record: Record,
    others: Others,
    absent: bool = False,
) -> Plan:
    """The ordered changes. `others`: claim name → owner. Raises BindError with every problem found."""
    problems = expect_problems(expect, state) if expect else []
    if problems:
        raise BindError(problems)
    if state.gpus:
        problems += target_problems(wishes.values(), state)
    planner = _Planner(record, others)
    for gpu in state.gpus:
        planner.gpu(gpu, wishes)
    if problems + planner.problems:
        raise BindError(merged(problems + planner.problems))
    planner.vanished(state, absent)
    planner.notes(wishes, expect, state)
    return planner.finished()


def plan_pending(wishes: Mapping[str, Wish], record: Record, why: str) -> Plan:
    """Check mode before the binding is there: every wish is listed as not applied, nothing fails."""
    plan = Plan(claims=dict(record.claims))
    plan.unapplied = [
        Unapplied(wish.setting.key, wish.raw, "not_installed", why, origin=wish.origin)
        for wish in wishes.values()
    ]
    return plan


class _Planner:
    """Collects the plan GPU by GPU."""

    def __init__(self, record: Record, others: Others) -> None:
        self.record = record
        self.others = others
        self.plan = Plan()
        self.problems: list[Problem] = []
        self.order: list[tuple[int, int, Change]] = []

    def gpu(self, gpu: Gpu, wishes: Mapping[str, Wish]) -> None:
        wants: dict[str, Want] = {}
        refused: set[str] = set()
        for key, wish in wishes.items():
            found = resolve(wish, gpu)
            if isinstance(found, Want):
                wants[key] = found
            elif isinstance(found, Unapplied):
                refused.add(key)
                self.plan.unapplied.append(found)
                self._keep_claim(claim_name(key, gpu.uuid))
            elif found is not None:
                self.problems.append(found)
                refused.add(key)
        self._persistence(gpu, wants)
        for want in wants.values():
            self._want(want)
        for key in SETTINGS:
            if key not in wants and key not in refused:
                self._release(gpu, key, wants)

    # -- persistence

    def _persistence(self, gpu: Gpu, wants: dict[str, Want]) -> None:
        """Adds persistence where others need it; finds those who want it off all the same."""
        volatile = [want for want in wants.values() if want.volatile]
        asked, other = wants.get(PERSISTENCE), others_on(gpu, self.others)
        if asked is not None and not asked.after and volatile:
            names = ", ".join(want.setting.variable for want in volatile)
            self.problems.append(
                asked.problem(f"true while {names} is set: without persistence it would vanish")
            )
        if asked is not None and not asked.after and other:
            self.problems.append(asked.problem(f"true: owner {other!r} relies on it on this GPU"))
        if not volatile or asked is not None or gpu.persistence is None:
            return
        ours = claim_name(PERSISTENCE, gpu.uuid) in self.record.claims
        if not gpu.live(PERSISTENCE) or ours:
            wants[PERSISTENCE] = needs_persistence(gpu, volatile)

    # -- what is asked for

    def _want(self, want: Want) -> None:
        gpu, setting = want.gpu, want.setting
        holder = self.others.get(want.name)
        if holder:
            self.problems.append(want.problem(f"one owner per key; {holder!r} holds it on this GPU"))
            return
        live, claim = gpu.live(setting.key), self.record.claims.get(want.name)
        self.plan.before[want.name], self.plan.after[want.name] = live, want.after
        if live != want.after:
            self._change(want, live)
        if live != want.after or claim:
            self.plan.claims[want.name] = Claim(claim.first_seen if claim else live, want.after)
        note = remark(want)
        if note:
            self.plan.notes.append(note)
        self._detail(want, live)

    def _change(self, want: Want, live: Any) -> None:
        setting, gpu = want.setting, want.gpu
        change = Change(
            setting.key,
            live,
            want.after,
            target=gpu.uuid,
            target_name=gpu.label,
            unit=setting.unit,
            disruption=setting.disruption,
            verify="accepted" if setting.key in LOCKS else "readback",
            undo="to_default" if live is None else "exact",
            origin=want.origin,
            why=want.why,
            claim=want.name,
            required=want.required,
        )
        self._add(change, gpu)

    def _detail(self, want: Want, live: Any) -> None:
        gpu, key = want.gpu, want.setting.key
        self.plan.details.append(
            {  # as the node was found, whatever is planned
                "key": key,
                "target": gpu.uuid,
                "target_name": gpu.label,
                "wanted": want.after,
                "asked": want.raw,
                "live": live,
                "persistent": None,
                "after_reboot": gpu.after_reboot(key),
                "owner": self.record.owner if want.name in self.record.claims else None,
                "origin": want.origin,
            }
        )

    # -- what is no longer asked for

    def _release(self, gpu: Gpu, key: str, wants: Mapping[str, Want]) -> None:
        name = claim_name(key, gpu.uuid)
        claim = self.record.claims.get(name)
        if claim is None:
            return
        lasts = gpu.live(PERSISTENCE) is not False and not self._goes_off(gpu, wants)
        found = release(Release(gpu, key, claim, lasts, others_on(gpu, self.others)))
        self.plan.before[name] = self.plan.after[name] = gpu.live(key)
        if found.change:
            self.plan.after[name] = found.change.after
            self._add(found.change, gpu)
        if found.note:
            self.plan.notes.append(found.note)

    def _goes_off(self, gpu: Gpu, wants: Mapping[str, Want]) -> bool:
        """Whether persistence will be off in the end."""
        asked = wants.get(PERSISTENCE)
        if asked is not None:
            return not asked.after
        claim = self.record.claims.get(claim_name(PERSISTENCE, gpu.uuid))
        return claim is not None and not claim.first_seen

    # -- the rest

    def vanished(self, state: NodeState, absent: bool) -> None:
        """A GPU that is away keeps its claims; on removal they go, for a GPU away has lost its settings."""
        for name, claim in self.record.claims.items():
            uuid = name.partition(" ")[2]
            if state.gpu(uuid) is not None:
                continue
            if absent:
                self.plan.notes.append(f"{name} is forgotten: this GPU is not in the node any more")
            else:
                self.plan.claims[name] = claim
                self.plan.notes.append(f"{name} stays on record: this GPU is not in the node at the moment")

    def notes(self, wishes: Mapping[str, Wish], expect: Expect | None, state: NodeState) -> None:
        notes = self.plan.notes
        if state.gpus:
            notes += idle_notes(wishes.values(), state)
        if state.unseen and wishes:
            notes.append(f"on the PCI bus, but not seen by NVML: {', '.join(state.unseen)}")
        if expect and expect.count is not None and len(state.gpus) > expect.count:
            notes.append(f"expected {expect}, found more: {len(state.gpus)}")
        held = [gpu.label for gpu in state.gpus if gpu.held_by_daemon]
        if held and wishes:
            notes.append(
                f"{', '.join(held)}: the driver reports persistence off, but nvidia-persistenced holds "
                "the GPU (so drivers from 595 on report it); taken as on"
            )

    def finished(self) -> Plan:
        plan = self.plan
        plan.changes = [change for _phase, _index, change in sorted(self.order, key=lambda item: item[:2])]
        if not plan.changes and plan.claims != self.record.claims:
            plan.changes.append(_record_change(self.record.claims, plan.claims))
        return plan

    def _keep_claim(self, name: str) -> None:
        if name in self.record.claims:
            self.plan.claims[name] = self.record.claims[name]

    def _add(self, change: Change, gpu: Gpu) -> None:
        phase = list(SETTINGS).index(change.key)
        if change.key == PERSISTENCE:
            phase = FIRST if change.after else LAST
        self.order.append((phase, gpu.index, change))


def _record_change(old: Mapping[str, Claim], new: Mapping[str, Claim]) -> Change:
    """Nothing to do on a GPU, but the record is not what it should be."""
    names = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
    gone = all(name not in new for name in names)
    return Change(
        "record",
        f"holds {', '.join(names)}",
        "released" if gone else "brought up to date",
        undo="none",
        why="no longer asked for, and nothing to put back" if gone else "the GPU has this value already",
    )
