# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root file systems of the nodes and the simulator's package: built once, cached by content."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lab import apt
from lab.errors import LabError
from lab.paths import ROOT, cache_dir
from lab.shell import failure, run, say
from lab.spec import PACKAGES, REPOSITORY_PACKAGES

NODE_FILES = ROOT / "lab" / "node"
SIMULATOR = ROOT / "lab" / "nvml"
BUILD_TIMEOUT = 900
UNUSED_SECONDS = 24 * 3600


def digest(parts: Iterable[bytes]) -> str:
    """Sixteen hex digits over the parts; their borders count."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()[:16]


def tree_parts(top: Path) -> Iterator[bytes]:
    """Name, executable bit and content of every file below `top`, in a fixed order."""
    for path in sorted(top.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(top)).encode()
            yield b"x" if os.access(path, os.X_OK) else b"-"
            yield path.read_bytes()


def root_key(suite: str) -> str:
    """The content key of a suite's root file system."""
    words = [suite, *PACKAGES, "/", *REPOSITORY_PACKAGES]
    return digest([*(word.encode() for word in words), *tree_parts(NODE_FILES)])


def simulator_key() -> str:
    """The content key of the simulator's package: its sources and the header it is built against."""
    try:
        header = version("nvidia-nvml-dev")
    except PackageNotFoundError as error:
        raise LabError("nvidia-nvml-dev is missing in .venv; run scripts/bootstrap lab") from error
    return digest([header.encode(), *tree_parts(SIMULATOR)])


def roots(suites: Iterable[str]) -> dict[str, Path]:
    """The tar of each suite's root file system; those not cached are built side by side."""
    wanted = list(dict.fromkeys(suites))
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        jobs = {suite: pool.submit(_root, suite) for suite in wanted}
        return {suite: job.result() for suite, job in jobs.items()}


def simulator_package() -> Path:
    """The .deb with the simulated NVML library."""

    def build(output: Path) -> None:
        script = SIMULATOR / "build.py"
        if not script.exists():
            raise LabError(f"{script} is missing: this checkout is incomplete")
        say("building the NVML simulator")
        run([sys.executable, str(script), "--deb", str(output)], timeout=300)

    return cached("libnvidia-ml1", simulator_key(), ".deb", build)


def _root(suite: str) -> Path:
    return cached(f"root-{suite}", root_key(suite), ".tar", lambda output: _mmdebstrap(suite, output))


def cached(kind: str, key: str, suffix: str, build: Callable[[Path], None]) -> Path:
    """`kind-key.suffix` in the cache; built under a lock, whole or not at all; unused ones of the kind go."""
    folder = cache_dir()
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"{kind}-{key}{suffix}"
    with _locked(folder / f"{kind}.lock"):
        if not final.exists():
            part = folder / f".{kind}-{key}.{os.getpid()}.part{suffix}"
            try:
                build(part)
                part.replace(final)
            finally:
                part.unlink(missing_ok=True)
        os.utime(final)
        for old in folder.glob(f"{kind}-*{suffix}"):
            # Another checkout may be at work with what is old news here.
            if time.time() - old.stat().st_mtime > UNUSED_SECONDS:
                old.unlink()
    return final


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _mmdebstrap(suite: str, output: Path) -> None:
    debootstrap(suite, output, PACKAGES, [f"--customize-hook={customize_hook()}"])


def customize_hook() -> str:
    """The hook that turns a plain Debian into a node."""
    return f'{shlex.join([str(NODE_FILES / "customize"), *REPOSITORY_PACKAGES])} -- "$1"'


def debootstrap(suite: str, output: Path, packages: Iterable[str], options: Iterable[str]) -> None:
    """Builds a root file system, a tar or a directory by the output's name; LabError with the last words."""
    say(f"{suite}: building the root file system (about half a minute, kept for later)")
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as configuration:
        configuration.write(apt.configuration())
        configuration.flush()
        command = [
            "mmdebstrap",
            "--variant=minbase",
            f"--include={','.join(packages)}",
            f"--aptopt={configuration.name}",
            *options,
            suite,
            str(output),
            apt.source_line(suite),
        ]
        _follow(suite, command)


def _follow(suite: str, command: list[str]) -> None:
    """Runs the build and passes its stages on as progress lines."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise LabError("mmdebstrap is not installed; run scripts/bootstrap lab") from error
    output = []
    assert process.stdout is not None
    for line in process.stdout:
        output.append(line)
        if line.startswith("I: ") and line.rstrip().endswith("..."):
            say(f"{suite}: {line[3:].strip()}")
    if process.wait(BUILD_TIMEOUT) != 0:
        text = failure(command, process.returncode, "".join(output), lines=25)
        raise LabError(
            f"could not build the {suite} root file system (it comes from the host's own apt mirror; "
            f"{apt.MIRROR_VARIABLE} names another)\n{text}"
        )
