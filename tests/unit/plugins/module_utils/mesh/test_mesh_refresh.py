# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of endpoints, looked up again where a peer is silent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.mesh.refresh import (
    Moved,
    find_moved,
    has_name,
    set_live,
    split_endpoint,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel

KEY = "A" * 42 + "A="


def share(*endpoints: str) -> Share:
    tunnels = tuple(
        Tunnel(f"wan-{number}", f"peer{number}", number, 1, 51820, KEY, endpoint)
        for number, endpoint in enumerate(endpoints, 2)
    )
    return Share("wan", "me", 1, (), (), (51820, 51867), tunnels=tunnels)


class Wg:
    """`wg` with one peer per interface: its endpoint and the age of its handshake, None for never."""

    def __init__(self, **interfaces: tuple[str, Any]) -> None:
        self.interfaces = {name.replace("_", "-"): value for name, value in interfaces.items()}
        self.set: list[list[str]] = []

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60) -> Done:
        if argv[1] == "set":
            self.set.append(list(argv[2:]))
            return Done(0, "", "")
        lines = []
        for name, (endpoint, age) in self.interfaces.items():
            seen = 0 if age is None else int(time.time() - age)
            lines.append(f"{name}\tprivate\tpublic\t51820\toff")
            lines.append("\t".join(map(str, (name, KEY, "(none)", endpoint, "::/0", seen, 0, 0, "off"))))
        return Done(0, "\n".join(lines), "")


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("a.example:1", True),
        ("gw1:51820", True),
        ("192.0.2.1:1", False),
        ("[2001:db8::1]:1", False),
        ("", False),
    ]
    + [("[fe80::1%eth0]:1", False)],
)
def test_what_is_a_name(endpoint: str, name: bool) -> None:
    assert has_name(endpoint) is name


def test_endpoints() -> None:
    assert split_endpoint("[2001:db8::1]:51820") == ("2001:db8::1", 51820)
    assert split_endpoint("a.example:7") == ("a.example", 7)


@pytest.mark.parametrize(
    ("live", "age", "addresses", "expected"),
    [
        ("192.0.2.1:51820", 200, ["192.0.2.2"], "192.0.2.2:51820"),
        ("192.0.2.1:51820", None, ["192.0.2.2", "192.0.2.3"], "192.0.2.2:51820"),
        ("(none)", None, ["2001:db8::2"], "[2001:db8::2]:51820"),
        ("192.0.2.1:51820", 200, ["192.0.2.9", "192.0.2.1"], None),
        ("192.0.2.1:51820", 134, ["192.0.2.2"], None),
        ("192.0.2.1:51820", 200, [], None),
        ("192.0.2.1:40000", 200, ["192.0.2.1"], "192.0.2.1:51820"),
    ],
)
def test_what_is_set(live: str, age: Any, addresses: list[str], expected: Any) -> None:
    wg, asked = Wg(wan_2=(live, age)), []

    def resolver(name: str) -> list[str]:
        asked.append(name)
        return addresses

    found = find_moved([share("home.example:51820")], wg, resolver)
    assert set_live(found, wg) == found
    if expected is None:
        assert found == [] and wg.set == []
    else:
        assert found == [Moved("wan-2", KEY, "home.example", expected)]
        assert wg.set == [["wan-2", "peer", KEY, "endpoint", expected]]
    assert asked == (["home.example"] if age != 134 else []), "a peer that answers is not asked for"


def test_addresses_are_left_alone() -> None:
    """Without a name not even WireGuard is asked."""

    def nobody(*_arguments: object, **_options: object) -> Any:
        raise AssertionError("asked")

    assert find_moved([share("192.0.2.1:51820", "")], nobody, nobody) == []
    wg = Wg(wan_2=("192.0.2.1:51820", 500), wan_3=("192.0.2.5:51820", 500))
    found = find_moved([share("192.0.2.1:51820", "b.example:51820")], wg, lambda name: ["192.0.2.6"])
    assert [item.interface for item in found] == ["wan-3"]


def test_a_peer_that_has_gone_meanwhile_is_not_made_again() -> None:
    found = [Moved("wan-2", KEY, "a", "192.0.2.2:1"), Moved("wan-3", "B" * 42 + "A=", "b", "192.0.2.3:1")]
    wg = Wg(wan_3=("192.0.2.1:51820", 500))
    assert set_live(found, wg) == [] and wg.set == []


def test_tunnels_that_are_not_live_are_passed_over() -> None:
    assert find_moved([share("a.example:1")], Wg(), lambda name: ["192.0.2.2"]) == []


def test_many_names_are_looked_up_at_once() -> None:
    names = [f"n{number}.example:51820" for number in range(8)]
    wg = Wg(**{f"wan_{number}": ("192.0.2.1:51820", 500) for number in range(2, 10)})

    def slow(name: str) -> list[str]:
        time.sleep(0.2)
        return ["192.0.2.2"]

    began = time.monotonic()
    assert len(find_moved([share(*names)], wg, slow)) == 8 and time.monotonic() - began < 1
