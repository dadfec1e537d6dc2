# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_keys
short_description: Makes this node's WireGuard keys and says what a mesh's registry has to know of it
version_added: 0.1.0
description:
  - Makes the private key of a generation on the node, by C(wg genkey), in
    C(/etc/swarm_node/mesh/<mesh>/keys/<generation>.key) (mode 0600), and says its public key. A private key
    never leaves the node. It is in no result, diff, journal or command line.
  - Makes preshared keys and seals each to the public key of the other end, so that a registry can carry them.
    A seal can be opened with the other end's private key only, by X25519, HKDF-SHA256 and HMAC-SHA256.
  - A key that exists is never made again, nor overwritten.
  - Says what is below the mesh, which are networks in use, address and MTU of the way out, and which
    WireGuard there is. Reading this changes nothing.
author:
  - swarm.node contributors (@swarm-node)
options:
  mesh:
    description: Name of the mesh. A letter, then up to seven letters or digits, all lower case.
    type: str
    required: true
  name:
    description: Name of this node in RV(join_request). Defaults to the node's own host name.
    type: str
  generation:
    description: Which of the node's keys, from 1. Defaults to the newest there is, or 1.
    type: int
  new:
    description: Make the key of that generation where there is none.
    type: bool
    default: false
  seal_for:
    description: Preshared keys to make where they are missing, and to seal for the other end.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the preshared key, the same on both ends. It names its file.
        type: str
        required: true
      public_key:
        description: Public key of the other end, to which the preshared key is sealed.
        type: str
        required: true
  freeze:
    description:
      - If not empty, why this node must stay as it is. A run that would have to make a key fails then.
        A file C(freeze) in O(state_dir) does the same.
    type: str
    default: ''
  run:
    description: Who runs this and in which job. It is kept in the node's log of changes.
    type: dict
    default: {}
  root:
    description: Where C(/etc), C(/proc) and C(/sys) are looked for; for tests and containers.
    type: path
    default: /
  state_dir:
    description: Where the log of changes is kept.
    type: path
    default: /var/lib/swarm_node
  run_dir:
    description: Where the lock is kept.
    type: path
    default: /run/swarm_node
requirements:
  - wireguard-tools
  - iproute2 4.16 or newer
  - openssl 1.1.1 or newer, for preshared keys
attributes:
  check_mode:
    description: Can run in check mode and say what it would make, without making it.
    support: full
  diff_mode:
    description: Says which keys were made, by their public keys.
    support: full
  idempotent:
    description:
      - A second run with the same options changes nothing. RV(sealed) differs each time, because a seal has a
        key of its own; what is sealed stays the same.
    support: full
  platform:
    description: Target systems.
    platforms: linux
    support: full
"""

EXAMPLES = r"""
- name: Make the node's first key for the mesh, where it has none
  swarm.node.mesh_keys:
    mesh: wan
    new: true
  become: true
  register: node_keys

- name: Make the next key, for a rotation
  swarm.node.mesh_keys:
    mesh: wan
    generation: 2
    new: true
  become: true

- name: Seal a preshared key for the other end of a link
  swarm.node.mesh_keys:
    mesh: wan
    seal_for:
      - name: gw1.fra+home-ann
        public_key: "{{ peer_public_key }}"
  become: true

- name: Show what to send to the operator of the mesh
  ansible.builtin.debug:
    msg: "{{ node_keys.join_request }}"
"""

RETURN = r"""
mesh_name:
  description: Name of the mesh.
  type: str
  returned: success
generation:
  description: Which of the node's keys this is.
  type: int
  returned: success
generations:
  description: All generations for which the node has a key.
  type: list
  elements: int
  returned: success
public_key:
  description: Its public key; V(null) where there is none, or would be one after a run not in check mode.
  type: str
  returned: success
created:
  description: When the key was made, UTC.
  type: str
  returned: success
  sample: '2026-11-23T01:30:00Z'
sealed:
  description:
    - By name of the preshared key, C(sealed) and C(sender) (the ephemeral public key that goes with it), both
      in base64. In check mode, those that would be made are missing.
  type: dict
  returned: success
steps:
  description: What was made or mended, or would be in check mode.
  type: list
  elements: str
  returned: success
underlay:
  description:
    - C(networks) are those in use on the node, apart from the mesh, loopback and link-local ones;
      C(networks_left_out) says how many more there are, if there are more than 500.
    - C(ipv4) and C(ipv6) are the default routes, with C(device), C(address) and C(mtu), or V(null).
    - C(address) is that of the first of them, C(mtu) (bytes) the smallest, V(null) where there is none.
  type: dict
  returned: success
wireguard:
  description:
    - V(kernel), V(userspace) where only C(wireguard-go) is there, V(none) where there is neither.
  type: str
  returned: success
ipv6:
  description: Whether interfaces of the node get IPv6 addresses.
  type: bool
  returned: success
udp_ports:
  description: UDP ports on which something waits on the node, apart from tunnels of a mesh.
  type: list
  elements: int
  returned: success
time:
  description: The node's clock, Unix time in s.
  type: float
  returned: success
time_utc:
  description: The same to the second, UTC.
  type: str
  returned: success
join_request:
  description:
    - What a mesh's registry has to know of this node, as YAML, to be sent to its operator where no controller
      reaches the node. It holds no secret. V(null) where there is no key yet.
  type: str
  returned: success
"""

import platform
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.commands import execute_allowed
from ..module_utils.core.errors import BindError, NodeError
from ..module_utils.core.signals import signals_as_errors
from ..module_utils.core.store import RUN_DIR, STATE_DIR, Store
from ..module_utils.mesh.hints import with_root
from ..module_utils.mesh.keys_work import KeyOptions, KeyWork

ARGUMENTS: dict[str, Any] = {
    "mesh": {"type": "str", "required": True},
    "name": {"type": "str"},
    "generation": {"type": "int"},
    "new": {"type": "bool", "default": False},
    "seal_for": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "public_key": {"type": "str", "required": True, "no_log": False},
        },
    },
    "freeze": {"type": "str", "default": ""},
    "run": {"type": "dict", "default": {}},
    "root": {"type": "path", "default": "/"},
    "state_dir": {"type": "path", "default": STATE_DIR},
    "run_dir": {"type": "path", "default": RUN_DIR},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    store = Store(params["state_dir"], params["run_dir"])
    result: dict[str, Any] = {}
    try:
        with signals_as_errors():
            result = KeyWork(_options(params, module.check_mode, store), store).run()
    except BindError as error:
        problems = [vars(problem) for problem in error.problems]
        module.fail_json(msg=f"nothing was changed: {error}", problems=problems, failure_kind="refused")
    except PermissionError as error:
        module.fail_json(msg=with_root(error), failure_kind="unavailable")
    except (NodeError, OSError) as error:
        module.fail_json(msg=str(error), failure_kind="unavailable")
    module.exit_json(**result)


def _options(params: dict[str, Any], check: bool, store: Store) -> KeyOptions:
    return KeyOptions(
        mesh=params["mesh"],
        name=params["name"] or platform.node(),
        generation=params["generation"],
        new=params["new"],
        seal_for=params["seal_for"],
        check=check,
        frozen=params["freeze"] or store.frozen(),
        root=Path(params["root"]),
        runner=execute_allowed,
        run=params["run"],
    )


if __name__ == "__main__":
    main()
