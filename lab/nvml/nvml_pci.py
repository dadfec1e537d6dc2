# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directory trees shaped like /sys/bus/pci/devices and /sys/devices of a simulated node."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nvml_state import SimError, Table, number
from nvml_topology import Nic, nvswitches, place_nics

NVIDIA, MELLANOX, INTEL = "0x10de", "0x15b3", "0x8086"
CONNECTX_7 = "0x1021"
BRIDGE_CLASS, VGA_CLASS, GPU_CLASS, OTHER_BRIDGE = "0x060400", "0x030000", "0x030200", "0x068000"
NIC_CLASSES = {"infiniband": "0x020700", "ethernet": "0x020000"}
LINK_SPEEDS = {3: "8.0 GT/s PCIe", 4: "16.0 GT/s PCIe", 5: "32.0 GT/s PCIe", 6: "64.0 GT/s PCIe"}
FIRST_IRQ, IRQS_PER_NIC = 128, 16
SYSFS_TAIL = ("bus", "pci", "devices")

Files = dict[str, str]
"""{path below the device: content without its end of line}"""


def pci_address(board: Table) -> str:
    """The name the kernel gives the device, such as 0000:1b:00.0."""
    domain, bus, slot = (number(board, f"pci_{part}") for part in ("domain", "bus", "slot"))
    return f"{domain:04x}:{bus:02x}:{slot:02x}.0"


def gpu_files(board: Table) -> Files:
    generation, width = number(board, "pcie_generation"), board["pcie_width"]
    return {
        "vendor": NVIDIA,
        "device": board["pci_device"],
        "subsystem_vendor": NVIDIA,
        "subsystem_device": board["pci_subsystem"],
        "class": VGA_CLASS if number(board, "display") else GPU_CLASS,
        "numa_node": board["numa_node"],
        "local_cpulist": board["cpus"],
        "max_link_speed": LINK_SPEEDS[generation],
        "max_link_width": width,
        "current_link_speed": LINK_SPEEDS[generation],
        "current_link_width": width,
    }


def nic_files(nic: Nic, index: int, link: str) -> Files:
    """A ConnectX-7: its network interface, its RDMA device, its interrupts."""
    bus, function = int(nic.address[5:7], 16), nic.address[-1]
    ending = f"f{function}" if function != "0" else ""
    interface = f"ibp{bus}s0{ending}" if link == "infiniband" else f"enp{bus}s0{ending}np0"
    rdma = f"infiniband/mlx5_{index}"
    irqs = range(FIRST_IRQ + index * IRQS_PER_NIC, FIRST_IRQ + (index + 1) * IRQS_PER_NIC)
    return {
        "vendor": MELLANOX,
        "device": CONNECTX_7,
        "subsystem_vendor": MELLANOX,
        "subsystem_device": "0x0041",
        "class": NIC_CLASSES[link],
        "numa_node": nic.numa_node,
        "local_cpulist": nic.cpus,
        "max_link_speed": LINK_SPEEDS[5],
        "max_link_width": "16",
        "current_link_speed": LINK_SPEEDS[5],
        "current_link_width": "16",
        f"net/{interface}/address": f"02:00:00:00:{index:02x}:{bus:02x}",
        f"net/{interface}/mtu": "4092" if link == "infiniband" else "1500",
        f"net/{interface}/operstate": "up",
        f"net/{interface}/speed": "400000",
        f"{rdma}/node_guid": f"0200:0000:0000:{index:04x}",
        f"{rdma}/ports/1/state": "4: ACTIVE",
        f"{rdma}/ports/1/link_layer": "InfiniBand" if link == "infiniband" else "Ethernet",
        f"{rdma}/ports/1/rate": "400 Gb/sec (4X NDR)",
        **{f"msi_irqs/{irq}": "msix" for irq in irqs},
    }


def port_files(numa_node: str, cpus: str) -> Files:
    """A root port or a port of a PCIe switch."""
    files = {"vendor": INTEL, "device": "0x352a", "class": BRIDGE_CLASS}
    return {**files, "numa_node": numa_node, "local_cpulist": cpus}


def write_files(directory: Path, files: Files) -> None:
    for name, value in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")


def devices_root(root: Path, named: Path | None) -> Path | None:
    """Where the tree behind the links goes: as named, beside a bus/pci/devices, else nowhere (no links)."""
    if named is not None:
        return named
    absolute = root.absolute()
    return absolute.parents[2] / "devices" if absolute.parts[-3:] == SYSFS_TAIL else None


def _wanted(boards: list[Table], nics: list[Nic], link: str) -> dict[str, tuple[str, Files]]:
    """{address: (its PCI path, its files)} of GPUs and network cards."""
    gpus = {pci_address(board): (board["pci_path"], gpu_files(board)) for board in boards}
    cards = {nic.address: (nic.path, nic_files(nic, index, link)) for index, nic in enumerate(nics)}
    return {**gpus, **cards}


def _is_ours(path: Path) -> bool:
    vendor = path / "vendor"
    if path.is_symlink():
        return "pci" in str(path.readlink())
    return vendor.is_file() and vendor.read_text().strip() in (NVIDIA, MELLANOX)


def _clear(root: Path, keep: set[str]) -> None:
    """Removes what an earlier tree left; devices that are nobody's here stay."""
    for path in root.iterdir():
        if path.is_symlink() and _is_ours(path):
            path.unlink()
        elif path.name not in keep and _is_ours(path):
            shutil.rmtree(path)


def _write_linked(
    root: Path, devices: Path, wanted: dict[str, tuple[str, Files]], boards: list[Table]
) -> None:
    """The real directories below `devices`, as deep as the wiring, and a link to each in `root`."""
    for path in devices.glob("pci*"):
        shutil.rmtree(path)
    first = boards[0]
    everything = dict(wanted)
    for slot, (address, device) in enumerate(nvswitches(boards), start=1):
        bus = f"pci0000:{int(address[5:7], 16) + 8:02x}"
        files = {"vendor": NVIDIA, "device": device, "class": OTHER_BRIDGE}
        files |= {"numa_node": first["numa_node"], "local_cpulist": first["cpus"]}
        everything[address] = (f"{bus} {bus[3:]}:{slot:02x}.0", files)
    for address, (route, files) in everything.items():
        place = devices
        for port in route.split():
            place = place / port
            if not port.startswith("pci"):
                write_files(place, port_files(files["numa_node"], files["local_cpulist"]))
                _link(root, place)
        write_files(place / address, files)
        _link(root, place / address)


def _link(root: Path, target: Path) -> None:
    link = root / target.name
    if not link.exists():
        link.symlink_to(os.path.relpath(target, root.resolve()))


def write_pci_tree(
    boards: list[Table], root: Path, *, nics: int = 0, link: str = "infiniband", devices: Path | None = None
) -> list[str]:
    """Writes a tree shaped like /sys/bus/pci/devices; returns the addresses of GPUs and network cards.

    Where `root` ends in bus/pci/devices (or `devices` is named), the entries are links into a tree shaped
    like /sys/devices, with the bridges above each device and the NVSwitches; elsewhere they are plain
    directories. Other devices in `root` stay.
    """
    if link not in NIC_CLASSES:
        raise SimError(f"nic link {link!r}: not one of {', '.join(NIC_CLASSES)}")
    wanted = _wanted(boards, place_nics(boards, nics), link)
    root.mkdir(parents=True, exist_ok=True)
    behind = devices_root(root, devices)
    _clear(root, set() if behind else set(wanted))
    if behind:
        behind.mkdir(parents=True, exist_ok=True)
        _write_linked(root, behind.resolve(), wanted, boards)
    else:
        for address, (_path, files) in wanted.items():
            write_files(root / address, files)
    return list(wanted)
