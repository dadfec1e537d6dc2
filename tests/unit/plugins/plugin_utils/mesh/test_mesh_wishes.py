# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory may say of a mesh."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.mesh import wishes
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.values import Wrong, networks


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("203.0.113.7", ("203.0.113.7", 0)),
        ("203.0.113.7:51820", ("203.0.113.7", 51820)),
        ("2001:db8::7", ("2001:db8::7", 0)),
        ("[2001:db8:0:0::7]", ("2001:db8::7", 0)),
        ("[2001:db8::7]:1", ("2001:db8::7", 1)),
        ("gw-1.example.org:65535", ("gw-1.example.org", 65535)),
        ("gw", ("gw", 0)),
    ],
)
def test_endpoints_are_taken_apart(value: str, parts: tuple[str, int]) -> None:
    assert wishes.split_endpoint(value) == parts
    assert wishes.mistakes_in_endpoint(value) == []


@pytest.mark.parametrize(
    "value",
    [
        "", ":1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "gw:", "gw:0", "gw:65536", "gw:x", "-gw", "a..b",
        "g w", "[::1", "[gw]:1", "2001:db8::g", "127.0.0.1", "0.0.0.0", "224.0.0.1", "169.254.1.1",
        "fe80::1", "::1", 7,
    ],
)  # fmt: skip
def test_endpoints_that_make_no_sense_are_refused(value: object) -> None:
    assert [found for found, _allowed in wishes.mistakes_in_endpoint(value)] == [value]


@pytest.mark.parametrize("value", ["wan", ["wan"], ["wan", "b2"], "a2345678"])
def test_names_of_meshes(value: object) -> None:
    assert wishes.mistakes_in_names(value) == []
    assert wishes.names_of(value) == ([value] if isinstance(value, str) else value)


@pytest.mark.parametrize(
    "value", ["Wan", "2wan", "a23456789", "w-n", 7, {"wan": 1}, ["wan", "wan"], ["wan", 3]]
)
def test_names_that_would_be_no_interface_are_refused(value: object) -> None:
    assert len(wishes.mistakes_in_names(value)) == 1


def test_no_name_is_no_mesh() -> None:
    assert wishes.names_of(None) == wishes.names_of("") == wishes.names_of([]) == []


def test_overrides_are_checked_key_by_key() -> None:
    value = {
        "lan": {"endpoint": "10.1.0.7", "transit": True, "port": None},
        "wan": {"enpoint": "x", "port": 0},
    }
    assert wishes.mistakes_in_overrides(value) == [
        ("wan: enpoint", "did you mean endpoint? one of " + ", ".join(wishes.OVERRIDES)),
        ("wan: port: 0", "1 to 65535"),
    ]
    assert [found for found, _allowed in wishes.mistakes_in_overrides({"WAN": {}, "lan": 3})] == [
        "WAN",
        "lan: 3",
    ]
    assert wishes.mistakes_in_overrides({"lan": {"settings": {"prefixes": ["10.98.0.0/16"]}}}) == []
    assert [found for found, _allowed in wishes.mistakes_in_overrides({"lan": {"settings": 3}})] == [
        "lan: settings: 3"
    ]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("port", [1, 65535], [0, 65536, True, "51820"]),
        ("region", ["fra", "fra-1.b_2"], ["", "fra 1", "-a", 3]),
        ("underlay_mtu", [1340, 1500, 9000], [1339, True, "1500"]),
        ("transit", [True, False], ["yes", 1]),
        ("relays", [[], ["gw1"]], ["gw1", [1], [""]]),
    ],
)
def test_what_a_member_is(key: str, good: list[object], bad: list[object]) -> None:
    check = wishes.validators()[f"mesh_{key}"]
    assert [check(value) for value in good] == [[]] * len(good)
    assert all(len(check(value)) == 1 for value in bad)


def test_waiting_for_confirmation_is_never_or_long_enough() -> None:
    assert [wishes.mistakes_in_seconds(value) for value in (0, 30, 3600)] == [[], [], []]
    assert all(wishes.mistakes_in_seconds(value) for value in (-1, 1, 29, 3601, True))


@pytest.mark.parametrize(
    "text", ["gw.example.org:51820\n", "gw.example.org: 51820", "gw.example.org:+5", "a:5_1"]
)
def test_the_port_of_an_endpoint_is_digits_alone(text: str) -> None:
    """It comes to stand in files that nodes run."""
    with pytest.raises(ValueError, match="port"):
        wishes.split_endpoint(text)


@pytest.mark.parametrize("text", ["fd00::%x\nPostUp = reboot/64", "fd00::1%$(reboot)/128"])
def test_networks_have_no_scope(text: str) -> None:
    with pytest.raises(Wrong):
        networks([text])
