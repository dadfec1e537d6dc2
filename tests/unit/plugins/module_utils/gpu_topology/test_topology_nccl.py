# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What /etc/nccl.conf says on which node, and that it says nothing without a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.model import (
    BOND,
    BRIDGE,
    CONTAINER_BRIDGE,
    LOOPBACK,
    PHYSICAL,
    TUNNEL,
    VETH,
    VIRTUAL,
    WIREGUARD,
    Gpu,
    Nic,
    NvLink,
    Pair,
    RdmaPort,
    Topology,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_topology.nccl import (
    Wanted,
    hints,
    nccl_lines,
    nccl_text,
    problems,
)
from hypothesis import given
from hypothesis import strategies as st
from topology_tree import SWITCH_A, SWITCH_B, gpu, nic, node

LO = Nic(interface="lo", kind=LOOPBACK, addressed=True)
ETH0 = Nic(interface="eth0", up=True, addressed=True)
WG0 = Nic(interface="wg0", kind=WIREGUARD)
DOCKER0 = Nic(interface="docker0", kind=CONTAINER_BRIDGE, addressed=True)
ONE_GPU = [gpu(0, SWITCH_A, 0)]
ROOT_PORTS = ("pci0000:17",)


def values(topology: Topology, wanted: Wanted | None = None) -> dict[str, str]:
    return {line.name: line.value for line in nccl_lines(topology, wanted)}


@pytest.mark.parametrize(
    ("nics", "expected"),
    [
        ([LO, ETH0], None),
        ([LO, ETH0, WG0], "^docker,lo,virbr,wg0"),
        ([LO, ETH0, DOCKER0], "^docker,lo,virbr,veth"),
        ([LO, ETH0, DOCKER0, Nic(interface="veth12ab", kind=VETH)], "^docker,lo,virbr,veth"),
        ([ETH0, Nic(interface="br-0123456789ab", kind=CONTAINER_BRIDGE)], "^docker,lo,virbr,br-,veth"),
        ([ETH0, Nic(interface="cali12", kind=VETH), WG0], "^docker,lo,virbr,cali,wg0"),
        ([ETH0, Nic(interface="br0", kind=BRIDGE, addressed=True)], "^docker,lo,virbr,br0"),
        ([ETH0, Nic(interface="br0", kind=BRIDGE, addressed=False)], None),
        ([Nic(interface="br0", kind=BRIDGE, addressed=True, uplink=True), WG0], "^docker,lo,virbr,wg0"),
        ([Nic(interface="bond0", kind=BOND, addressed=True), WG0], "^docker,lo,virbr,wg0"),
        ([ETH0, Nic(interface="tun0", kind=TUNNEL, addressed=True)], "^docker,lo,virbr,tun0"),
        ([ETH0, Nic(interface="ifb0", kind=VIRTUAL, addressed=True)], None),
        # Nothing would be left: NCCL would fail where it works now.
        ([LO, WG0], None),
        ([LO, replace(ETH0, addressed=False), WG0], None),
        ([LO, replace(ETH0, master="bond0"), WG0], None),
        # NCCL takes ib* before all others; a list of exclusions would take that away.
        ([Nic(interface="ibp24s0", addressed=True), ETH0, WG0], None),
        ([Nic(interface="ibp24s0", addressed=False), ETH0, WG0], "^docker,lo,virbr,wg0"),
        ([Nic(interface="ibp24s0", addressed=None), ETH0, WG0], "^docker,lo,virbr,wg0"),
        # A name that begins like an excluded one would go with it.
        ([Nic(interface="lom1", addressed=True), LO, WG0], "^=lo,wg0"),
        ([ETH0, Nic(interface="eth", kind=WIREGUARD), LO], "^=eth,lo"),
    ],
)
def test_interfaces(nics: list[Nic], expected: str | None) -> None:
    assert values(node(ONE_GPU, nics)).get("NCCL_SOCKET_IFNAME") == expected


def test_the_file_does_not_change_when_containers_come_and_go() -> None:
    quiet = node(ONE_GPU, [LO, ETH0, DOCKER0])
    busy = node(ONE_GPU, [*quiet.nics, *(Nic(interface=f"veth{n}", kind=VETH) for n in range(3))])
    assert nccl_text(busy) == nccl_text(quiet)


def test_without_gpus_there_is_no_file() -> None:
    assert nccl_text(node([], [LO, ETH0, WG0, nic("mlx5_0", SWITCH_A, 0)])) is None


def test_a_node_with_one_gpu_and_nothing_to_exclude_has_no_file() -> None:
    assert nccl_text(node(ONE_GPU, [LO, ETH0])) is None


def dgx(**more: object) -> Topology:
    """Two GPUs per switch, a compute device beside each, a storage device on a root port of its own."""
    gpus = [gpu(0, SWITCH_A, 0), gpu(1, SWITCH_A, 2), gpu(2, SWITCH_B, 0, 1), gpu(3, SWITCH_B, 2, 1)]
    nics = [
        nic("mlx5_0", SWITCH_A, 1),
        nic("mlx5_1", SWITCH_B, 1, 1),
        nic("mlx5_9", ("pci0000:f0",), 1, 1),
    ]
    return node(gpus, nics, **more)


def test_rdma_devices_far_from_every_gpu_are_left_out() -> None:
    (line,) = nccl_lines(dgx())
    assert (line.name, line.value) == ("NCCL_IB_HCA", "=mlx5_0,mlx5_1")
    assert "mlx5_9" in line.why


def change(topology: Topology, name: str, **fields: object) -> Topology:
    nics = tuple(replace(nic, **fields) if nic.name == name else nic for nic in topology.nics)
    return replace(topology, nics=nics)


DOWN = (RdmaPort(1, False, "InfiniBand"),)


def test_a_gpu_whose_near_device_is_down_keeps_the_far_one() -> None:
    assert values(change(dgx(), "mlx5_1", ports=DOWN)) == {}


def test_a_lost_gpu_does_not_change_the_file() -> None:
    whole = dgx()
    broken = replace(whole, gpus=(*whole.gpus[:3], Gpu(3, lost="fell off the bus")))
    assert nccl_text(broken) == nccl_text(whole)


def test_devices_that_are_all_near_need_no_line() -> None:
    assert values(node(ONE_GPU, [nic("mlx5_0", SWITCH_A, 1), nic("mlx5_1", SWITCH_A, 3)])) == {}
    assert (
        values(node([gpu(0, ROOT_PORTS, 1)], [nic("mlx5_0", ROOT_PORTS, 5), nic("mlx5_1", ROOT_PORTS, 7)]))
        == {}
    )


def test_where_no_device_is_near_all_stay() -> None:
    assert values(node(ONE_GPU, [nic("mlx5_0", SWITCH_B, 1, 1), nic("mlx5_1", ("pci0000:f0",), 1, 1)])) == {}


def test_another_host_bridge_is_not_near() -> None:
    near = nic("mlx5_0", SWITCH_B, 1)
    assert values(node(ONE_GPU, [near, nic("mlx5_1", ("pci0000:f0",), 1, 1)])) == {}


def test_rdma_in_software() -> None:
    soft = Nic(rdma="rxe0", ports=(RdmaPort(1, True, "Ethernet", 10000),))
    assert values(node(ONE_GPU, [soft])) == {"NCCL_IB_DISABLE": "1"}
    assert values(node(ONE_GPU, [soft, nic("mlx5_0", SWITCH_A, 1)])) == {"NCCL_IB_HCA": "=mlx5_0"}


def test_virtual_functions_are_left_to_virtual_machines() -> None:
    own = nic("mlx5_0", SWITCH_A, 1)
    virtual = replace(nic("mlx5_1", SWITCH_A, 3), parent=own.address)
    assert values(node(ONE_GPU, [own, virtual])) == {"NCCL_IB_HCA": "=mlx5_0"}
    assert values(node(ONE_GPU, [virtual])) == {}


def test_what_is_asked_for_comes_before_what_is_derived() -> None:
    topology = node(dgx().gpus, [*dgx().nics, ETH0, WG0])
    wanted = Wanted(("wg0",), ("mlx5_9",), {"NCCL_DEBUG": "WARN", "NCCL_P2P_LEVEL": "SYS"})
    assert values(topology, wanted) == {
        "NCCL_SOCKET_IFNAME": "=wg0",
        "NCCL_IB_HCA": "=mlx5_9",
        "NCCL_DEBUG": "WARN",
        "NCCL_P2P_LEVEL": "SYS",
    }
    assert values(topology, Wanted(settings={"NCCL_IB_HCA": "mlx5"}))["NCCL_IB_HCA"] == "mlx5"


def test_what_is_asked_for_must_be_there() -> None:
    wanted = Wanted(("eth7",), ("mlx5_7",), {"PATH": "/bin", "NCCL_DEBUG": "a\nNCCL_X=1", "NCCL_ALGO": ""})
    found = problems(node(ONE_GPU, [ETH0, nic("mlx5_0", SWITCH_A, 1)]), wanted, "gpu_nccl", "group train")
    assert [(problem.key, problem.value) for problem in found] == [
        ("gpu_nccl.interfaces", "eth7"),
        ("gpu_nccl.devices", "mlx5_7"),
        ("gpu_nccl.settings", "PATH"),
        ("gpu_nccl.settings.NCCL_DEBUG", "a\nNCCL_X=1"),
        ("gpu_nccl.settings.NCCL_ALGO", ""),
    ]
    assert "eth0" in str(found[0]) and "group train" in str(found[0])
    assert problems(dgx(), Wanted((), ("mlx5_0",), {"NCCL_DEBUG": "WARN"}), "gpu_nccl") == []


def test_the_text() -> None:
    assert nccl_text(node(ONE_GPU, [LO, ETH0, WG0])) == (
        "# From the topology of this node. What a job has in its environment comes before this file.\n"
        "# not for traffic between nodes: wg0 (a WireGuard tunnel)\n"
        "NCCL_SOCKET_IFNAME=^docker,lo,virbr,wg0\n"
    )


def peers(**more: object) -> dict[tuple[int, int], Pair]:
    good = Pair(None, {"read": "ok", "write": "ok"})
    return {(one, other): good for one in range(4) for other in range(4) if one != other}


def test_peer_access_past_a_host_bridge_is_a_hint_and_no_line() -> None:
    far = node([gpu(0, ROOT_PORTS, 1), gpu(1, ROOT_PORTS, 5), gpu(2, SWITCH_B, 0, 1)], pairs=peers())
    (hint,) = hints(far)
    assert "NCCL_P2P_LEVEL=SYS" in hint and "measure" in hint and nccl_text(far) is None
    assert hints(replace(far, pairs={})) == []
    assert hints(node([gpu(0, SWITCH_A, 0), gpu(1, SWITCH_A, 1)], pairs=peers())) == []


def test_nothing_is_said_of_peer_access_with_nvlink_or_nvswitch() -> None:
    far = node([gpu(0, ROOT_PORTS, 1), gpu(1, SWITCH_B, 0, 1)], pairs=peers())
    assert hints(replace(far, switches=("0000:e1:00.0",))) == []
    linked = replace(far.gpus[0], links=(NvLink(0, True, 4, "switch", "0000:e1:00.0"),))
    assert hints(replace(far, gpus=(linked, far.gpus[1]))) == []


def test_rdma_past_a_host_bridge_is_a_hint() -> None:
    (hint,) = hints(node([gpu(0, ROOT_PORTS, 1)], [nic("mlx5_0", ROOT_PORTS, 5)]))
    assert "NCCL_NET_GDR_LEVEL=PHB" in hint and "gpu 0" in hint


def test_a_mixture_of_fabrics_is_a_hint() -> None:
    other = replace(nic("mlx5_1", SWITCH_A, 3), ports=(RdmaPort(1, True, "Ethernet", 100000),))
    (hint,) = hints(node(ONE_GPU, [nic("mlx5_0", SWITCH_A, 1), other]))
    assert "Ethernet and InfiniBand" in hint


names = st.from_regex(r"[a-z]{1,4}[0-9]{0,2}", fullmatch=True)
kinds = st.sampled_from(
    [PHYSICAL, BOND, BRIDGE, CONTAINER_BRIDGE, VETH, WIREGUARD, TUNNEL, VIRTUAL, LOOPBACK]
)
interfaces = st.builds(
    Nic,
    interface=names,
    kind=kinds,
    addressed=st.sampled_from([None, False, True]),
    uplink=st.booleans(),
    master=st.sampled_from(["", "bond0"]),
)


def picked_by_nccl(value: str, names: list[str]) -> list[str]:
    """The interfaces NCCL keeps, by its documented rules."""
    without, value = value.startswith("^"), value.lstrip("^")
    whole, value = value.startswith("="), value.lstrip("=")
    listed = value.split(",")
    hit = [any(name == one if whole else name.startswith(one) for one in listed) for name in names]
    return [name for name, matched in zip(names, hit) if matched != without]


@given(st.lists(interfaces, max_size=6, unique_by=lambda nic: nic.interface))
def test_a_line_never_takes_the_last_way_out(nics: list[Nic]) -> None:
    text = nccl_text(node(ONE_GPU, nics))
    if text is None:
        return
    variables = [line for line in text.splitlines() if not line.startswith("#")]
    assert all("=" not in line for line in text.splitlines() if line.startswith("#"))
    value = dict(line.split("=", 1) for line in variables)["NCCL_SOCKET_IFNAME"]
    kept = picked_by_nccl(value, [nic.interface for nic in nics])
    assert {nic.interface for nic in nics if not nic.excluded} <= set(kept)
    assert not {nic.interface for nic in nics if nic.kind in (WIREGUARD, CONTAINER_BRIDGE, VETH)} & set(kept)
