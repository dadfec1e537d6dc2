# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example inventory merges as its comments say."""

from __future__ import annotations

PLAY = """
- hosts: all
  gather_facts: false
  strategy: free
  tasks:
    - {name: merge, swarm.node.merge: {layers: [kernel, gpu]}}
"""


def test_the_example_merges(play, checkout):
    answers = play({"pb/play.yml": PLAY}, inventory=str(checkout / "inventories" / "example" / "hosts.yml"))
    hosts = {host for _task, host in answers.found}
    assert "Skipping" not in answers.output  # what Ansible says of files it reads and does not understand
    assert len(hosts) == 15 and not answers.failed, answers.output

    train = answers.ok("h100-002.fra")
    assert train["profile"] == "training@1" and train["layers"]["gpu"]["power_limit"] == "90%default"
    assert train["layers"]["gpu"]["expect"]["count"] == 8 and train["node"]["node_max_disruption"] == "perf"

    infer = answers.ok("l40s-04.ams")
    assert infer["profile"] == "inference@1" and infer["layers"]["gpu"]["power_limit"]["L40S"] == 300
    assert infer["layers"]["kernel"]["sysctl"]["vm.swappiness"] == 5
    assert "net.ipv4.conf.all.arp_ignore" not in infer["layers"]["kernel"]["sysctl"]
    assert infer["layers"]["kernel"]["sysctl"]["net.ipv4.tcp_congestion_control"] == "bbr"

    assert answers.ok("home-ann")["profile"] == "home@1"
    assert answers.ok("home-ann")["layers"]["gpu"]["power_limit"] == "75%default"
    assert answers.ok("home-bo")["layers"]["gpu"]["power_limit"] == "default"
    assert answers.ok("home-cy")["layers"]["gpu"]["manage"] == "report"
    assert "thp" not in answers.ok("home-cy")["layers"]["kernel"]
