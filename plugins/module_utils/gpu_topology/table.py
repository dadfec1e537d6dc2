# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The topology as the table that `nvidia-smi topo -m` prints. Pure."""

from __future__ import annotations

from . import cpus
from .links import LEGEND, Device, cell
from .model import Gpu, Topology

UNKNOWN = "N/A"


def render(topology: Topology) -> str:
    """The table, its legend, and which device each NIC is; "" for a node without GPUs."""
    if not topology.gpus:
        return ""
    cards = topology.cards
    devices: list[Device] = [*topology.gpus, *cards]
    names = [f"GPU{gpu.index}" for gpu in topology.gpus] + [f"NIC{number}" for number in range(len(cards))]
    rows = [["", *names, "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"]]
    for name, device in zip(names, devices):
        cells = [cell(topology, device, other) or UNKNOWN for other in devices]
        rows.append([name, *cells, *_affinity(device)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    parts = ["\n".join(lines) + "\n", LEGEND]
    if cards:
        legend = [f"  NIC{number}: {nic.name}" for number, nic in enumerate(cards)]
        parts.append("\n".join(["NIC Legend:", "", *legend]) + "\n")
    return "\n".join(parts)


def _affinity(device: Device) -> list[str]:
    if not isinstance(device, Gpu):
        return ["", "", ""]
    return [cpus.text(device.cpus) or UNKNOWN, _number(device.numa_node), _number(device.own_node)]


def _number(node: int | None) -> str:
    return UNKNOWN if node is None else str(node)
