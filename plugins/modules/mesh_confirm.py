# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_confirm
short_description: Probes, confirms or undoes a change of the mesh that is armed on a node
version_added: 0.1.0
description:
  - A change by M(swarm.node.mesh) is armed on the node with a deadline before anything of it is made. The
    node undoes it at the deadline, also after a reboot, unless this module confirms it.
  - V(probe) looks whether the tunnels work, neighbour to neighbour. What worked before the change has to
    work, and so have peers in O(expect) and members further away that answered before. A new tunnel whose
    other end is not configured yet is V(pending), which is no failure.
  - V(confirm) makes the change last. V(revert) undoes it at once, and says what was undone.
  - The undo brings the node back to the shares it had before, by the same engine that changed it. Private and
    preshared keys are kept while something is armed.
author:
  - swarm.node contributors (@swarm-node)
options:
  action:
    description: What to do.
    type: str
    choices: [probe, confirm, revert]
    required: true
  token:
    description:
      - Of the run that made the change. Another one than that of the change that is armed is refused.
      - Needed for V(confirm).
    type: str
    default: ''
  meshes:
    description: Names of the meshes to probe. All of the node where none is named.
    type: list
    elements: str
    default: []
  expect:
    description:
      - Mesh to list of peers that have to answer, whether or not they did before. Everything is asked of
        them, a handshake, small packets, packets of the full MTU, and their mesh addresses where they are
        routed.
    type: dict
    default: {}
  why:
    description: Why V(revert) undoes the change; RV(reverted) and notes of later runs say it.
    type: str
    default: ''
  timeout:
    description: Seconds after which tunnels that have not answered count as not working. 1 to 300.
    type: float
    default: 15
  root:
    description: Where C(/etc), C(/proc) and C(/run) are looked for; for tests and containers.
    type: path
    default: /
  state_dir:
    description: Where records are kept, and what is armed.
    type: path
    default: /var/lib/swarm_node
  run_dir:
    description: Where the lock is kept.
    type: path
    default: /run/swarm_node
requirements:
  - wireguard-tools
attributes:
  check_mode:
    description:
      - V(probe) changes nothing and is the same in check mode. The others say what they would do.
    support: full
  diff_mode:
    description: There is nothing to show. RV(undone) says what V(revert) has undone.
    support: none
  idempotent:
    description: A second V(confirm) with the same token, or a second V(revert), changes nothing.
    support: full
  platform:
    description: Target systems.
    platforms: linux
    support: full
"""

EXAMPLES = r"""
- name: Look whether the tunnels work
  swarm.node.mesh_confirm:
    action: probe
    token: "{{ mesh_token }}"
    expect:
      wan: [gw1.fra, gw2.fra]
  become: true

- name: Make the change last
  swarm.node.mesh_confirm:
    action: confirm
    token: "{{ mesh_token }}"
  become: true

- name: Undo what is armed
  swarm.node.mesh_confirm:
    action: revert
  become: true
"""

RETURN = r"""
armed:
  description:
    - What is armed now, V(null) for nothing. C(token), C(deadline) (Unix time on the node's clock) and
      C(left_s), the seconds until the undo.
  type: dict
  returned: always
reverted:
  description:
    - What was undone last, V(null) for nothing. It stays until a later change is confirmed. C(token), C(when)
      (Unix time), C(why), C(undone) and C(left_out).
  type: dict
  returned: always
tunnels:
  description:
    - One entry per tunnel, with C(mesh), C(interface), C(peer), C(worked_before), C(required) (something has
      to work), C(handshake_age) (seconds, V(null) for never), C(sent) and C(answered) (echo requests to the
      other end's link-local address), C(rtt_ms) (the best), C(full_size) (packets of the tunnel's whole MTU
      came back), C(address) (the other end's mesh addresses answered), C(ok), C(state) and C(missing).
    - C(state) is V(ok), V(pending) (it does not work and need not) or V(failed). C(full_size) and C(address)
      are V(null) where there is nothing to check.
    - Of a foreign peer only the handshake counts.
  type: list
  elements: dict
  returned: when O(action=probe)
distant:
  description:
    - One entry for each member that is no neighbour and answered before the change that is armed, with
      C(mesh), C(address), C(rtt_ms) (V(null) where it does not answer any more) and C(ok). One to which no
      route leads any more has left, and is not among them.
  type: list
  elements: dict
  returned: when O(action=probe)
undone:
  description: What was undone, or would be in check mode.
  type: list
  elements: str
  returned: when O(action=revert)
changes:
  description: The same, as M(swarm.node.mesh) returns changes.
  type: list
  elements: dict
  returned: when O(action=revert)
unapplied:
  description: What could not be undone.
  type: list
  elements: dict
  returned: when O(action=revert)
notes:
  description: Things worth knowing.
  type: list
  elements: str
  returned: when O(action=revert)
writes:
  description: How many writes were made on the node.
  type: int
  returned: when O(action=revert) undid something
failure_kind:
  description:
    - V(refused) (the options, or another run's token), V(probe) (tunnels do not work), V(reverted) (it is too
      late to confirm), V(rolled_back) (the undo failed, and the change is still armed) or V(unavailable).
  type: str
  returned: failure
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.armed import TooLate
from ..module_utils.core.errors import BindError, NodeError, TransactionFailed
from ..module_utils.core.signals import signals_as_errors
from ..module_utils.core.store import RUN_DIR, STATE_DIR
from ..module_utils.mesh.confirming import (
    ProbeFailed,
    armed_info,
    check_options,
    make_guard,
    probe,
    revert,
)
from ..module_utils.mesh.guard import Guard
from ..module_utils.mesh.hints import with_root

ARGUMENTS: dict[str, Any] = {
    "action": {"type": "str", "choices": ["probe", "confirm", "revert"], "required": True},
    "token": {"type": "str", "default": "", "no_log": False},
    "meshes": {"type": "list", "elements": "str", "default": []},
    "expect": {"type": "dict", "default": {}},
    "why": {"type": "str", "default": ""},
    "timeout": {"type": "float", "default": 15},
    "root": {"type": "path", "default": "/"},
    "state_dir": {"type": "path", "default": STATE_DIR},
    "run_dir": {"type": "path", "default": RUN_DIR},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    guard = make_guard(module.params)
    try:
        with signals_as_errors():
            result = _done(guard, module.params, module.check_mode)
    except BindError as error:
        _fail(module, error, "refused", problems=[vars(problem) for problem in error.problems])
    except ProbeFailed as error:
        _fail(module, error, "probe", **error.found)
    except TooLate as error:
        _fail(module, error, "reverted")
    except TransactionFailed as error:
        found = {"rolled_back": error.rolled_back, "not_undone": error.not_undone}
        _fail(module, f"{error}; the change is still armed", "rolled_back", **found)
    except PermissionError as error:
        _fail(module, with_root(error), "unavailable")
    except (NodeError, OSError) as error:
        _fail(module, error, "unavailable")
    module.exit_json(**result)


def _done(guard: Guard, params: dict[str, Any], check: bool) -> dict[str, Any]:
    action, token = params["action"], params["token"]
    check_options(params)
    if action == "probe":
        looked = probe(guard, token, params["meshes"], params["expect"], params["timeout"])
        found: dict[str, Any] = {"changed": False, **looked}
    elif action == "confirm":
        found = {"changed": guard.confirm(token, check)}
    else:
        found = revert(guard, token, check, params["why"])
    return {**found, **_state(guard)}


def _state(guard: Guard) -> dict[str, Any]:
    reverted = guard.reverted()
    return {"armed": armed_info(guard), "reverted": None if reverted is None else asdict(reverted)}


def _fail(module: AnsibleModule, error: object, kind: str, **more: Any) -> None:
    module.fail_json(msg=str(error), failure_kind=kind, **more)


if __name__ == "__main__":
    main()
