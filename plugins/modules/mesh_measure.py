#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: a node's part in measuring a mesh."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mesh_measure
short_description: Serves and measures on a member of a mesh, for the time of one run
version_added: 0.1.0
description:
  - It is what the playbook C(swarm.node.verify) does on each member, in three calls. V(up) starts servers of
    C(irtt) and C(iperf3), V(go) says what to measure and when, V(down) fetches the results and takes
    everything away.
  - The servers listen on O(address) alone, which is the member's address in the mesh, never on all addresses.
    They and the programs that measure are one transient unit of systemd, C(swarm-node-verify-MESH.service).
    It ends by itself when the measuring is over, when no job comes within O(patience), and after O(limit)
    whatever happens.
  - C(irtt) and C(iperf3) run as C(nobody). C(fping) needs the right to open raw sockets, and runs as root.
  - Changes nothing on the node. Its files are below C(/run/swarm-node-verify-MESH) while it lasts.
  - In check mode nothing is started or sent. It says what would be (RV(would)).
extends_documentation_fragment:
  - swarm.node.looks.attributes
author:
  - swarm.node contributors (@swarm-node)
options:
  state:
    description: Which of the three calls it is.
    type: str
    choices: [up, go, down]
    required: true
  mesh:
    description: Name of the mesh.
    type: str
    required: true
  token:
    description: Name of the run. What another run has started is left alone.
    type: str
    required: true
  address:
    description: The node's address in the mesh, for V(up).
    type: str
  port:
    description: UDP port of C(irtt) and TCP port of C(iperf3), for V(up).
    type: int
    default: 22112
  tools:
    description: Programs that the run needs on this node, of C(irtt), C(fping) and C(iperf3), for V(up).
    type: list
    elements: str
    default: []
  patience:
    description:
      - Seconds in which V(go) has to come after V(up).
      - For V(down) the seconds to wait for results that are not there yet.
    type: float
    default: 600
  longest:
    description: Seconds that one test towards this node may take, for V(up).
    type: float
    default: 600
  limit:
    description: Seconds after which systemd ends everything, for V(up).
    type: float
    default: 3600
  job:
    description:
      - What to measure, for V(go). C(start) is a time of the node's monotonic clock, as RV(clock) has it.
      - C(window), C(end) and C(late) are seconds. C(probes) and C(transfers) are lists, an entry for each
        other member.
    type: dict
  expected:
    description: C(bytes) and C(seconds) that the run will take of this node, for check mode to say.
    type: dict
"""

EXAMPLES = r"""
- name: Serve on this member for at most ten minutes
  swarm.node.mesh_measure:
    state: up
    mesh: wan
    token: by-hand
    address: 10.99.0.64
    tools: [irtt, fping]
    limit: 600
  become: true
  register: node_serves

- name: Measure the way to another member in five seconds
  swarm.node.mesh_measure:
    state: go
    mesh: wan
    token: by-hand
    job:
      start: "{{ node_serves.clock.now + 5 }}"
      window: 30
      end: 45
      late: 5
      probes:
        - name: gw1.ams
          address: 10.99.0.128
          port: 22112
          tool: irtt
          interval_ms: 10
          latency_ms: 50
          jitter_ms: 1
          share: 0.95
  become: true

- name: Fetch the results, and end it
  swarm.node.mesh_measure:
    state: down
    mesh: wan
    token: by-hand
    patience: 90
  become: true
  register: node_measured
"""

RETURN = r"""
clock:
  description:
    - C(now) is the node's monotonic clock at the end of the call, and C(took) the seconds that the call took.
    - By these a controller tells all nodes the same moment without their wall clocks.
  type: dict
  returned: success
  sample: {now: 81234.5, took: 0.9}
measured:
  description:
    - What V(down) found, V(null) where there is nothing. C(probes) and C(transfers) are maps by member,
      C(late) are the seconds by which the node began too late, C(servers) says which servers ended too early.
  type: dict
  returned: for V(down)
would:
  description: C(bytes) and C(seconds) that a run would take, as O(expected) has them.
  type: dict
  returned: in check mode
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.errors import BindError, Interrupted, NodeError
from ..module_utils.core.signals import signals_as_errors
from ..module_utils.mesh.hints import with_root
from ..module_utils.mesh_measure.control import Control, Order

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["up", "go", "down"], "required": True},
    "mesh": {"type": "str", "required": True},
    "token": {"type": "str", "required": True, "no_log": False},
    "address": {"type": "str"},
    "port": {"type": "int", "default": 22112},
    "tools": {"type": "list", "elements": "str", "default": []},
    "patience": {"type": "float", "default": 600},
    "longest": {"type": "float", "default": 600},
    "limit": {"type": "float", "default": 3600},
    "job": {"type": "dict"},
    "expected": {"type": "dict"},
}


def work(params: dict[str, Any]) -> dict[str, Any]:
    """What the answer holds beside the clock. Raises NodeError, OSError."""
    control = Control(params["mesh"])
    if params["state"] == "up":
        control.up(
            Order(
                token=params["token"],
                address=params["address"],
                port=params["port"],
                tools=tuple(params["tools"]),
                patience=params["patience"],
                longest=params["longest"],
                limit=params["limit"],
            )
        )
        return {}
    if params["state"] == "go":
        control.go(params["token"], params["job"])
        return {}
    return {"measured": control.down(params["token"], params["patience"])}


def main() -> None:
    began = time.monotonic()
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[("state", "up", ("address",)), ("state", "go", ("job",))],
    )
    if module.check_mode:
        module.exit_json(changed=False, would=module.params["expected"] or {})
    answer: dict[str, Any] = {}
    try:
        with signals_as_errors():
            answer = work(module.params)
    except BindError as error:
        problems = [vars(problem) for problem in error.problems]
        module.fail_json(msg=f"nothing was measured: {error}", problems=problems, failure_kind="refused")
    except Interrupted as error:
        module.fail_json(msg=str(error), failure_kind="unavailable")
    except (NodeError, OSError) as error:
        module.fail_json(msg=f"nothing was measured: {with_root(error)}", failure_kind="unavailable")
    now = time.monotonic()
    module.exit_json(changed=False, clock={"now": now, "took": round(now - began, 3)}, **answer)


if __name__ == "__main__":
    main()
