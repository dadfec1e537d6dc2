# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tunnels, routes and files of all meshes, and the guard of a change, as parts of the mesh layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner
from ..core.contract import Port
from ..core.errors import LayerUnavailable
from ..core.managed_files import FILE
from ..core.model import Plan
from ..core.store import Record
from .armed import Armed
from .forwarding import DROPIN
from .guard import KEY as GUARD_KEY
from .guard import Guard
from .kernel import Kernel
from .paths import HOME, WIREGUARD
from .plan import Wish, plan_mesh
from .port import MeshPort
from .read import PACKAGE, Reader
from .share import INTERFACE, Share
from .state import MeshState
from .tunnel import UNIT

KEYS = (
    "mesh.tunnel",
    "mesh.peer",
    "mesh.key",
    "mesh.listen_port",
    "mesh.mtu",
    "mesh.address",
    "mesh.routes",
    "mesh.psk",
    "mesh.forwarding",
)


class TunnelsPart:
    """A `composite.Part`.

    shares: mesh → share; absent: all goes, keys too
    pending: programs that are missing are installed later in this run
    now: the controller's Unix time
    """

    def __init__(
        self,
        shares: Mapping[str, Share],
        root: Path,
        state_dir: str,
        runner: Runner,
        guard: Guard,
        absent: bool = False,
        check: bool = False,
        pending: bool = False,
        now: Optional[float] = None,
        required: tuple[str, ...] = (),
        undoing: bool = False,
        max_disruption: str = "reboot",
    ) -> None:
        self.undoing = undoing
        self.max_disruption = max_disruption
        self.shares = shares
        self.absent = absent
        self.check = check
        self.pending = pending
        self.now = now
        self.required = required
        self.guard = guard
        self.kernel = Kernel(runner)
        self.reader = Reader(root, runner, self.kernel)
        self.port: Port = MeshPort(root, state_dir, runner, self.kernel)
        self.last: Optional[MeshState] = None

    def owns(self, key: str) -> bool:
        name, _space, target = key.partition(" ")
        if name == FILE:
            inside = target.startswith(f"{HOME}/") and target.endswith((".routes", "/share.json"))
            return inside or target == DROPIN or _is_conf(target)
        if name == UNIT:
            return target.startswith("wg-quick@")
        return name in KEYS

    def read(self) -> MeshState:
        """Raises NodeError, OSError; LayerUnavailable where programs are missing that a share needs."""
        missing = self.reader.missing()
        if missing and self.shares and not (self.check and self.pending):
            raise LayerUnavailable(f"missing on this node: {', '.join(missing)}; install {PACKAGE}")
        armed = self.guard.armed()
        self.kernel.forget()
        self.last = self.reader.read(self.shares, armed.token if armed else "")
        return self.last

    def plan(self, state: MeshState, record: Record, others: dict[str, str]) -> Plan:
        """Raises BindError."""
        wish = Wish(
            self.shares,
            self.absent,
            keep_keys=bool(state.armed),
            now=self.now,
            required=self.required,
            pending=self.check and self.pending,
            undoing=self.undoing,
            max_disruption=self.max_disruption,
        )
        return plan_mesh(wish, state, record)


class GuardPart:
    """Plans nothing: the layer arms last, when it knows all that is to be changed."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.port: Port = guard

    def owns(self, key: str) -> bool:
        return key.partition(" ")[0] == GUARD_KEY

    def read(self) -> Optional[Armed]:
        """Raises NodeError where what is armed cannot be read."""
        return self.guard.armed()

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        return Plan(notes=self.guard.notes(), attention=self.guard.attention())


def _is_conf(path: str) -> bool:
    name = path[len(WIREGUARD) + 1 :]
    return path == f"{WIREGUARD}/{name}" and name.endswith(".conf") and bool(INTERFACE.fullmatch(name[:-5]))
