# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit, the rule of udev and the program: their texts, and that the node's own tools take them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.marking import is_untouched
from ansible_collections.swarm.node.plugins.module_utils.nic import units
from ansible_collections.swarm.node.plugins.module_utils.nic.program import program_text


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "nic.pyz"
    path.write_bytes(program_text().encode("utf-8", "surrogateescape"))
    return path


def test_the_unit_comes_before_the_network_and_waits_for_nothing_that_waits_for_it():
    text = units.service("/usr/bin/python3", "/var/lib/swarm_node", "/run/swarm_node")
    assert is_untouched(text)
    assert "Before=network-pre.target" in text and "DefaultDependencies=no" in text
    assert "After=local-fs.target" in text and "ExecStart=/usr/bin/python3 -I /usr/local/lib" in text
    assert "--state-dir" not in text
    unit = text.partition("[Service]")[0]
    assert "\nStartLimitIntervalSec=0\n" in unit, "udev starts it for each of a node's many devices"
    other = units.service("/usr/bin/python3", "/srv/state", "/run/swarm_node")
    assert (
        "reapply --state-dir /srv/state\n" in other and "ConditionPathExistsGlob=/srv/state/*.json" in other
    )


def test_systemd_takes_the_unit(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    unit = tmp_path / units.SERVICE
    unit.write_text(units.service(sys.executable, "/var/lib/swarm_node", "/run/swarm_node"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert units.SERVICE not in done.stderr, done.stderr


def test_the_rule_names_devices_and_nothing_that_is_no_name():
    text = units.udev_rule(["eth1", "eth0", "eth0", 'x", RUN+="/bin/false'])
    assert is_untouched(text) and "false" not in text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == 4
    assert lines[0] == (
        'ACTION=="add|move", SUBSYSTEM=="net", KERNEL=="eth0", '
        'RUN+="/bin/systemctl --no-block start swarm-node-nic.service"'
    )
    assert 'KERNEL!="eth0", NAME=="eth0"' in lines[1]


def test_the_program_is_the_same_each_time_and_holds_what_it_needs(program):
    assert program.read_bytes() == program_text().encode("utf-8", "surrogateescape")
    names = zipfile.ZipFile(program).namelist()
    assert {"swarm_node/nic/undoing.py", "swarm_node/nic/reapply.py", "swarm_node/core/engine.py"} <= set(
        names
    )
    assert not any("/mesh/" in name or "/gpu" in name or name.endswith("runner.py") for name in names)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--version"], 0, "swarm.node"),
        (["status"], 0, "nothing is armed"),
        (["status", "--json"], 0, '"armed": null'),
        (["check"], 0, "nothing is on record"),
        (["guard"], 0, ""),
        (["opened"], 0, "nothing is on record"),
        (["nonsense"], 2, ""),
    ],
)
def test_it_runs_alone(program, tmp_path, words, code, said):
    places = ["--root", tmp_path, "--state-dir", tmp_path / "s", "--run-dir", tmp_path / "r"]
    argv = [
        sys.executable,
        "-I",
        program,
        *words,
        *(places if words[0] in ("status", "check", "guard") else []),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if words[0] == "guard" and done.returncode == 1:
        assert "needs root" in done.stdout
        return
    assert done.returncode == code and said in done.stdout + done.stderr, done
