# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages for nodes that have no way out: fetched here, from where the lab has its nodes from."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

from lab import apt, sets
from lab.paths import LabPaths

INSTALL = """
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
rm -rf /srv/more && mkdir /srv/more && tar -C /srv/more -xf - || exit 1
DEBIAN_FRONTEND=noninteractive dpkg -i /srv/more/*.deb >/srv/more/log 2>&1 || { cat /srv/more/log; exit 1; }
rm -r /usr/sbin/policy-rc.d /srv/more
"""
"""No service starts by being installed."""


def install(lab: str, node: str, packages: list[str], work: Path) -> None:
    """Installs packages and all they need; work: a directory of the caller's."""
    query = (
        f"dpkg-query -f '${{Status}}\\n' -W {' '.join(packages)} | grep -c '^install ok installed' || true"
    )
    if int(_exec(lab, node, "sh", "-c", f"{query} 2>/dev/null")) == len(packages):
        return
    for name in ("lists/partial", "cache/archives/partial"):
        (work / name).mkdir(parents=True, exist_ok=True)
    suite = sets.node_of(LabPaths(lab), node).suite
    (work / "sources").write_text(f"{apt.source_line(suite)}\n", encoding="utf-8")
    (work / "conf").write_text(apt.configuration(), encoding="utf-8")
    (work / "status").write_bytes(_exec(lab, node, "cat", "/var/lib/dpkg/status"))
    options = {
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::State::extended_states": work / "extended",
        "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": work / "sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Debug::NoLocking": "true",
        "APT::Sandbox::User": "root",
    }
    line = ["apt-get", "-q", "-y", "-c", str(work / "conf")]
    line += [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    fetch = ["install", "--download-only", "--no-install-recommends", *packages]
    for words in (["update"], fetch):
        done = subprocess.run([*line, *words], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    archives = sorted((work / "cache/archives").glob("*.deb"))
    if archives:
        _exec(lab, node, "sh", "-c", INSTALL, data=_tar(archives))


def _tar(files: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in files:
            tar.add(file, file.name)
    return buffer.getvalue()


def _exec(lab: str, node: str, *words: str, data: bytes = b"") -> bytes:
    line = [sys.executable, "-m", "lab", "exec", "--name", lab, node, *words]
    done = subprocess.run(line, input=data, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, f"{node}: {words}: {done.stdout!r} {done.stderr!r}"
    return done.stdout
