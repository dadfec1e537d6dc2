# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any operations in any order: the registry stays whole, and what has to be stable is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import parse_share
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.check import mistakes
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.readiness import is_ready
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mesh_cast import do, everybody_saw, host, sealed, small

pytestmark = pytest.mark.faults

NAMES = ("ams", "bo", "db", "fra", "n1", "n2", "n3", "n4", "n5")
TRANSIT = ("ams", "fra", "n1")
STEPS = st.tuples(
    st.sampled_from(
        ["join", "leave", "rotate", "rekey", "endpoint", "replan", "finish", "seal", "psk", "size"]
    ),
    st.sets(st.sampled_from(NAMES), min_size=1, max_size=3),
    st.integers(0, 3),
)


def wants(name: str, generation: int, turn: int):
    more = {"nat": name == "bo", "transit": name in TRANSIT, "region": name[:1]}
    found = host(name, generation, **more)
    return found if found.nat or not turn else replace(found, endpoint=f"192.0.2.{turn}")


def step(registry: Registry, kind: str, names: set[str], turn: int) -> Registry:
    here = sorted(name for name in names if name in registry.members)
    newest = {name: registry.members[name].newest if name in registry.members else 1 for name in names}
    if kind in ("join", "endpoint"):
        return do(registry, kind, *(wants(name, newest[name], turn) for name in sorted(names)))[0]
    if kind in ("rotate", "rekey"):
        until = {"keep_until": "2027-01-15"} if kind == "rotate" and turn == 1 else {}
        return do(registry, kind, *(wants(name, newest[name] + 1, 0) for name in here), **until)[0]
    if kind == "leave":
        return do(registry, "leave", names=here)[0]
    if kind == "seal":
        return sealed(registry)
    if kind == "finish":  # some saw something, some applied
        proofs = {proof for proof in everybody_saw(registry) if proof[0] in names or turn == 3}
        applied = tuple(registry.members) if turn == 3 else tuple(here)
        late = {"with_context": {"now": 1_800_200_000.0}} if turn == 2 else {}
        return do(registry, "finish", proofs=proofs, applied=applied, **late)[0]
    if kind == "psk":
        return replace(registry, settings=replace(registry.settings, preshared_keys=turn > 1))
    if kind == "size":
        return replace(
            registry, settings=replace(registry.settings, full_mesh_up_to=2 + 3 * turn, neighbours=2)
        )
    return do(registry, "replan")[0]


def check(before: Registry, after: Registry, numbers: dict[str, int]) -> None:
    assert mistakes(after) == []
    assert parse_registry(dump_registry(after), "wan.yml") == after
    for name, holder in [*after.members.items(), *after.departed.items()]:
        assert numbers.setdefault(name, holder.number) == holder.number
    assert max(Counter(numbers.values()).values()) == 1
    for pair, link in after.links.items():
        if pair in before.links:
            assert link.slots == before.links[pair].slots
    for share in Shares(after).all():
        assert parse_share(share.as_data()) == share
        ports = [tunnel.listen_port for tunnel in share.tunnels]
        assert len(set(ports)) == len(ports)
        assert all(share.ports[0] <= port <= share.ports[1] for port in ports)
        assert len({tunnel.interface for tunnel in share.tunnels}) == len(share.tunnels)
        destinations = [item for found in share.routes.values() for item in found]
        assert len(set(destinations)) == len(destinations)


def loses_nothing(before: Registry, after: Registry) -> None:
    """A tunnel that carried routes is there as long as its link's ends may use it."""
    for pair, link in before.links.items():
        now = after.links.get(pair)
        if link.leaving or now is None or not is_ready(before, link, link.current):
            continue
        assert link.current in (now.current, now.old), (link, now)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=14))
def test_any_sequence_of_operations(steps):
    registry = small()
    numbers: dict[str, int] = {}
    for kind, names, turn in steps:
        try:
            after = step(registry, kind, names, turn)
            again = after
            if kind not in ("finish", "seal"):
                again = step(after, kind, names, turn) if kind not in ("rotate", "rekey") else after
        except BindError as error:
            assert all(problem.key and problem.allowed and problem.origin for problem in error.problems)
            continue
        check(registry, after, numbers)
        assert again == after, kind
        if kind not in ("rekey", "finish"):
            loses_nothing(registry, after)
        registry = after


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=8))
def test_whatever_was_begun_can_be_brought_to_an_end(steps):
    registry = small()
    for kind, names, turn in steps:
        try:
            registry = step(registry, kind, names, turn)
        except BindError:
            continue
    registry = sealed(registry)
    for _round in range(8):
        done = tuple(registry.members)
        registry = do(registry, "finish", proofs=everybody_saw(registry), applied=done)[0]
    assert do(registry, "show")[1].pending == []
    assert all(len(member.keys) == 1 and not member.leaving for member in registry.members.values())
