# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter `swarm.node.transport_devices`: wishes of the transport layer as options of the module nic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C

from ..plugin_utils.transport.devices import devices_of
from ..plugin_utils.transport.wishes import NIC

DOCUMENTATION = r"""
---
name: transport_devices
short_description: What the transport layer's wishes ask of network devices
version_added: 0.1.0
author:
  - swarm.node contributors (@swarm-node)
description:
  - Puts queueing disciplines, offloads and C(transport_interfaces) together, by selector.
positional: _input
options:
  _input:
    description: C(layers.transport) of the result of M(swarm.node.merge).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Set them
  swarm.node.nic:
    owner: transport_nic
    interfaces: "{{ asked.interfaces }}"
    origins: "{{ asked.origins }}"
    token: "{{ asked.token }}"
  vars:
    asked: "{{ merged.layers.transport | swarm.node.transport_devices }}"
"""

RETURN = r"""
_value:
  description:
    - C(interfaces), C(origins) and C(required), as M(swarm.node.nic) takes them, and a C(token) that all
      tasks and hosts of one run of Ansible share.
  type: dict
"""


def transport_devices(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """{interfaces, origins, required, token}"""
    interfaces, origins = devices_of(wishes)
    return {
        "interfaces": interfaces,
        "origins": origins,
        "required": [name for name in wishes.get("required") or [] if name.startswith(NIC)],
        # One run of Ansible has one such directory.
        "token": Path(C.DEFAULT_LOCAL_TMP).name,
    }


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        return {"transport_devices": transport_devices}
