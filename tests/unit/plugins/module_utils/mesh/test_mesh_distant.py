# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members that are no neighbours: tried before a change, and they have to answer after it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh import probe as probing
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import Armed
from ansible_collections.swarm.node.plugins.module_utils.mesh.confirming import ProbeFailed, probe
from ansible_collections.swarm.node.plugins.module_utils.mesh.distant import (
    check_witnesses,
    sample,
    spread,
    still_there,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh.guard import Guard
from ansible_collections.swarm.node.plugins.module_utils.mesh.ping import Target
from ansible_collections.swarm.node.plugins.module_utils.mesh.probe import quick_look
from ansible_collections.swarm.node.plugins.module_utils.mesh.render import share_text
from mesh_cases import share, tunnel

FAR = tuple(f"10.99.0.{number}/32" for number in range(100, 130))
SHARE = share(
    tunnel(2),
    tunnel(3),
    routes={
        "wan-2": ("10.99.0.2/32", "fd12:3456:789a::2/128", *FAR, "10.99.4.0/26"),
        "wan-3": ("10.99.0.3/32", "fd12:3456:789a::9/128", "192.0.2.200/32"),
    },
)


def addresses(targets: Sequence[Target]) -> list[str]:
    return [target.destination for target in targets]


def test_a_bounded_sample_is_spread_over_all_host_routes() -> None:
    found = sample({"wan": SHARE}, {})
    assert len(found) == 8 and addresses(found)[0] == "10.99.0.100"
    assert addresses(found)[-1] == "fd12:3456:789a::9", (
        "both families, no neighbour, no network, no foreigner"
    )
    assert len({one // 8 for one in range(30) if f"10.99.0.{100 + one}" in addresses(found)}) == 4
    assert {target.source for target in found} == {"10.99.0.1", "fd12:3456:789a::1"}
    assert sample({"wan": share()}, {}) == []
    assert spread([("m", str(one)) for one in range(3)], 8) == [("m", "0"), ("m", "1"), ("m", "2")]


def test_witnesses_are_those_that_a_route_leads_to() -> None:
    told = {"wan": ["10.99.4.7", "10.99.9.9", "10.99.0.100"], "lab": ["10.1.0.1"]}
    found = sample({"wan": SHARE}, told)
    assert [target.name for target in found[8:]] == ["wan witness 10.99.4.7"]


def test_who_has_left_is_not_waited_for() -> None:
    worked = [target.name for target in sample({"wan": SHARE}, {"wan": ["10.99.4.7"]})]
    assert len(still_there(worked, {"wan": SHARE})) == 9
    # A network of a region that has the address in it does not bring back who has left.
    routes = {**SHARE.routes, "wan-2": ("10.99.0.2/32", *FAR[1:], "10.99.0.64/26", "10.99.4.0/26")}
    gone = addresses(still_there(worked, {"wan": replace(SHARE, routes=routes)}))
    assert "10.99.0.100" not in gone and "10.99.4.7" in gone and len(gone) == 8
    assert still_there(worked, {}) == []
    assert still_there(["wan-2 link", "wan 2 10.99.0.2"], {"wan": SHARE}) == []


@pytest.mark.parametrize("wrong", ["10.99.0.1", ["gw1"], ["10.0.0.1"] * 5, ["fe80::1%eth0"]])
def test_witnesses_that_make_no_sense(wrong: Any) -> None:
    with pytest.raises(BindError, match="witnesses wan"):
        check_witnesses({"wan": wrong})
    check_witnesses({"wan": ["10.99.0.1", "fd12::1"]})


class Net:
    """Answers for everybody but the dead."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.dead: set[str] = set()
        self.rounds: list[tuple[list[str], float]] = []
        self.until = 0
        self.store(SHARE)

    def store(self, found: Any) -> None:
        place = self.base / "etc/swarm_node/mesh/wan/share.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(share_text(found))

    def ping(self, targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
        self.rounds.append((addresses(targets), timeout))
        dead = self.dead if not self.until or len(self.rounds) < self.until else set()
        return {target.name: 0.02 for target in targets if target.destination not in dead}

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        return Done(0, "", "")

    def look(self) -> list[str]:
        return quick_look(self.base, self, self.ping, {"wan": ["10.99.4.7"]})

    def probe(self, worked: Sequence[str], timeout: float = 1.0) -> dict[str, Any]:
        guard = Guard(self.base, str(self.base / "state"), str(self.base / "run"), self)
        armed = Armed("t1", 1.0, "boot", 1.0, 100.0, {}, {}, tuple(worked))
        place = self.base / "state/mesh/armed.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(armed.to_text())
        return probe(guard, "t1", [], {}, timeout, self, self.ping)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Net:
    monkeypatch.setattr(probing, "PATIENCE", 0.0)
    return Net(tmp_path)


def test_a_wrong_relay_for_a_member_far_away_is_no_success(net: Net) -> None:
    """All neighbours answer; what was reached through one of them does not any more."""
    worked = net.look()
    assert {"wan witness 10.99.4.7", "wan distant 10.99.0.100"} <= set(worked)
    assert [timeout for _targets, timeout in net.rounds] == [probing.FAR] and probing.FAR <= 1.0
    assert [item["ok"] for item in net.probe(worked)["distant"]] == [True] * 9
    net.dead = {"10.99.0.100", "10.99.4.7"}
    with pytest.raises(ProbeFailed, match="answered before the change and do not now") as failed:
        net.probe(worked)
    assert "10.99.0.100" in str(failed.value) and "tunnels do not work" not in str(failed.value)
    lost = [item["address"] for item in failed.value.found["distant"] if not item["ok"]]
    assert sorted(lost) == ["10.99.0.100", "10.99.4.7"]
    json.dumps(failed.value.found)


def test_what_did_not_answer_before_is_not_waited_for(net: Net) -> None:
    net.dead = {"10.99.0.100"}
    worked = net.look()
    assert "wan distant 10.99.0.100" not in worked
    assert "10.99.0.100" not in [item["address"] for item in net.probe(worked)["distant"]]


def test_a_member_that_is_changed_itself_is_tried_until_it_answers(net: Net) -> None:
    worked = net.look()
    net.rounds.clear()
    net.dead, net.until = {"10.99.0.100"}, 3
    assert all(item["ok"] for item in net.probe(worked, timeout=5.0)["distant"])
    assert len(net.rounds) == 3 and net.rounds[-1][0].count("10.99.0.100") == 1


def test_neighbours_alone_are_looked_at_as_quickly_as_before(net: Net) -> None:
    net.store(share())
    assert quick_look(net.base, net, net.ping)
    assert [timeout for _targets, timeout in net.rounds] == [probing.QUICK]
