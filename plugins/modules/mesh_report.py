#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; what runs on a member is the module mesh_look."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mesh_report
short_description: Reports how a mesh is right now
version_added: 0.1.0
description:
  - The steps of the playbook C(swarm.node.mesh_report). V(look) runs M(swarm.node.mesh_look) on a member.
    V(report) runs once, on the controller, puts together what all members said in this run of Ansible, and
    writes the report.
  - Changes nothing on a node.
options:
  operation:
    description: Which step.
    type: str
    choices: [look, report]
    required: true
  mesh:
    description: For V(look), read only the mesh of this name.
    type: str
  listen:
    description:
      - For V(look), seconds to listen to what neighbours announce, as of M(swarm.node.routing_info). It is 2
        otherwise.
    type: float
  meshes:
    description: For V(report), mesh to the hosts that were to be looked at.
    type: dict
    default: {}
  registry_dir:
    description: Where the registry files are, for V(report). C(mesh/) beside the inventory otherwise.
    type: str
  targets:
    description:
      - For V(report), host to C(latency_ms), C(between) and C(origins), as of the variables C(verify_…).
    type: dict
    default: {}
  pulling:
    description: Hosts of the inventory that nobody can log in to, for V(report) to say so.
    type: list
    elements: str
    default: []
  refused:
    description: Hosts of the run whose variables were refused, for V(report) to say so.
    type: list
    elements: str
    default: []
  report_dir:
    description:
      - Where V(report) writes. Without it C(mesh/) below the directory of the environment variable
        E(SWARM_NODE_REPORT_DIR), which is C(reports/) without that.
    type: str
  keep:
    description: How many older reports to keep beside the new one, all if negative.
    type: int
    default: 20
attributes:
  check_mode:
    description: Does the same, as nothing of a node is changed.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no diff.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
  action:
    description: Puts together and writes on the controller.
    support: full
author:
  - swarm.node contributors (@swarm-node)
seealso:
  - module: swarm.node.mesh_look
"""

EXAMPLES = r"""
- name: Look at this member
  swarm.node.mesh_report:
    operation: look
  become: true
  ignore_errors: true
  ignore_unreachable: true

- name: Write the report
  swarm.node.mesh_report:
    operation: report
    meshes: {wan: "{{ ansible_play_hosts_all }}"}
  run_once: true
  register: mesh_report
"""

RETURN = r"""
looked_at:
  description: Meshes that the member has said something of.
  type: list
  elements: str
  returned: for V(look)
verdict:
  description: V(fine) or V(wrong).
  type: str
  returned: for V(report)
wrong:
  description: Whether it is the latter.
  type: bool
  returned: for V(report)
said:
  description: What is wrong, in one line.
  type: str
  returned: for V(report)
lines:
  description: The report in short, for the terminal.
  type: list
  elements: str
  returned: for V(report)
totals:
  description: Counts over all meshes, as docs/mesh-report.md has them.
  type: dict
  returned: for V(report)
"""
