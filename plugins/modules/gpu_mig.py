# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_mig
short_description: Reconciles MIG mode and MIG instances of NVIDIA GPUs
version_added: 0.1.0
description:
  - Makes every GPU have the GPU instances and compute instances that are asked for, by NVML, verifies it, and
    puts the old layout back on failure.
  - Instances that serve the wish already are never touched. An instance that a process uses is never
    destroyed; the layout is then listed as unapplied with the processes.
  - Whatever destroys an instance or turns MIG on or off has the disruption V(node_jobs), and so is left out
    unless O(max_disruption) allows it. Creating instances in free space has V(none).
  - On Ampere boards a change of the mode may need a reset of the GPU or a reboot. Then the mode is listed in
    RV(pending) and the layout in RV(unapplied), with the reason V(needs_reset).
  - On Hopper boards and newer the mode is lost when the driver unloads. Instances are lost then on any board.
  - Reading MIG layouts needs root, in check mode too.
extends_documentation_fragment:
  - swarm.node.reconcile
  - swarm.node.gpu
  - swarm.node.reconcile.attributes
author:
  - swarm.node contributors (@swarm-node)
options:
  mig:
    description:
      - One layout for all GPUs, or a map from selector to layout. Selectors are V(all), an index, a PCI
        address, a UUID, or a model as NVML reports it, with or without C(NVIDIA) before it; the most specific
        one counts. A V(null) in the map leaves those GPUs alone.
      - A layout is V(disabled) (or V(false)), V(enabled) (MIG is on, instances are left alone),
        V(all-1g.10gb) (as many as fit), V(balanced) (as C(all-balanced) of C(mig-parted)), a profile,
        a list of profiles, a map from profile to count, or a name from O(layouts).
      - A profile is written as C(nvidia-smi) shows it, such as V(3g.40gb) or V(1g.10gb+me). V(3g.40gb:4)
        begins at memory slice 4. V(1c.3g.40gb) is a compute instance; these are put into as few GPU instances
        as they need. In a map the count may be a map itself, of C(count) and C(compute), a list of the
        compute instances in each.
    type: raw
  layouts:
    description:
      - Layouts by name, each a layout as in O(mig). They cannot name each other.
    type: dict
  assert_only:
    description:
      - Change nothing, and fail with every difference if the node is not as O(mig) says.
      - It has no effect with O(state=absent).
    type: bool
    default: false
requirements:
  - pynvml (Debian package python3-pynvml, or nvidia-ml-py), 11.525 or newer
"""

EXAMPLES = r"""
- name: Seven small instances on every GPU
  swarm.node.gpu_mig:
    mig: all-1g.10gb
    max_disruption: node_jobs
  become: true

- name: A layout per model, and one GPU without MIG
  swarm.node.gpu_mig:
    mig:
      H100 80GB HBM3: {3g.40gb: 1, 2g.20gb: 1, 1g.10gb: 2}
      A100-SXM4-40GB: halves
      "7": disabled
    layouts:
      halves: [3g.20gb, 3g.20gb]
    max_disruption: node_jobs
  become: true

- name: One GPU instance that two compute instances share
  swarm.node.gpu_mig:
    mig:
      "0": {3g.40gb: {count: 1, compute: [1c.3g.40gb, 2c.3g.40gb]}}
  become: true

- name: Fail if somebody has changed the layout
  swarm.node.gpu_mig:
    mig: balanced
    assert_only: true
  become: true

- name: Give back what was there before
  swarm.node.gpu_mig:
    state: absent
    max_disruption: node_jobs
  become: true
"""

RETURN = r"""
layer:
  description: The layer, always V(gpu_mig).
  type: str
  returned: always
owner:
  description: On whose behalf the layouts are held.
  type: str
  returned: success
changes:
  description:
    - What was changed, or would be in check mode, in order. Each has C(key), C(target) (the UUID),
      C(target_name), C(before), C(after), C(unit), C(when), C(disruption), C(verify), C(undo), C(origin)
      and C(why).
    - The keys are C(gpu_mig.mode) (V(enabled) or V(disabled)) and C(gpu_mig.layout), a list with one text
      for each GPU instance, such as C(3g.40gb:4) for one that begins at memory slice 4 and has one compute
      instance that fills it, or C(3g.40gb:0 (2c, 1c)) for one with two compute instances.
  type: list
  elements: dict
  returned: success
unapplied:
  description:
    - What was asked for and is not so, with C(reason) and C(detail). The reason V(busy) names processes,
      V(needs_reset) means the mode has to take effect first.
  type: list
  elements: dict
  returned: success
before:
  description: The live value by key and UUID, before.
  type: dict
  returned: success
after:
  description: The same afterwards.
  type: dict
  returned: success
details:
  description: Per key and GPU what is asked for, wanted, live, and what it will be after a reboot.
  type: list
  elements: dict
  returned: success
notes:
  description: Things worth knowing about this node.
  type: list
  elements: str
  returned: success
pending:
  description: Modes that are set and wait for a reset of the GPU or a reboot.
  type: list
  elements: dict
  returned: success
attention:
  description: What is wrong with the hardware. This layer does not look for it.
  type: list
  elements: dict
  returned: success
reboot_required:
  description: Whether a mode waits for a reset of the GPU or a reboot.
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
  description: GPUs that went away half-way.
  type: list
  elements: str
  returned: success
problems:
  description:
    - What is wrong with the wish, or with O(assert_only) what is not as declared; one entry each, with
      C(key), C(value), C(allowed), C(origin), C(target).
  type: list
  elements: dict
  returned: when the wish is refused, or the node is not as declared
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

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.boot.part import with_boot
from ..module_utils.core.composite import Composite
from ..module_utils.core.runner import COMMON_ARGUMENTS, run
from ..module_utils.gpu.arguments import ARGUMENTS as GPU_ARGUMENTS
from ..module_utils.gpu_mig.layer import MigLayer, options_from

ARGUMENTS: dict[str, Any] = {
    "mig": {"type": "raw"},
    "layouts": {"type": "dict"},
    "assert_only": {"type": "bool", "default": False},
    **GPU_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec={**COMMON_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)
    layers: list[MigLayer] = []

    def make_layer(params: dict[str, Any]) -> Composite:
        layer = MigLayer(options_from(params, module.check_mode))
        layers.append(layer)
        composite = with_boot(layer, params)
        layer.whole_plan = lambda: composite.planned
        return composite

    try:
        run(module, MigLayer.name, make_layer)
    finally:
        for layer in layers:
            layer.close()


if __name__ == "__main__":
    main()
