# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_latency
short_description: Measures round trips from this node to others, below the mesh
version_added: 0.1.0
description:
  - Sends ICMP echo requests to all targets at once, a few times over, and says the median of each.
  - It is for planning a mesh anew (playbook C(swarm.node.mesh_replan)), which takes RV(pairs) as they are.
  - Needs no C(ping) on the node. Names are resolved by the node itself.
  - Packets and time are bounded. At most 256 targets get at most 20 requests of 84 bytes each, at most 64 at
    once, an answer is waited for one second, and no more is sent after O(timeout).
  - A target that does not answer is no failure. Many networks let no echo requests through.
  - Changes nothing.
extends_documentation_fragment:
  - swarm.node.looks.attributes
author:
  - swarm.node contributors (@swarm-node)
options:
  name:
    description: Name of this node in RV(pairs).
    type: str
    required: true
  mesh:
    description: Name of the mesh, for RV(mesh_name) only.
    type: str
  targets:
    description: What to measure.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the target in the results.
        type: str
        required: true
      host:
        description: Its address or name.
        type: str
        required: true
  probes:
    description: Requests per target, 1 to 20.
    type: int
    default: 5
  timeout:
    description: Seconds after which no more requests are sent. The first round is always sent.
    type: float
    default: 15
"""

EXAMPLES = r"""
- name: Measure the way to two members
  swarm.node.mesh_latency:
    name: "{{ inventory_hostname }}"
    targets:
      - name: gw1.fra
        host: 203.0.113.7
      - name: gw1.ams
        host: gw1.ams.example.org
  become: true
  register: node_latency

- name: Plan the mesh anew with what this node measured
  swarm.node.mesh_registry:
    operation: replan
    mesh: wan
    latencies: "{{ node_latency.pairs }}"
"""

RETURN = r"""
latencies:
  description:
    - In the order of O(targets), C(name), C(host), C(address) (V(null) where the name has none), C(ms)
      (median of the round trips, V(null) where nothing answered), C(sent) and C(answered).
  type: list
  elements: dict
  returned: success
  sample:
    - name: gw1.fra
      host: 203.0.113.7
      address: 203.0.113.7
      ms: 11.87
      sent: 5
      answered: 5
pairs:
  description: Of those that answered, C(ends) (this node and the target) and C(ms).
  type: list
  elements: dict
  returned: success
  sample:
    - ends: [home-ann, gw1.fra]
      ms: 11.87
mesh_name:
  description: As it was given.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.errors import BindError, NodeError
from ..module_utils.mesh.hints import with_root
from ..module_utils.mesh.latency import measure, pairs

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "mesh": {"type": "str"},
    "targets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
        },
    },
    "probes": {"type": "int", "default": 5},
    "timeout": {"type": "float", "default": 15},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    found: list[dict[str, Any]] = []
    try:
        found = measure(params["targets"], params["probes"], params["timeout"])
    except BindError as error:
        problems = [vars(problem) for problem in error.problems]
        module.fail_json(msg=f"nothing was measured: {error}", problems=problems, failure_kind="refused")
    except (NodeError, OSError) as error:
        module.fail_json(msg=with_root(error), failure_kind="unavailable")
    module.exit_json(
        changed=False, mesh_name=params["mesh"], latencies=found, pairs=pairs(params["name"], found)
    )


if __name__ == "__main__":
    main()
