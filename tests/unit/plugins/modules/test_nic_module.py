# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nic module on a node of files: what it changes, says, holds and gives back."""

from __future__ import annotations

import errno
import json

import nic_node
import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import MISSING, Done
from nic_node import FILES, WISH, NicNode, device, labels


@pytest.fixture
def node(tmp_path):
    return NicNode(tmp_path / "node")


def test_check_apply_again_and_away(node):
    first = node.live()
    planned = node.apply(check=True, interfaces=WISH)
    assert node.live() == first and not (node.base / "state").exists()
    made = node.apply(interfaces=WISH)
    assert made["changes"] == planned["changes"] and made["plan_digest"] == planned["plan_digest"]
    assert made["changed"] and not made["unapplied"]
    now = node.live()["eth0"]
    assert now["rings"]["now"]["rx"] == 8192 and now["channels"]["now"]["combined"] == 8
    assert now["files"]["sys/class/net/eth0/queues/rx-7/rps_cpus"] == "0000000f"
    assert now["files"]["sys/class/net/eth0/queues/tx-5/xps_cpus"] == "00000002"
    assert now["files"]["proc/irq/42/smp_affinity_list"] == "2"
    assert now["qdisc"] == ["mq", True, "fq"]
    assert node.installed() == FILES
    again = node.apply(interfaces=WISH)
    assert not again["changed"] and again["writes"] == 0 and again["armed"] is None
    gone = node.apply(state="absent")
    assert gone["changed"] and node.live() == first
    assert node.installed() == [] and node.record() is None
    last = node.apply(state="absent")
    assert not last["changed"] and last["writes"] == 0


def answering(node, routes):
    """The node's `ip` from now on; the words it is called with are put into a file."""
    run, asked = node.run, node.base / "asked"

    def ip(argv, *rest, **more):
        if argv[0] != "ip":
            return run(argv, *rest, **more)
        with asked.open("a") as stream:
            stream.write(" ".join(argv) + "\n")
        return routes

    node.run = ip
    return asked


def test_the_survey_tells_speeds_and_memory_and_asks_nobody_twice(node):
    (node.root / "proc/meminfo").write_text("MemFree: 5 kB\nMemTotal:        2048 kB\n")
    speed = node.root / "sys/class/net/eth0/speed"
    assert "survey" not in node.apply()
    told = {"25000\n": 25000, "-1\n": None, "65535\n": None, "4294967295\n": None, "\n": None}
    for text, number in told.items():
        speed.write_text(text)
        made = node.apply(survey=True)
        assert made["survey"]["devices"] == {"eth0": number}
        assert made["survey"]["memory"] == 2048 * 1024 and made["survey"]["page_size"] >= 4096
        assert not made["changed"] and made["writes"] == 0
    speed.unlink()
    assert node.apply(survey=True, check=True)["survey"]["devices"] == {"eth0": None}
    asked = answering(node, Done(0, '[{"dst": "default", "dev": "eth0"}]', ""))
    node.apply(survey=True, interfaces={"default_route": {"txqueuelen": 7}}, check=True)
    assert len(asked.read_text().splitlines()) == 2


def test_a_survey_of_a_node_without_default_route_or_without_ip_says_why(node):
    answering(node, Done(0, "[]", ""))
    survey = node.apply(survey=True)["survey"]
    assert survey["devices"] == {} and survey["beneath"] == "there is no default route"
    answering(node, Done(MISSING, "", "ip: not found"))
    survey = node.apply(survey=True)["survey"]
    assert survey["devices"] == {} and "ip: not found" in survey["beneath"]


def test_a_second_wish_takes_the_place_of_the_first(node):
    first = node.live()
    node.apply(interfaces=WISH)
    made = node.apply(interfaces={"eth0": {"rings": {"rx": 4096}}})
    assert labels(made)["rings.rx eth0"] == 4096 and labels(made)["rings.tx eth0"] == 512
    assert (
        set(node.record()) == {"nic.rings.rx eth0"}
        and node.record()["nic.rings.rx eth0"]["first_seen"] == 512
    )
    node.apply(state="absent")
    assert node.live() == first


def test_what_hangs_on_queues_outlives_a_change_of_their_number(node):
    hung = {"rps": "local", "rss": {"equal": 2}, "qdisc": "mq+fq"}
    node.apply(interfaces={"eth0": hung})
    made = node.apply(interfaces={"eth0": {**hung, "channels": {"combined": 8}}})
    assert labels(made) == {"channels.combined eth0": 8}
    now = node.live()["eth0"]
    assert now["files"]["sys/class/net/eth0/queues/rx-0/rps_cpus"] == "0000000f"
    assert now["files"]["sys/class/net/eth0/queues/rx-7/rps_cpus"] == "0000000f"
    assert now["rss"][:4] == [0, 1, 0, 1]
    assert not node.apply(interfaces={"eth0": {**hung, "channels": {"combined": 8}}})["changed"]


def test_interrupts_that_come_with_more_queues_get_cpus_of_their_own_at_once(tmp_path):
    node = NicNode(tmp_path / "node", eth0=device(irqs_follow=True))
    first = node.live()
    wish = {"eth0": {"channels": {"combined": 8}, "irq_affinity": "all"}}
    made = node.apply(interfaces=wish)
    files = node.live()["eth0"]["files"]
    assert [files[f"proc/irq/{40 + index}/smp_affinity_list"] for index in range(8)] == list("01234567")
    assert labels(made)["irq_affinity eth0"] == "0;1;2;3;4;5;6;7"
    again = node.apply(interfaces=wish)
    assert not again["changed"] and again["writes"] == 0
    fewer = node.apply(interfaces={"eth0": {"channels": {"combined": 2}, "irq_affinity": "all"}})
    assert list(labels(fewer)) == ["channels.combined eth0"], "the CPUs of those that are left stay"
    assert not node.apply(interfaces={"eth0": {"channels": {"combined": 2}, "irq_affinity": "all"}})[
        "changed"
    ]
    node.apply(state="absent")
    assert node.live() == first


def test_what_a_device_does_not_have_is_said_and_the_rest_is_set(tmp_path):
    body = device(refuses={"coalesce.rx-usecs": errno.EOPNOTSUPP}, keeps=["rx-lro"], no_qdisc=["fq"])
    node = NicNode(tmp_path / "node", eth0=body)
    asked = {
        "coalesce": {"rx-usecs": 9, "tx-usecs": 9},
        "features": {"lro": True, "gro": False, "rx-gro-hw": True},
        "rings": {"rx-mini": 8, "rx": 1024},
        "qdisc": "mq+fq",
    }
    made = node.apply(interfaces={"eth0": asked})
    found = {wish["key"]: (wish["reason"], wish["detail"]) for wish in made["unapplied"]}
    assert {key: reason for key, (reason, _detail) in found.items()} == {
        "nic.coalesce.rx-usecs": "unsupported",
        "nic.features.rx-lro": "unsupported",
        "nic.features.rx-gro-hw": "readonly",
        "nic.rings.rx-mini": "unsupported",
        "nic.qdisc": "unsupported",
    }
    assert "refuses it (Operation not supported)" in found["nic.coalesce.rx-usecs"][1]
    assert "leaves it off" in found["nic.features.rx-lro"][1]
    now = node.devices()["eth0"]
    assert now["coalesce"] == {"rx-usecs": 3, "tx-usecs": 9} and now["rings"]["now"]["rx"] == 1024
    assert now["features"]["rx-lro"] == [False, False, True], "no request stays behind"
    assert now["features"]["rx-gro"][0] is False and now["qdisc"] == ["mq", False, "fq_codel"]
    again = node.apply(interfaces={"eth0": asked})
    assert not again["changed"] and again["writes"] == 0, "what was refused is not tried again"
    assert len(again["unapplied"]) == 5
    node.reboot()
    node.put("eth0", {**node.devices()["eth0"], "faults": {}})
    after = node.apply(interfaces={"eth0": asked})
    assert labels(after)["coalesce.rx-usecs eth0"] == 9, "after a boot it is tried again"


def test_a_ring_that_the_driver_rounds_up(tmp_path):
    node = NicNode(tmp_path / "node", eth0=device(rounds=True))
    made = node.apply(interfaces={"eth0": {"rings": {"rx": 5000}}})
    assert made["after"] == {"nic.rings.rx eth0": 8192}
    assert "nic.rings.rx eth0: asked for 5000, the driver made it 8192" in made["notes"]
    again = node.apply(interfaces={"eth0": {"rings": {"rx": 5000}}})
    assert not again["changed"] and again["notes"] == ["nic.rings.rx eth0: ixgbe makes 8192 of 5000"]
    node.reboot()
    assert node.boot()[0].notes == ["nic.rings.rx eth0: asked for 5000, the driver made it 8192"]
    assert not node.boot()[0].changes
    assert not node.apply(interfaces={"eth0": {"rings": {"rx": 5000}}})["changed"]
    node.apply(state="absent")
    assert node.devices()["eth0"]["rings"]["now"]["rx"] == 512


def test_what_only_drivers_refuse_changes_no_second_run(tmp_path):
    node = NicNode(tmp_path / "node", eth0=device(no_qdisc=["fq"]), eth1=device())
    for wish in ({"eth0": {"qdisc": "fq"}}, {"eth0": {"qdisc": "fq"}, "eth1": {"txqueuelen": 5}}):
        node.apply(interfaces=wish)
        again = node.apply(interfaces=wish)
        assert not again["changed"] and again["writes"] == 0
    node.apply(state="absent")
    assert node.installed() == []


@pytest.mark.parametrize(
    "said",
    [
        "Error: Specified qdisc not found.\nWe have an error talking to the kernel\nCommand failed -:2",
        "RTNETLINK answers: No such file or directory",
        "Error: Specified qdisc kind is unknown.",
    ],
    ids=["kernels before 5.18", "without words of the kernel's", "since"],
)
def test_a_discipline_the_kernel_lacks_costs_nothing_else_whatever_the_kernel_says(tmp_path, said):
    node = NicNode(tmp_path / "node", eth0=device(no_qdisc=["fq"], no_qdisc_says=said))
    made = node.apply(interfaces={"eth0": {"qdisc": "mq+fq", "txqueuelen": 5}})
    assert [wish["reason"] for wish in made["unapplied"]] == ["unsupported"], made
    assert (node.net / "eth0/tx_queue_len").read_text() == "5\n"
    assert node.devices()["eth0"]["qdisc"] == ["mq", False, "fq_codel"]


def test_a_value_the_driver_rejects_undoes_all(tmp_path):
    node = NicNode(tmp_path / "node", eth0=device(refuses={"coalesce.rx-usecs": errno.ERANGE}))
    first = node.live()
    made = node.apply(interfaces=WISH)
    assert made["failed"] and made["failure_kind"] == "rolled_back" and not made["not_undone"]
    assert "nic.coalesce.rx-usecs of eth0: the driver rejects 50 (from task): Numerical result" in made["msg"]
    assert node.live() == first and node.installed() == [] and node.record() is None


def test_out_of_range_changes_nothing(node):
    first = node.live()
    made = node.apply(
        interfaces={"eth0": {"rings": {"rx": 9000}, "txqueuelen": 5}}, origins={"eth0": "group gpu"}
    )
    assert made["failure_kind"] == "refused"
    assert made["problems"][0]["origin"] == "group gpu" and "0 to 8192" in made["problems"][0]["allowed"]
    assert node.live() == first


def test_too_much_is_left_out(node):
    made = node.apply(interfaces=WISH, max_disruption="perf")
    left = {wish["key"]: wish["reason"] for wish in made["unapplied"]}
    assert left["nic.rings.rx"] == left["nic.channels.combined"] == "needs_more_disruption"
    assert node.devices()["eth0"]["rings"]["now"]["rx"] == 512
    assert labels(made)["txqueuelen eth0"] == 10000
    again = node.apply(interfaces=WISH, max_disruption="perf")
    assert not again["changed"] and again["writes"] == 0


def test_what_may_not_go_back_now_stays_on_record(node):
    first = node.live()
    node.apply(interfaces={"eth0": {"rings": {"rx": 1024}, "txqueuelen": 5}})
    record = node.record()
    made = node.apply(state="absent", max_disruption="perf")
    assert [(wish["key"], wish["reason"]) for wish in made["unapplied"]] == [
        ("nic.rings.rx", "needs_more_disruption")
    ]
    assert node.record() == {"nic.rings.rx eth0": record["nic.rings.rx eth0"]}
    assert node.installed() == FILES, "it is still to last"
    again = node.apply(state="absent", max_disruption="perf")
    assert not again["changed"] and again["writes"] == 0
    node.apply(state="absent")
    assert node.live() == first and node.record() is None and node.installed() == []


def test_a_device_that_is_not_in_use_may_be_set_up_anew(node):
    node.carrier("eth0", False)
    made = node.apply(interfaces={"eth0": {"rings": {"rx": 1024}}}, max_disruption="perf", confirm_seconds=60)
    assert labels(made) == {"rings.rx eth0": 1024} and made["armed"] is None


def test_required(node):
    made = node.apply(
        interfaces={"eth0": {"rings": {"rx-mini": 3}, "txqueuelen": 1}}, required=["rings.rx-mini"]
    )
    assert made["failure_kind"] == "required" and node.record() is None


def test_two_owners_cannot_have_one_key(node):
    node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    made = node.apply(owner="other", interfaces={"eth0": {"txqueuelen": 6, "rps": "local"}})
    assert made["failure_kind"] == "refused" and "'nic' holds it" in made["msg"]
    assert node.apply(owner="other", interfaces={"eth0": {"rps": "local"}})["changed"]
    node.apply(state="absent")
    assert node.installed() == FILES, "another owner's settings are still to last"
    node.apply(owner="other", state="absent")
    assert node.installed() == []


def test_report_and_freeze_change_nothing(node):
    for options in ({"manage": "report"}, {"freeze": "a measurement"}):
        made = node.apply(interfaces=WISH, **options)
        assert not made["changed"] and {wish["reason"] for wish in made["unapplied"]} <= {
            "managed_by",
            "frozen",
        }
        assert made["unapplied"] and not node.installed()
    assert not node.apply(interfaces=WISH, manage="none")["changed"]


def test_without_systemd_settings_are_made_and_do_not_last(tmp_path):
    node = NicNode(tmp_path / "node", systemd=False)
    made = node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    assert labels(made) == {"txqueuelen eth0": 5} and node.installed() == []
    assert [(wish["key"], wish["reason"]) for wish in made["unapplied"]] == [("nic.boot", "unsupported")]
    assert not node.apply(interfaces={"eth0": {"txqueuelen": 5}})["changed"]
    assert not node.apply(interfaces={"eth0": {"txqueuelen": 5}}, persist=False)["unapplied"]


def test_who_does_not_want_it_to_last_takes_nothing_from_others(node):
    node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    made = node.apply(owner="other", interfaces={"eth0": {"rps": "local"}}, persist=False)
    assert node.installed() == FILES and made["details"][0]["persistent"] is None
    assert node.apply(interfaces={"eth0": {"txqueuelen": 5}})["details"][0]["after_reboot"] == 5


def test_interrupts_nobody_has_asked_for_and_cpus_that_are_off_are_left_out(node):
    (node.root / "proc/irq/41/smp_affinity_list").unlink()
    (node.root / "sys/devices/system/cpu/online").write_text("0-1\n")
    made = node.apply(interfaces={"eth0": {"irq_affinity": "local", "rps": "local"}})
    assert made["after"] == {"nic.irq_affinity eth0": "0;1", "nic.rps eth0": "0-1"}
    found = [(node.root / f"proc/irq/{number}/smp_affinity_list").read_text() for number in (40, 42, 43)]
    assert found == ["0\n", "1\n", "0\n"]


def test_a_table_of_rss_that_somebody_made_comes_back(node):
    body = node.devices()["eth0"]
    node.put("eth0", {**body, "rss": [0, 0, 0, 1] * 4})
    made = node.apply(interfaces={"eth0": {"rss": {"equal": 3}}})
    assert made["before"] == {"nic.rss.equal eth0": [0, 0, 0, 1] * 4}
    assert node.devices()["eth0"]["rss"][:4] == [0, 1, 2, 0]
    node.apply(state="absent")
    assert node.devices()["eth0"]["rss"] == [0, 0, 0, 1] * 4


def test_a_device_that_goes_away_meanwhile_is_left_out_and_said(node):
    node.add("eth1", device())

    def pull() -> None:
        def touch(what: str) -> None:
            if what == "rings eth1":
                node.remove("eth1")

        setattr(nic_node, "touch", touch)  # noqa: B010

    made = node.apply(pull, interfaces={"all": {"rings": {"rx": 1024}}})
    assert made["failure_kind"] == "degraded" and made["degraded"] == ["eth1"]
    assert [wish["reason"] for wish in made["unapplied"]] == ["lost"]
    assert node.devices()["eth0"]["rings"]["now"]["rx"] == 1024
    node.add("eth1", device())
    assert node.apply(interfaces={"all": {"rings": {"rx": 1024}}})["changed"]
    node.apply(state="absent")
    assert node.devices()["eth1"]["rings"]["now"]["rx"] == 512


def test_missing_tc_is_said_in_check_mode_and_an_error_otherwise(node):
    def without() -> None:
        real = NicNode.run

        def run(self, argv, data="", timeout=60.0):
            return (
                Done(127, "", "tc: no such program") if argv[0] == "tc" else real(self, argv, data, timeout)
            )

        setattr(NicNode, "run", run)  # noqa: B010

    wish = {"eth0": {"qdisc": "fq", "txqueuelen": 5}}
    looked = node.apply(without, check=True, interfaces=wish)
    assert [wish["reason"] for wish in looked["unapplied"]] == ["not_installed"] and looked["changed"]
    made = node.apply(without, interfaces=wish)
    assert made["failure_kind"] == "unavailable" and "install iproute2" in made["msg"]
    assert node.apply(without, interfaces={"eth0": {"txqueuelen": 5}})["changed"], "nobody needs it then"


def test_a_record_that_is_damaged_is_not_guessed_at(node):
    node.apply(interfaces={"eth0": {"txqueuelen": 5}})
    path = node.base / "state/nic.json"
    path.write_text(json.dumps({"schema": 1, "layer": "nic", "claims": 3}))
    assert "damaged" in node.boot()[0].failed[0]


def test_a_run_without_changes_starts_the_same_few_processes_whatever_is_asked_for(node):
    node.apply(interfaces=WISH)
    counts = []
    for wish in (WISH, {"default_route": WISH["all"]}):
        layer = node.layer(wishes=_wishes(wish))
        asked: list[str] = []
        run = layer.reader.runner
        layer.reader.runner = lambda argv, data="", timeout=1.0, run=run, asked=asked: (
            asked.append(" ".join(argv)) or run(argv)
        )
        layer.read()
        counts.append(asked)
    assert counts[0] == ["tc -j qdisc show"]
    assert len(counts[1]) == 3


def _wishes(interfaces):
    from ansible_collections.swarm.node.plugins.module_utils.nic.wishes import wishes_from

    return wishes_from(interfaces, [], {})
