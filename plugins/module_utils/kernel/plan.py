# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what the kernel layer changes. Pure: wishes, state and record in, plan out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from .boot import BootFiles, parse_tmpfiles
from .checks import check, held_by
from .dropins import file_changes, sysctl_file, tmpfiles_file
from .model import CONGESTION, DEFAULT_QDISC, EXCLUSIVE, KernelState, Knob, Live, Wish
from .sysctl_conf import at_least, parse
from .tuned import after_tuned

ABSENT = Live()


def plan_kernel(
    wishes: list[Wish],
    state: KernelState,
    record: Record,
    others: dict[str, str],
    yields_to: Collection[str] = (),
    may_wait: bool = False,
) -> Plan:
    """The ordered changes: live values first, files last, so that a refused value never gets into a file.

    others: key → other owner who holds it; yields_to: owners whose keys are left to them rather than refused
    may_wait: a required key that is left to one of them is no failure yet
    Raises BindError with every problem found.
    """
    left = {key: owner for key, owner in others.items() if owner in yields_to}
    mine = [wish for wish in wishes if not held_by(wish, left)]
    check(mine, state, others)
    planner = _Planner(state, record)
    for wish in wishes:
        if held_by(wish, left):
            planner.leave_to(replace(wish, required=wish.required and not may_wait), held_by(wish, left))
        else:
            planner.wish(wish)
    planner.release({wish.knob.key for wish in wishes})
    planner.files()
    return planner.finished()


class _Planner:
    """Collects the plan while going through the wishes."""

    def __init__(self, state: KernelState, record: Record) -> None:
        self.state = state
        self.record = record
        self.plan = Plan()
        self.persist: dict[str, str] = {}
        owner = record.owner
        entries = parse(state.files.get(sysctl_file(owner)) or "")
        entries += parse_tmpfiles(state.files.get(tmpfiles_file(owner)) or "")
        self.own_values = {entry.key: entry.value for entry in entries if entry.value is not None}

    # -- one wish

    def leave_to(self, wish: Wish, owner: str) -> None:
        """Another owner holds it, who has to give it back first."""
        key = wish.knob.key
        live = self.state.live.get(key, ABSENT)
        self.plan.before[key] = self.plan.after[key] = live.value
        self._leave(wish, live, ("managed_by", f"owner {owner!r} holds it on this node"))
        self._detail(wish, live)

    def wish(self, wish: Wish) -> None:
        key = wish.knob.key
        live = self.state.live.get(key, ABSENT)
        self.plan.before[key] = self.plan.after[key] = live.value
        target = self._target(wish, live)
        refusal = self._refusal(wish, live, target)
        if refusal:
            self._leave(wish, live, refusal)
        elif live.writable:
            self._want(wish, live, target)
        else:
            self._keep(key)  # As asked for, and not ours to write: what we hold stays held.
        self._detail(wish, live)

    def _target(self, wish: Wish, live: Live) -> str:
        """The live value to be. A floor never lowers, and raises only what is below it."""
        if not wish.at_least:
            return wish.value
        if live.value is not None and not self._ours(wish.knob) and _satisfies(live.value, wish.value, True):
            return live.value
        return at_least(live.value or "", self._floor(wish))

    def _floor(self, wish: Wish) -> str:
        """The floor, or what other boot files set if that is higher: our file must not lower theirs."""
        other = self._boot_files(wish.knob).winner(wish.knob.name)
        return at_least(other[1], wish.value) if other else wish.value

    def _ours(self, knob: Knob) -> bool:
        return knob.key in self.record.claims or knob.name in self.own_values

    def _refusal(self, wish: Wish, live: Live, target: str) -> tuple[str, str] | None:
        """(reason, detail) if the wish cannot hold on this node."""
        knob = wish.knob
        if not live.exists:
            return "unsupported", f"this kernel has no {knob.path}"
        if knob.name == CONGESTION and target not in self.state.congestion:
            return "unsupported", "this kernel offers " + ", ".join(self.state.congestion)
        qdiscs = self.state.qdiscs
        if knob.name == DEFAULT_QDISC and qdiscs and target not in (*qdiscs, live.value):
            return "unsupported", "this kernel offers " + ", ".join(qdiscs)
        shadow = self._shadow(wish, target)
        if shadow:
            return "shadowed_by", shadow
        if not live.writable and live.value != target:
            return "readonly", f"{knob.path} cannot be written here (a container, or a read-only file system)"
        return None

    def _shadow(self, wish: Wish, target: str) -> str:
        """Who would take the setting away from us, now or at the next boot."""
        knob, tuned = wish.knob, self.state.tuned
        held = (tuned.sysctl if knob.is_sysctl else tuned.sysfs).get(knob.name)
        tuned_wins = not knob.is_sysctl or not tuned.reapply_sysctl
        now = after_tuned(held, target) if held is not None and tuned_wins else target
        if not _satisfies(now, wish.value, wish.at_least):
            return f"tuned profile {tuned.profile} (wins, ={held})"
        ruling = self._boot_files(knob).ruling(knob.name, self._our_file(knob), target)
        if ruling is None or ruling[0] == self._our_file(knob):
            return ""
        if ruling[1] is None:
            return f"{ruling[0]} (wins, it excludes the key)"
        return "" if _satisfies(ruling[1], wish.value, wish.at_least) else f"{ruling[0]} (wins, ={ruling[1]})"

    def _boot_files(self, knob: Knob) -> BootFiles:
        return self.state.sysctl_boot if knob.is_sysctl else self.state.tmpfiles_boot

    def _our_file(self, knob: Knob) -> str:
        return sysctl_file(self.record.owner) if knob.is_sysctl else tmpfiles_file(self.record.owner)

    def _leave(self, wish: Wish, live: Live, refusal: tuple[str, str]) -> None:
        """Says why not; what we already hold of this key stays on record."""
        key = wish.knob.key
        wanted = f">={wish.value}" if wish.at_least else wish.value
        self.plan.unapplied.append(
            Unapplied(key, wanted, *refusal, live.value, required=wish.required, origin=wish.origin)
        )
        self._keep(key)

    def _keep(self, key: str) -> None:
        """What we hold of a key stays in the record and in our file."""
        claim = self.record.claims.get(key)
        if claim:
            self.plan.claims[key] = claim
            self.persist[key] = claim.applied

    def _want(self, wish: Wish, live: Live, target: str) -> None:
        key = wish.knob.key
        claim = self.record.claims.get(key)
        if wish.at_least and live.value == target and not self._ours(wish.knob):
            return  # High enough by somebody else's doing: nothing to hold.
        kept = target
        if wish.at_least and live.value == target:
            # Others may have raised it further; that does not become ours by looking at it.
            kept = at_least(claim.applied if claim else "", self._floor(wish))
        self.persist[key] = kept
        self.plan.claims[key] = Claim(self._first_seen(wish.knob, live), kept)
        if live.value != target:
            why = f"at least {wish.value}" if wish.at_least else "as asked for"
            self._set(wish.knob, live, target, wish.origin, why)
            self.plan.changes[-1].required = wish.required
            self.plan.after[key] = target
            self._claim_rival(key, target)

    def _claim_rival(self, key: str, target: str) -> None:
        """What the kernel sets to 0 along with our first write is ours to give back one day."""
        rival = EXCLUSIVE.get(key, "")
        value = self.state.live.get(rival, ABSENT).value
        held = key in self.record.claims or rival in self.record.claims
        if rival and not held and target != "0" and value not in (None, "0"):
            self.plan.claims[rival] = Claim(value, "0")

    def _first_seen(self, knob: Knob, live: Live) -> str | None:
        """The value before our first change; unknown where our file has the key but no record does."""
        claim = self.record.claims.get(knob.key)
        if claim:
            return claim.first_seen
        return None if knob.name in self.own_values else live.value

    def _set(self, knob: Knob, live: Live, value: str, origin: str, why: str) -> None:
        rival = EXCLUSIVE.get(knob.key, "")
        rival_value = self.state.live.get(rival, ABSENT).value
        data: dict[str, Any] = {"path": knob.path}
        if rival_value not in (None, "0") and value != "0":
            self.plan.changes.append(
                Change(rival, rival_value, "0", implied=True, origin=origin,
                       why=f"the kernel sets it to 0 when {knob.key} is written")
            )  # fmt: skip
            if live.value == "0":
                data["undo_by"] = [rival, rival_value]
        self.plan.changes.append(
            Change(knob.key, live.value, value, claim=knob.key, origin=origin, why=why, data=data)
        )

    def _detail(self, wish: Wish, live: Live) -> None:
        """The key as the node was found, whatever is planned for it."""
        knob = wish.knob
        kept = self.own_values.get(knob.name)
        winner = self._boot_files(knob).winner(knob.name, self._our_file(knob), kept)
        self.plan.details.append(
            {
                "key": knob.key,
                "wanted": f">={wish.value}" if wish.at_least else wish.value,
                "live": live.value,
                "persistent": winner[0] if winner else None,
                "after_reboot": winner[1] if winner else None,
                "owner": self.record.owner if knob.key in self.record.claims else None,
                "origin": wish.origin,
            }
        )

    # -- what is no longer asked for

    def release(self, wished: set[str]) -> None:
        """Keys we hold and are no longer asked for go back to the value seen first."""
        for key, claim in sorted(self.record.claims.items()):
            if key in wished:
                continue
            if self.persist.get(EXCLUSIVE.get(key, ""), "0") != "0":
                self.plan.claims[key] = Claim(claim.first_seen, "0")  # Held at 0 by its rival.
                continue
            live = self.state.live.get(key, ABSENT)
            self.plan.before[key] = self.plan.after[key] = live.value
            if live.exists and live.value != claim.first_seen:
                self._give_back(Knob(key), live, claim)

    def _give_back(self, knob: Knob, live: Live, claim: Claim) -> None:
        key = knob.key
        left = f"{key} is no longer asked for; "
        if live.value != claim.applied:
            self.plan.notes.append(
                f"{left}it is {live.value!r}, not the {claim.applied!r} this collection had set, "
                "so it stays as it is"
            )
        elif claim.first_seen is None or (claim.first_seen == "0" and key in EXCLUSIVE):
            if self._zeroed_by_rival(key, claim):
                self.plan.after[key] = "0"
            else:
                self.plan.notes.append(
                    f"{left}what it was before is not known, so the live value {live.value!r} stays "
                    "until the next boot"
                )
        elif not live.writable:
            detail = f"{knob.path} cannot be written here, so it cannot go back to {claim.first_seen}"
            self.plan.unapplied.append(Unapplied(key, claim.first_seen, "readonly", detail, live.value))
            self.plan.claims[key] = claim
        else:
            self._set(knob, live, claim.first_seen, "", "no longer asked for: back to the value seen first")
            self.plan.changes[-1].claim = ""
            self.plan.after[key] = claim.first_seen

    def _zeroed_by_rival(self, key: str, claim: Claim) -> bool:
        """Whether the key goes back to 0 because its rival goes back to a value (0 itself is refused)."""
        rival = EXCLUSIVE.get(key, "")
        other, live = self.record.claims.get(rival), self.state.live.get(rival, ABSENT)
        return (
            claim.first_seen == "0"
            and other is not None
            and other.first_seen not in (None, "0")
            and live.writable
            and live.value == other.applied
        )

    # -- files

    def files(self) -> None:
        """Our own files as they should be; an edited one is kept aside before it is replaced."""
        held = {key: claim.applied for key, claim in self.record.claims.items()}
        for change in file_changes(self.record.owner, self.state.files, self.persist, held):
            if change.data["edited"]:
                self.plan.notes.append(
                    f"{change.target} was edited by hand; a copy of it is kept when it is replaced"
                )
            self.plan.changes.append(change)

    def finished(self) -> Plan:
        """The plan. A record that is to change while nothing else does is a change, too."""
        plan, old = self.plan, self.record.claims
        names = sorted(key for key in {**old, **plan.claims} if old.get(key) != plan.claims.get(key))
        if names and not plan.changes:
            plan.changes.append(
                Change("record", f"holds {', '.join(names)}", "brought up to date", undo="none",
                       why="nothing to set, but what this owner holds is not what the record says")
            )  # fmt: skip
        return plan


def _satisfies(value: str, wanted: str, floor: bool) -> bool:
    return at_least(value, wanted) == value if floor else value == wanted
