# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network devices, RDMA devices, interrupts and places as /sys and /proc show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology import sysfs
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.irqs import names_of
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.model import Irq, Nic, RdmaPort
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.nics import read
from topology_tree import SWITCH_A, Tree, nic

CARD = nic("mlx5_0", SWITCH_A, 1)
MELLANOX = "0x15b3"


def card(tree: Tree, function: int = 0, **files: Any) -> Path:
    path = (*CARD.path[:-1], f"{CARD.address[:-1]}{function}")
    return tree.pci(path, MELLANOX, "0x020000", numa_node="1", local_cpulist="8-15", **files)


def by_name(root: Path, with_irqs: bool = False) -> dict[str, Nic]:
    return {nic.name: nic for nic in read(root, with_irqs)}


def test_an_interface_with_its_rdma_device_is_one(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    device = card(tree)
    tree.link(str((device / "driver").relative_to(tmp_path)), tmp_path / "sys/bus/pci/drivers/mlx5_core")
    tree.interface("ens1np0", device, speed="400000", mtu="9000")
    tree.rdma("mlx5_0", device)
    (found,) = read(tmp_path)
    assert found == Nic(
        interface="ens1np0",
        rdma="mlx5_0",
        kind="physical",
        driver="mlx5_core",
        address=CARD.address,
        path=CARD.path,
        numa_node=1,
        cpus=tuple(range(8, 16)),
        speed=400000,
        up=True,
        mtu=9000,
        ports=(RdmaPort(1, True, "Ethernet", 400000),),
    )
    assert found.card and found.usable and found.active


def test_an_rdma_device_without_an_interface(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.rdma("mlx5_0", card(tree), state="1: DOWN", layer="InfiniBand")
    (found,) = read(tmp_path)
    assert (found.interface, found.rdma, found.address, found.speed) == ("", "mlx5_0", CARD.address, None)
    assert not found.active and not found.usable and not found.software_rdma


def test_rdma_in_software(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.rdma("siw0")
    older = tree.rdma("rxe0", card(tree))
    (older / "parent").write_text("ens1np0\n")
    found = by_name(tmp_path)
    assert found["siw0"].software_rdma and found["rxe0"].software_rdma


def test_a_virtio_device_sits_on_a_pci_device(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    device = card(tree)
    virtio = device / "virtio3"
    virtio.mkdir()
    tree.interface("eth0", virtio)
    (found,) = read(tmp_path)
    assert (found.address, found.numa_node, found.path) == (CARD.address, 1, CARD.path)


def test_a_virtual_function_names_its_parent(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    device = card(tree, 2)
    tree.link(str((device / "physfn").relative_to(tmp_path)), card(tree))
    tree.interface("ens1v0", device)
    (found,) = read(tmp_path)
    assert found.parent == CARD.address and not found.card


def test_a_subfunction_is_a_part_of_its_function(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    device = card(tree)
    part = device / "mlx5_core.sf.4"
    part.mkdir()
    tree.interface("ens1np0", device)
    tree.interface("ens1s4", part)
    tree.rdma("mlx5_0", device)
    tree.rdma("mlx5_7", part)
    found = {nic.interface: nic for nic in read(tmp_path)}
    assert (found["ens1np0"].rdma, found["ens1np0"].parent) == ("mlx5_0", "")
    assert (found["ens1s4"].rdma, found["ens1s4"].parent) == ("mlx5_7", CARD.address)


def test_the_speed_of_an_interface_that_does_not_say(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    device = card(tree)
    tree.interface("ibp1", device, speed="-1")
    tree.rdma("mlx5_0", device)
    assert read(tmp_path)[0].speed == 400000


def test_a_usb_device_is_on_no_pci_place(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    device = tmp_path / "sys/devices/platform/usb1"
    device.mkdir(parents=True)
    tree.interface("usb0", device)
    (found,) = read(tmp_path)
    assert (found.kind, found.address, found.usable, found.card) == ("physical", "", True, False)


@pytest.mark.parametrize(
    ("name", "files", "kind"),
    [
        ("lo", {"type": "772"}, "loopback"),
        ("wg0", {"type": "65534", "uevent": "DEVTYPE=wireguard\nINTERFACE=wg0"}, "wireguard"),
        ("mesh", {"uevent": "INTERFACE=mesh\nDEVTYPE=wireguard"}, "wireguard"),
        ("docker0", {"bridge/stp_state": "0"}, "container_bridge"),
        ("br-0123456789ab", {"bridge/stp_state": "0"}, "container_bridge"),
        ("virbr0", {"uevent": "DEVTYPE=bridge"}, "container_bridge"),
        ("br-ex", {"bridge/stp_state": "0"}, "bridge"),
        ("vethab12", {}, "veth"),
        ("cali1234", {}, "veth"),
        ("tun0", {"type": "65534", "tun_flags": "0x1001"}, "tunnel"),
        ("tap3", {"tun_flags": "0x1002"}, "veth"),
        ("vxlan.calico", {"uevent": "DEVTYPE=vxlan"}, "tunnel"),
        ("ipip0", {"type": "768"}, "tunnel"),
        ("bond0", {"bonding/mode": "802.3ad 4"}, "bond"),
        ("eth0.12", {"uevent": "DEVTYPE=vlan"}, "vlan"),
        ("dummy0", {}, "dummy"),
        ("ifb0", {}, "virtual"),
    ],
)
def test_kinds_of_virtual_interfaces(tmp_path: Path, name: str, files: dict[str, str], kind: str) -> None:
    Tree(tmp_path).interface(name, **files)
    (found,) = read(tmp_path)
    assert found.kind == kind
    assert bool(found.excluded) is (kind not in ("bond", "vlan", "virtual"))


def test_a_port_of_a_switch_stands_for_a_virtual_machine(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    device = card(tree)
    tree.interface("ens1np0", device, phys_port_name="p0")
    tree.interface("ens1npf0vf3", device, phys_port_name="pf0vf3")
    found = by_name(tmp_path)
    assert found["ens1npf0vf3"].excluded and not found["ens1np0"].excluded


@pytest.mark.parametrize(
    ("port", "uplink"), [("eth0", True), ("bond0", True), ("tap0", False), (None, False)]
)
def test_a_bridge_with_a_physical_port_leads_out(tmp_path: Path, port: str | None, uplink: bool) -> None:
    tree = Tree(tmp_path)
    tree.interface("eth0", card(tree))
    tree.interface("bond0", **{"bonding/mode": "1"})
    tree.interface("tap0", tun_flags="0x1002")
    ports = {f"brif/{port}/state": "3"} if port else {}
    tree.interface("br0", **{"bridge/stp_state": "0", **ports})
    found = by_name(tmp_path)["br0"]
    assert (found.uplink, bool(found.excluded)) == (uplink, not uplink)


def test_a_port_of_a_bond_is_not_usable_itself(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    directory = tree.interface("eth0", card(tree))
    bond = tree.interface("bond0", **{"bonding/mode": "1"})
    tree.link(str((directory / "master").relative_to(tmp_path)), bond)
    found = by_name(tmp_path)
    assert found["eth0"].master == "bond0" and not found["eth0"].usable and found["bond0"].usable


@pytest.mark.parametrize(
    ("state", "up"), [("up", True), ("down", False), ("lowerlayerdown", False), ("unknown", None), ("", None)]
)
def test_states(tmp_path: Path, state: str, up: bool | None) -> None:
    Tree(tmp_path).interface("eth0", operstate=state, speed="-1")
    (found,) = read(tmp_path)
    assert (found.up, found.speed) == (up, None)


def test_addresses(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    for name in ("eth0", "eth1", "eth2"):
        tree.interface(name)
    assert {nic.addressed for nic in read(tmp_path)} == {None}
    tree.write("proc/net/route", "Iface\tDestination\tGateway\neth0\t00000000\t0101A8C0\neth0\t0001A8C0\t0")
    assert {nic.name: nic.addressed for nic in read(tmp_path)} == {"eth0": True, "eth1": False, "eth2": False}
    tree.write("proc/net/if_inet6", "fe80000000000000021122fffe334455 02 40 20 80     eth1")
    assert by_name(tmp_path)["eth1"].addressed


def test_the_file_bonding_masters_is_no_interface(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("sys/class/net/bonding_masters", "bond0")
    assert read(tmp_path) == ()


INTERRUPTS = """\
            CPU0       CPU1
   0:         43          0   IO-APIC   2-edge      timer
  24:          0          0  PCI-MSI-0000:00:1d.0   0-edge      PCIe PME
 150:        123          4  IR-PCI-MSIX-0000:1a:00.0   0-edge      mlx5_async0@pci:0000:1a:00.0
 151:          0          0  IR-PCI-MSI 13107201-edge      mlx5_comp0@pci:0000:1a:00.0
 152:          0          0  IR-PCI-MSI 13107202-edge
  26:          0          0   PCI-MSI 1-edge  one, two
  27:          0          0
 NMI:          1          1   Non-maskable interrupts
"""


def test_names_of_interrupts() -> None:
    assert names_of(INTERRUPTS) == {
        0: "timer",
        24: "PCIe PME",
        150: "mlx5_async0@pci:0000:1a:00.0",
        151: "mlx5_comp0@pci:0000:1a:00.0",
        152: "",
        26: "one, two",
    }
    assert names_of("") == {}


def test_interrupts_of_a_device(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.write("proc/interrupts", INTERRUPTS)
    tree.write("proc/irq/151/smp_affinity_list", "0-1")
    vectors = {"msi_irqs/151": "msix", "msi_irqs/150": "msix", "irq": "24"}
    tree.interface("eth0", card(tree, 0, **vectors))
    tree.interface("eth1", card(tree, 1, irq="24"))
    tree.interface("eth2", card(tree, 2, irq="0"))
    found = by_name(tmp_path, with_irqs=True)
    assert found["eth0"].irqs == (
        Irq(150, "mlx5_async0@pci:0000:1a:00.0"),
        Irq(151, "mlx5_comp0@pci:0000:1a:00.0", "0-1"),
    )
    assert found["eth1"].irqs == (Irq(24, "PCIe PME"),) and found["eth2"].irqs == ()
    assert by_name(tmp_path)["eth0"].irqs == ()


def test_numa_nodes_and_cores(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    assert sysfs.numa_nodes(tmp_path) == {}
    tree.write("sys/devices/system/cpu/online", "0-3")
    assert sysfs.numa_nodes(tmp_path) == {0: (0, 1, 2, 3)}
    tree.numa(node0="0-1", node1="2-3", has_cpu="0-1")
    assert sysfs.numa_nodes(tmp_path) == {0: (0, 1), 1: (2, 3)}
    tree.write("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0,2")
    assert sysfs.siblings(tmp_path, (0, 1)) == {0: (0, 2)}


def test_a_device_on_no_numa_node(tmp_path: Path) -> None:
    Tree(tmp_path).interface("eth0", card(Tree(tmp_path)))
    (tmp_path / "sys/bus/pci/devices" / CARD.address / "numa_node").write_text("-1\n")
    assert read(tmp_path)[0].numa_node is None


def test_an_empty_node(tmp_path: Path) -> None:
    assert read(tmp_path, with_irqs=True) == ()
