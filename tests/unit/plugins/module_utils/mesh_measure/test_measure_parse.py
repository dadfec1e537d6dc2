# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What irtt, iperf3 and fping print, of Debian 12 and 13; samples/ was captured from the real ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure import fping, iperf, irtt
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.irtt import BrokenOutput
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.model import (
    Probe,
    Transfer,
    job_from,
    with_port,
)
from ansible_collections.swarm.node.plugins.module_utils.mesh_measure.stats import quantile, summary

SAMPLES = Path(__file__).parent / "samples"
DEBIAN = ("debian12", "debian13")
PROBE = Probe("b", "127.0.0.1", 2112, "irtt", 10.0, 50.0, 1.0, 0.95)


def sample(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


# -- irtt


@pytest.mark.parametrize("debian", DEBIAN)
def test_irtt_is_read_with_losses_by_direction(debian: str) -> None:
    text = sample(f"irtt-{debian}.json")
    found = irtt.parse(text, PROBE)
    kinds = [trip["lost"] for trip in json.loads(text)["round_trips"]]
    # Each seventh was dropped on its way out, each ninth answer on its way back.
    assert kinds.count("true_up") >= 2 and kinds.count("true_down") >= 1
    assert found["sent"] == len(kinds) and found["received"] == kinds.count("false")
    unknown = kinds.count("true")
    assert found["loss"]["out"] == {"sent": len(kinds), "lost": kinds.count("true_up") + unknown}
    assert found["loss"]["back"] == {
        "sent": len(kinds) - kinds.count("true_up"),
        "lost": kinds.count("true_down") + unknown,
    }
    assert found["rtt"]["n"] == found["received"]
    assert 0 < found["rtt"]["p50"] <= found["rtt"]["p95"] <= found["rtt"]["max"] < 1000
    assert 0 < found["jitter"]["out"]["n"] < found["received"]


def test_what_is_above_the_limit_is_counted() -> None:
    strict = Probe("b", "127.0.0.1", 2112, "irtt", 10.0, 1e-6, 1e-9, 0.95)
    found = irtt.parse(sample("irtt-debian12.json"), strict)
    assert found["rtt"]["over"] == found["rtt"]["n"]
    assert found["jitter"]["back"]["over"] == found["jitter"]["back"]["n"]


def wrong(change: Any) -> str:
    data = copy.deepcopy(json.loads(sample("irtt-debian12.json")))
    change(data)
    return json.dumps(data)


def set_in(*path: Any, value: Any) -> Any:
    def change(data: Any) -> None:
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        set_in("version", "json_format", value=2),
        set_in("stats", "packets_sent", value=None),
        set_in("stats", "packets_sent", value=True),
        set_in("stats", "packets_sent", value=3),
        set_in("stats", "packets_received", value=1),
        set_in("round_trips", value={}),
        set_in("round_trips", 0, "lost", value="perhaps"),
        set_in("round_trips", 0, "delay", value={}),
        set_in("round_trips", 0, "delay", "rtt", value="fast"),
        set_in("round_trips", 1, "ipdv", "send", value=True),
        lambda data: data.pop("stats"),
        lambda data: data["round_trips"].pop(),
    ],
)
def test_irtt_of_another_kind_is_refused(change: Any) -> None:
    with pytest.raises(BrokenOutput, match="irtt"):
        irtt.parse(wrong(change), PROBE)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999])
def test_irtt_that_was_cut_off_is_refused(share: float) -> None:
    text = sample("irtt-debian13.json").rstrip()
    with pytest.raises(BrokenOutput):
        irtt.parse(text[: int(len(text) * share)], PROBE)


@pytest.mark.parametrize("text", ["[]", "null", "7", '{"version": 1}'])
def test_irtt_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(BrokenOutput):
        irtt.parse(text, PROBE)


@pytest.mark.parametrize("debian", DEBIAN)
def test_why_irtt_has_no_result(debian: str) -> None:
    assert irtt.why(1, sample(f"irtt-{debian}-silent.txt")) == "no answer from the server"
    assert irtt.why(1, sample(f"irtt-{debian}-refused.txt")).startswith("refused: no server at that port")
    assert irtt.why(2, "") == "irtt ended with 2: it said nothing"
    assert "no way there" in irtt.why(1, "Error: dial udp: connect: network is unreachable")


# -- iperf3


@pytest.mark.parametrize("debian", DEBIAN)
@pytest.mark.parametrize("back", [False, True])
def test_iperf3_is_read_in_both_directions(debian: str, back: bool) -> None:
    text = sample(f"iperf3-{debian}{'-back' if back else ''}.json")
    found = iperf.parse(text, back)
    assert found["mbit"] == pytest.approx(20, rel=0.1)
    assert found["seconds"] == pytest.approx(2, rel=0.1)
    assert found["retransmits"] in (0, 1, 2)
    with pytest.raises(BrokenOutput, match="it ran"):
        iperf.parse(text, not back)


@pytest.mark.parametrize("debian", DEBIAN)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("busy", "the server was busy with another test"),
        ("refused", "refused: no server at that port, or a firewall rejects it"),
        ("silent", "no answer from the server"),
        ("cut", "control socket has closed unexpectedly"),
    ],
)
def test_iperf3_says_why_not(debian: str, name: str, why: str) -> None:
    with pytest.raises(iperf.NoTransfer) as error:
        iperf.parse(sample(f"iperf3-{debian}-{name}.json"), False)
    assert iperf.why(error.value) == why


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_iperf3_that_was_cut_off_is_refused(share: float) -> None:
    text = sample("iperf3-debian13.json").rstrip()
    with pytest.raises(BrokenOutput):
        iperf.parse(text[: int(len(text) * share)], False)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("end", "sum_received"), {}),
        (("end", "sum_received", "bits_per_second"), None),
        (("end", "sum_received", "bits_per_second"), -1),
        (("end", "sum_received", "seconds"), 0),
        (("start", "test_start", "protocol"), "UDP"),
        (("start",), []),
    ],
)
def test_iperf3_of_another_kind_is_refused(path: tuple[str, ...], value: Any) -> None:
    data = json.loads(sample("iperf3-debian12.json"))
    set_in(*path, value=value)(data)
    with pytest.raises(BrokenOutput):
        iperf.parse(json.dumps(data), False)


@pytest.mark.parametrize("text", ["[]", "7", "{}"])
def test_iperf3_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(BrokenOutput):
        iperf.parse(text, False)


# -- fping


def fping_probe(address: str) -> Probe:
    return Probe(address, address, 1, "fping", 20.0, 0.05, 0.01, 0.95)


@pytest.mark.parametrize("debian", DEBIAN)
def test_fping_is_read(debian: str) -> None:
    probes = [fping_probe(address) for address in ("127.0.0.1", "127.0.0.3", "192.0.2.1")]
    found = fping.parse(sample(f"fping-{debian}.txt"), probes, 6)
    assert found["127.0.0.1"]["loss"] == {"both": {"sent": 6, "lost": 0}}
    assert found["127.0.0.1"]["rtt"]["n"] == 6 and found["127.0.0.1"]["jitter"]["both"]["n"] == 5
    off = found["192.0.2.1"]
    assert off["loss"] == {"both": {"sent": 6, "lost": 6}} and off["rtt"] is None
    assert off["jitter"] == {"both": None}


def test_a_gap_in_fpings_answers_is_no_jitter() -> None:
    found = fping.parse("10.99.0.2 : 1.00 - 3.00 3.50\n", [fping_probe("10.99.0.2")], 4)["10.99.0.2"]
    assert found["jitter"]["both"] | {"mean": 0} == {
        **dict.fromkeys(("value", "p50", "p95", "p99", "max"), 0.5),
        "n": 1,
        "over": 1,
        "mean": 0,
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1 : 0.018 0.015\n",
        "127.0.0.1 : 0.018 0.015 x\n",
        "127.0.0.2 : 0.018 0.015 0.020\n",
        "fping: cannot bind source address : Cannot assign requested address\n",
        "127.0.0.1 : xmt/rcv/%loss = 3/3/0%, min/avg/max = 0.020/0.031/0.034\n",
    ],
)
def test_fping_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(BrokenOutput, match="fping"):
        fping.parse(text, [fping_probe("127.0.0.1")], 3)


def test_many_members_fit_into_fpings_interval() -> None:
    addresses = [f"10.99.0.{number}" for number in range(1, 41)]
    line = fping.command(addresses, "10.99.0.99", 10.0, 330.0)
    assert line[line.index("-C") + 1] == "33000"
    assert float(line[line.index("-i") + 1]) * len(addresses) <= 10


# -- numbers


def test_quantiles_are_values_that_were_there() -> None:
    assert [quantile([1.0, 2.0, 3.0, 4.0], share) for share in (0.01, 0.25, 0.26, 0.95, 1.0)] == [
        1,
        1,
        2,
        4,
        4,
    ]
    assert summary([], 1.0, 0.5) is None
    found = summary([3.0, 1.0, 2.0], 2.0, 0.5)
    assert found is not None and (found["over"], found["value"], found["max"], found["mean"]) == (
        1,
        2.0,
        3.0,
        2.0,
    )


# -- how they are called


def test_every_program_is_bound_to_one_address() -> None:
    assert irtt.server("fd00::1", 2112, 60)[3] == "[fd00::1]:2112"
    assert irtt.server("10.99.0.1", 2112, 60)[3] == "10.99.0.1:2112"
    assert iperf.server("10.99.0.1", 2112) == ["iperf3", "-s", "-B", "10.99.0.1", "-p", "2112"]
    transfer = Transfer("b", "10.99.0.2", 2112, 0.0, 100.0, 3)
    line = iperf.client(transfer, "10.99.0.1", True)
    assert (
        "-R" in line
        and line[line.index("-b") + 1] == "100000000"
        and "-R" not in iperf.client(transfer, "x", False)
    )
    assert with_port("fd00::1", 0) == "[fd00::1]:0"


# -- jobs


def job(**more: Any) -> dict[str, Any]:
    probe = {
        "name": "b",
        "address": "10.99.0.2",
        "port": 2112,
        "tool": "irtt",
        "interval_ms": 10,
        "latency_ms": 50,
        "jitter_ms": 1,
        "share": 0.95,
    }
    transfer = {"name": "b", "address": "10.99.0.2", "port": 2112, "at": 9, "mbit": 10, "seconds": 3}
    data: dict[str, Any] = {"start": 5.0, "window": 30, "end": 60, "late": 3}
    data.update(probes=[probe], transfers=[transfer])
    for key, value in more.items():
        part, _dot, field = key.partition("__")
        if field:
            data[part][0][field] = value
        else:
            data[part] = value
    return data


def test_a_job_goes_there_and_back() -> None:
    found = job_from(job())
    assert found.probes[0].address == "10.99.0.2" and found.transfers[0].seconds == 3
    assert (
        job_from(found.as_data() | {"probes": list(job()["probes"]), "transfers": job()["transfers"]})
        == found
    )


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"window": 0}, "window"),
        ({"window": "30"}, "window"),
        ({"start": -1}, "start"),
        ({"end": None}, "end"),
        ({"probes": {}}, "probes"),
        ({"probes": [1]}, "probes"),
        ({"probes__address": "0.0.0.0"}, "address"),
        ({"probes__address": "::"}, "address"),
        ({"probes__address": "-h"}, "address"),
        ({"probes__address": "gw1.fra"}, "address"),
        ({"probes__tool": "iperf3"}, "tool"),
        ({"probes__port": 0}, "port"),
        ({"probes__interval_ms": 0}, "interval_ms"),
        ({"probes__share": 1.5}, "share"),
        ({"transfers__seconds": 600}, "seconds"),
        ({"transfers__mbit": True}, "mbit"),
        ({"probes": job()["probes"] * 2}, "probes"),
    ],
)
def test_a_wrong_job_is_refused_with_key_and_value(more: dict[str, Any], key: str) -> None:
    with pytest.raises(BindError) as error:
        job_from(job(**more))
    assert [problem.key for problem in error.value.problems] == [key]
    assert all(problem.allowed and problem.origin for problem in error.value.problems)
