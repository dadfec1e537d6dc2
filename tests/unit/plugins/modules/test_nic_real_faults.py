# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused, and deadlines, links and neighbours that fail, on devices of the real kernel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import module_runner
import pytest
from nic_real import REFUSAL, WISH, Namespace, labels, reasons, snapshot

pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=f"no namespaces with devices here: {REFUSAL}")


@pytest.fixture
def world(tmp_path: Path, collections_path: Path) -> Iterator[Namespace]:
    made = Namespace(tmp_path, collections_path)
    yield made
    made.close()


def test_what_the_kernel_says_is_what_ethtool_says(world):
    if not shutil.which("ethtool"):
        pytest.skip("there is no ethtool to compare with")
    made = world.module(interfaces={"v0": {"features": {"gro": True, "tso": False}, "channels": {"rx": 3}}})
    assert not made["unapplied"]
    said = world.sh("ethtool -k v0; ethtool -l v0")
    for line in ("generic-receive-offload: on", "tx-tcp-segmentation: off", "tx-tcp6-segmentation: off"):
        assert line in said
    assert said.split("Current hardware settings:")[1].split()[:2] == ["RX:", "3"]
    world.sh("ethtool -K v0 gro off; ethtool -L v0 rx 2")
    found = world.module(check=True, interfaces={"v0": {"features": {"gro": True}, "channels": {"rx": 3}}})
    assert labels(found)["nic.features.rx-gro v0"] is True and labels(found)["nic.channels.rx v0"] == 3


def test_a_number_above_what_it_takes_is_refused(world):
    made = world.module(interfaces={"v0": {"channels": {"rx": 5}}})
    assert made["failure_kind"] == "refused" and "0 to 4 (what v0 takes)" in made["msg"]


def test_an_operators_shaper_stays(world):
    world.sh(
        "tc qdisc add dev v0 root handle 1: htb default 1; "
        "tc class add dev v0 parent 1: classid 1:1 htb rate 1mbit"
    )
    made = world.module(interfaces={"v0": {"qdisc": "pfifo"}})
    assert reasons(made) == {"nic.qdisc": "managed_by"} and "htb" in made["unapplied"][0]["detail"]
    assert "htb" in world.sh("tc qdisc show dev v0")


def test_a_discipline_set_by_somebody_goes_back_to_its_kind(world):
    world.sh("tc qdisc replace dev v0 root pfifo limit 77")
    world.module(interfaces={"v0": {"qdisc": "mq+pfifo_fast"}})
    assert "mq 5a:" in world.sh("tc qdisc show dev v0")
    world.module(state="absent")
    assert world.sh("tc qdisc show dev v0").startswith("qdisc pfifo ")


def test_selectors_name_no_device_that_has_none(world):
    for selector in ("all", "default_route", "v9*", "*"):
        made = world.module(interfaces={selector: {"txqueuelen": 5}})
        assert not made["changed"], selector
    notes = world.module(interfaces={"default_route": {"txqueuelen": 5}})["notes"]
    assert notes == ["default_route names no device here: the default route goes through v0"]
    assert labels(world.module(interfaces={"driver:veth": {"txqueuelen": 5}})) == {"nic.txqueuelen v0": 5}


def test_without_the_capability_it_is_said(world):
    wish = {"v0": {"channels": {"rx": 2}, "features": {"gro": True}}}
    argv = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv")
    given = {
        "state_dir": str(world.base / "s"),
        "run_dir": str(world.base / "r"),
        "interfaces": wish,
        "persist": False,
    }
    done = subprocess.run(
        ["nsenter", "-n", "-m", "-t", str(world.holders[0].pid), *argv, sys.executable,
         module_runner.__file__, "nic", json.dumps(given)],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": str(world.collections)},
    )  # fmt: skip
    answer = json.loads(done.stdout.splitlines()[-1])
    assert set(reasons(answer).values()) == {"readonly"} and not answer["changed"]
    assert "CAP_NET_ADMIN" in answer["unapplied"][0]["detail"]


def test_a_read_only_sys_is_said(world):
    world.sh("mount -o remount,ro /sys")
    made = world.module(interfaces={"v0": {"txqueuelen": 5, "rps": "all"}})
    assert reasons(made) == {"nic.txqueuelen": "readonly", "nic.rps": "readonly"} and made["writes"] == 0
    world.sh("mount -o remount,rw /sys")


def test_the_node_takes_back_what_nobody_confirms(world):
    first = snapshot(world)
    made = world.module(interfaces={"v0": WISH}, confirm_seconds=10)
    assert made["armed"]["token"] == made["token"] and snapshot(world) != first
    world.until(lambda: snapshot(world) == first, 40)
    world.until(lambda: not (world.base / "state/nic/armed.json").exists())
    assert not (world.base / "state/nic.json").exists()
    late = world.module(state="confirmed", token=made["token"])
    assert late["failure_kind"] == "reverted"


def test_what_is_confirmed_stays(world):
    made = world.module(interfaces={"v0": WISH}, confirm_seconds=10)
    now = snapshot(world)
    assert world.module(state="confirmed", token=made["token"])["changed"]
    time.sleep(1.5)
    assert snapshot(world) == now and not (world.base / "run/nic-guard.pyz").exists()


def test_a_neighbour_that_answers_no_more_undoes_the_change(world):
    """The link stays up: nothing else can be seen to fail."""
    first = snapshot(world)
    deaf = "ip link set v1 arp off address 02:00:00:00:00:99"
    made = world.module(then=deaf, interfaces={"v0": {"channels": {"rx": 2}}}, link_timeout=3)
    assert made["failure_kind"] == "rolled_back", made
    assert "10.99.0.2 (a default gateway)" in made["msg"]
    assert snapshot(world) == first


def test_a_link_that_goes_down_with_the_change_undoes_it(world):
    first = snapshot(world)
    wish = {"v0": {"channels": {"rx": 2}}}
    made = world.module(then="ip link set v1 down", interfaces=wish, link_timeout=2, confirm_seconds=600)
    assert made["failure_kind"] == "rolled_back", made
    assert "the link of v0 did not come back within 2 s" in made["msg"]
    world.sh("ip link set v1 up", peer=True)
    assert snapshot(world) == first and not (world.base / "state/nic/armed.json").exists()


def oldest_python() -> str:
    """The oldest that nodes may have, where it is installed."""
    for name in ("python3.9", "/usr/bin/python3"):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    return sys.executable


def test_after_the_program_has_run_it_is_as_on_record(world):
    world.module(interfaces={"v0": WISH})
    held = snapshot(world)
    world.sh(
        "ip link set v0 txqueuelen 1000; tc qdisc del dev v0 root; "
        "echo 0 > /sys/class/net/v0/queues/rx-0/rps_cpus; echo 0 > /sys/class/net/v0/napi_defer_hard_irqs"
    )
    program = world.base / "program.pyz"
    environment = {**os.environ, "PYTHONPATH": str(world.collections)}
    text = subprocess.run(
        [sys.executable, "-c", "import sys\n"
         "from ansible_collections.swarm.node.plugins.module_utils.nic.program import program_text\n"
         "sys.stdout.buffer.write(program_text().encode('utf-8', 'surrogateescape'))"],
        capture_output=True, check=True, env=environment,
    ).stdout  # fmt: skip
    program.write_bytes(text)
    places = f"--state-dir {world.base}/state --run-dir {world.base}/run"
    interpreter = oldest_python()
    said = world.sh(f"{interpreter} -I {program} reapply {places}")
    assert "nic.txqueuelen of v0 set to 10000 (was 1000)" in said
    assert snapshot(world) == held
    assert "as recorded" in world.sh(f"{interpreter} -I {program} reapply {places}")
    assert "nothing is armed" in world.sh(f"{interpreter} -I {program} status {places}")
