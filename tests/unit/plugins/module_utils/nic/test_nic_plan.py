# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan: what is asked of a device, what it has, and what becomes of it."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.nic.tuned import Tuned, Unit
from nic_cases import nic, plan, reasons, settings, state


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"rings": {"rx": "max", "tx": 1024}}, {"rings.rx": 8192, "rings.tx": 1024}),
        ({"rings": {"rx": ">=256", "tx": ">=2048"}}, {"rings.tx": 2048}),
        ({"rings": {"rx": ">=100000"}}, {"rings.rx": 8192}),
        ({"channels": {"combined": "cores"}}, {"channels.combined": 8}),
        ({"channels": {"combined": "max"}}, {"channels.combined": 16}),
        ({"coalesce": {"adaptive-rx": True, "tx-usecs": None}}, {"coalesce.adaptive-rx": True}),
        ({"coalesce": {"rx-usecs": 50}}, {"coalesce.rx-usecs": 50}),
        ({"features": {"gro": False}}, {"features.rx-gro": False}),
        ({"features": {"tso": False}},
         {"features.tx-tcp-segmentation": False, "features.tx-tcp6-segmentation": False}),
        ({"features": {"tso": True}}, {}),
        ({"rss": {"equal": 2}}, {"rss.equal": 2}),
        ({"rss": {"equal": "max"}}, {}),
        ({"rps": "local"}, {"rps": "0-7"}),
        ({"rps": "all", "xps": "off"}, {"rps": "0-15", "xps": "off"}),
        ({"xps": "local"}, {}),
        ({"xps": "0-3"}, {"xps": "0-3"}),
        ({"irq_affinity": "local"}, {"irq_affinity": "0;1;2;3;4;5;6;7"}),
        ({"irq_affinity": "6,7"}, {"irq_affinity": "6;7"}),
        ({"txqueuelen": 10000, "napi_defer_hard_irqs": 2}, {"txqueuelen": 10000, "napi_defer_hard_irqs": 2}),
        ({"qdisc": "mq+fq"}, {"qdisc": "mq+fq"}),
        ({"qdisc": "mq+fq_codel"}, {}),
        ({"qdisc": "default"}, {}),
        ({"channels": {"combined": 8}, "rss": {"equal": 8}, "xps": "local"},
         {"channels.combined": 8, "rss.equal": 8, "xps": "0;1;2;3;4;5;6;7"}),
        ({"channels": {"combined": 2}, "rss": {"equal": "max"}}, {"channels.combined": 2, "rss.equal": 2}),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_planned(asked, found):
    made = plan({"eth0": asked})
    assert settings(made) == {f"{name} eth0": value for name, value in found.items()}
    assert not made.unapplied


@pytest.mark.parametrize(
    ("asked", "key", "allowed"),
    [
        ({"rings": {"rx": 16384}}, "nic.rings.rx", "0 to 8192 (what eth0 takes), max, or '>=16384'"),
        ({"channels": {"combined": 17}}, "nic.channels.combined", "0 to 16"),
        ({"channels": {"combined": 0}}, "nic.channels.combined", "at least one rx or combined"),
        ({"rss": {"equal": 5}}, "nic.rss.equal", "1 to 4, the queues that eth0 has"),
        ({"rss": {"equal": 3}, "channels": {"combined": 2}}, "nic.rss.equal", "1 to 2"),
        ({"rps": "0-99"}, "nic.rps", "CPUs of this node that are online: 0-15"),
    ],
)
def test_what_no_device_can_do_is_refused(asked, key, allowed):
    with pytest.raises(BindError) as caught:
        plan({"eth0": asked})
    problem = caught.value.problems[0]
    assert (problem.key, problem.target, problem.origin) == (key, "eth0", "task")
    assert allowed in problem.allowed


def test_another_owners_key_is_refused():
    with pytest.raises(BindError, match="one owner; 'storage' holds it"):
        plan({"eth0": {"txqueuelen": 1}}, others={"nic.txqueuelen eth0": "storage"})


TUNED = Tuned("throughput", (Unit(("eth*",), {"rings.rx": "4096", "features.rx-gro": "on"}),))


@pytest.mark.parametrize(
    ("asked", "device", "node", "reason", "detail"),
    [
        ({"rings": {"rx": 1}}, nic(values={"rings.rx": None}), {}, "unsupported", "ixgbe has no rings.rx"),
        ({"rings": {"rx-mini": "max"}}, nic(), {}, "unsupported", "has no rings.rx-mini"),
        ({"coalesce": {"tx-frames": 1}}, nic(), {}, "unsupported", "has no coalesce.tx-frames"),
        ({"features": {"rx-gro-list": True}}, nic(), {}, "unsupported", "kernel has no feature rx-gro-list"),
        ({"gro_flush_timeout": 1}, nic(values={"gro_flush_timeout": None}), {}, "unsupported", "no /sys"),
        ({"features": {"rx-gro-hw": True}}, nic(), {}, "readonly", "fixed"),
        ({"txqueuelen": 1}, nic(locked={"txqueuelen": "a container"}), {}, "readonly", "a container"),
        ({"rings": {"rx": 1}}, nic(), {"may": False}, "readonly", "CAP_NET_ADMIN"),
        ({"qdisc": "fq"}, nic(foreign={"qdisc": "somebody has set htb"}), {}, "managed_by", "htb"),
        ({"irq_affinity": "local"}, nic(), {"irqbalance": "process 7"}, "managed_by", "irqbalance (proc"),
        ({"coalesce": {"rx-usecs": 9}}, nic(values={"coalesce.adaptive-rx": True}), {}, "managed_by", "adap"),
        ({"rings": {"rx": 1}}, nic(), {"tuned": TUNED}, "shadowed_by", "throughput (sets rings.rx to 4096)"),
        ({"rings": {"rx": 9}}, nic(refused={"rings.rx": (9, "no")}), {}, "unsupported", "no"),
        ({"qdisc": "fq"}, nic(), {"tc": False}, "not_installed", "iproute2"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(asked, device, node, reason, detail):
    made = plan({"eth0": asked}, state(device, **node))
    assert [(wish.reason, wish.target) for wish in made.unapplied] == [(reason, "eth0")]
    assert detail in made.unapplied[0].detail
    assert not made.changes and not made.claims


def test_what_is_so_already_needs_nobodys_leave():
    node = state(nic(locked={"txqueuelen": "x"}), may=False, irqbalance="process 7", tuned=TUNED)
    made = plan(
        {"eth0": {"txqueuelen": 1000, "rings": {"tx": 512}, "features": {"rx-gro-hw": False, "gro": True}}},
        node,
    )
    assert not made.unapplied and [change.key for change in made.changes] == ["record"]


def test_a_refused_value_is_not_asked_again_and_another_one_is():
    device = nic(refused={"rings.rx": (4096, "the driver refuses it")})
    assert reasons(plan({"eth0": {"rings": {"rx": 4096}}}, state(device))) == {"rings.rx eth0": "unsupported"}
    assert settings(plan({"eth0": {"rings": {"rx": 2048}}}, state(device))) == {"rings.rx eth0": 2048}


def test_adaptive_mode_that_ends_frees_what_it_moves():
    device = nic(values={"coalesce.adaptive-rx": True})
    made = plan({"eth0": {"coalesce": {"adaptive-rx": False, "rx-usecs": 9}}}, state(device))
    assert settings(made) == {"coalesce.adaptive-rx eth0": False, "coalesce.rx-usecs eth0": 9}
    assert made.changes[0].data["together"] == {
        "coalesce.adaptive-rx": [True, False],
        "coalesce.rx-usecs": [3, 9],
    }


def test_of_a_short_name_only_what_a_device_has_counts():
    made = plan({"eth0": {"features": {"tso": True}}})
    assert not made.unapplied, "tx-tcp-ecn-segmentation is fixed, the others are on"
    fixed = nic(fixed=frozenset(f"features.tx-{name}" for name in (
        "tcp-segmentation", "tcp-ecn-segmentation", "tcp6-segmentation")))  # fmt: skip
    made = plan({"eth0": {"features": {"tso": False}}}, state(fixed))
    assert reasons(made) == {}, "one of them is off already, which is what was asked for"
    on = nic(values={"features.tx-tcp-ecn-segmentation": True}, fixed=fixed.fixed)
    made = plan({"eth0": {"features": {"tso": False}}}, state(on))
    assert reasons(made) == {"features.tso eth0": "readonly"}


@pytest.mark.parametrize(
    ("driver", "in_use", "asked", "level", "risky"),
    [
        ("ixgbe", True, {"rings": {"rx": 1}}, "peer_jobs", True),
        ("ixgbe", True, {"channels": {"combined": 1}}, "peer_jobs", True),
        ("ixgbe", True, {"features": {"lro": True}}, "peer_jobs", True),
        ("ixgbe", True, {"features": {"gro": False}}, "perf", True),
        ("ixgbe", True, {"coalesce": {"rx-usecs": 1}}, "perf", True),
        ("ixgbe", False, {"rings": {"rx": 1}}, "perf", False),
        ("mlx5_core", True, {"rings": {"rx": 1}}, "perf", True),
        ("virtio_net", True, {"channels": {"combined": 1}}, "perf", True),
        ("ixgbe", True, {"txqueuelen": 1}, "perf", False),
        ("ixgbe", True, {"qdisc": "fq"}, "perf", False),
        ("ixgbe", True, {"rps": "local"}, "perf", False),
    ],
)
def test_what_a_change_disturbs(driver, in_use, asked, level, risky):
    change = plan({"eth0": asked}, state(nic(driver=driver, in_use=in_use))).changes[0]
    assert (change.disruption, change.data["risky"]) == (level, risky)


def test_queues_come_before_what_hangs_on_them_and_rss_before_fewer():
    asked = {
        "qdisc": "fq", "irq_affinity": "local", "rps": "local", "txqueuelen": 1, "rss": {"equal": 1},
        "features": {"lro": True}, "coalesce": {"rx-usecs": 1}, "rings": {"rx": 1},
        "channels": {"combined": 8},
    }  # fmt: skip
    order = [name.split(" ")[0].split(".")[0] for name in settings(plan({"eth0": asked}))]
    assert order == [
        "channels",
        "rings",
        "coalesce",
        "features",
        "rss",
        "txqueuelen",
        "rps",
        "irq_affinity",
        "qdisc",
    ]
    asked["channels"] = {"combined": 1}
    assert next(iter(settings(plan({"eth0": asked})))) == "rss.equal eth0"


def test_what_driver_may_forget_is_carried_over():
    node = state(nic(values={"rps": "0-7", "rss.equal": 2}))
    made = plan(
        {"eth0": {"channels": {"combined": 8}, "rps": "local", "rss": {"equal": 2}, "txqueuelen": 1}}, node
    )
    assert settings(made) == {"channels.combined eth0": 8, "txqueuelen eth0": 1}
    assert made.changes[0].data["carry"] == {"rps": ["0-7", "0-7"], "rss.equal": [2, 2]}


def test_more_queues_that_may_not_be_made_change_nothing_else():
    asked = {"channels": {"combined": 8}, "rss": {"equal": 8}, "xps": "local", "rps": "local"}
    made = plan({"eth0": asked}, max_disruption="perf")
    assert reasons(made) == {"rss.equal eth0": "needs_more_disruption"}
    assert settings(made) == {"channels.combined eth0": 8, "rps eth0": "0-7"}, (
        "the engine leaves the first out"
    )


def test_one_queue_has_no_use_for_mq():
    device = nic(values={"qdisc": "fq_codel"}, tx=1)
    assert settings(plan({"eth0": {"qdisc": "mq+fq"}}, state(device))) == {"qdisc eth0": "fq"}


def test_a_custom_table_of_rss_is_kept_for_its_return():
    made = plan({"eth0": {"rss": {"equal": 4}}}, state(nic(values={"rss.equal": [0, 0, 0, 1]})))
    assert made.changes[0].before == [0, 0, 0, 1]
    assert made.claims["nic.rss.equal eth0"] == Claim([0, 0, 0, 1], 4)


def test_what_an_operator_has_set_goes_back_as_a_kind():
    explicit = nic(values={"qdisc": "sfq"}, default_qdisc=False)
    change = plan({"eth0": {"qdisc": "fq"}}, state(explicit)).changes[0]
    assert (change.before, change.undo) == ("sfq", "to_default")
    change = plan({"eth0": {"qdisc": "fq"}}).changes[0]
    assert (change.before, change.undo, change.data["default_before"]) == ("mq+fq_codel", "exact", True)


def test_required_stays_required():
    made = plan({"eth0": {"rings": {"rx-mini": 1}}}, required=("nic.rings.rx-mini",))
    assert made.unapplied[0].required


def test_a_default_route_without_a_device_is_said():
    made = plan(
        {"default_route": {"txqueuelen": 1}}, state(nic(), beneath="the default route goes through wg0")
    )
    assert made.notes == ["default_route names no device here: the default route goes through wg0"]
    assert not made.changes


def test_a_device_has_an_entry_for_each_wish():
    made = plan({"eth0": {"rings": {"rx": ">=100", "tx": "max"}}})
    assert [(item["key"], item["wanted"], item["live"], item["owner"]) for item in made.details] == [
        ("nic.rings.rx eth0", ">=100", 512, None),
        ("nic.rings.tx eth0", "max", 512, None),
    ]
    assert made.before == {"nic.rings.rx eth0": 512, "nic.rings.tx eth0": 512}
    assert made.after == {"nic.rings.rx eth0": 512, "nic.rings.tx eth0": 8192}


def test_rss_over_fewer_queues_is_set_before_and_after_them():
    made = plan({"eth0": {"channels": {"combined": 2}, "rss": {"equal": 1}}})
    assert list(settings(made)) == ["rss.equal eth0", "channels.combined eth0"]
    assert made.changes[1].data["carry"] == {"rss.equal": [4, 1]}
