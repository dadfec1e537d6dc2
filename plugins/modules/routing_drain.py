#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: takes a node, or links of it, out of use without a lost packet, and back into it."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: routing_drain
short_description: Takes a node out of a mesh's ways before it is worked on, and puts it back
version_added: 0.1.0
description:
  - Makes the routing daemon of a mesh deaf. The neighbours notice, and send by others, while this node goes
    on to forward what still comes; the module waits until nothing does.
  - It needs M(swarm.node.routing) on the node and on those that are to go elsewhere.
  - A drain is no setting. It lasts over a restart of the daemon and is gone after a reboot.
  - The node itself is reached as before, by the planned routes of its mesh.
options:
  state:
    description:
      - V(drained) makes it deaf; a drain of other peers of the same mesh is replaced.
      - V(undrained) ends any drain of the mesh, and waits until the neighbours count again.
    type: str
    choices: [drained, undrained]
    default: drained
  mesh:
    description: The mesh. All with routing by default.
    type: str
  peers:
    description: Neighbours, by name or number, whose links are to be drained. The whole node by default.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds to wait at most. For V(drained) at least what neighbours take to notice (four hellos and half
        a second) and O(quiet).
    type: float
    default: 30
  quiet:
    description: Seconds without a packet after which nothing is said to come any more.
    type: float
    default: 1
  require_quiet:
    description:
      - Whether the drain is taken back, and the module fails, where packets still come after O(timeout).
        Otherwise it stays, and RV(meshes) says so.
      - What was drained before is drained again then. Of a node with several meshes all are taken back that
        this call has drained.
    type: bool
    default: true
  if_any:
    description: Whether a node without a routing daemon is passed over, and no failure.
    type: bool
    default: false
  freeze:
    description:
      - If not empty, why this node must stay as it is; it is refused then. A file C(freeze) in O(state_dir)
        does the same.
    type: str
    default: ''
  state_dir:
    description: Where the collection keeps its records.
    type: path
    default: /var/lib/swarm_node
  run_dir:
    description: Where the lock is.
    type: path
    default: /run/swarm_node
  root:
    description: Where C(/etc) and C(/run) are looked for; for tests.
    type: path
    default: /
attributes:
  check_mode:
    description: Says whether it would change anything; it does not wait.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: What is drained already is not drained again; it is waited for all the same.
    support: full
  platform:
    description: Target systems.
    platforms: linux
    support: full
requirements:
  - nftables
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: Let nobody send over this relay any more
  swarm.node.routing_drain:
    mesh: wan
  become: true

- name: Take one bad link out
  swarm.node.routing_drain:
    mesh: wan
    peers: [gw2.ams]
  become: true

- name: Use everything again
  swarm.node.routing_drain:
    state: undrained
  become: true
"""

RETURN = r"""
meshes:
  description:
    - One entry per mesh. C(mesh); of V(drained) C(interfaces) (empty for the whole node), C(up_before)
      (peers that counted), C(quiet), C(waited_s), C(packets) (that came since it is drained) and
      C(packets_last_s) (in the last second); of V(undrained) C(up), C(missing) (peers that did not come
      back; they may have been off) and C(waited_s).
  type: list
  elements: dict
  returned: success
  sample:
    - mesh: wan
      interfaces: []
      up_before: [gw1]
      quiet: true
      waited_s: 2.2
      packets: 41
      packets_last_s: 0
problems:
  description: What is refused, one entry each, with C(key), C(value) and C(allowed).
  type: list
  elements: dict
  returned: when something is refused
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.commands import execute
from ..module_utils.core.errors import BindError, NodeError
from ..module_utils.core.signals import signals_as_errors
from ..module_utils.core.store import RUN_DIR, STATE_DIR, Store
from ..module_utils.routing.drain import Drain, drains, run_all

ARGUMENTS: dict[str, Any] = {
    "state": {"type": "str", "choices": ["drained", "undrained"], "default": "drained"},
    "mesh": {"type": "str"},
    "peers": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 30},
    "quiet": {"type": "float", "default": 1},
    "require_quiet": {"type": "bool", "default": True},
    "if_any": {"type": "bool", "default": False},
    "freeze": {"type": "str", "default": ""},
    "state_dir": {"type": "path", "default": STATE_DIR},
    "run_dir": {"type": "path", "default": RUN_DIR},
    "root": {"type": "path", "default": "/"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    store = Store(params["state_dir"], params["run_dir"])
    wanted: list[Drain] = []
    told: list[dict[str, Any]] = []
    try:
        with signals_as_errors():
            frozen = params["freeze"] or store.frozen()
            if frozen:
                module.fail_json(
                    msg=f"nothing was changed, the node is frozen: {frozen}", failure_kind="frozen"
                )
            wanted = drains(
                Path(params["root"]),
                execute,
                params["mesh"],
                params["if_any"],
                only=params["peers"],
                timeout=params["timeout"],
                quiet=params["quiet"],
                required=params["require_quiet"],
            )
            run_all(wanted, params["state"] == "drained", store, module.check_mode, told)
    except BindError as error:
        problems = [vars(problem) for problem in error.problems]
        module.fail_json(msg=f"nothing was changed: {error}", problems=problems, failure_kind="refused")
    except (NodeError, OSError) as error:
        changed = any(one.changed for one in wanted)
        told = [entry for one, entry in zip(wanted, told) if one.changed]
        module.fail_json(msg=str(error), failure_kind="unavailable", meshes=told, changed=changed)
    for entry in told:
        if entry.get("quiet") is False:
            module.warn(
                f"mesh {entry['mesh']}: packets still come this way: {entry['packets_last_s']} in the last s"
            )
        if entry.get("missing"):
            module.warn(f"mesh {entry['mesh']}: not heard again yet: {', '.join(entry['missing'])}")
    module.exit_json(changed=any(one.changed for one in wanted), meshes=told)


if __name__ == "__main__":
    main()
