#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: how the routing daemons of a node's meshes are right now."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: routing_info
short_description: Says which ways the routing daemons of a node's meshes use, and why
version_added: 0.1.0
description:
  - Reads the routing daemon of every mesh that M(swarm.node.routing) has put on the node, with its
    neighbours, routes and past changes; changes nothing.
  - Listens to what neighbours announce, beside the daemon. A neighbour that announces what the daemon's
    filters drop (a network of its own, a default route) is named; the filters themselves say nothing of it.
  - A node without routing is no failure; RV(meshes) is empty then.
extends_documentation_fragment:
  - swarm.node.looks.attributes
options:
  mesh:
    description: Read only the mesh of this name.
    type: str
  listen:
    description:
      - Seconds to listen to neighbours, V(0) for not at all. They announce everything once a second with the
        timers C(small), each four seconds with C(large), each forty with C(metered).
    type: float
    default: 2
  root:
    description: Where C(/etc) and C(/run) are looked for; for tests.
    type: path
    default: /
requirements:
  - nftables
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: Read the routing daemons
  swarm.node.routing_info:
  become: true
  register: node_routing

- name: Show what is reached by a relay
  ansible.builtin.debug:
    msg: "{{ node_routing.meshes.wan.routes | selectattr('installed') | rejectattr('via', 'eq', 'member') }}"
"""

RETURN = r"""
meshes:
  description:
    - By name of the mesh, C(running) (whether the daemon answers), C(why) (why not, or empty), C(since) (Unix
      time of its start), C(version), C(port), C(member) and C(number) of this node, C(transit), C(rank), and
      the entries below.
    - C(drained) has C(whole) and C(interfaces). It is what M(swarm.node.routing_drain) has made deaf.
    - C(neighbours) have C(interface), C(peer), C(number), C(address), C(reach) (16 bits, one for each of the
      last hellos, the newest highest), C(rxcost), C(txcost), C(rtt_ms) (V(null) for not known), C(rtt_cost),
      C(cost) and C(up).
    - C(routes) have C(prefix), C(member) (V(null) for one that is no neighbour), C(number), C(numbers) (the
      first and last of a block of another region, V(null) for a member's own route), C(via) (the neighbour),
      C(interface), C(metric) (V(null) for unreachable), C(refmetric) (what the neighbour announced) and
      C(installed). Those that are not installed are what the daemon could use instead.
    - C(changes), at most 1000 since the node was started, the newest last, have C(at) (Unix time), C(prefix),
      C(member), C(number), C(numbers), C(from) and C(to) (the neighbour, empty for no route of the daemon)
      and C(metric).
    - C(aggregates), V(null) where every member is announced by itself, has C(own) (networks that this relay
      announces of its region), C(others) (those of other regions), C(tables) (the kernel's tables of routes
      that are asked before the main one) and C(rules) (whether they are).
    - C(dropped) has packets for the daemon's port, C(outside) (not by a tunnel of the mesh) and C(spoofed)
      (by a tunnel, but not from a link-local address), and what came for others and C(circled) (it was to go
      back to the neighbour it came from), V(null) where the table is gone; and C(foreign), a list of
      C(peer), C(prefix) and C(at) of what neighbours announced meanwhile, and must not.
  type: dict
  returned: success
  sample:
    wan:
      running: true
      why: ""
      since: 1763900000.1
      version: babeld-1.12.1
      port: 6696
      member: home-ann
      number: 64
      transit: false
      rank: 0
      drained: {whole: false, interfaces: []}
      neighbours:
        - {interface: wan-65, peer: gw1, number: 65, address: "fe80::41", reach: 65535, rxcost: 850,
           txcost: 850, rtt_ms: 10.3, rtt_cost: 186, cost: 1036, up: true}
      routes:
        - {prefix: 10.99.0.65/32, member: gw1, number: 65, numbers: null, via: gw1, interface: wan-65,
           metric: 5036, refmetric: 0, installed: true}
      changes:
        - {at: 1763900100.1, prefix: 10.99.0.65/32, member: gw1, number: 65, numbers: null, from: "",
           to: gw1, metric: 5036}
      aggregates: null
      dropped: {outside: 0, spoofed: 0, circled: 0, foreign: []}
unreadable:
  description: What could not be read.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.commands import execute
from ..module_utils.core.errors import NodeError
from ..module_utils.routing.info import read_routing

ARGUMENTS: dict[str, Any] = {
    "mesh": {"type": "str"},
    "listen": {"type": "float", "default": 2},
    "root": {"type": "path", "default": "/"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    if not 0 <= params["listen"] <= 300:
        module.fail_json(
            msg=f"listen: {params['listen']} is refused; allowed: 0 to 300 s", failure_kind="refused"
        )
    try:
        meshes, problems = read_routing(Path(params["root"]), execute, params["mesh"], params["listen"])
    except (NodeError, OSError) as error:
        module.fail_json(msg=str(error), failure_kind="unavailable")
    for problem in problems:
        module.warn(problem)
    module.exit_json(changed=False, meshes=meshes, unreadable=problems)


if __name__ == "__main__":
    main()
