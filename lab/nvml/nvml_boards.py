# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a simulated node has: board files, PCI places, NUMA nodes, and the tree of its driver."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import uuid
from pathlib import Path

from nvml_state import SimError, Table, number, parse_table
from nvml_topology import FIRST_NVSWITCH_BUS, nvlink_remotes, pci_paths

BOARDS = Path(__file__).resolve().parent / "boards"
# PCI buses of an eight-GPU machine; more GPUs go to the next PCI domain.
BUSES = (0x1B, 0x43, 0x52, 0x61, 0x9D, 0xC3, 0xD1, 0xDF)
NVIDIA = "0x10de"
# CUDA version a driver branch reports, from NVIDIA's table of driver and toolkit versions.
CUDA = {525: 12000, 535: 12020, 545: 12030, 550: 12040, 555: 12050, 560: 12060, 565: 12070, 570: 12080,
        575: 12090, 580: 13000, 590: 13010, 595: 13020}  # fmt: skip
NODES = Path("/sys/devices/system/node")


def driver_versions(driver: str) -> Table:
    """The versions that come with a driver package, all but the loaded one."""
    if not re.fullmatch(r"\d{3}(\.\d+){1,2}", driver):
        raise SimError(f"driver version {driver!r}: expected BRANCH.MINOR[.PATCH], such as 550.163.01")
    branch = int(driver.split(".")[0])
    cuda = CUDA[max((known for known in CUDA if known <= branch), default=min(CUDA))]
    return {
        "library_version": driver,
        "nvml_version": f"{cuda // 1000}.{driver}",
        "cuda_version": str(cuda),
    }


def read_board(name: str, directory: Path = BOARDS) -> Table:
    """A board file as a table. SimError names the boards there are."""
    path = directory / f"{name}.conf"
    if "/" in name or not path.is_file():
        known = ", ".join(sorted(file.stem for file in directory.glob("*.conf")))
        raise SimError(f"board {name!r}: no such board file in {directory}; there are: {known}")
    return parse_table(path.read_text())


def parse_boards(text: str) -> list[str]:
    """'l40s:4,t4:2' -> the board's name once per GPU."""
    names = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([\w-]+)(?::(\d+))?\s*", part)
        if match is None or match[2] == "0":
            raise SimError(f"boards {text!r}: {part!r} is not NAME or NAME:COUNT with a count of 1 or more")
        names += [match[1]] * int(match[2] or 1)
    if len(names) > 64:
        raise SimError(f"boards {text!r}: {len(names)} GPUs, at most 64 are supported")
    return names


def cpu_list(node: int, nodes: int) -> str:
    """The CPUs of a NUMA node as a list: the host's own, else an even share of its CPUs."""
    with contextlib.suppress(OSError):
        return (NODES / f"node{node}" / "cpulist").read_text().strip()
    cpus = os.cpu_count() or 1
    share = max(1, cpus // nodes)
    first = min(node * share, cpus - 1)
    return f"{first}-{min(first + share, cpus) - 1}"


def host_nodes() -> int:
    return len(list(NODES.glob("node[0-9]*"))) or 1


def make_boards(
    names: list[str], numa_nodes: int, seed: str | None, topology: str = "node", nvlink: str = "auto"
) -> list[Table]:
    """One table per GPU: its board with UUID, serial number, place and wiring of its own."""
    source = random.Random(seed)
    boards = []
    for index, name in enumerate(names):
        board = read_board(name)
        node = index * numa_nodes // len(names)
        board.update(
            model=name,
            uuid=f"GPU-{uuid.UUID(int=source.getrandbits(128), version=4)}",
            serial=str(1_650_000_000_000 + source.randrange(10**9)),
            minor=str(index),
            pci_vendor=NVIDIA,
            pci_domain=str(index // len(BUSES)),
            pci_bus=hex(BUSES[index % len(BUSES)]),
            pci_slot="0",
            numa_node=str(node),
            cpus=cpu_list(node, numa_nodes),
        )
        if number(board, "no_serial"):
            del board["serial"]
        if number(board, "coherent"):
            board["own_numa_node"] = str(numa_nodes + index)
        boards.append(board)
    for board, path, remotes in zip(boards, pci_paths(boards, topology), nvlink_remotes(boards, nvlink)):
        board.update(pci_path=path, nvlink_remotes=remotes, nvswitch_bus=hex(FIRST_NVSWITCH_BUS))
        board["nvlink_switched"] = str(int(remotes.startswith("s")))
        board.setdefault("fabric_cluster_uuid", str(uuid.UUID(int=0)))
        board.setdefault("fabric_clique_id", "0")
    return boards


def write_module_tree(root: Path, node: Table, holders: int, *, anew: bool) -> None:
    """Brings root/nvidia (as in /sys/module) in line with the driver.

    A load of the driver (`anew`) makes a new directory before the old one goes, so that the inode
    number differs; an unloaded driver has no directory.
    """
    module, fresh, old = root / "nvidia", root / ".nvidia.new", root / ".nvidia.old"
    root.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(fresh, ignore_errors=True)
    if not number(node, "loaded"):
        # Kept aside until the next load: a file system may give a freed inode number out again at once.
        if module.is_dir():
            shutil.rmtree(old, ignore_errors=True)
            module.rename(old)
        return
    target = fresh if anew or not module.is_dir() else module
    target.mkdir(exist_ok=True)
    for name, value in (("refcnt", holders), ("version", node["driver_version"]), ("initstate", "live")):
        (target / name).write_text(f"{value}\n")
    if target is fresh:
        if module.is_dir():
            shutil.rmtree(old, ignore_errors=True)
            module.rename(old)
        fresh.rename(module)
        shutil.rmtree(old, ignore_errors=True)
