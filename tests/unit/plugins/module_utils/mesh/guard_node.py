# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node for the guard: files below a temporary root, a systemd that runs the guard as a thread, a layer.

The layer keeps one file per mesh, the share as the real one stores it; what it writes is the "live" state.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done, Runner, execute_allowed
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import Clock
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import (
    BindError,
    Interrupted,
    NodeError,
    Problem,
)
from ansible_collections.swarm.node.plugins.module_utils.core.managed_files import FilePort, file_change
from ansible_collections.swarm.node.plugins.module_utils.core.model import Change, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record, Store
from ansible_collections.swarm.node.plugins.module_utils.mesh import undoing, watch
from ansible_collections.swarm.node.plugins.module_utils.mesh.guard import KEY, Guard
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import GUARD, HOME, share_path
from ansible_collections.swarm.node.plugins.module_utils.mesh.program import program_text
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, parse_share
from ansible_collections.swarm.node.plugins.module_utils.mesh.units import link_path, unit_path


def share(mesh: str = "wan", number: int = 1) -> Share:
    return Share(mesh, "n1", number, (f"10.99.0.{number}/32",), ("10.99.0.0/16",), (51820, 51867))


@dataclass(frozen=True)
class Options:
    """The fields of the real layer.MeshOptions that the guard uses."""

    shares: dict[str, Share]
    confirm_seconds: int = 0
    token: str = ""
    absent: bool = False
    check: bool = False
    root: Path = Path("/")
    state_dir: str = ""
    run_dir: str = ""
    firewall: str = "none"
    now: Optional[float] = None
    runner: Runner = execute_allowed
    undoing: bool = False
    program: Any = None


def stored(root: Path) -> dict[str, Share]:
    found = {}
    for path in sorted((root / HOME.lstrip("/")).glob("*/share.json")):
        found[path.parent.name] = parse_share(json.loads(path.read_text()))
    return found


class Layer:
    """One whole file per mesh. `guard`: arms first. `fault`: raised by the write of each file."""

    name = "mesh"
    fault: Optional[Exception] = None
    refused: tuple[str, ...] = ()
    """Wishes for the firewall that are refused."""
    asked: list[Options] = []

    def __init__(self, options: Options, guard: Optional[Guard] = None) -> None:
        self.options = options
        self.guard = guard
        self.files = FilePort(options.root, options.state_dir)
        self.port = self
        Layer.asked.append(options)

    @property
    def writes(self) -> int:
        return self.files.writes + (self.guard.writes if self.guard else 0)

    def manager(self) -> str:
        return ""

    def read(self) -> dict[str, Share]:
        return stored(self.options.root)

    def plan(self, state: dict[str, Share], record: Record, others: dict[str, str]) -> Plan:
        if self.options.firewall in self.refused:
            raise BindError([Problem("mesh_firewall", self.options.firewall, "a chain of this node")])
        plan, snapshot = Plan(), {}
        for mesh in sorted({*state, *self.options.shares}):
            wanted = self.options.shares.get(mesh)
            text = json.dumps(wanted.as_data()) if wanted else None
            change = file_change(share_path(mesh), self.files.read(share_path(mesh)), text)
            if change:
                plan.changes.append(change)
                snapshot[mesh] = state[mesh].as_data() if mesh in state else None
        if plan.changes and self.guard:
            seconds, token = self.options.confirm_seconds, self.options.token
            plan.changes.insert(0, self.guard.change(token, seconds, snapshot, {"firewall": "before"}))
        return plan

    def apply(self, change: Change) -> None:
        if change.key == KEY:
            assert self.guard
            self.guard.apply(change)
            return
        if Layer.fault:
            raise Layer.fault
        self.files.apply(change)

    def undo(self, change: Change) -> None:
        (self.guard if change.key == KEY and self.guard else self.files).undo(change)

    def reopen(self) -> None:
        """Nothing stays open."""

    def readback(self, change: Change) -> Any:
        return (self.guard if change.key == KEY and self.guard else self.files).readback(change)


@dataclass
class Systemd:
    """systemctl for the guard's unit alone: starts it as a thread, if its conditions hold."""

    node: Node
    commands: list[list[str]] = field(default_factory=list)
    refuse: str = ""
    thread: Optional[threading.Thread] = None
    stopping: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)
    code: Optional[int] = None
    loop: bool = True
    """False: the guard takes what is armed and then only waits to be stopped."""

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60) -> Done:
        self.commands.append(list(argv))
        if argv[0] != "systemctl":
            return Done(127, "", "")
        verb = argv[1]
        if verb == "is-active":
            return Done(0 if self.active else 3, "", "")
        if verb == "show":
            return Done(0, "LoadState=loaded\nNeedDaemonReload=no\n", "")
        if verb == "start":
            return self._start()
        if verb == "stop":
            self.stop()
        return Done(0, "", "")

    @property
    def active(self) -> bool:
        return self.thread is not None and self.thread.is_alive()

    def boot(self) -> None:
        """What a boot does with the unit."""
        if (self.node.root / link_path(GUARD).lstrip("/")).is_symlink():
            assert self._start().good

    def stop(self) -> None:
        self.stopping.set()
        if self.thread and self.thread is not threading.current_thread():
            self.thread.join(10)
            assert not self.thread.is_alive()

    def _start(self) -> Done:
        if self.refuse:
            return Done(1, "", self.refuse)
        assert (self.node.root / unit_path(GUARD).lstrip("/")).is_file()
        conditions = (self.node.armed_file, self.node.base / "run/mesh-arming.json")
        if not self.active and any(path.exists() for path in conditions):
            self.stopping.clear()
            self.ready.clear()
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()
            assert self.ready.wait(5)
        return Done(0, "", "")

    def _run(self) -> None:
        guard = self.node.guard()
        try:
            if self.loop:
                work = watch.Watch(guard, self._sleep, pauses=(0.02, 0.02), slice_=0.02)
                self.code = work.run()
            else:
                guard.take()
                self.ready.set()
                self.stopping.wait()
        except (Interrupted, NodeError):
            self.code = 1
        finally:
            self.ready.set()

    def _sleep(self, seconds: float) -> None:
        self.ready.set()
        if self.stopping.wait(seconds):
            raise Interrupted("stopped by SIGTERM")


class Node:
    """`apply` is the playbook's module; `clock` is set by hand once it is not None."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "root"
        for name in ("run/systemd/system", "proc/sys/kernel/random", "etc"):
            (self.root / name).mkdir(parents=True)
        (self.root / "proc/sys/kernel/random/boot_id").write_text("first\n")
        (self.root / "etc/machine-id").write_text("0123\n")
        self.systemd = Systemd(self)
        self.now: Optional[Clock] = None

    @property
    def armed_file(self) -> Path:
        return self.base / "state/mesh/armed.json"

    def guard(self) -> Guard:
        clock = (lambda: self.now) if self.now else None
        places = (str(self.base / "state"), str(self.base / "run"))
        return Guard(self.root, *places, self.systemd, look=look, clock=clock, program=made_once)

    def store(self) -> Store:
        return Store(str(self.base / "state"), str(self.base / "run"))

    def apply(self, shares: dict[str, Share], token: str = "t1", seconds: int = 100) -> Outcome:
        state, run = str(self.base / "state"), str(self.base / "run")
        options = Options(
            shares, seconds, token, root=self.root, state_dir=state, run_dir=run, runner=self.systemd
        )
        return reconcile(Layer(options, self.guard() if seconds else None), self.store(), Request("mesh"))

    def live(self) -> dict[str, int]:
        """Mesh → number of the member: what tells one share from another here."""
        return {mesh: found.number for mesh, found in stored(self.root).items()}

    def residue(self) -> list[str]:
        """What of the guard is on the node."""
        parts = ("mesh-guard", "mesh.pyz", "armed.json", "mesh-arming")
        found = [
            str(path.relative_to(self.base))
            for path in sorted(self.base.rglob("*"))
            if any(part in path.name for part in parts)
        ]
        return [name for name in found if name != "run/mesh-guard.json"]


PROGRAM_TEXT = program_text()


def made_once() -> str:
    return PROGRAM_TEXT


def look() -> list[str]:
    return ["wan-2 link"]


def use_small_layer(monkeypatch: Any) -> None:
    monkeypatch.setattr(undoing, "MeshLayer", Layer)
    monkeypatch.setattr(undoing, "MeshOptions", Options)
    monkeypatch.setattr(undoing, "stored_shares", stored)
    monkeypatch.setattr(Layer, "fault", None)
    monkeypatch.setattr(Layer, "refused", ())
    monkeypatch.setattr(Layer, "asked", [])
