# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of how the GPUs, network devices and CPUs of a node hang together. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PHYSICAL, BOND, VLAN, BRIDGE = "physical", "bond", "vlan", "bridge"
CONTAINER_BRIDGE, VETH, WIREGUARD, TUNNEL = "container_bridge", "veth", "wireguard", "tunnel"
LOOPBACK, DUMMY, REPRESENTOR, VIRTUAL = "loopback", "dummy", "representor", "virtual"
"""Kinds of network devices. VIRTUAL is any other without a device: nobody knows where it leads."""

RELATIONS = ("PIX", "PXB", "PHB", "NODE", "SYS")
"""How two PCI devices reach each other in nvidia-smi's words, nearest first."""


@dataclass(frozen=True)
class NvLink:
    """One NVLink of a GPU. None: the driver does not say.

    remote: gpu, switch, npu or unknown
    remote_address: PCI address of the other end, as sysfs writes it, or ""
    errors: name → count since the driver was loaded
    """

    link: int
    active: bool | None = None
    version: int | None = None
    remote: str | None = None
    remote_address: str = ""
    errors: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    index: NVML's; position on the bus where NVML could not be asked
    path: the PCI devices from the host bridge (`pci0000:17`) down to the GPU; () if unknown
    own_node: the NUMA node the GPU's memory itself is, on coherent platforms only
    links: () where they were not asked for, or there are none
    lost: why it does not answer, or ""
    """

    index: int
    uuid: str = ""
    address: str = ""
    path: tuple[str, ...] = ()
    numa_node: int | None = None
    own_node: int | None = None
    cpus: tuple[int, ...] = ()
    links: tuple[NvLink, ...] = ()
    lost: str = ""

    @property
    def label(self) -> str:
        return f"gpu {self.index}"


@dataclass(frozen=True)
class Irq:
    """An interrupt of a device. cpus: those it may go to now (`0-3`), None if unknown."""

    number: int
    name: str = ""
    cpus: str | None = None


@dataclass(frozen=True)
class RdmaPort:
    """A port of an RDMA device. speed in Mbit/s; link_layer is InfiniBand or Ethernet."""

    number: int
    active: bool | None = None
    link_layer: str = ""
    speed: int | None = None


@dataclass(frozen=True)
class Nic:
    """A network interface, an RDMA device, or both.

    interface, rdma: the names, "" if there is none of it
    speed: Mbit/s; None where the link is down or the device does not say
    up: whether the link is there; None if unknown
    addressed: whether an IP address is on the interface; None if unknown
    uplink: for a bridge, whether a physical port is in it
    master: the bond or bridge this interface is a port of, or ""
    parent: PCI address of the physical function this is a virtual or a subfunction of, or ""
    """

    interface: str = ""
    rdma: str = ""
    kind: str = PHYSICAL
    driver: str | None = None
    address: str = ""
    path: tuple[str, ...] = ()
    numa_node: int | None = None
    cpus: tuple[int, ...] = ()
    speed: int | None = None
    up: bool | None = None
    mtu: int | None = None
    master: str = ""
    addressed: bool | None = None
    uplink: bool = False
    parent: str = ""
    ports: tuple[RdmaPort, ...] = ()
    irqs: tuple[Irq, ...] = ()

    @property
    def name(self) -> str:
        return self.rdma or self.interface

    @property
    def excluded(self) -> str:
        """Why traffic between nodes should not go here, or ""."""
        if self.kind == BRIDGE and not self.uplink:
            return "a bridge without a physical port"
        reasons = {
            LOOPBACK: "the loopback interface",
            WIREGUARD: "a WireGuard tunnel",
            TUNNEL: "a tunnel",
            VETH: "the host's ends of containers",
            CONTAINER_BRIDGE: "a bridge for containers or virtual machines",
            DUMMY: "a dummy interface",
            REPRESENTOR: "stands for a port given to a virtual machine or container",
        }
        return reasons.get(self.kind, "")

    @property
    def usable(self) -> bool:
        """Whether it is known for an IP interface that leads out of the node."""
        known = self.kind in (PHYSICAL, BOND, VLAN, BRIDGE)
        return bool(self.interface) and known and not self.excluded and not self.master

    @property
    def software_rdma(self) -> bool:
        """RDMA played by the CPU (rxe, siw): there is no device on the bus."""
        return bool(self.rdma) and not self.address

    @property
    def active(self) -> bool:
        """Whether traffic can go through now; unknown counts as yes."""
        if self.ports:
            return any(port.active is not False for port in self.ports)
        return self.up is not False

    @property
    def card(self) -> bool:
        """Whether it is a device of its own on the PCI bus, not a part of another one."""
        return bool(self.address) and self.kind == PHYSICAL and not self.parent


@dataclass(frozen=True)
class Pair:
    """What NVML says of two GPUs: `relation` (PIX …) and what peer access does (`ok`, or why not)."""

    relation: str | None = None
    p2p: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Topology:
    """A node.

    switches: PCI addresses of the NVSwitches
    nodes: NUMA node → its CPUs
    siblings: CPU → the CPUs of its core; a CPU that is not named is a core of its own
    pairs: (index, index) → what NVML says; empty where it was not asked
    """

    gpus: tuple[Gpu, ...] = ()
    nics: tuple[Nic, ...] = ()
    switches: tuple[str, ...] = ()
    nodes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    siblings: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    pairs: Mapping[tuple[int, int], Pair] = field(default_factory=dict)

    @property
    def cards(self) -> tuple[Nic, ...]:
        """One network device per PCI address, in the order of the bus; RDMA devices before interfaces."""
        found: dict[str, Nic] = {}
        for nic in sorted(self.nics, key=lambda nic: (nic.address, not nic.rdma, nic.interface)):
            if nic.card:
                found.setdefault(nic.address, nic)
        return tuple(found.values())
