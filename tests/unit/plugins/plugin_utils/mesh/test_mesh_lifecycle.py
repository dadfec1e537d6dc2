# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations on a registry: what each changes, what it leaves alone, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.lifecycle import (
    described,
    latencies_of,
    proofs_of,
    psk_orders,
)
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares
from mesh_cast import NOW, TODAY, context, do, everybody_saw, finished, host, key, refused, sealed, small

HOME = {"nat": True, "region": "home", "relays": ("fra",)}


def shares(registry: Registry) -> dict[str, dict]:
    return {share.member: share.as_data() for share in Shares(registry).all()}


def carrying(registry: Registry, name: str) -> set[str]:
    return set(Shares(registry).of(name).routes)


def tunnels(registry: Registry, name: str) -> set[str]:
    return {tunnel.interface for tunnel in Shares(registry).of(name).tunnels}


# -- join


def test_a_mesh_begins_with_its_first_members():
    registry = small()
    assert {name: member.number for name, member in registry.members.items()} == {
        "ams": 1, "bo": 64, "db": 128, "fra": 129,
    }  # fmt: skip
    assert registry.regions == {"ams": (0,), "home": (1,), "fra": (2,)}
    assert len(registry.links) == 6


def test_a_second_join_changes_nothing():
    registry = small()
    again, report = do(registry, "join", host("db", region="fra"), host("bo", **HOME))
    assert again == registry and dump_registry(again) == dump_registry(registry)
    assert (report.lines, report.affected, report.pending) == ([], set(), [])


def test_a_join_adds_only_links_of_who_joins():
    before = small(full_mesh_up_to=3, neighbours=2)
    after, report = do(before, "join", host("new", region="fra"))
    assert {pair: link for pair, link in after.links.items() if "new" not in pair} == before.links
    assert all(after.members[name] == member for name, member in before.members.items())
    new = [pair for pair in after.links if "new" in pair]
    assert new and {name for pair in new for name in pair} <= report.affected
    for name, share in shares(before).items():  # and no tunnel that was there is touched
        there = {item["interface"]: item for item in shares(after)[name]["tunnels"]}
        assert all(there[item["interface"]] == item for item in share["tunnels"])


def test_who_comes_back_has_its_number_again_and_nobody_else():
    registry, _report = do(small(), "leave", names=["db"])
    registry = finished(registry)
    assert "db" not in registry.members and registry.departed["db"].number == 128
    registry = do(registry, "join", host("other", region="fra"))[0]
    assert registry.members["other"].number == 130
    assert "departed" in refused(registry, "join", host("db", region="ams"))
    registry = do(registry, "join", host("db", region="fra"))[0]
    assert registry.members["db"].number == 128 and not registry.departed


def test_a_region_gets_another_block_when_its_first_is_full():
    registry = do(
        small(max_degree=10, full_mesh_up_to=4),
        "join",
        *(host(f"n{at}", region="ams", transit=True) for at in range(64)),
    )[0]
    numbers = [member.number for member in registry.members.values() if member.region == "ams"]
    assert sorted(numbers) == [*range(1, 64), 192, 193] and registry.regions["ams"] == (0, 3)


def test_a_full_prefix_is_refused():
    registry = do(None, "join", host("a", settings={"prefixes": ["10.9.0.0/30"]}))[0]
    registry = do(registry, "join", host("b"))[0]
    assert {member.number for member in registry.members.values()} == {1, 2}
    assert "10.9.0.0/30 have room for 1 blocks" in refused(registry, "join", host("c"))


# (what the host wants, key, part of what is allowed)
NOT_LET_IN = [
    ({"endpoint": "", "address": "192.0.2.9"}, "mesh_endpoint", "own address is 192.0.2.9"),
    ({"endpoint": "203.0.113.1", "nat": True}, "mesh_endpoint", "behind NAT"),
    ({"endpoint": "two.example"}, "mesh_endpoint", "198.51.100.1, 198.51.100.2"),
    ({"endpoint": "none.example"}, "mesh_endpoint", "it stands for none"),
    ({"endpoint": "self.example"}, "mesh_endpoint", "can reach; it stands for 127.0.1.1"),
    ({"udp_ports": (51822,)}, "mesh_port", "48 ports are free: of 51820 to 51867 51822 is taken"),
    ({"port": 4000, "udp_ports": (4047, 53)}, "mesh_port", "4047 is taken by another program"),
    ({"local_endpoint": "two.example"}, "mesh_local_endpoint", "name of one address"),
    ({"underlay_mtu": 1339}, "mesh_underlay_mtu", "1340 or more"),
    ({"underlay_mtu": 1359, "endpoint": "one.example"}, "mesh_underlay_mtu", "1360 or more"),
    ({"underlay_mtu": 1359, "endpoint": "2001:db8::5"}, "mesh_underlay_mtu", "IPv6 needs 1280"),
    ({"underlay": ("10.99.8.0/24",)}, "underlay", "outside the mesh's 10.99.0.0/16"),
    ({"underlay": ("172.17.0.0/16", "10.0.0.0/8")}, "underlay", "would capture"),
    ({"underlay": ("fd12:3456:789a:1::/64",)}, "underlay", "outside the mesh's fd12"),
    ({"time": NOW - 61}, "clock", "within 60 s"),
    ({"time": NOW + 61}, "clock", "within 60 s"),
    ({"port": 65500}, "mesh_port", "at most 65488"),
    ({"relays": ("gone",)}, "relays", "not in the registry"),
    ({"relays": ("db",)}, "relays", "transit: true"),
    ({"public_key": key("db")}, "keys", "db (generation 1) has this one"),
]


@pytest.mark.parametrize(("wants", "name", "allowed"), NOT_LET_IN)
def test_who_is_not_let_in(wants, name, allowed):
    words = refused(small(), "join", host("new", **wants))
    assert name in words and allowed in words


@pytest.mark.parametrize(
    "wants",
    [
        {"endpoint": "dual.example"},
        {"endpoint": "one.example:4000"},
        {"underlay_mtu": 1340},
        {"underlay_mtu": 1340, "nat": True, "endpoint": "", "underlay": ("192.168.1.0/24",)},
        {"underlay": ("0.0.0.0/0", "192.168.0.0/16")},
        {"time": NOW - 59},
        {"udp_ports": (53, 51819, 51868)},
        {"port": 4000, "udp_ports": (51820,)},
        {"time": None},
    ],
)
def test_who_is_let_in(wants):
    assert "new" in do(small(), "join", host("new", **wants))[0].members


def test_a_long_run_is_no_wrong_clock():
    early = host("new", time=NOW - 400)
    assert "clock" in refused(small(), "join", early)
    assert do(small(), "join", early, with_context={"since": NOW - 500})[0].members["new"]


def test_a_member_is_not_refused_for_a_port_that_it_uses_itself():
    again = host("db", region="fra", udp_ports=(51820,))
    assert do(small(), "join", again)[0] == small()


def test_both_behind_nat_without_a_relay():
    hosts = [host(name, nat=True, region=name) for name in ("one", "two")]
    assert refused(None, "join", *hosts)


def test_a_new_mesh_needs_settings_and_the_same_from_all():
    assert "mesh_settings" in refused(None, "join", host("a", settings={}))
    assert "the same settings" in refused(
        None, "join", host("a"), host("b", settings={"prefixes": ["10.8.0.0/16"]})
    )
    assert "did you mean prefixes?" in refused(None, "join", host("a", settings={"prefixs": ["10.8.0.0/16"]}))
    assert "mesh_join" in refused(None, "replan")


def test_another_mesh_on_the_same_host():
    other = replace(small(), mesh="lan")
    both = {"with_context": {"others": (other,)}}
    words = refused(None, "join", host("db", region="fra"), **both)
    assert "51820 to 51867 are those of the mesh lan" in words and "10.99.0.0/16" in words
    apart = host("db", region="fra", port=51868, settings={"prefixes": ["10.98.0.0/16"]})
    assert do(None, "join", apart, **both)[0].members["db"].port == 51868


def test_a_host_without_key_waits_as_in_a_first_check():
    registry, report = do(small(), "join", host("new", public_key=""))
    assert registry == small() and [entry["what"] for entry in report.pending] == ["key"]


def test_who_is_affected_is_who_gets_another_share():
    hosts = [host(f"n{at}", transit=at < 4, region=f"r{at % 4}") for at in range(12)]
    settings = {"prefixes": ["10.9.0.0/16"], "full_mesh_up_to": 2, "neighbours": 2}
    before = do(None, "join", *(replace(item, settings=settings) for item in hosts))[0]
    for operation, one in (
        ("join", host("new", region="r9")),
        ("endpoint", host("n9", region="r1", endpoint="192.0.2.1")),
    ):
        after, report = do(before, operation, one)
        old, new = shares(before), shares(after)
        assert {name for name in new if old.get(name) != new[name]} <= report.affected
    quiet, report = do(before, "join", host("n5", region="r1", underlay=("172.18.0.0/16",)))
    assert shares(quiet) == shares(before) and report.affected == {"n5"}


# -- endpoint


def test_a_new_endpoint_moves_no_link_and_no_number():
    before = small()
    after, report = do(
        before, "endpoint", host("ams", region="ams", transit=True, endpoint="192.0.2.77:7000")
    )
    assert after.links == before.links and report.affected == set(before.members)
    called = {
        share["member"]: [item["endpoint"] for item in share["tunnels"] if item["peer"] == "ams"]
        for share in shares(after).values()
    }
    assert called["db"] == ["192.0.2.77:7002"] and called["fra"] == ["192.0.2.77:7004"]


def test_what_a_member_cannot_change():
    assert "mesh_leave" in refused(small(), "endpoint", host("db", region="ams"))
    assert "mesh_leave" in refused(small(), "join", host("db", region="fra", port=5000))
    assert "mesh_join" in refused(small(), "endpoint", host("stranger"))
    assert "mesh_rekey" in refused(small(), "join", host("db", region="fra", public_key=key("x")))


def test_a_member_that_goes_behind_nat_leaves_links_that_cannot_be_any_more():
    after, report = do(small(), "endpoint", host("db", nat=True, region="fra", relays=("fra",)))
    assert after.links["bo", "db"].leaving and not after.links["db", "fra"].leaving
    assert "wan-64" not in carrying(after, "db") and "wan-64" in tunnels(after, "db")
    assert any("neither end can call" in line for line in report.lines)


# -- rotate


def test_a_rotation_is_additive_until_there_is_proof():
    before = small()
    after, report = do(before, "rotate", host("db", 2))
    member = after.members["db"]
    assert (member.generation, sorted(member.keys), member.retire) == (1, [1, 2], {})
    assert report.affected == set(before.members)
    for name, share in shares(before).items():
        now = shares(after)[name]
        there = {item["interface"]: item for item in now["tunnels"]}
        assert now["routes"] == share["routes"]
        assert all(there[item["interface"]] == item for item in share["tunnels"])
    assert {"wan-128", "wan-128b"} <= tunnels(after, "fra")
    fresh = {tunnel.interface: tunnel for tunnel in Shares(after).of("fra").tunnels}["wan-128b"]
    assert fresh.public_key == key("db", 2) and fresh.generation == 1
    assert fresh.listen_port % 2 == 51821 % 2


def test_a_rotation_goes_on_step_by_step():
    registry = do(small(), "rotate", host("db", 2))[0]
    assert do(registry, "rotate", host("db", 2))[0] == registry
    stays, report = do(registry, "finish", applied=tuple(registry.members))
    assert stays == registry and {entry["what"] for entry in report.pending} == {"proof"}

    proven, report = do(registry, "finish", proofs={("fra", "wan-128b")}, applied=tuple(registry.members))
    link = proven.links["db", "fra"]
    assert (link.side, link.current.generations, link.next) == (1, (2, 1), None)
    assert link.old and link.old.generations == (1, 1)
    assert report.affected == {"db", "fra"} and proven.members["db"].generation == 1
    assert "wan-128b" in carrying(proven, "fra") and "wan-128" in tunnels(proven, "fra")
    assert (
        do(proven, "finish", applied=("fra",))[0] == proven
    )  # only one end knows: its other still sends there

    gone, _report = do(proven, "finish", applied=("fra", "db"))
    assert gone.links["db", "fra"].old is None and "wan-128" not in tunnels(gone, "fra")
    done = finished(gone)
    assert (done.members["db"].generation, sorted(done.members["db"].keys)) == (2, [2])
    assert all(link.next is None and link.old is None for link in done.links.values())


def test_members_that_rotate_together_have_one_tunnel_beside():
    registry = do(small(), "rotate", host("db", 2), host("fra", 2))[0]
    assert registry.links["db", "fra"].next.generations == (2, 2)
    apart = do(do(small(), "rotate", host("db", 2))[0], "rotate", host("fra", 2))[0]
    assert apart == registry
    assert finished(registry).links["db", "fra"].current.generations == (2, 2)


def test_an_offline_member_keeps_the_old_key_until_the_stated_date():
    registry = do(small(), "rotate", host("db", 2), keep_until="2027-02-01")[0]
    assert registry.members["db"].retire == {1: "2027-02-01"}
    seen = {
        proof
        for proof in everybody_saw(registry)
        if "bo" not in proof and proof[1] not in ("wan-64", "wan-64b")
    }
    for _round in range(3):
        registry = do(registry, "finish", proofs=seen, applied=("ams", "db", "fra"))[0]
    waiting = registry.links["bo", "db"]
    assert waiting.current.generations == (1, 1) and waiting.next and registry.members["db"].generation == 1
    assert sorted(registry.members["db"].keys) == [1, 2]

    day = 86400.0
    same = do(registry, "finish", with_context={"now": NOW + 17 * day})[0]  # on the day itself it is kept
    assert same == registry
    late, report = do(registry, "finish", with_context={"now": NOW + 18 * day})
    assert late.links["bo", "db"].current.generations == (1, 2) and late.links["bo", "db"].old is None
    assert late.members["db"].keys == {2: key("db", 2)} and late.members["db"].retire == {}
    assert any("without proof" in line for line in report.lines)


@pytest.mark.parametrize(
    ("one", "more", "words"),
    [
        (host("gone", 2), {}, "mesh_join"),
        (host("db", 1, public_key=key("x")), {}, "mesh_rekey"),
        (host("db", 2), {"keep_until": "soon"}, "a date such as"),
        (host("db", 2), {"keep_until": "2027-01-14"}, "or later"),
    ],
)
def test_rotations_that_are_refused(one, more, words):
    assert words in refused(small(), "rotate", one, **more)


def test_a_rotation_before_the_last_is_done():
    registry = do(small(), "rotate", host("db", 2))[0]
    third = do(registry, "rotate", host("db", 3))[
        0
    ]  # nothing was proven yet: the tunnel beside takes the newer
    assert third.links["db", "fra"].next.generations == (3, 1)
    proven = do(registry, "finish", proofs=everybody_saw(registry), applied=())[0]
    assert "operation finish" in refused(proven, "rotate", host("db", 3))
    assert finished(third).members["db"].keys == {3: key("db", 3)}


def test_links_made_during_a_rotation_use_the_new_key():
    registry = do(small(), "rotate", host("db", 2))[0]
    registry = do(registry, "join", host("new", region="fra"))[0]
    assert registry.links["db", "new"].current.generations == (2, 1)


# -- rekey


def test_a_reinstalled_node_has_its_new_key_at_once_and_all_else_stays():
    before = small()
    again = host("db", 2, public_key=key("db", 7), region="fra")
    assert "mesh_rekey" in refused(before, "join", again)
    after, report = do(before, "rekey", again)
    member = after.members["db"]
    assert (member.number, member.generation, member.keys) == (128, 2, {2: key("db", 7)})
    assert report.affected == set(before.members)
    assert after.links["db", "fra"].current.generations == (2, 1) and after.links["db", "fra"].side == 0
    assert {pair: link for pair, link in after.links.items() if "db" not in pair} == {
        pair: link for pair, link in before.links.items() if "db" not in pair
    }
    assert do(after, "rekey", again)[0] == after
    assert do(after, "join", again)[0] == after


def test_a_rekey_in_the_middle_of_a_rotation():
    registry = do(small(), "rotate", host("db", 2), host("fra", 2))[0]
    after = do(registry, "rekey", host("db", 3, region="fra"))[0]
    link = after.links["db", "fra"]
    assert link.current.generations == (3, 1) and link.next.generations == (3, 2)
    assert after.links["bo", "db"].next is None
    assert finished(after).members["fra"].generation == 2


def test_rekeys_that_are_refused():
    assert "2 or more" in refused(small(), "rekey", host("db", 1, public_key=key("x")))
    rotating = do(small(), "rotate", host("db", 2))[0]
    assert "lost its keys" in refused(rotating, "rekey", host("db", 2))


# -- leave


def test_leaving_takes_routes_first_and_tunnels_when_the_ends_know():
    before = small()
    registry, report = do(before, "leave", names=["db"])
    assert registry.members["db"].leaving and report.affected == set(before.members)
    assert "wan-128" not in carrying(registry, "fra") and "wan-128" in tunnels(registry, "fra")
    assert do(registry, "leave", names=["db"])[0] == registry
    assert do(registry, "finish")[0] == registry  # nobody is known to have applied it
    half = do(registry, "finish", applied=("fra",))[0]
    assert ("db", "fra") not in half.links and half.members["db"].leaving
    done, report = do(half, "finish", applied=("ams", "bo"))
    assert "db" not in done.members and done.departed["db"].number == 128
    assert done.departed["db"].left == "2027-01-15" and any("has left" in line for line in report.lines)
    assert {pair for pair in before.links if "db" not in pair} == set(done.links)


def test_who_has_left_already_may_be_told_so_again():
    """A node that was off meanwhile still has its tunnels; the same playbook takes them away."""
    gone, _report = do(small(), "leave", names=("bo",))
    gone = finished(gone)
    assert "bo" in gone.departed
    again, report = do(gone, "leave", names=("bo",))
    assert again == gone and report.lines == [f"bo: has left already ({TODAY})"]
    # A run that was killed after the last entry may have left tunnels at those who were neighbours then.
    assert report.affected == set(gone.members)
    after, _report = do(gone, "leave", names=("bo", "db"))
    assert after.members["db"].leaving
    assert "not in its registry" in refused(gone, "leave", names=("bo", "nobody"))


def test_a_member_that_others_need_cannot_just_leave():
    assert "only relay" in refused(small(), "leave", names=["fra"])
    assert do(small(), "leave", names=["fra", "bo"])[0].members["bo"].leaving
    assert "mesh_join" in refused(small(), "leave", names=["gone"])


def test_a_hole_that_a_leaving_gateway_tears_is_mended():
    hosts = [
        host(name, transit=name.startswith("gw")) for name in ("gw1", "gw2", "gw3", "n1", "n2", "n3", "n4")
    ]
    registry = do(
        None,
        "join",
        *(
            replace(item, settings={"prefixes": ["10.9.0.0/24"], "full_mesh_up_to": 2, "neighbours": 2})
            for item in hosts
        ),
    )[0]
    for name in ("gw1", "gw2"):
        registry = finished(do(registry, "leave", names=[name])[0])
        for member in registry.members:
            reached = sum(len(found) for found in Shares(registry).of(member).routes.values())
            assert reached >= 1, (name, member)


def test_who_leaves_may_stay_after_all():
    before = small()
    registry = do(before, "leave", names=["db"])[0]
    back = do(registry, "join", host("db", region="fra"))[0]
    assert replace(back, ways=()) == before
    assert finished(back) == before


# -- replan


def test_the_plan_is_frozen_until_asked_for_anew():
    before = small()
    fewer = replace(before, settings=replace(before.settings, full_mesh_up_to=2, neighbours=2, max_degree=3))
    assert do(fewer, "join", host("db", region="fra"))[0].links == before.links
    after, report = do(fewer, "replan")
    leaving = {pair for pair, link in after.links.items() if link.leaving}
    assert leaving and set(after.links) == set(before.links) and "leaves" in " ".join(report.lines)
    assert do(after, "replan")[0] == after
    done = finished(after)
    assert set(done.links) == set(before.links) - leaving
    wider = replace(done, settings=before.settings)
    assert set(do(wider, "replan")[0].links) == set(before.links)


def test_measured_round_trips_are_kept_with_the_links():
    ms = latencies_of([{"ends": ["fra", "ams"], "ms": 12.34}])
    registry = do(small(), "replan", with_context={"latency": ms})[0]
    assert registry.links["ams", "fra"].ms == 12.3
    assert do(registry, "replan")[0] == registry


# -- preshared keys


def test_a_tunnel_waits_for_its_preshared_key():
    registry = small(preshared_keys=True)
    assert not any(Shares(registry).of(name).tunnels for name in registry.members)
    orders = psk_orders(registry)
    assert {name: len(found) for name, found in orders.items()} == {"ams": 3, "bo": 2, "db": 1}
    assert orders["db"] == [{"name": "128-129-1", "public_key": key("fra")}]
    registry = sealed(registry)
    assert not psk_orders(registry) and sealed(registry) == registry
    by_interface = {
        (share.member, item.interface): item for share in Shares(registry).all() for item in share.tunnels
    }
    maker, receiver = by_interface["db", "wan-129"], by_interface["fra", "wan-128"]
    assert maker.psk and (maker.psk.name, maker.psk.sealed) == ("128-129-1", "")
    assert receiver.psk and (receiver.psk.name, receiver.psk.sealed) == ("128-129-1", "c2VhbGVk")


def test_turning_them_on_is_a_tunnel_beside():
    before = small()
    wished = replace(before, settings=replace(before.settings, preshared_keys=True))
    registry = do(wished, "replan")[0]
    assert all(link.next and link.next.psk and not link.current.psk for link in registry.links.values())
    assert shares(registry) == shares(wished)  # nothing changes before the keys are there
    registry = finished(sealed(registry))
    assert all(link.current.psk and link.side == 1 for link in registry.links.values())
    off = replace(registry, settings=before.settings)
    assert all(not link.current.psk for link in finished(do(off, "replan")[0]).links.values())


def test_a_rotation_and_a_rekey_make_new_ones():
    registry = sealed(small(preshared_keys=True))
    rotated = do(registry, "rotate", host("db", 2))[0]
    assert rotated.links["db", "fra"].next.psk.name == "128-129-2"
    assert {order["name"] for order in psk_orders(rotated)["db"]} == {"128-129-2"}
    assert finished(sealed(rotated)).links["db", "fra"].current.psk.name == "128-129-2"
    rekeyed = do(registry, "rekey", host("db", 2, region="fra"))[0]
    assert rekeyed.links["db", "fra"].current.psk.name == "128-129-2"
    assert "wan-128" not in tunnels(rekeyed, "fra")


# -- foreign peers


def test_a_foreign_peer_pins_the_key_it_knows():
    from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Foreign

    partner = Foreign("partner", 70, key("partner"), "198.51.100.9", ("10.55.0.0/24",), ("fra",), {"fra": 9})
    registry = replace(small(), foreign={"partner": partner})
    assert "no foreign peer goes via" in refused(registry, "leave", names=["fra", "bo"])
    done = finished(do(registry, "rotate", host("fra", 2))[0])
    assert (done.members["fra"].generation, sorted(done.members["fra"].keys)) == (2, [1, 2])
    report = do(done, "finish")[1]
    assert [entry["what"] for entry in report.pending] == ["foreign"]
    told = replace(done, foreign={"partner": replace(partner, generations={"fra": 2})})
    assert sorted(finished(told).members["fra"].keys) == [2]


# -- what is told as plain data


def test_what_counts_as_proof():
    seen = {
        "db": {"tunnels": [{"mesh": "wan", "interface": "wan-1b", "handshake_age": 3}]},
        "fra": [
            {"interface": "wan-1", "handshake_age": None},
            {"interface": "wan-2", "handshake_age": 900.0},
            {"interface": "wan-3", "handshake_age": 90, "sent": 4, "answered": 0},
        ],
        "bo": {"tunnels": [{"mesh": "lan", "interface": "lan-1", "handshake_age": 1}]},
        "ams": {"unreachable": True, "msg": "no route to host"},
    }
    assert proofs_of("wan", seen) == ({("db", "wan-1b")}, {"db", "fra", "bo"})


def test_show_says_what_a_playbook_needs():
    registry = do(small(), "rotate", host("db", 2))[0]
    _same, report = do(registry, "show", names=["db"])
    assert {entry["what"] for entry in report.pending} == {"proof"}
    assert described(registry, ["db"])["db"] == {
        "number": 128,
        "addresses": ["10.99.0.128/32", "fd12:3456:789a::80/128"],
        "region": "fra",
        "generation": 1,
        "newest_generation": 2,
        "next_generation": 2,
        "next_key": 3,
        "neighbours": ["ams", "bo", "fra"],
        "leaving": False,
        "rotating": True,
    }
    assert context().today == "2027-01-15"
