#!/usr/bin/env python3
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the NVML simulator: the library, and a Debian package with library, CLI and boot unit.

NVIDIA's header is taken from the PyPI wheel nvidia-nvml-dev, it is not part of this repository.
Every function the header declares and src/*.c does not define becomes a stub that answers NOT_SUPPORTED.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SONAME = "libnvidia-ml.so.1"
DRIVER = "550.163.01"
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra",
         "-Wno-deprecated-declarations", "-D_GNU_SOURCE")  # fmt: skip
# nvmlReturn_t DECLDIR nvmlX(…); — the keyword DEPRECATED(…) may stand before or after the type.
DECLARATION = re.compile(r"nvmlReturn_t\s+DECLDIR\s+(?:DEPRECATED\([^)]*\)\s*)?(nvml\w+)\s*\(([^;]*?)\)\s*;")


class BuildError(Exception):
    """The simulator cannot be built here; the text says why."""


def find_header(named: Path | None) -> Path:
    """The directory that holds nvml.h: the one named, else that of the installed wheel."""
    if named is not None:
        if (named / "nvml.h").is_file():
            return named
        raise BuildError(f"--header {named}: there is no nvml.h in it")
    for root in dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sys.path]):
        for header in sorted(Path(root).glob("nvidia/**/include/nvml.h")) if root else []:
            return header.parent
    raise BuildError(
        f"nvml.h not found for {sys.executable}: pip install nvidia-nvml-dev, or give --header DIR"
    )


def parse_header(text: str) -> dict[str, str]:
    """{function: its parameters as written} of everything the header declares but nvmlErrorString."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"//[^\n]*", "", text)
    return {name: " ".join(parameters.split()) for name, parameters in DECLARATION.findall(text)}


def stub_source(functions: dict[str, str]) -> str:
    """C text with a stub for each function; those about a device go through its state."""
    lines = ['#include "sim.h"', '#pragma GCC diagnostic ignored "-Wunused-parameter"']
    for name, parameters in sorted(functions.items()):
        device = re.match(r"nvmlDevice_t\s+(\w+)\b", parameters)
        call = f"sim_stub_device(__func__, {device[1]})" if device else "sim_stub(__func__)"
        lines.append(f"nvmlReturn_t {name}({parameters}) {{ return {call}; }}")
    return "\n".join(lines) + "\n"


def since_source(text: str) -> str:
    """functions.conf as a C table."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    lines = [f'    {{"{function}", {branch}}},' for branch, function in rows]
    head = "static const struct { const char *function; unsigned int branch; } since[] = {"
    return "\n".join([head, *lines, "};", ""])


def run(*command: str | Path) -> str:
    """Runs a tool, returns what it printed. BuildError carries its complaint."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(f"{command[0]}: not installed") from None
    if done.returncode:
        raise BuildError(f"{command[0]} failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout


def inputs_digest(header: Path) -> str:
    """A hash over everything the library is made of, the compiler included."""
    digest = hashlib.sha256(run("gcc", "-dumpfullversion", "-dumpmachine").encode())
    files = [
        *sorted((HERE / "src").glob("*.[ch]")),
        HERE / "functions.conf",
        Path(__file__),
        header / "nvml.h",
    ]
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def compile_library(work: Path, header: Path, *extra: str) -> None:
    """Puts the library and functions.txt into `work`; `extra` are more flags for the compiler."""
    (work / "since.h").write_text(since_source((HERE / "functions.conf").read_text()))
    include = ("-I", header, "-I", HERE / "src", "-I", work)
    objects = []
    for source in sorted((HERE / "src").glob("*.c")):
        objects.append(work / f"{source.stem}.o")
        run("gcc", *FLAGS, *extra, *include, "-c", source, "-o", objects[-1])
    defined = set(re.findall(r"\bT (nvml\w+)$", run("nm", "-g", "--defined-only", *objects), re.MULTILINE))
    declared = parse_header((header / "nvml.h").read_text())
    if len(declared) < 300 or not defined <= {*declared, "nvmlErrorString"}:
        strange = sorted(defined - {*declared, "nvmlErrorString"}) or "none"
        raise BuildError(
            f"{header / 'nvml.h'}: {len(declared)} functions read, ours that it lacks: {strange};"
            " not a header this builder understands"
        )
    missing = {name: parameters for name, parameters in declared.items() if name not in defined}
    (work / "stubs.c").write_text(stub_source(missing))
    run("gcc", *FLAGS, *extra, *include, "-c", work / "stubs.c", "-o", work / "stubs.o")
    link = ("-shared", "-Wl,-z,defs", "-Wl,-z,now", f"-Wl,-soname,{SONAME}")
    run("gcc", *link, "-o", work / SONAME, *objects, work / "stubs.o", "-pthread", "-lm")
    (work / "functions.txt").write_text(
        "".join(f"{name}\n" for name in sorted({*declared, "nvmlErrorString"}))
    )


def build(out: Path, header: Path | None = None) -> Path:
    """Builds the library into `out` unless nothing changed; returns its path. Safe to call in parallel."""
    out.mkdir(parents=True, exist_ok=True)
    include = find_header(header)
    digest = inputs_digest(include)
    stamp = out / "digest"
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == digest and (out / SONAME).is_file():
            return out / SONAME
        stamp.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=out) as work:
            compile_library(Path(work), include)
            for name in (SONAME, "functions.txt"):
                (Path(work) / name).replace(out / name)
        stamp.write_text(digest)
    return out / SONAME


CONTROL = """\
Package: libnvidia-ml1
Source: nvml-sim
Version: {version}
Architecture: {architecture}
Maintainer: swarm.node contributors <swarm.node@localhost>
Section: misc
Priority: optional
Depends: libc6 (>= 2.34), python3 (>= 3.9)
Provides: nvml-sim, libnvidia-ml.so.1 (= {driver})
Description: simulator of the NVIDIA Management Library - NOT a driver
 A stand-in for testing fleets without GPUs. It drives no hardware: every GPU
 it reports is made up, its state lives in /var/lib/nvml-sim and is controlled
 with nvml-sim(8). Never install it on a machine that has real GPUs.
"""

# Before everything an ordinary unit could do with a GPU; nothing to do until the node was made.
UNIT = """\
[Unit]
Description=Boot of the simulated GPUs (NVML simulator)
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target multi-user.target shutdown.target
Conflicts=shutdown.target
ConditionPathExists=/var/lib/nvml-sim/node

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nvml-sim reboot

[Install]
WantedBy=sysinit.target
"""


def package_tree(root: Path, header: Path | None) -> None:
    """Fills `root` with the files of the Debian package."""
    libraries = root / "usr/lib" / run("gcc", "-print-multiarch").strip()
    share, units = root / "usr/share/nvml-sim", root / "usr/lib/systemd/system"
    wants, programs = units / "sysinit.target.wants", root / "usr/sbin"
    for path in (libraries, share / "boards", wants, programs, root / "DEBIAN"):
        path.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as built:
        shutil.copy(build(Path(built), header), libraries / SONAME)
        shutil.copy(Path(built) / "functions.txt", share)
    for source in sorted(HERE.glob("nvml_*.py")):
        shutil.copy(source, share)
    for source in sorted((HERE / "boards").glob("*.conf")):
        shutil.copy(source, share / "boards")
    (programs / "nvml-sim").symlink_to("../share/nvml-sim/nvml_sim.py")
    (units / "nvml-sim-boot.service").write_text(UNIT)
    (wants / "nvml-sim-boot.service").symlink_to("../nvml-sim-boot.service")
    architecture = run("dpkg", "--print-architecture").strip()
    control = CONTROL.format(version=f"{DRIVER}-0+sim1", architecture=architecture, driver=DRIVER)
    (root / "DEBIAN/control").write_text(control)
    (root / "DEBIAN/triggers").write_text("activate-noawait ldconfig\n")
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.name == "nvml_sim.py" else 0o644)


def build_package(deb: Path, header: Path | None = None) -> Path:
    """Makes the Debian package; returns its path."""
    deb.parent.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        package_tree(root, header)
        run("dpkg-deb", "--root-owner-group", "--build", root, deb)
    return deb


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="directory for the library")
    parser.add_argument("--deb", type=Path, help="path of the Debian package to make")
    parser.add_argument("--header", type=Path, help="directory with nvml.h (else: the wheel nvidia-nvml-dev)")
    options = parser.parse_args()
    if options.out is None and options.deb is None:
        parser.error("give --out DIR, --deb FILE or both")
    try:
        if options.out is not None:
            print(build(options.out, options.header))
        if options.deb is not None:
            print(build_package(options.deb, options.header))
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
