# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh layer: firewall, filter, tunnels and routes of all meshes of a node, and the guard, as one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner, execute_allowed
from ..core.composite import Composite, Part
from ..core.errors import BindError
from ..core.model import Change, Plan
from ..core.store import RUN_DIR, STATE_DIR, Record
from . import info
from .filter import FilterPart
from .firewall import FirewallPart
from .guard import Guard
from .part import GuardPart, TunnelsPart
from .paths import conf_path, share_path
from .plan import is_live, keep_secrets
from .program_part import ProgramPart
from .render import is_ours
from .share import Share
from .stored import stored_shares
from .units import Program, no_program

NAME = "mesh"


@dataclass(frozen=True)
class MeshOptions:
    """What is asked for.

    shares: mesh → share; a mesh of ours that is not among them goes
    firewall: the value of mesh_firewall
    confirm_seconds: a live change is undone by the node unless it is confirmed by then; 0 for no guard
    token: of the run; absent: all goes, keys too, and no guard is armed
    now: the controller's Unix time; None: nobody checks the node's clock
    tools_pending: programs that are missing are installed later in this run, so check mode goes on
    required: keys without which the host fails; origin: where the firewall's wish came from
    undoing: the guard goes back to what was before
    max_disruption: what the run may disturb: the rest of a share is not kept as applied
    witnesses: mesh → addresses of members that are no neighbours, tried before a change is armed
    program: makes the text of the program that the guard runs: whoever has it composes both
    """

    shares: Mapping[str, Share]
    firewall: str = "auto"
    confirm_seconds: int = 0
    token: str = ""
    absent: bool = False
    check: bool = False
    root: Path = Path("/")
    state_dir: str = STATE_DIR
    run_dir: str = RUN_DIR
    now: Optional[float] = None
    runner: Runner = execute_allowed
    owner: str = NAME
    tools_pending: bool = False
    required: tuple[str, ...] = ()
    origin: str = ""
    undoing: bool = False
    max_disruption: str = "reboot"
    program: Program = no_program
    witnesses: Mapping[str, Sequence[str]] = field(default_factory=dict)


class MeshLayer(Composite):
    """A `contract.Layer`. `tunnels.last`: what was read last."""

    def __init__(self, options: MeshOptions) -> None:
        self.options = options
        self.shares: Mapping[str, Share] = {} if options.absent else dict(sorted(options.shares.items()))
        self.guard = Guard(
            options.root,
            options.state_dir,
            options.run_dir,
            options.runner,
            program=options.program,
            witnesses=options.witnesses,
        )
        self.tunnels = TunnelsPart(
            self.shares,
            options.root,
            options.state_dir,
            options.runner,
            self.guard,
            options.absent,
            options.check,
            options.tools_pending,
            options.now,
            options.required,
            options.undoing,
            options.max_disruption,
        )
        self.program = ProgramPart(
            self.shares, options.root, options.state_dir, options.runner, options.program
        )
        parts: list[Part] = [*self._walls(), self.tunnels, self.program, GuardPart(self.guard)]
        super().__init__(NAME, parts, lambda: "")

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Raises BindError, also while another run's change is armed."""
        plan = super().plan(state, record, others)
        _walls_last(plan)
        arming = self._arming(plan)
        armed = arming is not None or self.guard.armed() is not None
        self.program.add_to(plan, record, armed)
        if arming is not None:
            plan.changes.insert(0, arming)
            plan.notes += [
                f"mesh {mesh}: {share_path(mesh)} was lost, so nobody knows how its tunnels were: an undo of "
                "this run leaves them as this run makes them"
                for mesh in self._lost()
            ]
            keep_secrets(plan, record)
        known = bool(record.claims) or record.damaged
        if not known and plan.claims and self.tunnels.last and self.tunnels.last.stored:
            _say_lost(plan, record)
        return plan

    def describe(self) -> dict[str, Any]:
        """Mesh → how it is now, as `mesh_info` says it. Raises NodeError."""
        kernel, keys = self.tunnels.kernel, self.tunnels.reader.keys
        armed = self.guard.armed()
        told = {"token": armed.token, "deadline": armed.deadline} if armed else None
        found = {}
        for mesh, share in stored_shares(self.options.root).items():
            names = {tunnel.interface for tunnel in share.tunnels}
            count = sum(route.ours and route.device in names for route in kernel.routes())
            found[mesh] = info.describe(
                share, kernel.devices(), kernel.links(), time.time(), keys.created_all(mesh), told, count
            )
        return found

    # -- inside

    def _walls(self) -> list[Part]:
        """Before the tunnels: their ports are open and their packets checked when they come up."""
        options = self.options
        places = (options.root, options.state_dir, options.runner, options.required)
        firewall = FirewallPart(options.firewall, self.shares, *places, origin=options.origin)
        return [firewall, FilterPart(self.shares, *places, undoing=options.undoing)]

    def _arming(self, plan: Plan) -> Optional[Change]:
        """The guard's change where one is needed. Raises BindError while another run's change is armed."""
        options = self.options
        live = [change for change in plan.changes if is_live(change)]
        armed = self.guard.armed()
        ours = armed is not None and armed.token == options.token
        if armed is not None and not ours:
            # Also where nothing is to be changed: what is as asked for now will be undone.
            raise BindError([armed.refusal(options.token)])
        if not live or (ours and not options.confirm_seconds):
            return None
        arming = self.guard.change(options.token, options.confirm_seconds, self._snapshot(), self._settings())
        if options.absent or not options.confirm_seconds:
            return None  # It was only asked whether it may be.
        arming.serves = tuple(change.name for change in live)
        return arming

    def _snapshot(self) -> dict[str, Optional[dict[str, Any]]]:
        """Every mesh of the node as it is; None for one that is new.

        One whose share.json was lost counts as what is asked for: its undo must not take all tunnels away.
        """
        stored = self.tunnels.last.stored if self.tunnels.last else {}
        known = {**{mesh: self.shares[mesh] for mesh in self._lost()}, **stored}
        meshes = sorted({*self.shares, *stored})
        return {mesh: known[mesh].as_data() if mesh in known else None for mesh in meshes}

    def _lost(self) -> list[str]:
        """Meshes that have tunnels here, and nothing says what they were asked for last."""
        state = self.tunnels.last
        ours = {path for path, text in state.files.items() if is_ours(text)} if state else set()
        return [
            mesh
            for mesh, share in self.shares.items()
            if state
            and mesh not in state.stored
            and any(conf_path(tunnel.interface) in ours for tunnel in share.tunnels)
        ]

    def _settings(self) -> dict[str, Any]:
        return {"owner": self.options.owner, "firewall": self.options.firewall}


def _say_lost(plan: Plan, record: Record) -> None:
    """There are shares of ours, and nothing says what this owner holds."""
    why = f"the owner record of {record.owner!r} was lost: what is ours was found again by its marks"
    plan.notes.append(why)
    if not plan.changes:
        plan.changes.append(Change("record", None, "written again", undo="none", why=why))


def _walls_last(plan: Plan) -> None:
    """What protects a tunnel goes after it."""
    walls = [c for c in plan.changes if c.key in ("mesh.filter", "mesh.firewall") and not c.after]
    rest = [c for c in plan.changes if c not in walls]
    secrets = [c for c in rest if "secret" in c.data]
    plan.changes[:] = [c for c in rest if c not in secrets] + walls + secrets
