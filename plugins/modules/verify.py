#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; what runs on a node is the module mesh_measure."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: verify
short_description: Measures a mesh against targets
version_added: 0.1.0
description:
  - The steps of the playbook C(swarm.node.verify), in this order. V(plan), V(start), V(wait) and V(report)
    run once, on the controller, V(up), V(go) and V(down) on each member, where they run
    M(swarm.node.mesh_measure).
  - The steps of one run of Ansible know of each other. V(plan) comes first.
  - Changes nothing. Reports are written on the controller.
options:
  operation:
    description:
      - V(plan) decides which pairs are measured, and refuses wrong variables.
      - V(up) starts the servers of a member, V(start) sets the moment at which all begin, V(go) hands a
        member its job.
      - V(wait) waits until all are done, V(down) fetches what a member found and stops its servers.
      - V(report) judges it all, and writes the report.
    type: str
    choices: [plan, up, start, go, wait, down, report]
    required: true
  mesh:
    description: Name of the mesh.
    type: str
    required: true
  registry_dir:
    description: Where the registry files are, for V(plan). C(mesh/) beside the inventory otherwise.
    type: str
  wishes:
    description:
      - Host to its variables C(verify_…) without that prefix, and C(origins) of them, for V(plan).
      - Only these hosts are measured.
    type: dict
    default: {}
  pulling:
    description: Hosts of the inventory that nobody can log in to, for V(plan) to say so.
    type: list
    elements: str
    default: []
  hosts:
    description: Hosts whose servers run, for V(start).
    type: list
    elements: str
    default: []
  abandon:
    description: V(down) stops everything without waiting for results.
    type: bool
    default: false
  report_dir:
    description:
      - Where V(report) writes. Without it C(verify/) below the directory of the environment variable
        E(SWARM_NODE_REPORT_DIR), which is C(reports/) without that.
    type: str
  keep:
    description: How many older reports to keep beside the new one, all if negative.
    type: int
    default: 20
attributes:
  check_mode:
    description:
      - V(plan) does what it always does, and V(up) says what would be sent. The others are not for check
        mode.
    support: partial
  diff_mode:
    description: Nothing is changed, so there is no diff.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
  action:
    description: Plans and judges on the controller.
    support: full
author:
  - swarm.node contributors (@swarm-node)
seealso:
  - module: swarm.node.mesh_measure
"""

EXAMPLES = r"""
- name: Decide which pairs are measured
  swarm.node.verify:
    operation: plan
    mesh: wan
    wishes: "{{ {'gw1.fra': {'latency_ms': 20}, 'gw1.ams': {'latency_ms': 20}} }}"
  run_once: true
  register: verify_plan

- name: Say what a run would send
  ansible.builtin.debug:
    msg: "{{ verify_plan.said }}"
  run_once: true
"""

RETURN = r"""
said:
  description: What is going to happen, or what came of it, in words.
  type: str
  returned: for V(plan), V(start) and V(report)
tools:
  description: Host to the programs that the run needs on it, for hosts on which they may be installed.
  type: dict
  returned: for V(plan)
members:
  description: Who is measured.
  type: list
  elements: str
  returned: for V(plan)
left_out:
  description: Host to why it is not measured. For V(up) the reason alone.
  type: raw
  returned: for V(plan), and for V(up) of such a host
bytes:
  description: What the run sends at most.
  type: int
  returned: for V(plan)
seconds:
  description: What the measuring takes at most.
  type: int
  returned: for V(plan)
found:
  description: Whether there were results.
  type: bool
  returned: for V(down)
verdict:
  description: The worst of all, C(missed), C(not_shown) or C(met).
  type: str
  returned: for V(report)
fails:
  description: Whether that is a failure, by C(verify_fail_on).
  type: bool
  returned: for V(report)
totals:
  description: How many of each verdict, by metric.
  type: dict
  returned: for V(report)
lines:
  description: The table.
  type: list
  elements: str
  returned: for V(report)
problems:
  description: What is wrong, one entry each, with C(key), C(value), C(allowed), C(origin).
  type: list
  elements: dict
  returned: failure
"""
