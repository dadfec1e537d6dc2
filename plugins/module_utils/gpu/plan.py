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
from .effects import effect, with_words
from .modes import waiting
from .persistence import DAEMON, LEGACY, lost_without, settle, tied_to_persistence
from .recorded import record_change, without_reset_locks
from .release import Release, is_stuck, release, stuck
from .resolve import Others, Want, claim_name, others_on, remark, resolve, unapplied
from .settings import ECC, LOCKS, PERSISTENCE, SETTINGS, VOLATILE, Expect, Wish
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
        planner.gpu(without_reset_locks(gpu, record.claims), wishes)
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
        if wish.rules
    ]
    return plan


class _Planner:
    """Collects the plan GPU by GPU."""

    def __init__(self, record: Record, others: Others) -> None:
        self.record = record
        self.others = others
        self.plan = Plan()
        self.problems: list[Problem] = []
        self.labels: dict[str, str] = {}
        self.order: list[tuple[int, int, Change]] = []

    def gpu(self, gpu: Gpu, wishes: Mapping[str, Wish]) -> None:
        wants: dict[str, Want] = {}
        refused: set[str] = set()
        self.labels[gpu.uuid] = gpu.label
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
        wants = self._settled(gpu, wants, wishes, refused)
        for want in wants.values():
            self._want(want)
        for key in SETTINGS:
            if key not in wants and key not in refused:
                self._release(gpu, key, wants)
        tied_to_persistence([change for _phase, _index, change in self.order], gpu, wants.values())
        self._waiting(gpu)

    def _waiting(self, gpu: Gpu) -> None:
        """An ECC mode that waits, whoever set it, is pending, unless a change puts an end to that."""
        if gpu.ecc_current == gpu.ecc_pending:
            return
        entry = waiting(ECC, gpu.uuid, gpu.label, gpu.ecc_current, gpu.ecc_pending)
        for _phase, _index, change in self.order:
            if (change.key, change.target) == (ECC, gpu.uuid):
                change.data["waiting"] = [entry]
                return
        self.plan.pending.append(entry)

    def _settled(
        self, gpu: Gpu, wants: dict[str, Want], wishes: Mapping[str, Wish], refused: set[str]
    ) -> dict[str, Want]:
        """The wants with what persistence has to say to them; what it forbids is unapplied and refused."""
        ours = claim_name(PERSISTENCE, gpu.uuid) in self.record.claims
        # Turned on for a wish that the driver then refused, persistence stays: else two runs would differ.
        stays = ours and any(key in gpu.refusals and key in VOLATILE for key in refused)
        found = settle(gpu, wants, self.others, ours)
        self.problems += found.problems
        self.plan.notes += found.notes
        forbidden = [(want, "volatile", lost_without(gpu)) for want in found.volatile]
        asked = found.wants.get(PERSISTENCE)
        if found.volatile or (stays and (asked is None or asked.yields)):
            found.wants.pop(PERSISTENCE, None)
            refused.add(PERSISTENCE)
            self._keep_claim(claim_name(PERSISTENCE, gpu.uuid))
        if found.held:
            detail = f"{DAEMON}: stop it, or start it with --no-persistence-mode"
            forbidden.append((found.held, "managed_by", detail))
        for want, reason, detail in forbidden:
            key = want.setting.key
            refused.add(key)
            self._keep_claim(want.name)
            self.plan.unapplied.append(unapplied(wishes[key], want.raw, gpu, reason, detail, want.origin))
        return found.wants

    # -- what is asked for

    def _want(self, want: Want) -> None:
        gpu, setting = want.gpu, want.setting
        holder = self.others.get(want.name)
        live, claim = gpu.live(setting.key), self.record.claims.get(want.name)
        if holder and want.reset:
            return  # Nobody asks otherwise is what a reset is for, and this owner does.
        if holder and want.implied:
            self._change(want, live, claim="")
            return
        if holder:
            self.problems.append(want.problem(f"one owner per key; {holder!r} holds it on this GPU"))
            return
        self.plan.before[want.name], self.plan.after[want.name] = live, want.after
        if live != want.after:
            self._change(want, live, want.name)
        # What holds already is claimed, too, if it would not survive a reboot: records say what is set again.
        if live != want.after or claim or want.after != gpu.after_reboot(setting.key):
            # What a damaged record held may be our own doing: the value seen first is not known.
            first = claim.first_seen if claim else None if self.record.damaged else live
            self.plan.claims[want.name] = Claim(first, want.after)
        note = remark(want)
        if note:
            self.plan.notes.append(note)
        self._detail(want, live)

    def _change(self, want: Want, live: Any, claim: str) -> None:
        setting, gpu = want.setting, want.gpu
        found = effect(gpu, setting.key, want.after)
        change = Change(
            setting.key,
            live,
            want.after,
            target=gpu.uuid,
            target_name=gpu.label,
            unit=setting.unit,
            when=found.when,
            disruption=found.disruption,
            verify="accepted" if setting.key in LOCKS else "readback",
            undo="to_default" if live is None else "exact",
            origin=want.origin,
            why=with_words(want.why, found),
            claim=claim,
            required=want.required,
            data={"volatile": want.volatile},
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
                "live": gpu.in_force(key),
                "persistent": gpu.ecc_pending if key == ECC else None,
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
        self.plan.before[name] = self.plan.after[name] = gpu.live(key)
        if is_stuck(gpu, key, claim):
            self.plan.claims[name] = claim
            self.plan.unapplied.append(stuck(gpu, key, claim))
            return
        lasts = gpu.live(PERSISTENCE) is not False and not self._goes_off(gpu, wants)
        found = release(Release(gpu, key, claim, lasts, others_on(gpu, self.others)))
        if found.change:
            self.plan.after[name] = found.change.after
            self._add(found.change, gpu)
        elif key in VOLATILE and not lasts and gpu.live(key) not in (None, gpu.default(key)):
            self.plan.after[name] = None  # Somebody else's, and it goes when persistence does.
        if found.note:
            self.plan.notes.append(found.note)

    def _goes_off(self, gpu: Gpu, wants: Mapping[str, Want]) -> bool:
        """Whether persistence will be off in the end."""
        asked = wants.get(PERSISTENCE)
        if asked is not None:
            return not asked.after
        claim = self.record.claims.get(claim_name(PERSISTENCE, gpu.uuid))
        return claim is not None and not claim.first_seen and not gpu.kept_by_daemon

    # -- the rest

    def vanished(self, state: NodeState, absent: bool) -> None:
        """A GPU that is away keeps its claims; on removal they go, for a GPU away has lost its settings."""
        left_out = {gpu.uuid: gpu.gone for gpu in state.lost if gpu.uuid}
        for name, claim in self.record.claims.items():
            uuid = name.partition(" ")[2]
            if state.gpu(uuid) is not None:
                continue
            if absent and left_out.get(uuid, True):
                self.plan.notes.append(f"{name} is forgotten: this GPU is not in the node any more")
            else:
                self.plan.claims[name] = claim
                if uuid in left_out:
                    continue
                self.plan.notes.append(f"{name} stays on record: this GPU is not in the node at the moment")

    def notes(self, wishes: Mapping[str, Wish], expect: Expect | None, state: NodeState) -> None:
        notes = self.plan.notes
        if state.gpus:
            notes += idle_notes(wishes.values(), state)
        if state.unseen and wishes:
            notes.append(f"on the PCI bus, but not seen by NVML: {', '.join(state.unseen)}")
        if expect and expect.count is not None and len(state.gpus) > expect.count:
            notes.append(f"expected {expect}, found more: {len(state.gpus)}")
        if any(change.key == PERSISTENCE and change.after for _phase, _index, change in self.order):
            notes.append(LEGACY)
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
            plan.changes.append(record_change(self.record.claims, plan.claims, self.labels))
        return plan

    def _keep_claim(self, name: str) -> None:
        if name in self.record.claims:
            self.plan.claims[name] = self.record.claims[name]

    def _add(self, change: Change, gpu: Gpu) -> None:
        phase = list(SETTINGS).index(change.key)
        if change.key == PERSISTENCE:
            phase = FIRST if change.after else LAST
        self.order.append((phase, gpu.index, change))
        if change.when == "reboot":
            live = gpu.ecc_current if change.key == ECC else change.before
            self.plan.pending.append(waiting(change.key, gpu.uuid, gpu.label, live, change.after))
