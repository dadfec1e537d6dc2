# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is armed of the mesh on a node: its file, and the note of what was undone. Pure data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Optional

from ..core import armed
from ..core.armed import SCHEMA
from ..core.deadline import moment
from ..core.errors import NodeError, Problem


@dataclass(frozen=True)
class Armed(armed.Armed):
    """One change of the mesh that is not confirmed yet. It outlasts a boot.

    snapshot: mesh → its share before (`Share.as_data`), None where there was no such mesh
    settings: what else the undo needs: firewall (the wish before), owner (of the record)
    worked: what answered before, as `probe.Check.name` has it
    """

    snapshot: Mapping[str, Optional[dict[str, Any]]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    worked: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For the journal and for people."""
        when = moment(self.deadline)
        return f"run {self.token!r} changed the mesh; the node undoes it at {when} unless it is confirmed"

    def after(self, first: Armed) -> Armed:
        """This second change of the same run: it is undone to where the first one began."""
        return replace(
            self,
            snapshot={**self.snapshot, **first.snapshot},
            settings={**self.settings, **first.settings},
            worked=first.worked,
        )

    def refusal(self, token: str) -> Problem:
        """Why run `token` may neither change nor confirm anything now."""
        allowed = (
            f"nothing until the change by run {self.token!r}, armed at {moment(self.armed_at)}, is confirmed "
            f"or undone: swarm.node.mesh_confirm with action: confirm and token: {self.token!r}, or with "
            f"action: revert; the node undoes it by itself at {moment(self.deadline)}"
        )
        return Problem("token", token, allowed)

    def to_text(self) -> str:
        return json.dumps({"schema": SCHEMA, "deadline": self.deadline, **asdict(self)}, indent=1) + "\n"


def parse_armed(text: str, origin: str) -> Armed:
    """Raises NodeError for what this version cannot read."""
    try:
        body = json.loads(text)
        if body["schema"] != SCHEMA:
            raise ValueError(f"schema {body['schema']!r}, this version knows {SCHEMA}")
        snapshot = {
            str(mesh): None if share is None else dict(share) for mesh, share in body["snapshot"].items()
        }
        return Armed(
            token=str(body["token"]),
            armed_at=float(body["armed_at"]),
            boot_id=str(body["boot_id"]),
            boottime=float(body["boottime"]),
            length=float(body["length"]),
            snapshot=snapshot,
            settings=dict(body["settings"]),
            worked=tuple(str(name) for name in body["worked"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NodeError(f"{origin} cannot be read ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class Reverted(armed.Reverted):
    """A change of the mesh that was undone."""

    @property
    def sentence(self) -> str:
        """For a note."""
        lost = f"; not undone: {', '.join(self.left_out)}" if self.left_out else ""
        when = moment(self.when)
        return f"the change of the mesh by run {self.token!r} was undone at {when}: {self.why}{lost}"

    @property
    def attention(self) -> dict[str, str]:
        """As an entry of a result's `attention`."""
        severity = "critical" if self.left_out else "warning"
        entry = {"target": "", "target_name": "", "what": "mesh_reverted", "severity": severity}
        return {**entry, "detail": self.sentence}
