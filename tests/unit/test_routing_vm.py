# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trial on virtual machines, without any: what guests are told, what programs say, the agent itself."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.routing import cli, columns, trial
from benchmarks.routing.netlink import Change
from benchmarks.routing.scene import A, B, C, D, Scene
from benchmarks.routing.vm import links, mesh, probes, run, scene, steps
from benchmarks.routing.vm.links import Shape
from benchmarks.routing.vm.probes import GuestProber, Log
from benchmarks.routing.vm.scene import GuestLinks
from lab.errors import LabError
from lab.spec import node_set

UNDERLAY = {A: "10.79.0.11", B: "10.79.0.12", C: "10.79.0.13", D: "10.79.0.14"}
NUMBERS = {A: 64, B: 65, C: 66, D: 67}


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Shape(10), "netem limit 20000 delay 5ms rate 10gbit"),
        (Shape(10, loss=30), "netem limit 20000 delay 5ms loss 30% rate 10gbit"),
        (Shape(20, jitter=5), "netem limit 20000 delay 10ms 5ms rate 10gbit"),
        # 55 ms of 20 Mbit/s are 137,500 bytes.
        (Shape(10, rate=20, queue=50), "netem limit 93 delay 5ms rate 20mbit"),
    ],
)
def test_netem_gets_one_way(shape: Shape, words: str) -> None:
    assert shape.netem() == words


def test_each_peer_has_a_class_and_all_else_none() -> None:
    lines = links.lay("eth1", {"10.79.0.12": Shape(10), "10.79.0.13": Shape(20)}).splitlines()
    assert lines[1].startswith("tc qdisc add dev eth1 root handle 1: prio bands 3 priomap 0 0 0")
    assert "tc qdisc add dev eth1 parent 1:3 handle 30: netem limit 20000 delay 10ms rate 10gbit" in lines
    classes = [line.split("match ip dst ")[1] for line in lines if "u32" in line]
    assert classes == ["10.79.0.12/32 flowid 1:2", "10.79.0.13/32 flowid 1:3"]
    assert links.change("eth1", 1, Shape(120)) == (
        "qdisc change dev eth1 parent 1:3 handle 30: netem limit 20000 delay 60ms rate 10gbit"
    )


@pytest.mark.parametrize(
    ("pairs", "end"), [([(A, B)], A), ([(A, C), (B, C), (C, D)], C), ([(B, C), (B, D)], B), ([(C, D)], C)]
)
def test_links_are_cut_at_the_end_they_share(pairs: list[tuple[int, int]], end: int) -> None:
    assert links.shared_end(pairs) == end


def test_links_without_a_shared_end_are_not_cut_at_one_moment() -> None:
    with pytest.raises(ValueError, match="no node has all of these"):
        links.shared_end([(A, B), (C, D)])


class FakeAgent:
    """Notes what it is told."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.told: list[str] = []

    def run(self, words: list[str], data: str = "", timeout: float = 60) -> str:
        if words[0] == "ip":
            others = [NUMBERS[one] for one in NUMBERS if one != self.number]
            # That of the first is the second of its tunnels, as after a change of keys.
            return str([{"ifname": f"wan-{n}{'b' if n == 64 else ''}"} for n in others]).replace("'", '"')
        self.told.append(f"{' '.join(words)}: {data}")
        return ""

    def shell(self, script: str, timeout: float = 60) -> str:
        self.told.append(script)
        return "3\n4\n"


def fake_links() -> tuple[GuestLinks, dict[int, FakeAgent]]:
    fakes = {number: FakeAgent(number) for number in NUMBERS}
    made = GuestLinks(cast(Any, fakes), NUMBERS, UNDERLAY)
    for fake in fakes.values():
        assert len(fake.told) == 1 and fake.told.pop().count("netem") == 3
    return made, fakes


def test_the_direct_link_is_slow_at_both_ends() -> None:
    made, fakes = fake_links()
    made.round_trip((A, B), 120)
    assert [len(fakes[one].told) for one in (A, B, C, D)] == [1, 1, 0, 0]
    # B is the first of A's others, and A the first of B's.
    assert "parent 1:2 handle 20: netem limit 20000 delay 60ms" in fakes[A].told[0]
    assert "parent 1:2 handle 20: netem limit 20000 delay 60ms" in fakes[B].told[0]


def test_a_dead_relay_is_cut_in_one_command_and_opened_in_one() -> None:
    made, fakes = fake_links()
    made.shape(made.of(C), up=0)
    made.shape(made.of(C), up=1)
    assert [len(fakes[one].told) for one in (A, B, C, D)] == [0, 0, 2, 0]
    cut, opened = fakes[C].told
    assert "add element" in cut and all(UNDERLAY[one] in cut for one in (A, B, D))
    assert "delete element" in opened and UNDERLAY[C] not in cut


def test_a_shape_is_changed_and_the_rest_of_it_stays() -> None:
    made, fakes = fake_links()
    made.shape([(A, C)], jitter=5)
    made.shape([(A, C)], rate=20, queue=50)
    assert "delay 5ms 5ms rate 20mbit" in fakes[C].told[1]


def test_names_and_addresses_are_the_meshs() -> None:
    made, _ = fake_links()
    assert made.device(B, A) == "wan-64b" and made.device(A, C) == "wan-66"
    assert made.address(B) == "10.99.0.65"
    assert made.sent(C) == (7, 7)


LOG = """\
[1000.010] 10.99.0.65 : [0], 64 bytes, 10.0 ms (10.0 avg, 0% loss)
[1000.020] 10.99.0.65 : [1], 64 bytes, 10.0 ms (10.0 avg, 0% loss)
[1000.060] 10.99.0.65 : [4], 64 bytes, 20.0 ms (13.3 avg, 20% loss)
[1002.010] 10.99.0.65 : [2], timed out (13.3 avg, 25% loss)
ICMP Host Unreachable from 10.99.0.66 for ICMP Echo sent to 10.99.0.65
[1000.220] 10.99.0.65 : [5], 64 bytes, 20.0 ms (13.3 avg, 20% loss)
[1002.080] 10.99.0.65 : [6], timed out (13.3 avg, 25% loss)
"""


def test_what_fping_has_noted() -> None:
    log = Log()
    for start in range(0, len(LOG), 37):
        log.add(LOG[start : start + 37])
    found = log.probes()
    assert [probe.lost for probe in found] == [False, False, True, True, False, False, True]
    assert log.interval == pytest.approx(0.2 / 5)
    # The third was not noted at all, as there was no route; and the last is later than the one before it.
    assert [round(probe.sent - 1000, 3) for probe in found] == [0, 0.01, 0.02, 0.03, 0.04, 0.2, 0.24]
    assert log.late(0) == pytest.approx(0.12)
    assert log.late(1000.1) == 0.0


def test_nothing_noted_yet() -> None:
    log = Log()
    log.add("[1000.0] 10.99.0.65 : [0], timed")
    assert log.probes() == [] and log.late(0) == 0.0


def test_probes_are_told_by_the_clock_here() -> None:
    """The guest's clock is 900 s ahead of a monotonic clock that is past all of these probes."""
    offset = time.monotonic() - 10 - 1000
    texts = [LOG]

    def ask(do: str, **words: Any) -> dict[str, Any]:
        if do == "start":
            assert words["words"][:4] == ["fping", "-D", "-l", "-p"] and words["words"][-2:] == [
                "10.1",
                "10.2",
            ]
            return {"child": 0}
        assert (do, words["offset"]) in (("read", 0), ("read", len(LOG)))
        return {"text": texts.pop() if texts else "", "offset": len(LOG)}

    fake = SimpleNamespace(ask=ask, here=lambda there: there + offset)
    prober = GuestProber(cast(Any, fake), "10.1", "10.2")
    began = 1000 + offset
    assert prober.lost(began - 1, began + 1) == 3
    assert [round(one.sent - began, 3) for one in prober.between(began + 0.015, began + 0.1)] == [
        0.02,
        0.03,
        0.04,
    ]
    assert prober.round_trips() == pytest.approx([10, 10, 20, 20])
    assert prober.latest == pytest.approx(0.12)
    prober.latest = 0.0
    assert prober.latest == 0.0


def test_probes_that_nobody_answers_end_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_BEGIN", 0.1)
    text = "fping: can't malloc\n"

    def ask(do: str, **words: Any) -> dict[str, Any]:
        return {"child": 0} if do == "start" else {"text": text[words["offset"] :], "offset": len(text)}

    fake = SimpleNamespace(ask=ask, here=lambda there: there, name="vm-1")
    with pytest.raises(LabError, match=r"vm-1: nobody answers fping -D .*can't malloc"):
        GuestProber(cast(Any, fake), "10.1", "10.2")


def test_the_first_failure_of_a_playbook_is_said() -> None:
    output = "x" * 9000 + "[ERROR]: because\nfatal: [vm-1]" + "y" * 9000
    assert mesh.failures_in(output).startswith("[ERROR]: because\nfatal: [vm-1]")
    assert mesh.failures_in("x" * 9000 + "end") == ("x" * 9000 + "end")[-4000:]


def test_a_daemon_is_a_unit_and_drained_by_the_layers_own_table() -> None:
    fake = FakeAgent(C)
    daemon = scene.GuestDaemon(cast(Any, fake))
    daemon.stop()
    daemon.kill()
    daemon.drain()
    daemon.undrain()
    assert fake.told[0] == "systemctl stop swarm-node-routing@wan.service: "
    assert fake.told[1] == "systemctl kill -s KILL swarm-node-routing@wan.service: "
    assert 'iifname "wan-*" udp dport 6696 drop' in fake.told[2]
    assert "delete table inet swarm_node_deaf_wan" in fake.told[3] and "drop" not in fake.told[3]


class Still(Scene):
    """Routes that have changed at times that are known."""

    def __init__(self, *changes: tuple[float, str]) -> None:
        self.network = cast(Any, SimpleNamespace(device=lambda here, there: f"{here}-{there}"))
        self.watches = cast(
            Any,
            [SimpleNamespace(device=device, changes=[Change(at, device)]) for at, device in changes],
        )


def test_a_wait_counts_from_the_steps_beginning_to_the_last_change() -> None:
    now = time.monotonic()
    stage = Still((now - 1.0, "1-3"), (now - 0.5, "2-3"))
    assert stage.wait_via(C, 1, since=now - 3) == pytest.approx(2.5)
    assert stage.wait_not_direct(1, since=now - 3) == pytest.approx(2.5)
    # What was so before counts as at once; steadiness is waited for.
    assert stage.wait_via(C, 1, steady=0.05) == pytest.approx(0, abs=0.05)
    assert time.monotonic() - now >= 0.05
    assert stage.wait_via(D, 0.02) is None and stage.wait_via(B, 0.02) is None


def test_a_pass_cuts_the_direct_link_once_before_the_first_step_by_a_relay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    did: list[str] = []

    def noted(name: str, value: float = 1.0) -> trial.Step:
        def do(_: Scene) -> columns.Values:
            did.append(name)
            return {name: value}

        return do

    monkeypatch.setattr(trial, "CALM", 0.0)
    monkeypatch.setattr(columns, "start", noted("start_s"))
    monkeypatch.setattr(columns, "by_relay", noted("relay_settled_s"))
    stage = cast(Any, SimpleNamespace(prober=SimpleNamespace(latest=0.0)))
    chosen = {name: noted(name) for name in ("slow", "drain", "kill")}
    found = trial.walk(stage, chosen, ("drain", "kill"))
    assert did == ["start_s", "slow", "relay_settled_s", "drain", "kill"]
    assert list(found["values"]) == did and found["again"] == 0 and found["error"] == ""


def test_the_steps_are_those_that_can_be_named() -> None:
    known = list(steps.all_steps(cast(Any, None)))
    assert sorted(known) == sorted(cli.VM_STEPS)
    assert set(cli.VM_USUAL) < set(known)
    first = min(known.index(name) for name in steps.BY_RELAY)
    assert set(known[first:]) == set(steps.BY_RELAY)


def test_relays_forward_and_leaves_do_not() -> None:
    hosts = mesh.inventory()["all"]["hosts"]
    assert set(hosts) == {node.name for node in node_set("vm")}
    assert [name for name, words in hosts.items() if words.get("mesh_transit")] == ["vm-3", "vm-4"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--vm", "bird"], "--vm: the mesh is"),
        (["--vm", "--only", "x"], "still"),
        (["--only", "still"], "still; there"),
    ],
)
def test_bad_words_are_named(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(words)
    assert complaint in capsys.readouterr().err


def test_without_a_lab_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWARM_NODE_LAB", raising=False)
    with pytest.raises(LabError, match="with-lab routing:vm"):
        run.lab_name()
