# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the topology of a node, from NVML and /sys. Writes nothing; what is not said stays unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..core.errors import LayerUnavailable, NodeError, TargetLost
from ..gpu.nvml import Nvml
from ..gpu.presence import gpus_on_pci
from . import cpus, nics, sysfs
from .ask import BROKEN_BINDING, Asker, address_in, handle_of
from .links import LEVELS
from .model import Gpu, Pair, Topology
from .nvlinks import read_links

NVSWITCH_CLASS = "0x068000"
NVIDIA = "0x10de"
SCOPE_NODE = 0

P2P_KINDS = {"read": 0, "write": 1, "nvlink": 2, "atomics": 3, "pci": 4}
"""nvmlGpuP2PCapsIndex_t. The binding's own names are not used: one of them is a tuple by mistake."""

P2P_STATUS = {
    0: "ok",
    1: "chipset not supported",
    2: "GPU not supported",
    3: "IOH topology not supported",
    4: "disabled by registry key",
    5: "not supported",
}
"""nvmlGpuP2PStatus_t; anything else is unknown, None."""


def read_topology(nvml: Nvml | None, root: Path) -> Topology:
    """What the NCCL configuration needs: three NVML calls per GPU, one for the node, the rest from /sys.

    Without NVML (None, or no driver) the GPUs are those of the PCI bus. Never raises.
    """
    return Topology(
        gpus=tuple(_located(root, gpu) for gpu in _gpus(nvml, root)),
        nics=nics.read(root),
        switches=tuple(sysfs.pci_devices(root, _is_switch)),
        nodes=sysfs.numa_nodes(root),
    )


def read_everything(nvml: Nvml | None, root: Path) -> Topology:
    """The same with NVLinks, peer access, interrupts and CPU cores. Never raises."""
    found = read_topology(nvml, root)
    online = sorted({cpu for node in found.nodes.values() for cpu in node})
    found = replace(found, nics=nics.read(root, with_irqs=True), siblings=sysfs.siblings(root, tuple(online)))
    if nvml is None:
        return found
    try:
        gpus = tuple(_asked(nvml, gpu, online, found.switches) for gpu in found.gpus)
        return replace(found, gpus=gpus, pairs=_pairs(nvml, gpus))
    except LayerUnavailable:
        return found


def _is_switch(device: Path) -> bool:
    return sysfs.text(device / "vendor") == NVIDIA and sysfs.text(device / "class") == NVSWITCH_CLASS


def _gpus(nvml: Nvml | None, root: Path) -> list[Gpu]:
    on_bus = [Gpu(index, address=address) for index, address in enumerate(gpus_on_pci(root))]
    if nvml is None:
        return on_bus
    try:
        return [_gpu(nvml, index) for index in range(nvml.count())]
    except (NodeError, *BROKEN_BINDING):
        return on_bus


def _gpu(nvml: Nvml, index: int) -> Gpu:
    """Raises LayerUnavailable."""
    uuid = ""
    try:
        uuid = nvml.uuid(index)
        return Gpu(index, uuid, address_in(Asker(nvml, uuid).must("nvmlDeviceGetPciInfo")))
    except TargetLost as error:
        return Gpu(index, uuid, lost=str(error))
    except LayerUnavailable:
        raise
    except NodeError as error:
        return Gpu(index, lost=f"does not answer: {error}")


def _located(root: Path, gpu: Gpu) -> Gpu:
    device = root / "sys/bus/pci/devices" / gpu.address
    if not gpu.address or not device.is_dir():
        return gpu
    return replace(
        gpu, path=sysfs.pci_path(device), numa_node=sysfs.node_of(device), cpus=sysfs.cpus_of(device)
    )


def _asked(nvml: Nvml, gpu: Gpu, online: list[int], switches: tuple[str, ...]) -> Gpu:
    """With what only NVML knows; its CPUs come before those of /sys. Raises LayerUnavailable."""
    if gpu.lost or not gpu.uuid:
        return gpu
    ask = Asker(nvml, gpu.uuid)
    words = cpus.words_for(online[-1] + 1 if online else 1024)
    near = _bits(ask("nvmlDeviceGetCpuAffinity", words))
    node = gpu.numa_node
    if node is None:
        nodes = _bits(ask("nvmlDeviceGetMemoryAffinity", 1, SCOPE_NODE))
        node = nodes[0] if len(nodes) == 1 else None
    asked = replace(
        gpu,
        cpus=near or gpu.cpus,
        numa_node=node,
        own_node=ask.number("nvmlDeviceGetNumaNodeId"),
        links=read_links(ask, switches),
    )
    return replace(asked, lost=ask.lost)


def _bits(words: object) -> tuple[int, ...]:
    return cpus.from_words(int(word) for word in words) if isinstance(words, Iterable) else ()


def _pairs(nvml: Nvml, gpus: tuple[Gpu, ...]) -> dict[tuple[int, int], Pair]:
    """Raises LayerUnavailable."""
    alive = [gpu for gpu in gpus if gpu.uuid and not gpu.lost]
    handles = {gpu.index: handle_of(nvml, gpu.uuid) for gpu in alive} if len(alive) > 1 else {}
    found = {}
    for one in alive:
        ask = Asker(nvml, one.uuid)
        for other in alive:
            if other is not one and handles[other.index] is not None:
                found[one.index, other.index] = _pair(ask, handles[other.index])
    return found


def _pair(ask: Asker, other: object) -> Pair:
    level = ask("nvmlDeviceGetTopologyCommonAncestor", other)
    p2p = {
        name: P2P_STATUS.get(ask("nvmlDeviceGetP2PStatus", other, kind)) for name, kind in P2P_KINDS.items()
    }
    return Pair(LEVELS.get(level), p2p)
