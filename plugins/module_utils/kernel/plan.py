# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what the kernel layer changes. Pure: wishes, state and record in, plan out."""

from __future__ import annotations

import hashlib
from typing import Any

from ..core.errors import BindError, Problem
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from .boot import BootFiles, render_tmpfiles
from .model import CONGESTION, EXCLUSIVE, KernelState, Knob, Live, Wish
from .sysctl_conf import at_least, canonical, numbers, parse, render

ABSENT = Live()


def sysctl_file(owner: str) -> str:
    """Our drop-in for an owner; sorts before the 99- files in which administrators have the last word."""
    return f"/etc/sysctl.d/90-swarm-node-{owner}.conf"


def tmpfiles_file(owner: str) -> str:
    return f"/etc/tmpfiles.d/90-swarm-node-{owner}.conf"


def plan_kernel(
    wishes: list[Wish], state: KernelState, record: Record, others: dict[str, str]
) -> Plan:
    """The ordered changes: live values first, files last, so that a refused value never gets into a file.

    Raises BindError with every problem found.
    """
    _check(wishes, state, others)
    planner = _Planner(state, record)
    for wish in wishes:
        planner.wish(wish)
    planner.release({wish.knob.key for wish in wishes})
    planner.files()
    return planner.plan


def _check(wishes: list[Wish], state: KernelState, others: dict[str, str]) -> None:
    problems = [
        problem for wish in wishes for problem in (_problem(wish, state, others),) if problem is not None
    ]
    asked = {wish.knob.key: wish for wish in wishes}
    for key, rival in EXCLUSIVE.items():
        if key in asked and rival in asked and key < rival and "0" not in (asked[key].value, asked[rival].value):
            allowed = f"only one of the two; {rival} is asked to be {asked[rival].value} (from {asked[rival].origin})"
            problems.append(Problem(key, asked[key].value, allowed, asked[key].origin))
    if problems:
        raise BindError(problems)


def _problem(wish: Wish, state: KernelState, others: dict[str, str]) -> Problem | None:
    key, value = wish.knob.key, wish.value
    if key in others:
        return Problem(key, value, f"one owner; {others[key]!r} holds this key on this node", wish.origin)
    if key == "vm.overcommit_memory" and value == "2":
        return Problem(key, value, "0 or 1: strict accounting makes GPU processes fail to map memory", wish.origin)
    live = state.live.get(key, ABSENT)
    if not live.exists:
        return None
    if live.value is None:
        return Problem(key, value, "keys that can be read; this one is a trigger, not a setting", wish.origin)
    if live.choices and value not in live.choices:
        return Problem(key, value, "one of " + ", ".join(live.choices) + " (what this kernel offers)", wish.origin)
    have = numbers(live.value)
    if have and len(numbers(value) or []) != len(have):
        count = "a whole number" if len(have) == 1 else f"{len(have)} whole numbers"
        return Problem(key, value, f"{count}, as the live value {live.value!r}", wish.origin)
    return None


class _Planner:
    """Collects the plan while going through the wishes."""

    def __init__(self, state: KernelState, record: Record) -> None:
        self.state = state
        self.record = record
        self.plan = Plan()
        self.persist: dict[str, str] = {}
        owner = record.owner
        ours = state.files.get(sysctl_file(owner)) or ""
        self.own_lines = {entry.key for entry in parse(ours) if entry.value is not None}
        self.own_lines |= {
            line.split()[1]
            for line in (state.files.get(tmpfiles_file(owner)) or "").splitlines()
            if line.startswith("w ")
        }

    # -- one wish

    def wish(self, wish: Wish) -> None:
        key = wish.knob.key
        live = self.state.live.get(key, ABSENT)
        self.plan.before[key] = self.plan.after[key] = live.value
        target = at_least(live.value or "", wish.value) if wish.at_least else wish.value
        refusal = self._refusal(wish, live, target)
        if refusal:
            self._leave(wish, live, refusal)
        elif live.writable or live.value != target:
            self._want(wish, live, target)
        self._detail(wish, live)

    def _refusal(self, wish: Wish, live: Live, target: str) -> tuple[str, str] | None:
        """(reason, detail) if the wish cannot hold on this node."""
        knob = wish.knob
        if not live.exists:
            return "unsupported", f"this kernel has no {knob.path}"
        if knob.name == CONGESTION and target not in self.state.congestion:
            return "unsupported", "this kernel offers " + ", ".join(self.state.congestion)
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
        if held is not None and tuned_wins and not _satisfies(held, target, wish.at_least):
            return f"tuned profile {tuned.profile} (wins, ={held})"
        winner = self._boot_files(knob).winner(knob.name, self._our_file(knob), target)
        if winner and winner[0] != self._our_file(knob) and not _satisfies(winner[1], target, wish.at_least):
            return f"{winner[0]} (wins, ={winner[1]})"
        return ""

    def _boot_files(self, knob: Knob) -> BootFiles:
        return self.state.sysctl_boot if knob.is_sysctl else self.state.tmpfiles_boot

    def _our_file(self, knob: Knob) -> str:
        return sysctl_file(self.record.owner) if knob.is_sysctl else tmpfiles_file(self.record.owner)

    def _leave(self, wish: Wish, live: Live, refusal: tuple[str, str]) -> None:
        """Says why not; what we already hold of this key stays on record."""
        key = wish.knob.key
        wanted = f">={wish.value}" if wish.at_least else wish.value
        self.plan.unapplied.append(
            Unapplied(key, wanted, refusal[0], refusal[1], live.value, required=wish.required, origin=wish.origin)
        )
        claim = self.record.claims.get(key)
        if claim:
            self.plan.claims[key] = claim
            self.persist[key] = claim.applied

    def _want(self, wish: Wish, live: Live, target: str) -> None:
        key = wish.knob.key
        claim = self.record.claims.get(key)
        if wish.at_least and claim is None and live.value == target and wish.knob.name not in self.own_lines:
            return  # High enough by somebody else's doing: nothing to hold.
        if wish.at_least and claim is not None and _satisfies(claim.applied, wish.value, True):
            kept = claim.applied
        else:
            kept = target
        self.persist[key] = kept
        self.plan.claims[key] = Claim(self._first_seen(wish.knob, live), kept)
        if live.value != target:
            why = f"at least {wish.value}" if wish.at_least else "as asked for"
            self._set(wish.knob, live, target, wish.origin, why)
            self.plan.after[key] = target
            self._claim_rival(key, target)

    def _claim_rival(self, key: str, target: str) -> None:
        """What the kernel sets to 0 along with this write is ours to give back one day."""
        rival = EXCLUSIVE.get(key, "")
        value = self.state.live.get(rival, ABSENT).value
        if rival and rival not in self.record.claims and target != "0" and value not in (None, "0"):
            self.plan.claims[rival] = Claim(value, "0")

    def _first_seen(self, knob: Knob, live: Live) -> str | None:
        """The value before our first change; unknown where our file has the key but no record does."""
        claim = self.record.claims.get(knob.key)
        if claim:
            return claim.first_seen
        return None if knob.name in self.own_lines else live.value

    def _set(self, knob: Knob, live: Live, value: str, origin: str, why: str) -> None:
        rival = EXCLUSIVE.get(knob.key, "")
        rival_live = self.state.live.get(rival, ABSENT)
        if rival_live.value not in (None, "0") and value != "0":
            self.plan.changes.append(
                Change(rival, rival_live.value, "0", implied=True, origin=origin,
                       why=f"the kernel sets it to 0 when {knob.key} is written")
            )  # fmt: skip
        self.plan.changes.append(
            Change(
                knob.key, live.value, value, claim=knob.key, origin=origin, why=why, data={"path": knob.path}
            )
        )

    def _detail(self, wish: Wish, live: Live) -> None:
        knob = wish.knob
        kept = self.persist.get(knob.key)
        winner = self._boot_files(knob).winner(knob.name, self._our_file(knob), kept)
        self.plan.details.append(
            {
                "key": knob.key,
                "wanted": f">={wish.value}" if wish.at_least else wish.value,
                "live": live.value,
                "persistent": winner[0] if winner else None,
                "after_reboot": winner[1] if winner else None,
                "owner": self.record.owner if knob.key in self.plan.claims else None,
                "origin": wish.origin,
            }
        )

    # -- what is no longer asked for

    def release(self, wished: set[str]) -> None:
        """Keys we hold and are no longer asked for go back to the value seen first."""
        # Zeros first: of two exclusive keys the one that counts is written last.
        for key, claim in sorted(self.record.claims.items(), key=lambda item: (item[1].first_seen != "0", item[0])):
            if key in wished:
                continue
            if EXCLUSIVE.get(key) in wished:
                self.plan.claims[key] = claim
                continue
            knob, live = Knob(key), self.state.live.get(key, ABSENT)
            self.plan.before[key] = self.plan.after[key] = live.value
            if not live.exists or not live.writable:
                continue
            if live.value != claim.applied:
                self.plan.notes.append(
                    f"{key} is no longer asked for; it is {live.value!r}, not the {claim.applied!r} this "
                    "collection had set, so it stays as it is"
                )
            elif claim.first_seen is None:
                self.plan.notes.append(
                    f"{key} is no longer asked for; what it was before is not known, so the live value "
                    f"{live.value!r} stays until the next boot"
                )
            elif claim.first_seen != live.value:
                self._set(knob, live, claim.first_seen, "", "no longer asked for: back to the value seen first")
                self.plan.changes[-1].claim = ""
                self.plan.after[key] = claim.first_seen

    # -- files

    def files(self) -> None:
        """Our own files as they should be; an edited one is kept aside before it is replaced."""
        owner = self.record.owner
        sysctls = {canonical(key): value for key, value in self.persist.items() if Knob(key).is_sysctl}
        sysfs = {Knob(key).path: value for key, value in self.persist.items() if not Knob(key).is_sysctl}
        held = {
            key: claim.applied
            for key, claim in self.record.claims.items()
            if not (claim.applied == "0" and EXCLUSIVE.get(key) in self.record.claims)
        }
        held_sysctls = {canonical(key): value for key, value in held.items() if Knob(key).is_sysctl}
        held_sysfs = {Knob(key).path: value for key, value in held.items() if not Knob(key).is_sysctl}
        self._file(sysctl_file(owner), render(owner, sysctls), render(owner, held_sysctls))
        self._file(tmpfiles_file(owner), render_tmpfiles(owner, sysfs), render_tmpfiles(owner, held_sysfs))

    def _file(self, path: str, wanted: str, expected: str) -> None:
        live = self.state.files.get(path)
        if (live or "") == wanted:
            return
        edited = live is not None and live != expected
        if edited:
            self.plan.notes.append(f"{path} was edited by hand; a copy of it is kept when it is replaced")
        data: dict[str, Any] = {"before_text": live, "after_text": wanted or None, "edited": edited}
        self.plan.changes.append(
            Change(
                "file", _digest(live), _digest(wanted or None), target=path, data=data,
                why="edited by hand" if edited else "so that the settings survive a reboot",
            )
        )  # fmt: skip


def _satisfies(value: str, wanted: str, floor: bool) -> bool:
    return at_least(value, wanted) == value if floor else value == wanted


def _digest(text: str | None) -> str | None:
    """What stands for a file's content in results: short, and equal for equal content."""
    if text is None:
        return None
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
