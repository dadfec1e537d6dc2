# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tunnels have to work after a change, and when the probe is content."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as other
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh import probe as probing
from ansible_collections.swarm.node.plugins.module_utils.mesh.ping import Target
from ansible_collections.swarm.node.plugins.module_utils.mesh.probe import Probe
from ansible_collections.swarm.node.plugins.module_utils.mesh.probe_checks import checks_of, is_fresh
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel

KEYS = {number: "A" * 41 + f"{number}A=" for number in range(10)}


def tunnel(number: int, peer: str = "", **options: Any) -> Tunnel:
    name = f"wan-{number}"
    return Tunnel(name, peer or f"peer{number}", number, 1, 51820, KEYS[number], "192.0.2.1:51820", **options)


SHARE = Share(
    "wan",
    "me",
    1,
    ("10.99.0.1/32", "fd12::1/128"),
    ("10.99.0.0/16", "fd12::/48"),
    (51820, 51867),
    tunnels=(tunnel(2), tunnel(3), tunnel(7, foreign=True, allowed_ips=("10.55.0.0/24",))),
    routes={"wan-2": ("10.99.0.2/32", "fd12::2/128", "10.99.0.64/26"), "wan-3": ("10.99.0.9/32",)},
)


@dataclass
class Net:
    """Answers everything but what is in `dead`; handshakes are `age` s old, but for interfaces in `mute`."""

    dead: set[str] = field(default_factory=set)
    mute: set[str] = field(default_factory=set)
    age: float = 10.0
    after: Optional[Callable[[int], None]] = None
    rounds: int = 0
    asked: list[list[Target]] = field(default_factory=list)

    def ping(self, targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
        self.rounds += 1
        self.asked.append(list(targets))
        if self.after:
            self.after(self.rounds)
        return {item.name: 0.0123 for item in targets if item.name not in self.dead}

    def wg(self, argv: Sequence[str], data: str = "", timeout: float = 60) -> Done:
        lines = []
        for item in SHARE.tunnels:
            seen = 0 if item.interface in self.mute else int(time.time() - self.age)
            lines.append(f"{item.interface}\tprivate\tpublic\t51820\toff")
            fields = (item.public_key, "(none)", "1.2.3.4:5", "0.0.0.0/0", seen, 0, 0, "off")
            lines.append("\t".join(map(str, (item.interface, *fields))))
        return Done(0, "\n".join(lines), "")

    def probe(self, worked: Sequence[str] = (), timeout: float = 0.3, **options: Any) -> dict[str, Any]:
        options = {
            "armed_at": None,
            "pinger": self.ping,
            "sleep": lambda seconds: time.sleep(0.02),
            **options,
        }
        found = Probe({"wan": SHARE}, self.wg, worked, **options).run(timeout)
        assert [item["interface"] for item in found] == ["wan-2", "wan-3", "wan-7"]
        return {item["interface"]: item for item in found}


ALL = [check.name for item in SHARE.tunnels for check in checks_of(SHARE, item)]


def test_what_there_is_to_check() -> None:
    checks = {check.name: check for item in SHARE.tunnels for check in checks_of(SHARE, item)}
    assert list(checks) == [
        "wan-2 handshake", "wan-2 link", "wan-2 full", "wan 2 10.99.0.2", "wan 2 fd12::2",
        "wan-3 handshake", "wan-3 link", "wan-3 full", "wan-7 handshake",
    ]  # fmt: skip
    assert checks["wan-2 link"].target == Target("wan-2 link", "fe80::2", "wan-2", size=56)
    assert checks["wan-2 full"].target == Target("wan-2 full", "fe80::2", "wan-2", size=1420 - 48)
    address = checks["wan 2 fd12::2"].target
    assert address == Target("wan 2 fd12::2", "fd12::2", "", "fd12::1")
    stimulus = checks["wan-7 handshake"].target
    assert stimulus and (stimulus.destination, stimulus.interface) == ("10.55.0.1", "wan-7")
    whole = checks_of(SHARE, tunnel(7, foreign=True))
    assert [check.target for check in whole] == [None], "0.0.0.0/0 names no host"


def test_all_answer() -> None:
    began = time.monotonic()
    net = Net()
    found = net.probe(ALL, timeout=15)
    assert time.monotonic() - began < 1 and net.rounds == 1
    assert found["wan-2"].pop("handshake_age") in (10, 11)
    assert found["wan-2"] == {
        "mesh": "wan",
        "interface": "wan-2",
        "peer": "peer2",
        "worked_before": True,
        "required": True,
        "sent": 1,
        "answered": 1,
        "rtt_ms": 12.3,
        "full_size": True,
        "address": True,
        "ok": True,
        "state": "ok",
        "missing": [],
    }
    foreign = found["wan-7"]
    assert foreign["full_size"] is None and foreign["address"] is None and foreign["state"] == "ok"
    assert foreign["sent"] == 0 and found["wan-3"]["address"] is None


@pytest.mark.parametrize(
    ("dead", "mute", "words"),
    [
        ({"wan-2 link", "wan-2 full"}, set(), ["the other end does not answer", "packets of the full MTU"]),
        ({"wan-2 full"}, set(), ["packets of the full MTU do not come back"]),
        ({"wan 2 10.99.0.2"}, set(), ["its mesh address does not answer"]),
        (set(), {"wan-2"}, ["no handshake"]),
    ],
)
def test_what_worked_before_has_to_work(dead: set[str], mute: set[str], words: list[str]) -> None:
    found = Net(dead, mute).probe(ALL)["wan-2"]
    assert found["state"] == "failed" and not found["ok"] and found["worked_before"]
    assert len(found["missing"]) == len(words)
    assert all(said.startswith(word) for said, word in zip(found["missing"], words))


def test_what_did_not_work_before_may_fail() -> None:
    dead = {name for name in ALL if name.startswith(("wan-3", "wan 3"))}
    worked = [name for name in ALL if name not in dead]
    found = Net(dead, {"wan-3"}).probe(worked)
    assert found["wan-3"]["state"] == "pending" and found["wan-3"]["ok"] and not found["wan-3"]["required"]
    assert found["wan-3"]["handshake_age"] is None and found["wan-3"]["rtt_ms"] is None
    assert found["wan-2"]["state"] == "ok"


def test_a_path_on_which_full_packets_never_came_through() -> None:
    worked = [name for name in ALL if name != "wan-2 full"]
    found = Net({"wan-2 full"}).probe(worked)["wan-2"]
    assert found["state"] == "ok" and found["full_size"] is False


def test_a_new_tunnel_that_answers_has_the_right_mtu() -> None:
    found = Net({"wan-2 full"}).probe([])["wan-2"]
    assert found["state"] == "failed" and not found["worked_before"]


def test_expected_peers_have_to_answer() -> None:
    dead = {"wan-3 link", "wan-3 full"}
    found = Net(dead).probe([], expect={"wan": ["peer3"]})
    assert found["wan-3"]["state"] == "failed" and found["wan-2"]["state"] == "ok"
    found = Net(mute={"wan-7"}).probe([], expect={"wan": ["peer7"]})
    assert found["wan-7"]["missing"] == ["no handshake"]


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ({"lan": []}, r"expect: 'lan' is refused; allowed: a mesh of this node \(wan\)"),
        ({"wan": ["peer2", "peer4"]}, r"expect wan: 'peer4' .*\(peer2, peer3, peer7\)"),
    ],
)
def test_expectations_that_make_no_sense(expect: dict[str, list[str]], words: str) -> None:
    with pytest.raises(BindError, match=words):
        Net().probe([], expect=expect)


def test_it_waits_for_those_that_have_to_work() -> None:
    net = Net({"wan-2 link", "wan-2 full"})
    net.after = lambda rounds: net.dead.clear() if rounds == 4 else None
    found = net.probe(ALL, timeout=15)
    assert net.rounds == 4 and found["wan-2"]["state"] == "ok"
    assert (found["wan-2"]["sent"], found["wan-2"]["answered"]) == (4, 1)
    assert (found["wan-3"]["sent"], found["wan-3"]["answered"]) == (4, 4)
    again = [target.name for target in net.asked[1]]
    assert "wan-3 link" in again and "wan-3 full" not in again, "what has passed is not asked again"


def test_it_gives_pending_tunnels_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PATIENCE", 0.2)
    net = Net({"wan-3 link", "wan-3 full"})
    began = time.monotonic()
    found = net.probe(timeout=15)
    assert 0.2 <= time.monotonic() - began < 2 and found["wan-3"]["state"] == "pending"
    net = Net({"wan-3 link", "wan-3 full"})
    net.after = lambda rounds: net.dead.clear() if rounds == 3 else None
    assert net.probe(timeout=15)["wan-3"]["state"] == "ok" and net.rounds == 3


def test_it_ends_at_the_timeout() -> None:
    began = time.monotonic()
    Net({"wan-2 link"}).probe(ALL, timeout=0.3)
    assert 0.3 <= time.monotonic() - began < 1


def test_a_node_without_tunnels() -> None:
    assert Probe({"wan": other(SHARE, tunnels=(), routes={})}, Net().wg).run(15) == []


@pytest.mark.parametrize(
    ("handshake", "armed_at", "fresh"),
    [(0, None, False), (0, 0.0, False), (999, None, True), (821, None, True), (820, None, False)]
    + [(820, 820.0, True), (820, 821.0, False), (500, 400.0, True)],
)
def test_fresh_handshakes(handshake: int, armed_at: Optional[float], fresh: bool) -> None:
    assert is_fresh(handshake, armed_at, 1000.0) is fresh


def test_where_wg_is_missing() -> None:
    net = Net()
    found = Probe({"wan": SHARE}, lambda *_: Done(127, "", "no such program"), pinger=net.ping).run(0.1)
    assert [item["handshake_age"] for item in found] == [None] * 3
    assert [item["state"] for item in found] == ["ok", "ok", "pending"]


def stored(root: Path) -> None:
    place = root / "etc/swarm_node/mesh/wan/share.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps(other(SHARE, keys={1: KEYS[1]}).as_data()))


def test_a_tunnel_that_lives_and_is_slow_to_answer_gets_a_second_look(tmp_path: Path) -> None:
    """What is missed before a change would not have to work after it."""
    stored(tmp_path)
    net = Net({"wan-2 link", "wan-2 full"}, after=lambda number: net.dead.clear() if number == 2 else None)
    assert set(ALL) <= set(probing.quick_look(tmp_path, net.wg, net.ping))
    assert net.rounds == 2


def test_a_tunnel_without_a_session_is_not_waited_for(tmp_path: Path) -> None:
    stored(tmp_path)
    net = Net({name for name in ALL if name.startswith("wan-3")}, mute={"wan-3"})
    assert "wan-3 link" not in probing.quick_look(tmp_path, net.wg, net.ping)
    assert net.rounds == 1


def test_the_quick_look_before_a_change(tmp_path: Path) -> None:
    net = Net({"wan-3 full"})
    assert probing.quick_look(tmp_path, net.wg, net.ping) == [] and net.rounds == 0, "a node without a mesh"
    stored(tmp_path)
    far = "wan distant 10.99.0.9"  # behind a neighbour
    assert probing.quick_look(tmp_path, net.wg, net.ping) == sorted({*ALL, far} - {"wan-3 full"})

    def refuse(targets: Sequence[Target], timeout: float) -> Mapping[str, float]:
        raise NodeError("no")

    found = probing.quick_look(tmp_path, net.wg, refuse)
    assert found == ["wan-2 handshake", "wan-3 handshake", "wan-7 handshake"]
