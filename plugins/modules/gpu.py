# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu
short_description: Reconciles power limits, clock locks and modes of NVIDIA GPUs
version_added: 0.1.0
description:
  - Sets what is asked for on the GPUs of a node by NVML, verifies it, and undoes everything on failure.
  - A node without NVIDIA GPUs has nothing to do. A node whose GPUs cannot be asked (no driver, no library,
    no binding) fails.
  - Power limits, clock locks and accounting are lost when the driver unloads and on reboot, so persistence
    mode is turned on along with them. Where a GPU cannot have it, they are unapplied as V(volatile).
  - O(power_limit), O(graphics_clocks), O(memory_clocks), O(persistence_mode), O(compute_mode), O(ecc) and
    O(accounting_mode) take one value for all GPUs or a map. Its keys are a UUID, a PCI address in quotes
    (V("0000:5d:00.0")), an index, a model as NVML reports it, with or without C(NVIDIA) before it, or V(all);
    the most specific one counts, in this order. A V(null) in the map leaves those GPUs alone. V(default) is
    the board's own value of every key.
  - What a driver refuses to set is unapplied as V(unsupported), and not tried again until another load of it.
extends_documentation_fragment:
  - swarm.node.reconcile
  - swarm.node.gpu
  - swarm.node.reconcile.attributes
author:
  - swarm.node contributors (@swarm-node)
options:
  power_limit:
    description:
      - Watts (V(630), V(630W)), a share (V(90%default), V(80%max), or V(80%range) for the minimum plus that
        share of the way to the maximum), V(default), V(min) or V(max). Shares are rounded down to whole W.
    type: raw
  graphics_clocks:
    description:
      - Clocks the graphics clock is kept between, in MHz. V(1200-1980) is a range; a single value such as
        V(1980) or V(80%max) is the upper end, with the lowest clock of the board as the lower one.
        Shares are of V(max) or V(range). V(max) alone holds the clock at the highest, V(min) at the lowest.
        V(unlocked) or V(default) lifts the lock.
      - Values are moved down to the next clock that the board supports.
      - Needs a GPU of the Volta generation or newer.
    type: raw
  memory_clocks:
    description:
      - The same for the memory clock. Needs a GPU of the Ampere generation or newer.
    type: raw
  persistence_mode:
    description:
      - Whether the driver keeps the GPU initialised while nobody uses it.
      - If not set, it is turned on where another setting needs it. V(default) is off, unless something does.
      - It is not turned off while C(nvidia-persistenced) holds the GPU.
    type: raw
  compute_mode:
    description:
      - V(default) (any number of processes), V(exclusive_process) (one at a time) or V(prohibited) (none).
      - While processes compute on the GPU a change needs O(max_disruption=node_jobs).
      - Cannot be set while MIG is on. Lost on reboot.
    type: raw
  ecc:
    description:
      - Whether the GPU's memory is protected by ECC.
      - What is set takes effect when the GPU is reset or the node boots, so a change needs
        O(max_disruption=reboot). Until then RV(pending) lists it in every run.
    type: raw
  accounting_mode:
    description:
      - Whether the driver keeps account of the processes that ran on the GPU. Needs persistence mode.
    type: raw
  reset:
    description:
      - V(true) or V(all), or a list of selectors. These GPUs are brought to the board's defaults for every
        key that nobody asks for otherwise. V(false) resets none. What another owner holds stays.
    type: raw
  nccl:
    description:
      - Whether C(/etc/nccl.conf) holds what the topology of the node justifies, each line with its reason.
      - A map with C(interfaces), C(devices) (lists of names) and C(settings) (NCCL's variables) decides
        instead or adds to it. A file that is there and not of this collection stays.
    type: raw
requirements:
  - pynvml (Debian package python3-pynvml, or nvidia-ml-py)
"""

EXAMPLES = r"""
- name: Cap all GPUs at 90 percent of their default power
  swarm.node.gpu:
    power_limit: 90%default
  become: true

- name: Different boards, different limits, and one GPU left alone
  swarm.node.gpu:
    power_limit:
      H100 80GB HBM3: 630
      L40S: 80%max
      "3": null
    expect:
      count: 8
  become: true

- name: Keep the graphics clock below 80 percent
  swarm.node.gpu:
    graphics_clocks: 80%max
  become: true

- name: One process at a time, ECC on, and whatever else was set by hand is gone
  swarm.node.gpu:
    compute_mode: exclusive_process
    ecc: true
    reset: true
    max_disruption: reboot
  become: true

- name: A limit for the GPU in one slot
  swarm.node.gpu:
    power_limit:
      "0000:5d:00.0": 80%default
  become: true

- name: Give back everything that was set
  swarm.node.gpu:
    state: absent
  become: true
"""

RETURN = r"""
layer:
  description: The layer, always V(gpu).
  type: str
  returned: always
owner:
  description: On whose behalf the settings are held.
  type: str
  returned: success
changes:
  description:
    - What was changed, or would be in check mode, in order. Each has C(key), C(target) (the UUID),
      C(target_name), C(before), C(after), C(unit), C(when), C(disruption), C(verify), C(undo), C(origin)
      and C(why).
    - The keys are C(gpu.persistence_mode), C(gpu.power_limit), C(gpu.graphics_clocks), C(gpu.memory_clocks),
      C(gpu.accounting_mode), C(gpu.compute_mode) and C(gpu.ecc).
    - C(gpu.lock_memory) is the memory of what a GPU was locked to, forgotten once that GPU is lost.
    - Clocks are C([min, max]) in MHz or V(unlocked). Values of C(gpu.ecc) are the mode that is set, whether
      it is in force yet or not.
  type: list
  elements: dict
  returned: success
unapplied:
  description: What was asked for and is not so, with C(reason) and C(detail).
  type: list
  elements: dict
  returned: success
before:
  description: The live value by key and UUID, before. A V(null) is unknown.
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
reboot_required:
  description: Whether a change, or something pending, takes effect only after a reboot or a reset of the GPU.
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
pending:
  description:
    - What was set and waits for a reset or a reboot, with C(key), C(target), C(target_name), C(live),
      C(after), C(when) and C(detail).
  type: list
  elements: dict
  returned: success
attention:
  description:
    - What is wrong with the GPUs of this node, whatever is asked for, with C(target), C(target_name),
      C(what), C(detail) and C(severity) (V(critical) or V(warning)).
  type: list
  elements: dict
  returned: success
degraded:
  description: GPUs left out because they do not work, found so at the start or lost half-way.
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

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.boot.part import with_boot
from ..module_utils.core.composite import Composite
from ..module_utils.core.runner import COMMON_ARGUMENTS, run
from ..module_utils.gpu.arguments import ARGUMENTS as GPU_ARGUMENTS
from ..module_utils.gpu.layer import GpuLayer, options_from
from ..module_utils.gpu_topology.nccl_part import nccl_part

ARGUMENTS: dict[str, Any] = {
    "power_limit": {"type": "raw"},
    "graphics_clocks": {"type": "raw"},
    "memory_clocks": {"type": "raw"},
    "persistence_mode": {"type": "raw"},
    "compute_mode": {"type": "raw"},
    "ecc": {"type": "raw"},
    "accounting_mode": {"type": "raw"},
    "reset": {"type": "raw"},
    "nccl": {"type": "raw"},
    **GPU_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec={**COMMON_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)
    layers: list[GpuLayer] = []

    def make_layer(params: dict[str, Any]) -> Composite:
        layers.append(GpuLayer(options_from(params, module.check_mode)))
        return with_boot(layers[0], params, [nccl_part(layers[0].nvml, params)])

    try:
        run(module, GpuLayer.name, make_layer)
    finally:
        for layer in layers:
            layer.close()


if __name__ == "__main__":
    main()
