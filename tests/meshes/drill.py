# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill: a node gets a wrong change, and the controller is left alone or killed, the node reboots."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from lab_runs import BIN, CHECKOUT, Run

from lab.faults import Background

from .conftest import MeshLab
from .wrongs import CHAIN, FIREWALLED, NO_FRAGMENTS, PEER, RULES, Wrong

ARMED = "/var/lib/swarm_node/mesh/armed.json"
ALIVE, KILLED, REBOOTED, CRASHED = "alive", "killed", "rebooted", "crashed"
OPERATOR = {FIREWALLED: RULES, PEER: NO_FRAGMENTS}
"""Node → its /etc/nftables.conf while the drill lasts."""
HOWS = (ALIVE, KILLED, REBOOTED, CRASHED)
SECONDS = 30
"""mesh_confirm_seconds where nobody is left to confirm or to revert. A node may wait a fifth longer."""
LONGEST = 120.0
"""Seconds after which a node that does not work counts as locked out."""

WATCH = """
import os, subprocess, sys, time
armed, again, probe = sys.argv[1], sys.argv[2] == "again", sys.argv[3:]
def say(word):
    print(word, time.time(), flush=True)
def works():
    return subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
def until(found):
    while not found():
        time.sleep(0.1)
is_armed = lambda: os.path.exists(armed)
if not again:
    until(is_armed)
    say("armed")
    until(lambda: not works() or not is_armed())
    say("cut" if is_armed() else "uncut")
until(lambda: not is_armed())
say("lifted")
until(works)
say("works")
"""
"""Runs in the node and says what happens to it, with Unix times."""


@dataclass
class Outcome:
    """One drill. times: what happened in the node (armed, cut, lifted, works), Unix time"""

    wrong: Wrong
    how: str
    run: Run
    times: dict[str, float] = field(default_factory=dict)
    trouble: str = ""

    @property
    def good(self) -> bool:
        """It was cut off, and works again."""
        return not self.trouble and "cut" in self.times and "works" in self.times

    @property
    def seconds(self) -> float:
        """From the moment the neighbour stopped to answer until it answered again."""
        return self.times["works"] - self.times["cut"]

    def __str__(self) -> str:
        found = f"{self.seconds:.1f} s" if self.good else f"NOT: {self.trouble or self.times}"
        return f"{self.wrong.name} on {self.wrong.node}, controller {self.how}: {found}"


class Apply:
    """One `mesh_apply` of some nodes with a registry of its own, in a process group of its own."""

    def __init__(self, lab: MeshLab, base: Path, text: str, nodes: Iterable[str], **variables: Any) -> None:
        (base / "registries").mkdir(parents=True, exist_ok=True)
        (base / "registries/wan.yml").write_text(text, encoding="utf-8")
        extra = {"mesh_registry_dir": str(base / "registries"), "node_batches": ["100%"], **variables}
        self.report = base / "reports/latest.json"
        self.report.unlink(missing_ok=True)
        self.output = (base / "output").open("w+", encoding="utf-8")
        line = [str(BIN / "ansible-playbook"), "swarm.node.mesh_apply", "-i", str(lab.inventory)]
        line += ["--limit", ",".join(nodes), "-e", json.dumps(extra)]
        environment = {**os.environ, "SWARM_NODE_REPORT_DIR": str(base / "reports"), "ANSIBLE_NOCOLOR": "1"}
        self.process = subprocess.Popen(
            line,
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self) -> None:
        """As a controller dies: at once, with all of its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def wait(self) -> Run:
        code = self.process.wait(600)
        self.output.seek(0)
        output = self.output.read()
        self.output.close()
        report = json.loads(self.report.read_text("utf-8")) if self.report.exists() else {}
        return Run(code, output, report)


class Drill:
    """Wrong changes on the nodes of one lab. base: for registries, reports and outputs"""

    def __init__(self, lab: MeshLab, base: Path) -> None:
        self.lab = lab
        self.base = base
        self.right = (lab.registries / "wan.yml").read_text("utf-8")
        self.address = lab.address(PEER)
        self.opened = base / "opened.yml"
        hosts = {FIREWALLED: {"mesh_firewall": CHAIN}}
        self.opened.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")

    def prepare(self) -> None:
        """What the wrong changes need of the underlay: an operator's firewall, a path without fragments."""
        for node, rules in OPERATOR.items():
            save = "cp -n /etc/nftables.conf /etc/nftables.conf.drill"
            write = f"printf '%s' '{rules}' >/etc/nftables.conf"
            start = "systemctl enable --quiet nftables && systemctl restart nftables"
            self.lab.sh(node, f"{save}; {write} && {start}")
        self.settled()

    def clean(self) -> None:
        back = "mv -f /etc/nftables.conf.drill /etc/nftables.conf; systemctl disable --quiet --now nftables"
        for node in OPERATOR:
            self.lab.sh(node, back, check=False)
        # Stopping nftables.service flushes all tables, ours too, which this puts right.
        run = self.lab.mesh("apply", node_batches=["100%"])
        assert run.code == 0, run.output

    def settled(self) -> Run:
        """All members have what the right registry says. Returns the run that saw to it."""
        run = self.lab.mesh("apply", "-i", str(self.opened), node_batches=["100%"])
        assert run.code == 0, run.output
        return run

    def edited(self, wrong: Wrong) -> str:
        data = yaml.safe_load(self.right)
        wrong.change(data)
        return str(yaml.safe_dump(data, sort_keys=False))

    def all_at_once(self, wrongs: Iterable[Wrong], how: str) -> list[Outcome]:
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda wrong: self.one(wrong, how), wrongs))

    def apply(self, text: str, nodes: Iterable[str], **variables: Any) -> Run:
        """Waits for a run with this registry."""
        return Apply(self.lab, self.base / "apply", text, nodes, **variables).wait()

    def one(self, wrong: Wrong, how: str, after: Callable[[], None] = lambda: None) -> Outcome:
        """One wrong change on its node. Leaves the registry alone: the run has a copy.

        after: called once the controller is killed
        """
        seconds = 120 if how == ALIVE else SECONDS
        variables = {"mesh_confirm_seconds": seconds, **wrong.variables}
        if wrong.node == FIREWALLED:
            variables.setdefault("mesh_firewall", CHAIN)
        watch = self.watch(wrong)
        outcome = Outcome(wrong, how, Run(-1, "", {}))
        base = self.base / wrong.node
        apply = Apply(self.lab, base, self.edited(wrong), [wrong.node], **variables)
        try:
            if how != ALIVE:
                self.await_word(watch, "cut", apply)
                apply.kill()
                after()
            if how in (REBOOTED, CRASHED):
                outcome.times.update(times(watch.output()))
                watch.stop()
                self.restart(wrong.node, how)
                watch = self.watch(wrong, "again")
            outcome.run = apply.wait()
            assert how != ALIVE or "armed" in times(watch.output()), "nothing was armed"
            code, _ = watch.wait(LONGEST)
            outcome.trouble = "" if code == 0 else f"the watch returned {code}"
        except (AssertionError, subprocess.TimeoutExpired) as error:
            outcome.trouble = f"{type(error).__name__}: {error}"
        finally:
            outcome.times.update(times(watch.stop()))
            if apply.process.poll() is None:
                apply.kill()
        if "uncut" in outcome.times and not outcome.trouble:
            outcome.trouble = "the change did not cut the node off"
        return outcome

    # -- pieces that other tests use, too

    def watch(self, wrong: Wrong, again: str = "first") -> Background:
        target = self.address
        probe = ("fping", "-q", "-c1", "-t500", "-b", str(wrong.size), target)
        return self.lab.faults.background(wrong.node, "python3", "-c", WATCH, ARMED, again, *probe)

    def await_word(self, watch: Background, word: str, apply: Apply) -> None:
        """Until the node says it. Raises AssertionError where the run ends before."""
        deadline = time.monotonic() + 120
        while word not in times(watch.output()):
            assert apply.process.poll() is None, f"the run ended before {word}: {apply.wait().output}"
            assert watch.running, f"no {word}: {watch.output()!r}"
            assert time.monotonic() < deadline, f"no {word} within 120 s: {watch.output()!r}"
            time.sleep(0.1)

    def restart(self, node: str, how: str) -> None:
        if how == REBOOTED:
            self.lab.faults.reboot(node)
        else:
            self.lab.faults.crash(node)
            self.lab.faults.start(node)


def times(output: str) -> dict[str, float]:
    """What a watch has said so far: word → Unix time."""
    found = (line.split() for line in output.splitlines())
    return {words[0]: float(words[1]) for words in found if len(words) == 2 and words[1][0].isdigit()}
