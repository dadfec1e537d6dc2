# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the settings are applied again, and what a record asks for."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.boot import status, watch
from ansible_collections.swarm.node.plugins.module_utils.boot.record import uuids
from ansible_collections.swarm.node.plugins.module_utils.boot.status import (
    LONGEST_RUN,
    Stamp,
    due,
    new_status,
    read_status,
)
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.core.recorded import BootStore, completed

NOW = Stamp("b1", 7, "3:4")


def last(outcome: str = "applied", stamp: Stamp = NOW, attempts: int = 1, clock: float = 1000.0) -> Any:
    return {"outcome": outcome, "stamp": asdict(stamp), "attempts": attempts, "clock": clock, "owners": []}


@pytest.mark.parametrize(
    ("found", "frozen", "clock", "why"),
    [
        ({}, False, 0, "boot"),
        (last(stamp=Stamp("b0", 7, "3:4")), False, 0, "boot"),
        (last(stamp=Stamp("b1", 6, "3:4")), False, 0, "driver reload"),
        (last(stamp=Stamp("b1", 7, "")), False, 0, "nvidia-persistenced was started or stopped"),
        (last(), False, 9e9, ""),
        (last("unchanged"), False, 9e9, ""),
        (last("managed"), False, 9e9, ""),
        (last("nothing"), False, 9e9, ""),
        (last("frozen"), True, 9e9, ""),
        (last("frozen"), False, 1000, "the node is not frozen any more"),
        (last("partly"), False, 1059, ""),
        (last("partly"), False, 1060, "attempt 2"),
        (last("failed", attempts=3), False, 1239, ""),
        (last("failed", attempts=3), False, 1240, "attempt 4"),
        (last("unavailable", attempts=50), False, 4599, ""),
        (last("unavailable", attempts=50), False, 4600, "attempt 51"),
        (last("running"), False, 1000 + LONGEST_RUN - 1, ""),
        (last("running"), False, 1000 + LONGEST_RUN, "attempt 2"),
        (last("running", attempts=5), False, 1959, ""),
        (last("running", attempts=5), False, 1960, "attempt 6"),
        (last("busy"), False, 10, "attempt 2"),  # the clock was set back
        ({"stamp": "bogus"}, False, 0, "boot"),
        ({**last("failed"), "attempts": "x", "clock": None}, False, 100, "attempt 1"),
    ],
)
def test_due(found: dict[str, Any], frozen: bool, clock: float, why: str) -> None:
    assert due(found, NOW, frozen, clock) == why


def test_attempts_count_up_for_one_load_of_the_driver() -> None:
    result = {"outcome": "failed"}
    first = new_status("boot", NOW, {}, result)
    second = new_status("attempt 2", NOW, first, result)
    assert (first["attempts"], second["attempts"]) == (1, 2)
    assert new_status("driver reload", Stamp("b1", 8), second, result)["attempts"] == 1
    assert new_status("attempt 3", NOW, second, {"outcome": "applied"})["attempts"] == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"owners": 3}'])
def test_a_status_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "gpu_boot.json").write_text(text)
    assert read_status(tmp_path) == {}


# -- the look of every minute


class Watched:
    """A node for the watch: its systemctl writes down what it was asked."""

    def __init__(self, base: Path) -> None:
        self.base, self.root = base, base / "root"
        self.boot("one")
        self.systemctl = base / "systemctl"
        self.systemctl.write_text(f'#!/bin/sh\necho "$*" >>{base}/log\n')
        self.systemctl.chmod(0o755)

    def boot(self, name: str) -> None:
        path = self.root / "proc/sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")

    def load(self) -> None:
        module = self.root / "sys/module/nvidia"
        module.mkdir(parents=True)

    def applied(self, outcome: str = "applied") -> None:
        done = {"outcome": outcome, "owners": []}
        status.write_status(self.base / "run", new_status("boot", status.read_stamp(self.root), {}, done))

    def look(self) -> list[str]:
        places = ["--root", self.root, "--state-dir", self.base / "state", "--run-dir", self.base / "run"]
        assert watch.main(["watch", *map(str, places), "--systemctl", str(self.systemctl)]) == 0
        log = self.base / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines


STARTED = ["start --no-block swarm-node-gpu.service"]


def test_the_watch(tmp_path: Path) -> None:
    node = Watched(tmp_path)
    assert node.look() == [], "no driver: nothing has settings"
    node.load()
    assert node.look() == STARTED
    node.applied()
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*"))
    assert node.look() == []
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*")) == before, "a look writes nothing"
    (node.root / "sys/module/nvidia").rename(node.root / "sys/module/gone")  # else the inode may come back
    node.load()
    assert node.look() == STARTED
    node.applied()
    node.boot("two")
    assert node.look() == STARTED
    node.applied()
    daemon = node.root / status.DAEMON
    daemon.parent.mkdir(parents=True)
    daemon.write_text("123\n")
    assert node.look() == STARTED
    node.applied()
    daemon.unlink()
    assert node.look() == STARTED


def test_the_watch_of_a_frozen_node(tmp_path: Path) -> None:
    node = Watched(tmp_path)
    node.load()
    node.applied("frozen")
    assert node.look() == STARTED
    (tmp_path / "state").mkdir()
    (tmp_path / "state/freeze").write_text("on call\n")
    assert node.look() == []


def test_the_watch_lets_a_masked_service_be(tmp_path: Path) -> None:
    """Else it would fail every minute, and the node be degraded by somebody's decision."""
    node = Watched(tmp_path)
    node.load()
    unit = node.root / "etc/systemd/system/swarm-node-gpu.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert node.look() == []
    unit.unlink()
    assert node.look() == STARTED


def test_a_watch_whose_systemctl_fails(tmp_path: Path) -> None:
    node = Watched(tmp_path)
    node.load()
    node.systemctl.write_text("#!/bin/sh\nexit 5\n")
    places = ["--root", str(node.root), "--run-dir", str(tmp_path / "run"), "--state-dir", str(tmp_path)]
    assert watch.main(["watch", *places, "--systemctl", str(node.systemctl)]) == 1
    assert watch.main(["watch", *places, "--systemctl", "/nowhere/systemctl"]) == 1


# -- what a record asks for


CLAIMS = {"gpu.power_limit GPU-1": Claim(700, 500), "gpu.persistence_mode GPU-1": Claim(False, True)}


def test_a_journal_brings_back_what_the_last_whole_run_applied() -> None:
    changes = [
        {"key": "gpu.power_limit", "claim": "gpu.power_limit GPU-1", "applied_before": 630, "after": 500},
        {"key": "gpu.persistence_mode", "claim": "gpu.persistence_mode GPU-1", "after": True},
        {"key": "file", "claim": ""},
        "bogus",
    ]
    assert completed(CLAIMS, {"changes": changes}) == {"gpu.power_limit GPU-1": Claim(700, 630)}
    for journal in (None, {}, {"changes": None}, {"changes": [{"claim": "gpu.power_limit GPU-9"}]}):
        assert completed(CLAIMS, journal) == CLAIMS


def test_uuids() -> None:
    assert uuids({**CLAIMS, "node.key": Claim(1, 2), "gpu.power_limit GPU-0": Claim(1, 2)}) == [
        "GPU-0",
        "GPU-1",
    ]


def test_the_boot_journal_is_not_the_playbooks(tmp_path: Path) -> None:
    store = BootStore(str(tmp_path / "state"), str(tmp_path / "run"))
    (tmp_path / "state/journal").mkdir(parents=True)
    playbook = tmp_path / "state/journal/gpu.json"
    playbook.write_text(json.dumps({"started": "2026-01-01T00:00:00Z", "changes": []}))
    store.begin("gpu", {"started": "now"})
    assert store.unfinished("gpu") == {"started": "now"}
    store.end("gpu")
    assert store.unfinished("gpu") is None and store.playbook_journal("gpu") == json.loads(
        playbook.read_text()
    )
