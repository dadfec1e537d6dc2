# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program: one file made of the collection's sources, that runs by itself; and the units that run it."""

from __future__ import annotations

import ast
import configparser
import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import read_clock
from ansible_collections.swarm.node.plugins.module_utils.core.marking import is_untouched
from ansible_collections.swarm.node.plugins.module_utils.core.version import VERSION
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import Armed
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import GUARD, PROGRAM
from ansible_collections.swarm.node.plugins.module_utils.mesh.program import program_text
from ansible_collections.swarm.node.plugins.module_utils.mesh.units import (
    REFRESH,
    REFRESH_TIMER,
    STOPPED,
    WANTED_BY,
    guard_service,
    refresh_service,
    refresh_timer,
    texts,
    unit_path,
)

UNITS = {
    GUARD: guard_service("/usr/bin/python3"),
    REFRESH: refresh_service("/usr/bin/python3"),
    REFRESH_TIMER: refresh_timer(),
}
root = pytest.mark.skipif(os.geteuid() != 0, reason="these commands need root")


def section(unit: str, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(UNITS[unit])
    return dict(parser[name])


# -- units


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace("/usr/bin/python3", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert [line for line in done.stderr.splitlines() if "swarm-node" in line] == [], done.stderr


def test_the_guard_outlives_everything_but_its_work() -> None:
    service, unit = section(GUARD, "Service"), section(GUARD, "Unit")
    assert service["Type"] == "notify", "systemctl start returns once it counts"
    assert "RuntimeMaxSec" not in service and service["Restart"] == "on-abnormal"
    # Ended by a signal that is not systemd's own, it goes on; a stop by systemd is no failure.
    assert service["RestartForceExitStatus"] == service["SuccessExitStatus"] == str(STOPPED)
    assert not {"Requires", "BindsTo", "Before", "PartOf"} & set(unit)
    assert not {"ProtectSystem", "ProtectKernelModules", "PrivateNetwork"} & set(service), (
        "the undo needs these"
    )


def test_a_boot_starts_the_guard_only_where_something_is_armed() -> None:
    conditions = [line for line in UNITS[GUARD].splitlines() if line.startswith("ConditionPathExists=")]
    assert conditions == [
        f"ConditionPathExists={PROGRAM}",
        "ConditionPathExists=|/var/lib/swarm_node/mesh/armed.json",
        "ConditionPathExists=|/run/swarm_node/mesh-arming.json",
    ]
    other = guard_service("/usr/bin/python3", "/state", "/run/x")
    assert "|/state/mesh/armed.json" in other and "|/run/x/mesh-arming.json" in other
    assert f"{PROGRAM} guard --state-dir /state --run-dir /run/x\n" in other
    assert f"{PROGRAM} guard\n" in UNITS[GUARD]


def test_links_are_what_the_units_ask_for() -> None:
    for name, wanted_by in WANTED_BY.items():
        assert section(name, "Install")["WantedBy"] == wanted_by
    assert section(REFRESH_TIMER, "Timer")["Unit"] == REFRESH


def test_which_files_there_are() -> None:
    units = {unit_path(REFRESH), unit_path(REFRESH_TIMER)}
    there = texts(program_text, refresh=True, armed=True)
    assert set(there) == {PROGRAM, *units} and all(is_untouched(text or "") for text in there.values())
    assert texts(program_text, refresh=False, armed=True) == dict.fromkeys(units), (
        "the guard runs the program"
    )
    assert texts(program_text, refresh=False, armed=False) == dict.fromkeys({PROGRAM, *units})
    firewall = texts(program_text, refresh=False, armed=False, program=True)
    assert firewall[PROGRAM] and [path for path, text in firewall.items() if text is None] == sorted(units)


# -- the program


@pytest.fixture(scope="module")
def program() -> bytes:
    return program_text().encode("utf-8", "surrogateescape")


@pytest.fixture
def pyz(program: bytes, tmp_path: Path) -> Path:
    place = tmp_path / "mesh.pyz"
    place.write_bytes(program)
    for name in ("root/proc/sys/kernel/random", "root/etc", "run"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copy("/proc/sys/kernel/random/boot_id", tmp_path / "root/proc/sys/kernel/random/boot_id")
    return place


def start(pyz: Path, command: str, *more: str) -> subprocess.Popen[str]:
    places = {name: str(pyz.parent / place) for name, place in PLACES.items()}
    words = [word for pair in places.items() for word in pair]
    return subprocess.Popen(
        [sys.executable, "-I", str(pyz), command, *words, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=pyz.parent,
        env={"PATH": os.environ["PATH"]},
    )


PLACES = {"--root": "root", "--state-dir": "state", "--run-dir": "run"}


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it said; it is not left behind where it does not end."""
    try:
        return process.communicate(timeout=30)
    finally:
        process.kill()


def run(pyz: Path, command: str, *more: str) -> tuple[int, str]:
    process = start(pyz, command, *more)
    out, err = finished(process)
    assert "Traceback" not in err, err
    return process.returncode, out + err


def arm(pyz: Path, seconds: float, where: str = "run/mesh-arming.json") -> Path:
    clock = read_clock()
    armed = Armed("t1", clock.wall, clock.boot_id, clock.boottime, seconds, {}, {"firewall": "none"})
    place = pyz.parent / where
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(armed.to_text())
    return pyz.parent / "state/mesh/armed.json"


def test_what_is_in_the_program(program: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(program)) as archive:
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED and entry.date_time == (1980, 1, 1, 0, 0, 0)
            for node in ast.walk(ast.parse(archive.read(entry), feature_version=(3, 9))):
                absolute = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    absolute.append(node.module or "")
                tops = {name.partition(".")[0] for name in absolute} - {"swarm_node"}
                assert tops <= sys.stdlib_module_names, (entry.filename, tops)
        modules = {name for name in archive.namelist() if not name.endswith("__init__.py")}
    for needed in ("mesh/program.py", "mesh/layer.py", "mesh/watch.py", "core/engine.py"):
        assert f"swarm_node/{needed}" in modules
    unneeded = {"core/runner.py", "mesh/confirming.py", "gpu/layer.py", "boot/part.py", "kernel/layer.py"}
    for name in unneeded:
        assert f"swarm_node/{name}" not in modules
    assert is_untouched(program.decode("utf-8", "surrogateescape"))


def test_the_program_makes_itself(program: bytes, tmp_path: Path) -> None:
    """An undo plans the program's file from within the program: equal sources, equal bytes."""
    place = tmp_path / "mesh.pyz"
    place.write_bytes(program)
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        "from swarm_node.mesh.program import program_text\n"
        "sys.stdout.buffer.write(program_text().encode('utf-8', 'surrogateescape'))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert done.stdout == program


def test_its_command_line(pyz: Path) -> None:
    for arguments, code, words in (
        (["--version"], 0, f"swarm.node {VERSION}"),
        (["--help"], 0, "return codes:"),
        (["bogus"], 2, "invalid choice"),
        ([], 2, "required: COMMAND"),
    ):
        done = subprocess.run(
            [sys.executable, "-I", str(pyz), *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == code and words in done.stdout + done.stderr, done


def test_status(pyz: Path) -> None:
    assert run(pyz, "status") == (0, "nothing is armed\n")
    arm(pyz, 100, "state/mesh/armed.json")
    code, said = run(pyz, "status")
    assert code == 0 and "run 't1' changed the mesh" in said and "the guard does not run" in said
    assert json.loads(run(pyz, "status", "--json")[1])["armed"]["token"] == "t1"
    (pyz.parent / "state/mesh/armed.json").write_text("{")
    code, said = run(pyz, "status")
    assert code == 1 and "cannot be read" in said


@root
def test_the_guard_takes_over_waits_and_undoes(pyz: Path) -> None:
    armed = arm(pyz, 1.0)
    began = time.monotonic()
    process = start(pyz, "guard")
    while (pyz.parent / "run/mesh-arming.json").exists() and time.monotonic() - began < 5:
        time.sleep(0.01)
    assert armed.stat().st_mode & 0o777 == 0o600
    out, err = finished(process)
    assert process.returncode == 0 and err == "" and time.monotonic() - began >= 0.9
    assert "is undone, as nobody confirmed it" in out and not armed.exists()
    reverted = json.loads((pyz.parent / "state/mesh/reverted.json").read_text())
    assert reverted["token"] == "t1" and reverted["undone"] == []


@root
def test_the_guard_stops_when_told(pyz: Path) -> None:
    armed = arm(pyz, 100.0)
    process = start(pyz, "guard")
    assert process.stdout and "run 't1' changed the mesh" in process.stdout.readline()
    process.terminate()
    out, err = finished(process)
    assert process.returncode == STOPPED and "stopped by SIGTERM" in out and err == "" and armed.exists()


@root
def test_the_guard_of_nothing(pyz: Path) -> None:
    assert run(pyz, "guard") == (0, "nothing is armed\n")
    place = pyz.parent / "run/mesh-arming.json"
    place.write_text("{")
    code, said = run(pyz, "guard")
    assert code == 1 and f"{place} cannot be read" in said
    assert not (pyz.parent / "state/mesh/armed.json").exists(), "half a file is never armed"


@root
def test_refresh_and_firewall_without_a_mesh(pyz: Path) -> None:
    for command in ("refresh", "firewall"):
        assert run(pyz, command) == (0, "")
