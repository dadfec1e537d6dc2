# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is asked for: a plan that is applied leaves nothing to do, and one given back leaves what was."""

from __future__ import annotations

from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nic_cases import LIMITS, VALUES, applied, nic, plan, state

quick = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)

counts = st.integers(0, 9000) | st.sampled_from(["max", ">=700", ">=20000"])
channels = st.integers(1, 18) | st.sampled_from(["max", "cores", ">=6"])
spots = st.sampled_from(["local", "all", "off", "0-3", "1,9"])
wishes: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "rings": st.fixed_dictionaries({}, optional={"rx": counts, "tx": counts, "rx-mini": counts}),
        "channels": st.fixed_dictionaries({}, optional={"combined": channels}),
        "coalesce": st.fixed_dictionaries(
            {},
            optional={"adaptive-rx": st.booleans(), "rx-usecs": st.integers(0, 50), "tx-frames": st.just(1)},
        ),
        "features": st.dictionaries(
            st.sampled_from(["gro", "lro", "tso", "rx", "rx-gro-hw", "rx-gro-list"]),
            st.booleans(),
            max_size=4,
        ),
        "rss": st.fixed_dictionaries({"equal": st.integers(1, 18) | st.just("max")}),
        "rps": spots,
        "xps": spots,
        "irq_affinity": spots.filter(lambda word: word != "off"),
        "txqueuelen": st.integers(0, 20000),
        "qdisc": st.sampled_from(["fq", "mq+fq", "fq_codel", "default", "noqueue"]),
    },
)
devices = st.builds(
    nic,
    driver=st.sampled_from(["ixgbe", "mlx5_core", ""]),
    values=st.fixed_dictionaries(
        {
            "rings.rx": st.sampled_from([256, 512, 8192, None]),
            "coalesce.adaptive-rx": st.booleans(),
            "qdisc": st.sampled_from(["mq+fq", "fq", "mq+fq_codel"]),
            "rps": st.sampled_from(["off", "0-7", "0;1"]),
        }
    ),
    in_use=st.booleans(),
    default_qdisc=st.booleans(),
)


def asked_for(wish, node, claims=None):
    try:
        return plan({"eth0": wish}, node, claims)
    except BindError as error:
        assert all(problem.allowed and problem.key for problem in error.problems)
        return None


@quick
@given(devices, wishes)
def test_a_second_run_has_nothing_to_do(device, wish):
    first = asked_for(wish, state(device))
    assume(first is not None)
    after = applied(device, first.changes)
    second = plan({"eth0": wish}, state(after), first.claims)
    assert [change.label for change in second.changes] == []
    assert second.claims == first.claims


@quick
@given(devices, wishes, wishes)
def test_what_is_given_back_is_as_it_was(device, one, other):
    node = state(device)
    claims: dict[str, Claim] = {}
    for wish in (one, other):
        made = asked_for(wish, node, claims)
        assume(made is not None)
        node, claims = state(applied(node.nics["eth0"], made.changes)), made.claims
    gone = plan({}, node, claims)
    back = applied(node.nics["eth0"], gone.changes)
    assert not gone.claims
    for key in {**one, **other}:
        names = [name for name in VALUES if name == key or name.startswith(f"{key}.")]
        for name in names:
            if name == "qdisc" and device.default_qdisc:
                assert back.default_qdisc, name
            elif name in device.values and not _moved_with_channels(name, one, other):
                assert back.values[name] == device.values[name], name


def _moved_with_channels(name: str, *asked: dict[str, Any]) -> bool:
    """What the model's driver forgets with its queues and nobody holds any more is the driver's matter."""
    return any("channels" in wish for wish in asked) and name in ("rps", "xps", "irq_affinity", "rss.equal")


@quick
@given(devices, wishes)
def test_no_value_is_above_what_the_device_takes(device, wish):
    made = asked_for(wish, state(device))
    assume(made is not None)
    for change in made.changes:
        name = change.data.get("name", "")
        if name.startswith(("rings.", "channels.")):
            assert 0 <= change.after <= LIMITS[name]
        if name in ("rps", "xps", "irq_affinity"):
            assert change.after == "off" or all(part for part in change.after.split(";"))


@quick
@given(devices, wishes)
def test_every_change_can_be_undone_and_put_down(device, wish):
    made = asked_for(wish, state(device))
    assume(made is not None)
    for change in made.changes:
        assert change.before != change.after
        assert change.key == "record" or change.data["name"]
