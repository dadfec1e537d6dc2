# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether network devices can read and write GPU memory directly (GPUDirect RDMA). `verdict` is pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from . import sysfs
from .acs import redirecting_bridges
from .model import Nic, Topology

READY, NOT_READY, NOT_NEEDED = "ready", "not_ready", "not_needed"

MODULES = ("nvidia_peermem", "nv_peer_mem")
"""The second is Mellanox's own, of the time before driver 470."""

DMABUF_KERNEL = (5, 12)
"""The first kernel whose RDMA core takes DMA-BUF memory regions."""

DMABUF_BRANCH = 515
"""The first driver branch with open kernel modules, which alone export GPU memory as DMA-BUF."""

TRANSLATING = ("DMA", "DMA-FQ")
"""Types of an IOMMU group in which DMA addresses are translated; `identity` is passthrough."""


@dataclass(frozen=True)
class Support:
    """What the node has for it.

    modules: peer memory modules that are loaded
    loaded: whether an NVIDIA driver is loaded
    open_driver: whether it is the open one; None: it does not say
    driver: version of the loaded driver, "" if unknown
    iommu: types of the IOMMU groups of GPUs and RDMA devices, without doubles
    acs: PCI bridges above GPUs that redirect peer-to-peer traffic; None: only root can see
    """

    modules: tuple[str, ...] = ()
    kernel: str = ""
    driver: str = ""
    loaded: bool = True
    open_driver: bool | None = None
    iommu: tuple[str, ...] = ()
    acs: tuple[str, ...] | None = None

    @property
    def dmabuf(self) -> bool:
        """Whether kernel and driver can do it without a module."""
        branch = int(self.driver.partition(".")[0] or 0)
        return bool(self.open_driver) and branch >= DMABUF_BRANCH and _version(self.kernel) >= DMABUF_KERNEL


def read(root: Path, topology: Topology) -> Support:
    driver, is_open = _driver(sysfs.text(root / "proc/driver/nvidia/version"))
    devices = [gpu.address for gpu in topology.gpus] + [nic.address for nic in rdma_devices(topology)]
    bridges = {bridge for gpu in topology.gpus for bridge in gpu.path[1:-1]}
    return Support(
        modules=tuple(name for name in MODULES if (root / "sys/module" / name).is_dir()),
        kernel=sysfs.text(root / "proc/sys/kernel/osrelease"),
        driver=driver,
        loaded=is_open is not None or (root / "sys/module/nvidia").is_dir(),
        open_driver=is_open,
        iommu=_iommu_types(root, devices),
        acs=redirecting_bridges(root, sorted(bridges)),
    )


def rdma_devices(topology: Topology) -> list[Nic]:
    """One entry per RDMA device on the bus."""
    found: dict[str, Nic] = {}
    for nic in topology.nics:
        if nic.rdma and nic.address:
            found.setdefault(nic.rdma, nic)
    return list(found.values())


def verdict(topology: Topology, support: Support) -> tuple[str, list[str]]:
    """(`ready`, `not_ready` or `not_needed`; reasons)"""
    devices = rdma_devices(topology)
    if not topology.gpus:
        return NOT_NEEDED, ["there is no GPU"]
    if not devices:
        return NOT_NEEDED, ["there is no RDMA device"]
    lacking = []
    if not support.loaded:
        lacking.append("the NVIDIA driver is not loaded")
    elif not support.modules and not support.dmabuf:
        lacking.append(f"nvidia_peermem is not loaded, and DMA-BUF cannot be used: {_no_dmabuf(support)}")
    if not any(nic.active for nic in devices):
        lacking.append("no port of an RDMA device is active")
    if lacking:
        return NOT_READY, lacking
    way = f"{support.modules[0]} is loaded" if support.modules else "kernel and driver can use DMA-BUF"
    return READY, [way]


def hints(support: Support) -> list[str]:
    """What can slow it down or make it hang. For people: nothing is decided by it."""
    found = []
    translating = [kind for kind in support.iommu if kind in TRANSLATING]
    if translating:
        found.append(
            f"the IOMMU translates DMA of these devices ({', '.join(translating)}): on bare metal iommu=pt "
            "or an IOMMU that is off lets them reach each other without a detour"
        )
    if support.acs:
        found.append(
            f"ACS sends peer-to-peer traffic below {', '.join(support.acs)} up to the CPU: NVIDIA advises "
            "to turn it off on bare metal; virtual machines need it"
        )
    return found


def _no_dmabuf(support: Support) -> str:
    if support.open_driver is None:
        return "the driver does not say whether it is the open one"
    if not support.open_driver:
        return "the driver is the proprietary one"
    if support.kernel and _version(support.kernel) < DMABUF_KERNEL:
        return f"kernel {support.kernel} is older than 5.12"
    return f"driver {support.driver or 'of unknown version'} is older than {DMABUF_BRANCH}"


def _driver(text: str) -> tuple[str, bool | None]:
    """(version, whether it is the open one), from /proc/driver/nvidia/version."""
    line = next((line for line in text.splitlines() if line.startswith("NVRM version:")), "")
    found = re.search(r"\b\d{3,}\.\d+(\.\d+)?\b", line)
    return (found[0] if found else "", "Open Kernel Module" in line) if line else ("", None)


def _version(release: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _iommu_types(root: Path, addresses: list[str]) -> tuple[str, ...]:
    base = root / "sys/bus/pci/devices"
    types = {sysfs.text(base / address / "iommu_group/type") for address in addresses if address}
    return tuple(sorted(types - {""}))
