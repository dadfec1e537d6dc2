# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything gpu_info says of topology, network devices, fabric, RDMA, affinity and NCCL, as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import LayerUnavailable
from ..gpu.nvml import Nvml
from . import affinity, cpus, fabric, fabric_read, nccl, rdma
from .ask import Asker
from .links import cell, gpu_pair, on_pci
from .model import Gpu, Nic, NvLink, Topology
from .read import read_everything
from .table import render


def survey(nvml: Nvml | None, root: Path, driver_version: str | None) -> dict[str, Any]:
    """{topology, nics, fabric, rdma, affinity, nccl}. Without NVML, what /sys shows. Never raises."""
    topology = read_everything(nvml, root)
    return {
        "topology": _topology(topology),
        "nics": [_nic(nic) for nic in topology.nics],
        "fabric": _fabric(nvml, root, topology, driver_version),
        "rdma": _rdma(root, topology),
        "affinity": affinity.plan(topology),
        "nccl": {
            "text": nccl.nccl_text(topology),
            "reasons": [vars(line) for line in nccl.nccl_lines(topology)],
            "hints": nccl.hints(topology),
        },
    }


def _topology(topology: Topology) -> dict[str, Any]:
    return {
        "gpus": [_gpu(topology, gpu) for gpu in topology.gpus],
        "numa_nodes": {str(node): cpus.text(found) for node, found in topology.nodes.items()},
        "nvswitches": list(topology.switches),
        "text": render(topology) or None,
    }


def _gpu(topology: Topology, gpu: Gpu) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "uuid": gpu.uuid or None,
        "lost": gpu.lost or None,
        "pci_bus_id": gpu.address or None,
        "pci_path": list(gpu.path),
        "numa_node": gpu.numa_node,
        "own_numa_node": gpu.own_node,
        "cpus": cpus.text(gpu.cpus) or None,
        "nvlinks": [_link(link) for link in gpu.links],
        "peers": [_peer(topology, gpu, other) for other in topology.gpus if other is not gpu],
        "nics": [
            {"nic": nic.name, "relation": on_pci(gpu, nic, len(topology.nodes))} for nic in topology.cards
        ],
    }


def _peer(topology: Topology, gpu: Gpu, other: Gpu) -> dict[str, Any]:
    """`relation` is what the table shows, `pcie` the same without NVLinks."""
    pair = topology.pairs.get((gpu.index, other.index))
    return {
        "index": other.index,
        "relation": cell(topology, gpu, other),
        "pcie": gpu_pair(topology, gpu, other),
        "p2p": dict(pair.p2p) if pair else None,
    }


def _link(link: NvLink) -> dict[str, Any]:
    return {
        "link": link.link,
        "active": link.active,
        "version": link.version,
        "remote": link.remote,
        "remote_address": link.remote_address or None,
        "errors": dict(link.errors) or None,
    }


def _nic(nic: Nic) -> dict[str, Any]:
    return {
        "name": nic.name,
        "interface": nic.interface or None,
        "rdma": nic.rdma or None,
        "kind": nic.kind,
        "excluded": nic.excluded or None,
        "driver": nic.driver,
        "pci_bus_id": nic.address or None,
        "physical_function": nic.parent or None,
        "numa_node": nic.numa_node,
        "cpus": cpus.text(nic.cpus) or None,
        "speed": nic.speed,
        "up": nic.up,
        "mtu": nic.mtu,
        "master": nic.master or None,
        "addressed": nic.addressed,
        "ports": [vars(port) for port in nic.ports],
        "irqs": [vars(irq) for irq in nic.irqs],
    }


def _fabric(nvml: Nvml | None, root: Path, topology: Topology, driver_version: str | None) -> dict[str, Any]:
    gpus = _fabric_of_gpus(nvml, topology)
    joined = any(gpu.state not in (None, fabric.NOT_SUPPORTED) for gpu in gpus)
    manager = fabric_read.read_manager(root, needed=joined or bool(topology.switches))
    found = fabric.verdict(gpus, topology.switches, manager, driver_version)
    return {
        "verdict": found.verdict,
        "reasons": list(found.reasons),
        "nvswitches": list(topology.switches),
        "manager": {
            "installed": manager.installed,
            "running": manager.running,
            "version": manager.version or None,
        },
        "gpus": [{**vars(gpu), "lost": gpu.lost or None, "health": dict(gpu.health) or None} for gpu in gpus],
    }


def _fabric_of_gpus(nvml: Nvml | None, topology: Topology) -> list[fabric.GpuFabric]:
    found = []
    for gpu in topology.gpus:
        try:
            asked = fabric_read.read_gpu(Asker(nvml, gpu.uuid), gpu.index) if nvml and gpu.uuid else None
        except LayerUnavailable:
            asked = None
        found.append(asked or fabric.GpuFabric(gpu.index))
    return found


def _rdma(root: Path, topology: Topology) -> dict[str, Any]:
    support = rdma.read(root, topology)
    verdict, reasons = rdma.verdict(topology, support)
    return {
        "verdict": verdict,
        "reasons": reasons,
        "hints": rdma.hints(support),
        "modules": list(support.modules),
        "dmabuf": support.dmabuf,
        "open_driver": support.open_driver,
        "devices": [nic.rdma for nic in rdma.rdma_devices(topology)],
        "iommu": list(support.iommu),
        "acs_redirects": None if support.acs is None else list(support.acs),
    }
