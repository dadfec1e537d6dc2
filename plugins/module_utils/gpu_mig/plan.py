# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what the gpu_mig layer changes. Pure: wish, state and record in, plan out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ..core.errors import BindError, Problem
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from ..gpu.checks import idle_notes, merged, target_problems
from ..gpu.lost import leave_out
from ..gpu.selectors import Contradiction, Rule, choose
from .aim import Aim, Way, way_to
from .bind import instances_of
from .notation import DISABLED, ENABLED, Layout, Refusal
from .release import Given, release
from .state import MigGpu, MigState, mode_text
from .wishes import KEYS, LAYOUT, MODE, MigWish, claim_name

CDI_NOTE = (
    "MIG devices may have other UUIDs after a change: the CDI specification must be made anew "
    "(nvidia-ctk cdi generate), and a Kubernetes device plugin be restarted"
)
RECORD = "record"


def plan_mig(
    wish: Optional[MigWish],
    state: MigState,
    record: Record,
    others: Mapping[str, str],
    absent: bool = False,
) -> Plan:
    """The ordered changes. `others`: claim name → owner. Raises BindError with every problem found."""
    planner = _Planner(wish, state, record, others)
    if wish and state.gpus:
        planner.problems += target_problems([wish.as_setting], state.node)
    for gpu in state.gpus:
        planner.gpu(gpu)
    if planner.problems:
        raise BindError(merged(planner.problems))
    planner.vanished(absent)
    plan = planner.finished()
    leave_out(plan, {LAYOUT: wish.as_setting} if wish else {}, state.node, absent)
    return plan


def plan_pending(wish: Optional[MigWish], record: Record, why: str) -> Plan:
    """Check mode before the binding is there: the wish is listed as not applied, nothing fails."""
    plan = Plan(claims=dict(record.claims))
    if wish:
        plan.unapplied = [Unapplied(LAYOUT, wish.raw, "not_installed", why, origin=wish.origin)]
    return plan


class _Planner:
    """Collects the plan GPU by GPU."""

    def __init__(
        self, wish: Optional[MigWish], state: MigState, record: Record, others: Mapping[str, str]
    ) -> None:
        self.wish = wish
        self.state = state
        self.record = record
        self.others = others
        self.plan = Plan()
        self.problems: list[Problem] = []

    def gpu(self, gpu: MigGpu) -> None:
        rule = self._rule(gpu)
        if self.wish is None or rule is None or rule.quantity is None:
            self._release(gpu)
            return
        refusal = _unsupported(gpu, rule.quantity)
        if refusal:
            self._unsupported(self.wish, gpu, rule, refusal)
            return
        if gpu.current is not None:
            self._wished(self.wish, gpu, rule)

    def _rule(self, gpu: MigGpu) -> Optional[Rule]:
        if self.wish is None:
            return None
        try:
            return choose(self.wish.rules, *gpu.identity)
        except Contradiction as error:
            raws = {str(error.one.selector): error.one.raw, str(error.other.selector): error.other.raw}
            self.problems.append(self.wish.problem(str(error), raws, gpu.label))
            return None

    # -- what is asked for

    def _wished(self, wish: MigWish, gpu: MigGpu, rule: Rule) -> None:
        layout: Layout = rule.quantity
        holder = next((self.others[name] for name in _names(gpu) if name in self.others), "")
        if holder:
            allowed = f"one owner per key; {holder!r} holds it on this GPU"
            self.problems.append(wish.problem(allowed, rule.raw, gpu.label))
            return
        on = layout.kind != DISABLED
        wanted: Any = None if layout.kind == ENABLED else ()
        try:
            if on and layout.kind != ENABLED:
                wanted = instances_of(layout, gpu)
            aim = Aim(gpu, on, wanted, rule.raw, _why(rule), wish.origin, wish.required)
            way = way_to(aim)
        except Refusal as error:
            self.problems.append(wish.problem(str(error), error.value, gpu.label))
            return
        self._go(gpu, way)
        self._claim(gpu, MODE, mode_text(on), way)
        held = claim_name(LAYOUT, gpu.uuid) in self.record.claims
        if way.layout is not None and (on or gpu.instances or held):
            self._claim(gpu, LAYOUT, way.layout, way)
        self._details(gpu, aim, way)

    def _claim(self, gpu: MigGpu, key: str, applied: Any, way: Way) -> None:
        """Also where it is so already: what is not on record cannot be made again after a reboot."""
        name = claim_name(key, gpu.uuid)
        held = self.record.claims.get(name)
        if any(item.key == key for item in way.unapplied):
            if held:
                self.plan.claims[name] = held
            return
        live = gpu.mode if key == MODE else gpu.layout
        self.plan.claims[name] = Claim(held.first_seen if held else live, applied)

    def _unsupported(self, wish: MigWish, gpu: MigGpu, rule: Rule, why: str) -> None:
        layout: Layout = rule.quantity
        key = MODE if layout.kind in (ENABLED, DISABLED) else LAYOUT
        self.plan.unapplied.append(
            Unapplied(
                key=key,
                wanted=rule.raw,
                reason="unsupported",
                detail=why,
                target=gpu.uuid,
                target_name=gpu.label,
                required=wish.required,
                origin=wish.origin,
            )
        )
        self._keep(gpu)

    # -- what is no longer asked for

    def _release(self, gpu: MigGpu) -> None:
        mode, layout = (self.record.claims.get(claim_name(key, gpu.uuid)) for key in KEYS)
        if mode is None and layout is None:
            return
        begun = self.state.begun.get(claim_name(LAYOUT, gpu.uuid), ())
        found = release(Given(gpu, mode, layout, begun))
        self.plan.notes += found.notes
        if found.aim is None:
            return
        try:
            way = way_to(found.aim)
        except Refusal as error:
            self.plan.notes.append(f"{gpu.label}: what was seen first cannot be made again: {error}")
            return
        self._go(gpu, way)
        if way.unapplied:
            self._keep(gpu)

    # -- the rest

    def _go(self, gpu: MigGpu, way: Way) -> None:
        plan = self.plan
        for key, live in ((MODE, gpu.mode), (LAYOUT, gpu.layout)):
            name = claim_name(key, gpu.uuid)
            if key == MODE or way.layout is not None:
                plan.before[name] = plan.after[name] = live
        for change in way.changes:
            plan.after[claim_name(change.key, gpu.uuid)] = change.after
        plan.changes += way.changes
        plan.unapplied += way.unapplied
        plan.pending += way.pending

    def _details(self, gpu: MigGpu, aim: Aim, way: Way) -> None:
        """As the node was found, whatever is planned."""
        lasts = gpu.mode if not gpu.changes_live else DISABLED
        rows: list[tuple[str, Any, Any, Any]] = [(MODE, mode_text(aim.on), gpu.mode, lasts)]
        if way.layout is not None:
            rows.append((LAYOUT, way.layout, gpu.layout, []))
        for key, wanted, live, after_reboot in rows:
            name = claim_name(key, gpu.uuid)
            self.plan.details.append(
                {
                    "key": key,
                    "target": gpu.uuid,
                    "target_name": gpu.label,
                    "wanted": wanted,
                    "asked": aim.asked,
                    "live": live,
                    "persistent": None,
                    "after_reboot": after_reboot,
                    "owner": self.record.owner if name in self.record.claims else None,
                    "origin": aim.origin,
                }
            )

    def _keep(self, gpu: MigGpu) -> None:
        claims = self.record.claims
        self.plan.claims.update({name: claims[name] for name in _names(gpu) if name in claims})

    def vanished(self, absent: bool) -> None:
        """A GPU that is away keeps its claims; on removal they go, for it has lost its instances."""
        left_out = {gpu.uuid for gpu in self.state.lost}
        for name, claim in self.record.claims.items():
            uuid = name.partition(" ")[2]
            if self.state.gpu(uuid) is not None:
                continue
            if absent:
                self.plan.notes.append(f"{name} is forgotten: this GPU is not in the node any more")
                continue
            self.plan.claims[name] = claim
            if uuid not in left_out:
                self.plan.notes.append(f"{name} stays on record: this GPU is not in the node at the moment")

    def finished(self) -> Plan:
        plan = self.plan
        if any(change.key in KEYS for change in plan.changes):
            plan.notes.append(CDI_NOTE)
        if not plan.changes and plan.claims != self.record.claims:
            plan.changes.append(_record_change(self.record.claims, plan.claims))
        if self.wish and self.state.gpus:
            plan.notes += idle_notes([self.wish.as_setting], self.state.node)
        return plan


def _names(gpu: MigGpu) -> list[str]:
    return [claim_name(key, gpu.uuid) for key in KEYS]


def _why(rule: Rule) -> str:
    return f"as asked for: {rule.raw}" if isinstance(rule.raw, str) else "as asked for"


def _unsupported(gpu: MigGpu, layout: Layout) -> str:
    """Why this GPU cannot have the layout, or ""."""
    if layout.kind == DISABLED:
        return ""  # What has no MIG has it off, which is what is asked for.
    if gpu.virtual_guest:
        return "a vGPU guest: the host of the virtual machine decides"
    if gpu.current is None:
        return f"{gpu.model} has no MIG"
    if layout.kind != ENABLED and not gpu.profiles:
        return "the driver lists no MIG profiles" + ("" if gpu.current else " while MIG is off")
    return ""


def _record_change(old: Mapping[str, Claim], new: Mapping[str, Claim]) -> Change:
    """Nothing to do on a GPU, but the record is not what it should be."""
    names = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
    gone = all(name not in new for name in names)
    return Change(
        RECORD,
        f"{'held' if gone else 'holds'} {', '.join(names)}" if any(name in old for name in names) else None,
        "released" if gone else f"holds {', '.join(names)}",
        undo="none",
        why="no longer asked for, and nothing to put back" if gone else "the GPU is so already",
    )
