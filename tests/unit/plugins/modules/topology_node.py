# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated node whose GPUs, NVLinks and network devices hang together as `topology` has it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from gpu_node import GpuNode

ROUTES = "Iface\tDestination\tGateway\neth0\t00000000\t0101A8C0"


class TopologyNode(GpuNode):
    """`topology`, `nvlink`, `nics`, `numa_nodes` as `nvml-sim init` has them; 4 CPUs per NUMA node."""

    def __init__(self, boards: str = "h100:4", driver: str = "550.163.01", **wiring: Any) -> None:
        super().__init__(boards, driver)
        numa_nodes = wiring.pop("numa_nodes", 2)
        self.sim.init(boards, driver=driver, numa_nodes=numa_nodes, seed="test", **wiring)
        devices = self.root / "sys/bus/pci/devices"
        shutil.rmtree(devices)
        self.sim.node.pci_tree(devices)
        self.sim.node.module_tree(self.root / "sys/module")
        for node in range(numa_nodes):
            self.write(f"sys/devices/system/node/node{node}/cpulist", f"{node * 4}-{node * 4 + 3}")
        self.link_classes()
        self.interface("eth0")
        self.write("sys/class/net/eth0/bonding/mode", "active-backup 1")
        self.write("proc/net/route", ROUTES)
        for path in (self.base, *self.base.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o777 if path.is_dir() else 0o666)

    def link_classes(self) -> None:
        """The links of /sys/class to the interfaces and RDMA devices below the PCI devices."""
        for kind in ("net", "infiniband"):
            base = self.root / "sys/class" / kind
            base.mkdir(parents=True, exist_ok=True)
            for device in (self.root / "sys/bus/pci/devices").glob(f"*/{kind}/*"):
                home = device.resolve()
                (home / "device").symlink_to(home.parents[1])
                (base / home.name).symlink_to(home)

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{text}\n")
        return target

    def interface(self, name: str, **files: str) -> None:
        for file, text in {"type": "1", "operstate": "up", "uevent": "", **files}.items():
            self.write(f"sys/class/net/{name}/{file}", text)

    def info(self, **options: Any) -> dict[str, Any]:
        return self.apply(module="gpu_info", **options)
