# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds /sys and /proc of a node with GPUs, PCI switches and network devices; and topologies, no files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.model import (
    Gpu,
    Nic,
    RdmaPort,
    Topology,
)

SWITCH_A = ("pci0000:17", "0000:17:01.0", "0000:18:00.0")
SWITCH_B = ("pci0000:a0", "0000:a0:01.0", "0000:a1:00.0")
"""Host bridge, root port and upstream port of the switch on each NUMA node."""

NODES = {0: tuple(range(8)), 1: tuple(range(8, 16))}


def gpu(index: int, place: tuple[str, ...], slot: int, node: int | None = 0, **more: Any) -> Gpu:
    """A GPU below port `slot` of a switch, or of a root port if `place` is only a host bridge."""
    bus = int(place[-1][-2:] if len(place) == 1 else place[-1][5:7], 16) + slot + 2
    address = f"0000:{bus:02x}:00.0"
    path = (*place, f"0000:{bus - 1:02x}:{slot:02x}.0", address)
    return Gpu(index, f"GPU-{index}", address, path, node, cpus=NODES.get(node or 0, ()), **more)


def nic(name: str, place: tuple[str, ...], slot: int, node: int | None = 0, **more: Any) -> Nic:
    """Placed like `gpu`: an RDMA device mlx5_N with its interface; any other name is a plain interface."""
    beside = gpu(0, place, slot, node)
    names = {"rdma": name, "interface": f"net_{name}"} if name.startswith("mlx") else {"interface": name}
    ports = (RdmaPort(1, True, "InfiniBand", 400000),) if name.startswith("mlx") else ()
    known = {"speed": 400000, "up": True, "addressed": False, "ports": ports, **names}
    return Nic(
        address=beside.address, path=beside.path, numa_node=node, cpus=beside.cpus, **{**known, **more}
    )


def node(gpus: Iterable[Gpu], nics: Iterable[Nic] = (), **more: Any) -> Topology:
    return Topology(gpus=tuple(gpus), nics=tuple(nics), **{"nodes": NODES, **more})


class Tree:
    """Files below `root`, shaped as a kernel shows them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str | bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else f"{text}\n".encode())
        return target

    def link(self, path: str, target: Path) -> None:
        link = self.root / path
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(target)

    def numa(self, **cpulists: str) -> None:
        for name, cpulist in cpulists.items():
            self.write(f"sys/devices/system/node/{name}/cpulist", cpulist)

    def pci(
        self, path: tuple[str, ...], vendor: str = "0x8086", kind: str = "0x060400", **files: str
    ) -> Path:
        """A device with everything above it; `files` are further files of the device itself."""
        for depth in range(2, len(path) + 1):
            directory = self.root / "sys/devices" / Path(*path[:depth])
            last = depth == len(path)
            found = (
                {"vendor": vendor, "class": kind, **files}
                if last
                else {"vendor": "0x8086", "class": "0x060400"}
            )
            for name, text in found.items():
                self.write(str((directory / name).relative_to(self.root)), text)
            self.link(f"sys/bus/pci/devices/{path[depth - 1]}", directory)
        return self.root / "sys/devices" / Path(*path)

    def gpu(self, place: Gpu) -> Path:
        return self.pci(place.path, "0x10de", "0x030200", numa_node=str(place.numa_node), local_cpulist="0-7")

    def interface(self, name: str, device: Path | None = None, **files: str) -> Path:
        """Of a device, or virtual. `files` such as type, operstate, speed, uevent."""
        home = device / "net" if device else self.root / "sys/devices/virtual/net"
        directory = home / name
        for file, text in {"type": "1", "operstate": "up", "mtu": "1500", "uevent": "", **files}.items():
            self.write(str((directory / file).relative_to(self.root)), text)
        if device:
            self.link(str((directory / "device").relative_to(self.root)), device)
        self.link(f"sys/class/net/{name}", directory)
        return directory

    def rdma(
        self, name: str, device: Path | None = None, state: str = "4: ACTIVE", layer: str = "Ethernet"
    ) -> Path:
        directory = (device or self.root / "sys/devices/virtual") / "infiniband" / name
        for file, text in {"state": state, "rate": "400 Gb/sec (4X NDR)", "link_layer": layer}.items():
            self.write(str((directory / "ports/1" / file).relative_to(self.root)), text)
        if device:
            self.link(str((directory / "device").relative_to(self.root)), device)
        self.link(f"sys/class/infiniband/{name}", directory)
        return directory

    def process(self, pid: int, name: str) -> None:
        self.write(f"proc/{pid}/comm", name[:15])
        self.write(f"proc/{pid}/cmdline", name)
