#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: rings, coalescing, offloads, queues and the like of a node's network devices."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: nic
short_description: Settings of network devices, live and after a reboot, taken back unless confirmed
version_added: 0.1.0
description:
  - Brings network devices to the settings asked for, in one call and as one transaction. What a device does
    not have is reported in RV(unapplied), never a failure; a number that is above what it takes is refused
    before anything is changed.
  - Devices are chosen by selectors, each with settings of its own. The more a selector says, the more it
    counts, setting by setting. A name counts more than a pattern, a pattern more than a driver, a driver more
    than V(default_route), and that more than V(all).
  - Nothing of it may cut the node off. After a change that can take a link down the module waits until
    carrier, addresses and routes are back, and until the default gateway and whoever is logged in by ssh
    answer. If not, everything is undone in the same call.
  - With O(confirm_seconds) a guard on the node takes the change back unless O(state=confirmed) is run in
    time. So does a reboot.
  - Settings that last are applied again at boot, before the network comes up, and to a device that appears
    later, by this collection's own code and from its record.
  - Settings that are no longer asked for go back to the values they had before this module first changed
    them, where they still are what it had set.
extends_documentation_fragment:
  - swarm.node.reconcile
  - swarm.node.reconcile.attributes
options:
  interfaces:
    description:
      - Selector to settings. A selector is V(all) (every device, none of lo, bridges, veths and tunnels),
        V(default_route) (the devices beneath the default routes, through VLANs, bonds and bridges),
        C(driver:) with a name or pattern of a driver, a pattern such as V(enp*), or a name. C(name:) before a
        name keeps V(all) and the like from being taken for words.
      - A name that does not exist is refused. The others may name nothing.
      - Settings are C(rings) (C(rx), C(tx), C(rx-mini), C(rx-jumbo)), C(channels) (C(rx), C(tx),
        C(combined)), C(coalesce) and C(features) (maps of the names ethtool has for them), C(rss) (C(equal)),
        C(rps), C(xps), C(irq_affinity), C(txqueuelen), C(napi_defer_hard_irqs), C(gro_flush_timeout) and
        C(qdisc).
      - C(rings) and C(channels) take a number, V(max), or a floor such as V(>=1024); C(channels) also
        V(cores), as many as the device's NUMA node has CPUs. C(rps), C(xps) and C(irq_affinity) take V(local)
        (the CPUs of the device's NUMA node), V(all) or a list of CPUs; the first two also V(off).
      - C(qdisc) is V(fq), V(fq_codel), V(fq_pie), V(pfifo_fast), V(pfifo), V(bfifo), V(sfq), V(codel),
        V(noqueue), one of those for each queue (V(mq+fq)), or V(default).
    type: dict
    default: {}
  state:
    description:
      - V(present) makes the devices what is asked for. Settings this owner held before and is no longer asked
        for go back to the values they had before.
      - V(absent) gives back everything this owner holds.
      - V(confirmed) makes the change of the run O(token) last. V(reverted) takes back at once what is armed.
        Both look at no device and at none of the settings.
    type: str
    choices: [present, absent, confirmed, reverted]
    default: present
  confirm_seconds:
    description:
      - Within how many seconds a change of a device that is in use has to be confirmed. The node takes it
        back then, up to a fifth later. V(0) arms nothing.
    type: int
    default: 120
  token:
    description:
      - Of the run. It is made up where it is empty, and is in RV(token) then.
      - Needed for V(confirmed); another one than that of the change that is armed is refused.
    type: str
    default: ''
  link_timeout:
    description: Seconds a link has to come back after a change.
    type: float
    default: 30
  persist:
    description:
      - Whether what applies settings again after a boot, and to a device that appears later, is put on the
        node. Where it is there for another owner, it applies the settings of all.
    type: bool
    default: true
  survey:
    description:
      - Also answer with RV(survey), for layers whose values depend on it. It asks C(ip) twice, unless
        V(default_route) is asked for anyway.
    type: bool
    default: false
  root:
    description: Where C(/proc), C(/sys) and C(/etc) are looked for; for tests.
    type: path
    default: /
requirements:
  - iproute2 (tc for C(qdisc); ip for V(default_route) and to see whether a link came back)
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: Long rings, local interrupts and a fair queue on all devices, and no LRO on those of one driver
  swarm.node.nic:
    interfaces:
      all:
        rings: {rx: max, tx: max}
        channels: {combined: cores}
        irq_affinity: local
        txqueuelen: 10000
        qdisc: mq+fq
      driver:ixgbe:
        features: {lro: false}
      eno1:
        rings: {rx: 1024}
    max_disruption: peer_jobs
  register: nic
  become: true

- name: Make the change last, as the node was reached again
  swarm.node.nic:
    state: confirmed
    token: "{{ nic.token }}"
  when: nic.armed is not none
  become: true

- name: Give back everything
  swarm.node.nic:
    state: absent
    max_disruption: peer_jobs
  become: true
"""

RETURN = r"""
armed:
  description:
    - What is armed on the node now, V(null) for nothing. C(token), C(deadline) (Unix time on the node's
      clock) and C(left_s), the seconds until it is taken back.
  type: dict
  returned: always, but in failures
token:
  description: Under which a change of this run is armed.
  type: str
  returned: success
survey:
  description:
    - The devices beneath the default routes with their speed in Mbit/s, V(null) where it is not known
      (C(devices)), why there are none (C(beneath)), and the node's C(memory) and C(page_size) in bytes.
  type: dict
  returned: when O(survey=true), but in failures
  sample: {"devices": {"eth0": 10000}, "beneath": "", "memory": 540135677952, "page_size": 4096}
changes:
  description:
    - What was changed, or would be in check mode, in order. Each has C(key), C(target) (the interface),
      C(before), C(after), C(unit), C(when), C(disruption), C(verify), C(undo), C(origin) and C(why).
    - The keys are those of the settings with C(nic.) before them (C(nic.rings.rx), C(nic.features.rx-gro)),
      C(nic.guard) for the arming, C(nic.boot) for the unit and C(file) for its files.
  type: list
  elements: dict
  returned: success
  sample: [{"key": "nic.rings.rx", "target": "eth0", "before": 512, "after": 8192, "disruption": "peer_jobs"}]
unapplied:
  description: What was asked for and is not so, with C(reason) and C(detail).
  type: list
  elements: dict
  returned: success
undone:
  description: What was taken back, in words.
  type: list
  elements: str
  returned: when O(state=reverted)
before:
  description: The live value by setting and interface, before.
  type: dict
  returned: success
after:
  description: The same afterwards. Where a driver has rounded a value up it is what the driver made of it.
  type: dict
  returned: success
details:
  description: Per setting and interface what is wanted, live, persistent and what it will be after a reboot.
  type: list
  elements: dict
  returned: success
notes:
  description: Things worth knowing, such as a value that a driver has rounded up.
  type: list
  elements: str
  returned: success
layer:
  description: The layer, V(nic).
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
  description: A change that the node has taken back by itself, as C(nic_reverted).
  type: list
  elements: dict
  returned: success
degraded:
  description: Interfaces that went away while they were set.
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

from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.contract import Outcome
from ..module_utils.core.model import Plan
from ..module_utils.core.runner import COMMON_ARGUMENTS, diff_of, run
from ..module_utils.nic.asked import options_from
from ..module_utils.nic.confirming import confirmed_or_reverted
from ..module_utils.nic.layer import NAME, NicLayer

ARGUMENTS: dict[str, Any] = {
    "interfaces": {"type": "dict", "default": {}},
    "state": {
        "type": "str",
        "choices": ["present", "absent", "confirmed", "reverted"],
        "default": "present",
    },
    "confirm_seconds": {"type": "int", "default": 120},
    "token": {"type": "str", "default": "", "no_log": False},
    "link_timeout": {"type": "float", "default": 30},
    "persist": {"type": "bool", "default": True},
    "survey": {"type": "bool", "default": False},
    "root": {"type": "path", "default": "/"},
}


class NicModule(AnsibleModule):
    """Adds to the result what the runner does not know: the run's token, and what is armed."""

    layer: Optional[NicLayer] = None

    def exit_json(self, **result: Any) -> None:
        if self.layer is not None:
            result["token"] = self.layer.token
            result["armed"] = self.layer.guard.info()
            if self.layer.survey is not None:
                result["survey"] = self.layer.survey
        else:
            result.setdefault("armed", None)
        super().exit_json(**result)


def main() -> None:
    module = NicModule(argument_spec={**COMMON_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)
    if module.params["state"] in ("confirmed", "reverted"):
        good, answer = confirmed_or_reverted(module.params, module.check_mode)
        if good:
            module.exit_json(diff=diff_of(Outcome(NAME, answer["owner"], Plan())), **answer)
        module.fail_json(**answer)

    def make_layer(params: dict[str, Any]) -> NicLayer:
        module.layer = NicLayer(options_from(params, module.check_mode))
        return module.layer

    run(module, NAME, make_layer)


if __name__ == "__main__":
    main()
