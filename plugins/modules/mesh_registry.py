#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; nothing of it runs on a node."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: mesh_registry
short_description: Change the registry of a mesh on the controller
version_added: 0.1.0
description:
  - A mesh has one registry file beside the inventory, with all members, their public keys and links. Every
    change of the mesh begins with a change of that file, and nodes then get their share of it
    (M(swarm.node.mesh)). The playbooks C(swarm.node.mesh_join), C(swarm.node.mesh_leave) and so on do both.
  - Makes no connection. The file is read and written under a lock, whole, and only if something changed.
  - Every operation can be repeated and takes up where an earlier one was cut off.
  - Everything is checked before anything is written. A refusal names key, value, what is allowed and origin.
options:
  operation:
    description:
      - V(join) gives hosts a number, addresses and links, and brings members to their wishes.
      - V(endpoint) does the latter only.
      - V(leave) takes the routes off all links of the members; V(finish) then takes links and members out.
      - V(rotate) puts tunnels with the members' new keys beside those with the old.
      - V(rekey) replaces the keys of members that were installed again, at once.
      - V(replan) plans the links anew. No other operation moves links of members it is not about, but for
        those that keep the mesh together when a member leaves.
      - V(seal) puts in preshared keys that members made; all operations with O(members) do that, too.
      - V(finish) goes one step further for each link that has the proof for it. While RV(pending) names
        links, apply the shares and finish again.
      - V(show) changes nothing.
    type: str
    choices: [join, leave, rotate, rekey, endpoint, replan, seal, finish, show]
    required: true
  mesh:
    description: Name of the mesh.
    type: str
    required: true
  registry_dir:
    description:
      - Where the registries are, relative to the inventory. By default C(mesh/) beside the inventory.
        An operation V(join) makes it.
    type: str
  members:
    description:
      - The hosts that the operation is for. V(join), V(rotate), V(rekey), V(endpoint) and V(seal) need what
        M(swarm.node.merge) (registered as C(__mesh_merged)) and M(swarm.node.mesh_keys) (registered as
        C(__mesh_keys), a loop over meshes or not) answered for each of them in this run.
    type: list
    elements: str
    default: []
  request:
    description:
      - The join request of a node that the controller does not reach, as its C(mesh_keys) printed it.
        It counts as one more host of O(members); its wishes are those of the inventory, if it is there.
    type: raw
  keep_until:
    description:
      - For V(rotate). A date (V(2026-12-31)) until which members that do not answer keep the old keys;
        after it, V(finish) takes those away without proof. Without it they stay until there is proof.
    type: str
  confirmed:
    description:
      - For V(finish). Member to the result of M(swarm.node.mesh_confirm) (or its C(tunnels)). A handshake of
        the last 180 seconds on a new tunnel proves it for both ends, whichever saw it. Members named here
        count as O(applied).
    type: raw
  applied:
    description:
      - For V(finish). Members that have applied their present share. One whose C(__mesh_result) of this run
        was for an older share is not counted.
    type: list
    elements: str
    default: []
  receipts:
    description:
      - For V(finish) and V(seal). Receipts of nodes that pull, as C(swarm.node.mesh_pull) writes them, files
        or directories of files C(*.yml). V(finish) counts a member whose receipt is for its present share as
        O(applied); V(seal) puts in the preshared keys that the member made.
    type: list
    elements: str
    default: []
  latencies:
    description:
      - For V(replan) and V(join). Measured round trips, a list of C({ends} [two members], ms) each. They are
        kept with the links.
      - V(replan) also keeps them in C(<mesh>.latency.json) beside the registry, and plans with what is there
        unless it differs by more than half and by more than 2 ms. So noise moves no link. A link is only
        dropped for one that is clearly better.
    type: list
    elements: dict
    default: []
  since:
    description:
      - When the first of the members was asked for its clock (Unix time), so that a long run is not taken for
        a wrong clock. Defaults to now.
    type: float
  targets:
    description: For V(show). Say in RV(targets) which members each is to measure the round trip to.
    type: bool
    default: false
attributes:
  check_mode:
    description: Can run in check mode; it says what would change, without writing it.
    support: full
  diff_mode:
    description: Shows the registry before and after. No secret is in it.
    support: full
  idempotent:
    description:
      - The same operation again changes nothing, but for V(finish), which goes on as long as there is proof.
    support: partial
  action:
    description: Runs on the controller.
    support: full
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: Put the hosts of this play into the mesh
  swarm.node.mesh_registry:
    operation: join
    mesh: wan
    members: "{{ ansible_play_hosts }}"
  run_once: true
  register: joined

- name: Put in a node that cannot be reached
  swarm.node.mesh_registry:
    operation: join
    mesh: wan
    request: "{{ lookup('ansible.builtin.file', 'home-bo.request.yml') }}"
  run_once: true

- name: Take the old tunnels away where the new ones work
  swarm.node.mesh_registry:
    operation: finish
    mesh: wan
    confirmed: "{{ {'gw1.fra': probe_of_gw1} }}"
  run_once: true
"""

RETURN = r"""
mesh:
  description: Name of the mesh.
  type: str
  returned: success
registry:
  description: Path of the registry.
  type: str
  returned: success
affected:
  description: Members whose share of the mesh is another now.
  type: list
  elements: str
  returned: success
report:
  description: What was changed, in words.
  type: list
  elements: str
  returned: success
  sample: ['home-bo: joins as number 65 of region home', 'gw1.fra – home-bo: new link']
pending:
  description:
    - What is still to be done, each with C(what), C(why) and C(ends) or C(member). C(what) is V(proof) (no
      handshake on a new tunnel yet), V(applied) (ends have not applied their share yet), V(psk) (a preshared
      key is to be made), V(slot) (no port is free for a link), V(key) (a node makes its key first) or
      V(foreign) (a foreign peer still uses an old key).
  type: list
  elements: dict
  returned: success
seal_for:
  description:
    - Member to what its M(swarm.node.mesh_keys) is to be told as C(seal_for), for those under V(psk).
  type: dict
  returned: success
members:
  description:
    - For each of O(members), with operation V(show) and none of them for all, C(number), C(addresses),
      C(region), C(generation), C(newest_generation), C(next_generation) (of a
      rotation), C(next_key) (never used yet), C(neighbours), C(leaving) and C(rotating).
  type: dict
  returned: success
departed:
  description: Who has left the mesh, and on which day.
  type: dict
  returned: success
targets:
  description:
    - Member to the members it is to measure the round trip to (M(swarm.node.mesh_latency)), C(name) and
      C(host) each. Up to 50 members everybody measures everybody; beyond that it is neighbours, up to 32
      members of the own region, up to 32 transit members of others, and a sample of 8.
  type: dict
  returned: with O(targets)
problems:
  description: What is wrong, one entry each, with C(key), C(value), C(allowed), C(origin), C(target).
  type: list
  elements: dict
  returned: failure
"""
