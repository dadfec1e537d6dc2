# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disk images, kernels and initrds of the guests: one each per suite, cached by content."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lab import images
from lab.errors import LabError
from lab.paths import ROOT
from lab.shell import run, say
from lab.spec import PACKAGES, REPOSITORY_PACKAGES
from lab.vm import initrd

GUEST_FILES = ROOT / "lab" / "vm" / "guest"
# A guest has all a container node has, and what only makes sense with a kernel of its own.
MACHINE_PACKAGES = (*PACKAGES, "ethtool", "ifupdown", "udev")
# Room that is not written to takes no place on the host.
DISK_SIZE = "2G"
TOOLS = ("qemu-system-x86_64", "qemu-img", "mke2fs", "debugfs", "busybox")


@dataclass(frozen=True)
class Parts:
    """What a guest of one suite starts from; all three are read-only and shared."""

    disk: Path
    kernel: Path
    initrd: Path


def check_tools() -> None:
    """LabError unless the programs virtual machines need are there."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise LabError(f"{', '.join(missing)}: not installed; run scripts/bootstrap vm")


def parts(suites: Iterable[str]) -> dict[str, Parts]:
    """The parts of each suite; those not cached are built side by side."""
    wanted = list(dict.fromkeys(suites))
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        jobs = {suite: pool.submit(_parts, suite) for suite in wanted}
        return {suite: job.result() for suite, job in jobs.items()}


def disk_key(suite: str) -> str:
    """The content key of a suite's disk image; the initrd is made apart from it."""
    words = [suite, DISK_SIZE, *MACHINE_PACKAGES, "/", *REPOSITORY_PACKAGES]
    hooks = [(GUEST_FILES / name).read_bytes() for name in ("kernel", "customize")]
    return images.digest([*(word.encode() for word in words), *images.tree_parts(images.NODE_FILES), *hooks])


def _parts(suite: str) -> Parts:
    key = disk_key(suite)
    disk = images.cached(f"vm-disk-{suite}", key, ".img", lambda output: _build_disk(suite, output))
    kernel = images.cached(f"vm-kernel-{suite}", key, ".bin", lambda output: _dump_kernel(disk, output))
    content = images.digest([key.encode(), _init(), busybox()])
    shared = images.cached(f"vm-initrd-{suite}", content, ".cpio", lambda output: _build_initrd(disk, output))
    return Parts(disk, kernel, shared)


def _build_disk(suite: str, output: Path) -> None:
    root = output.with_suffix(".root")
    hooks = [
        f'--customize-hook={shlex.quote(str(GUEST_FILES / "kernel"))} "$1"',
        f"--customize-hook={images.customize_hook()}",
        f'--customize-hook={shlex.quote(str(GUEST_FILES / "customize"))} "$1"',
        # They are those of the local repository, made by the last hook.
        "--skip=cleanup/apt/lists",
    ]
    try:
        images.debootstrap(suite, root, MACHINE_PACKAGES, hooks)
        say(f"{suite}: writing the disk image")
        options = ["-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
        run(["mke2fs", *options, "-d", str(root), str(output), DISK_SIZE], timeout=300)
    finally:
        if root.exists():
            shutil.rmtree(root)


def _dump_kernel(disk: Path, output: Path) -> None:
    names = [name for name in _names(disk, "/boot") if name.startswith("vmlinuz-")]
    if len(names) != 1:
        raise LabError(f"{disk}: one kernel is expected in /boot, found: {', '.join(names) or 'none'}")
    _dump(disk, f"/boot/{names[0]}", output)


def _build_initrd(disk: Path, output: Path) -> None:
    version = next(name for name in _names(disk, "/usr/lib/modules") if name[:1].isdigit())
    top = f"/usr/lib/modules/{version}"

    def content(name: str) -> bytes:
        _dump(disk, f"{top}/{name}", output)
        return output.read_bytes()

    dependencies, builtin = (content(name).decode() for name in ("modules.dep", "modules.builtin"))
    order = initrd.load_order(dependencies, builtin, initrd.WANTED_MODULES)
    output.write_bytes(initrd.shared(busybox(), _init(), {path: content(path) for path in order}))


def _init() -> bytes:
    return (GUEST_FILES / "init").read_bytes()


def busybox() -> bytes:
    """The program; LabError when it needs libraries, which an initrd has not."""
    content = Path(shutil.which("busybox") or "/bin/busybox").read_bytes()
    if b"/ld-linux" in content:
        raise LabError("busybox on this machine is not static; run scripts/bootstrap vm")
    return content


def _names(disk: Path, folder: str) -> list[str]:
    """The names in a folder of the image: debugfs prints /inode/mode/uid/gid/name/size/."""
    listed = run(["debugfs", "-R", f"ls -p {folder}", str(disk)])
    return [line.split("/")[5] for line in listed.splitlines() if line.count("/") >= 7]


def _dump(disk: Path, source: str, output: Path) -> None:
    """Copies a file out of the image; debugfs itself returns zero whatever happens."""
    output.unlink(missing_ok=True)
    run(["debugfs", "-R", f'dump {source} "{output}"', str(disk)])
    if not output.exists() or output.stat().st_size == 0:
        raise LabError(f"{disk}: no {source} in the image")
