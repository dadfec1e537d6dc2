# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ports of the meshes in a firewall that is somebody else's: opened, held, and closed again."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner, execute_allowed
from ..core.contract import Port
from ..core.errors import BindError, NodeError, Problem
from ..core.managed_files import FILE, digest, file_change
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import STATE_DIR, Record
from .filter_units import UNIT, UnitState, plan_units, unit_path
from .firewall_detect import Choice, choose
from .firewall_lost import wish_text, with_lost
from .firewall_managers import manager_of
from .firewall_port import FIREWALL, FirewallPort
from .firewall_ranges import Opening, Step, opening_of
from .firewall_wish import VARIABLE, mistakes_in_firewall, parse_wish
from .paths import HOME, PROGRAM
from .share import Share, parse_share

WISH = f"{HOME}/firewall.json"
"""What was asked for last, which the unit reads; and what is ours of it, for where the record is lost."""

SERVICE = "swarm-node-mesh-firewall.service"
WHY = "so that the other members' tunnels get through"


@dataclass(frozen=True)
class FirewallState:
    """choice: who is asked to open the ports; surveys: manager → what it has now"""

    choice: Choice = field(default_factory=Choice)
    surveys: dict[str, Any] = field(default_factory=dict)
    wish: Optional[str] = None
    unit: UnitState = field(default_factory=UnitState)
    systemd: bool = True


class FirewallPart:
    """A `composite.Part`. wish: the value of mesh_firewall; shares: mesh → share.

    required: keys without which the host fails (`mesh.firewall`); python: interpreter of the unit
    """

    def __init__(
        self,
        wish: str,
        shares: Mapping[str, Share],
        root: Path = Path("/"),
        state_dir: str = STATE_DIR,
        runner: Runner = execute_allowed,
        required: Collection[str] = (),
        origin: str = "",
        python: str = "",
    ) -> None:
        self.wish = wish or "auto"
        self.shares = shares
        self.root = root
        self.runner = runner
        self.required = required
        self.origin = origin
        self.python = python or sys.executable or "/usr/bin/python3"
        self._port = FirewallPort(root, state_dir, runner, SERVICE)
        self.port: Port = self._port

    def owns(self, key: str) -> bool:
        name, _space, target = key.partition(" ")
        if name == FILE:
            return target in (WISH, unit_path(SERVICE))
        return name == FIREWALL or (name == UNIT and target == SERVICE)

    def read(self) -> FirewallState:
        """Raises BindError for a wish that is none, NodeError, OSError."""
        openings = self._openings()
        wish = parse_wish(self.wish, self.origin)
        choice = choose(wish, openings, self.root, self.runner) if openings else Choice()
        surveys = {}
        if choice.manager:
            surveys[choice.manager] = manager_of(choice.manager, self.runner).survey()
        text = self._port.files.read(unit_path(SERVICE))
        return FirewallState(
            choice,
            surveys,
            self._port.files.read(WISH),
            self._port.units.read(SERVICE, text),
            self._port.units.systemd,
        )

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Asks a manager that only the record names what it has; writes nothing. Raises BindError."""
        if state.choice.refusal:
            raise BindError(
                [
                    Problem(VARIABLE, self.wish, allowed, self.origin, found)
                    for found, allowed in state.choice.refusal
                ]
            )
        record = with_lost(record, state.wish, (SERVICE, state.unit), WISH, self.runner)
        name = state.choice.manager
        self._refuse_to_forget(name, record)
        plan = Plan(notes=list(state.choice.notes))
        for opening in self._openings() if name else ():
            self._open(plan, name, opening, state, record)
        plan.extend(self._releases(state, record))
        plan.extend(self._wish_file(state, plan.claims))
        units = [SERVICE] if name.startswith("nft ") and self.shares else []
        text = unit_text(self.python)
        unit_plan = plan_units(units, text, {SERVICE: state.unit}, record, state.systemd, WHY)
        for change in unit_plan.changes:
            change.data.update({"units": [SERVICE]} if change.key == FILE else {})
        plan.extend(unit_plan)
        return plan

    # -- inside

    def _openings(self) -> list[Opening]:
        """Raises BindError."""
        found, problems = [], []
        for mesh, share in sorted(self.shares.items()):
            try:
                found.append(opening_of(share))
            except ValueError as error:
                problems.append(Problem("endpoints", str(error), "addresses", target=mesh))
        if problems:
            raise BindError(problems)
        return found

    def _refuse_to_forget(self, chosen: str, record: Record) -> None:
        """Elements of ours in a set have no mark: whether tunnels would get in without them is not known."""
        held = [name for name in record.claims if name.startswith(f"{FIREWALL} ") and " nft set " in name]
        if self.wish == "auto" and not chosen and self.shares and held:
            place = held[0].partition(" nft set ")[2]
            allowed = f"'nft set {place}', which has the ports by now, or none, which takes them out"
            raise BindError([Problem(VARIABLE, self.wish, allowed, self.origin)])

    def _open(self, plan: Plan, name: str, opening: Opening, state: FirewallState, record: Record) -> None:
        manager, survey = manager_of(name, self.runner), state.surveys[name]
        target = f"{opening.mesh} {name}"
        claim = record.claims.get(f"{FIREWALL} {target}")
        refusal = manager.refusal(survey, opening)
        if refusal:
            raise BindError([Problem(VARIABLE, self.wish, refusal, self.origin, opening.mesh)])
        step = manager.step(survey, opening.mesh, opening, _applied(claim))
        first_seen = claim.first_seen if claim else (step.foreign or None)
        plan.claims[f"{FIREWALL} {target}"] = Claim(first_seen, step.after)
        plan.before[f"{FIREWALL} {target}"], plan.after[f"{FIREWALL} {target}"] = step.before, step.after
        _add(plan, name, opening.mesh, step, f"{FIREWALL} {target}", WHY)
        plan.notes += [f"mesh.firewall: {note}" for note in manager.notes(survey, opening)]

    def _releases(self, state: FirewallState, record: Record) -> Plan:
        """What the record has in a manager that is asked no more, or of a mesh that is gone."""
        plan = Plan()
        for name, claim in sorted(record.claims.items()):
            key, _space, target = name.partition(" ")
            mesh, _space, manager = target.partition(" ")
            if key != FIREWALL or (mesh in self.shares and manager == state.choice.manager):
                continue
            self._release(plan, mesh, manager, claim, state)
        return plan

    def _release(self, plan: Plan, mesh: str, name: str, claim: Claim, state: FirewallState) -> None:
        manager = manager_of(name, self.runner)
        survey = state.surveys.get(name) or manager.survey()
        if manager.absent(survey):
            plan.notes.append(f"mesh.firewall: {manager.absent(survey)}: nothing of {mesh} to take away")
            return
        if self.wish == "auto" and mesh in self.shares and manager.asleep(survey):
            # Whoever switches it on again must not cut the tunnels off.
            plan.claims[f"{FIREWALL} {mesh} {name}"] = claim
            plan.notes.append(f"mesh.firewall: {manager.asleep(survey)}")
            return
        if manager.unusable(survey):
            plan.claims[f"{FIREWALL} {mesh} {name}"] = claim
            plan.unapplied.append(
                Unapplied(
                    FIREWALL, [], "unsupported", manager.unusable(survey), claim.applied, f"{mesh} {name}"
                )
            )
            return
        step = manager.step(survey, mesh, None, _applied(claim))
        _add(plan, name, mesh, step, "", "no longer asked for")

    def _wish_file(self, state: FirewallState, claims: Mapping[str, Claim]) -> Plan:
        plan, name = Plan(), f"{FILE} {WISH}"
        text = wish_text(self.wish, claims) if self.shares else None
        change = file_change(WISH, state.wish, text, why=WHY if text else "no mesh is left")
        if change:
            change.claim = name if text else ""
            plan.changes.append(change)
        if text is not None:
            plan.claims[name] = Claim(None, digest(text))
        return plan


def unit_text(python: str) -> str:
    return f"""\
# Kept by swarm.node: change the inventory, not this file.
[Unit]
Description=Open the ports of the meshes in somebody else's nftables ruleset
After=nftables.service
# A restart of nftables.service takes our rules away, and so does a reload.
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
ConditionPathExists={PROGRAM}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={python} -I {PROGRAM} firewall
ExecReload={python} -I {PROGRAM} firewall

[Install]
WantedBy=multi-user.target nftables.service
"""


def reinsert(root: Path, runner: Runner = execute_allowed) -> list[str]:
    """What the unit does: puts the stored shares' rules into the stored chain or set again.

    Returns what it put in. Raises BindError, NodeError where the chain or set is not there, OSError.
    """
    home = root / HOME.lstrip("/")
    try:
        stored = json.loads((root / WISH.lstrip("/")).read_text(encoding="utf-8"))["firewall"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise NodeError(f"{WISH}: {type(error).__name__}: {error}") from error
    wish = parse_wish(stored, WISH)
    if not wish.family:
        return []
    done = []
    for path in sorted(home.glob("*/share.json")):
        try:
            share = parse_share(json.loads(path.read_text(encoding="utf-8")), str(path))
        except ValueError as error:
            raise NodeError(f"{path}: {error}") from error
        done += _put_in(wish.manager, opening_of(share), runner)
    return done


def _put_in(name: str, opening: Opening, runner: Runner) -> list[str]:
    manager = manager_of(name, runner)
    survey = manager.survey()
    refusal = manager.refusal(survey, opening)
    if refusal:
        raise NodeError(f"{name}: {refusal}")
    # What is live is taken for ours: nothing is removed here.
    step = manager.step(survey, opening.mesh, opening, [])
    if step.add or (step.remove and name.startswith("nft chain")):
        manager.change(opening.mesh, step.add, step.remove)
    return [f"{name}: {item}" for item in step.add]


def _applied(claim: Optional[Claim]) -> list[str]:
    return list(claim.applied or []) if claim else []


def _add(plan: Plan, name: str, mesh: str, step: Step, claim: str, why: str) -> None:
    if not step.add and not step.remove:
        return
    plan.changes.append(
        Change(
            FIREWALL,
            step.before,
            step.after,
            target=f"{mesh} {name}",
            claim=claim,
            why=why,
            data={
                "manager": name,
                "mesh": mesh,
                "add": step.add,
                "remove": step.remove,
                "watch": step.watch,
            },
        )
    )


__all__ = ["FIREWALL", "SERVICE", "WISH", "FirewallPart", "mistakes_in_firewall", "reinsert", "unit_text"]
