# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu layer as the engine sees it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.contract import Port
from ..core.errors import BindError, LayerUnavailable, NodeError, Problem
from ..core.model import Plan
from ..core.store import Record
from .lost import attention, leave_out, with_addresses
from .managers import find_manager, persistence_daemon_holds
from .memory import LOCK_MEMORY, LockMemory, locked
from .nvml import BindingMissing, Nvml
from .plan import plan_gpus, plan_pending
from .port import GpuPort
from .presence import driver_load, gpus_on_pci
from .reading import read_gpus
from .settings import SETTINGS, Expect, Wish, parse_wishes
from .state import NodeState

NEEDS_ROOT = "changing settings of GPUs needs root on the node: run the task with become: true"


@dataclass(frozen=True)
class GpuOptions:
    """What the layer is to do.

    check: nothing will be written; pending: pynvml will be installed later in this run
    root: where /proc, /sys and /run are looked for
    """

    wishes: Mapping[str, Wish] = field(default_factory=dict)
    expect: Expect | None = None
    absent: bool = False
    check: bool = False
    pending: bool = False
    managed: bool = False
    root: Path = Path("/")
    run_dir: str = "/run/swarm_node"
    pynvml_path: str = ""
    library: str = ""

    @property
    def writes(self) -> bool:
        return not self.check and not self.managed


class GpuLayer:
    """Power limits, clock locks and persistence of one owner."""

    name = "gpu"

    def __init__(self, options: GpuOptions) -> None:
        self.options = options
        self.nvml = Nvml(options.pynvml_path, options.library)
        self.memory = LockMemory(options.run_dir, driver_load(options.root))
        self.port: Port = GpuPort(self.nvml, self.memory)

    def manager(self) -> str:
        return find_manager(self.options.root)

    def owns(self, key: str) -> bool:
        """Whether a claim or a change is about a setting, and not about what else this owner holds."""
        return key.partition(" ")[0] in (*SETTINGS, LOCK_MEMORY)

    def read(self) -> NodeState:
        """Raises NvmlError."""
        root = self.options.root
        pci = gpus_on_pci(root)
        locks = self.memory.read()
        try:
            gpus, lost, version = read_gpus(
                self.nvml,
                locks,
                persistence_daemon_holds(root),
                self.memory.refusals(),
                root,
            )
        except LayerUnavailable as error:
            return NodeState(
                pci=pci, unavailable=str(error), binding_missing=isinstance(error, BindingMissing)
            )
        # Where nothing may be changed, what is remembered is not to be changed either.
        remembered = () if self.options.managed else locked(locks)
        state = NodeState(gpus, pci, version, lost=lost, locked=remembered)
        return replace(state, lost=with_addresses(lost, state))

    def plan(self, state: NodeState, record: Record, others: dict[str, str]) -> Plan:
        """Raises BindError, LayerUnavailable, NodeError without root."""
        options = self.options
        if state.unavailable:
            return self._without_nvml(state, record)
        plan = plan_gpus(options.wishes, options.expect, state, record, others, options.absent)
        leave_out(plan, options.wishes, state, options.absent)
        plan.attention += attention(state)
        if plan.changes and options.writes and os.geteuid() != 0:
            raise NodeError(NEEDS_ROOT)
        return plan

    def close(self) -> None:
        self.nvml.close()

    def _without_nvml(self, state: NodeState, record: Record) -> Plan:
        """A node without GPUs has nothing to do; one with GPUs must not pass as tuned."""
        options = self.options
        if options.check and options.pending and state.binding_missing:
            return plan_pending(
                options.wishes,
                record,
                "pynvml is not installed yet; this run would install it before the GPUs",
            )
        if options.absent and not state.pci:
            return plan_gpus({}, None, state, record, {}, True)
        wanted = bool(options.wishes or options.expect or record.claims)
        expected_some = options.expect is not None and options.expect.count != 0
        if wanted and (state.pci or expected_some):
            seen = (
                f"{len(state.pci)} on the PCI bus: {', '.join(state.pci)}"
                if state.pci
                else "none on the PCI bus"
            )
            expected = f", expected are {options.expect}" if options.expect else ""
            raise LayerUnavailable(f"NVIDIA GPUs {seen}{expected}; nothing was changed: {state.unavailable}")
        plan = Plan(claims=dict(record.claims))
        if options.wishes:
            plan.notes.append("this node has no NVIDIA GPU: nothing to do")
        return plan


def options_from(params: Mapping[str, Any], check: bool) -> GpuOptions:
    """Options from the module's parameters. Raises BindError; NodeError where writing is impossible."""
    absent, root = params["state"] == "absent", Path(params["sys_root"])
    options = GpuOptions(
        wishes={} if absent else parse_wishes(params, params["origins"], params["required"]),
        expect=None if absent else expect_from(params["expect"], params["origins"]),
        absent=absent,
        check=check,
        pending=params["pynvml_pending"],
        managed=params["manage"] == "report" or (params["manage"] == "auto" and bool(find_manager(root))),
        root=root,
        run_dir=params["run_dir"],
        pynvml_path=params["pynvml_path"] or "",
        library=params["nvml_library"] or "",
    )
    if options.writes and not all(can_write(Path(params[name])) for name in ("state_dir", "run_dir")):
        raise NodeError(NEEDS_ROOT)
    return options


def expect_from(raw: Mapping[str, Any] | None, origins: Mapping[str, str]) -> Expect | None:
    """Raises BindError for a count below 0."""
    if not raw or (raw["gpu"], raw["count"], raw["uniform"]) == (None, None, False):
        return None  # An empty map in the inventory takes a group's expectation back.
    origin = origins.get("expect", "")
    if raw["count"] is not None and raw["count"] < 0:
        raise BindError([Problem("node_expect", raw["count"], "a count of 0 or more", origin)])
    return Expect(raw["gpu"] or "", raw["count"], bool(raw["uniform"]), origin)


def can_write(directory: Path) -> bool:
    """Whether files can be made in a directory that may not exist yet."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return os.access(directory, os.W_OK)
