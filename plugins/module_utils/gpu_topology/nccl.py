# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What /etc/nccl.conf should say on a node: only lines for which there is a reason. Pure.

    text = nccl_text(read_topology(nvml, root), Wanted(interfaces=("bond0",)))     # None: no file

NCCL sets what the file says only where the environment of a job does not. Old releases know no comments and
take every line with an equals sign for a variable; comments here have none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.errors import Problem
from .affinity import best
from .links import distance, gpu_pair, nearest
from .model import CONTAINER_BRIDGE, VETH, WIREGUARD, Nic, Topology

SOCKETS, DEVICES, NO_IB = "NCCL_SOCKET_IFNAME", "NCCL_IB_HCA", "NCCL_IB_DISABLE"

OWN_EXCLUSIONS = ("docker", "lo", "virbr")
"""What NCCL leaves out by itself as long as NCCL_SOCKET_IFNAME is not set; setting it drops them."""

OWN_PREFERENCE = "ib"
"""Interfaces so named NCCL takes before all others, as long as NCCL_SOCKET_IFNAME is not set."""

FAMILIES = (
    (re.compile(r"br-[0-9a-f]{12}"), "br-"),
    (re.compile(r"veth.*"), "veth"),
    (re.compile(r"cali.*"), "cali"),
    (re.compile(r"lxc.*"), "lxc"),
    (re.compile(r"cilium.*"), "cilium"),
    (re.compile(r"vnet\d+"), "vnet"),
    (re.compile(r"tap.*"), "tap"),
)
"""Names that come and go with containers and virtual machines: excluded by their beginning."""

ENDS = "the host's ends of containers"

ALWAYS = (WIREGUARD, CONTAINER_BRIDGE, VETH)
"""Kinds that are excluded even while they have no address, so that the file does not come and go."""

REACH = "PXB"
"""NCCL uses GPUDirect RDMA and peer access up to this distance unless told otherwise."""

NAME = re.compile(r"NCCL_[A-Z0-9_]+")
LONGEST = 1023
"""NCCL cuts names and values there."""

HEADER = "# From the topology of this node. What a job has in its environment comes before this file."


@dataclass(frozen=True)
class Wanted:
    """What the operator says; each overrides what would be derived.

    interfaces: IP interfaces NCCL shall use, and no others
    devices: RDMA devices NCCL shall use, and no others
    settings: further variables, as they shall stand in the file
    """

    interfaces: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Line:
    name: str
    value: str
    why: str


def nccl_text(topology: Topology, wanted: Wanted | None = None) -> str | None:
    """The whole file, or None where there is nothing to say and no file should be."""
    lines = nccl_lines(topology, wanted)
    if not lines:
        return None
    return "\n".join([HEADER, *(f"# {line.why}\n{line.name}={line.value}" for line in lines)]) + "\n"


def nccl_lines(topology: Topology, wanted: Wanted | None = None) -> list[Line]:
    """The variables with their reasons. A node without a GPU has none that are not asked for."""
    wanted = wanted or Wanted()
    derived = [_sockets(topology, wanted), _devices(topology, wanted)]
    asked = [Line(name, str(value), "asked for") for name, value in sorted(wanted.settings.items())]
    names = {line.name for line in asked}
    return [line for line in derived if line and line.name not in names] + asked


def problems(topology: Topology, wanted: Wanted, key: str, origin: str = "") -> list[Problem]:
    """What this node cannot do of what is asked for. `key` names the option it was asked in."""
    interfaces = [nic.interface for nic in topology.nics if nic.interface]
    devices = [nic.rdma for nic in topology.nics if nic.rdma]
    found = _unknown(wanted.interfaces, interfaces, f"{key}.interfaces", origin)
    found += _unknown(wanted.devices, devices, f"{key}.devices", origin)
    for name, value in wanted.settings.items():
        if not NAME.fullmatch(name):
            found.append(Problem(f"{key}.settings", name, "names such as NCCL_DEBUG", origin))
        elif not re.fullmatch(rf"[^\r\n\0]{{1,{LONGEST}}}", str(value)):
            found.append(
                Problem(f"{key}.settings.{name}", value, f"one line of 1-{LONGEST} characters", origin)
            )
    return found


def _unknown(names: tuple[str, ...], known: list[str], key: str, origin: str) -> list[Problem]:
    here = f"what this node has: {', '.join(dict.fromkeys(known)) or 'none'}"
    return [Problem(key, name, here, origin) for name in names if name not in known]


def _sockets(topology: Topology, wanted: Wanted) -> Line | None:
    if wanted.interfaces:
        return Line(SOCKETS, "=" + ",".join(wanted.interfaces), "asked for; no other interface is used")
    usable = [nic for nic in topology.nics if nic.usable and nic.addressed is not False]
    left_out = _left_out(topology)
    if not topology.gpus or not usable or not left_out:
        return None
    if any(nic.interface.startswith(OWN_PREFERENCE) and nic.addressed for nic in usable):
        return None
    reasons = sorted(set(left_out.values()))
    named = (f"{', '.join(name for name in left_out if left_out[name] == why)} ({why})" for why in reasons)
    return Line(SOCKETS, _exclusion(topology, left_out), f"not for traffic between nodes: {'; '.join(named)}")


def _left_out(topology: Topology) -> dict[str, str]:
    """Beginning of names → why they are no way to other nodes; without those NCCL leaves out by itself."""
    excluded = [nic for nic in topology.nics if nic.interface and _worth_excluding(nic)]
    found = {_prefix(nic): nic.excluded for nic in excluded}
    if any(nic.kind == CONTAINER_BRIDGE for nic in excluded):
        found["veth"] = ENDS
    return {name: found[name] for name in sorted(found) if not name.startswith(OWN_EXCLUSIONS)}


def _worth_excluding(nic: Nic) -> bool:
    """NCCL passes over interfaces without an address; those of ALWAYS have one sooner or later."""
    return bool(nic.excluded) and (nic.kind in ALWAYS or nic.addressed is not False)


def _prefix(nic: Nic) -> str:
    return next((short for names, short in FAMILIES if names.fullmatch(nic.interface)), nic.interface)


def _exclusion(topology: Topology, left_out: Mapping[str, str]) -> str:
    """By the beginning of names; by whole names where another interface begins like an excluded one."""
    beginnings = (*OWN_EXCLUSIONS, *left_out)
    others = [nic.interface for nic in topology.nics if nic.interface and not nic.excluded]
    if not any(name.startswith(beginnings) for name in others):
        return "^" + ",".join(beginnings)
    names = {nic.interface for nic in topology.nics if nic.interface and nic.excluded}
    return "^=" + ",".join(sorted(names))


def _devices(topology: Topology, wanted: Wanted) -> Line | None:
    if wanted.devices:
        return Line(DEVICES, "=" + ",".join(wanted.devices), "asked for; no other RDMA device is used")
    found = {nic.rdma: nic for nic in topology.nics if nic.rdma}
    if not topology.gpus or not found:
        return None
    if all(nic.software_rdma for nic in found.values()):
        return Line(NO_IB, "1", f"{', '.join(sorted(found))}: RDMA in software only, slower than sockets")
    left_out = {nic.rdma: reason for nic in found.values() for reason in [_unfit(nic)] if reason}
    fit = [nic for nic in found.values() if nic.rdma not in left_out]
    near = _near(topology, fit)
    if near:
        far = "farther from every GPU than the others"
        left_out.update({nic.rdma: far for nic in fit if nic.rdma not in near})
    kept = sorted(set(found) - set(left_out))
    if not left_out or not kept:
        return None
    why = "; ".join(f"without {name} ({reason})" for name, reason in sorted(left_out.items()))
    return Line(DEVICES, "=" + ",".join(kept), why)


def _unfit(nic: Nic) -> str:
    if nic.software_rdma:
        return "RDMA in software"
    return "a virtual function, for virtual machines and containers" if nic.parent else ""


def _near(topology: Topology, devices: list[Nic]) -> set[str]:
    """Names of the devices near to some GPU. A lost GPU, whose place is unknown, does not count.

    Empty unless every GPU has an active one no farther than a host bridge.
    """
    found: set[str] = set()
    for gpu in topology.gpus:
        if not gpu.address:
            continue
        ranked = nearest(topology, gpu, tuple(devices))
        closest = best(ranked)
        if not closest or distance(closest[0][1]) > distance("PHB"):
            return set()
        reach = max(distance(closest[0][1]), distance(REACH))
        found.update(nic.rdma for nic, relation in ranked if distance(relation) <= reach)
    return found


def hints(topology: Topology) -> list[str]:
    """What an operator may want to measure; nothing of it is set, for NCCL's own choice has its reasons."""
    return _rdma_hints(topology) + _peer_hints(topology)


def _rdma_hints(topology: Topology) -> list[str]:
    real = tuple(nic for nic in topology.nics if nic.rdma and not nic.software_rdma)
    far: dict[str, list[str]] = {}
    for gpu in topology.gpus:
        closest = best(nearest(topology, gpu, real))
        if closest and distance(closest[0][1]) > distance(REACH):
            far.setdefault(str(closest[0][1]), []).append(gpu.label)
    layers = {port.link_layer for nic in real for port in nic.ports if port.active and port.link_layer}
    found = [
        f"{', '.join(labels)}: the nearest RDMA device is {level}, and NCCL uses GPUDirect RDMA up to "
        f"{REACH} only; NCCL_NET_GDR_LEVEL={level} may be faster or slower, measure it"
        for level, labels in sorted(far.items())
    ]
    if len(layers) > 1:
        found.append(
            f"RDMA devices of {' and '.join(sorted(layers))} are active; NCCL takes all it is not told to "
            "leave: name those of the compute fabric"
        )
    return found


def _peer_hints(topology: Topology) -> list[str]:
    """Pairs that could reach each other past a host bridge, which NCCL avoids. None of it with NVLink."""
    if topology.switches or any(link.active for gpu in topology.gpus for link in gpu.links):
        return []
    levels = {
        gpu_pair(topology, one, other)
        for one in topology.gpus
        for other in topology.gpus
        if one.index < other.index and _peers(topology, one.index, other.index)
    }
    far = sorted((level for level in levels if level and distance(level) > distance(REACH)), key=distance)
    if not far:
        return []
    return [
        f"GPUs that are {' or '.join(far)} apart can reach each other, and NCCL uses peer access up to "
        f"{REACH} only (at any distance with two GPUs and AMD CPUs); NCCL_P2P_LEVEL={_level(far[-1])} may be "
        "faster, or hang (IOMMU, ACS): measure it"
    ]


def _peers(topology: Topology, one: int, other: int) -> bool:
    pair = topology.pairs.get((one, other))
    return pair is not None and pair.p2p.get("read") == "ok" and pair.p2p.get("write") == "ok"


def _level(relation: str) -> str:
    """NCCL has no word for NODE: its PHB is one NUMA node."""
    return "PHB" if relation == "NODE" else relation
