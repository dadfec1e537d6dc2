# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Initial RAM disks: the archive's format, and which modules are loaded in which order."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.vm import initrd

# The shape of modules.dep: each line names all a module needs, nearest first.
DEPENDENCIES = """\
kernel/drivers/char/virtio-rng.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
"""
BUILTIN = "kernel/fs/ext4/ext4.ko\nkernel/lib/crc16.ko\n"


def unpack(data: bytes) -> dict[str, tuple[int, bytes]]:
    """name → (mode, content), by the format's definition: 110 bytes of header, both parts padded to four."""
    members: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        header = data[at : at + 110]
        assert header[:6] == b"070701"
        fields = [int(header[6 + 8 * index : 14 + 8 * index], 16) for index in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + length].rstrip(b"\0").decode()
        at = (at + 110 + length + 3) // 4 * 4
        content = data[at : at + size]
        at = (at + size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert at == len(data)
            return members
        members[name] = (mode, content)


@pytest.mark.parametrize("size", range(6))
def test_members_of_any_length_are_found_again(size: int) -> None:
    content = b"x" * size
    members = [
        initrd.directory("a"),
        initrd.file("a/" + "b" * (size + 1), content),
        initrd.file("last", b"end"),
    ]
    unpacked = unpack(initrd.cpio(members))
    assert unpacked["a/" + "b" * (size + 1)] == (stat.S_IFREG | 0o644, content)
    assert unpacked["last"][1] == b"end"
    assert stat.S_ISDIR(unpacked["a"][0])


def test_the_archive_can_be_read_by_others(tmp_path: Path) -> None:
    if shutil.which("cpio") is None:
        pytest.skip("no cpio here")
    data = initrd.cpio([initrd.directory("d"), initrd.file("d/run", b"#!", executable=True)])
    done = subprocess.run(
        ["cpio", "-idm", "--quiet"], cwd=tmp_path, input=data, capture_output=True, check=True
    )
    assert done.stderr == b""
    assert (tmp_path / "d/run").read_bytes() == b"#!"
    assert (tmp_path / "d/run").stat().st_mode & 0o777 == 0o755


def test_what_a_module_needs_comes_before_it_and_once() -> None:
    order = initrd.load_order(DEPENDENCIES, BUILTIN, ["virtio_blk", "virtio-rng", "ext4"])
    assert [initrd.module_name(path) for path in order] == [
        "virtio",
        "virtio_ring",
        "virtio_blk",
        "virtio_rng",
    ]


def test_a_module_the_kernel_lacks_is_named() -> None:
    with pytest.raises(LabError, match="no module virtio_net"):
        initrd.load_order(DEPENDENCIES, BUILTIN, ["virtio_net"])


def test_modules_are_loaded_in_their_order_by_name() -> None:
    modules = {f"kernel/{name}.ko": name.encode() for name in ("zulu", "alpha")}
    members = unpack(initrd.shared(b"busybox", b"init", modules))
    names = sorted(name for name in members if name.startswith("modules/"))
    assert [members[name][1] for name in names] == [b"zulu", b"alpha"]
    assert members["init"] == (stat.S_IFREG | 0o755, b"init")
    assert members["bin/busybox"][0] & 0o111
    assert unpack(initrd.own(b"tar")) == {"node.tar": (stat.S_IFREG | 0o644, b"tar")}
