# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation shared by the modules that set GPUs."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of `module_utils/gpu/arguments.py`."""

    DOCUMENTATION = r"""
options:
  expect:
    description:
      - The GPUs this node must have. If it does not, the module fails and changes nothing.
    type: dict
    suboptions:
      gpu:
        description: The model all GPUs must be, as NVML reports it, with or without C(NVIDIA) before it.
        type: str
      count:
        description: How many there must be at least.
        type: int
      uniform:
        description: Whether all must be of one model.
        type: bool
        default: false
  boot:
    description:
      - Whether a unit of this collection on the node applies what is held again after each boot and each
        load of the driver. It is there only while something is held that would not last.
    type: bool
    default: true
  pynvml_path:
    description: A directory or wheel on the node that holds the Python module C(pynvml).
    type: path
  nvml_library:
    description: The absolute path of C(libnvidia-ml.so.1), where the dynamic linker does not find it.
    type: path
  pynvml_pending:
    description:
      - In check mode, whether an earlier task of the same run would have installed C(pynvml). Then its
        absence is reported in RV(unapplied) and is no failure.
    type: bool
    default: false
  sys_root:
    description: Where C(/proc), C(/sys) and C(/run) are looked for; for tests and containers.
    type: path
    default: /
"""
