# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions that are announced as a whole, with real babeld of both releases in network namespaces.

Two regions with two relays each, and one with a single relay, whose members are announced one by one. Two
members of the two regions, a3 and b2, are neighbours, too.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from routing_regions import World, planned, shares_of
from routing_spaces import until
from test_routing_real_faults import lacking

pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())

PATIENCE = 20.0
REGIONS = {"a": (2, 2), "b": (2, 1), "c": (1, 1)}
NEAR = {("a3", "b2"): 3.0}
BLOCKS = {"a": ("10.99.0.0/26", "fd5e:7a11:9c3d::/122"), "b": ("10.99.0.64/26", "fd5e:7a11:9c3d::40/122")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("regions"), planned(REGIONS, NEAR), NEAR)
    try:
        made.start()
        wait(made, lambda: settled(made), 2 * PATIENCE)
        yield made
    finally:
        made.close()


def told(world: World) -> str:
    found = [f"unreached: {world.unreached()}"]
    for name in world.numbers:
        found.append(f"{name}: {world.installed(name)} {world[name].log.read_text()[-200:]}")
    return "\n".join(found)


def wait(world: World, condition: Callable[[], Any], patience: float = PATIENCE) -> None:
    until(condition, patience, lambda: told(world))


def expected(world: World, name: str, v6: bool) -> dict[str, str]:
    """Destination → table: the own region, members that are announced one by one, and blocks."""
    members = world.registry.members
    here = members[name].region
    near = {link.other(name) for link in world.registry.links_of(name)}
    found = {}
    for other, member in members.items():
        if other == name:
            continue
        if member.region in (here, "c"):
            found[world.address(other, v6)] = "main"
        elif other in near:
            found[world.address(other, v6)] = "104"
    found.update({BLOCKS[region][v6]: "105" for region in BLOCKS if region != here})
    return found


def tables(world: World, name: str, v6: bool) -> dict[str, str]:
    return {prefix: where.split()[0] for prefix, where in world.installed(name, v6).items()}


def settled(world: World) -> bool:
    return all(
        tables(world, name, v6) == expected(world, name, v6) for name in world.numbers for v6 in (False, True)
    )


def test_everybody_reaches_all_with_few_routes(world: World) -> None:
    """As many as members of the own region, of those that are announced one by one, and regions."""
    assert world.unreached() == []
    assert settled(world)
    assert len(world.installed("a2")) == 3 + 2 + 1, "its region, region c, and one block"
    versions = {world[name].info()["version"] for name in ("a0", "a1")}
    if world["a1"].babeld or world["a0"].babeld:
        assert {one[: len("babeld-1.1x")] for one in versions} == {"babeld-1.12", "babeld-1.13"}


def test_what_a_node_says_of_it(world: World) -> None:
    seen = world["a0"].info(listen=2)
    assert seen["aggregates"] == {
        "own": list(BLOCKS["a"]),
        "others": list(BLOCKS["b"]),
        "tables": [104, 105],
        "rules": True,
    }
    (block,) = [one for one in seen["routes"] if one["prefix"] == BLOCKS["b"][0] and one["installed"]]
    assert (block["numbers"], block["number"], block["member"]) == ([64, 127], None, None)
    assert block["via"] == "b0" and block["metric"] > 850
    for name in world.numbers:
        said = world[name].info(listen=1.2)
        assert said["dropped"]["foreign"] == [], name
    assert world["a2"].info()["aggregates"]["own"] == []
    assert world["c1"].info()["aggregates"]["own"] == []


def test_a_direct_link_is_used_and_left_for_the_block(world: World) -> None:
    """The planned route to the neighbour is more specific than the block, and leads into the dead link."""
    assert (world.way("a3", "b2"), world.way("b2", "a3")) == ("b2", "a3")
    world.up(world.pair("a3", "b2"), False)
    try:
        wait(world, lambda: world.way("a3", "b2") in ("a0", "a1") and world.way("b2", "a3") in ("b0", "b1"))
        wait(world, lambda: world.unreached(("a3", "b2")) == [])
        until(
            lambda: any(one["to"] in ("a0", "a1", "") for one in changes(world, "a3", "10.99.0.66/32")),
            PATIENCE,
        )
    finally:
        world.up(world.pair("a3", "b2"), True)
    wait(world, lambda: world.way("a3", "b2") == "b2" and settled(world), 2 * PATIENCE)


def changes(world: World, name: str, prefix: str) -> list[dict[str, Any]]:
    return [one for one in world[name].info()["changes"] if one["prefix"] == prefix]


def cut(world: World, name: str, there: bool, but: tuple[str, ...] = ()) -> None:
    for link in world.registry.links_of(name):
        if link.other(name) not in but:
            world.up(world.pair(*link.ends), there)


def test_a_relay_dies_and_the_other_of_its_region_takes_over(world: World) -> None:
    rest = [name for name in world.numbers if name != "b0"]
    begun = time.time()
    cut(world, "b0", False)
    try:
        wait(world, lambda: world.unreached(rest) == [])
        assert {world.way(name, "b2") for name in ("a0", "a2", "c0")} <= {"a0", "a1", "b1", "c0"}
        noted = [one for one in changes(world, "a0", BLOCKS["b"][0]) if one["at"] > begun]
        assert noted and noted[-1]["numbers"] == [64, 127] and noted[-1]["to"] != "b0"
    finally:
        cut(world, "b0", True)
    wait(world, lambda: settled(world) and world.unreached() == [], 2 * PATIENCE)


def pinged(world: World, name: str, address: str) -> str:
    """What came of three requests, errors that others sent included."""
    words = ["fping", "-6" if ":" in address else "-4", "-c", "3", "-p", "200", "-t", "1000", address]
    return world[name].space.run(["sh", "-c", '"$@" 2>&1 || true', "x", *words])


def test_packets_for_who_is_off_or_never_was_end(world: World) -> None:
    """No circle between relays of the regions, and nothing takes the default route."""
    world["b2"].end(signal.SIGKILL)
    cut(world, "b2", False)
    try:
        wait(world, lambda: "10.99.0.66" not in world.installed("b0") and not far_way(world, "a3"))
        time.sleep(1)
        for name in ("a2", "a3", "b0", "c1"):
            for v6 in (False, True):
                said = pinged(world, name, world.address("b2", v6))
                assert "= 3/0/100%" in said and "xceeded" not in said, said
        # Nobody has this number: a relay of its region says so.
        for name in ("a2", "c1"):
            said = pinged(world, name, "10.99.0.70")
            assert "ICMP Host Unreachable" in said and "xceeded" not in said, said
            # fping does not say it of IPv6.
            assert "= 3/0/100%" in pinged(world, name, "fd5e:7a11:9c3d::46")
        assert world.strayed() == {}
    finally:
        cut(world, "b2", True)
        world["b2"].start()
    wait(world, lambda: settled(world) and world.unreached() == [], 2 * PATIENCE)


def far_way(world: World, name: str) -> bool:
    return world.installed(name).get("10.99.0.66", "").startswith("104 ")


def probes(
    world: World, one: str, other: str, doing: Callable[[], None], v6: bool = False
) -> tuple[int, int]:
    """Sent and answered, a hundred a second for six seconds, while something is done."""
    log = Path(world[one].log.parent / "probes.log")
    words = ["fping", "-q", "-p", "10", "-c", "600", "-t", "1000", world.address(other, v6)]
    with log.open("wb") as stream:
        pinging = world[one].space.start(words, stream)
    time.sleep(0.5)
    doing()
    pinging.wait(60)
    found = re.search(r"xmt/rcv/%loss = (\d+)/(\d+)/", log.read_text())
    assert found, log.read_text()
    return int(found[1]), int(found[2])


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["b2"], signal.SIGTERM),
        (["b0"], signal.SIGTERM),
        (["a0"], signal.SIGKILL),
        (["b0", "b1"], signal.SIGTERM),
    ],
    ids=["the member's", "a relay's", "the first relay's, killed", "all relays' of the region"],
)
def test_while_daemons_start_again_planned_routes_carry_on(
    world: World, names: list[str], kind: signal.Signals
) -> None:
    """What babeld leaves as unreachable in its own tables must not hide them."""

    def again() -> None:
        for name in names:
            world[name].end(kind)
        time.sleep(1.5)
        for name in names:
            world[name].start()

    sent, answered = probes(world, "a2", "b2", again)
    assert sent == 600 and answered >= 570, (sent, answered)
    wait(world, lambda: settled(world) and world.unreached() == [], 2 * PATIENCE)


def test_a_relay_is_drained_and_the_other_of_its_region_takes_over(world: World) -> None:
    def drained() -> None:
        found = world["b0"].module("routing_drain")
        assert not found.get("failed") and found["meshes"][0]["quiet"], found

    sent, answered = probes(world, "a2", "b2", drained)
    try:
        assert sent == answered == 600, (sent, answered)
        assert world.installed("a0")[BLOCKS["b"][0]] != f"105 wan-{world.numbers['b0']}"
        assert world.unreached(("a0", "a2", "b0", "b2", "c1")) == []
    finally:
        world["b0"].module("routing_drain", state="undrained")
    wait(world, lambda: settled(world), 2 * PATIENCE)


def test_rules_and_tables_go_with_the_daemon(world: World) -> None:
    node = world["a0"]
    wanted = [
        f"{priority}: from all to {prefix} lookup {table} proto 214"
        for prefix in ("10.99.0.0/16", "fd5e:7a11:9c3d::/48")
        for priority, table in ((30214, 104), (30215, 105))
    ]
    assert world.rules("a0") == wanted
    for kind in (signal.SIGTERM, signal.SIGKILL):
        node.end(kind)
        assert world.rules("a0") == []
        assert own_tables(world, "a0") == ""
        assert world.unreached(("a0", "a2", "b2", "c1")) == [], "by planned routes"
        node.start()
        assert world.rules("a0") == wanted
    wait(world, lambda: settled(world), 2 * PATIENCE)
    # Killed, and what comes after its end is killed, too: the next start finds it all, and more.
    node.daemon.kill()
    node.daemon.wait()
    node.space.run(["ip", "route", "add", "throw", "10.99.0.192/26", "table", "105", "proto", "214"])
    assert "proto babel" in own_tables(world, "a0")
    node.start()
    assert world.rules("a0") == wanted and "10.99.0.192" not in own_tables(world, "a0")
    wait(world, lambda: settled(world), 2 * PATIENCE)


def own_tables(world: World, name: str) -> str:
    script = (
        "for v in -4 -6; do for t in 104 105 106; do ip $v route show table $t 2>/dev/null; done; done; true"
    )
    return world[name].space.run(["sh", "-c", script]).strip()


def test_a_table_of_somebody_else_is_left_alone_and_named(world: World) -> None:
    node = world["c1"]
    node.end()
    node.space.run(["ip", "route", "add", "192.0.2.0/24", "dev", "lo", "table", "105", "proto", "static"])
    try:
        out = node.space.run(["sh", "-c", '"$@" 2>&1 || true', "x", *node.program("prepare")])
        assert "table 105 is somebody else's (192.0.2.0/24" in out and "routing_ports" in out, out
        node.space.run(node.program("clear"))
        assert "192.0.2.0/24" in own_tables(world, "c1") and world.rules("c1") == []
    finally:
        node.space.run(["ip", "route", "del", "192.0.2.0/24", "table", "105"])
        node.start()
    wait(world, lambda: settled(world), 2 * PATIENCE)


def test_what_a_relay_must_not_announce_to_another_region_is_dropped_and_named(world: World) -> None:
    """With a configuration of its own making it announces its region's members, and another block."""
    node = world["b0"]
    path = node.root / "etc/swarm_node/routing/wan.conf"
    own = path.read_text()
    lines = [line for line in own.splitlines() if not line.startswith("out ")]
    lines.insert(lines.index("redistribute deny"), "redistribute ip 10.99.1.0/24 allow")
    path.write_text("\n".join([*lines, ""]))
    node.end()
    node.start()
    made = ["10.99.1.0/26", "table", "106", "proto", "214"]
    node.space.run(["ip", "route", "add", "unreachable", *made])
    try:
        wrong = {"10.99.0.66/32", "10.99.0.65/32", "10.99.1.0/26"}

        def heard() -> set[str]:
            return {one["prefix"] for one in world["a0"].info(listen=2)["dropped"]["foreign"]}

        until(lambda: wrong <= heard(), 2 * PATIENCE)
        for name in ("a0", "a2", "c0"):
            assert not {"10.99.0.66", "10.99.0.65", "10.99.1.0/26"} & {
                prefix for prefix, where in world.installed(name).items() if not where.startswith("104")
            }, name
    finally:
        path.write_text(own)
        node.end()
        node.start()
    wait(world, lambda: settled(world), 2 * PATIENCE)
    assert world["a0"].info(listen=2)["dropped"]["foreign"] == []


@pytest.mark.long
def test_a_share_comes_in_batches_and_all_reach_each_other(world: World) -> None:
    """From regions to single members and back, in between half of the nodes, of all regions and kinds.

    babeld holds a member that it has lost as unreachable for up to 45 s, which hides a planned route to a
    whole network; then all reach each other by these.
    """
    settings = replace(world.registry.settings, aggregate_above=0)
    plain = shares_of(replace(world.registry, settings=settings))
    batches = (["b0", "a2", "c0", "a1"], ["b2", "a0", "c1", "b1", "a3"])
    for shares in (plain, world.shares):
        for batch in batches:
            for name in batch:
                node = world[name]
                node.give(shares[node.number])
                node.end()
                node.start()
            took = until(lambda: world.unreached() == [], 4 * PATIENCE, lambda: told(world))
            kind = "single members" if shares is plain else "regions"
            print(f"to {kind}, {len(batch)} members: all reach each other after {took:.0f} s")
        if shares is plain:
            wait(world, lambda: all(len(world.installed(name)) == 8 for name in world.numbers), 2 * PATIENCE)
            assert not any(world.rules(name) or own_tables(world, name) for name in world.numbers)
            assert world["a0"].info()["aggregates"] is None
    wait(world, lambda: settled(world) and world.unreached() == [], 2 * PATIENCE)
    assert world.strayed() == {}
