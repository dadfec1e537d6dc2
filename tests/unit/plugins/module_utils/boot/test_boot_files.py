# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts: units that systemd accepts, a program that is the same everywhere and runs by itself."""

from __future__ import annotations

import ast
import configparser
import io
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.boot import bundle, part, status, units
from ansible_collections.swarm.node.plugins.module_utils.boot.marking import is_untouched, marked
from ansible_collections.swarm.node.plugins.module_utils.boot.owners import Owner, parse_owner, render_owner
from ansible_collections.swarm.node.plugins.module_utils.boot.paths import (
    PROGRAM,
    SERVICE,
    TIMER,
    UDEV_RULE,
    UNITS,
    WANTED_BY,
    WATCH,
    unit_path,
)
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.core.version import VERSION

TEXTS = units.texts("/usr/bin/python3")


def section(unit: str, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(TEXTS[unit_path(unit)])
    return dict(parser[name])


# -- units


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze on this machine")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in UNITS:
        text = TEXTS[unit_path(name)].replace("/usr/bin/python3", sys.executable)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    about_us = [line for line in done.stderr.splitlines() if "swarm-node" in line]
    assert about_us == [], done.stderr


def test_the_service_never_holds_up_a_boot() -> None:
    service = section(SERVICE, "Service")
    assert service["Type"] == "oneshot"
    # Where NVML hangs, systemd waits before SIGTERM, before SIGKILL, and for what SIGKILL cannot end.
    assert int(service["TimeoutStartSec"]) + 2 * int(service["TimeoutStopSec"]) == status.LONGEST_RUN <= 240
    assert "RemainAfterExit" not in service, "an active unit is not started again by nvidia-persistenced"
    unit = section(SERVICE, "Unit")
    assert not {"Requires", "BindsTo", "Requisite", "RequiredBy"} & {*unit, *section(SERVICE, "Install")}
    assert set(unit["After"].split()).isdisjoint(unit["Before"].split())
    for other in (
        "nvidia-persistenced.service",
        "nvidia-fabricmanager.service",
        "nvidia-mig-manager.service",
    ):
        assert other in unit["After"].split()
    for other in ("slurmd.service", "kubelet.service", "docker.service", "containerd.service"):
        assert other in unit["Before"].split()


@pytest.mark.parametrize("unit", [SERVICE, WATCH])
def test_nothing_keeps_the_program_from_the_gpus(unit: str) -> None:
    closing = {
        "PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock", "ProtectKernelModules",
        "ProtectKernelTunables", "ProtectControlGroups", "MemoryDenyWriteExecute", "RestrictAddressFamilies",
        "DynamicUser", "User", "NoNewPrivileges", "PrivateTmp",
    }  # fmt: skip
    assert closing.isdisjoint(section(unit, "Service"))


def test_links_are_what_the_units_ask_for() -> None:
    for name, wanted_by in WANTED_BY.items():
        assert section(name, "Install")["WantedBy"].split() == list(wanted_by)
    assert section(TIMER, "Timer")["Unit"] == WATCH


def test_the_udev_rule() -> None:
    """As text only: no container has an udevd that sees modules."""
    (rule,) = [line for line in TEXTS[UDEV_RULE].splitlines() if not line.startswith("#")]
    match, _comma, action = rule.rpartition(", ")
    assert match == 'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nvidia"'
    assert re.fullmatch(rf'RUN\+="/bin/systemctl --no-block start {WATCH}"', action)


def test_units_are_the_same_in_every_version() -> None:
    """A version in them would make an upgrade reload systemd."""
    assert all(VERSION not in text for text in TEXTS.values())


def test_the_python_of_the_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The short name where it is the same Python; a virtual environment has other modules than its base."""
    real, link = tmp_path / "python3.11", tmp_path / "python3"
    real.touch()
    link.symlink_to(real)
    monkeypatch.setattr(part, "PYTHON", str(link))
    monkeypatch.setattr(part.sys, "executable", str(real))
    monkeypatch.setattr(part.sys, "prefix", "/usr")
    monkeypatch.setattr(part.sys, "base_prefix", "/usr")
    assert part.interpreter() == str(link)
    environment = tmp_path / "environment/bin/python"
    environment.parent.mkdir(parents=True)
    environment.symlink_to(real)
    monkeypatch.setattr(part.sys, "executable", str(environment))
    monkeypatch.setattr(part.sys, "prefix", str(tmp_path / "environment"))
    assert part.interpreter() == str(environment)
    monkeypatch.setattr(part, "PYTHON", "/nowhere/python3")
    assert part.interpreter() == str(environment)


# -- whose file it is


def test_an_edit_is_seen() -> None:
    text = marked("a\nb\n")
    assert is_untouched(text) and is_untouched(marked("", "#!/bin/sh"))
    for other in (text.replace("b", "c"), text + "\n", text[1:], "", "a\nb\n"):
        assert not is_untouched(other)


def test_owner_files() -> None:
    owner = Owner("gpu", "manage", "/opt/pynvml.whl", "/opt/lib 64/libnvidia-ml.so.1")
    assert parse_owner("gpu", render_owner(owner)) == owner and is_untouched(render_owner(owner))
    assert parse_owner("x", render_owner(Owner("x"))) == Owner("x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"no section \[boot\]"),
        ("manage = auto\n", r"no section \[boot\]"),
        ("[boot]\nmanage = no\n", "'no' is refused; allowed: auto, manage"),
        ("[boot]\nmange = auto\n", "mange is not known; allowed: manage"),
    ],
)
def test_owner_files_that_make_no_sense(text: str, words: str) -> None:
    with pytest.raises(NodeError, match=words):
        parse_owner("gpu", text)


# -- the program


@pytest.fixture(scope="module")
def program() -> bytes:
    return bundle.bundle().encode("utf-8", "surrogateescape")


def test_the_program_is_the_same_every_time(program: bytes, tmp_path: Path, checkout: Path) -> None:
    """Also from a zip, as Ansible sends it, and whatever the package is called there."""
    home = "sent.by.ansible"
    with zipfile.ZipFile(tmp_path / "sent.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        packages = {"sent", "sent/by", "sent/by/ansible"}
        for path in sorted((checkout / "plugins/module_utils").glob("*/*.py")):
            package = f"sent/by/ansible/{path.parent.name}"
            packages.add(package)
            archive.write(path, f"{package}/{path.name}")
        for package in sorted(packages):
            archive.writestr(f"{package}/__init__.py", "")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'sent.zip')!r})\n"
        f"from {home}.boot.bundle import bundle\n"
        "sys.stdout.buffer.write(bundle().encode('utf-8', 'surrogateescape'))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert done.stdout == program


def test_what_is_in_the_program(program: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(program)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED and entry.date_time == (1980, 1, 1, 0, 0, 0)
            tree = ast.parse(archive.read(entry), feature_version=(3, 9))
            for node in ast.walk(tree):
                absolute = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and not node.level:
                    absolute.append(node.module or "")
                tops = {name.partition(".")[0] for name in absolute} - {"swarm_node", "pynvml"}
                assert tops <= sys.stdlib_module_names, (entry.filename, tops)
        modules = {name for name in names if not name.endswith("__init__.py")}
    for needed in ("boot/program.py", "boot/watch.py", "core/engine.py", "core/version.py", "gpu/layer.py"):
        assert f"swarm_node/{needed}" in modules
    for unneeded in (
        "core/runner.py",
        "boot/part.py",
        "boot/bundle.py",
        "kernel/layer.py",
        "packages/layer.py",
    ):
        assert f"swarm_node/{unneeded}" not in modules


def test_the_program_is_marked_as_ours(program: bytes) -> None:
    text = program.decode("utf-8", "surrogateescape")
    assert is_untouched(text) and not is_untouched(text + "x") and text.startswith("#!/usr/bin/python3 -I\n")


def test_the_program_runs_by_itself(program: bytes, tmp_path: Path) -> None:
    place = tmp_path / "swarm_node.pyz"
    place.write_bytes(program)
    for arguments, code, words in (
        (["--version"], 0, f"swarm.node {VERSION}"),
        (["status", "--run-dir", str(tmp_path)], 0, "has not run since this boot"),
        (["--help"], 0, "return codes:"),
        (["bogus"], 2, "invalid choice"),
        ([], 2, "required: COMMAND"),
    ):
        done = subprocess.run(
            [sys.executable, "-I", str(place), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code and words in done.stdout + done.stderr, done
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["swarm_node.pyz"]


def test_its_path_is_where_the_units_look() -> None:
    assert f"-I {PROGRAM} reapply" in section(SERVICE, "Service")["ExecStart"]
    assert f"-I {PROGRAM} watch" in section(WATCH, "Service")["ExecStart"]


def test_every_way_to_import_is_found() -> None:
    source = (
        "from . import one, two\nfrom .three import (\n    four,  # (why)\n    five as six,\n)\n"
        "from ..core import files\nfrom ...up import x\nimport os\n\ndef f():\n    from .late import y\n"
    )
    found = set(bundle.imports("boot.program", source))
    assert {"boot.one", "boot.two", "boot.three", "boot.three.four", "boot.three.five"} <= found
    assert {"core.files", "core", "boot.late"} <= found and "os" not in found
