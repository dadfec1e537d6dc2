# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is armed on a node: a change of network devices that nobody has confirmed yet. Pure data.

<state>/nic/armed.json      what is armed (mode 0600)
<state>/nic/reverted.json   what was taken back last, until a later change is confirmed
<run>/nic-arming.json       what the guard is to take over as armed when it starts
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ..core import armed
from ..core.armed import SCHEMA
from ..core.deadline import Clock, moment
from ..core.errors import NodeError, Problem
from ..core.model import Change, Claim

KEPT = ("key", "before", "after", "target", "target_name", "verify", "undo", "when", "data")
"""Fields of a change that the undo needs."""


@dataclass(frozen=True)
class Armed(armed.Armed):
    """One change of network devices.

    changes: as `kept` gives them, in the order of application
    claims: what the owner held before, claim name → {first_seen, applied}
    """

    owner: str
    changes: tuple[Mapping[str, Any], ...] = ()
    claims: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        when = moment(self.deadline)
        undo = f"the node takes it back at {when} unless it is confirmed"
        return f"run {self.token!r} changed network devices; {undo}"

    def refusal(self, token: str) -> Problem:
        """Why run `token` may neither change nor confirm anything now."""
        allowed = (
            f"nothing until the change by run {self.token!r}, armed at {moment(self.armed_at)}, is confirmed "
            f"or taken back: swarm.node.nic with state: confirmed and token: {self.token!r}, or with state: "
            f"reverted; the node takes it back by itself at {moment(self.deadline)}"
        )
        return Problem("token", token, allowed)

    def since(self, clock: Clock) -> Armed:
        """The same with its whole time left: a node with many ports waits long for their links."""
        return replace(self, armed_at=clock.wall, boottime=clock.boottime)

    def old_claims(self) -> dict[str, Claim]:
        return {
            name: Claim(claim["first_seen"], claim["applied"]) for name, claim in sorted(self.claims.items())
        }

    def restored(self) -> list[Change]:
        """The changes, in the order of application."""
        return [Change(**dict(entry)) for entry in self.changes]

    def to_text(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n"


def kept(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """The changes as they are put down."""
    return [{name: getattr(change, name) for name in KEPT} for change in changes]


def parse_armed(text: str, origin: str) -> Armed:
    """Raises NodeError for what this version cannot read."""
    try:
        body = json.loads(text)
        if body.pop("schema") != SCHEMA:
            raise ValueError(f"another schema than {SCHEMA}")
        found = Armed(**{item.name: body[item.name] for item in fields(Armed)})
        numbers = (found.armed_at, found.boottime, found.length)
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise ValueError("a time is no number")
        found.old_claims()
        found.restored()
        return found
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NodeError(f"{origin} cannot be read ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class Reverted(armed.Reverted):
    """A change that was taken back. left_out: what stayed, and why"""

    @property
    def sentence(self) -> str:
        lost = f"; left as it is: {', '.join(self.left_out)}" if self.left_out else ""
        return (
            f"the change of network devices by run {self.token!r} was taken back at {moment(self.when)}: "
            f"{self.why}{lost}"
        )

    @property
    def attention(self) -> dict[str, str]:
        """As an entry of a result's `attention`."""
        entry = {"target": "", "target_name": "", "what": "nic_reverted", "severity": "warning"}
        return {**entry, "detail": self.sentence}
