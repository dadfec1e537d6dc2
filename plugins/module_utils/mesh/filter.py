# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh's own packet filter: the nftables table, its file, and the unit that loads it at boot."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner, execute_allowed
from ..core.contract import Port
from ..core.errors import BindError, NodeError
from ..core.managed_files import FILE, digest, file_change
from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import STATE_DIR, Record
from .filter_checks import in_use, overlaps
from .filter_port import FILTER, FilterPort, Live
from .filter_rules import as_lines, digest_of, removal_text, rules_of, table_text
from .filter_units import UNIT, UnitState, plan_units, unit_path
from .paths import HOME, filter_path
from .paths import UNIT as UNIT_NAME
from .share import Share

TEMPLATE = unit_path(UNIT_NAME.format(mesh=""))
WHY = "so that only members' addresses come out of the tunnels, and none of them from elsewhere"


@dataclass(frozen=True)
class FilterState:
    """How the node is.

    files: mesh → text of its filter.nft; units: unit → state
    networks: (interface, network) of every address of the node
    """

    live: Live = field(default_factory=Live)
    files: Mapping[str, Optional[str]] = field(default_factory=dict)
    units: dict[str, UnitState] = field(default_factory=dict)
    networks: tuple[tuple[str, str], ...] = ()
    systemd: bool = True


class FilterPart:
    """A `composite.Part`. shares: mesh → share; a mesh that is not among them loses its table.

    required: keys without which the host fails (`mesh.filter`)
    """

    def __init__(
        self,
        shares: Mapping[str, Share],
        root: Path = Path("/"),
        state_dir: str = STATE_DIR,
        runner: Runner = execute_allowed,
        required: Collection[str] = (),
        undoing: bool = False,
    ) -> None:
        self.shares = shares
        self.undoing = undoing
        self.root = root
        self.required = required
        self.runner = runner
        self._port = FilterPort(root, state_dir, runner)
        self.port: Port = self._port

    def owns(self, key: str) -> bool:
        name, _space, target = key.partition(" ")
        if name == FILE:
            inside = target.startswith(f"{HOME}/") and target.endswith("/filter.nft")
            return inside or target == TEMPLATE
        return name == FILTER or (name == UNIT and target.startswith("swarm-node-mesh@"))

    def read(self) -> FilterState:
        """Raises NodeError, OSError."""
        live = self._port.tables.read()
        meshes = sorted({*self.shares, *self._stored(), *live.tables})
        text = self._port.files.read(TEMPLATE)
        units = [UNIT_NAME.format(mesh=mesh) for mesh in meshes]
        return FilterState(
            live=live,
            files={mesh: self._port.files.read(filter_path(mesh)) for mesh in meshes},
            units={unit: self._port.units.read(unit, text) for unit in units},
            networks=self._networks() if self.shares else (),
            systemd=self._port.units.systemd,
        )

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Pure. Raises BindError where a filter would cut the node off."""
        # What came to the node meanwhile must not keep an undo from going back.
        taken = [] if self.undoing else in_use(self.shares, state.networks)
        problems = [*overlaps(self.shares), *taken]
        if problems:
            raise BindError(problems)
        plan, tables = self._units(state, record), Plan()
        for mesh in sorted(self.shares):
            self._keep(tables, mesh, state, record)
        if self.shares:
            # What the unit loads has to be there when it is started.
            tables.extend(plan)
            plan, tables = tables, Plan()
        for mesh in sorted({*_held(record), *_strays(state)}):
            if mesh not in self.shares:
                _give_up(tables, mesh, state)
        plan.extend(tables)
        return plan

    # -- inside

    def _stored(self) -> list[str]:
        """Meshes that have a directory on this node."""
        try:
            return [path.name for path in (self.root / HOME.lstrip("/")).iterdir() if path.is_dir()]
        except OSError:
            return []

    def _networks(self) -> tuple[tuple[str, str], ...]:
        listed = self.runner(["ip", "-j", "addr", "show"])
        if not listed.good:
            return ()
        try:
            return tuple(
                (device["ifname"], f"{address['local']}/{address['prefixlen']}")
                for device in json.loads(listed.out or "[]")
                for address in device.get("addr_info", ())
                if "local" in address
            )
        except (ValueError, KeyError, TypeError) as error:
            raise NodeError(f"ip -j addr show: {type(error).__name__}: {error}") from error

    def _units(self, state: FilterState, record: Record) -> Plan:
        units = [UNIT_NAME.format(mesh=mesh) for mesh in sorted(self.shares)]
        states = {
            UNIT_NAME.format(mesh=mesh): UnitState() for mesh in _held(record)
        }  # of a mesh whose directory is gone
        text = unit_text(with_filter=not state.live.missing)
        plan = plan_units(
            units, text, {**states, **state.units}, _with_units(record, state), state.systemd, WHY
        )
        for change in plan.changes:
            change.data.update({"units": units or list(state.units)} if change.key == FILE else {})
        return plan

    def _keep(self, plan: Plan, mesh: str, state: FilterState, record: Record) -> None:
        share, name = self.shares[mesh], f"{FILTER} {mesh}"
        wanted = rules_of(share)
        if state.live.missing:
            plan.unapplied.append(
                Unapplied(
                    FILTER,
                    digest_of(wanted),
                    "unsupported",
                    f"{state.live.missing}: members can send packets with anybody's address",
                    target=mesh,
                    required=FILTER in self.required,
                )
            )
            return
        path, text = filter_path(mesh), table_text(share)
        known = record.claims.get(f"{FILE} {path}")
        edited = state.files.get(mesh) is not None and (
            known is None or digest(state.files[mesh]) != known.applied
        )
        change = file_change(path, state.files.get(mesh), text, edited, WHY)
        if change:
            change.claim = f"{FILE} {path}"
            plan.changes.append(change)
        plan.claims[f"{FILE} {path}"] = Claim(None, digest(text))
        plan.claims[name] = Claim(None, digest_of(wanted))
        _load(plan, mesh, state, wanted, text)


def unit_text(with_filter: bool) -> str:
    """The template of the unit. with_filter: False where nft does not work and only routes are loaded.

    network-online.target waits for it, and every wg-quick@ unit waits for that.
    """
    load = f"nft -f {HOME}/%i/filter.nft"
    routes = f"ip -force -batch {HOME}/%i/mesh.routes"
    lines = [f"Exec{verb}=-{routes}" for verb in ("Start", "Reload")]
    if with_filter:
        lines += [f"Exec{verb}={load}" for verb in ("Start", "Reload")]
    return f"""\
# Kept by swarm.node: change the inventory, not this file.
[Unit]
Description=Packet filter and last routes of the mesh %i
After=network.target nftables.service firewalld.service
Before=network-online.target
# A restart of nftables.service takes every table away, and so does a reload.
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
{chr(10).join(lines)}

[Install]
WantedBy=multi-user.target nftables.service
"""


def _load(plan: Plan, mesh: str, state: FilterState, wanted: Any, text: str) -> None:
    live = state.live.tables.get(mesh)
    before, after = None if live is None else digest_of(live), digest_of(wanted)
    name = f"{FILTER} {mesh}"
    plan.before[name], plan.after[name] = before, after
    if before != after:
        plan.changes.append(_change(mesh, state, after, text, as_lines(wanted), WHY))


def _give_up(plan: Plan, mesh: str, state: FilterState) -> None:
    if mesh in state.live.tables:
        plan.changes.append(_change(mesh, state, None, removal_text(mesh), [], "the mesh is gone"))
    change = file_change(filter_path(mesh), state.files.get(mesh), None, why="the mesh is gone")
    if change:
        plan.changes.append(change)


def _change(
    mesh: str, state: FilterState, after: Optional[str], load: str, lines: list[str], why: str
) -> Change:
    live = state.live.tables.get(mesh)
    return Change(
        FILTER,
        None if live is None else digest_of(live),
        after,
        target=mesh,
        why=why,
        claim=f"{FILTER} {mesh}" if after else "",
        data={
            "load": load,
            "before_nft": state.live.texts.get(mesh, ""),
            "before_text": "\n".join(as_lines(live or {})),
            "after_text": "\n".join(lines),
        },
    )


def _strays(state: FilterState) -> list[str]:
    """Meshes of which there is a table or file of ours, also where the record was lost."""
    return [*state.live.tables, *(mesh for mesh, text in state.files.items() if text is not None)]


def _with_units(record: Record, state: FilterState) -> Record:
    """The record with units of ours that are on although it does not know them: it was lost."""
    on = {
        f"{UNIT} {unit}": Claim(None, None) for unit, one in state.units.items() if one.enabled or one.active
    }
    return Record(record.owner, {**on, **record.claims}, record.damaged)


def _held(record: Record) -> list[str]:
    """Meshes of which the record has anything of ours."""
    found = set()
    for claim in record.claims:
        key, _space, target = claim.partition(" ")
        if key == FILTER:
            found.add(target)
        elif key == UNIT:
            found.add(target.partition("@")[2].partition(".")[0])
        elif target.startswith(f"{HOME}/"):
            found.add(target[len(HOME) + 1 :].partition("/")[0])
    return sorted(found)
