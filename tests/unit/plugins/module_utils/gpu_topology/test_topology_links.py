# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far devices are apart, and the table that shows it."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology import cpus
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.links import (
    cell,
    distance,
    nearest,
    nvlinks_between,
    on_pci,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.model import (
    RELATIONS,
    Gpu,
    NvLink,
    Pair,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.table import render
from hypothesis import given
from hypothesis import strategies as st
from topology_tree import SWITCH_A, SWITCH_B, gpu, nic, node

BUS = ("pci0000:17",)
DEEPER = (*SWITCH_A, "0000:19:00.0", "0000:30:00.0")


@pytest.mark.parametrize(
    ("one", "other", "nodes", "expected"),
    [
        (gpu(0, SWITCH_A, 0), gpu(1, SWITCH_A, 1), 2, "PIX"),
        (gpu(0, SWITCH_A, 0), gpu(1, DEEPER, 1), 2, "PXB"),
        (gpu(0, BUS, 1), gpu(1, BUS, 3), 2, "PHB"),
        (gpu(0, SWITCH_A, 0), gpu(1, BUS, 5), 2, "PHB"),
        (gpu(0, SWITCH_A, 0, 0), gpu(1, SWITCH_B, 0, 0), 2, "NODE"),
        (gpu(0, SWITCH_A, 0, 0), gpu(1, SWITCH_B, 0, 1), 2, "SYS"),
        (gpu(0, SWITCH_A, 0, None), gpu(1, SWITCH_B, 0, None), 1, "NODE"),
        (gpu(0, SWITCH_A, 0, None), gpu(1, SWITCH_B, 0, 1), 2, None),
        (Gpu(0, address="0000:01:00.0"), Gpu(1, address="0000:02:00.0"), 2, None),
        (Gpu(0, address="0000:01:00.0"), nic("mlx5_0", SWITCH_A, 0, None), 2, None),
    ],
)
def test_relations_on_the_pci_bus(one: Gpu, other: Gpu, nodes: int, expected: str | None) -> None:
    assert on_pci(one, other, nodes) == on_pci(other, one, nodes) == expected


def test_two_functions_below_one_bridge_are_pix() -> None:
    path = ("pci0000:17", "0000:17:01.0")
    one, other = (Gpu(i, address=f"0000:18:00.{i}", path=(*path, f"0000:18:00.{i}")) for i in (0, 1))
    assert on_pci(one, other, 2) == "PIX"


def test_unknown_is_farthest() -> None:
    order = [distance(relation) for relation in (*RELATIONS, None)]
    assert order == sorted(set(order)) and distance("NV18") == distance(None)


def links(remote: str, addresses: list[str], active: bool = True) -> tuple[NvLink, ...]:
    return tuple(NvLink(number, active, 4, remote, address) for number, address in enumerate(addresses))


def test_nvlinks_over_switches_and_direct() -> None:
    over = [gpu(i, SWITCH_A, i, links=links("switch", [f"0000:e{n}:00.0" for n in range(4)])) for i in (0, 1)]
    assert nvlinks_between(*over) == 4
    second = gpu(1, SWITCH_A, 1)
    first = gpu(0, SWITCH_A, 0, links=links("gpu", [second.address, second.address, "0000:99:00.0"]))
    assert nvlinks_between(first, second) == 2
    assert nvlinks_between(first, gpu(2, SWITCH_A, 2)) == 0
    assert nvlinks_between(gpu(0, SWITCH_A, 0, links=links("switch", ["0000:e0:00.0"], False)), over[1]) == 0


def test_gpus_without_an_address_are_not_joined() -> None:
    assert nvlinks_between(Gpu(0, links=links("gpu", [""])), Gpu(1)) == 0


def test_nvml_has_the_word_over_the_pci_tree() -> None:
    one, other = gpu(0, SWITCH_A, 0), gpu(1, SWITCH_A, 1)
    topology = node([one, other], pairs={(0, 1): Pair("PHB")})
    assert cell(topology, one, other) == "PHB" and cell(topology, other, one) == "PIX"
    assert cell(topology, one, one) == "X"


def test_the_nearest_device_comes_first_and_the_faster_of_two() -> None:
    near, slow = nic("mlx5_1", SWITCH_A, 1), nic("eth0", SWITCH_A, 3, speed=25000)
    far, unknown = nic("mlx5_2", SWITCH_B, 1, 1), nic("mlx5_3", ("pci0000:f0",), 1, None)
    topology = node([gpu(0, SWITCH_A, 0)], [unknown, far, slow, near])
    ranked = nearest(topology, topology.gpus[0], topology.cards)
    assert [(item.name, relation) for item, relation in ranked] == [
        ("mlx5_1", "PIX"),
        ("eth0", "PIX"),
        ("mlx5_2", "SYS"),
        ("mlx5_3", None),
    ]


def test_the_table() -> None:
    gpus = [
        gpu(0, SWITCH_A, 0, links=links("switch", ["0000:e1:00.0"] * 18)),
        gpu(1, SWITCH_B, 0, 1, links=links("switch", ["0000:e1:00.0"] * 18), own_node=2),
    ]
    nics = [nic("mlx5_0", SWITCH_A, 1), nic("mlx5_1", SWITCH_B, 1, 1)]
    lines = render(node(gpus, nics)).splitlines()
    assert lines[:5] == [
        "      GPU0  GPU1  NIC0  NIC1  CPU Affinity  NUMA Affinity  GPU NUMA ID",
        "GPU0  X     NV18  PIX   SYS   0-7           0              N/A",
        "GPU1  NV18  X     SYS   PIX   8-15          1              2",
        "NIC0  PIX   SYS   X     SYS",
        "NIC1  SYS   PIX   SYS   X",
    ]
    assert lines[-2:] == ["  NIC0: mlx5_0", "  NIC1: mlx5_1"]
    assert "  NODE = " in "\n".join(lines)


def test_a_table_with_holes() -> None:
    text = render(node([Gpu(0, lost="fell off"), Gpu(1)]))
    assert text.splitlines()[1].split() == ["GPU0", "X", "N/A", "N/A", "N/A", "N/A"]
    assert "NIC Legend" not in text and render(node([])) == ""


@given(st.sets(st.integers(0, 511)))
def test_cpu_lists_come_back(numbers: set[int]) -> None:
    assert cpus.parse(cpus.text(numbers)) == tuple(sorted(numbers))
    words = [0] * cpus.words_for(512)
    for number in numbers:
        words[number // 64] |= 1 << number % 64
    assert cpus.from_words(words) == tuple(sorted(numbers))


@pytest.mark.parametrize(
    ("text", "expected"), [("", ()), ("3", (3,)), ("0-2,5", (0, 1, 2, 5)), ("x", ()), ("-", ())]
)
def test_cpu_lists(text: str, expected: tuple[int, ...]) -> None:
    assert cpus.parse(text) == expected


places = st.builds(
    lambda bridge, depth, slot: (
        f"pci0000:{bridge:02x}",
        *(f"0000:{bridge:02x}:0{level}.0" for level in range(depth)),
        f"0000:{slot:02x}:00.0",
    ),
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(16, 32),
)


@given(places, places, st.sampled_from([None, 0, 1]), st.sampled_from([None, 0, 1]), st.integers(0, 2))
def test_a_relation_is_the_same_both_ways(
    one: tuple[str, ...], other: tuple[str, ...], node_one: int | None, node_other: int | None, nodes: int
) -> None:
    first, second = Gpu(0, "", one[-1], one, node_one), Gpu(1, "", other[-1], other, node_other)
    found = on_pci(first, second, nodes)
    assert found == on_pci(second, first, nodes) and found in (*RELATIONS, None)
