# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills controllers and modules at chosen moments."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab_runs import BIN, CHECKOUT

from .conftest import MeshLab

CALLBACKS = Path(__file__).with_name("callbacks")
PATIENCE = 300
"""s until a moment has to have come."""

ARMED = "/var/lib/swarm_node/mesh/armed.json"
MODULE = "pgrep -fx /usr/bin/python3"
"""A module that came through a pipe is a Python without arguments."""

KILL_MODULE = """
import glob, os, sys, time
pattern, event = sys.argv[1:]
def look():
    found = {}
    for path in glob.glob(pattern):
        try:
            found[path] = os.lstat(path).st_ino
        except OSError:
            pass
    return found
def happened(before, now):
    if event == "new":
        return set(now) - set(before)
    if event == "gone":
        return set(before) - set(now)
    return now != before
before = look()
print("looks", time.time(), flush=True)
while not happened(before, look()):
    time.sleep(0.002)
for place in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        with open(place, "rb") as file:
            if file.read() == b"/usr/bin/python3\\0":
                os.kill(int(place.split("/")[2]), 9)
                print("killed", time.time(), flush=True)
    except OSError:
        pass
"""
"""Runs in the node. event: what has to happen to files of that pattern (new, gone, changed: written anew)"""


@dataclass(frozen=True)
class Step:
    """A moment of a run. when: start, or result of the first host; nth: play of that name that has hosts"""

    play: str
    task: str
    when: str = "result"
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.when} of {self.task!r} in {self.play!r} {self.nth}"


def killed_at(lab: MeshLab, playbook: str, step: Step, **extra: Any) -> None:
    """Kills a playbook at a step. Raises AssertionError where it ends before."""
    mark = lab.registries.parent / "stopped"
    mark.unlink(missing_ok=True)
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "swarm.node.summary,stop_at",
        "STOP_AT": json.dumps(asdict(step)),
        "STOP_MARK": str(mark),
    }
    killed(lab, playbook, mark.exists, environment, **extra)


def killed(
    lab: MeshLab,
    playbook: str,
    when: Callable[[], bool],
    environment: dict[str, str] | None = None,
    spares: str = "",
    **extra: Any,
) -> None:
    """Starts a playbook and kills it, with all that it started here, as soon as `when` says so."""
    members = {name: {"mesh_name": "wan"} for name in spares.split()}
    lab.extra_inventory.write_text(json.dumps({"all": {"hosts": members}}), "utf-8")
    variables = {"mesh_registry_dir": str(lab.registries), "node_batches": ["100%"], **extra}
    line = [str(BIN / "ansible-playbook"), f"swarm.node.mesh_{playbook}", "-i", str(lab.inventory)]
    line += ["-i", str(lab.extra_inventory), "-e", json.dumps(variables)]
    output = lab.registries.parent / "killed.log"
    with output.open("w", encoding="utf-8") as handle:
        process = subprocess.Popen(
            line,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            env={**os.environ, "SWARM_NODE_REPORT_DIR": str(lab.reports), **(environment or {})},
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE
    try:
        while not when():
            said = output.read_text("utf-8")[-4000:]
            assert process.poll() is None, f"it ended before it could be killed: {said}"
            assert time.monotonic() < deadline, f"it did not get there: {said}"
            time.sleep(0.02)
    finally:
        end_tree(process.pid)
        process.wait(30)


def end_tree(pid: int) -> None:
    """SIGKILL for a process and all that it started: Ansible's workers are in sessions of their own."""
    tree = {pid}
    _signal(tree, signal.SIGSTOP)
    while more := _children(tree) - tree:
        _signal(more, signal.SIGSTOP)
        tree |= more
    _signal(tree, signal.SIGKILL)


def until_quiet(lab: MeshLab, names: Iterable[str]) -> None:
    """No module runs on these nodes and nothing is armed: what nobody confirms goes back at its deadline."""
    _until(lab, names, f"{MODULE} || test -e {ARMED} && echo")


def take_back(lab: MeshLab, names: Iterable[str]) -> None:
    """As an operator who does not wait for the deadline."""
    names = list(names)
    _until(lab, names, MODULE)
    armed = [name for name in names if lab.sh(name, f"ls {ARMED} 2>/dev/null", check=False)]
    if not armed:
        return
    line = [str(BIN / "ansible"), ",".join(armed), "-i", str(lab.inventory), "-b"]
    line += ["-m", "swarm.node.mesh_confirm", "-a", "action=revert"]
    done = subprocess.run(line, cwd=CHECKOUT, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr


def _until(lab: MeshLab, names: Iterable[str], script: str) -> None:
    """Until the script says nothing on any of these nodes."""
    deadline = time.monotonic() + PATIENCE
    for name in names:
        while lab.sh(name, script, check=False):
            assert time.monotonic() < deadline, f"{name}: {script} still says something"
            time.sleep(0.5)


def _children(tree: set[int]) -> set[int]:
    found = set()
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything; state and parent follow it.
            parent = int(place.read_text("ascii", "replace").rpartition(")")[2].split()[1])
            if parent in tree:
                found.add(int(place.parent.name))
    return found


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
