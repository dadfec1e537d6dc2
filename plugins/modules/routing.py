#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: a routing daemon for each mesh of a node."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: routing
short_description: Runs a routing daemon in a node's WireGuard meshes, which chooses ways by latency and loss
version_added: 0.1.0
description:
  - Runs babeld over the tunnels that M(swarm.node.mesh) has made, one process per mesh. Its routes win over
    the planned ones, which stay below and take over wherever it has none.
  - What is configured follows from the share of the mesh that the node keeps. A mesh that has left the node
    takes its routing with it at the next run.
  - From a neighbour that does not forward only its own addresses are accepted, from one that does those of
    the mesh's members; a packet filter lets nobody else talk to the daemon.
  - babeld itself checks a new configuration before it takes the place of the old one. A file that somebody
    has edited is put right, and kept in O(state_dir).
  - The distribution's own babeld is switched off where its configuration is the package's; where it is not,
    it is reported as RV(unapplied) with C(managed_by), and nothing is changed.
  - If anything fails, everything done so far is undone.
extends_documentation_fragment:
  - swarm.node.reconcile
  - swarm.node.reconcile.attributes
options:
  daemon:
    description: V(babeld) runs it, V(none) takes everything of this layer away.
    type: str
    choices: [none, babeld]
    default: none
  meshes:
    description: Meshes that are to have it. All of the node by default.
    type: list
    elements: str
    default: []
  ports:
    description:
      - Mesh to UDP port of its daemons, where that is not 6696. All members of a mesh need the same; two
        meshes of one node need different ones.
    type: dict
    default: {}
  timers:
    description:
      - V(small) sees a dead link after half a second, V(large) after one second with a quarter of the
        traffic in meshes of many members, V(metered) after ten seconds with next to none.
    type: str
    choices: [small, large, metered]
    default: small
  tools_pending:
    description: In check mode, whether an earlier task of the run would have installed babeld or nftables.
    type: bool
    default: false
  root:
    description: Where C(/etc), C(/run) and C(/proc) are looked for; for tests.
    type: path
    default: /
requirements:
  - babeld 1.12 or newer
  - nftables
  - iproute2
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: Let babeld choose the ways in all meshes of the node
  swarm.node.routing:
    daemon: babeld
  become: true

- name: Give everything back
  swarm.node.routing:
    state: absent
  become: true
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be in check mode, in order. Each has C(key), C(target), C(before), C(after),
      C(unit), C(when), C(disruption), C(verify), C(undo), C(origin) and C(why).
    - C(routing.daemon) and C(routing.recorder) (target is the mesh) are units, with C(enabled), C(running)
      and C(started_with); C(routing.filter) is a table of nftables; C(routing.drain) ends a drain with its
      mesh; C(routing.distribution) is the distribution's service; C(file) is a file.
  type: list
  elements: dict
  returned: success
  sample:
    - key: routing.daemon
      target: wan
      before: {enabled: false, running: false, started_with: null}
      after: {enabled: true, running: true, started_with: "sha256:0123456789abcdef"}
      disruption: none
unapplied:
  description: What was asked for and is not so, with C(reason) and C(detail).
  type: list
  elements: dict
  returned: success
before:
  description: How units, tables and the distribution's service were.
  type: dict
  returned: success
after:
  description: The same afterwards.
  type: dict
  returned: success
details:
  description: Always empty for this layer; M(swarm.node.routing_info) has how it is.
  type: list
  elements: dict
  returned: success
notes:
  description: Things worth knowing about this node.
  type: list
  elements: str
  returned: success
layer:
  description: The layer, V(routing).
  type: str
  returned: always
owner:
  description: On whose behalf it is held.
  type: str
  returned: success
plan_digest:
  description: Equal for equal plans.
  type: str
  returned: success
reboot_required:
  description: Always V(false).
  type: bool
  returned: success
writes:
  description: How many writes were made on the node, records included.
  type: int
  returned: success
interrupted:
  description: What the journal holds of a run that never finished.
  type: dict
  returned: success
pending:
  description: Always empty for this layer.
  type: list
  elements: dict
  returned: success
attention:
  description: A babeld that was never tried with this collection, as C(routing_untried).
  type: list
  elements: dict
  returned: success
degraded:
  description: Always empty for this layer.
  type: list
  elements: str
  returned: success
problems:
  description: What is wrong with the wishes, one entry each, with C(key), C(value), C(allowed), C(origin).
  type: list
  elements: dict
  returned: when wishes are refused
rolled_back:
  description: What has its old value again.
  type: list
  elements: str
  returned: when applying failed
not_undone:
  description: What could not be put back.
  type: list
  elements: dict
  returned: when applying failed
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.runner import COMMON_ARGUMENTS, run
from ..module_utils.routing.layer import NAME, RoutingLayer, RoutingOptions
from ..module_utils.routing.program import program_text

ARGUMENTS: dict[str, Any] = {
    "daemon": {"type": "str", "choices": ["none", "babeld"], "default": "none"},
    "meshes": {"type": "list", "elements": "str", "default": []},
    "ports": {"type": "dict", "default": {}},
    "timers": {"type": "str", "choices": ["small", "large", "metered"], "default": "small"},
    "tools_pending": {"type": "bool", "default": False},
    "root": {"type": "path", "default": "/"},
}


def main() -> None:
    module = AnsibleModule(argument_spec={**COMMON_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)

    def make_layer(params: dict[str, Any]) -> RoutingLayer:
        return RoutingLayer(
            RoutingOptions(
                daemon=params["daemon"],
                meshes=params["meshes"],
                ports=params["ports"],
                timers=params["timers"],
                absent=params["state"] == "absent",
                check=module.check_mode,
                tools_pending=params["tools_pending"],
                required=params["required"],
                origins=params["origins"],
                root=Path(params["root"]),
                state_dir=params["state_dir"],
                run_dir=params["run_dir"],
                program=program_text,
            )
        )

    run(module, NAME, make_layer)


if __name__ == "__main__":
    main()
