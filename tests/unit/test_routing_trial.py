# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trial of routing daemons: what it reads, reckons and writes, without a daemon."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.routing import cli, report, trial
from benchmarks.routing.candidates import CANDIDATES, Candidate, variant
from benchmarks.routing.daemons import KINDS, neighbour_round_trips
from benchmarks.routing.netlink import Change, routes_in
from benchmarks.routing.network import Network
from benchmarks.routing.programs import RELEASES, cached
from benchmarks.routing.scale import graph
from benchmarks.routing.watch import RouteWatch

NEW, DELETE = 24, 25


def message(kind: int, destination: str, device: int, metric: int = 0, bits: int = 32) -> bytes:
    """A netlink message about an IPv4 route, as the kernel lays it out."""
    attributes = struct.pack("=HH4s", 8, 1, socket.inet_aton(destination))
    if device:
        attributes += struct.pack("=HHI", 8, 4, device)
    if metric:
        attributes += struct.pack("=HHI", 8, 6, metric)
    body = struct.pack("=8BI", socket.AF_INET, bits, 0, 0, 254, 42, 0, 1, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


TARGET = socket.inet_aton("10.99.0.3")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (message(NEW, "10.99.0.3", 7), [(True, 7)]),
        (message(DELETE, "10.99.0.3", 7), [(False, 7)]),
        (message(DELETE, "10.99.0.3", 7) + message(NEW, "10.99.0.3", 9), [(False, 7), (True, 9)]),
        (message(NEW, "10.99.0.3", 0), [(False, 0)]),
        (message(NEW, "10.99.0.4", 7), []),
        (message(NEW, "10.99.0.3", 7, metric=32), [(True, 7)]),
        (message(NEW, "10.99.0.3", 7, metric=4000), []),
        (message(NEW, "10.99.0.3", 7, bits=24), []),
        (message(16, "10.99.0.3", 7), []),
        (message(NEW, "10.99.0.3", 7)[:20], []),
        (b"", []),
    ],
    ids=[
        "new",
        "gone",
        "moved",
        "unreachable",
        "other",
        "daemon",
        "planned",
        "network",
        "link",
        "short",
        "empty",
    ],
)
def test_routes_in_the_kernels_messages(data: bytes, expected: list[tuple[bool, int]]) -> None:
    assert routes_in(data, TARGET) == expected


def test_a_move_is_a_change_of_device_and_not_a_moment_without_one() -> None:
    watch = object.__new__(RouteWatch)
    watch.changes = [
        Change(float(time), device) for time, device in enumerate([None, "a", None, "a", "b", None, "a"])
    ]
    assert [change.time for change in watch.moves(0)] == [4, 6]
    assert [change.time for change in watch.moves(5)] == [6]
    assert [change.time for change in watch.moves(0, 6)] == [4]
    assert watch.device == "a"


@pytest.mark.parametrize(
    ("values", "goal", "text"),
    [
        ([0.5], 0.65, "0.50"),
        ([0.3, 0.4, 0.6], 0.65, "0.40 / 0.60"),
        ([0.3, 0.4, 0.7], 0.65, "**0.40 / 0.70**"),
        ([0.65], 0.65, "0.65"),
        ([1.0, report.NEVER], 2, "**never**"),
        ([1.0, 1.0, report.NEVER], 2, "**1.00 / never**"),
        ([9.0], None, "9.00"),
        ([], 2, "–"),
    ],
)
def test_a_cell(values: list[float], goal: float | None, text: str) -> None:
    assert report.cell(values, report.Column("title", goal)) == text


def test_the_table_has_what_was_measured() -> None:
    found: dict[str, list[dict[str, Any]]] = {
        "one": [{"values": {"slow_left_s": 1.0, "drain_lost": 0}, "load": 1.0}] * 2,
        "two": [{"values": {"slow_left_s": None}, "load": 3.0}],
    }
    text = report.table(found)
    assert "| 10 → 120 ms: left after, s | ≤ 2 | 1.00 | **never** |" in text
    assert "| probes lost | ≤ 0 | 0 | – |" in text
    assert text.count("\n") == 5
    assert "Passes: one 2, two 1. Load average 1.0 to 3.0." in text


def test_a_variant_changes_what_is_said() -> None:
    made = variant("babeld-smooth", ["rxcost=400", "half-life=1", "releases=bookworm,trixie", "rtt_decay=64"])
    assert made.options == {**CANDIDATES["babeld-smooth"].options, "rxcost": "400", "rtt-decay": "64"}
    assert made.general == ("smoothing-half-life 1",)
    assert made.releases == ("bookworm", "trixie")
    assert variant("bird", ["rtt_decay=4"]).options["rtt decay"] == "4"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nobody"], "candidate nobody: there are"),
        (["babeld:rxcost"], "changes are option=value"),
        (["--only", "cost,weather"], "--only: weather; there are"),
        (["--scale", "500:6"], "8 to 60 nodes"),
        (["--scale", "20"], "N:K"),
    ],
)
def test_bad_words_are_named(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(words)
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(("count", "degree"), [(8, 3), (20, 6), (50, 6)])
def test_a_sparse_mesh_gives_every_leaf_two_hubs(count: int, degree: int) -> None:
    links, hubs = graph(count, degree, seed=3)
    assert graph(count, degree, seed=3) == (links, hubs)
    neighbours = {
        number: {a + b - number for a, b in links if number in (a, b)} for number in range(1, count + 1)
    }
    for number, near in neighbours.items():
        if number in hubs:
            assert near >= set(hubs) - {number}
        else:
            assert len(near & set(hubs)) == 2
            assert len(near) <= degree
    assert all(2 <= rtt <= 80 for rtt in links.values())


def text_of(candidate: Candidate, number: int, work: Path) -> str:
    """A node's configuration in a mesh of four; 3 and 4 forward."""
    network = SimpleNamespace(
        address=Network.address,
        devices=lambda here: [f"w{here}x9"],
        forwarding=(3, 4),
        spaces=dict.fromkeys(range(5)),
    )
    kind = KINDS[candidate.daemon]
    return kind(cached("bookworm"), candidate, cast(Any, network), number, work).text()


def test_a_leaf_announces_itself_alone(tmp_path: Path) -> None:
    made = CANDIDATES["babeld"]
    leaf, hub = text_of(made, 1, tmp_path).splitlines(), text_of(made, 3, tmp_path).splitlines()
    assert [line for line in leaf if line.startswith(("in ", "out "))] == [
        "in ip 10.99.0.0/16 ge 32 metric 4000",
        "in deny",
        "out ip 10.99.0.2/32 eq 32 allow",
        "out deny",
    ]
    assert [line for line in hub if line.startswith(("in ", "out "))] == [
        "in ip 10.99.0.0/16 ge 32 allow",
        "in deny",
    ]
    assert "interface w1x9" in leaf
    assert "install ip 10.99.0.0/16 pref-src 10.99.0.4" in hub


FETCHED = [release for release in RELEASES if cached(release).root.is_dir()]


@pytest.mark.skipif(not FETCHED, reason="scripts/bootstrap fetches the daemons")
@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("name", [name for name, one in CANDIDATES.items() if one.daemon == "babeld"])
def test_babeld_understands_its_configuration(name: str, number: int, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(text_of(CANDIDATES[name], number, tmp_path))
    bad.write_text("no such word\n")
    for release in FETCHED:
        # The second file, which is read last, keeps it from starting.
        command = [*cached(release).command("babeld"), "-c", str(good), "-c", str(bad)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"from file {bad} (error at line" in done.stderr


@pytest.mark.skipif(not FETCHED, reason="scripts/bootstrap fetches the daemons")
@pytest.mark.parametrize("name", [name for name, one in CANDIDATES.items() if one.daemon == "bird"])
def test_bird_understands_its_configuration(name: str, tmp_path: Path) -> None:
    file = tmp_path / "bird.conf"
    file.write_text(text_of(CANDIDATES[name], 1, tmp_path))
    for release in CANDIDATES[name].releases:
        command = [*cached(release).command("bird"), "-p", "-c", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [name for name, one in CANDIDATES.items() if one.daemon == "bird"])
def test_birds_reckoning_does_not_overflow(name: str) -> None:
    """It multiplies cost and microseconds in 32 bits: beyond that a slow link looks cheap."""
    options = CANDIDATES[name].options
    span = 1000 * (int(options["rtt max"].split()[0]) - int(options["rtt min"].split()[0]))
    assert int(options["rtt cost"]) * span < 2**32


def test_round_trips_out_of_babelds_dump() -> None:
    lines = """\
add interface w1x2 up true ipv6 fe80::1 ipv4 10.99.0.2
add neighbour 5555776e1b50 address fe80::3 if w1x3 reach ffff ureach 0000 rxcost 900 txcost 900 rtt 10.336 rttcost 186 cost 1086
add neighbour 5555776e19c0 address fe80::2 if w1x2 reach 8000 ureach 0000 rxcost 65535 txcost 65535 cost 65535
add xroute 10.99.0.2/32-0.0.0.0/0 prefix 10.99.0.2/32 from 0.0.0.0/0 metric 0
add route 5555776e1d70 prefix 10.99.0.3/32 from 0.0.0.0/0 installed yes id d0:a6:3c:09:ce:e8:cc:ba metric 5086 refmetric 0 via fe80::2 if w1x2
""".splitlines()  # noqa: E501 (as babeld writes it)
    assert neighbour_round_trips(lines) == {"w1x3": 10.336}


def test_relays_have_ranks(tmp_path: Path) -> None:
    made = CANDIDATES["babeld"]
    costs = [
        line.split("rxcost ")[1].split()[0]
        for number in (1, 3, 4)
        for line in text_of(made, number, tmp_path).splitlines()
        if line.startswith("default ")
    ]
    assert costs == ["850", "850", "1150"]


@pytest.mark.parametrize(("late", "again"), [([0.0], 0), ([0.3, 0.0], 1), ([0.3] * 9, trial.ATTEMPTS - 1)])
def test_a_step_is_repeated_if_the_machine_stood_still(
    late: list[float], again: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "CALM", 0.0)
    stage = SimpleNamespace(prober=SimpleNamespace(latest=9.0))
    delays = iter(late)

    def step(on: Any) -> dict[str, float | None]:
        assert on.prober.latest == 0
        on.prober.latest = next(delays)
        return {"late": on.prober.latest}

    assert trial._step(cast(Any, stage), step) == ({"late": late[again]}, again)


def test_only_root_may(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main([]) == 2
    assert "need root" in capsys.readouterr().err
