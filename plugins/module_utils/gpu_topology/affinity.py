# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which CPUs a GPU's work and the interrupts of its network device belong on. Pure.

The shape is a contract; docs/gpu-topology.md describes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Optional

from . import cpus
from .links import distance, nearest
from .model import Gpu, Nic, Topology

Ranked = list[tuple[Nic, Optional[str]]]
"""Network devices with their relation to one GPU, nearest first."""

ENOUGH_CORES = 4
"""From so many cores on a NUMA node can spare its first one."""


def plan(topology: Topology) -> dict[str, Any]:
    """{gpus, irqs}"""
    ranked = {gpu.index: nearest(topology, gpu, topology.cards) for gpu in topology.gpus if not gpu.lost}
    return {
        "gpus": [_gpu(topology, gpu, ranked[gpu.index]) for gpu in topology.gpus if gpu.index in ranked],
        "irqs": _irqs(topology, _served(topology, ranked)),
    }


def best(ranked: Ranked) -> list[tuple[Nic, str | None]]:
    """Those that are nearest, several if equally near.

    Devices whose link is down or whose place is unknown do not count, and neither do those without RDMA
    where there are some with it.
    """
    live = [item for item in ranked if item[0].active and item[1] is not None]
    near = [item for item in live if distance(item[1]) == distance(live[0][1])]
    return [item for item in near if item[0].rdma] or near


def _gpu(topology: Topology, gpu: Gpu, ranked: Ranked) -> dict[str, Any]:
    return {
        "index": gpu.index,
        "uuid": gpu.uuid or None,
        "pci_bus_id": gpu.address or None,
        "numa_node": gpu.numa_node,
        "cpus": cpus.text(_near_cpus(topology, gpu)) or None,
        "nearest": [nic.name for nic, _relation in best(ranked)],
        "nics": [
            {
                "nic": nic.name,
                "interface": nic.interface or None,
                "rdma": nic.rdma or None,
                "relation": relation,
            }
            for nic, relation in ranked
        ],
    }


def _near_cpus(topology: Topology, device: Gpu | Nic) -> tuple[int, ...]:
    """() if unknown."""
    if device.cpus:
        return device.cpus
    return () if device.numa_node is None else topology.nodes.get(device.numa_node, ())


@dataclass(frozen=True)
class _Served:
    """A network device with the GPUs it is nearest to."""

    nic: Nic
    gpus: tuple[tuple[Gpu, str | None], ...]

    @property
    def reason(self) -> str:
        whom = ", ".join(f"{gpu.label} ({relation})" for gpu, relation in self.gpus)
        return f"{self.nic.name} is the nearest network device of {whom}"


def _served(topology: Topology, ranked: dict[int, Ranked]) -> list[_Served]:
    found = []
    for nic in topology.cards:
        gpus = tuple(
            (gpu, relation)
            for gpu in topology.gpus
            for other, relation in best(ranked.get(gpu.index, []))
            if other is nic
        )
        if gpus:
            found.append(_Served(nic, gpus))
    return found


def _irqs(topology: Topology, served: list[_Served]) -> list[dict[str, Any]]:
    """One CPU per interrupt, in turn; devices of one NUMA node go on where the one before stopped."""
    turns: dict[tuple[int, ...], Iterator[int]] = {}
    found = []
    for one in served:
        order, spared = spread(topology, _near_cpus(topology, one.nic) or _all(topology))
        if not order:
            continue
        turn = turns.setdefault(order, count())
        where = "no NUMA node" if one.nic.numa_node is None else f"NUMA node {one.nic.numa_node}"
        kept = f"; CPU {cpus.text(spared)} is left to the system" if spared else ""
        for irq in one.nic.irqs:
            found.append(
                {
                    "irq": irq.number,
                    "name": irq.name or None,
                    "nic": one.nic.name,
                    "pci_bus_id": one.nic.address,
                    "cpus": str(order[next(turn) % len(order)]),
                    "current": irq.cpus,
                    "why": f"{one.reason}, on {where}{kept}",
                }
            )
    return found


def _all(topology: Topology) -> tuple[int, ...]:
    return tuple(sorted(cpu for node in topology.nodes.values() for cpu in node))


def spread(topology: Topology, near: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(CPUs in the order they are handed out, those left to the system).

    First a thread of every core, then the second ones. The first core is left out where there are enough.
    """
    by_first: dict[int, list[int]] = {}
    for cpu in near:
        by_first.setdefault(min(set(topology.siblings.get(cpu, ())) & set(near), default=cpu), []).append(cpu)
    cores = [tuple(by_first[first]) for first in sorted(by_first)]
    spared = cores.pop(0) if len(cores) >= ENOUGH_CORES else ()
    threads = max((len(one) for one in cores), default=0)
    order = [one[thread] for thread in range(threads) for one in cores if thread < len(one)]
    return tuple(order), spared
