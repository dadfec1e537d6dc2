# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on the lab: optimise, nothing on a second run, drift seen and put right, given back."""

from __future__ import annotations

import pytest

from .conftest import CPU, H100, MIXED, Lab, Run

DROP_IN = "/etc/sysctl.d/90-swarm-node-kernel.conf"
ARP_IGNORE = "/proc/sys/net/ipv4/conf/all/arp_ignore"
MAX_ROUND_TRIPS = 4


def on_gpus(run: Run, host: str) -> int:
    """How many changes were made on GPUs, the boot unit's files left out."""
    return sum(change["target"].startswith("GPU-") for change in run.layer(host, "gpu")["changes"])


@pytest.fixture(scope="module")
def first(lab: Lab) -> Run:
    """The first run on nodes as installed."""
    lab.forget()
    return lab.optimize(node_batches=["100%"])


def test_first_run_changes_every_node_and_says_what_cannot_be(lab: Lab, first: Run) -> None:
    assert first.code == 0, first.output
    for host in (H100, MIXED, CPU):
        assert first.host(host)["state"] == "changed"
        assert DROP_IN in lab.sh(host, f"ls {DROP_IN}")
        # Host-wide keys belong to the host's kernel: a container reports them, and leaves them.
        reasons = {wish["key"]: wish["reason"] for wish in first.layer(host, "kernel")["unapplied"]}
        assert reasons["vm.swappiness"] in ("readonly", "unsupported")
    assert "net.ipv4.conf.all.arp_ignore = 1" in lab.run(H100, "cat", DROP_IN)
    assert lab.run(H100, "cat", ARP_IGNORE).strip() == "1"
    assert first.layer(CPU, "gpu")["changes"] == []


def test_gpus_have_their_persistence_mode_through_unmodified_pynvml(lab: Lab, first: Run) -> None:
    assert all(gpu["persistence_mode"] for gpu in lab.gpus(H100) + lab.gpus(MIXED))
    assert on_gpus(first, H100) == 16  # persistence, then the limit it keeps
    assert on_gpus(first, MIXED) == 10
    assert {gpu["power_limit_mw"] for gpu in lab.gpus(MIXED)} == {280_000, 70_000}


def test_packages_were_really_installed_and_brought_no_driver(lab: Lab, first: Run) -> None:
    for host in (H100, MIXED):
        assert lab.sh(host, "dpkg-query -W -f '${Status}' python3-pynvml") == "install ok installed"
    assert "python3-pynvml" not in lab.sh(CPU, "dpkg-query -W")
    assert "libnvidia" not in lab.sh(CPU, "dpkg-query -W")


def test_second_run_changes_nothing_with_few_round_trips_and_no_write(lab: Lab, first: Run) -> None:
    second = lab.optimize()
    assert second.code == 0, second.output
    assert {host["state"] for host in second.report["hosts"].values()} == {"unchanged"}
    assert second.report["totals"]["writes"] == 0
    assert second.report["totals"]["round_trips_max"] <= MAX_ROUND_TRIPS
    assert "changed=0" in second.output and "changed=1" not in second.output


def test_a_changed_second_state_with_clocks_and_limits(lab: Lab, first: Run) -> None:
    wishes = {"gpu_power_limit": {"H100 80GB HBM3": "70%default"}, "gpu_graphics_clocks": {"0": "345-1800"}}
    run = lab.optimize("--limit", H100, **wishes)
    assert run.code == 0, run.output
    assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {490_000}
    again = lab.optimize("--limit", H100, **wishes)
    assert again.host(H100)["state"] == "unchanged", again.output
    back = lab.optimize("--limit", H100)
    assert back.code == 0
    assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {630_000}


def test_drift_is_seen_in_check_mode_and_put_right(lab: Lab, first: Run) -> None:
    wishes = {"gpu_power_limit": "80%default"}
    assert lab.optimize("--limit", H100, **wishes).code == 0
    lab.run(H100, "nvml-sim", "set", "3", "power_limit_mw", "700000")
    lab.sh(H100, f"echo 'net.core.somaxconn = 1' >> {DROP_IN}")
    lab.sh(H100, f"echo 0 > {ARP_IGNORE}")
    edited = lab.run(H100, "cat", DROP_IN)

    seen = lab.optimize("--limit", H100, "--check", "--diff", **wishes)
    assert seen.code == 0, seen.output
    assert seen.host(H100)["state"] == "would_change"
    kernel = {change["key"] for change in seen.layer(H100, "kernel")["changes"]}
    assert kernel == {"net.ipv4.conf.all.arp_ignore", "file"}
    assert [change["before"] for change in seen.layer(H100, "gpu")["changes"]] == [700]
    assert "-net.core.somaxconn = 1" in seen.output
    assert lab.run(H100, "cat", DROP_IN) == edited, "check mode wrote"

    assert lab.optimize("--limit", H100, **wishes).code == 0
    assert {gpu["power_limit_mw"] for gpu in lab.gpus(H100)} == {560_000}
    assert "somaxconn" not in lab.run(H100, "cat", DROP_IN)
    assert "somaxconn = 1" in lab.sh(H100, "cat /var/lib/swarm_node/edited/*")
    assert lab.optimize("--limit", H100, **wishes).host(H100)["state"] == "unchanged"
    assert lab.optimize("--limit", H100).code == 0


def test_a_role_alone_without_a_profile(lab: Lab, first: Run, tmp_path) -> None:
    book = tmp_path / "alone.yml"
    book.write_text(
        "- hosts: cpu-1\n  gather_facts: false\n"
        "  vars: {node_profile: none, kernel_sysctl: {net.ipv4.tcp_sack: 1}}\n"
        "  roles: [swarm.node.kernel]\n",
        "utf-8",
    )
    run = lab.play(str(book))
    assert run.code == 0, run.output
    assert run.layer(CPU, "kernel")["after"]["net.ipv4.tcp_sack"] == "1"


def test_explain_names_winner_losers_origin_source_and_what_is_live(lab: Lab, first: Run) -> None:
    run = lab.play("swarm.node.explain", "--limit", H100, live=True, gpu_power_limit="85%default")
    assert run.code == 0, run.output
    assert "gpu_power_limit = 85%default  (extra vars)" in run.output
    assert "beats default of profile training@1" in run.output
    assert "beats 90%default of group train_h100" in run.output
    assert "source: " in run.output and "held by kernel" in run.output


def test_uninstall_gives_everything_back(lab: Lab, first: Run) -> None:
    run = lab.play("swarm.node.uninstall")
    assert run.code == 0, run.output
    for host in (H100, MIXED, CPU):
        assert lab.sh(host, "ls /etc/sysctl.d /etc/tmpfiles.d /var/lib/swarm_node").count("swarm-node") == 0
        assert lab.sh(host, "ls /var/lib/swarm_node/kernel.json 2>&1 || true").endswith(
            "No such file or directory\n"
        )
    assert lab.run(H100, "cat", ARP_IGNORE).strip() == "0"
    assert not any(gpu["persistence_mode"] for gpu in lab.gpus(H100))
    assert lab.play("swarm.node.uninstall").report["totals"]["changes"] == 0
