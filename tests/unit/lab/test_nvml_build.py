# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building the simulator's library and package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nvml_sim import Simulator, built_library, nvml_build

HIGHEST_GLIBC = (2, 34)


def tool(*command: object) -> str:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def header() -> Path:
    return nvml_build.find_header(None)


def test_exports_exactly_what_the_header_declares(header: Path) -> None:
    symbols = tool("nm", "-D", "--defined-only", built_library())
    exported = set(re.findall(r" T (\w+)", symbols))
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", (header / "nvml.h").read_text(), flags=re.DOTALL)
    declared = set(re.findall(r"DECLDIR\b[^;(]*?(?:DEPRECATED\([^)]*\))?[^;(]*?(nvml\w+)\s*\(", text))
    assert len(declared) > 400
    assert exported == declared


def test_runs_on_older_systems_than_its_builder() -> None:
    """What a newer glibc redirects (strtol, sscanf …) would show here as a GLIBC_2.38 symbol."""
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", tool("objdump", "-T", built_library()))
    assert versions
    assert max((int(major), int(minor)) for major, minor in versions) <= HIGHEST_GLIBC
    sources = "".join(path.read_text() for path in sorted((nvml_build.HERE / "src").glob("*.c")))
    redirected = r"\b(strto\w+|v?[fs]?scanf|ato[ilf]\w*|strl(cpy|cat)|arc4random\w*)\s*\("
    assert re.search(redirected, sources) is None


def test_soname() -> None:
    dynamic = tool("readelf", "-d", built_library())
    assert re.search(r"\(SONAME\)\s+Library soname: \[libnvidia-ml\.so\.1\]", dynamic)


def test_built_again_only_when_something_changed(tmp_path: Path, header: Path) -> None:
    include = tmp_path / "include"
    include.mkdir()
    shutil.copy(header / "nvml.h", include)
    library = nvml_build.build(tmp_path / "out", include)
    first = library.stat().st_ino
    assert nvml_build.build(tmp_path / "out", include).stat().st_ino == first

    text = (include / "nvml.h").read_text()
    place = text.index("nvmlReturn_t DECLDIR nvmlInit_v2")
    (include / "nvml.h").write_text(
        text[:place]
        + "nvmlReturn_t DECLDIR nvmlDeviceBrandNew(nvmlDevice_t device, int *out);\n"
        + text[place:]
    )
    assert nvml_build.build(tmp_path / "out", include).stat().st_ino != first
    assert " T nvmlDeviceBrandNew" in tool("nm", "-D", library)
    assert "nvmlDeviceBrandNew" in library.with_name("functions.txt").read_text().split()


def test_the_compiler_has_nothing_to_say(tmp_path: Path, header: Path) -> None:
    """Warnings are errors here only: a compiler of tomorrow must not keep anyone from building."""
    nvml_build.compile_library(tmp_path, header, "-Werror")
    assert (tmp_path / nvml_build.SONAME).is_file()


def test_a_header_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(nvml_build.BuildError, match=re.escape(str(tmp_path))):
        nvml_build.find_header(tmp_path)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_package(tmp_path: Path) -> None:
    deb = nvml_build.build_package(tmp_path / "nvml.deb")

    def field(name: str) -> str:
        return tool("dpkg-deb", "-f", deb, name).strip()

    assert (field("Package"), field("Version")) == ("libnvidia-ml1", "550.163.01-0+sim1")
    assert field("Architecture") == tool("dpkg", "--print-architecture").strip()
    assert "libnvidia-ml.so.1 (= 550.163.01)" in field("Provides")
    assert "simulator" in field("Description")

    root = tmp_path / "root"
    tool("dpkg-deb", "-x", deb, root)
    units = root / "usr/lib/systemd/system"
    assert "ExecStart=/usr/sbin/nvml-sim reboot" in (units / "nvml-sim-boot.service").read_text()
    wants = units / "sysinit.target.wants/nvml-sim-boot.service"
    assert wants.is_symlink()
    assert wants.resolve() == (units / "nvml-sim-boot.service").resolve()

    # The unpacked command works by itself, and the packaged library sees the node it made.
    state = tmp_path / "state"
    cli = root / "usr/sbin/nvml-sim"
    tool(cli, "--dir", state, "init", "--boards", "l40s:4,t4:2")
    assert len(json.loads(tool(cli, "status", "--json", "--dir", state))["gpus"]) == 6
    (library,) = root.glob("usr/lib/*/libnvidia-ml.so.1")
    packaged = Simulator(state, library)
    with packaged.client() as nvml:
        assert nvml("nvmlDeviceGetCount") == 6
    refused = subprocess.run(
        [cli, "--dir", state, "inject", "nvmlNoSuch", "TIMEOUT"], capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "nvmlNoSuch" in refused.stderr


def test_package_is_repeatable(tmp_path: Path) -> None:
    first, second = (nvml_build.build_package(tmp_path / name) for name in ("a.deb", "b.deb"))
    assert first.read_bytes() == second.read_bytes()


def test_command_line(tmp_path: Path) -> None:
    script = nvml_build.HERE / "build.py"
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, env=dict(os.environ))
    assert run.returncode == 2
    assert "--out" in run.stderr
    wrong = subprocess.run(
        [sys.executable, script, "--out", tmp_path, "--header", tmp_path], capture_output=True, text=True
    )
    assert wrong.returncode == 1
    assert "there is no nvml.h" in wrong.stderr
