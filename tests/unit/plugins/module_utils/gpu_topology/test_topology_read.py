# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of NVML, how often, and what becomes of it when it does not answer."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import LayerUnavailable, TargetLost
from ansible_collections.swarm.node.plugins.module_utils.gpu.nvml import Nvml, NvmlError, Unsupported
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.ask import Asker
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.details import details, pcie_traffic
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.fields import read_fields
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.nvlinks import read_links
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.read import (
    read_everything,
    read_topology,
)
from topology_tree import SWITCH_A, Tree, gpu

GPUS = [gpu(0, SWITCH_A, 0), gpu(1, SWITCH_A, 2)]


class FakeNvml(Nvml):
    """Answers from a table: a value, a function of the arguments after the handle, or an error to raise."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.answers = {
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetHandleByUUID": lambda uuid: int(uuid[-1]),
            "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
            "nvmlDeviceGetPciInfo": lambda handle: SimpleNamespace(
                busId=f"0000{GPUS[handle].address}".upper()
            ),
            **answers,
        }

    def _call(self, target: str, function: str, arguments: tuple[Any, ...]) -> Any:
        self.calls.append(function)
        if function not in self.answers:
            raise Unsupported(function, 3, "not supported")
        answer = self.answers[function]
        found = answer(*arguments) if callable(answer) else answer
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree = Tree(tmp_path)
    for place in GPUS:
        tree.gpu(place)
    tree.numa(node0="0-7")
    return tmp_path


def test_the_cheap_reader_asks_three_things_per_gpu(root: Path) -> None:
    nvml = FakeNvml()
    found = read_topology(nvml, root)
    assert [(gpu.uuid, gpu.address, gpu.path) for gpu in found.gpus] == [
        (gpu.uuid, gpu.address, gpu.path) for gpu in GPUS
    ]
    assert found.gpus[0].cpus == tuple(range(8)) and found.nodes == {0: tuple(range(8))}
    assert Counter(nvml.calls) == {
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": 2,
        "nvmlDeviceGetUUID": 2,
        "nvmlDeviceGetPciInfo": 2,
    }


@pytest.mark.parametrize(
    "nvml",
    [
        None,
        FakeNvml(nvmlDeviceGetCount=LayerUnavailable("no driver")),
        FakeNvml(nvmlDeviceGetCount=NvmlError("nvmlDeviceGetCount", 999, "unknown")),
        FakeNvml(nvmlDeviceGetPciInfo=LayerUnavailable("the driver went away")),
    ],
)
def test_without_nvml_the_gpus_are_those_of_the_bus(root: Path, nvml: Nvml | None) -> None:
    for read in (read_topology, read_everything):
        found = read(nvml, root)
        assert [(gpu.index, gpu.uuid, gpu.path) for gpu in found.gpus] == [
            (gpu.index, "", gpu.path) for gpu in GPUS
        ]


def test_an_nvswitch_is_a_bridge_of_nvidia(root: Path) -> None:
    Tree(root).pci(("pci0000:e0", "0000:e1:00.0"), "0x10de", "0x068000")
    Tree(root).pci(("pci0000:e0", "0000:e2:00.0"), "0x8086", "0x068000")
    assert read_topology(FakeNvml(), root).switches == ("0000:e1:00.0",)


def one_fails(function: str, error: Exception) -> FakeNvml:
    return FakeNvml(
        **{function: lambda handle, *_rest: error if handle == 1 else FakeNvml().answers[function](handle)}
    )


@pytest.mark.parametrize("function", ["nvmlDeviceGetUUID", "nvmlDeviceGetPciInfo"])
def test_a_lost_gpu_says_so_and_the_other_is_read(root: Path, function: str) -> None:
    first, second = read_everything(one_fails(function, TargetLost("x", "fell off the bus")), root).gpus
    assert second.lost == "fell off the bus" and not first.lost and first.path


def test_a_gpu_without_a_uuid_does_not_answer(root: Path) -> None:
    error = NvmlError("nvmlDeviceGetUUID", 999, "unknown")
    assert "does not answer" in read_topology(one_fails("nvmlDeviceGetUUID", error), root).gpus[1].lost


def test_a_gpu_that_falls_off_while_it_is_read(root: Path) -> None:
    gone = TargetLost("x", "fell off the bus")
    nvml = FakeNvml(nvmlDeviceGetCpuAffinity=lambda handle, words: gone if handle == 1 else [0b11])
    found = read_everything(nvml, root)
    assert [gpu.lost for gpu in found.gpus] == ["", "fell off the bus"]
    assert found.gpus[0].cpus == (0, 1) and found.pairs == {}


def test_a_driver_that_goes_away_while_it_is_asked_leaves_what_the_bus_shows(root: Path) -> None:
    nvml = FakeNvml(nvmlDeviceGetTopologyCommonAncestor=LayerUnavailable("gone"))
    found = read_everything(nvml, root)
    assert found.pairs == {} and found.gpus[0].path == GPUS[0].path


def test_pairs(root: Path) -> None:
    statuses = {0: 0, 1: 4, 2: 5, 3: 1, 4: 77}
    nvml = FakeNvml(
        nvmlDeviceGetTopologyCommonAncestor=lambda one, other: {(0, 1): 30, (1, 0): 99}[one, other],
        nvmlDeviceGetP2PStatus=lambda one, other, kind: statuses[kind],
    )
    found = read_everything(nvml, root).pairs
    assert set(found) == {(0, 1), (1, 0)}
    assert (found[0, 1].relation, found[1, 0].relation) == ("PHB", None)
    assert found[0, 1].p2p == {
        "read": "ok",
        "write": "disabled by registry key",
        "nvlink": "not supported",
        "atomics": "chipset not supported",
        "pci": None,
    }


def test_the_node_of_a_gpu_that_the_kernel_does_not_place(root: Path) -> None:
    (root / "sys/bus/pci/devices" / GPUS[0].address / "numa_node").write_text("-1\n")
    nvml = FakeNvml(nvmlDeviceGetMemoryAffinity=lambda handle, words, scope: [0b10])
    first, second = read_everything(nvml, root).gpus
    assert (first.numa_node, second.numa_node) == (1, 0)
    two = FakeNvml(nvmlDeviceGetMemoryAffinity=lambda handle, words, scope: [0b11])
    assert read_everything(two, root).gpus[0].numa_node is None


def field(number: int, value: int, code: int = 0, kind: int = 3) -> SimpleNamespace:
    union = SimpleNamespace(dVal=0.5, uiVal=value, ullVal=value, siVal=-value)
    return SimpleNamespace(fieldId=number, nvmlReturn=code, valueType=kind, value=union)


def asker(**answers: Any) -> Asker:
    return Asker(FakeNvml(**answers), "GPU-0")


def test_field_values() -> None:
    values = [
        field(1, 7),
        field(2, 8, code=3),
        field(3, 9, kind=5),
        field(4, 0, kind=0),
        field(5, 1, kind=99),
    ]
    ask = asker(nvmlDeviceGetFieldValues=lambda handle, wanted: [*values, field(6, 1)])
    assert read_fields(ask, (1, 2, 3, 4, 5)) == {1: 7, 3: -9, 4: 0.5}
    assert read_fields(asker(), (1,)) == {}


def states(*given: Any) -> Any:
    errors = {None: Unsupported("x", 3, "no")}
    return lambda handle, link: errors.get(given[link], given[link]) if link < len(given) else errors[None]


def test_links_end_where_the_driver_knows_no_more() -> None:
    found = read_links(asker(nvmlDeviceGetNvLinkState=states(1, 0, None, 1)))
    assert [(link.link, link.active) for link in found] == [(0, True), (1, False)]
    assert read_links(asker()) == ()


def test_links_are_as_many_as_the_driver_counts() -> None:
    count = {"nvmlDeviceGetFieldValues": lambda handle, wanted: [field(91, 3)]}
    found = read_links(asker(nvmlDeviceGetNvLinkState=states(1, None, 0, 1), **count))
    assert [link.active for link in found] == [True, None, False]


def test_a_link_in_full() -> None:
    remote = SimpleNamespace(busId=b"00000000:E1:00.0")
    ask = asker(
        nvmlDeviceGetNvLinkState=states(1),
        nvmlDeviceGetNvLinkVersion=lambda handle, link: 4,
        nvmlDeviceGetNvLinkRemoteDeviceType=lambda handle, link: 2,
        nvmlDeviceGetNvLinkRemotePciInfo=lambda handle, link: remote,
        nvmlDeviceGetNvLinkErrorCounter=lambda handle, link, kind: Unsupported("x", 3, "no") if kind else 12,
    )
    (link,) = read_links(ask)
    assert (link.version, link.remote, link.remote_address) == (4, "switch", "0000:e1:00.0")
    assert link.errors == {
        "replay": 12,
        "recovery": None,
        "crc_flit": None,
        "crc_data": None,
        "ecc_data": None,
    }


def test_an_old_binding_does_not_say_what_is_at_the_other_end() -> None:
    remote = SimpleNamespace(busId=b"00000000:E1:00.0")
    answers = {
        "nvmlDeviceGetNvLinkState": states(1),
        "nvmlDeviceGetNvLinkRemotePciInfo": lambda handle, link: remote,
    }
    assert [link.remote for link in read_links(asker(**answers))] == [None]
    assert [link.remote for link in read_links(asker(**answers), ("0000:e1:00.0",))] == ["switch"]


@pytest.mark.parametrize("broken", [AttributeError, NameError, TypeError, ValueError])
def test_a_broken_binding_gives_nothing(broken: type[Exception]) -> None:
    ask = asker(nvmlDeviceGetName=broken("old binding"))
    assert ask("nvmlDeviceGetName") is None and not ask.lost


def test_a_loss_is_remembered_or_raised() -> None:
    ask = asker(nvmlDeviceGetName=TargetLost("x", "gone"))
    assert ask("nvmlDeviceGetName") is None and ask.lost == "gone"
    with pytest.raises(TargetLost):
        ask.must("nvmlDeviceGetName")


def leaves(value: Any) -> list[Any]:
    return [leaf for item in value.values() for leaf in leaves(item)] if isinstance(value, dict) else [value]


def test_details_of_a_driver_that_says_nothing() -> None:
    nvml = FakeNvml(nvmlDeviceGetPciInfo=Unsupported("x", 3, "no"))
    assert set(leaves(details(nvml, "GPU-0"))) == {None} == set(leaves(pcie_traffic(nvml, "GPU-0")))
