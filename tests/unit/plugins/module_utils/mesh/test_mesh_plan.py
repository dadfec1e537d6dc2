# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mesh layer plans: tables of a node's state and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Psk
from ansible_collections.swarm.node.plugins.module_utils.mesh.state import Link, MeshState, Route
from ansible_collections.swarm.node.plugins.module_utils.mesh.wg import Device, Peer
from mesh_cases import NOW, OWN, device, key, node, planned, share, steps, tunnel

ONE = share()
CONF = "/etc/wireguard/wan-2.conf"


def only(plan: Any, name: str) -> Any:
    found = [change for change in plan.changes if change.key == name]
    assert len(found) == 1, steps(plan)
    return found[0]


def test_a_node_that_is_right_is_left_alone() -> None:
    assert steps(planned(node(ONE), ONE)) == []


def test_a_fresh_node_gets_files_tunnel_routes_and_the_share_in_that_order() -> None:
    fresh = node(public_keys={("wan", 1): OWN})
    assert steps(planned(fresh, ONE)) == [
        ("mesh.routes", "wan"),
        ("file", "wan-2.conf"),
        ("mesh.tunnel", "wan-2"),
        ("mesh.routes", "wan-2"),
        ("file", "mesh.routes"),
        ("file", "wan-2.routes"),
        ("file", "share.json"),
    ]
    assert {change.disruption for change in planned(fresh, ONE).changes} == {"none"}


def test_new_tunnels_are_started_by_one_call() -> None:
    both = share(tunnel(2), tunnel(3))
    plan = planned(node(public_keys={("wan", 1): OWN}), both)
    groups = [change.data["group"] for change in plan.changes if change.key == "mesh.tunnel"]
    assert groups == [["wan-2", "wan-3"]] * 2


def changed_live(name: str, **fields: Any) -> MeshState:
    """A right node where somebody has changed the device wan-2 by hand."""
    state = node(ONE)
    links = (
        {**state.links, "wan-2": replace(state.links["wan-2"], **fields)} if name == "link" else state.links
    )
    devices: dict[str, Device] = dict(state.devices)
    if name == "device":
        devices["wan-2"] = replace(devices["wan-2"], **fields)
    if name == "peer":
        devices["wan-2"] = device(ONE.tunnels[0], **fields)
    ports = frozenset(found.listen_port for found in devices.values())
    return replace(state, links=links, devices=devices, ports=ports)


@pytest.mark.parametrize(
    ("state", "change", "before"),
    [
        (changed_live("link", mtu=1300), "mesh.mtu", 1300),
        (changed_live("link", up=False), "mesh.tunnel", "down"),
        (changed_live("device", listen_port=5), "mesh.listen_port", 5),
        (changed_live("device", public_key=key("z")), "mesh.key", None),
        (changed_live("device", peers={}), "mesh.peer", None),
    ],
)
def test_drift_is_put_right_by_one_change_that_disturbs_nobody(
    state: MeshState, change: str, before: Any
) -> None:
    found = only(planned(state, ONE), change)
    assert (found.before, found.disruption, len(planned(state, ONE).changes)) == (before, "none", 1)


def test_an_address_that_was_removed_comes_back_and_a_foreign_one_stays() -> None:
    state = changed_live("link", addresses=("10.99.0.1/32", "172.16.0.9/32", "fe80::1/64", "fe80::abcd/64"))
    change = only(planned(state, ONE), "mesh.address")
    assert change.before == ["10.99.0.1/32", "fe80::1/64"]
    assert change.after == ["10.99.0.1/32", "fd12:3456:789a::1/128", "fe80::1/64"]


def test_an_old_address_of_the_mesh_goes() -> None:
    old = ("10.99.0.1/32", "10.99.0.77/32", "fd12:3456:789a::1/128", "fe80::1/64")
    change = only(planned(changed_live("link", addresses=old), ONE), "mesh.address")
    assert "10.99.0.77/32" in change.before and "10.99.0.77/32" not in change.after


@pytest.mark.parametrize(
    ("live", "age", "changes"),
    [
        ("203.0.113.9:4000", 10, False),  # it roamed, and talks to us
        ("203.0.113.9:4000", 179, False),
        ("203.0.113.9:4000", 181, True),  # what it roamed to is dead
        ("192.0.2.2:51820", 5000, False),
        ("", 10, True),
    ],
)
def test_an_endpoint_that_the_peer_has_roamed_to_is_no_drift(live: str, age: int, changes: bool) -> None:
    state = changed_live("peer", endpoint=live, handshake=int(NOW) - age)
    assert bool(planned(state, ONE).changes) is changes


def test_a_new_endpoint_is_set_though_the_old_one_answers() -> None:
    new = share(tunnel(endpoint="192.0.2.99:51820"))
    plan = planned(node(ONE), new)
    assert steps(plan) == [("file", "wan-2.conf"), ("mesh.peer", "wan-2"), ("file", "share.json")]
    assert {change.disruption for change in plan.changes} == {"none"}


def test_a_name_is_not_compared_with_the_address_it_was_looked_up_to() -> None:
    named = share(tunnel(endpoint="gw.example.org:51820"))
    silent = device(named.tunnels[0], endpoint="192.0.2.7:51820", handshake=0)
    assert planned(node(named, devices={"wan-2": silent}), named).changes == []


def test_an_endpoint_in_other_letters_is_the_same() -> None:
    six = share(tunnel(endpoint="[2001:DB8::0:7]:51820"))
    live = device(six.tunnels[0], endpoint="[2001:db8::7]:51820", handshake=0)
    assert planned(node(six, devices={"wan-2": live}), six).changes == []


def test_a_stranger_among_the_peers_is_removed() -> None:
    right = node(ONE)
    peers = {**right.devices["wan-2"].peers, key("x"): Peer(key("x"))}
    state = replace(right, devices={"wan-2": replace(right.devices["wan-2"], peers=peers)})
    change = only(planned(state, ONE), "mesh.peer")
    assert [peer["public_key"] for peer in change.before] == [key("b"), key("x")]
    assert change.disruption == "none"


@pytest.mark.parametrize(
    ("wish", "key_of_change", "disruption"),
    [
        ({"listen_port": 51830}, "mesh.listen_port", "peer_jobs"),
        ({"public_key": key("y")}, "mesh.peer", "peer_jobs"),
        ({"psk": Psk("one", "", "")}, "mesh.peer", "peer_jobs"),
        ({"generation": 2}, "mesh.key", "peer_jobs"),
        ({"keepalive": 25}, "mesh.peer", "none"),
        ({"mtu": 1380}, "mesh.mtu", "perf"),
        ({"mtu": 1440}, "mesh.mtu", "none"),
    ],
)
def test_what_cuts_a_tunnel_that_carries_routes_says_so(
    wish: dict[str, Any], key_of_change: str, disruption: str
) -> None:
    both = {1: OWN, 2: key("p")}
    new = share(tunnel(**wish), keys=both)
    known = {"public_keys": {("wan", 1): OWN, ("wan", 2): key("p")}, "psks": {("wan", "one"): True}}
    plan = planned(node(share(keys=both), **known), new)
    change = only(plan, key_of_change)
    assert change.disruption == disruption
    written = next(item for item in plan.changes if item.target == CONF)
    assert written.relies_on == ((change.name,) if disruption != "none" else ())
    idle = share(keys=both, routes={})
    assert only(planned(node(idle, **known), replace(new, routes={})), key_of_change).disruption == "none"


def test_a_second_side_takes_the_routes_over_before_the_first_goes() -> None:
    old, second = tunnel(), tunnel(interface="wan-2b", listen_port=51825, public_key=key("y"))
    moved = share(old, second, routes={"wan-2b": ONE.routes["wan-2"]})
    plan = planned(node(ONE), moved)
    routes = [change for change in plan.changes if change.key == "mesh.routes"]
    assert [change.target for change in routes] == ["wan-2b", "wan-2"]
    assert routes[1].data["do"] == []  # they have been moved: nothing is taken away
    assert {change.disruption for change in plan.changes} == {"none"}
    alone = share(second, routes=moved.routes)
    last = planned(node(moved), alone)
    assert [(c.target, c.after, c.disruption) for c in last.changes if c.key == "mesh.tunnel"] == [
        ("wan-2", None, "none")
    ]


def test_taking_a_way_to_a_member_away_may_disturb_a_little_and_a_loaded_tunnel_much() -> None:
    left = share(routes={"wan-2": ()})
    assert only(planned(node(ONE), left), "mesh.routes").disruption == "perf"
    both = share(tunnel(2), tunnel(3))
    assert only(planned(node(both), share(tunnel(3))), "mesh.tunnel").disruption == "peer_jobs"
    round_about = share(tunnel(3), routes={"wan-3": (*both.routes["wan-2"], *both.routes["wan-3"])})
    assert only(planned(node(both), round_about), "mesh.tunnel").disruption == "perf"


def test_files_of_a_tunnel_stay_if_it_may_not_go() -> None:
    both = share(tunnel(2), tunnel(3))
    plan = planned(node(both), share(tunnel(3)))
    for change in plan.changes:
        if change.target in (CONF, "/etc/swarm_node/mesh/wan/wan-2.routes"):
            assert change.relies_on == ("mesh.tunnel wan-2",)
    stored = [change for change in plan.changes if change.target.endswith("share.json")]
    assert "mesh.tunnel wan-2" in stored[0].relies_on


def test_a_tunnel_goes_first_if_another_one_needs_its_port() -> None:
    new = share(tunnel(3, listen_port=tunnel(2).listen_port))
    names = [target for name, target in steps(planned(node(ONE), new)) if name == "mesh.tunnel"]
    assert names == ["wan-2", "wan-3"]


@pytest.mark.parametrize(("active", "how"), [("active", "restart"), ("inactive", "start"), ("", "start")])
def test_a_tunnel_whose_interface_is_gone_comes_up_again(active: str, how: str) -> None:
    state = node(ONE)
    links = {name: link for name, link in state.links.items() if name != "wan-2"}
    routes = tuple(route for route in state.routes if route.device != "wan-2")
    units = {"wg-quick@wan-2.service": active}
    gone = replace(state, links=links, devices={}, routes=routes, active=units, ports=frozenset())
    change = only(planned(gone, ONE), "mesh.tunnel")
    assert (change.before, change.after, change.data["how"]) == ("down", "up", how)


def test_a_tunnel_that_would_not_come_up_at_boot_is_enabled() -> None:
    state = node(ONE, links_on={"wg-quick@wan-2.service": False})
    assert steps(planned(state, ONE)) == [("mesh.unit", "wg-quick@wan-2.service")]


def test_a_lost_route_comes_back_and_one_of_ours_too_many_goes() -> None:
    state = node(ONE)
    stray = Route("10.99.0.9/32", "wan-2", 213, 4000, "10.99.0.1")
    babel = Route("10.99.0.8/32", "wan-2", 42, 0, "10.99.0.1")
    kept = [route for route in state.routes if route.destination != "10.99.0.2/32"]
    change = only(planned(replace(state, routes=(*kept, stray, babel)), ONE), "mesh.routes")
    assert change.data["do"] == [
        "route replace 10.99.0.2/32 dev wan-2 proto 213 metric 4000 src 10.99.0.1",
        "route del 10.99.0.9/32 dev wan-2 proto 213 metric 4000",
    ]


def test_a_route_of_ours_with_another_source_is_replaced_not_deleted() -> None:
    state = node(ONE)
    routes = tuple(
        replace(route, source="10.99.0.77") if route.destination == "10.99.0.2/32" else route
        for route in state.routes
    )
    change = only(planned(replace(state, routes=routes), ONE), "mesh.routes")
    assert change.data["do"] == ["route replace 10.99.0.2/32 dev wan-2 proto 213 metric 4000 src 10.99.0.1"]


def test_without_ipv6_that_part_is_left_out_and_said() -> None:
    fresh = node(public_keys={("wan", 1): OWN}, ipv6=False)
    plan = planned(fresh, ONE)
    assert [(wish.key, wish.reason) for wish in plan.unapplied] == [("mesh.address", "unsupported")]
    text = next(change for change in plan.changes if change.target == CONF).data["after_text"]
    assert "Address = 10.99.0.1/32\n" in text
    assert only_routes(plan) == [["10.99.0.0/16"], ["10.99.0.2/32"]]


def only_routes(plan: Any) -> list[Any]:
    return [change.after for change in plan.changes if change.key == "mesh.routes"]


def test_a_hub_switches_forwarding_on_after_accept_ra_and_back_in_that_order() -> None:
    hub = share(transit=True)
    sysctls = {**node(hub).sysctls, "net/ipv6/conf/eth0/accept_ra": "1", "net/ipv6/conf/veth1/accept_ra": "1"}
    state = node(hub, sysctls=sysctls)
    state = replace(state, links={**state.links, "veth1": Link("veth1", "veth")})
    plan = planned(state, hub)
    assert [(c.target, c.before, c.after) for c in plan.changes if c.key == "mesh.forwarding"] == [
        ("net.ipv6.conf.eth0.accept_ra", "1", "2"),
        ("net.ipv6.conf.all.forwarding", "0", "1"),
    ]
    dropin = next(c for c in plan.changes if c.target == "/etc/sysctl.d/90-swarm-node-mesh.conf")
    assert "net/ipv6/conf/eth0/accept_ra = 2\nnet/ipv6/conf/all/forwarding = 1\n" in dropin.data["after_text"]
    on = {**sysctls, "net/ipv6/conf/eth0/accept_ra": "2", "net/ipv6/conf/all/forwarding": "1"}
    files = {**state.files, dropin.target: dropin.data["after_text"]}
    there = replace(state, sysctls=on, files=files)
    record = Record("mesh", plan.claims)
    assert planned(there, hub, record=record).changes == []
    back = planned(there, record=record, absent=True)
    assert [(c.target, c.after) for c in back.changes if c.key == "mesh.forwarding"] == [
        ("net.ipv6.conf.all.forwarding", "0"),
        ("net.ipv6.conf.eth0.accept_ra", "1"),
    ]


@pytest.mark.parametrize(("usual", "after"), [("0", ["0"]), ("1", [])])
def test_a_member_that_is_no_hub_any_more_forwards_as_the_node_does(usual: str, after: list[str]) -> None:
    hub = share(transit=True)
    state = node(hub, sysctls={**node(hub).sysctls, "net/ipv4/conf/default/forwarding": usual})
    found = [c for c in planned(state, ONE).changes if c.target == "net.ipv4.conf.wan-2.forwarding"]
    assert [change.after for change in found] == after


def test_forwarding_that_somebody_else_has_on_stays_on() -> None:
    hub = share(transit=True)
    state = node(hub, sysctls={**node(hub).sysctls, "net/ipv6/conf/all/forwarding": "1"})
    plan = planned(state, hub)
    record = Record("mesh", plan.claims)
    assert not [c for c in planned(state, record=record, absent=True).changes if c.key == "mesh.forwarding"]


def test_state_absent_takes_all_away_and_keys_last() -> None:
    claims = planned(node(ONE), ONE).claims
    plan = planned(node(ONE, generations={"wan": (1, 2)}), absent=True, record=Record("mesh", claims))
    assert steps(plan) == [
        ("mesh.tunnel", "wan-2"),
        ("file", "wan-2.conf"),
        ("file", "wan-2.routes"),
        ("mesh.routes", "wan"),
        ("file", "mesh.routes"),
        ("file", "share.json"),
        ("mesh.key", "1"),
        ("mesh.key", "2"),
    ]
    assert max(change.disruption for change in plan.changes) == "perf"
    assert plan.claims == {}


def test_a_mesh_that_is_missing_from_the_shares_goes_if_that_may_disturb() -> None:
    other = share(
        tunnel(interface="lab-2", listen_port=52000), mesh="lab", ports=(52000, 52047),
        prefixes=("10.98.0.0/16",), addresses=("10.98.0.1/32",), routes={},
    )  # fmt: skip
    state = node(ONE, other)
    claims = planned(state, ONE, other).claims
    plan = planned(state, other, record=Record("mesh", claims))
    assert [(c.target, c.disruption) for c in plan.changes if c.key == "mesh.tunnel"] == [
        ("wan-2", "peer_jobs")
    ]
    key_change = only(plan, "mesh.key")
    assert (key_change.target, key_change.relies_on) == ("wan/1", ("mesh.tunnel wan-2",))
    assert "/etc/wireguard/lab-2.conf" not in [change.target for change in plan.changes]


def test_keys_that_no_share_ever_had_stay_and_retired_ones_go_only_when_nothing_is_armed() -> None:
    rotated = share(tunnel(generation=2), keys={2: key("p")})
    state = node(rotated, generations={"wan": (1, 2, 3)})
    record = Record("mesh", {"mesh.key wan/1": Claim(None, OWN), "mesh.key wan/2": Claim(None, key("p"))})
    plan = planned(state, rotated, record=record)
    assert [change.target for change in plan.changes] == ["wan/1"]
    assert set(plan.claims) == {"mesh.key wan/2"}
    armed = planned(state, rotated, record=record, keep_keys=True)
    assert armed.changes == [] and set(armed.claims) == {"mesh.key wan/1", "mesh.key wan/2"}


def test_a_sealed_psk_is_opened_before_its_tunnel_comes_up() -> None:
    sealed = share(tunnel(psk=Psk("one", "c2VhbA==", "c2VuZGVy")))
    plan = planned(node(public_keys={("wan", 1): OWN}), sealed)
    assert steps(plan)[1:4] == [("mesh.psk", "one"), ("file", "wan-2.conf"), ("mesh.tunnel", "wan-2")]


# -- refused


def refused(state: MeshState, *shares: Any, **wish: Any) -> str:
    with pytest.raises(BindError) as error:
        planned(state, *shares, **wish)
    return str(error.value)


def fresh(**changes: Any) -> MeshState:
    return node(**{"public_keys": {("wan", 1): OWN}, **changes})


def test_the_port_of_another_process_is_refused_with_its_name() -> None:
    said = refused(fresh(ports=frozenset([51824]), holders={51824: "python3 (process 7)"}), ONE)
    assert "51824" in said and "python3 (process 7)" in said and "mesh_port" in said


def test_the_port_of_a_foreign_wireguard_interface_is_refused() -> None:
    assert "interface wg0" in refused(fresh(devices={"wg0": Device("wg0", key("w"), 51824)}), ONE)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"links": {"wan-2": Link("wan-2", "dummy")}}, "dummy"),
        ({"files": {CONF: "[Interface]\n"}}, CONF),
    ],
)
def test_an_interface_of_somebody_else_is_refused(changes: dict[str, Any], word: str) -> None:
    assert word in refused(fresh(**changes), ONE)


@pytest.mark.parametrize("keys", [{}, {("wan", 1): key("q")}])
def test_a_reinstalled_node_is_refused(keys: dict[Any, str]) -> None:
    said = refused(fresh(public_keys=keys), ONE)
    assert "reinstalled" in said and "mesh_rekey" in said


def test_a_key_that_is_not_used_yet_may_be_missing() -> None:
    planned(fresh(), share(keys={1: OWN, 2: key("p")}))


@pytest.mark.parametrize(
    ("route", "word"),
    [
        (Route("10.99.4.0/24", "docker0", 2), "docker0"),
        (Route("10.0.0.0/8", "eth1", 16), "eth1"),
        (Route("10.99.0.0/16", "", 4), "several"),
    ],
)
def test_a_prefix_that_the_node_uses_is_refused(route: Route, word: str) -> None:
    assert word in refused(fresh(routes=(route,)), ONE)


@pytest.mark.parametrize(
    "route",
    [
        Route("0.0.0.0/0", "eth0", 16),
        Route("10.99.0.0/16", "", 4, 0, "", "blackhole"),
        Route("10.98.0.0/16", "eth0", 16),
        Route("10.99.0.7/32", "wan-2", 42),  # a routing daemon's, through our tunnel
    ],
)
def test_routes_that_are_no_use_of_the_prefix_are_none(route: Route) -> None:
    state = node(ONE)
    planned(replace(state, routes=(*state.routes, route)), ONE)


def test_an_address_in_the_prefix_is_refused() -> None:
    links = {"br0": Link("br0", "bridge", 1500, True, ("10.99.7.1/24",))}
    assert "10.99.7.1/24 of br0" in refused(fresh(links=links), ONE)


@pytest.mark.parametrize(("off", "wrong"), [(299.0, False), (301.0, True), (-301.0, True)])
def test_a_wrong_clock_is_refused(off: float, wrong: bool) -> None:
    if wrong:
        assert "clock" in refused(fresh(), ONE, now=NOW + off)
    else:
        planned(fresh(), ONE, now=NOW + off)


def test_two_meshes_with_one_port_are_refused() -> None:
    other = share(mesh="lab", tunnels=(), routes={}, prefixes=("10.98.0.0/16",), ports=(51860, 51900))
    assert "51860-51900" in refused(fresh(), ONE, other)


def test_a_psk_that_was_made_here_and_is_gone_is_refused() -> None:
    assert "psk/one.key" in refused(fresh(), share(tunnel(psk=Psk("one"))))


def test_an_mtu_above_that_of_the_way_out_is_a_note() -> None:
    plan = planned(fresh(), share(tunnel(mtu=1480)))
    assert any("eth0" in note and "1540" in note for note in plan.notes)
    assert not any("MTU" in note for note in planned(fresh(), share(tunnel(mtu=1440))).notes)


def test_routes_wait_for_the_address_that_they_come_from() -> None:
    other = share(number=9, addresses=("10.99.0.9/32", "fd12:3456:789a::9/128"))
    plan = planned(node(ONE), other)
    assert only(plan, "mesh.address").disruption == "peer_jobs"
    routed = [
        c for c in plan.changes if (c.key, c.target) == ("mesh.routes", "wan-2") or "wan-2.routes" in c.target
    ]
    assert len(routed) == 2
    assert all("mesh.address wan-2" in change.relies_on for change in routed)
