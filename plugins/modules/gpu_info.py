# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Reads the NVIDIA GPUs of a node
version_added: 0.1.0
description:
  - Reads by NVML what C(nvidia-smi -q) shows; changes nothing.
  - A node without GPUs, driver or binding is no failure; RV(available) says so, RV(reason) why.
  - Values that a GPU, driver or user does not get are V(null).
author:
  - swarm.node contributors (@swarm-node)
options:
  pynvml_path:
    description: A directory or wheel on the node that holds the Python module C(pynvml).
    type: path
  nvml_library:
    description: The absolute path of C(libnvidia-ml.so.1), where the dynamic linker does not find it.
    type: path
  sys_root:
    description: Where C(/proc), C(/sys) and C(/run) are looked for; for tests and containers.
    type: path
    default: /
requirements:
  - pynvml (Debian package python3-pynvml, or nvidia-ml-py)
  - psutil, for the names of processes
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  platform:
    description: Target systems.
    platforms: linux
    support: full
"""

EXAMPLES = r"""
- name: Read the GPUs
  swarm.node.gpu_info:
  register: node_gpus

- name: Show GPUs that are slowed down by a power brake
  ansible.builtin.debug:
    msg: "{{ node_gpus.gpus | selectattr('throttle_reasons', 'contains', 'hw_power_brake_slowdown') }}"
  when: node_gpus.available
"""

RETURN = r"""
available:
  description: Whether NVML answered.
  type: bool
  returned: always
reason:
  description: Why it did not, V(null) if it did.
  type: str
  returned: always
pci:
  description: Addresses of the NVIDIA GPUs that the PCI bus shows.
  type: list
  elements: str
  returned: always
manager:
  description: Who else manages the GPUs of this node, empty if nobody was found.
  type: str
  returned: always
driver_version:
  description: Version of the loaded driver.
  type: str
  returned: always
nvml_version:
  description: Version of the NVML library.
  type: str
  returned: always
cuda_version:
  description: The newest CUDA version the driver supports.
  type: str
  returned: always
gpus:
  description:
    - One entry per GPU with C(index), C(uuid), C(name), C(model), C(architecture), C(serial),
      C(vbios_version), C(minor), C(pci_bus_id), C(persistence_mode), C(compute_mode), C(performance_state),
      C(temperature) (°C) and the entries below.
    - C(power) (W) has C(draw), C(limit), C(enforced), C(default), C(min), C(max).
    - C(clocks) (MHz) has C(graphics), C(sm), C(memory), C(video), each with C(current) and C(max).
    - C(ecc) and C(mig) have C(current) and C(pending); C(ecc) also its error counts.
    - C(memory) (bytes) has C(total), C(used), C(free); C(utilization) (percent) C(gpu) and C(memory).
    - C(throttle_reasons) is a list of names; C(pcie) has generation and width, now and at most.
    - C(processes) is a list of C(pid), C(name), C(kind) and C(memory) (bytes).
    - A GPU that does not answer has C(lost) (why) and its index only.
  type: list
  elements: dict
  returned: always
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.errors import LayerUnavailable, NodeError
from ..module_utils.gpu.info import collect
from ..module_utils.gpu.managers import find_manager
from ..module_utils.gpu.nvml import Nvml
from ..module_utils.gpu.presence import gpus_on_pci

ARGUMENTS: dict[str, Any] = {
    "pynvml_path": {"type": "path"},
    "nvml_library": {"type": "path"},
    "sys_root": {"type": "path", "default": "/"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    root = Path(module.params["sys_root"])
    nvml = Nvml(module.params["pynvml_path"] or "", module.params["nvml_library"] or "")
    result: dict[str, Any] = {
        "changed": False,
        "available": True,
        "reason": None,
        "pci": gpus_on_pci(root),
        "manager": find_manager(root),
    }
    try:
        result.update(collect(nvml))
    except LayerUnavailable as error:
        nothing: dict[str, Any] = {
            "driver_version": None,
            "nvml_version": None,
            "cuda_version": None,
            "gpus": [],
        }
        result.update(nothing, available=False, reason=str(error))
    except NodeError as error:
        module.fail_json(msg=str(error))
    finally:
        nvml.close()
    module.exit_json(**result)


if __name__ == "__main__":
    main()
