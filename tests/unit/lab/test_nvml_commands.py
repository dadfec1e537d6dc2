# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newer commands and options of nvml-sim, given on its command line."""

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
        program = SOURCE / "nvml_sim.py"
        command = [sys.executable, program, "--dir", simulator.directory, *arguments]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    return run


def test_wiring(cli, tmp_path: Path) -> None:
    options = ("--numa-nodes", 1, "--topology", "pix", "--nvlink", "bridge", "--nics", 1)
    assert cli("init", "--boards", "h100:4", *options)[0] == 0
    *gpus, nic = cli("pci-tree", tmp_path / "links", "--devices", tmp_path / "devices")[1].split()
    places = [(tmp_path / "links" / address).resolve().parts for address in (*gpus, nic)]
    assert places[0][-4] == places[1][-4] == places[4][-4] != places[2][-4]
    assert len(cli("pci-tree", tmp_path / "flat", "--nics", 0)[1].split()) == 4
    files = json.loads(cli("status", "--json")[1])["gpus"][0]["files"]
    assert set(files["board"]["nvlink_remotes"].split()) == {"1"}
    for option in (("--topology", "ring"), ("--nvlink", "ring")):
        code, _out, err = cli("init", "--boards", "h100:4", *option)
        assert (code, "'ring'" in err) == (1, True)


def test_time_and_processes(cli) -> None:
    assert cli("set", "node", "clock_us", 1_000_000)[0] == 0
    assert cli("advance", 2.5)[0] == 0
    assert json.loads(cli("status", "--json")[1])["node"]["clock_us"] == 3_500_000
    assert cli("advance", 0)[0] == 1
    cli("set", 0, "compute_mode", 3)
    assert cli("process", 0, 77, 10)[0] == 0
    code, _out, err = cli("process", 0, 78, 10)
    assert (code, "--force" in err) == (1, True)
    assert cli("process", 0, 78, 10, "--force")[0] == 0
