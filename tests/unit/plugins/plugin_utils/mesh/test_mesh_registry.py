# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry's file: read whole, or refused with every mistake and its line; and written."""

from __future__ import annotations

import re

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.parse import parse_registry
from mesh_cast import do, finished, host, key, sealed, small

A, B, C, D = key("a"), key("b"), key("c"), key("d")
TEXT = f"""\
# The operator's own words.
# Two lines of them.

schema: 1
mesh: wan
settings: {{prefixes: [10.99.0.0/16, "fd12:3456:789a::/48"], port: 51820}}
regions: {{fra: [0], home: [1, 4]}}
members:
  gw1.fra: {{number: 1, region: fra, endpoint: "203.0.113.7", transit: true, underlay: [203.0.113.0/24], keys: {{1: "{A}"}}}}
  home-ann: {{number: 64, region: home, nat: true, relays: [gw1.fra], generation: 1, keys: {{1: "{B}", 2: "{C}"}}, retire: {{1: 2026-12-01}}}}
foreign:
  partner: {{number: 70, public_key: "{D}", endpoint: "198.51.100.9:51820", allowed: [10.55.0.0/24], via: [gw1.fra], slots: {{gw1.fra: 3}}}}
links:
  - {{ends: [home-ann, gw1.fra], slots: [5, 0], generations: [1, 1], side: 0, next: {{generations: [2, 1]}}}}
departed: {{old-host: {{number: 5, left: 2026-11-23}}}}
"""  # noqa: E501


def refusals(text: str) -> list[tuple[str, str, str]]:
    """(key, origin, what is allowed) of each mistake."""
    with pytest.raises(BindError) as caught:
        parse_registry(text, "mesh/wan.yml")
    return [(problem.key, problem.origin, problem.allowed) for problem in caught.value.problems]


def test_it_reads_what_a_person_wrote():
    registry = parse_registry(TEXT, "wan.yml")
    ann, link = registry.members["home-ann"], registry.links["gw1.fra", "home-ann"]
    assert registry.header == "# The operator's own words.\n# Two lines of them.\n"
    assert (ann.number, ann.port, ann.nat, ann.newest, ann.retire) == (64, 51820, True, 2, {1: "2026-12-01"})
    # Ends are kept in alphabetical order, and what belongs to them turns with them.
    assert (link.ends, link.slots) == (("gw1.fra", "home-ann"), (0, 5))
    assert link.next and link.next.generations == (1, 2)
    assert registry.departed["old-host"].left == "2026-11-23"


def test_what_is_written_reads_the_same_and_is_written_the_same_again():
    registry = parse_registry(TEXT, "wan.yml")
    text = dump_registry(registry)
    assert text.startswith("# The operator's own words.\n# Two lines of them.\nschema: 1\n")
    assert parse_registry(text, "wan.yml") == registry
    assert dump_registry(parse_registry(text, "wan.yml")) == text


def test_one_line_per_member_and_link():
    registry = finished(do(small(preshared_keys=True), "rotate", host("db", 2), keep_until="2027-03-01")[0])
    registry = sealed(registry)
    lines = dump_registry(registry).splitlines()
    assert len([line for line in lines if line.startswith("  - {ends: ")]) == len(registry.links) == 6
    assert len([line for line in lines if re.match(r"  \w+: \{number", line)]) == len(registry.members) == 4
    assert parse_registry("\n".join(lines), "wan.yml") == parse_registry(dump_registry(registry), "wan.yml")


def test_names_that_yaml_takes_for_something_else():
    names = ("no", "1e3", "12", "0x10", "null", "1.5", "y", "2026-01-02", "a:b", "12:30:45", "~")
    hosts = [host(name) for name in names if name != "~"]
    registry = do(None, "join", *hosts)[0]
    assert parse_registry(dump_registry(registry), "wan.yml").members.keys() == registry.members.keys()


# (what in TEXT is replaced, by what, key that is refused, line, part of what is said to be allowed)
WRONG = [
    ("schema: 1", "schema: 2", "schema", 4, "newer version of the collection"),
    ("schema: 1\n", "", "schema", 1, "1"),
    ("mesh: wan", "mesh: overlong1", "mesh", 5, "up to 7 letters or digits"),
    ("mesh: wan", "mesh: 7", "mesh", 5, "up to 7 letters or digits"),
    ("regions:", "regoins:", "regoins", 7, "did you mean regions?"),
    ("settings: {", "settings: {keepalve: 5, ", "settings keepalve", 6, "did you mean keepalive?"),
    ("10.99.0.0/16", "10.99.1.0/16", "settings prefixes", 6, "without bits behind"),
    ("10.99.0.0/16", "10.99.0.0/31", "settings prefixes", 6, "1 to 30"),
    ("10.99.0.0/16", "10.99.0.64/26", "members home-ann number", 10, "1 to 62"),
    ("10.99.0.0/16", "10.99.0.64/26", "regions home", 7, "the prefixes end there"),
    ('"fd12:3456:789a::/48"', "10.98.0.0/16", "settings prefixes", 6, "one IPv4 network, one IPv6"),
    ("port: 51820}", "port: 65500}", "settings port", 6, "at most 65488"),
    ("port: 51820}", "port: 1, max_degree: 4}", "settings neighbours", 6, "at most max_degree 4"),
    ("port: 51820}", "mtu: 1200}", "settings mtu", 6, "which IPv6 needs"),
    ("number: 64", "number: 1", "members home-ann number", 10, "gw1.fra has this one"),
    ("number: 64", "number: 5", "departed old-host number", 15, "home-ann has this one"),
    ("number: 64", "number: 30", "members home-ann number", 10, "blocks of 64 that region home has"),
    ("number: 64", "number: 70000", "members home-ann number", 10, "1 to 65535"),
    ("number: 64", "number: 65535", "members home-ann number", 10, "1 to 65534"),
    ("number: 64", "number: '64'", "members home-ann number", 10, "a whole number"),
    ("number: 64, ", "", "members home-ann number", 10, "has to be there"),
    ("nat: true", "nat: perhaps", "members home-ann nat", 10, "true or false"),
    ("nat: true, ", "", "members home-ann endpoint", 10, "or nat: true"),
    ("nat: true", "nat: true, endpoint: 192.0.2.1", "members home-ann endpoint", 10, "behind NAT"),
    ("nat: true", "natt: true", "members home-ann natt", 10, "did you mean nat?"),
    ("[gw1.fra], generation", "[gw2.fra], generation", "members home-ann relays", 10, "not in the registry"),
    (", transit: true", "", "members home-ann relays", 10, "transit: true"),
    ('"203.0.113.7"', '"203.0.113.777"', "members gw1.fra endpoint", 9, "an address or a name"),
    ('"203.0.113.7"', '"127.0.0.1"', "members gw1.fra endpoint", 9, "other members can reach"),
    ("[203.0.113.0/24]", "[10.0.0.0/8]", "members gw1.fra underlay", 9, "the mesh would capture them"),
    ("transit: true", "transit: true, underlay_mtu: 1300", "members gw1.fra underlay_mtu", 9, "1340 or more"),
    (f'"{B}"', f'"{A}"', "members home-ann keys", 10, "gw1.fra (generation 1) has this one"),
    (f'"{D}"', f'"{B}"', "foreign partner public_key", 12, "home-ann (generation 1) has this one"),
    (f'"{B}"', '"secret"', "members home-ann keys", 10, "44 characters"),
    ("generation: 1,", "generation: 3,", "members home-ann generation", 10, "[1, 2]"),
    ("2026-12-01", "soon", "members home-ann retire", 10, "a date"),
    ("  home-ann: {number", "  gw1.fra: {number", "registry", 10, "YAML that can be read"),
    ("  home-ann: {number", "  home-ann: [number", "registry", 10, "YAML that can be read"),
    ("left: 2026-11-23", "left: 2026-11-32", "registry", 0, "YAML that can be read"),
    ("via: [gw1.fra]", "via: [gw9]", "foreign partner via", 12, "not in the registry"),
    ("gw1.fra: 3", "gw1.fra: 0", "foreign partner slots", 12, "has this one at gw1.fra"),
    ("{gw1.fra: 3}", "{}", "foreign partner slots", 12, "also of gw1.fra"),
    ("10.55.0.0/24", "10.99.5.0/24", "foreign partner allowed", 12, "outside the mesh's 10.99.0.0/16"),
    ("10.55.0.0/24", "203.0.113.0/28", "foreign partner allowed", 12, "in which gw1.fra is itself"),
    ("ends: [home-ann,", "ends: [home-bo,", "links gw1.fra – home-bo ends", 14, "not in the registry"),
    ("ends: [home-ann,", "ends: [gw1.fra,", "links 0 ends", 14, "two different members"),
    ("slots: [5, 0]", "slots: [5, 3]", "foreign partner slots", 12, "home-ann has this one at gw1.fra"),
    ("slots: [5, 0]", "slots: [24, 0]", "links gw1.fra – home-ann slots", 14, "0 to 23"),
    ("slots: [5, 0]", "slots: 5", "links 0 slots", 14, "two slots"),
    ("generations: [1, 1]", "generations: [3, 1]", "links gw1.fra – home-ann generations", 14, "[1, 2]"),
    ("{generations: [2, 1]}", "{generations: [4, 1]}", "links gw1.fra – home-ann generations", 14, "[1, 2]"),
    ("side: 0", "side: 2", "links 0 side", 14, "from 0 to 1"),
    ("side: 0", "sdie: 0", "links 0 sdie", 14, "did you mean side?"),
    ("side: 0", "old: {generations: [1, 1]}", "links gw1.fra – home-ann old", 14, "only one of both"),
    ("links:\n  - {ends", "links:\n  - [ends", "registry", 14, "YAML that can be read"),
    ("departed: {old-host", "departed: {gw1.fra", "departed gw1.fra", 15, "no member's"),
]


@pytest.mark.parametrize(("old", "new", "name", "line", "allowed"), WRONG)
def test_a_hand_that_slips_is_told_where(old, new, name, line, allowed):
    assert old in TEXT
    found = refusals(TEXT.replace(old, new, 1) if old not in ("2026-12-01",) else TEXT.replace(old, new))
    places = [(where, origin) for where, origin, words in found if allowed in words]
    assert (name, f"mesh/wan.yml:{line}" if line else "mesh/wan.yml") in places, found


@pytest.mark.parametrize(
    "text", ["", "just words", "[1, 2]", "42", "\x00", "a: b: c", "? [x]\n: y\nschema: 1"]
)
def test_what_is_no_registry_at_all(text):
    assert refusals(text)


@pytest.mark.parametrize("section", ["members", "links", "regions", "settings", "departed"])
@pytest.mark.parametrize("value", ["5", "[[]]", "{a: 5}", "{5: {}}", "text"])
def test_sections_of_a_wrong_kind(section, value):
    text = re.sub(rf"^{section}:.*\n(  .*\n)*", f"{section}: {value}\n", TEXT, flags=re.MULTILINE)
    assert all(origin.startswith("mesh/wan.yml:") for _key, origin, _allowed in refusals(text))


def test_both_ends_behind_nat_and_no_way_between_them():
    text = TEXT.replace('endpoint: "203.0.113.7", transit: true', "nat: true").replace(
        "[gw1.fra], gen", "[], gen"
    )
    assert [words for _key, _origin, words in refusals(text) if "both are behind NAT" in words]


def test_every_mistake_is_said_at_once():
    text = TEXT.replace("nat: true", "nat: 7").replace("side: 0", "side: 7").replace("port: 51820", "prot: 5")
    assert {name for name, _origin, _allowed in refusals(text)} == {
        "members home-ann nat",
        "links 0 side",
        "settings prot",
    }
