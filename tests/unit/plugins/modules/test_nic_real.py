# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nic module on devices of the real kernel, in network namespaces."""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.nic.ethtool import Ethtool
from nic_real import REFUSAL, WISH, Namespace, labels, reasons, snapshot

pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=f"no namespaces with devices here: {REFUSAL}")


@pytest.fixture
def world(tmp_path: Path, collections_path: Path) -> Iterator[Namespace]:
    made = Namespace(tmp_path, collections_path)
    yield made
    made.close()


def test_a_veth_from_end_to_end(world):
    first = snapshot(world)
    planned = world.module(check=True, interfaces={"v0": WISH})
    assert snapshot(world) == first
    made = world.module(interfaces={"v0": WISH})
    assert made["changed"] and made["changes"] == planned["changes"] and not made["unapplied"], made
    assert world.text("v0/queues/rx-1/rps_cpus") == world.text("v0/queues/rx-0/rps_cpus") != "0"
    assert world.sh("ls /sys/class/net/v0/queues").split() == ["rx-0", "rx-1", "tx-0", "tx-1"]
    assert world.text("v0/tx_queue_len") == "10000"
    kinds = [(item["kind"], item.get("parent")) for item in json.loads(world.sh("tc -j qdisc show dev v0"))]
    assert ("mq", None) in kinds and ("pfifo", "5a:1") in kinds and ("pfifo", "5a:2") in kinds
    again = world.module(interfaces={"v0": WISH})
    assert not again["changed"] and again["writes"] == 0
    gone = world.module(state="absent")
    assert gone["changed"] and snapshot(world) == first
    assert world.module(state="absent")["writes"] == 0


def test_what_a_veth_does_not_have(world):
    asked = {
        "rings": {"rx": "max"},
        "coalesce": {"rx-usecs": 5},
        "features": {"lro": True, "no-such-feature": True},
        "rss": {"equal": 2},
        "irq_affinity": "local",
        "qdisc": "fq_pie",
    }
    made = world.module(interfaces={"v0": asked})
    assert reasons(made) == {
        "nic.rings.rx": "unsupported",
        "nic.coalesce.rx-usecs": "unsupported",
        "nic.features.rx-lro": "readonly",
        "nic.features.no-such-feature": "unsupported",
        "nic.rss.equal": "unsupported",
        "nic.irq_affinity": "unsupported",
        **({"nic.qdisc": "unsupported"} if "nic.qdisc" in reasons(made) else {}),
    }
    assert world.module(interfaces={"v0": asked})["writes"] == 0


def test_an_error_of_the_kernels_names_the_device():
    """Of a node's many, one that answers EBUSY or EIO fails the run: somebody has to find it."""
    with pytest.raises(OSError, match="no-such-dev") as caught:
        Ethtool().rings("no-such-dev")
    assert caught.value.errno == errno.ENODEV


def test_coalescing_of_a_tap(world):
    made = world.module(interfaces={"tap0": {"coalesce": {"rx-frames": 8, "tx-frames": 8}}})
    assert labels(made) == {"nic.coalesce.rx-frames tap0": 8}, "tun has the one and not the other"
    assert reasons(made) == {"nic.coalesce.tx-frames": "unsupported"}
    again = world.module(interfaces={"tap0": {"coalesce": {"rx-frames": 8, "tx-frames": 8}}})
    assert again["writes"] == 0
    if shutil.which("ethtool"):
        assert re.search(r"^rx-frames:\s+8$", world.sh("ethtool -c tap0"), re.MULTILINE)
