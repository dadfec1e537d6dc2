# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter `swarm.node.transport_sysctls`: wishes of the transport layer as options of the module kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.transport.sysctls import sysctls_of
from ..plugin_utils.transport.values import survey_from
from ..plugin_utils.transport.wishes import NIC

DOCUMENTATION = r"""
---
name: transport_sysctls
short_description: The sysctls that the transport layer's wishes come to on a node
version_added: 0.1.0
author:
  - swarm.node contributors (@swarm-node)
description:
  - Reckons buffers from link speed, round trip and memory, and puts all sysctls of the layer together.
positional: _input, survey
options:
  _input:
    description: C(layers.transport) of the result of M(swarm.node.merge).
    type: dict
    required: true
  survey:
    description: What M(swarm.node.nic) says of the node with O(swarm.node.nic#module:survey=true).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Set them
  swarm.node.kernel:
    owner: transport
    sysctl: "{{ reckoned.sysctl }}"
    origins: "{{ reckoned.origins }}"
  vars:
    reckoned: "{{ merged.layers.transport | swarm.node.transport_sysctls(devices.survey) }}"
"""

RETURN = r"""
_value:
  description: C(sysctl), C(origins) and C(required), as M(swarm.node.kernel) takes them.
  type: dict
"""


def transport_sysctls(wishes: Mapping[str, Any], survey: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """{sysctl, origins, required}"""
    known = survey_from(survey)
    manages = wishes.get("manage") != "none"  # Else nobody has asked the node.
    if manages and "udp_memory_percent" in wishes and not known.memory:
        origin = wishes.get("origins", {}).get("udp_memory_percent", "task")
        raise AnsibleFilterError(
            f"transport_udp_memory_percent: {wishes['udp_memory_percent']!r} is refused (from {origin}), as "
            "the node does not tell its memory; allowed: net.ipv4.udp_mem of kernel_sysctl, in pages"
        )
    values, origins = sysctls_of(wishes, known)
    required = [name for name in wishes.get("required") or [] if not name.startswith(NIC)]
    return {"sysctl": values, "origins": origins, "required": required}


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, Any]:
        return {"transport_sysctls": transport_sysctls}
