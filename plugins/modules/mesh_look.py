#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: all that a report of a mesh needs of one member, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mesh_look
short_description: Says how a node's meshes and their routing daemons are, in one go
version_added: 0.1.0
description:
  - What M(swarm.node.mesh_info) and M(swarm.node.routing_info) say, in one round trip and without the routes
    that are not in use; changes nothing. It is what M(swarm.node.mesh_report) asks a member.
  - A node without a mesh or without routing is no failure; RV(meshes) or RV(routing) is empty then.
extends_documentation_fragment:
  - swarm.node.looks.attributes
author:
  - swarm.node contributors (@swarm-node)
options:
  mesh:
    description: Read only the mesh of this name.
    type: str
  listen:
    description: Seconds to listen to what neighbours announce, 300 at most, V(0) for not at all.
    type: float
    default: 2
  root:
    description: Where C(/etc) and C(/run) are looked for; for tests and containers.
    type: path
    default: /
  state_dir:
    description: Where M(swarm.node.mesh) keeps what waits to be confirmed.
    type: path
    default: /var/lib/swarm_node
  run_dir:
    description: Where the lock and what must not survive a reboot are kept.
    type: path
    default: /run/swarm_node
requirements:
  - wireguard-tools
  - iproute2 4.16 or newer
  - nftables
"""

EXAMPLES = r"""
- name: Look at the meshes and their routing daemons
  swarm.node.mesh_look:
  become: true
  register: node_look
"""

RETURN = r"""
meshes:
  description: As of M(swarm.node.mesh_info).
  type: dict
  returned: success
routing:
  description:
    - As C(meshes) of M(swarm.node.routing_info). Of C(routes) only those in use are there, and those of
      destinations that have none.
  type: dict
  returned: success
now:
  description: The node's clock, Unix time in s.
  type: float
  returned: success
unreadable:
  description: What could not be read.
  type: list
  elements: str
  returned: success
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.commands import execute, execute_allowed
from ..module_utils.core.errors import NodeError
from ..module_utils.core.store import RUN_DIR, STATE_DIR
from ..module_utils.mesh.info_read import read_meshes
from ..module_utils.routing.info import read_routing

ARGUMENTS: dict[str, Any] = {
    "mesh": {"type": "str"},
    "listen": {"type": "float", "default": 2},
    "root": {"type": "path", "default": "/"},
    "state_dir": {"type": "path", "default": STATE_DIR},
    "run_dir": {"type": "path", "default": RUN_DIR},
}


def shortened(routes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Routes in use, and destinations without any: what could be used instead is most of a large list."""
    used = {route["prefix"] for route in routes if route["installed"]}
    return [
        route
        for route in routes
        if route["installed"] or (route["metric"] is None and route["prefix"] not in used)
    ]


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    root, mesh = Path(params["root"]), params["mesh"]
    if not 0 <= params["listen"] <= 300:
        module.fail_json(
            msg=f"listen: {params['listen']} is refused; allowed: 0 to 300 s", failure_kind="refused"
        )
    try:
        meshes, problems = read_meshes(root, params["state_dir"], params["run_dir"], execute_allowed, mesh)
        routing, more = read_routing(root, execute, mesh, params["listen"])
    except (NodeError, OSError) as error:
        module.fail_json(msg=str(error), failure_kind="unavailable")
    for info in routing.values():
        info["routes"] = shortened(info["routes"])
    problems += more
    for problem in problems:
        module.warn(problem)
    module.exit_json(changed=False, meshes=meshes, routing=routing, now=time.time(), unreadable=problems)


if __name__ == "__main__":
    main()
