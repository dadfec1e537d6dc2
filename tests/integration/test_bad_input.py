# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input and broken nodes on the lab: a clear message, nothing half done, and a rerun that converges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import CPU, H100, MIXED, Lab

DROP_IN = "/etc/sysctl.d/90-swarm-node-kernel.conf"
RECORD = "/var/lib/swarm_node/kernel.json"


@pytest.fixture(autouse=True)
def fresh(lab: Lab) -> Iterator[None]:
    """Each test starts from nodes without any setting of ours, with the packages there."""
    for node in (H100, MIXED):
        lab.run(node, "nvml-sim", "clear")
    lab.forget()
    yield


@pytest.fixture(scope="module", autouse=True)
def packages(lab: Lab) -> None:
    """The binding is installed once; these tests are about what comes after."""
    assert lab.optimize(node_batches=["100%"]).code == 0


def untouched(lab: Lab, node: str) -> bool:
    """No layer has written anything."""
    return "swarm-node" not in lab.sh(
        node, "ls /etc/sysctl.d /etc/tmpfiles.d; ls /var/lib/swarm_node/*.json 2>/dev/null || true"
    )


def test_refused_while_merging_touches_nothing(lab: Lab) -> None:
    run = lab.optimize(
        gpu_power_limit="80%",
        gpu_powr_limit=300,
        kernel_sysctl={"vm.swapiness": 10, "vm.swappiness": 900, "vm.overcommit_memory": 2},
    )
    assert run.code != 0
    assert all(host["round_trips"] == 0 for host in run.report["hosts"].values())
    assert "gpu_powr_limit" in run.output and "did you mean gpu_power_limit" in run.output

    run = lab.optimize(
        gpu_power_limit="80%",
        kernel_sysctl={"vm.swapiness": 10, "vm.swappiness": 900, "vm.overcommit_memory": 2},
    )
    message = run.failure(H100)
    for piece in (
        "80%",
        "%default",
        "vm.swapiness",
        "did you mean vm.swappiness",
        "900",
        "0 to 200",
        "extra vars",
    ):
        assert piece in message, piece
    assert all(host["writes"] == 0 for host in run.report["hosts"].values())


def test_one_layer_out_of_range_stops_the_node_before_any_layer_writes(lab: Lab) -> None:
    run = lab.optimize("--limit", H100, gpu_power_limit=9000)
    assert run.code != 0
    for piece in ("gpu_power_limit", "9000", "200-700 W", "H100", "extra vars"):
        assert piece in run.failure(H100)
    assert untouched(lab, H100)


def test_fewer_gpus_than_expected_plans_nothing_for_that_node_only(lab: Lab) -> None:
    expect = {"gpu": "H100 80GB HBM3", "count": 9}
    run = lab.optimize("--limit", f"{H100},{CPU}", node_expect=expect)
    assert run.code != 0
    assert "expected 9" in run.failure(H100) and "found 8" in run.failure(H100)
    assert untouched(lab, H100)
    # A node without any GPU does not have what is expected of it either.
    assert "9 × H100" in run.failure(CPU)


@pytest.mark.parametrize("selector", ["8", "GPU-00000000-dead-beef-0000-000000000000"])
def test_a_gpu_that_does_not_exist(lab: Lab, selector: str) -> None:
    run = lab.optimize("--limit", H100, gpu_power_limit={selector: 400})
    assert run.code != 0 and selector.lower() in run.failure(H100).lower()
    assert untouched(lab, H100)


def test_two_selectors_that_contradict_on_one_gpu(lab: Lab) -> None:
    uuid = lab.gpus(H100)[2]["uuid"]
    fine = lab.optimize("--limit", H100, "--check", gpu_power_limit={"2": 400, uuid: 500})
    assert fine.code == 0, "a UUID is more specific than an index"
    clash = lab.optimize("--limit", MIXED, gpu_power_limit={"L40S": 300, "NVIDIA L40S": 310})
    assert clash.code != 0
    assert "300" in clash.failure(MIXED) and "310" in clash.failure(MIXED)
    assert untouched(lab, MIXED)


def test_driver_not_loaded_is_never_green(lab: Lab) -> None:
    lab.run(H100, "nvml-sim", "driver", "unload")
    try:
        run = lab.optimize("--limit", f"{H100},{CPU}")
        assert run.code != 0 and "driver" in run.failure(H100).lower()
        assert untouched(lab, H100)
        assert run.host(CPU)["state"] == "changed"
    finally:
        lab.run(H100, "nvml-sim", "driver", "load")
    assert lab.optimize("--limit", H100).code == 0


def test_not_root_is_told_before_anything_changes(lab: Lab) -> None:
    run = lab.optimize("--limit", MIXED, ansible_become=False)
    assert run.code != 0, run.output
    assert "root" in run.failure(MIXED)
    assert untouched(lab, MIXED)


def test_a_gpu_lost_between_two_calls_is_left_out_and_the_others_are_kept(lab: Lab) -> None:
    lab.optimize("--limit", H100)
    uuid = lab.gpus(H100)[5]["uuid"]
    lab.run(H100, "nvml-sim", "inject", "nvmlDeviceSetPowerManagementLimit", "GPU_IS_LOST", "--gpu", "5")
    lab.run(H100, "nvml-sim", "inject", "nvmlDeviceSetPowerManagementLimit_v2", "GPU_IS_LOST", "--gpu", "5")
    run = lab.optimize("--limit", H100, gpu_power_limit=600)
    assert run.code != 0
    layer = run.layer(H100, "gpu")
    assert layer["degraded"] and uuid not in {change["target"] for change in layer["changes"]}
    assert [wish["reason"] for wish in layer["unapplied"]] == ["lost"]
    limits = [gpu["power_limit_mw"] for gpu in lab.gpus(H100)]
    assert limits == [600_000] * 5 + [630_000] + [600_000] * 2
    lab.run(H100, "nvml-sim", "clear")
    assert lab.optimize("--limit", H100, gpu_power_limit=600).code == 0
    assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {600_000}


def test_an_ordinary_refusal_rolls_the_layer_back(lab: Lab) -> None:
    lab.optimize("--limit", H100)
    for name in ("nvmlDeviceSetPowerManagementLimit", "nvmlDeviceSetPowerManagementLimit_v2"):
        lab.run(H100, "nvml-sim", "inject", name, "UNKNOWN", "--gpu", "6")
    run = lab.optimize("--limit", H100, gpu_power_limit=500)
    assert run.code != 0
    assert run.layer(H100, "gpu")["rolled_back"] and "undone" in run.failure(H100)
    assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {630_000}


def test_a_sysctl_the_kernel_rejects_is_not_kept_anywhere(lab: Lab) -> None:
    before = lab.run(CPU, "cat", "/proc/sys/net/ipv4/tcp_sack", "/proc/sys/net/ipv4/ip_local_port_range")
    wishes = {"net.ipv4.tcp_sack": 0, "net.ipv4.ip_local_port_range": [60000, 1000]}
    run = lab.optimize("--limit", CPU, node_profile="none", kernel_sysctl=wishes)
    assert run.code != 0
    for piece in ("net.ipv4.ip_local_port_range", "60000 1000", "extra vars", "undone"):
        assert piece in run.failure(CPU)
    after = lab.run(CPU, "cat", "/proc/sys/net/ipv4/tcp_sack", "/proc/sys/net/ipv4/ip_local_port_range")
    assert after == before and untouched(lab, CPU)


def test_a_required_key_on_a_read_only_proc_fails_before_the_first_write(lab: Lab) -> None:
    run = lab.optimize("--limit", CPU, kernel_required=["vm.swappiness"], kernel_sysctl={"vm.swappiness": 33})
    assert run.code != 0
    assert "vm.swappiness" in run.failure(CPU) and "readonly" in run.failure(CPU)
    assert untouched(lab, CPU)


def test_a_key_another_file_takes_away_is_reported_with_that_file(lab: Lab) -> None:
    lab.sh(CPU, "echo 'net.ipv4.tcp_sack = 1' > /etc/sysctl.d/99-site.conf")
    try:
        run = lab.optimize("--limit", CPU, node_profile="none", kernel_sysctl={"net.ipv4.tcp_sack": 0})
        wish = run.layer(CPU, "kernel")["unapplied"][0]
        assert (wish["reason"], "/etc/sysctl.d/99-site.conf" in wish["detail"]) == ("shadowed_by", True)
        assert lab.run(CPU, "cat", "/proc/sys/net/ipv4/tcp_sack").strip() == "1"
    finally:
        lab.run(CPU, "rm", "/etc/sysctl.d/99-site.conf")


def test_a_truncated_owner_record_is_kept_aside_and_the_run_converges(lab: Lab) -> None:
    assert lab.optimize("--limit", CPU).code == 0
    lab.run(CPU, "truncate", "-s", "40", RECORD)
    run = lab.optimize("--limit", CPU)
    assert run.code == 0, run.output
    assert "damaged" in run.output
    assert lab.sh(CPU, f"test -s {RECORD} && stat -c %s {RECORD}.damaged").strip() == "40"
    assert lab.optimize("--limit", CPU).host(CPU)["state"] == "unchanged"
    # What was there before is no longer known, so removal leaves the live value and says so.
    gone = lab.play("swarm.node.uninstall", "--limit", CPU)
    assert "what it was before is not known" in " ".join(gone.layer(CPU, "kernel")["notes"])
    lab.sh(CPU, "echo 4096 > /proc/sys/net/core/somaxconn")


def test_an_unreachable_node_is_in_the_report_and_the_others_are_done(lab: Lab, tmp_path) -> None:
    extra = tmp_path / "extra.yml"
    extra.write_text("cpu_only: {hosts: {gone-1: {ansible_host: 10.77.0.99}}}\n", "utf-8")
    run = lab.optimize("-i", str(extra), "--limit", f"gone-1,{CPU}", "-T", "3")
    assert run.code != 0
    assert run.host("gone-1")["state"] == "unreachable"
    assert run.host(CPU)["state"] == "changed"


def test_the_first_bad_batch_stops_the_rest(lab: Lab) -> None:
    """The canary, first by name, fails while applying, so no other node is changed."""
    lab.run(H100, "nvml-sim", "inject", "nvmlDeviceSetPersistenceMode", "UNKNOWN", "--gpu", "0")
    try:
        run = lab.optimize("--limit", f"{MIXED},{H100}")
        assert run.code != 0
        assert run.host(H100)["failures"]
        assert run.host(MIXED)["state"] == "planned", run.output
        assert untouched(lab, MIXED)
    finally:
        lab.run(H100, "nvml-sim", "clear")
    assert lab.optimize().code == 0
