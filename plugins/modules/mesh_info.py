# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_info
short_description: Says how a node's WireGuard meshes are right now
version_added: 0.1.0
description:
  - Reads the tunnels of all meshes that M(swarm.node.mesh) has put on the node, with their handshakes,
    endpoints, bytes and key ages; changes nothing.
  - The callback P(swarm.node.summary#callback) joins the results of all nodes of a run.
  - A node without a mesh is no failure; RV(meshes) is empty then.
  - Private and preshared keys are never read into a result.
extends_documentation_fragment:
  - swarm.node.looks.attributes
author:
  - swarm.node contributors (@swarm-node)
options:
  mesh:
    description: Read only the mesh of this name.
    type: str
  root:
    description: Where C(/etc) is looked for; for tests and containers.
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
"""

EXAMPLES = r"""
- name: Read the meshes
  swarm.node.mesh_info:
  become: true
  register: node_mesh

- name: Stop where a tunnel of the mesh wan is not up
  ansible.builtin.assert:
    that: not_up | length == 0
    fail_msg: "{{ not_up | map(attribute='peer') | join(', ') }}"
  vars:
    not_up: "{{ node_mesh.meshes.wan.tunnels | rejectattr('state', 'eq', 'up') }}"

- name: Show tunnels whose key is older than a year
  ansible.builtin.debug:
    msg: "{{ aged | selectattr('key_age_days', 'gt', 365) | map(attribute='interface') }}"
  vars:
    aged: "{{ node_mesh.meshes.wan.tunnels | rejectattr('key_age_days', 'none') }}"
"""

RETURN = r"""
meshes:
  description:
    - By name of the mesh, C(member) and C(number) of this node, its C(addresses), C(transit) (whether it
      forwards from mesh to mesh), C(routes) (how many planned routes the kernel has through its tunnels), and
      the entries below.
    - C(withheld) are interfaces of which something was left out as too disruptive; they are described as they
      are, which is not what was asked for.
    - C(armed) is V(null), or C(token) and C(deadline) (Unix time in s) of a change of this mesh that the node
      undoes unless it is confirmed.
    - C(tunnels) have C(interface), C(peer), C(peer_number), C(foreign) (the peer is no member), C(endpoint)
      (where it was last, or is to be), C(handshake_age_s) (V(null) for never), C(received_bytes),
      C(sent_bytes), C(mtu) (bytes), C(state), C(key_age_days) (of this node's own key) and C(psk) (whether it
      has a preshared key).
    - A tunnel's C(state) is V(up) (a handshake in the last 180 s), V(stale) (an older one), V(never) (none
      yet) or V(down) (no interface, no such peer, or the link is down). A tunnel over which nothing is sent
      and that has no keepalive becomes V(stale) although nothing is wrong.
  type: dict
  returned: success
  sample:
    wan:
      member: gw1.fra
      number: 1
      addresses: [10.99.0.1/32, 'fd12:3456:789a::1/128']
      transit: true
      armed: null
      withheld: []
      routes: 3
      tunnels:
        - interface: wan-2
          peer: home-ann
          peer_number: 2
          foreign: false
          endpoint: 198.51.100.9:51820
          handshake_age_s: 42
          received_bytes: 18432
          sent_bytes: 20480
          mtu: 1420
          state: up
          key_age_days: 12
          psk: false
unreadable:
  description: What could not be read, such as a damaged file.
  type: list
  elements: str
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.commands import execute_allowed
from ..module_utils.core.errors import NodeError
from ..module_utils.core.store import RUN_DIR, STATE_DIR
from ..module_utils.mesh.hints import with_root
from ..module_utils.mesh.info_read import read_meshes

ARGUMENTS: dict[str, Any] = {
    "mesh": {"type": "str"},
    "root": {"type": "path", "default": "/"},
    "state_dir": {"type": "path", "default": STATE_DIR},
    "run_dir": {"type": "path", "default": RUN_DIR},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        meshes, problems = read_meshes(
            Path(params["root"]), params["state_dir"], params["run_dir"], execute_allowed, params["mesh"]
        )
    except (NodeError, OSError) as error:
        module.fail_json(msg=with_root(error), failure_kind="unavailable")
    for problem in problems:
        module.warn(problem)
    module.exit_json(changed=False, meshes=meshes, unreadable=problems)


if __name__ == "__main__":
    main()
