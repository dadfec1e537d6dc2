# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan for CPUs and interrupts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology import cpus
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.affinity import (
    ENOUGH_CORES,
    plan,
    spread,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.model import (
    Gpu,
    Irq,
    Nic,
    RdmaPort,
    Topology,
)
from hypothesis import given
from hypothesis import strategies as st
from topology_tree import NODES, SWITCH_A, SWITCH_B, gpu, nic, node

HYPERTHREADS = {cpu: (cpu % 4, cpu % 4 + 4) for cpu in range(8)}
"""Node 0 has cores 0-3, the second threads are CPUs 4-7."""


def irqs(first: int, number: int) -> tuple[Irq, ...]:
    return tuple(Irq(first + n, f"comp{n}", "0-15") for n in range(number))


def two_nodes(**more: Any) -> Topology:
    gpus = [gpu(0, SWITCH_A, 0), gpu(1, SWITCH_B, 0, 1)]
    nics = [
        nic("mlx5_0", SWITCH_A, 1, irqs=irqs(100, 10)),
        nic("mlx5_1", SWITCH_B, 1, 1, irqs=irqs(200, 3)),
        nic("eth0", ("pci0000:f0",), 1, 1, irqs=irqs(300, 2)),
    ]
    return node(gpus, nics, **more)


def test_each_gpu_has_its_cpus_and_its_nearest_device() -> None:
    first, second = plan(two_nodes())["gpus"]
    assert (first["index"], first["uuid"], first["numa_node"], first["cpus"]) == (0, "GPU-0", 0, "0-7")
    assert (first["nearest"], second["nearest"], second["cpus"]) == (["mlx5_0"], ["mlx5_1"], "8-15")
    assert [(item["nic"], item["relation"]) for item in second["nics"]] == [
        ("mlx5_1", "PIX"),
        ("eth0", "NODE"),
        ("mlx5_0", "SYS"),
    ]


def test_interrupts_of_the_nearest_devices_are_spread_over_their_node() -> None:
    found = plan(two_nodes(siblings=HYPERTHREADS))["irqs"]
    assert [(item["irq"], item["cpus"]) for item in found if item["nic"] == "mlx5_0"] == [
        (100, "1"), (101, "2"), (102, "3"), (103, "5"), (104, "6"), (105, "7"), (106, "1"), (107, "2"),
        (108, "3"), (109, "5"),
    ]  # fmt: skip
    assert [item["cpus"] for item in found if item["nic"] == "mlx5_1"] == ["9", "10", "11"]
    assert not [item for item in found if item["nic"] == "eth0"]
    assert found[0]["name"] == "comp0" and found[0]["current"] == "0-15"
    assert found[0]["pci_bus_id"] == two_nodes().nics[0].address
    assert found[0]["why"] == (
        "mlx5_0 is the nearest network device of gpu 0 (PIX), on NUMA node 0; CPU 0,4 is left to the system"
    )


def test_devices_of_one_node_do_not_begin_on_the_same_cpu() -> None:
    nics = [nic("mlx5_0", SWITCH_A, 1, irqs=irqs(100, 2)), nic("mlx5_1", SWITCH_A, 3, irqs=irqs(200, 2))]
    found = plan(node([gpu(0, SWITCH_A, 0)], nics))["irqs"]
    assert [item["cpus"] for item in found] == ["1", "2", "3", "4"]


def test_a_node_with_few_cores_gives_all_of_them() -> None:
    assert spread(node([]), (0, 1, 2)) == ((0, 1, 2), ())
    assert spread(node([], siblings=HYPERTHREADS), (0, 4)) == ((0, 4), ())
    assert spread(node([]), ()) == ((), ())


def change(topology: Topology, name: str, **fields: Any) -> Topology:
    nics = tuple(replace(nic, **fields) if nic.name == name else nic for nic in topology.nics)
    return replace(topology, nics=nics)


@pytest.mark.parametrize(
    "fields", [{"ports": (RdmaPort(1, False),)}, {"ports": (), "up": False}, {"parent": "0000:19:00.0"}]
)
def test_a_device_without_a_link_or_for_virtual_machines_is_nobodys_nearest(fields: dict[str, Any]) -> None:
    found = plan(change(two_nodes(), "mlx5_1", **fields))
    assert found["gpus"][1]["nearest"] == ["eth0"]
    assert "mlx5_1" not in {item["nic"] for item in found["irqs"]}


def test_of_equally_near_devices_those_with_rdma_count() -> None:
    nics = [nic("eth0", SWITCH_A, 1), nic("mlx5_0", SWITCH_A, 3), nic("mlx5_1", SWITCH_A, 5)]
    (found,) = plan(node([gpu(0, SWITCH_A, 0)], nics))["gpus"]
    assert found["nearest"] == ["mlx5_0", "mlx5_1"]


def test_virtual_interfaces_have_no_part_in_it() -> None:
    found = plan(node([gpu(0, SWITCH_A, 0)], [Nic(interface="wg0", kind="wireguard")]))
    assert found["irqs"] == [] and found["gpus"][0]["nics"] == []


def test_a_lost_gpu_is_left_out_and_an_unknown_place_is_said() -> None:
    found = plan(node([Gpu(0, lost="gone"), Gpu(1)], [nic("mlx5_0", SWITCH_A, 1, irqs=irqs(1, 1))], nodes={}))
    (entry,) = found["gpus"]
    assert entry["index"] == 1 and entry["cpus"] is None and entry["nearest"] == [] and found["irqs"] == []


def test_a_device_on_no_node_gets_the_cpus_of_all() -> None:
    card = replace(nic("eth0", SWITCH_A, 1, None, irqs=irqs(1, 1)), cpus=())
    (item,) = plan(node([gpu(0, SWITCH_A, 0, None)], [card]))["irqs"]
    assert item["cpus"] == "1" and "no NUMA node" in item["why"]


threads = st.integers(1, 4)


@given(st.integers(0, 32), threads)
def test_spread_hands_out_every_cpu_once(cores: int, width: int) -> None:
    groups = {core: tuple(core + thread * cores for thread in range(width)) for core in range(cores)}
    siblings = {cpu: group for group in groups.values() for cpu in group}
    near = tuple(sorted(siblings))
    order, spared = spread(node([], siblings=siblings), near)
    assert sorted((*order, *spared)) == list(near)
    assert spared == (groups[0] if cores >= ENOUGH_CORES else ())
    handed = [next(core for core in groups if cpu in groups[core]) for cpu in order]
    assert sorted(handed[: len(set(handed))]) == sorted(set(handed))


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=5), st.dictionaries(st.integers(0, 15), st.just((0, 1)))
)
def test_load_is_even_and_stays_on_the_node(numbers: list[int], siblings: dict[int, tuple[int, ...]]) -> None:
    nics = [nic(f"mlx5_{i}", SWITCH_A, 1 + 2 * i, irqs=irqs(100 * (i + 1), n)) for i, n in enumerate(numbers)]
    found = plan(node([gpu(0, SWITCH_A, 0)], nics, siblings=siblings))["irqs"]
    assert len(found) == sum(numbers)
    used = Counter(cpu for item in found for cpu in cpus.parse(item["cpus"]))
    assert set(used) <= set(NODES[0])
    counts = [used[cpu] for cpu in spread(node([], siblings=siblings), NODES[0])[0]]
    assert max(counts) - min(counts) <= 1
