# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes, unapplied wishes and plans: what every layer speaks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any

DISRUPTIONS = ("none", "perf", "node_jobs", "peer_jobs", "reboot")
"""How much a change disturbs, least first."""


@dataclass
class Change:
    """One step of a plan. `docs/results.md` says what each field means.

    `claim` is the name under which the owner record keeps this key ("" = not kept).
    `required`: the host fails if this change is left out.
    `data` is for the port alone (whole file contents, for example); it goes into the
    journal, never into a result.
    `implied` changes happen as a side effect of another write; only their undo is our doing.
    `relies_on`: names of changes; if any of them is left out, so is this one, for it would undo what stays.
    `serves`: names of changes; if all of them are left out, so is this one, as nothing needs it any more.
    """

    key: str
    before: Any
    after: Any
    target: str = ""
    target_name: str = ""
    unit: str = ""
    when: str = "now"
    disruption: str = "none"
    verify: str = "readback"
    undo: str = "exact"
    origin: str = ""
    why: str = ""
    claim: str = ""
    required: bool = False
    implied: bool = False
    relies_on: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The key with its target, as `Plan.before` and `Plan.after` name it."""
        return f"{self.key} {self.target}".strip()

    def as_result(self) -> dict[str, Any]:
        """The public shape, for results and the plan's digest."""
        return {
            name: getattr(self, name)
            for name in (
                "key", "target", "target_name", "before", "after", "unit", "when",
                "disruption", "verify", "undo", "origin", "why",
            )
        }  # fmt: skip

    @property
    def before_unknown(self) -> bool:
        """Whether a `before` of None is ignorance; where the key has a getter it means "not there"."""
        return self.before is None and self.verify == "accepted"

    @property
    def label(self) -> str:
        """The key with its target, for messages."""
        return f"{self.key} ({self.target_name or self.target})" if self.target else self.key


@dataclass
class Unapplied:
    """A wish that is not so on this node, and why."""

    key: str
    wanted: Any
    reason: str
    detail: str
    live: Any = None
    target: str = ""
    target_name: str = ""
    required: bool = False
    origin: str = ""

    def as_result(self) -> dict[str, Any]:
        return dict(self.__dict__)


@dataclass
class Claim:
    """What an owner record keeps of one key."""

    first_seen: Any
    applied: Any


@dataclass
class Plan:
    """What a layer's `plan` returns. Pure data.

    claims: the owner record as it should be once the plan is applied, by claim name.
    before/after: live values of every wished key, `after` as it will be.
    details: per key, what `explain` shows: live, wanted, persistent, after_reboot, owner.
    pending: what was set and waits for something to take effect: key, target, target_name, live, after,
        when, detail. Listed by every run until it has happened.
    attention: what is wrong with the hardware whatever is wished: target, target_name, what, detail, severity
        (`warning` or `critical`).
    degraded: targets that were left out because they do not work; the host fails, the others are changed.
    """

    changes: list[Change] = field(default_factory=list)
    unapplied: list[Unapplied] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    details: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pending: list[dict[str, Any]] = field(default_factory=list)
    attention: list[dict[str, Any]] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """Equal for equal ordered changes, on any node and at any time.

        A device counts by its name (`gpu 0 (H100 80GB HBM3)`), which identical nodes share, not by its UUID;
        words that explain a change do not count.
        """
        steps = [
            [item.key, item.target_name or item.target, item.before, item.after, item.when, item.disruption]
            for item in self.changes
        ]
        text = json.dumps(steps, default=str)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    @property
    def reboot_required(self) -> bool:
        waiting = [change.when for change in self.changes] + [item["when"] for item in self.pending]
        return "reboot" in waiting

    def extend(self, other: Plan) -> None:
        """Takes over everything of another part's plan."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            if isinstance(mine, dict):
                mine.update(theirs)
            else:
                mine.extend(theirs)

    def drop_changes(self) -> None:
        """Makes it the plan of a run that changes nothing; what is unapplied stays said."""
        for change in list(self.changes):
            self.take_out(change)

    def take_out(self, change: Change) -> None:
        """Takes a change out of the plan and says nothing; its claim is the caller's matter."""
        self.changes.remove(change)
        if change.name in self.after:
            self.after[change.name] = change.before
        if change.when != "now":
            mine = (change.key, change.target)
            self.pending = [item for item in self.pending if (item["key"], item["target"]) != mine]
        # What the change would have put an end to.
        self.pending += change.data.get("waiting", [])

    def withhold(self, change: Change, reason: str, detail: str, known: dict[str, Claim]) -> None:
        """Takes a change out of the plan and says why; its claim falls back to what it was."""
        self.take_out(change)
        self.unapplied.append(
            Unapplied(
                key=change.key,
                wanted=change.after,
                live=change.before,
                reason=reason,
                detail=detail,
                target=change.target,
                target_name=change.target_name,
                # A lost device fails the host as degraded; the others do have their new state.
                required=change.required and reason != "lost",
                origin=change.origin,
            )
        )
        if change.claim in known:
            self.claims[change.claim] = known[change.claim]
        else:
            self.claims.pop(change.claim, None)
