# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Provides ansible.posix, the peer of the kernel benchmark, from the locked PyPI package `ansible`.

Only that one collection is unpacked, below .cache/benchmarks, under the hash of the package.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.ansible_run import CHECKOUT
from benchmarks.errors import BenchmarkError

CACHE = CHECKOUT / ".cache" / "benchmarks"
INSIDE = "ansible_collections/ansible/posix/"
LOCKED = re.compile(r"^ansible==(\S+) --hash=sha256:([0-9a-f]{64})$")


def lock_file(version: tuple[int, int]) -> Path:
    return CHECKOUT / "requirements" / f"bench-py{version[0]}{version[1]}.txt"


def read_lock(text: str, name: str) -> tuple[str, str]:
    """(version, sha256 in hex) of the one package a lock names. Raises BenchmarkError."""
    joined = text.replace("\\\n", " ")
    lines = [" ".join(line.split()) for line in joined.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    found = LOCKED.match(lines[0]) if len(lines) == 1 else None
    if not found:
        raise BenchmarkError(
            f"{name}: allowed is one package, `ansible==VERSION --hash=sha256:...`; found {lines}"
        )
    return found[1], found[2]


def provide(lock: Path | None = None, cache: Path = CACHE) -> tuple[Path, str]:
    """(a directory for ANSIBLE_COLLECTIONS_PATH, the version of ansible.posix in it).

    Downloads the package once. Raises BenchmarkError if it cannot be had: no benchmark without its peer.
    """
    lock = lock or lock_file(sys.version_info[:2])
    if not lock.is_file():
        raise BenchmarkError(f"{lock.name} is missing: no peer is locked for this Python")
    version, digest = read_lock(lock.read_text("utf-8"), lock.name)
    home = cache / digest[:16]
    if not (home / INSIDE / "MANIFEST.json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            unpack(download(lock, version, Path(name)), Path(name) / "unpacked")
            shutil.rmtree(home, ignore_errors=True)
            (Path(name) / "unpacked").rename(home)
    return home, collection_version(home)


def download(lock: Path, version: str, directory: Path) -> Path:
    """The wheel, its hash checked by pip, which also shows the progress."""
    print(f"benchmarks: getting ansible.posix out of ansible {version} (about 50 MB, once)", flush=True)
    line = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]
    line += ["--only-binary=:all:", "--require-hashes", "--dest", str(directory), "--requirement", str(lock)]
    if subprocess.run(line).returncode != 0:
        raise BenchmarkError(
            f"pip could not get ansible {version} ({lock.name}), and without its peer there is nothing to "
            "compare with: check the network and pip's configuration (pip config list)"
        )
    wheels = list(directory.glob("ansible-*.whl"))
    if len(wheels) != 1:
        raise BenchmarkError(f"pip left {[wheel.name for wheel in wheels]} where one wheel was expected")
    return wheels[0]


def unpack(wheel: Path, target: Path) -> None:
    """Only ansible.posix, of some hundred collections."""
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(INSIDE)]
        if INSIDE + "MANIFEST.json" not in members:
            raise BenchmarkError(f"{wheel.name} holds no {INSIDE}MANIFEST.json")
        archive.extractall(target, members)


def collection_version(home: Path) -> str:
    manifest = json.loads((home / INSIDE / "MANIFEST.json").read_text("utf-8"))
    return str(manifest["collection_info"]["version"])
