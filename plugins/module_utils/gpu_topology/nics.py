# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network and RDMA devices as /sys and /proc show them. Reads files only."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from . import sysfs
from .irqs import IrqReader
from .model import (
    BOND,
    BRIDGE,
    CONTAINER_BRIDGE,
    DUMMY,
    LOOPBACK,
    PHYSICAL,
    REPRESENTOR,
    TUNNEL,
    VETH,
    VIRTUAL,
    VLAN,
    WIREGUARD,
    Nic,
    RdmaPort,
)

LOOPBACK_TYPE = "772"
DEVICE_TYPES = {
    "wireguard": WIREGUARD,
    "bridge": BRIDGE,
    "bond": BOND,
    "team": BOND,
    "vlan": VLAN,
    "vxlan": TUNNEL,
    "geneve": TUNNEL,
    "gretap": TUNNEL,
    "ip6gretap": TUNNEL,
    "ppp": TUNNEL,
}
"""DEVTYPE of an interface's uevent → kind. What is not named here is told by its files or its name."""

TUNNEL_TYPES = ("65534", "768", "769", "776", "778", "823")
"""ARPHRD numbers: none (tun), ipip, ip6 in ip6, sit, gre, gre over ip6."""

CONTAINER_BRIDGES = re.compile(
    r"docker.*|br-[0-9a-f]{12}|cni.*|podman.*|virbr.*|lxcbr.*|lxdbr.*|cbr0|kube-bridge"
)
CONTAINER_ENDS = re.compile(r"veth.*|cali.*|lxc.*|cilium.*|vnet\d+|tap.*")
PART_OF_SWITCH = re.compile(r"(c\d+)?pf\d+(vf|sf)\d+")
SUBFUNCTION = ".sf."
"""In the name of a device that shares a PCI function with others (mlx5_core.sf.4)."""

GIGABITS = re.compile(r"([\d.]+)\s*Gb/sec")
ACTIVE = "ACTIVE"


def read(root: Path, with_irqs: bool = False) -> tuple[Nic, ...]:
    """Every interface and every RDMA device of the node, interfaces first, by name."""
    irqs = IrqReader(root) if with_irqs else None
    rdma = _rdma_devices(root, irqs)
    by_device = {device: nic for device, nic in rdma if device and nic.address}
    addressed = _addressed(root)
    found, joined = [], set()
    for name in sysfs.names(root / "sys/class/net"):
        directory = root / "sys/class/net" / name
        if not directory.is_dir():
            continue
        nic = _interface(directory, addressed, irqs)
        twin = by_device.get((directory / "device").resolve()) if nic.kind == PHYSICAL else None
        if twin:
            joined.add(twin.rdma)
            nic = replace(nic, rdma=twin.rdma, ports=twin.ports, speed=nic.speed or twin.speed)
        found.append(nic)
    return tuple(found + [nic for _device, nic in rdma if nic.rdma not in joined])


def _interface(directory: Path, addressed: set[str] | None, irqs: IrqReader | None) -> Nic:
    name, device = directory.name, directory / "device"
    kind = _kind(directory)
    speed = sysfs.number(directory / "speed")
    nic = Nic(
        interface=name,
        kind=kind,
        speed=speed if speed and speed > 0 else None,
        up={"up": True, "down": False, "lowerlayerdown": False}.get(sysfs.text(directory / "operstate")),
        mtu=sysfs.number(directory / "mtu"),
        master=sysfs.link_name(directory / "master"),
        addressed=None if addressed is None else name in addressed,
        uplink=kind == BRIDGE and _has_physical_port(directory),
    )
    if not device.exists():
        return nic
    return _on_bus(replace(nic, driver=sysfs.link_name(device / "driver") or None), device, irqs)


def _on_bus(nic: Nic, device: Path, irqs: IrqReader | None) -> Nic:
    """The device with its place on the PCI bus; as it is if it is not on one (USB, platform)."""
    path = sysfs.pci_path(device)
    if not path or not sysfs.ADDRESS.fullmatch(path[-1]):
        return nic
    base = _ancestor(device, path[-1])
    part = SUBFUNCTION in device.resolve().name
    return replace(
        nic,
        address=path[-1],
        path=path,
        numa_node=sysfs.node_of(base),
        cpus=sysfs.cpus_of(base),
        parent=path[-1] if part else sysfs.link_name(base / "physfn"),
        irqs=irqs.of(base) if irqs else (),
    )


def _ancestor(device: Path, address: str) -> Path:
    """The PCI device a device is, or sits on (virtio)."""
    real = device.resolve()
    return next((path for path in (real, *real.parents) if path.name == address), real)


def _kind(directory: Path) -> str:
    """Of an interface, from what the kernel says; by name only where it does not say (veth, dummy)."""
    name, arp = directory.name, sysfs.text(directory / "type")
    if arp == LOOPBACK_TYPE:
        return LOOPBACK
    if (directory / "device").exists() and not (directory / "tun_flags").exists():
        representor = PART_OF_SWITCH.fullmatch(sysfs.text(directory / "phys_port_name"))
        return REPRESENTOR if representor else PHYSICAL
    if (directory / "bridge").is_dir() or _device_type(directory) == "bridge":
        return CONTAINER_BRIDGE if CONTAINER_BRIDGES.fullmatch(name) else BRIDGE
    if (directory / "bonding").is_dir():
        return BOND
    known = DEVICE_TYPES.get(_device_type(directory))
    if known:
        return known
    if CONTAINER_ENDS.fullmatch(name):
        return VETH
    if (directory / "tun_flags").exists() or arp in TUNNEL_TYPES:
        return TUNNEL
    return DUMMY if name.startswith("dummy") else VIRTUAL


def _device_type(directory: Path) -> str:
    lines = sysfs.text(directory / "uevent").splitlines()
    return next((line.partition("=")[2] for line in lines if line.startswith("DEVTYPE=")), "")


def _has_physical_port(bridge: Path) -> bool:
    """Whether a bridge leads out of the node: a port is a device, or a bond or VLAN on top of devices."""
    for port in sysfs.names(bridge / "brif"):
        directory = bridge.parent / port
        if (directory / "device").exists() and not (directory / "tun_flags").exists():
            return True
        if _kind(directory) in (BOND, VLAN):
            return True
    return False


def _addressed(root: Path) -> set[str] | None:
    """Names of the interfaces that have an IP address, as far as /proc tells; None if it does not."""
    routes, inet6 = root / "proc/net/route", root / "proc/net/if_inet6"
    if not routes.exists() and not inet6.exists():
        return None
    found = {line.split()[0] for line in sysfs.text(routes).splitlines()[1:] if line.strip()}
    return found | {line.split()[-1] for line in sysfs.text(inet6).splitlines() if line.strip()}


def _rdma_devices(root: Path, irqs: IrqReader | None) -> list[tuple[Path | None, Nic]]:
    """With the directory of the device each is on; None for RDMA in software."""
    base = root / "sys/class/infiniband"
    found: list[tuple[Path | None, Nic]] = []
    for name in sysfs.names(base):
        ports = _ports(base / name / "ports")
        speeds = [port.speed for port in ports if port.active is not False and port.speed]
        nic = Nic(
            rdma=name,
            driver=sysfs.link_name(base / name / "device" / "driver") or None,
            ports=ports,
            speed=max(speeds, default=None),
        )
        device = base / name / "device"
        # Older kernels give rxe the parent of its interface; its own file `parent` tells it apart.
        real = device.exists() and not (base / name / "parent").exists()
        found.append((device.resolve(), _on_bus(nic, device, irqs)) if real else (None, nic))
    return found


def _ports(directory: Path) -> tuple[RdmaPort, ...]:
    """`state` is such as `4: ACTIVE`, `rate` such as `400 Gb/sec (4X NDR)`."""
    found = []
    for name in sysfs.names(directory):
        if not name.isdigit():
            continue
        state = sysfs.text(directory / name / "state").partition(":")[2].strip()
        rate = GIGABITS.match(sysfs.text(directory / name / "rate"))
        found.append(
            RdmaPort(
                number=int(name),
                active=state == ACTIVE if state else None,
                link_layer=sysfs.text(directory / name / "link_layer"),
                speed=round(float(rate[1]) * 1000) if rate else None,
            )
        )
    return tuple(sorted(found, key=lambda port: port.number))
