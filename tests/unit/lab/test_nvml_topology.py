# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the GPUs of a simulated node are wired: PCI levels, sysfs paths, NVLinks, network cards, fabric."""

from __future__ import annotations

from pathlib import Path

import pytest
from nvml_pci import BRIDGE_CLASS
from nvml_sim import Simulator, gpu
from nvml_state import SimError

SELF, PIX, PXB, PHB, NODE, SYS = 0, 10, 20, 30, 40, 50
NVLINK, READ, PCI = 2, 0, 4
GPU_TYPE, SWITCH_TYPE = 0, 2
COMPLETED = 3


def levels(nvml, count: int) -> list[int]:
    return [nvml("nvmlDeviceGetTopologyCommonAncestor", gpu(0), gpu(other)) for other in range(count)]


@pytest.mark.parametrize(
    ("topology", "expected"),
    [
        ("node", [SELF, NODE, NODE, NODE, SYS, SYS, SYS, SYS]),
        ("phb", [SELF, PHB, PHB, PHB, SYS, SYS, SYS, SYS]),
        ("pix", [SELF, PIX, NODE, NODE, SYS, SYS, SYS, SYS]),
        ("pxb", [SELF, PIX, PXB, PXB, SYS, SYS, SYS, SYS]),
    ],
)
def test_levels(simulator: Simulator, topology: str, expected: list[int]) -> None:
    simulator.init("h100:8", numa_nodes=2, topology=topology)
    with simulator.client() as nvml:
        assert levels(nvml, 8) == expected
        for level in (PIX, PXB, PHB, NODE, SYS):
            near = nvml("nvmlDeviceGetTopologyNearestGpus", gpu(0), level)
            assert near == [gpu(index) for index in range(8) if expected[index] == level]
        assert nvml.error("nvmlDeviceGetTopologyNearestGpus", gpu(0), 7) == "INVALID_ARGUMENT"


def test_gpus_of_a_cpu(simulator: Simulator) -> None:
    simulator.init("h100:2", numa_nodes=1)
    simulator.set(0, "cpus", "0-3")
    simulator.set(1, "cpus", "4-7")
    with simulator.client() as nvml:
        assert nvml("nvmlSystemGetTopologyGpuSet", 5) == [gpu(1)]
        assert nvml("nvmlSystemGetTopologyGpuSet", 99) == []


@pytest.mark.parametrize("topology", ["node", "phb", "pix", "pxb"])
def test_sysfs_has_the_same_wiring(simulator: Simulator, tmp_path: Path, topology: str) -> None:
    simulator.init("h100:4", numa_nodes=2, topology=topology, nics=4)
    root = tmp_path / "sys/bus/pci/devices"
    addresses = simulator.node.pci_tree(root)
    devices = (tmp_path / "sys/devices").resolve()
    paths = [(root / address).resolve().relative_to(devices).parts for address in addresses]
    assert len(addresses) == 8
    for address, path in zip(addresses, paths):
        assert (root / address).readlink() == Path("../../../devices", *path)
        assert path[0].startswith("pci0000:")
        for port in path[1:-1]:
            assert (root / port / "class").read_text().strip() == BRIDGE_CLASS
    shared = {
        other: len([port for port, same in zip(paths[0], paths[other]) if port == same])
        for other in range(1, 8)
    }
    # GPU 1 of the same NUMA node, GPU 2 of another one, the network card beside GPU 0.
    assert (shared[1], shared[2], shared[4]) == {
        "node": (0, 0, 0),
        "phb": (1, 0, 1),
        "pix": (0, 0, 3),
        "pxb": (3, 0, 5),
    }[topology]
    assert (root / addresses[2] / "numa_node").read_text() == "1\n"


def test_a_network_card(simulator: Simulator, tmp_path: Path) -> None:
    simulator.init("h100:2", numa_nodes=2, topology="pix", nics=2)
    root = tmp_path / "flat"
    _gpu0, _gpu1, nic, other = simulator.node.pci_tree(root)
    card = root / nic
    names = ("vendor", "device", "class", "numa_node")
    assert [(card / name).read_text() for name in names] == ["0x15b3\n", "0x1021\n", "0x020700\n", "0\n"]
    assert (root / other / "numa_node").read_text() == "1\n"
    (interface,) = (card / "net").iterdir()
    assert (interface / "operstate").read_text() == "up\n"
    assert [path.name for path in (card / "infiniband").iterdir()] == ["mlx5_0"]
    irqs = {path.name for path in (card / "msi_irqs").iterdir()}
    assert len(irqs) == 16
    assert not irqs & {path.name for path in (root / other / "msi_irqs").iterdir()}
    ethernet = tmp_path / "ethernet"
    simulator.node.pci_tree(ethernet, nics=1, link="ethernet")
    assert (ethernet / nic / "class").read_text() == "0x020000\n"
    with pytest.raises(SimError, match="'token ring'"):
        simulator.node.pci_tree(ethernet, nics=1, link="token ring")


def test_links_into_a_named_directory(simulator: Simulator, tmp_path: Path) -> None:
    simulator.init("h100:4", numa_nodes=1, topology="pix")
    root, devices = tmp_path / "pci", tmp_path / "devices"
    first, second, *_others = simulator.node.pci_tree(root, devices)
    assert (root / first).resolve().parent.parent == (root / second).resolve().parent.parent
    assert any(
        (root / name / "class").read_text() == "0x068000\n" for name in ("0000:e8:00.0", "0000:eb:00.0")
    )
    simulator.init("t4:1", numa_nodes=1)
    simulator.node.pci_tree(root, devices)
    assert not (root / second).exists()
    assert (root / first / "device").read_text() == "0x1eb8\n"


@pytest.mark.parametrize(
    ("boards", "links", "version", "switches"),
    [("a100:2", 12, 4, 6), ("h100:2", 18, 6, 4), ("b200:2", 18, 7, 0), ("gb200:2", 18, 7, 0)],
)
def test_links_to_switches(
    simulator: Simulator, boards: str, links: int, version: int, switches: int
) -> None:
    simulator.init(boards)
    with simulator.client() as nvml:
        for link in range(links):
            assert nvml("nvmlDeviceGetNvLinkState", gpu(0), link) == 1
            assert nvml("nvmlDeviceGetNvLinkVersion", gpu(0), link) == version
            assert nvml("nvmlDeviceGetNvLinkRemoteDeviceType", gpu(0), link) == SWITCH_TYPE
            assert nvml("nvmlDeviceGetNvLinkCapability", gpu(0), link, 0) == 1
        assert nvml.error("nvmlDeviceGetNvLinkState", gpu(0), links) == "INVALID_ARGUMENT"
        assert nvml("nvmlDeviceGetP2PStatus", gpu(0), gpu(1), NVLINK) == 0
        if switches:
            places = {nvml("nvmlDeviceGetNvLinkRemotePciInfo", gpu(0), link)["bus"] for link in range(links)}
            assert len(places) == switches
        else:
            assert nvml.error("nvmlDeviceGetNvLinkRemotePciInfo", gpu(0), 0) == "NOT_SUPPORTED"


def peers(nvml, index: int, links: int) -> list[int | None]:
    """The GPU at the other end of each link, by its bus id; None where the link is down."""
    found: list[int | None] = []
    for link in range(links):
        if not nvml("nvmlDeviceGetNvLinkState", gpu(index), link):
            found.append(None)
            continue
        assert nvml("nvmlDeviceGetNvLinkRemoteDeviceType", gpu(index), link) == GPU_TYPE
        bus = nvml("nvmlDeviceGetNvLinkRemotePciInfo", gpu(index), link)["busId"]
        found.append(nvml("nvmlDeviceGetHandleByPciBusId", bus)["gpu"])
    return found


def test_links_between_gpus(simulator: Simulator) -> None:
    simulator.init("v100:8")
    with simulator.client() as nvml:
        wired = [peers(nvml, index, 6) for index in range(8)]
        assert wired[0] == [1, 2, 3, 3, 4, 4]
        for index in range(8):
            for other in range(8):
                count = wired[index].count(other)
                assert count == wired[other].count(index)
                status = nvml("nvmlDeviceGetP2PStatus", gpu(index), gpu(other), NVLINK)
                assert (status == 0) == (count > 0)
    simulator.init("a100:4", nvlink="bridge")
    with simulator.client() as nvml:
        assert [set(peers(nvml, index, 12)) for index in range(4)] == [{1}, {0}, {3}, {2}]
        assert nvml("nvmlDeviceGetP2PStatus", gpu(0), gpu(2), NVLINK) != 0
        assert nvml("nvmlDeviceGetP2PStatus", gpu(0), gpu(2), PCI) == 0


def test_links_are_only_between_boards_of_one_model(simulator: Simulator) -> None:
    simulator.init("v100:2,a100:1,v100:1", nvlink="mesh")
    with simulator.client() as nvml:
        assert peers(nvml, 0, 6) == [1, 3, 3, None, None, None]


def test_boards_without_links(simulator: Simulator) -> None:
    simulator.init("l40s:2,rtx4090:2")
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetNvLinkState", gpu(0), 0) == "NOT_SUPPORTED"
        assert nvml("nvmlDeviceGetP2PStatus", gpu(0), gpu(1), READ) == 0
        assert nvml("nvmlDeviceGetP2PStatus", gpu(0), gpu(2), READ) != 0
        assert nvml("nvmlDeviceGetP2PStatus", gpu(2), gpu(3), READ) != 0


def test_a_link_that_is_down_and_its_errors(simulator: Simulator) -> None:
    simulator.set(0, "nvlink_down", "0-3,9")
    simulator.set(0, "nvlink_error_link", 5)
    simulator.set(0, "nvlink_replay_errors", 12)
    with simulator.client() as nvml:
        up = [nvml("nvmlDeviceGetNvLinkState", gpu(0), link) for link in range(18)]
        assert [link for link in range(18) if not up[link]] == [0, 1, 2, 3, 9]
        assert nvml("nvmlDeviceGetNvLinkErrorCounter", gpu(0), 5, 0) == 12
        assert nvml("nvmlDeviceGetNvLinkErrorCounter", gpu(0), 4, 0) == 0
        assert nvml.error("nvmlDeviceGetNvLinkErrorCounter", gpu(0), 5, 9) == "INVALID_ARGUMENT"
        nvml("nvmlDeviceResetNvLinkErrorCounters", gpu(0), 5)
        assert nvml("nvmlDeviceGetNvLinkErrorCounter", gpu(0), 5, 0) == 0
    simulator.set(0, "nvlink_down", "0-17")
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetP2PStatus", gpu(0), gpu(1), NVLINK) != 0
    with pytest.raises(SimError, match="a list of links"):
        simulator.set(0, "nvlink_down", "all")


def fabric(nvml, index: int = 0) -> dict:
    version = {"struct": "c_nvmlGpuFabricInfo_v3_t", "version": 0x3000028}
    return nvml("nvmlDeviceGetGpuFabricInfoV", gpu(index), version)


def test_fabric(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        old = nvml("nvmlDeviceGetGpuFabricInfo", gpu(0), {"struct": "c_nvmlGpuFabricInfo_t"})
        assert (old["state"], old["status"], old["cliqueId"]) == (COMPLETED, 0, 0)
        new = fabric(nvml)
        assert (new["state"], new["healthSummary"]) == (COMPLETED, 1)
        second = {"struct": "c_nvmlGpuFabricInfo_v2_t", "version": 0x2000024}
        assert nvml("nvmlDeviceGetGpuFabricInfoV", gpu(0), second)["healthMask"] == new["healthMask"]
        wrong = {"struct": "c_nvmlGpuFabricInfo_v2_t", "version": 7}
        assert nvml.error("nvmlDeviceGetGpuFabricInfoV", gpu(0), wrong) == "ARGUMENT_VERSION_MISMATCH"


def test_fabric_of_the_newest_drivers(simulator: Simulator) -> None:
    newest = ("nvmlDeviceGetGpuFabricInfo_v4", gpu(0), {"struct": "c_nvmlGpuFabricInfo_v4_t"})
    with simulator.client() as nvml:
        assert nvml.error(*newest) == "FUNCTION_NOT_FOUND"
    simulator.init("gb200:1", driver="615.10.01")
    with simulator.client() as nvml:
        found = nvml(*newest)
        assert (found["state"], found["numCliques"], found["cliques"][0]["id"]) == (COMPLETED, 1, 32766)
        simulator.set(0, "fabric_state", 2)
        assert nvml(*newest)["numCliques"] == 0


def test_fabric_conditions(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        for state in (0, 1, 2):
            simulator.set(0, "fabric_state", state)
            assert (fabric(nvml)["state"], fabric(nvml)["healthMask"]) == (state, 0)
        assert fabric(nvml, 1)["state"] == COMPLETED
        simulator.set(0, "fabric_state", None)
        simulator.set(0, "fabric_health_mask", 0x1)
        assert fabric(nvml)["healthSummary"] == 3
        simulator.set(0, "fabric_health_mask", 0x10)
        assert fabric(nvml)["healthSummary"] == 2
        simulator.set(0, "fabric_status", 999)
        simulator.set(0, "fabric_clique", 7)
        simulator.set(0, "fabric_cluster", "00112233-4455-6677-8899-aabbccddeeff")
        found = fabric(nvml)
        assert (found["status"], found["cliqueId"]) == (999, 7)
        raw = found["clusterUuid"]
        assert raw in (list(range(0, 0x100, 0x11)), "".join(map(chr, range(0, 0x100, 0x11))))


@pytest.mark.parametrize(
    ("boards", "options"), [("a100:1", {}), ("t4:1", {}), ("h100:1", {"nvlink": "none"})]
)
def test_no_fabric(simulator: Simulator, boards: str, options: dict) -> None:
    simulator.init(boards, **options)
    with simulator.client() as nvml:
        assert (
            nvml.error("nvmlDeviceGetGpuFabricInfo", gpu(0), {"struct": "c_nvmlGpuFabricInfo_t"})
            == "NOT_SUPPORTED"
        )


def test_the_gpus_of_a_rack_share_a_cluster(simulator: Simulator) -> None:
    simulator.init("gb200:4")
    with simulator.client() as nvml:
        assert len({str(fabric(nvml, index)["clusterUuid"]) for index in range(4)}) == 1
        assert fabric(nvml)["cliqueId"] == 32766


@pytest.mark.parametrize(
    ("options", "words"),
    [({"topology": "ring"}, "'ring'"), ({"nvlink": "ring"}, "'ring'"), ({"nics": -1}, "nics -1")],
)
def test_bad_wiring_is_named(simulator: Simulator, options: dict, words: str) -> None:
    before = simulator.status()
    with pytest.raises(SimError, match=words):
        simulator.init("h100:2", **options)
    assert simulator.status() == before
