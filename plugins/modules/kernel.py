#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: sysctls and transparent huge pages of a node in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kernel
short_description: Sysctls and transparent huge pages of a node, live and after a reboot
version_added: 0.1.0
description:
  - Brings a whole set of kernel settings to the values asked for, in one call, live and persistent.
  - Persistent values stand in files of our own, one per owner, below C(/etc/sysctl.d) and C(/etc/tmpfiles.d).
    No other file is touched.
  - Live values are written and read back before a file is written, so that a value the kernel rejects never
    gets into a file. If anything fails, everything done so far is undone.
  - A key that this kernel does not have, that cannot be written here, or that another file or tuned profile
    takes away again is reported in RV(unapplied) and left alone.
  - Settings that are no longer asked for go back to the values they had before this module first changed
    them.
extends_documentation_fragment:
  - swarm.node.reconcile
  - swarm.node.reconcile.attributes
options:
  sysctl:
    description:
      - Sysctl name to value. The name may be dotted or with slashes (C(net/ipv4/conf/eth0.100/rp_filter)).
      - A list is written with blanks between its items.
      - A value such as V(>=1048576) is a floor. What is already higher stays as it is.
    type: dict
    default: {}
  thp:
    description: When the kernel uses transparent huge pages.
    type: str
    choices: [always, madvise, never]
  thp_defrag:
    description: How hard the kernel tries to make a huge page at a page fault.
    type: str
    choices: [always, defer, defer+madvise, madvise, never]
  yields_to:
    description:
      - Owners whose keys are left to them, and listed in RV(unapplied) as C(managed_by), where those of any
        other owner are refused. Once they have given a key back, the next run sets it.
    type: list
    elements: str
    default: []
  may_wait:
    description:
      - Whether a required key that is left to an owner in O(yields_to) fails nothing. It is for calls that
        another one of the same run follows, once that owner has given the key back.
    type: bool
    default: false
  sys_root:
    description:
      - Directory below which C(/proc), C(/sys), C(/etc) and C(/lib) are looked for.
      - For images that are not running, and for tests.
    type: path
    default: /
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: Large buffers and BBR, and a floor for the number of maps
  swarm.node.kernel:
    sysctl:
      net.core.rmem_max: 536870912
      net.ipv4.tcp_rmem: [4096, 87380, 268435456]
      net.ipv4.tcp_congestion_control: bbr
      vm.max_map_count: ">=1048576"
    thp: madvise
    required: [net.core.rmem_max]

- name: Give back everything a former owner held
  swarm.node.kernel:
    owner: storage_tuning
    state: absent
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be in check mode, in order. Each has C(key), C(target), C(before), C(after),
      C(unit), C(when), C(disruption), C(verify), C(undo), C(origin) and C(why).
  type: list
  elements: dict
  returned: success
  sample: [{"key": "vm.swappiness", "before": "60", "after": "10", "when": "now", "disruption": "none"}]
unapplied:
  description: What was asked for and is not so, with C(reason) and C(detail).
  type: list
  elements: dict
  returned: success
before:
  description: The live value of every key asked for, before.
  type: dict
  returned: success
after:
  description: The same afterwards.
  type: dict
  returned: success
details:
  description: Per key what is wanted, live, persistent and what it will be after a reboot.
  type: list
  elements: dict
  returned: success
notes:
  description: Things worth knowing about this node.
  type: list
  elements: str
  returned: success
layer:
  description: The layer, V(kernel).
  type: str
  returned: always
owner:
  description: On whose behalf the settings are held.
  type: str
  returned: success
plan_digest:
  description: Equal for equal plans.
  type: str
  returned: success
reboot_required:
  description: Whether a change takes effect only after a reboot.
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
  description:
    - What was set and waits for a reset or a reboot, with C(key), C(target), C(target_name), C(live),
      C(after), C(when) and C(detail). Always empty for this layer.
  type: list
  elements: dict
  returned: success
attention:
  description:
    - What is wrong with the hardware, whatever is asked for, with C(target), C(target_name), C(what),
      C(detail) and C(severity) (V(critical) or V(warning)). Always empty for this layer.
  type: list
  elements: dict
  returned: success
yielded:
  description: Keys that were left to owners of O(yields_to).
  type: list
  elements: str
  returned: success
other_owners:
  description: Owners that hold settings on this node, of any layer; without this one.
  type: list
  elements: str
  returned: success
degraded:
  description: Devices left out because they do not work. Always empty for this layer.
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

import contextlib
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.errors import NodeError
from ..module_utils.core.runner import COMMON_ARGUMENTS, run
from ..module_utils.core.store import Store
from ..module_utils.kernel.layer import KernelLayer
from ..module_utils.kernel.model import wishes_from
from ..module_utils.kernel.port import KernelPort

ARGUMENTS: dict[str, Any] = {
    "sysctl": {"type": "dict", "default": {}},
    "thp": {"type": "str", "choices": ["always", "madvise", "never"]},
    "thp_defrag": {"type": "str", "choices": ["always", "defer", "defer+madvise", "madvise", "never"]},
    "yields_to": {"type": "list", "elements": "str", "default": []},
    "may_wait": {"type": "bool", "default": False},
    "sys_root": {"type": "path", "default": "/"},
}


class KernelModule(AnsibleModule):
    """Adds to the result what the runner does not know: whose keys were left alone, and who else is there."""

    layer: Optional[KernelLayer] = None

    def exit_json(self, **result: Any) -> None:
        result["yielded"] = self.layer.yielded if self.layer else []
        result["other_owners"] = self.layer.other_owners if self.layer else self._others()
        super().exit_json(**result)

    def _others(self) -> list[str]:
        """Also where this layer is left alone: another one hears only so that it still holds something."""
        store = Store(self.params["state_dir"], self.params["run_dir"])
        with contextlib.suppress(NodeError, OSError):
            return sorted(set(store.other_claims(self.params["owner"] or KernelLayer.name).values()))
        return []


def make_layer(params: dict[str, Any]) -> KernelLayer:
    """The layer for these options. Raises BindError."""
    wishes = []
    if params["state"] == "present":
        sysfs = {"thp.enabled": params["thp"], "thp.defrag": params["thp_defrag"]}
        wishes = wishes_from(params["sysctl"], sysfs, params["required"], params["origins"])
    port = KernelPort(params["sys_root"], params["state_dir"])
    store = Store(params["state_dir"], params["run_dir"])
    owner = params["owner"] or KernelLayer.name
    return KernelLayer(port, store, owner, wishes, params["yields_to"], params["may_wait"])


def main() -> None:
    module = KernelModule(argument_spec={**COMMON_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)

    def kept(params: dict[str, Any]) -> KernelLayer:
        module.layer = make_layer(params)
        return module.layer

    run(module, KernelLayer.name, kept)


if __name__ == "__main__":
    main()
