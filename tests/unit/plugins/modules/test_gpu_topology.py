# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topology, network devices, fabric, RDMA, affinity and NCCL as gpu_info gives them, on simulated boards."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.modules import gpu_info
from gpu_node import NOBODY
from topology_node import TopologyNode


def relations(found: dict[str, Any]) -> list[list[str]]:
    """The rows of the table, GPUs and NICs, without the affinities."""
    lines = found["topology"]["text"].split("\n\n")[0].splitlines()
    width = len(lines[0].split("CPU")[0].split())
    return [line.split()[1 : width + 1] for line in lines[1:]]


SYS = ["SYS"] * 4


@pytest.mark.parametrize(
    ("topology", "row"),
    [
        ("pix", ["X", "PIX", "NODE", "NODE", *SYS]),
        ("pxb", ["X", "PIX", "PXB", "PXB", *SYS]),
        ("phb", ["X", "PHB", "PHB", "PHB", *SYS]),
        ("node", ["X", "NODE", "NODE", "NODE", *SYS]),
    ],
)
def test_the_table_from_nvml_and_from_the_bus(topology: str, row: list[str]) -> None:
    node = TopologyNode("l40s:8", topology=topology, nics=2)
    rows = relations(node.info())
    assert rows[0][:8] == row
    assert [list(column) for column in zip(*rows)] == rows
    node.sim.unload()
    assert relations(node.info()) == rows


def test_nvlinks_over_nvswitches() -> None:
    found = TopologyNode("h100:8", topology="pix", nics=4).info()
    first = found["topology"]["gpus"][0]
    assert [peer["relation"] for peer in first["peers"]] == ["NV18"] * 7
    assert [peer["pcie"] for peer in first["peers"]] == ["PIX", "NODE", "NODE", *SYS]
    assert {link["remote"] for link in first["nvlinks"]} == {"switch"}
    assert {link["remote_address"] for link in first["nvlinks"]} == set(found["topology"]["nvswitches"])
    assert set(first["peers"][0]["p2p"]) == {"read", "write", "nvlink", "atomics", "pci"}
    assert first["peers"][0]["p2p"]["nvlink"] == "ok"


@pytest.mark.parametrize(
    ("boards", "nvlink", "row"),
    [
        ("a100:8", "mesh", ["NV2", "NV2", "NV4", "NV4", "SYS", "SYS", "SYS"]),
        ("a100:2", "none", ["SYS"]),
        ("gb200:2", "auto", ["NV18"]),
    ],
)
def test_nvlinks_from_gpu_to_gpu(boards: str, nvlink: str, row: list[str]) -> None:
    first = TopologyNode(boards, nvlink=nvlink).info()["topology"]["gpus"][0]
    assert [peer["relation"] for peer in first["peers"]] == row


def test_a_gpu_that_is_a_numa_node_itself() -> None:
    found = TopologyNode("gb200:2").info()["topology"]["gpus"]
    assert None not in [gpu["own_numa_node"] for gpu in found]


def test_links_that_are_down_do_not_count() -> None:
    node = TopologyNode("h100:2")
    node.sim.set(0, "nvlink_down", "0-3")
    node.sim.set(1, "nvlink_replay_errors", 7)
    found = node.info()["topology"]["gpus"]
    assert [peer["relation"] for gpu in found for peer in gpu["peers"]] == ["NV14", "NV14"]
    assert [link["active"] for link in found[0]["nvlinks"]][:5] == [False] * 4 + [True]
    assert 7 in [link["errors"]["replay"] for link in found[1]["nvlinks"]]


def test_network_devices_and_what_is_excluded() -> None:
    node = TopologyNode("h100:2", nics=2)
    node.interface("wg0", type="65534", uevent="DEVTYPE=wireguard")
    found = {nic["name"]: nic for nic in node.info()["nics"]}
    assert found["wg0"]["kind"] == "wireguard" and found["wg0"]["excluded"] == "a WireGuard tunnel"
    card = found["mlx5_0"]
    assert card["interface"].startswith("ibp") and card["rdma"] == "mlx5_0" and not card["excluded"]
    assert card["numa_node"] == 0 and card["speed"] == 400000 and len(card["irqs"]) == 16
    assert card["ports"] == [{"number": 1, "active": True, "link_layer": "InfiniBand", "speed": 400000}]


def test_affinity() -> None:
    node = TopologyNode("h100:2", nics=2)
    found = node.info()["affinity"]
    assert [gpu["nearest"] for gpu in found["gpus"]] == [["mlx5_0"], ["mlx5_1"]]
    assert {irq["nic"] for irq in found["irqs"]} == {"mlx5_0", "mlx5_1"}
    assert all(irq["cpus"].isdigit() and irq["why"] for irq in found["irqs"])


def test_the_nccl_file_leaves_out_a_tunnel() -> None:
    node = TopologyNode("l40s:1")
    assert node.info()["nccl"] == {"text": None, "reasons": [], "hints": []}
    node.interface("wg0", type="65534", uevent="DEVTYPE=wireguard")
    found = node.info()["nccl"]
    assert found["text"].endswith("\nNCCL_SOCKET_IFNAME=^docker,lo,virbr,wg0\n")
    assert [reason["name"] for reason in found["reasons"]] == ["NCCL_SOCKET_IFNAME"]


@pytest.mark.parametrize(
    ("state", "manager", "verdict"),
    [
        (3, True, "ready"),
        (3, False, "ready"),
        (2, True, "starting"),
        (1, True, "starting"),
        (1, False, "failed"),
    ],
)
def test_the_fabric(state: int, manager: bool, verdict: str) -> None:
    node = TopologyNode("h100:2")
    node.sim.set(1, "fabric_state", state)
    if manager:
        node.process(700, "nv-fabricmanager")
    found = node.info()["fabric"]
    assert (found["verdict"], found["manager"]["running"]) == (verdict, manager)
    assert found["gpus"][0]["state"] == "completed" and found["nvswitches"]


def test_another_version_of_the_fabric_manager_is_named() -> None:
    node = TopologyNode("h100:2")
    node.process(700, "nv-fabricmanager")
    entry = "Package: nvidia-fabricmanager-550\nStatus: install ok installed\nVersion: 550.90.07-1"
    node.write("var/lib/dpkg/status", entry)
    found = node.info()["fabric"]
    assert found["manager"]["version"] == "550.90.07-1"
    assert any("550.90.07, the driver is 550.163.01" in reason for reason in found["reasons"])


def test_boards_without_a_fabric_need_none() -> None:
    found = TopologyNode("l40s:2").info()["fabric"]
    assert (found["verdict"], found["nvswitches"]) == ("not_needed", [])


@pytest.mark.parametrize("driver", ["535.261.03", "545.23.08"])
def test_the_fabric_of_older_drivers(driver: str) -> None:
    """They lack nvmlDeviceGetGpuFabricInfoV."""
    gpus = TopologyNode("h100:2", driver).info()["fabric"]["gpus"]
    assert [gpu["state"] for gpu in gpus] == ["completed"] * 2
    assert gpus[0]["health"] is None and gpus[0]["summary"] is None


@pytest.mark.parametrize("driver", ["525.147.05", "535.261.03", "550.163.01", "570.124.06", "595.10.01"])
def test_old_and_new_drivers(driver: str) -> None:
    found = TopologyNode("h100:2", driver, nics=2).info()
    assert found["topology"]["gpus"][0]["peers"][0]["relation"] == "NV18"
    assert found["gpus"][0]["bar1"]["total"] > 0 and found["gpus"][0]["lost"] is None


def test_rdma() -> None:
    node = TopologyNode("h100:2", nics=2)
    node.write(
        "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.163.01"
    )
    node.write("proc/sys/kernel/osrelease", "6.1.0-28-amd64")
    found = node.info()["rdma"]
    assert (found["verdict"], found["dmabuf"], found["devices"]) == ("ready", True, ["mlx5_0", "mlx5_1"])
    node.write("proc/sys/kernel/osrelease", "5.10.0")
    assert node.info()["rdma"]["verdict"] == "not_ready"
    (node.root / "sys/module/nvidia_peermem").mkdir()
    assert node.info()["rdma"]["modules"] == ["nvidia_peermem"]


def test_the_rest_of_nvidia_smi() -> None:
    (found,) = TopologyNode("h100:1").info()["gpus"]
    assert (found["brand"], found["compute_capability"], found["power_source"]) == ("NVIDIA", "9.0", "ac")
    assert found["bar1"]["total"] == found["bar1"]["used"] + found["bar1"]["free"]
    assert found["temperature_thresholds"]["slowdown"] < found["temperature_thresholds"]["shutdown"]
    assert found["pcie"]["replays"] == 0 and found["pcie"]["tx"] == 0
    assert found["media"]["encoder"] == 0 and found["media"]["encoder_sessions"]["count"] == 0
    assert found["power_draw"]["instant"] == found["power"]["draw"]
    assert found["energy"] >= 0 and found["violations"]["power"] == 0 and found["firmware"]["gsp_enabled"]


def test_without_a_driver_the_bus_is_shown() -> None:
    node = TopologyNode("h100:4", topology="phb", nics=2)
    node.sim.unload()
    found = node.info()
    assert found["available"] is False and found["gpus"] == []
    first = found["topology"]["gpus"][0]
    assert first["uuid"] is None and [peer["relation"] for peer in first["peers"]] == ["PHB", "SYS", "SYS"]
    assert found["fabric"]["verdict"] == "failed" and found["rdma"]["verdict"] == "not_ready"
    assert found["affinity"]["gpus"][0]["nearest"] == ["mlx5_0"]


def test_without_root_everything_is_read_too() -> None:
    found = TopologyNode("h100:2", nics=2).info(uid=NOBODY)
    assert found["topology"]["gpus"][0]["peers"][0]["relation"] == "NV18" and found["affinity"]["irqs"]


def keys(value: Any) -> set[str]:
    """Names of all entries, however deep."""
    if isinstance(value, dict):
        return set(value).union(*(keys(item) for item in value.values()))
    return set().union(*(keys(item) for item in value)) if isinstance(value, list) else set()


def test_everything_returned_is_documented() -> None:
    node = TopologyNode("h100:2", nics=2)
    node.interface("wg0", type="65534", uevent="DEVTYPE=wireguard")
    found = node.info()
    del found["invocation"], found["changed"], found["topology"]["numa_nodes"]
    for gpu in found["gpus"]:
        gpu.pop("support", None)
    documented = set(re.findall(r"C\((\w+)\)|^(\w+):$", gpu_info.RETURN, re.MULTILINE))
    assert keys(found) - {name for pair in documented for name in pair} - {"numa_nodes"} == set()


def test_check_mode_changes_nothing_and_reads_the_same() -> None:
    node = TopologyNode("l40s:2")
    assert node.info(check=True)["topology"] == node.info()["topology"]


def test_a_lost_gpu_says_so_in_the_topology() -> None:
    node = TopologyNode("l40s:2")
    node.sim.lose(1)
    first, second = node.info()["topology"]["gpus"]
    assert first["lost"] is None and "no longer answers" in second["lost"]
    assert first["peers"][0]["p2p"] is None
