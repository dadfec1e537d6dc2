# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long trial with real daemons, for half a minute; and that its counters count what they are for."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.routing.long import counters, run
from benchmarks.routing.long.nodes import NodeNetwork
from benchmarks.routing.long.report import table
from benchmarks.routing.long.schedule import Event
from benchmarks.routing.programs import cached

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun"),
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in ("nft", "iperf3")), reason="needs nft and iperf3"
    ),
]


@pytest.fixture
def network() -> Iterator[NodeNetwork]:
    """1 – 2 – 3 – 4, of which 2 and 3 forward."""
    made = NodeNetwork({(1, 2): 2, (2, 3): 2, (3, 4): 2}, [2, 3], seed=1)
    try:
        counters.prepare(made)
        yield made
    finally:
        made.close()


def send(network: NodeNetwork, number: int, target: str) -> None:
    made = network.spaces[number].socket(socket.AF_INET, socket.SOCK_DGRAM)
    with made:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 3)
        made.sendto(b"x", (target, 9))


def test_a_leak_is_counted(network: NodeNetwork) -> None:
    """Without the aggregate an address that no route is for leaves by the default route."""
    space = network.spaces[1]
    with pytest.raises(OSError, match="No route to host"):
        send(network, 1, "10.99.7.7")
    assert counters.read(space).leaked == 0
    space.run(["ip", "route", "del", "unreachable", "10.99.0.0/16"])
    send(network, 1, "10.99.7.7")
    send(network, 1, "192.0.2.1")
    found = counters.read(space)
    assert (found.leaked, found.stray) == (1, 2)


@pytest.mark.parametrize("sender", [1, 2])
def test_a_loop_is_counted(network: NodeNetwork, sender: int) -> None:
    """2 and 3 take each other for the way to 4; the sender is outside of the loop, or in it."""
    for number, device in ((2, "wan-3"), (3, "wan-2")):
        network.spaces[number].run(["ip", "route", "replace", "10.99.0.4/32", "dev", device])
    before = sum(counters.read(space).expired for space in network.spaces.values())
    for _ in range(5):
        send(network, sender, "10.99.0.4")
    # A few round trips through the namespaces, so that those before have come to their end.
    network.spaces[1].run(["fping", "-q", "-c", "3", "-p", "50", "10.99.0.3"])
    assert before == 0
    assert sum(counters.read(space).expired for space in network.spaces.values()) == 5


@pytest.mark.long
@pytest.mark.skipif(
    not all(cached(release).root.is_dir() for release in ("bookworm", "trixie")),
    reason="scripts/bootstrap fetches the daemons",
)
def test_half_a_minute() -> None:
    """A link dies and comes back, another gets slow, a daemon is restarted, a relay crashes."""
    plan = run.make_plan(0.5, 6, seed=2)
    leaf = next(pair for pair in plan.links if not set(pair) & set(plan.forwarding))
    slow = next(pair for pair in plan.links if set(pair) <= set(plan.forwarding))
    events = [
        Event(3, 9, "link", leaf),
        Event(4, 12, "rtt", slow, 150),
        Event(6, 6, "restart", (leaf[0],)),
        Event(14, 20, "crash", (plan.forwarding[0],)),
    ]
    said: list[str] = []
    found = run.measure(replace(plan, events=events), said.append)
    assert len(said) == len(found["events"]) == 7
    probes = found["probes"]
    assert probes["sent"] > 5000
    assert probes["sent"] > 10 * probes["lost"] > 0
    # The relay itself cannot be reached for six seconds.
    assert probes["lost_by_cause"]["no clean way"] > 300
    assert 0 < probes["lost_avoidable"] < probes["lost"] / 2
    assert sum(node["leaked"] + node["expired"] for node in found["nodes"].values()) == 0
    assert all(0 < node["babel_kbit_s"] < 200 for node in found["nodes"].values())
    assert sum(row["moves"] for row in found["moves"]) > 0
    # The streams carried what they were to carry.
    assert found["wires"]["bytes"] * 8 / found["seconds"] > 5e6
    assert "leaks: packets to the mesh by the default route | 0" in table(found)
