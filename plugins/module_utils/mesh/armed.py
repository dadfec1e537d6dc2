# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is armed on a node: its file, and when it is to be undone. Pure but for the clock.

Two clocks. Within the boot in which it was armed only the kernel's own counts (CLOCK_BOOTTIME), which nobody
sets. After a reboot the wall clock counts, and can be wrong: a board without a battery begins in 1970. So
what is left is then never more than the armed length, counted from the first look after the boot.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.errors import NodeError, Problem

SCHEMA = 1

JITTER = 0.2
"""A deadline is up to this part longer: a cancelled job does not revert a fleet at one instant."""


@dataclass(frozen=True)
class Clock:
    """Now. wall: Unix time; boottime: s since the kernel started; boot_id: of this boot."""

    wall: float
    boottime: float
    boot_id: str


def read_clock(root: Path = Path("/")) -> Clock:
    """The node's clocks now."""
    boot_id = files.read_text(root / "proc/sys/kernel/random/boot_id") or ""
    return Clock(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), boot_id.strip())


@dataclass(frozen=True)
class Armed:
    """One change that is not confirmed yet.

    token: of the run that made it
    armed_at: Unix time; boot_id and boottime: the same moment by the kernel
    length: s until it is undone, jitter included
    snapshot: mesh → its share before (`Share.as_data`), None where there was no such mesh
    settings: what else the undo needs: firewall (the wish before), owner (of the record)
    worked: what answered before, as `probe.Check.name` has it
    """

    token: str
    armed_at: float
    boot_id: str
    boottime: float
    length: float
    snapshot: Mapping[str, Optional[dict[str, Any]]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    worked: tuple[str, ...] = ()

    @property
    def deadline(self) -> float:
        """Unix time."""
        return self.armed_at + self.length

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


def left(armed: Armed, clock: Clock, seen: float) -> float:
    """Seconds until the undo, 0 when it is due. `seen`: the boottime of the first look in this boot."""
    since = clock.boottime - armed.boottime
    if clock.boot_id == armed.boot_id and since >= 0:
        return max(0.0, armed.length - since)
    bound = armed.length - max(0.0, clock.boottime - seen)
    return max(0.0, min(armed.deadline - clock.wall, bound))


def jittered(seconds: float, identity: str, token: str) -> float:
    """`seconds` × 1 to 1.2: the same every time for one node and run."""
    found = hashlib.sha256(f"{identity}\n{token}".encode("utf-8", "surrogateescape")).digest()
    return seconds * (1 + JITTER * int.from_bytes(found[:4], "big") / 2**32)


def moment(unix: float) -> str:
    """UTC, to the second, for people."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix))
    except (OverflowError, ValueError, OSError):
        return f"Unix time {unix:.0f}"


@dataclass(frozen=True)
class Reverted:
    """A change that was undone. when: Unix time; undone: labels; left_out: what could not be undone."""

    token: str
    when: float
    why: str
    undone: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_text(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n"

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


def parse_reverted(text: str) -> Optional[Reverted]:
    """None for what makes no sense: it is a note, and nothing depends on it."""
    try:
        body = json.loads(text)
        return Reverted(
            str(body["token"]),
            float(body["when"]),
            str(body["why"]),
            tuple(body["undone"]),
            tuple(body["left_out"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
