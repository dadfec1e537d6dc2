# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Initial RAM disks of the guests: a shared one with busybox and modules, a small one per guest behind it.

The kernel unpacks archives that follow each other into one file system, so what differs from guest to
guest is a second archive of a few kilobytes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.errors import LabError

# Where the init script finds its parts.
MODULES = "modules"
NODE_ARCHIVE = "node.tar"

# What the root file system and the order of the network interfaces need; entropy, so that sshd need not wait.
WANTED_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio-rng", "ext4")


@dataclass(frozen=True)
class Member:
    """One file, directory or link; `content` is a link's target."""

    name: str
    mode: int
    content: bytes = b""


def directory(name: str) -> Member:
    return Member(name, stat.S_IFDIR | 0o755)


def file(name: str, content: bytes, executable: bool = False) -> Member:
    return Member(name, stat.S_IFREG | (0o755 if executable else 0o644), content)


def cpio(members: Iterable[Member]) -> bytes:
    """The members as an archive in the format "newc", owned by root, without times."""
    parts = []
    for number, member in enumerate([*members, Member("TRAILER!!!", 0)], start=1):
        name = member.name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(member.mode) else 1
        fields = (number, member.mode, 0, 0, links, 0, len(member.content), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        parts += [_padded(header + name), _padded(member.content)]
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def load_order(dependencies: str, builtin: str, wanted: Iterable[str]) -> list[str]:
    """The files of the wanted modules and of all they need, in the order to load them.

    `dependencies` is the text of modules.dep, `builtin` that of modules.builtin: what is part of the
    kernel itself is left out. LabError names a module the kernel does not have at all.
    """
    needs: dict[str, list[str]] = {}
    for line in dependencies.splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {module_name(path): path for path in needs}
    inside = {module_name(path) for path in builtin.split()}
    order: list[str] = []
    for name in wanted:
        key = module_name(name)
        if key in by_name:
            path = by_name[key]
            # modules.dep lists the nearest dependency first.
            order += [each for each in [*reversed(needs[path]), path] if each not in order]
        elif key not in inside:
            raise LabError(f"the guests' kernel has no module {name}")
    return order


def module_name(path: str) -> str:
    """The name of a module as the kernel has it: kernel/…/virtio-rng.ko → virtio_rng."""
    return PurePosixPath(path).name.partition(".")[0].replace("-", "_")


def shared(busybox: bytes, init: bytes, modules: Mapping[str, bytes]) -> bytes:
    """The archive all guests of a suite have in common; `modules` in the order to load them."""
    folders = [directory(name) for name in ("bin", "dev", "proc", "sys", "root", MODULES)]
    files = [file("bin/busybox", busybox, executable=True), file("init", init, executable=True)]
    for index, (path, content) in enumerate(modules.items()):
        files.append(file(f"{MODULES}/{index:02}-{PurePosixPath(path).name}", content))
    return cpio([*folders, *files])


def own(node_archive: bytes) -> bytes:
    """The second archive: what one guest is given at its first boot."""
    return cpio([file(NODE_ARCHIVE, node_archive)])
