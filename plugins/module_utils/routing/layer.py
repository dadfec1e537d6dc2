# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing layer as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from ..core import files
from ..core.commands import Runner, execute
from ..core.contract import Port
from ..core.errors import BindError, LayerUnavailable, Problem
from ..core.interpreter import interpreter
from ..core.model import Plan
from ..core.store import RUN_DIR, STATE_DIR, Record
from ..mesh.stored import stored_shares, unreadable_shares
from .distribution import OLDEST, numbers_of
from .filter import digest_of
from .paths import (
    HOME,
    PROGRAM,
    SYSTEMD,
    TEMPLATES,
    conf_path,
    deaf_table,
    filter_path,
    running_conf,
    table,
)
from .plan import plan_routing
from .port import RoutingPort
from .render import port_of
from .settings import DAEMONS, TIMERS, Wish, wishes_from
from .state import RoutingState
from .units import daemon_service, recorder_service

NAME, PACKAGE = "routing", "babeld"


@dataclass(frozen=True)
class RoutingOptions:
    """What is asked for.

    daemon: none or babeld; meshes: those that are to have it, empty for all of the node
    ports: mesh → UDP port; timers: a name of settings.TIMERS
    tools_pending: babeld and nft are installed later in this run, so check mode goes on without
    program: makes the text of what the units run
    """

    daemon: str = "none"
    meshes: Sequence[str] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    timers: str = "small"
    absent: bool = False
    check: bool = False
    tools_pending: bool = False
    required: Sequence[str] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    root: Path = Path("/")
    state_dir: str = STATE_DIR
    run_dir: str = RUN_DIR
    runner: Runner = execute
    program: Callable[[], str] = lambda: ""


class RoutingLayer:
    """A `contract.Layer`."""

    name = NAME

    def __init__(self, options: RoutingOptions) -> None:
        self.options = options
        self.parts = RoutingPort(options.root, options.state_dir, options.runner)
        self.port: Port = self.parts

    @property
    def wished(self) -> bool:
        return self.options.daemon == "babeld" and not self.options.absent

    def manager(self) -> str:
        """The operator's own babeld. Raises NodeError."""
        return self.parts.rival.manager() if self.wished else ""

    def read(self) -> RoutingState:
        """Raises NodeError, OSError; LayerUnavailable where babeld is missing or too old."""
        options = self.options
        shares = stored_shares(options.root)
        version = self.parts.rival.version()
        self._check_version(version, bool(shares))
        names = self._tables()
        meshes = self._meshes(names)
        known = sorted({*meshes, *shares})
        texts = [*self._texts(), *(f(mesh) for mesh in known for f in (conf_path, filter_path, running_conf))]
        ours = [mesh for mesh in meshes if table(mesh) in names]
        return RoutingState(
            shares=shares,
            unreadable=tuple(unreadable_shares(options.root)),
            files={path: files.read_text(self._at(path)) for path in texts},
            units={(kind, mesh): self.parts.units.value(kind, mesh) for mesh in known for kind in TEMPLATES},
            masked=tuple(
                f"swarm-node-routing@{mesh}.service"
                for mesh in known
                if any(self.parts.units.masked(kind, mesh) for kind in TEMPLATES)
            ),
            tables={mesh: digest_of(self.parts.tables.rules(table(mesh))) for mesh in ours},
            texts={mesh: self.parts.tables.text(table(mesh)) for mesh in ours},
            deaf={
                mesh: self.parts.tables.text(deaf_table(mesh)) for mesh in meshes if deaf_table(mesh) in names
            },
            meshes=tuple(meshes),
            distribution=self.parts.rival.state() if self.parts.units.systemd else None,
            version=version,
            systemd=self.parts.units.systemd,
            ipv6=_ipv6(options.root),
            taken=_udp_ports(options.root) - self._own_ports(known),
        )

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        """Pure. Raises BindError."""
        options = self.options
        problems = []
        if options.daemon not in DAEMONS:
            allowed = f"one of {', '.join(DAEMONS)}"
            problems = [Problem("routing_daemon", options.daemon, allowed, options.origins.get("daemon", ""))]
        wishes: dict[str, Wish] = {}
        if not problems:
            wishes, problems = wishes_from(
                state.shares if self.wished else {},
                options.meshes,
                options.ports,
                options.timers,
                options.origins,
            )
        if problems:
            raise BindError(problems)
        unknown = [mesh for mesh in state.unreadable if not options.meshes or mesh in options.meshes]
        if not self.wished:
            unknown = []
        required, brought = tuple(options.required), f"package {PACKAGE}" in others
        plan = plan_routing(wishes, self._texts(), state, record, required, unknown, brought)
        if self.wished and not wishes and not unknown:
            plan.notes.append("no mesh of this node is to have a routing daemon: it has no share of one")
        if self.wished and state.version is None:
            plan.notes.append("not installed yet: babeld")
        return plan

    # -- inside

    def _texts(self) -> dict[str, str]:
        """Path → text of what all meshes share."""
        python = interpreter()
        timers = self.options.timers if self.options.timers in TIMERS else "small"
        return {
            PROGRAM: self.options.program(),
            TEMPLATES["daemon"]: daemon_service(python, timers),
            TEMPLATES["recorder"]: recorder_service(python),
        }

    def _check_version(self, version: Any, needed: bool) -> None:
        options = self.options
        if not self.wished or not needed:
            return
        if version is None and not (options.check and options.tools_pending):
            raise LayerUnavailable("babeld is missing on this node: install the package babeld")
        if version and numbers_of(version) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise LayerUnavailable(f"babeld {version} is too old: {oldest} or newer is needed")

    def _tables(self) -> list[str]:
        """Names of all nftables tables; without nft, and nothing asked for or nft to come, there are none."""
        if not self.wished and not self._at(HOME).exists():
            return []
        options = self.options
        if options.check and options.tools_pending and not self.parts.tables.there():
            return []
        return self.parts.tables.names()

    def _meshes(self, names: list[str]) -> list[str]:
        """Of which there is anything of ours, also where the record was lost."""
        found = set(self.parts.tables.meshes(names))
        home = self._at(HOME)
        found |= {path.stem for path in home.glob("*") if path.suffix in (".conf", ".nft")}
        for wants in self._at(SYSTEMD).glob("*.wants"):
            for kind in TEMPLATES:
                head = TEMPLATES[kind].rpartition("/")[2].partition("@")[0] + "@"
                found |= {
                    path.name[len(head) : -len(".service")]
                    for path in wants.glob(f"{head}*.service")
                    if path.name.startswith(head)
                }
        return sorted(found)

    def _own_ports(self, meshes: Sequence[str]) -> set[int]:
        """Of daemons of ours that are alive, also of one that does not answer: a run is to start it again."""
        alive = [mesh for mesh in meshes if self.parts.units.active("daemon", mesh)]
        texts = [[files.read_text(self._at(f(mesh))) for f in (running_conf, conf_path)] for mesh in alive]
        return {port_of(running or kept) for running, kept in texts}

    def _at(self, path: str) -> Path:
        return self.options.root / path.lstrip("/")


def _ipv6(root: Path) -> bool:
    text = files.read_text(root / "proc/sys/net/ipv6/conf/all/disable_ipv6")
    return text is not None and text.strip() == "0"


def _udp_ports(root: Path) -> frozenset[int]:
    """Ports on which a program waits for packets of UDP."""
    found = set()
    for name in ("udp", "udp6"):
        for line in (files.read_text(root / "proc/net" / name) or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 3 and words[3] == "07":
                found.add(int(words[1].rpartition(":")[2], 16))
    return frozenset(found)
