# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh
short_description: Reconciles a node's share of its WireGuard meshes
version_added: 0.1.0
description:
  - Makes the tunnels, routes and packet filters of all meshes of a node what the registries say, in one
    transaction, verifies them, and puts everything back on failure.
  - The registries are read on the controller (O(names), O(registry_dir)); the node is sent its own share
    alone. Private keys never leave the node.
  - There is one interface per neighbour, brought up by C(wg-quick@.service) at boot. What differs is changed
    live, by the smallest step; a tunnel is restarted only if its interface has gone.
  - Drift is put right, such as a peer, an address or a route that somebody removed. A peer that has roamed is
    no drift; its endpoint is set again where it has been silent for three minutes.
  - With O(confirm_seconds) a change of anything live is armed first. The node undoes it by itself unless
    M(swarm.node.mesh_confirm) confirms it, also after a reboot.
  - New tunnels and routes, routes that move to another tunnel, and tunnels without routes that go have the
    disruption V(none). Taking a route away, or a tunnel whose destinations all have another one, has V(perf).
    V(peer_jobs) has what cuts a tunnel that carries routes until the other end follows (a port, key or
    preshared key changed in place), and the removal of one whose destinations have no other tunnel, as by a
    mesh that is missing from O(shares). With O(state=absent) removal has V(perf), as it is asked for by name.
  - A member with C(transit) gets forwarding of IPv4 on its tunnels alone. For IPv6 the kernel has one switch
    for all interfaces; interfaces that get their default route by router advertisements keep it.
  - Keys that no tunnel needs any more are removed by a run in which nothing is armed.
extends_documentation_fragment:
  - swarm.node.reconcile
  - swarm.node.reconcile.attributes
author:
  - swarm.node contributors (@swarm-node)
options:
  names:
    description:
      - Meshes this node is a member of. A mesh of this collection that is not among them is removed.
      - It is read on the controller.
    type: list
    elements: str
    default: []
  registry_dir:
    description:
      - Directory with a registry C(<name>.yml) per mesh, on the controller. Relative to the inventory.
      - Defaults to C(mesh) beside the inventory.
    type: str
  shares:
    description:
      - The node's share of each mesh, by name of the mesh, as the planner makes it. It is filled in on the
        controller.
    type: dict
    default: {}
  seen_shares:
    description:
      - What RV(seen_shares) of an earlier run in check mode said. A share that is another now is refused, so
        that nothing is applied that nobody has looked at. It is read on the controller.
    type: dict
    default: {}
  firewall:
    description:
      - Who opens the meshes' ports. V(auto) looks for firewalld, ufw and nftables chains that drop packets;
        V(none) leaves that to the operator; V(firewalld) and V(ufw) name the manager; C(nft chain FAMILY
        TABLE CHAIN) and C(nft set FAMILY TABLE SET) name a place in somebody's ruleset.
    type: str
    default: auto
  confirm_seconds:
    description:
      - The node undoes a live change that is not confirmed within so many seconds. V(0) arms nothing.
      - It has no effect with O(state=absent).
    type: int
    default: 0
  token:
    description:
      - Under which a change is armed and confirmed. A new one is made by default.
    type: str
    default: ''
  witnesses:
    description:
      - Mesh to at most four addresses of members that are no neighbours. Before a change is armed the node
        tries them, and up to eight to which it has routes of their own; what answers has to answer when
        M(swarm.node.mesh_confirm) probes. It is filled in on the controller, with members of the same run.
    type: dict
    default: {}
  now:
    description:
      - The controller's Unix time. A node whose clock is more than 300 s off is refused. It is filled in on
        the controller.
    type: float
  tools_pending:
    description:
      - Programs that are missing are installed later in this run, so check mode goes on without them.
    type: bool
    default: false
  root:
    description:
      - Where C(/etc), C(/proc) and C(/sys) are. For tests.
    type: path
    default: /
requirements:
  - wireguard-tools, iproute2 5.5 or newer, systemd
  - wireguard-go, where the kernel has no WireGuard
  - nftables, for the packet filter
seealso:
  - module: swarm.node.mesh_keys
  - module: swarm.node.mesh_confirm
  - module: swarm.node.mesh_info
"""

EXAMPLES = r"""
- name: Bring the node's share of its mesh to what the registry says
  swarm.node.mesh:
    names: [wan]
    confirm_seconds: 120
  become: true
  register: node_mesh

- name: Confirm it
  swarm.node.mesh_confirm:
    action: confirm
    token: "{{ node_mesh.token }}"
  become: true
  when: "'mesh.guard' in node_mesh.changes | map(attribute='key')"

- name: Two meshes, behind a chain of the operator's own
  swarm.node.mesh:
    names: [wan, lab]
    firewall: nft chain inet filter input
  become: true

- name: Fail if the node has left what the registry says
  swarm.node.mesh:
    names: [wan]
  become: true
  check_mode: true
  register: node_mesh
  failed_when: node_mesh.changed

- name: Take everything of every mesh away, keys too
  swarm.node.mesh:
    state: absent
  become: true
"""

RETURN = r"""
layer:
  description: The layer, always V(mesh).
  type: str
  returned: always
owner:
  description: On whose behalf the meshes are held.
  type: str
  returned: success
token:
  description: Under which a change of this run is armed; M(swarm.node.mesh_confirm) takes it.
  type: str
  returned: success
share_digests:
  description: Mesh to the digest of the share that was applied. Empty where it was not.
  type: dict
  returned: success
seen_shares:
  description: Mesh to the digest of the share that was looked at.
  type: dict
  returned: in check mode, when something would change
departed:
  description:
    - Mesh to the day on which the node left it. Nothing was asked of the node then.
  type: dict
  returned: when the node has left all its meshes; of the other values there are RV(changes) and RV(unapplied)
mesh:
  description: Each mesh of the node after the run, in the shape of C(meshes) of M(swarm.node.mesh_info).
  type: dict
  returned: success
changes:
  description:
    - What was changed, or would be in check mode, in order. Each has C(key), C(target), C(target_name),
      C(before), C(after), C(unit), C(when), C(disruption), C(verify), C(undo), C(origin) and C(why).
    - The keys with an interface as target are C(mesh.tunnel) (V(up), V(down), or V(null) for none),
      C(mesh.peer) (C(public_key), C(endpoint), C(keepalive) in s, C(allowed_ips), C(psk), the name of the
      preshared key, or C(another) in brackets where the live one is not that of our file), C(mesh.key)
      (generation), C(mesh.listen_port), C(mesh.mtu), C(mesh.address) and C(mesh.routes) (destinations).
    - C(mesh.routes) with a mesh as target are the last-resort routes of its prefixes. C(mesh.filter) is the
      mesh's nftables table, C(mesh.firewall) an opening in somebody's firewall, C(mesh.forwarding) a sysctl,
      C(mesh.psk) a preshared key that was opened, C(mesh.unit) a unit, C(mesh.guard) the arming, and C(file)
      a file. C(mesh.key) and C(mesh.psk) with a target such as C(wan/1) are key files that are removed.
  type: list
  elements: dict
  returned: success
unapplied:
  description:
    - What was asked for and is not so, with C(reason) and C(detail). On a node without IPv6 the addresses of
      that family are listed as V(unsupported).
  type: list
  elements: dict
  returned: success
before:
  description: The live value by key and target, before. A tunnel of the share is always there.
  type: dict
  returned: success
after:
  description: The same afterwards.
  type: dict
  returned: success
details:
  description: Not used by this layer; what the tunnels are like is in RV(mesh).
  type: list
  elements: dict
  returned: success
notes:
  description: Things worth knowing about this node, such as an MTU that leads to fragments.
  type: list
  elements: str
  returned: success
pending:
  description: Not used by this layer.
  type: list
  elements: dict
  returned: success
attention:
  description: A change that the node has undone by itself, as C(mesh_reverted).
  type: list
  elements: dict
  returned: success
reboot_required:
  description: Always V(false).
  type: bool
  returned: success
plan_digest:
  description: Equal for equal plans.
  type: str
  returned: success
writes:
  description: How many writes were made on the node, records included.
  type: int
  returned: success
interrupted:
  description: What the journal holds of a run that never finished.
  type: dict
  returned: success
degraded:
  description: Not used by this layer.
  type: list
  elements: str
  returned: success
problems:
  description:
    - What is refused, before anything is changed, one entry each, with C(key), C(value), C(allowed),
      C(origin), C(target). Refused are a port that another process has, an interface or file of that name
      that is somebody else's, a key that is not the registry's, a mesh prefix that the node uses otherwise, a
      clock that is wrong, and two meshes with one port.
  type: list
  elements: dict
  returned: when the wish is refused
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

from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.errors import NodeError
from ..module_utils.core.runner import COMMON_ARGUMENTS, run
from ..module_utils.mesh.asked import options_from
from ..module_utils.mesh.layer import NAME, MeshLayer

ARGUMENTS: dict[str, Any] = {
    "names": {"type": "list", "elements": "str", "default": []},
    "registry_dir": {"type": "str"},
    "shares": {"type": "dict", "default": {}},
    "seen_shares": {"type": "dict", "default": {}},
    "firewall": {"type": "str", "default": "auto"},
    "confirm_seconds": {"type": "int", "default": 0},
    "token": {"type": "str", "default": "", "no_log": False},
    "witnesses": {"type": "dict", "default": {}},
    "now": {"type": "float"},
    "tools_pending": {"type": "bool", "default": False},
    "root": {"type": "path", "default": "/"},
}


class MeshModule(AnsibleModule):
    """Adds to the result what the runner does not know: the run's token, and how the meshes are now."""

    layer: Optional[MeshLayer] = None

    def exit_json(self, **result: Any) -> None:
        layer = self.layer
        result["mesh"] = {}
        if layer is not None:
            result["token"] = layer.options.token
            try:
                result["mesh"] = layer.describe()
            except NodeError as error:
                result["notes"] = [*result["notes"], f"how the tunnels are cannot be said: {error}"]
        super().exit_json(**result)


def main() -> None:
    module = MeshModule(argument_spec={**COMMON_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)

    def make_layer(params: dict[str, Any]) -> MeshLayer:
        module.layer = MeshLayer(options_from(params, module.check_mode))
        return module.layer

    run(module, NAME, make_layer)


if __name__ == "__main__":
    main()
