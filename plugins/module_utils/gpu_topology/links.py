# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far two devices are apart, in the words of `nvidia-smi topo -m`. Pure."""

from __future__ import annotations

from typing import Union

from .model import RELATIONS, Gpu, Nic, Topology

Device = Union[Gpu, Nic]

SELF = "X"
LEVELS = {0: "PIX", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}
"""NVML's nvmlGpuTopologyLevel_t; 0 is two GPUs on one board."""

LEGEND = """\
Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes (e.g., QPI/UPI)
  NODE = Connection traversing PCIe as well as the interconnect between PCIe Host Bridges within a NUMA node
  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)
  PXB  = Connection traversing multiple PCIe bridges (without traversing the PCIe Host Bridge)
  PIX  = Connection traversing at most a single PCIe bridge
  NV#  = Connection traversing a bonded set of # NVLinks
"""


def distance(relation: str | None) -> int:
    """The nearer, the smaller; unknown is farthest."""
    return RELATIONS.index(relation) if relation in RELATIONS else len(RELATIONS)


def on_pci(one: Device, other: Device, numa_nodes: int) -> str | None:
    """The relation the PCI tree shows; None if neither tree nor NUMA nodes say.

    numa_nodes: how many NUMA nodes the machine has; with one, nothing is a node away
    """
    if one.address and one.address == other.address:
        return "PIX"
    if one.path and other.path and one.path[0] == other.path[0]:
        return _below_one_bridge(one.path[1:-1], other.path[1:-1])
    if numa_nodes == 1:
        return "NODE"
    if one.numa_node is None or other.numa_node is None:
        return None
    return "NODE" if one.numa_node == other.numa_node else "SYS"


def _below_one_bridge(one: tuple[str, ...], other: tuple[str, ...]) -> str:
    """Of two devices below one host bridge, from the PCI bridges above each.

    Two ports of one switch are PIX; with a switch behind a port of another it is PXB.
    """
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    if not shared:
        return "PHB"
    return "PIX" if max(len(one), len(other)) - shared <= 1 else "PXB"


def nvlinks_between(one: Gpu, other: Gpu) -> int:
    """How many active NVLinks join two GPUs, directly or over NVSwitches."""
    direct = sum(1 for link in one.links if link.active and link.remote_address == other.address != "")
    if direct:
        return direct
    return min(_to_switches(one), _to_switches(other))


def _to_switches(gpu: Gpu) -> int:
    return sum(1 for link in gpu.links if link.active and link.remote == "switch")


def gpu_pair(topology: Topology, one: Gpu, other: Gpu) -> str | None:
    """The PCI relation of two GPUs: NVML's word, else what the PCI tree shows."""
    said = topology.pairs.get((one.index, other.index))
    if said and said.relation:
        return said.relation
    return on_pci(one, other, len(topology.nodes))


def cell(topology: Topology, one: Device, other: Device) -> str | None:
    """One cell of the table: X, NV#, or the PCI relation."""
    if one is other:
        return SELF
    if isinstance(one, Gpu) and isinstance(other, Gpu):
        links = nvlinks_between(one, other)
        return f"NV{links}" if links else gpu_pair(topology, one, other)
    return on_pci(one, other, len(topology.nodes))


def nearest(topology: Topology, gpu: Gpu, nics: tuple[Nic, ...]) -> list[tuple[Nic, str | None]]:
    """The devices with their relation to a GPU, nearest first, faster first where equally near."""
    found = [(nic, on_pci(gpu, nic, len(topology.nodes))) for nic in nics]
    return sorted(found, key=lambda item: (distance(item[1]), -(item[0].speed or 0), item[0].address))
