# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a run: which pairs, by which tool, how often, which transfers in which round. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Optional

from ...module_utils.core.errors import BindError, Problem
from ...module_utils.mesh_measure.model import FPING, IPERF, IRTT, LEAST_MBIT, MOST_MBIT
from ..mesh.addresses import addresses
from ..mesh.registry import Pair, Registry, ports
from .budget import HEADROOM, MEGA, Rate, slowed, transfer_bytes
from .rounds import Wanted, chosen, rounds
from .sampling import LINK, clients, sampled
from .settings import LINKS, NONE, THROUGHPUT, Wishes, combined, wishes_of


@dataclass(frozen=True)
class Node:
    """A member that is measured. budget: MB; bytes: what the run takes of it"""

    name: str
    region: str
    address: str
    port: int
    budget: float
    install: bool
    tools: tuple[str, ...]
    bytes: float


@dataclass(frozen=True)
class PairPlan:
    """Two members, in alphabetical order.

    kind: why it is measured (`sampling`); client: the end that begins
    targets: as `settings.TARGETS` has them; mbit: the most that is sent
    asked: whether a transfer is wished; transfer: its round, None for none, `no_transfer` says why then
    """

    ends: Pair
    kind: str
    client: str
    tool: str
    interval_ms: float
    targets: Mapping[str, float]
    mbit: float
    asked: bool = False
    transfer: Optional[int] = None
    no_transfer: str = ""


@dataclass(frozen=True)
class VerifyPlan:
    """left_out: host → why it is not measured

    wide: the variables that are the same for all; bytes: in total; members: of the mesh
    """

    mesh: str
    wide: Mapping[str, Any]
    nodes: Mapping[str, Node]
    pairs: tuple[PairPlan, ...]
    rounds: int
    bytes: float
    left_out: Mapping[str, str] = field(default_factory=dict)
    members: int = 0

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def plan_from(data: Mapping[str, Any]) -> VerifyPlan:
    """The opposite of `as_data`, after JSON."""
    nodes = {name: Node(**{**node, "tools": tuple(node["tools"])}) for name, node in data["nodes"].items()}
    pairs = tuple(PairPlan(**{**pair, "ends": tuple(pair["ends"])}) for pair in data["pairs"])
    return VerifyPlan(**{**data, "nodes": nodes, "pairs": pairs})


def make_plan(
    registry: Registry,
    hosts: Mapping[str, Mapping[str, Any]],
    pulling: Collection[str],
    others: Collection[str] = (),
) -> VerifyPlan:
    """hosts: those of the run, host → variables and `origins`; pulling: those that nobody can log in to.

    others: regions of other meshes, which `verify_between` may be about, too: nodes can be in several.

    Raises BindError with all that is wrong, before anything is measured.
    """
    left_out = _left_out(registry, hosts, pulling)
    names = sorted(set(hosts) - set(left_out))
    regions = {name: registry.members[name].region for name in names}
    wishes = wishes_of(
        {name: hosts[name] for name in names},
        {*others, *(item.region for item in registry.members.values())},
    )
    _check(registry, wishes, hosts, names)
    wide = wishes.wide
    links = [pair for pair, link in registry.links.items() if link.carries]
    kinds = sampled(regions, links, wide["all_pairs_up_to"], wide["sample"], wide["seed"])
    rates = slowed(
        [_rate(wishes, pair) for pair in kinds],
        wide["window"],
        {name: wishes.hosts[name]["budget_mbytes"] for name in names},
        wide["budget_total_mbytes"],
    )
    used: Counter[str] = Counter()
    for rate in rates:
        amount = rate.probes(wide["window"]) + rate.echoes(wide["window"])
        used.update(dict.fromkeys(rate.ends, amount))
    wanted, refused = _wanted(wishes, kinds, regions)
    transfers = _affordable(wishes, wanted, used, refused)
    turns = rounds(transfers, wide["budget_total_mbytes"])
    for one in transfers:
        used.update(dict.fromkeys(one.ends, one.bytes))
    begins = clients(kinds, wide["seed"])
    pairs = []
    for rate in rates:
        pair = rate.ends
        targets = combined(wishes, pair, (regions[pair[0]], regions[pair[1]]))
        pairs.append(
            PairPlan(
                ends=pair,
                kind=kinds[pair],
                client=begins[pair],
                tool=rate.tool,
                interval_ms=round(rate.interval_ms, 3),
                targets=targets,
                mbit=min(max(round(targets["throughput_mbit"] * HEADROOM, 3), LEAST_MBIT), MOST_MBIT),
                asked=pair in wanted,
                transfer=turns.get(pair),
                no_transfer=refused.get(pair, ""),
            )
        )
    tools = _tools(pairs)
    return VerifyPlan(
        mesh=registry.mesh,
        wide=dict(wide),
        nodes={name: _node(registry, wishes, name, tools[name], used[name]) for name in names},
        pairs=tuple(pairs),
        rounds=max(turns.values(), default=-1) + 1,
        bytes=sum(used.values()) / 2,
        left_out=left_out,
        members=len(registry.members),
    )


def _left_out(
    registry: Registry, hosts: Mapping[str, Mapping[str, Any]], pulling: Collection[str]
) -> dict[str, str]:
    found = {}
    for name in sorted({*hosts, *registry.members.keys() & set(pulling)}):
        member = registry.members.get(name)
        if member is None:
            found[name] = "no member of the mesh: swarm.node.mesh_join takes it in"
        elif member.leaving:
            found[name] = "it leaves the mesh"
        elif name in pulling:
            found[name] = "nobody can log in to it (mesh_pull)"
    return found


def _check(
    registry: Registry, wishes: Wishes, hosts: Mapping[str, Mapping[str, Any]], names: Collection[str]
) -> None:
    problems = []
    if len(names) < 2:
        allowed = "two members of the mesh or more that this run can log in to"
        problems.append(Problem("hosts", ", ".join(names) or "none", allowed, "inventory and --limit"))
    for name in names:
        first, last = ports(registry.settings, registry.members[name].port)
        port = wishes.hosts[name]["port"]
        if first <= port <= last:
            origin = str((hosts[name].get("origins") or {}).get("port", "default"))
            allowed = f"a port apart from {first} to {last}, those of its tunnels"
            problems.append(Problem("verify_port", port, allowed, origin, name))
    if problems:
        raise BindError(problems)


def _rate(wishes: Wishes, pair: Pair) -> Rate:
    """The slower and the simpler of the two ends."""
    ends = [wishes.hosts[end] for end in pair]
    tool = FPING if any(end["probe"] == FPING for end in ends) else IRTT
    return Rate(pair, tool, max(end["interval_ms"] for end in ends))


def _wanted(
    wishes: Wishes, kinds: Mapping[Pair, str], regions: Mapping[str, str]
) -> tuple[dict[Pair, Wanted], dict[Pair, str]]:
    """Transfers that somebody asks for, and why there are no others."""
    wanted: dict[Pair, Wanted] = {}
    refused: dict[Pair, str] = {}
    for pair, kind in kinds.items():
        scope = min((wishes.hosts[end]["throughput"] for end in pair), key=THROUGHPUT.index)
        if scope == NONE:
            who = [end for end in pair if wishes.hosts[end]["throughput"] == NONE]
            refused[pair] = f"verify_throughput is none for {' and '.join(who)}"
        elif scope == LINKS and kind != LINK:
            refused[pair] = "no direct link (verify_throughput: links)"
        else:
            own = (regions[pair[0]], regions[pair[1]])
            mbit = combined(wishes, pair, own)["throughput_mbit"] * HEADROOM
            wanted[pair] = Wanted(pair, own, transfer_bytes(mbit, wishes.wide["throughput_seconds"]))
    return wanted, refused


def _affordable(
    wishes: Wishes, wanted: Mapping[Pair, Wanted], used: Mapping[str, float], refused: dict[Pair, str]
) -> list[Wanted]:
    """Those that the budgets have room for; of the others `refused` is told why."""
    budgets = {name: values["budget_mbytes"] for name, values in wishes.hosts.items()}
    total, seed = wishes.wide["budget_total_mbytes"], wishes.wide["seed"]
    found = chosen(list(wanted.values()), used, budgets, total, seed)
    for pair in sorted(set(wanted) - {one.ends for one in found}):
        amount = wanted[pair].bytes / MEGA
        refused[pair] = f"the budget has no room for it, which takes {amount:.0f} MB of each end"
    return found


def _tools(pairs: Collection[PairPlan]) -> dict[str, set[str]]:
    """Member → programs that it needs. Only who begins sends echo requests."""
    found: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        found[pair.client].add(FPING)
        for end in pair.ends:
            found[end] |= {IRTT} if pair.tool == IRTT else set()
            found[end] |= {IPERF} if pair.transfer is not None else set()
    return found


def _node(registry: Registry, wishes: Wishes, name: str, tools: Collection[str], amount: float) -> Node:
    member, own = registry.members[name], wishes.hosts[name]
    return Node(
        name=name,
        region=member.region,
        address=addresses(registry.settings.prefixes, member.number)[0].partition("/")[0],
        port=own["port"],
        budget=own["budget_mbytes"],
        install=own["install"],
        tools=tuple(sorted(tools)),
        bytes=amount,
    )
