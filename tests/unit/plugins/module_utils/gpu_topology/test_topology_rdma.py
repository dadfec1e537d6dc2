# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GPUDirect RDMA can be used, and what gets in its way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.acs import (
    redirecting_bridges,
    redirects,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.model import Nic, RdmaPort
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.rdma import (
    Support,
    hints,
    rdma_devices,
    read,
    verdict,
)
from topology_tree import SWITCH_A, Tree, gpu, nic, node

WHOLE = node([gpu(0, SWITCH_A, 0)], [nic("mlx5_0", SWITCH_A, 1)])
OPEN = Support((), "6.8.0-40-generic", "550.54.15", open_driver=True)
CLOSED = Support((), "6.8.0", "550.54.15", open_driver=False)


@pytest.mark.parametrize(
    ("support", "expected", "word"),
    [
        (OPEN, "ready", "DMA-BUF"),
        (replace(CLOSED, modules=("nvidia_peermem",)), "ready", "nvidia_peermem is loaded"),
        (replace(CLOSED, modules=("nv_peer_mem",)), "ready", "nv_peer_mem is loaded"),
        (CLOSED, "not_ready", "proprietary"),
        (replace(OPEN, kernel="5.10.0-28-amd64"), "not_ready", "5.10.0-28-amd64 is older than 5.12"),
        (replace(OPEN, kernel="5.12.0-rc1"), "ready", "DMA-BUF"),
        (replace(OPEN, kernel="4.18.0"), "not_ready", "older than 5.12"),
        (replace(OPEN, driver="510.47.03"), "not_ready", "older than 515"),
        (Support(), "not_ready", "does not say"),
        (Support(loaded=False), "not_ready", "driver is not loaded"),
    ],
)
def test_verdicts(support: Support, expected: str, word: str) -> None:
    found, reasons = verdict(WHOLE, support)
    assert found == expected and word in "; ".join(reasons)


def test_without_devices_it_is_not_needed() -> None:
    assert verdict(node([], WHOLE.nics), OPEN)[0] == "not_needed"
    assert verdict(node(WHOLE.gpus, [Nic(rdma="rxe0")]), OPEN) == ("not_needed", ["there is no RDMA device"])


def test_a_device_without_an_active_port() -> None:
    down = replace(WHOLE.nics[0], ports=(RdmaPort(1, False), RdmaPort(2, False)))
    assert verdict(node(WHOLE.gpus, [down]), OPEN) == ("not_ready", ["no port of an RDMA device is active"])


def test_two_interfaces_of_one_device_are_one_device() -> None:
    assert rdma_devices(node([], [WHOLE.nics[0], replace(WHOLE.nics[0], interface="other")])) == [
        WHOLE.nics[0]
    ]


NVRM = (
    "NVRM version: NVIDIA UNIX {}x86_64{}  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version:  gcc 12.2.0"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NVRM.format("Open Kernel Module for ", ""), ("550.54.15", True)),
        (NVRM.format("", " Kernel Module"), ("550.54.15", False)),
        ("", ("", None)),
    ],
)
def test_what_is_read(tmp_path: Path, text: str, expected: tuple[str, Any]) -> None:
    tree = Tree(tmp_path)
    tree.write("proc/driver/nvidia/version", text)
    tree.write("proc/sys/kernel/osrelease", "6.8.0-40-generic")
    tree.write("sys/module/nvidia_peermem/refcnt", "0")
    place = tree.gpu(WHOLE.gpus[0])
    tree.link(str((place / "iommu_group").relative_to(tmp_path)), tmp_path / "sys/kernel/iommu_groups/7")
    tree.write("sys/kernel/iommu_groups/7/type", "DMA-FQ")
    found = read(tmp_path, WHOLE)
    assert (found.driver, found.open_driver) == expected
    assert found.modules == ("nvidia_peermem",) and found.iommu == ("DMA-FQ",)
    assert found.dmabuf is bool(expected[1]) and found.loaded is bool(text)
    tree.write("sys/module/nvidia/refcnt", "0")
    assert read(tmp_path, WHOLE).loaded


def test_hints() -> None:
    assert hints(Support(iommu=("identity",), acs=())) == [] == hints(Support())
    (iommu,) = hints(Support(iommu=("DMA-FQ", "identity")))
    assert "DMA-FQ" in iommu and "iommu=pt" in iommu
    (acs,) = hints(Support(acs=("0000:18:00.0",)))
    assert "0000:18:00.0" in acs


def space(control: int, before: int = 1) -> bytes:
    """A configuration space whose ACS capability comes after `before` others."""
    found = bytearray(4096)
    for n in range(before + 1):
        at, following = 0x100 + 0x20 * n, 0x100 + 0x20 * (n + 1)
        last = n == before
        identifier, link = (0x000D, 0) if last else (0x0001, following)
        found[at : at + 4] = (link << 20 | 1 << 16 | identifier).to_bytes(4, "little")
        if last:
            found[at + 6 : at + 8] = control.to_bytes(2, "little")
    return bytes(found)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (space(0x1D), True),
        (space(0x04, 0), True),
        (space(0x08, 3), True),
        (space(0x11), False),
        (space(0), False),
        (bytes(4096), False),
        (b"\xff" * 4096, False),
        (bytes(256), False),
        (space(0x1D)[:0x124], False),
    ],
)
def test_the_configuration_space(config: bytes, expected: bool) -> None:
    assert redirects(config) is expected


def test_a_chain_that_bites_its_tail_ends() -> None:
    looped = bytearray(4096)
    looped[0x100:0x104] = (0x100 << 20 | 1 << 16 | 1).to_bytes(4, "little")
    assert redirects(bytes(looped)) is False


def test_bridges(tmp_path: Path) -> None:
    tree, addresses = Tree(tmp_path), ["0000:17:01.0", "0000:18:00.0", "0000:19:00.0"]
    assert redirecting_bridges(tmp_path, []) == ()
    tree.write(f"sys/bus/pci/devices/{addresses[0]}/config", space(0x1D)[:64])
    assert redirecting_bridges(tmp_path, addresses) is None
    tree.write(f"sys/bus/pci/devices/{addresses[1]}/config", space(0x1D))
    tree.write(f"sys/bus/pci/devices/{addresses[2]}/config", space(0))
    assert redirecting_bridges(tmp_path, addresses) == (addresses[1],)
