# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving back on nodes that are not as they should be."""

from __future__ import annotations

from .conftest import H100, Lab

ARP_IGNORE = "/proc/sys/net/ipv4/conf/all/arp_ignore"


def test_a_monitor_does_not_keep_what_we_were_told_to_manage(lab: Lab) -> None:
    lab.forget()
    lab.sh(H100, "cp /bin/sleep /tmp/nv-hostengine && systemd-run --unit=hostengine /tmp/nv-hostengine 600")
    try:
        wishes = {"gpu_manage": "manage", "node_batches": ["100%"]}
        assert lab.optimize("--limit", H100, **wishes).code == 0
        assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {630_000}
        run = lab.play("swarm.node.uninstall", "--limit", H100, gpu_manage="manage")
        assert run.code == 0, run.output
        assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {700_000}
    finally:
        lab.sh(H100, "systemctl stop hostengine; rm /tmp/nv-hostengine", check=False)
    assert lab.sh(H100, "ls /var/lib/swarm_node/*.json 2>&1 || true").endswith("No such file or directory\n")


def test_a_binding_of_the_operator_s_own_is_used(lab: Lab) -> None:
    lab.forget()
    assert lab.optimize("--limit", H100, node_batches=["100%"]).code == 0
    lab.sh(H100, "mkdir /opt/nv && mv /usr/lib/python3/dist-packages/pynvml.py /opt/nv/")
    try:
        run = lab.play("swarm.node.uninstall", "--limit", H100, gpu_pynvml_path="/opt/nv")
        assert run.code == 0, run.output
    finally:
        lab.sh(H100, "mv /opt/nv/pynvml.py /usr/lib/python3/dist-packages/ && rm -r /opt/nv")
    assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {700_000}


def test_without_the_driver_the_kernel_layer_is_given_back_all_the_same(lab: Lab) -> None:
    lab.forget()
    assert lab.optimize("--limit", H100, node_batches=["100%"]).code == 0
    assert lab.run(H100, "cat", ARP_IGNORE).strip() == "1"
    lab.run(H100, "nvml-sim", "driver", "unload")
    try:
        run = lab.play("swarm.node.uninstall", "--limit", H100)
        assert run.code != 0 and "driver is not loaded" in run.failure(H100)
    finally:
        lab.run(H100, "nvml-sim", "driver", "load")
    assert lab.run(H100, "cat", ARP_IGNORE).strip() == "0"
    assert lab.play("swarm.node.uninstall", "--limit", H100).code == 0


def test_what_disturbs_is_given_back_where_that_is_allowed(lab: Lab) -> None:
    lab.forget()
    disruption = {"node_max_disruption": "reboot", "node_batches": ["100%"]}
    wishes = {"gpu_ecc": {"1": False}, "gpu_mig": {"7": ["3g.40gb"]}, **disruption}
    assert lab.optimize("--limit", H100, **wishes).code == 0
    lab.reboot(H100)  # ECC takes effect, and the unit brings the layout back
    assert lab.gpus(H100)[1]["ecc"] == [0, 0] and lab.gpus(H100)[7]["mig_instances"]
    left_out = lab.play("swarm.node.uninstall", "--limit", H100)
    assert left_out.code == 0 and lab.gpus(H100)[7]["mig_instances"], left_out.output
    run = lab.play("swarm.node.uninstall", "--limit", H100, **disruption)
    assert run.code == 0, run.output
    assert lab.gpus(H100)[1]["ecc"] == [0, 1] and not lab.gpus(H100)[7]["mig_instances"]
    assert lab.sh(H100, "ls /var/lib/swarm_node/*.json 2>&1 || true").endswith("No such file or directory\n")
    lab.reboot(H100)


def test_layouts_are_given_back_although_the_settings_cannot_be(lab: Lab) -> None:
    lab.forget()
    disruption = {"node_max_disruption": "reboot", "node_batches": ["100%"]}
    assert lab.optimize("--limit", H100, gpu_mig={"7": ["3g.40gb"]}, **disruption).code == 0
    lab.run(H100, "nvml-sim", "inject", "nvmlDeviceSetPowerManagementLimit", "UNKNOWN")
    try:
        run = lab.play("swarm.node.uninstall", "--limit", H100, **disruption)
        assert run.code != 0 and not lab.gpus(H100)[7]["mig_instances"], run.output
    finally:
        lab.run(H100, "nvml-sim", "clear")
    assert lab.play("swarm.node.uninstall", "--limit", H100, **disruption).code == 0
