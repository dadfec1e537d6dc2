# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drill: a node gets a wrong change, and the controller is left alone or killed, the node reboots."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import yaml
from lab_runs import BIN, CHECKOUT, Run

from lab.errors import LabError
from lab.faults import Background

from .conftest import MeshLab
from .kills import end_tree
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
        time.sleep(0.2)
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
    def failure(self) -> str:
        """What the run says of the node."""
        node = self.wrong.node
        return self.run.failure(node) if node in self.run.report.get("hosts", {}) else self.run.output

    @property
    def seconds(self) -> float:
        """From the moment the neighbour stopped to answer until it answered again."""
        return self.times["works"] - self.times["cut"]

    def __str__(self) -> str:
        found = f"{self.seconds:.1f} s" if self.good else f"NOT: {self.trouble or self.times}"
        return f"{self.wrong.name} on {self.wrong.node}, controller {self.how}: {found}"


class Apply:
    """One `mesh_apply` in a session of its own. texts: node → the registry that it gets

    hosts: node → variables; variables: of the run, before which those of hosts do not count
    """

    def __init__(
        self,
        lab: MeshLab,
        base: Path,
        texts: Mapping[str, str],
        hosts: Mapping[str, Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> None:
        found: dict[str, dict[str, Any]] = {}
        for node, text in texts.items():
            directory = base / node
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "wan.yml").write_text(text, encoding="utf-8")
            found[node] = {"mesh_registry_dir": str(directory), **(hosts or {}).get(node, {})}
        inventory = base / "hosts.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": found}}), encoding="utf-8")
        self.report = base / "reports/latest.json"
        self.report.unlink(missing_ok=True)
        self.output = (base / "output").open("w+", encoding="utf-8")
        line = [str(BIN / "ansible-playbook"), "swarm.node.mesh_apply", "-i", str(lab.inventory)]
        line += ["-i", str(inventory), "--limit", ",".join(texts)]
        line += ["-e", json.dumps({"node_batches": ["100%"], **variables})]
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
        end_tree(self.process.pid)
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

    def each_alone(self, wrongs: Iterable[Wrong], how: str) -> list[Outcome]:
        """All at once, each with a controller of its own."""
        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(lambda wrong: self.one(wrong, how), wrongs))

    def apply(self, text: str, nodes: Iterable[str], **variables: Any) -> Run:
        """Waits for a run with this registry."""
        return Apply(self.lab, self.base / "apply", dict.fromkeys(nodes, text), **variables).wait()

    def one(self, wrong: Wrong, how: str, after: Callable[[], None] = lambda: None) -> Outcome:
        """One wrong change on its node."""
        return self.together([wrong], how, after)[0]

    def together(
        self, wrongs: Sequence[Wrong], how: str, after: Callable[[], None] = lambda: None
    ) -> list[Outcome]:
        """Wrong changes in one run, each with its node and its copy of the registry.

        after: called once the controller is killed
        """
        outcomes = [Outcome(wrong, how, Run(-1, "", {})) for wrong in wrongs]
        base = self.base / "-".join(wrong.node for wrong in wrongs)
        watches = [self.watch(wrong) for wrong in wrongs]
        apply = Apply(
            self.lab,
            base,
            {wrong.node: self.edited(wrong) for wrong in wrongs},
            {wrong.node: self.variables(wrong) for wrong in wrongs},
            mesh_confirm_seconds=120 if how == ALIVE else SECONDS,
        )
        try:
            if how != ALIVE:
                self.await_cuts(watches, apply)
                apply.kill()
                after()
            run = apply.wait()
            with ThreadPoolExecutor(len(wrongs)) as pool:
                list(pool.map(self.come_back, outcomes, watches, repeat(run)))
        finally:
            for watch in watches:
                said(watch)
            if apply.process.poll() is None:
                apply.kill()
        return outcomes

    def come_back(self, outcome: Outcome, watch: Background, run: Run) -> None:
        """What becomes of a node once its controller has ended."""
        outcome.run = run
        try:
            self.await_cut(watch)
            outcome.times.update(times(watch.output()))
            if outcome.how in (REBOOTED, CRASHED):
                said(watch)
                self.restart(outcome.wrong.node, outcome.how)
                watch = self.watch(outcome.wrong, "again")
            code, _ = watch.wait(LONGEST)
            outcome.trouble = "" if code == 0 else f"the watch returned {code}"
        except (AssertionError, LabError, subprocess.TimeoutExpired) as error:
            outcome.trouble = f"{type(error).__name__}: {error}"
        outcome.times.update(said(watch))
        if outcome.trouble:
            return
        if "uncut" in outcome.times:
            outcome.trouble = "the change did not cut the node off"
        elif outcome.how == ALIVE and outcome.wrong.says not in outcome.failure:
            outcome.trouble = f"its own probe does not say why: {outcome.failure}"

    # -- pieces that other tests use, too

    def watch(self, wrong: Wrong, again: str = "first") -> Background:
        target = self.address
        probe = ("fping", "-q", "-c1", "-t500", "-b", str(wrong.size), target)
        return self.lab.faults.background(wrong.node, "python3", "-c", WATCH, ARMED, again, *probe)

    def variables(self, wrong: Wrong) -> dict[str, Any]:
        return {**({"mesh_firewall": CHAIN} if wrong.node == FIREWALLED else {}), **wrong.variables}

    def await_cuts(self, watches: Sequence[Background], apply: Apply) -> None:
        """Until all nodes are cut off, or the run has ended, or some are for a while."""
        deadline = time.monotonic() + 180
        while waiting := [watch for watch in watches if not _is_decided(watch)]:
            if len(waiting) < len(watches):
                deadline = min(deadline, time.monotonic() + SECONDS / 2)
            if apply.process.poll() is not None or time.monotonic() > deadline:
                break
            time.sleep(0.1)

    def await_cut(self, watch: Background) -> None:
        """Raises AssertionError where the node is not cut off."""
        deadline = time.monotonic() + 60
        while not _is_decided(watch):
            assert watch.running, f"not cut off: {watch.output()!r}"
            assert time.monotonic() < deadline, f"not cut off within 60 s: {watch.output()!r}"
            time.sleep(0.1)

    def restart(self, node: str, how: str) -> None:
        if how == REBOOTED:
            self.lab.faults.reboot(node)
        else:
            self.lab.faults.crash(node)
            self.lab.faults.start(node)


def _is_decided(watch: Background) -> bool:
    return bool({"cut", "uncut"} & set(times(watch.output())))


def said(watch: Background) -> dict[str, float]:
    """What an ended watch has said; also where its node is down."""
    try:
        return times(watch.stop())
    except LabError:
        return times(watch.output())


def times(output: str) -> dict[str, float]:
    """What a watch has said so far: word → Unix time."""
    found = (line.split() for line in output.splitlines())
    return {words[0]: float(words[1]) for words in found if len(words) == 2 and words[1][0].isdigit()}
