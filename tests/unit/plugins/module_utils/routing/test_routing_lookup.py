# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of regions: the kernel's tables and rules, and what the module makes and says of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.routing.info import routes
from ansible_collections.swarm.node.plugins.module_utils.routing.lookup import clear, is_laid, lay
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import (
    conf_path,
    laid_path,
    priority,
    running_conf,
    slot,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.prepare import prepare, take_down
from ansible_collections.swarm.node.plugins.module_utils.routing.render import conf, prefixes_of
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import (
    Wish,
    peers,
    wishes_from,
)
from routing_cases import NEAR_AND_FAR, PREFIXES, SMALL, other, region, share
from routing_node import RoutingNode
from test_routing_node_program import put, tables

# -- tables and rules


class Kernel:
    """`ip`, as far as tables and rules go."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], set[str]] = {}
        self.rules: list[str] = []
        self.calls: list[str] = []
        self.broken = ""

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        words = list(argv)
        self.calls.append(" ".join(words))
        if words[0] != "ip":
            return Done(0, "", "")
        if words[2:] == ["-batch", "-"]:
            for line in data.splitlines():
                if self.broken and self.broken in line:
                    return Done(1, "", "RTNETLINK answers: Operation not permitted")
                self._line(line)
        elif words[2:4] == ["rule", "del"]:
            text = " ".join(words[4:])
            if text not in self.rules:
                return Done(2, "", "RTNETLINK answers: No such file or directory")
            self.rules.remove(text)
        elif words[1:3] == ["-N", "-j"]:
            return Done(0, json.dumps([self._shown(rule) for rule in self.rules]), "")
        elif words[1] == "-N":
            found = [one for (table, _p), many in self.routes.items() for one in many if table == words[-1]]
            return Done(0, "".join(f"{one}\n" for one in found if (":" in one) == (words[2] == "-6")), "")
        elif "table" in words:
            place = words[words.index("table") + 1], words[-1]
            keep = {one for one in self.routes.get(place, set()) if (":" in one) != (words[1] == "-6")}
            self.routes[place] = keep
        return Done(0, "", "")

    def _line(self, line: str) -> None:
        words = line.split()
        if words[0] == "rule":
            self.rules.append(" ".join(words[2:-2]))
            assert words[-2:] == ["protocol", "214"]
            return
        assert words[:2] == ["route", "replace"] and words[-2:] == ["metric", "4000"], line
        place = words[words.index("table") + 1], words[words.index("proto") + 1]
        self.routes.setdefault(place, set()).add(" ".join(words[2:4]))

    @staticmethod
    def _shown(rule: str) -> dict[str, Any]:
        _to, prefix, _lookup, table, _pref, at = rule.split()
        address, _slash, bits = prefix.partition("/")
        return {"priority": int(at), "src": "all", "dst": address, "dstlen": int(bits), "table": table}

    @property
    def empty(self) -> bool:
        return not self.rules and not any(self.routes.values())


TEXT = conf(Wish(share(*NEAR_AND_FAR, transit=True, **SMALL)), "x")


def test_what_is_made_and_taken_away() -> None:
    kernel = Kernel()
    lay(TEXT, kernel)
    assert kernel.routes == {
        ("104", "214"): {"throw 10.99.0.129/32", "throw fd5e:7a11:9c3d::81/128"},
        ("105", "214"): {"throw 10.99.0.128/26", "throw fd5e:7a11:9c3d::80/122"},
        ("106", "214"): {"unreachable 10.99.0.64/26", "unreachable fd5e:7a11:9c3d::40/122"},
    }
    assert kernel.rules == [
        "to 10.99.0.0/16 lookup 104 pref 30214",
        "to 10.99.0.0/16 lookup 105 pref 30215",
        "to fd5e:7a11:9c3d::/48 lookup 104 pref 30214",
        "to fd5e:7a11:9c3d::/48 lookup 105 pref 30215",
    ]
    assert is_laid(TEXT, kernel)
    gone = kernel.rules.pop()
    assert not is_laid(TEXT, kernel)
    kernel.rules += [gone, gone]
    kernel.routes["105", "42"] = {"10.99.0.128/26 via x"}
    clear(TEXT, kernel)
    assert kernel.empty and not is_laid(TEXT, kernel)


@pytest.mark.parametrize("text", [None, "", conf(Wish(share()), "x")])
def test_a_mesh_without_blocks_needs_nothing(text: str | None) -> None:
    kernel = Kernel()
    lay(text or "", kernel)
    clear(text, kernel)
    assert is_laid(text, kernel) and kernel.calls == []
    assert prefixes_of(TEXT) == list(PREFIXES), "not what goes to tables of its own"


@pytest.mark.parametrize("answer", ["no json", "{}", "[1]", '[{"dst": 5, "priority": "x"}]'])
def test_an_answer_that_makes_no_sense_is_no_rule(answer: str) -> None:
    assert not is_laid(TEXT, lambda argv, data="", timeout=60.0: Done(0, answer, ""))
    assert not is_laid(TEXT, lambda argv, data="", timeout=60.0: Done(1, "", "no"))


def test_a_start_clears_what_another_port_or_share_has_left(tmp_path: Path) -> None:
    kernel = Kernel()
    put(tmp_path, conf_path("wan"), TEXT)
    prepare(tmp_path, "wan", kernel)
    first = (list(kernel.rules), dict(kernel.routes))
    # Killed, and not cleared; then with another port, which has other tables; then below the limit.
    put(tmp_path, conf_path("wan"), conf(Wish(region(transit=True), 6700), "x"))
    prepare(tmp_path, "wan", kernel)
    assert {rule.split()[3] for rule in kernel.rules} == {"120", "121"}
    put(tmp_path, conf_path("wan"), TEXT)
    prepare(tmp_path, "wan", kernel)
    prepare(tmp_path, "wan", kernel)
    assert kernel.rules == first[0]
    put(tmp_path, conf_path("wan"), conf(Wish(share()), "x"))
    prepare(tmp_path, "wan", kernel)
    assert kernel.empty
    put(tmp_path, conf_path("wan"), TEXT)
    prepare(tmp_path, "wan", kernel)
    # The daemon's copy goes with its unit, also where what comes after its end was killed.
    (tmp_path / conf_path("wan")[1:]).unlink()
    (tmp_path / running_conf("wan")[1:]).unlink()
    take_down(tmp_path, "wan", kernel)
    assert kernel.empty and not (tmp_path / laid_path("wan")[1:]).exists()
    take_down(tmp_path, "wan", kernel)


def test_a_start_that_fails_half_way_leaves_what_its_end_takes_away(tmp_path: Path) -> None:
    kernel = Kernel()
    put(tmp_path, conf_path("wan"), TEXT)
    for broken in ("throw", "unreachable", "rule add", "::/48 lookup 105"):
        kernel.broken = broken
        with pytest.raises(NodeError, match="Operation not permitted"):
            prepare(tmp_path, "wan", kernel)
        take_down(tmp_path, "wan", kernel)
        assert kernel.empty, broken


def test_a_table_that_somebody_else_uses_is_named() -> None:
    kernel = Kernel()
    kernel.routes["105", "static"] = {"192.0.2.0/24 dev eth0"}
    with pytest.raises(NodeError, match=r"table 105 is somebody else's \(192\.0\.2\.0/24 dev eth0\)"):
        lay(TEXT, kernel)
    clear(TEXT, kernel)
    assert kernel.routes["105", "static"] and not kernel.rules


def test_no_two_meshes_share_a_table() -> None:
    found = [slot(port) for port in range(6696, 6720)]
    numbers = [number for one in found for number in (one.hosts, one.blocks, one.imported)]
    assert len(set(numbers)) == len(numbers) == 72 and min(numbers) >= 100 and max(numbers) < 200
    assert all(priority(one.hosts) < priority(one.blocks) < 32766 for one in found)
    two = {"wan": region(), "lab": other(own_blocks=(0,), other_blocks=(1,))}
    for port, good in ((6697, True), (6719, True), (6720, False), (6744, False)):
        _wishes, problems = wishes_from(two, [], {"lab": port}, "small", {"ports": "group all"})
        assert (problems == []) == good, port
        if not good:
            assert "multiple of 24" in problems[0].allowed and problems[0].origin == "group all"
    plain = {"wan": region(), "lab": other()}
    assert wishes_from(plain, [], {"lab": 6720}, "small", {})[1] == []


# -- the module, and what is said


@pytest.fixture
def node(tmp_path: Path) -> RoutingNode:
    return RoutingNode(tmp_path, region(transit=True))


def test_a_run_a_second_one_and_back_below_the_limit(node: RoutingNode) -> None:
    before = node.installed()
    node.good()
    assert "import-table 106" in str(node.text(running_conf("wan")))
    assert not node.good()["changed"]
    node.store(share(transit=True))
    made = node.good()
    assert [change["disruption"] for change in made["changes"] if change["key"] == "routing.daemon"] == [
        "perf"
    ]
    assert "table 10" not in str(node.text(running_conf("wan"))) and not node.good()["changed"]
    node.store(region(transit=True))
    node.good()
    node.good(state="absent")
    assert node.installed() == before and node.live()["units"] == []


def test_rules_that_somebody_took_away_are_made_again(node: RoutingNode) -> None:
    node.good()
    node.set(unruled=True)
    looked = node.good(check=True)
    assert [f"{change['key']} {change['target']}" for change in looked["changes"]] == ["routing.daemon wan"]
    assert looked["changes"][0]["before"]["running"] is False
    assert node.good()["changed"] and not node.good()["changed"]


def test_routes_of_blocks_are_said_with_their_numbers() -> None:
    found = region()
    known = tables(
        ("a", "10.99.0.128/26", "yes", 900, "wan-129"),
        ("b", "10.99.0.66/32", "yes", 800, "wan-66"),
        ("c", "10.99.0.0/26", "no", 65535, "wan-129"),
    )
    said = routes(found, known, {name: peer for peer in peers(found) for name in peer.interfaces})
    assert [(one["prefix"], one["number"], one["numbers"], one["via"], one["metric"]) for one in said] == [
        ("10.99.0.0/26", None, [0, 63], "node-129", None),
        ("10.99.0.66/32", 66, None, "node-66", 800),
        ("10.99.0.128/26", None, [128, 191], "node-129", 900),
    ]
