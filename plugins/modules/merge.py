#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name; nothing of it runs on a node."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: merge
short_description: Decide on the controller what is wished of a node
version_added: 0.1.0
description:
  - Merges profile, group variables, host variables, play and extra variables into one set of module options
    per layer, checks them, and says of every value where it came from and what it beat.
  - Makes no connection and looks at no other host, so it is safe under C(--limit), C(serial) and C(free).
  - Scalars follow Ansible's ordinary precedence. Maps (C(kernel_sysctl)) are merged key by key.
  - Two groups that only the alphabet puts in order and that set one key differently are refused.
  - Unknown options, profiles and sysctls, values of a wrong type or out of the kernel's own bounds are
    refused with key, value, what is allowed and origin, all of them at once.
options:
  layers:
    description: The layers to merge for.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Can run in check mode; it never changes anything.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no diff.
    support: none
  idempotent:
    description: The same inventory gives the same result.
    support: full
  action:
    description: Runs on the controller.
    support: full
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: Decide what is wished of this node
  swarm.node.merge:
    layers: [kernel, gpu]
  register: merged

- name: Show where the power limit comes from
  ansible.builtin.debug:
    msg: "{{ merged.explain | selectattr('key', 'eq', 'gpu_power_limit') }}"
"""

RETURN = r"""
profile:
  description: The profile in force with its version, or null.
  type: str
  returned: success
  sample: training@1
layers:
  description: Per layer the options for its module, with C(origins).
  type: dict
  returned: success
node:
  description: The options that belong to no single layer.
  type: dict
  returned: success
explain:
  description: One entry per key with C(key), C(value), C(origin), C(source) and C(losers).
  type: list
  elements: dict
  returned: success
problems:
  description: What is wrong, one entry each, with C(key), C(value), C(allowed), C(origin).
  type: list
  elements: dict
  returned: failure
"""
