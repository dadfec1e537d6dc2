# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real babeld with the layer's own files in network namespaces: what routes do, what is dropped and said."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from routing_spaces import A, B, C, D, Mesh, until

from benchmarks.routing.long.counters import expired
from lab.errors import LabError
from lab.wires import Space


def lacking() -> str:
    """Why this host cannot run these tests, or ""."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    if not Path("/dev/net/tun").exists():
        return "there is no /dev/net/tun"
    missing = [
        name for name in ("/usr/sbin/babeld", "nft", "fping", "gcc", "unshare") if not shutil.which(name)
    ]
    return f"missing: {', '.join(missing)} (scripts/bootstrap dev)" if missing else ""


pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking())

PATIENCE = 20.0
"""Seconds: the machine may be full of other work. How fast it is was measured (docs/routing-trials.md)."""

FROM_OTHER = """
import socket, sys
device, source, target, port = sys.argv[1:5]
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
one.setsockopt(socket.IPPROTO_IPV6, 78, 1)  # IPV6_FREEBIND: an address that the device has not
one.bind((source, 0, 0, socket.if_nametoindex(device)))
for _ in range(3):
    one.sendto(b"*\\x02\\x00\\x00", (target, int(port), 0, socket.if_nametoindex(device)))
"""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    made = Mesh(tmp_path_factory.mktemp("nodes"))
    try:
        made.start()
        wait(made, lambda: settled(made), 2 * PATIENCE)
        yield made
    finally:
        made.close()


def told(mesh: Mesh) -> str:
    """How all nodes see it, for the message of a failure."""
    found = []
    for number, node in mesh.nodes.items():
        seen = node.info()
        near = [
            (one["peer"], one["reach"], one["rxcost"], one["txcost"], one["rtt_ms"])
            for one in seen["neighbours"]
        ]
        ways = [(one["prefix"], one["via"], one["metric"]) for one in seen["routes"] if one["installed"]]
        found.append(f"{number}: {seen['why']} {near} {ways} {node.log.read_text()[-300:]}")
    return "\n".join(found)


def wait(mesh: Mesh, condition: Callable[[], Any], patience: float = PATIENCE) -> None:
    until(condition, patience, lambda: told(mesh))


def relayed(mesh: Mesh) -> bool:
    """A and B send to each other by C."""
    return mesh.nodes[A].via(B) == "wan-3" and mesh.nodes[B].via(A) == "wan-3"


def settled(mesh: Mesh) -> bool:
    """Everybody reaches all by their routing daemons, the leaves each other directly."""
    direct = [mesh.nodes[A].via(B), mesh.nodes[B].via(A)] == ["wan-2", "wan-1"]
    return direct and all(len(installed(mesh, number)) == 3 for number in mesh.nodes)


def installed(mesh: Mesh, number: int) -> dict[str, str]:
    """Prefix of IPv4 → the neighbour it is reached by, as the daemon has it."""
    routes = mesh.nodes[number].info()["routes"]
    return {one["prefix"]: one["via"] for one in routes if one["installed"] and "." in one["prefix"]}


def test_it_converges_and_says_how(mesh: Mesh) -> None:
    found = mesh.nodes[A].info()
    assert found["running"] and found["why"] == "" and found["version"].startswith("babeld-1.1")
    assert (found["member"], found["number"], found["transit"], found["port"]) == ("node-1", 1, False, 6696)
    assert abs(found["since"] - time.time()) < 60
    assert {one["peer"]: one["up"] for one in found["neighbours"]} == {
        "node-2": True,
        "node-3": True,
        "node-4": True,
    }
    near = {one["peer"]: one for one in found["neighbours"]}
    assert near["node-2"]["reach"] >= 0x8000 and 9 < near["node-2"]["rtt_ms"] < 200
    assert near["node-3"]["rxcost"] == 850 and near["node-3"]["txcost"] == 850
    assert near["node-4"]["txcost"] == 1150, "the second relay's rank"
    assert found["drained"] == {"whole": False, "interfaces": []}
    assert found["dropped"] == {"outside": 0, "spoofed": 0, "circled": 0, "foreign": []}
    assert mesh.nodes[A].via(B) == "wan-2"
    table = " ".join(mesh.nodes[A].space.run(["ip", "-N", "route", "show", "proto", "42"]).split())
    assert "10.99.0.2 via 10.99.0.2 dev wan-2 src 10.99.0.1 onlink" in table, table
    table = mesh.nodes[A].space.run(["ip", "-6", "-N", "route", "show", "proto", "42"])
    assert "fd5e:7a11:9c3d::2 via fe80::2 dev wan-2 src fd5e:7a11:9c3d::1" in table, table


def test_the_table_that_is_loaded_is_the_one_that_is_wanted(mesh: Mesh) -> None:
    """As a real nft lists it; another notation would be loaded anew by each run."""
    from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
    from ansible_collections.swarm.node.plugins.module_utils.routing.filter import (
        deaf_rules,
        deaf_text,
        rules_of,
    )
    from ansible_collections.swarm.node.plugins.module_utils.routing.tables import Tables

    node = mesh.nodes[B]

    def runner(argv, data="", timeout=60.0):
        return Done(0, node.space.run(argv, data=data.encode() or None), "")

    tables = Tables(runner)
    assert dict(tables.rules("swarm_node_routing_wan")) == rules_of(node.wish)
    for interfaces in ([], ["wan-1", "wan-1b"]):
        # A table of another name, which makes nobody deaf: the mesh is not one of this node.
        text = deaf_text("lab", 6000, interfaces)
        tables.load(text)
        assert dict(tables.rules("swarm_node_deaf_lab")) == deaf_rules("lab", 6000, interfaces)
    node.space.run(["nft", "delete", "table", "inet", "swarm_node_deaf_lab"])


def test_a_dead_link_is_left_noted_and_taken_again(mesh: Mesh) -> None:
    begun = time.time()
    mesh.up((A, B), False)
    try:
        wait(mesh, lambda: relayed(mesh))
        until(lambda: [one for one in noted(mesh, begun) if one["to"] == "node-3"], PATIENCE)
        note = next(one for one in noted(mesh, begun) if one["to"] == "node-3")
        assert (note["member"], note["prefix"]) == ("node-2", "10.99.0.2/32")
        assert begun < note["at"] < begun + PATIENCE and note["metric"] > 4000
        seen = [one for one in mesh.nodes[A].info()["neighbours"] if one["peer"] == "node-2"]
        assert not any(one["up"] for one in seen)
    finally:
        mesh.up((A, B), True)
    wait(mesh, lambda: settled(mesh), 2 * PATIENCE)
    until(lambda: noted(mesh, begun)[-1]["to"] == "node-2", PATIENCE)


def noted(mesh: Mesh, since: float) -> list[dict]:
    found = mesh.nodes[A].info()["changes"]
    return [one for one in found if one["prefix"] == "10.99.0.2/32" and one["at"] >= since]


def test_a_relay_is_drained_without_loss_and_used_again(mesh: Mesh) -> None:
    relay = mesh.nodes[C]
    mesh.up((A, B), False)
    try:
        wait(mesh, lambda: relayed(mesh))
        words = ["fping", "-q", "-p", "10", "-c", "900", "-t", "2000", mesh.nodes[B].address]
        log = Path(mesh.nodes[A].log.parent / "fping.log")
        with log.open("wb") as stream:
            pinging = mesh.nodes[A].space.start(words, stream)
        time.sleep(0.5)
        looked = relay.module("routing_drain", _ansible_check_mode=True)
        assert looked["changed"] and not relay.info()["drained"]["whole"]
        drained = relay.module("routing_drain")
        assert not drained.get("failed"), drained
        seen = drained["meshes"][0]
        assert drained["changed"] and seen["quiet"] and seen["packets"] > 5 and seen["packets_last_s"] == 0
        assert seen["up_before"] == ["node-1", "node-2", "node-4"] and seen["waited_s"] < 5
        assert relay.info()["drained"] == {"whole": True, "interfaces": []}
        assert mesh.nodes[A].via(B) == "wan-4" and mesh.nodes[B].via(A) == "wan-4"
        again = relay.module("routing_drain")
        assert not again["changed"] and again["meshes"][0]["quiet"]
        # A restart of the daemon does not end it.
        relay.end()
        relay.start()
        time.sleep(1)
        assert relay.info()["drained"]["whole"] and mesh.nodes[A].via(B) == "wan-4"
        back = relay.module("routing_drain", state="undrained")
        assert back["changed"] and back["meshes"][0]["missing"] == [], back
        assert not relay.module("routing_drain", state="undrained")["changed"]
        wait(mesh, lambda: relayed(mesh))
        pinging.wait(30)
        assert "xmt/rcv/%loss = 900/900/0%" in log.read_text(), log.read_text()
    finally:
        mesh.up((A, B), True)
    wait(mesh, lambda: settled(mesh), 2 * PATIENCE)


def test_one_link_is_drained(mesh: Mesh) -> None:
    node = mesh.nodes[A]
    refused = node.module("routing_drain", peers=["node-9"])
    assert refused["failure_kind"] == "refused" and "node-2, node-3, node-4" in refused["msg"]
    drained = node.module("routing_drain", peers=["node-2"])
    assert drained["changed"] and drained["meshes"][0]["quiet"], drained
    assert drained["meshes"][0]["interfaces"] == ["wan-2", "wan-2b"]
    assert node.info()["drained"] == {"whole": False, "interfaces": ["wan-2", "wan-2b"]}
    wait(mesh, lambda: relayed(mesh))
    node.module("routing_drain", state="undrained")
    wait(mesh, lambda: settled(mesh), 2 * PATIENCE)


def test_who_cannot_be_left_is_not_drained(mesh: Mesh) -> None:
    """Without another way packets go on coming: then it is taken back and said, unless it was forced."""
    relay = mesh.nodes[C]
    for pair in ((A, B), (A, D), (B, D)):
        mesh.up(pair, False)
    try:
        wait(mesh, lambda: relayed(mesh))
        # The mesh layer's own way to it, as it has for members that are no neighbours.
        for here, there in ((A, B), (B, A)):
            target = mesh.nodes[there].address
            mesh.nodes[here].space.run(["ip", "route", "replace", target, "dev", "wan-3", "metric", "4000"])
        pinging = mesh.nodes[A].space.start(["fping", "-q", "-p", "20", "-c", "600", mesh.nodes[B].address])
        failed = relay.module("routing_drain", timeout=4)
        assert failed["failed"] and "packets still come this way" in failed["msg"], failed
        assert "taken back" in failed["msg"] and not failed["changed"]
        assert not relay.info()["drained"]["whole"]
        stays = relay.module("routing_drain", timeout=4, require_quiet=False)
        assert stays["changed"] and not stays["meshes"][0]["quiet"]
        assert stays["meshes"][0]["packets_last_s"] > 10
        relay.module("routing_drain", state="undrained", timeout=1)
        pinging.kill()
    finally:
        for here, there in ((A, B), (B, A)):
            target = mesh.nodes[there].address
            own = ["dev", f"wan-{there}", "metric", "4000", "src", mesh.nodes[here].address]
            mesh.nodes[here].space.run(["ip", "route", "replace", target, *own])
        for pair in ((A, B), (A, D), (B, D)):
            mesh.up(pair, True)
    wait(mesh, lambda: settled(mesh), 2 * PATIENCE)


def send(mesh: Mesh, number: int, device: str, source: str, target: str, port: int = 6696) -> None:
    mesh.nodes[number].space.run([sys.executable, "-c", FROM_OTHER, device, source, target, str(port)])


def test_a_spoofed_source_and_an_outsider_are_dropped_and_counted(mesh: Mesh) -> None:
    node = mesh.nodes[A]
    mesh.wires.add("outside", (node.space, "eth0"), (mesh.nodes[C].space, "eth0"))
    for number in (A, C):
        space = mesh.nodes[number].space
        space.run(["ip", "address", "add", f"fe80::{number:x}/64", "dev", "eth0", "nodad"])
        space.run(["ip", "link", "set", "eth0", "up"])
    try:
        send(mesh, A, "wan-3", "fd5e:7a11:9c3d::2", "fd5e:7a11:9c3d::3")
        send(mesh, A, "wan-3", "2001:db8::7", "ff02::1:6")
        send(mesh, A, "eth0", "fe80::1", "fe80::3")
        until(lambda: mesh.nodes[C].info()["dropped"]["outside"] == 3, PATIENCE)
        assert mesh.nodes[C].info()["dropped"]["spoofed"] == 6
        # Another port is nobody's matter, and a link-local address is let in.
        send(mesh, A, "eth0", "fe80::1", "fe80::3", 7000)
        send(mesh, A, "wan-3", "fe80::1", "fe80::3")
        time.sleep(0.2)
        dropped = mesh.nodes[C].info()["dropped"]
        assert (dropped["outside"], dropped["spoofed"]) == (3, 6)
    finally:
        node.space.run(["ip", "link", "del", "eth0"])


def used_up(space: Space) -> int:
    """Packets with a bad header, as those count whose time to live is used up."""
    path = Path(space.process_path, "net")
    return expired((path / "snmp").read_text()) + sum(
        int(line.split()[1]) for line in (path / "snmp6").read_text().splitlines() if "Ip6InHdrErrors" in line
    )


@pytest.mark.parametrize("family", [4, 6])
def test_a_circle_of_two_relays_ends_at_the_second_of_them(mesh: Mesh, family: int) -> None:
    """Each has the other as planned way to a member that no daemon knows."""
    target, host = ("10.99.0.77", "32") if family == 4 else ("fd5e:7a11:9c3d::4d", "128")
    before = mesh.nodes[D].info()["dropped"]["circled"]
    route = [f"-{family}", "route", "replace", f"{target}/{host}", "metric", "4000", "dev"]
    for number, device in ((A, "wan-3"), (C, "wan-4"), (D, "wan-3")):
        mesh.nodes[number].space.run(["ip", *route, device])
    spaces = [node.space for node in mesh.nodes.values()]
    try:
        expired = sum(map(used_up, spaces))
        with pytest.raises(LabError):
            mesh.nodes[A].space.run(["fping", f"-{family}", "-q", "-c", "5", "-p", "20", target])
        assert mesh.nodes[D].info()["dropped"]["circled"] - before == 5
        assert mesh.nodes[C].info()["dropped"]["circled"] == 0
        assert sum(map(used_up, spaces)) == expired
    finally:
        for number in (A, C, D):
            mesh.nodes[number].space.run(["ip", f"-{family}", "route", "del", f"{target}/{host}"])


def test_what_a_member_must_not_announce_is_dropped_and_named(mesh: Mesh) -> None:
    """It has a configuration of its own making: a network, a default route, another member's address."""
    node = mesh.nodes[A]
    path = node.root / "etc/swarm_node/routing/wan.conf"
    own = path.read_text()
    free = [line for line in own.splitlines() if not line.startswith(("out ", "redistribute "))]
    path.write_text("\n".join([*free, "redistribute ip 0.0.0.0/0 allow", "redistribute local allow", ""]))
    for words in (["192.0.2.0/24"], ["0.0.0.0/0"]):
        node.space.run(["ip", "route", "add", *words, "dev", "wan-3", "proto", "static"])
    node.space.run(["ip", "address", "add", "10.99.0.9/32", "dev", "lo"])
    node.end()
    node.start()
    try:
        # And, as it forgets to announce itself alone, its ways to others.
        wrong = {"0.0.0.0/0", "10.99.0.9/32", "192.0.2.0/24", "10.99.0.2/32"}
        until(lambda: wrong <= heard(mesh, C), 2 * PATIENCE)
        found = mesh.nodes[C].info(listen=2)["dropped"]["foreign"]
        assert {one["peer"] for one in found} == {"node-1"} and abs(found[0]["at"] - time.time()) < 5
        for number in (B, C, D):
            prefixes = {one["prefix"] for one in mesh.nodes[number].info()["routes"]}
            assert not prefixes & {"192.0.2.0/24", "0.0.0.0/0", "10.99.0.9/32"}, number
            kernel = mesh.nodes[number].space.run(["ip", "route", "show", "proto", "42"])
            assert "192.0.2" not in kernel and "default" not in kernel and "10.99.0.9" not in kernel
    finally:
        path.write_text(own)
        for words in (["192.0.2.0/24"], ["0.0.0.0/0"]):
            node.space.run(["ip", "route", "del", *words, "dev", "wan-3", "proto", "static"])
        node.space.run(["ip", "address", "del", "10.99.0.9/32", "dev", "lo"])
        node.end()
        node.start()
    wait(mesh, lambda: settled(mesh), 2 * PATIENCE)
    assert mesh.nodes[C].info(listen=2)["dropped"]["foreign"] == []


def heard(mesh: Mesh, number: int) -> set[str]:
    return {one["prefix"] for one in mesh.nodes[number].info(listen=2)["dropped"]["foreign"]}


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_a_daemon_that_is_gone_or_hangs_is_said(mesh: Mesh, kind: signal.Signals) -> None:
    node = mesh.nodes[B]
    if kind == signal.SIGSTOP:
        assert node.daemon is not None
        node.daemon.send_signal(kind)
    else:
        node.end(kind)
    try:
        found = node.info()
        assert not found["running"] and found["since"] is None and found["neighbours"] == []
        assert ("does not answer" if kind == signal.SIGSTOP else "babeld.sock") in found["why"]
        failed = node.module("routing_drain")
        assert failed["failed"] and "does not run" in failed["msg"]
    finally:
        if kind == signal.SIGSTOP:
            node.daemon.send_signal(signal.SIGCONT)
        else:
            node.start()
    wait(mesh, lambda: settled(mesh), 2 * PATIENCE)
    if kind == signal.SIGKILL:
        table = node.space.run(["ip", "-4", "route", "show", "proto", "42"])
        assert len([line for line in table.splitlines() if line.startswith("10.99.")]) == 3, table


def test_routes_that_a_killed_daemon_left_go_before_the_next_start(mesh: Mesh) -> None:
    """Those of this mesh's networks; another daemon's are none of its business."""
    node = mesh.nodes[D]
    node.end(signal.SIGKILL)
    node.space.run(["ip", "route", "add", "10.98.0.7/32", "dev", "lo", "proto", "42"])
    assert "10.99.0.1" in node.space.run(["ip", "route", "show", "proto", "42"])
    node.space.run(node.program("prepare"))
    left = node.space.run(["ip", "route", "show", "proto", "42"])
    assert "10.99." not in left and "10.98.0.7" in left
    node.start()
    wait(mesh, lambda: settled(mesh), 2 * PATIENCE)
    assert "10.98.0.7" in node.space.run(["ip", "route", "show", "proto", "42"])
