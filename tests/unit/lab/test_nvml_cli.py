# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's command line and the directory trees it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from nvml_sim import SOURCE, Simulator


@pytest.fixture
def cli(simulator: Simulator):
    """Runs nvml-sim on the test's node; returns (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        command = [sys.executable, SOURCE / "nvml_sim.py", "--dir", simulator.directory, *arguments]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def test_status_tells_what_was_set(cli, simulator: Simulator) -> None:
    assert cli("set", 0, "power_limit_mw", 450000)[0] == 0
    assert cli("set", "all", "persistence_mode", 1)[0] == 0
    for key, value in (("lock_graphics_min_mhz", 345), ("lock_graphics_max_mhz", 1500)):
        cli("set", 1, key, value)
    cli("process", 0, 77, 2048)
    cli("inject", "nvmlDeviceGetName", "TIMEOUT", "--gpu", 1, "--times", 2)
    code, out, _err = cli("status", "--json")
    status = json.loads(out)
    assert code == 0
    assert status["gpus"][0]["power_limit_mw"] == 450_000
    assert status["gpus"][0]["processes"] == {"77": 2048}
    assert [gpu["persistence_mode"] for gpu in status["gpus"]] == [1, 1]
    assert status["gpus"][1]["lock_graphics_mhz"] == [345, 1500]
    assert status["faults"] == ["function=nvmlDeviceGetName code=10 gpu=1 skip=0 times=2"]
    text = cli("status")[1]
    assert "power 450 W" in text
    assert "lock graphics [345, 1500]" in text


def test_lose_find_log_calls(cli, simulator: Simulator) -> None:
    cli("lose", 1)
    assert simulator.gpu(1)["lost"]
    cli("find", 1)
    assert not simulator.gpu(1)["lost"]
    cli("log", "on")
    with simulator.client():
        pass
    assert "nvmlInitWithFlags() -> SUCCESS" in cli("calls", "--clear")[1]
    assert json.loads(cli("calls", "--json")[1]) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("init", "--boards", "h200:8"), ["h200", "h100", "l40s"]),
        (("init", "--boards", "h100:0"), ["h100:0"]),
        (("init", "--boards", "h100:65"), ["65", "64"]),
        (("init", "--boards", "h100:1", "--driver", "new"), ["'new'", "550.163.01"]),
        (("set", "5", "power_limit_mw", "1"), ["'5'", "0 to 1"]),
        (("set", "0", "power", "1"), ["'power'", "power_limit_mw"]),
        (("set", "0", "power_limit_mw", "much"), ["'much'", "number"]),
        (("driver", "install"), ["which version"]),
        (("driver", "load", "570.1"), ["no version"]),
    ],
)
def test_bad_input_is_named(cli, simulator: Simulator, arguments, words) -> None:
    before = simulator.status()
    code, _out, err = cli(*arguments)
    assert code == 1
    assert all(word in err for word in words), err
    assert simulator.status() == before


def test_without_state(tmp_path: Path) -> None:
    command = [sys.executable, str(SOURCE / "nvml_sim.py"), "status", "--dir", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "nvml-sim init" in done.stderr


def test_the_same_seed_makes_the_same_node(cli, simulator: Simulator) -> None:
    def uuids(*options: str) -> list[str]:
        assert cli("init", "--boards", "h100:2", *options)[0] == 0
        return [gpu["uuid"] for gpu in simulator.status()["gpus"]]

    assert uuids("--seed", "n1") == uuids("--seed", "n1")
    assert uuids("--seed", "n1") != uuids("--seed", "n2")
    assert uuids() != uuids()


def test_pci_tree(cli, tmp_path: Path) -> None:
    root = tmp_path / "devices"
    other = root / "0000:00:02.0"
    other.mkdir(parents=True)
    (other / "vendor").write_text("0x8086\n")
    cli("init", "--boards", "h100:2", "--numa-nodes", "2")
    assert cli("pci-tree", root)[1].split() == ["0000:1b:00.0", "0000:43:00.0"]
    device = root / "0000:43:00.0"
    content = {name: (device / name).read_text() for name in ("vendor", "device", "class", "numa_node")}
    assert content == {"vendor": "0x10de\n", "device": "0x2330\n", "class": "0x030200\n", "numa_node": "1\n"}
    cli("init", "--boards", "t4:1")
    cli("pci-tree", root)
    assert sorted(path.name for path in root.iterdir()) == ["0000:00:02.0", "0000:1b:00.0"]
    assert (root / "0000:1b:00.0" / "device").read_text() == "0x1eb8\n"


def test_module_tree_shows_each_load_of_the_driver(cli, tmp_path: Path) -> None:
    module = tmp_path / "module" / "nvidia"
    assert cli("module-tree", tmp_path / "module")[0] == 0
    first = module.stat().st_ino
    assert (module / "version").read_text() == "550.163.01\n"
    assert (module / "initstate").read_text() == "live\n"

    cli("process", 0, 77, 10)
    assert (module / "refcnt").read_text() == "1\n"
    assert module.stat().st_ino == first
    code, _out, err = cli("driver", "reload")
    assert code == 1
    assert "77" in err
    cli("process", 0, 77, 0)

    cli("driver", "install", "570.172.08")
    assert (module / "version").read_text() == "550.163.01\n"
    assert cli("driver", "reload")[0] == 0
    second = module.stat().st_ino
    assert second != first
    assert (module / "version").read_text() == "570.172.08\n"

    cli("driver", "unload")
    assert not module.exists()
    cli("driver", "load")
    assert module.is_dir()
    loaded = module.stat().st_ino
    cli("driver", "load")
    assert module.stat().st_ino == loaded
    cli("reboot")
    assert module.stat().st_ino != loaded
