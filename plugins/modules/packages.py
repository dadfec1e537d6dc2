#!/usr/bin/python
# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible module: the packages all layers of a node need, in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: packages
short_description: The packages a node needs, in one apt transaction with guard rails
version_added: 0.1.0
description:
  - Installs the packages that are missing, all in one call of C(apt-get), without recommended packages.
  - Asks C(apt-get) first what it would do. A package that would bring, upgrade or remove a package of
    O(forbid), or remove any package at all, is left out and reported in RV(unapplied). The others are
    installed.
  - A package counts as there whatever its version is. It is never upgraded for its own sake.
  - A package whose Python module can be imported already, for example from a pip installation, is not needed.
  - If the installation fails, exactly the packages that it newly installed are removed again.
  - Packages that are no longer asked for stay installed, because other software may use them by now. They are
    only taken off the owner record.
  - Unlike other layers, several owners may ask for the same package.
extends_documentation_fragment:
  - swarm.node.reconcile
  - swarm.node.reconcile.attributes
options:
  name:
    description:
      - Packages, by name without a version.
      - With C(a|b), either will do. If none of them is installed, the first that apt can install is taken.
    type: list
    elements: str
    default: []
  forbid:
    description:
      - Patterns (with C(*), C(?) and C([])) of packages that must not be installed, upgraded or removed along
        the way, nor be installed themselves.
    type: list
    elements: str
    default: ['libnvidia-*', 'nvidia-*', 'linux-image-*']
  provides:
    description:
      - Package to Python module. A package whose module this interpreter can import is not installed.
    type: dict
    default: {}
  extra_import_paths:
    description:
      - Directories in which the modules of O(provides) are looked for, too, before the interpreter's own.
    type: list
    elements: path
    default: []
  gpu_only:
    description: Those of O(name) that are asked for only on a node with an NVIDIA GPU on its PCI bus.
    type: list
    elements: str
    default: []
  update_cache:
    description:
      - When to update apt's package lists. Never in check mode, and never if all packages are there.
      - V(auto) updates them if a package is unknown or cannot be downloaded. For a package that stays unknown
        it does so once an hour, or when apt's sources were changed.
      - V(always) updates them before anything is installed, V(never) leaves them as they are.
    type: str
    choices: [auto, always, never]
    default: auto
  lock_timeout:
    description:
      - Seconds to wait for another process that uses apt or dpkg.
    type: int
    default: 120
author:
  - swarm.node contributors (@swarm-node)
"""

EXAMPLES = r"""
- name: What the layers need, unless pip has installed it
  swarm.node.packages:
    name: [python3-pynvml, python3-psutil, ethtool]
    provides:
      python3-pynvml: pynvml
      python3-psutil: psutil
    extra_import_paths: "{{ [gpu_pynvml_path] if gpu_pynvml_path | default('') else [] }}"
    required: [python3-psutil]
  register: node_packages

- name: Which packages a real run would install
  ansible.builtin.debug:
    msg: "{{ node_packages.details | selectattr('pending') | map(attribute='target') | list }}"
  when: ansible_check_mode

- name: Either of two packages
  swarm.node.packages:
    name: [wireguard-tools, chrony|systemd-timesyncd]

- name: Hold these packages no longer; they stay installed
  swarm.node.packages:
    state: absent
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be in check mode, one entry per package. Dependencies that come along have
      their own entries. A C(record) entry says that a package is no longer held.
    - Each has C(key), C(target), C(before), C(after), C(unit), C(when), C(disruption), C(verify), C(undo),
      C(origin) and C(why).
  type: list
  elements: dict
  returned: success
  sample: [{"key": "package", "target": "python3-psutil", "before": null, "after": "5.9.4-1+b1"}]
unapplied:
  description: What was asked for and is not so, with C(reason) and C(detail).
  type: list
  elements: dict
  returned: success
before:
  description: The version of every package asked for, before. Null if it is not installed.
  type: dict
  returned: success
after:
  description: The same afterwards.
  type: dict
  returned: success
details:
  description:
    - Per package asked for, C(target), C(live) (version or null), C(met_by) (V(package), V(provided),
      V(module) or null), C(python_module), C(found_at) and C(after_reboot).
    - C(pending) is true only in check mode, for a package that the real run would install. Later tasks of a
      check know from it that a Python module is coming.
    - C(undecided) is true where only a run that updates the package lists can tell.
  type: list
  elements: dict
  returned: success
notes:
  description: Things worth knowing about this node.
  type: list
  elements: str
  returned: success
layer:
  description: The layer, V(packages).
  type: str
  returned: always
owner:
  description: On whose behalf the packages are held.
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

from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.core.runner import COMMON_ARGUMENTS, run
from ..module_utils.gpu.presence import gpus_on_pci
from ..module_utils.packages.layer import PackagesLayer
from ..module_utils.packages.model import settings_from, wishes_from
from ..module_utils.packages.port import PackagesPort

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "list", "elements": "str", "default": []},
    "forbid": {"type": "list", "elements": "str", "default": ["libnvidia-*", "nvidia-*", "linux-image-*"]},
    "provides": {"type": "dict", "default": {}},
    "extra_import_paths": {"type": "list", "elements": "path", "default": []},
    "gpu_only": {"type": "list", "elements": "str", "default": []},
    "update_cache": {"type": "str", "choices": ["auto", "always", "never"], "default": "auto"},
    "lock_timeout": {"type": "int", "default": 120},
}


def make_layer(params: dict[str, Any], check: bool) -> PackagesLayer:
    """The layer for these options. Raises BindError."""
    wishes = []
    if params["state"] == "present":
        unneeded = set() if gpus_on_pci(Path("/")) else set(params["gpu_only"])
        names = [name for name in params["name"] if name not in unneeded]
        wishes = wishes_from(names, params["required"], params["origins"])
    mode = "report" if params["manage"] == "report" else "check" if check else "apply"
    return PackagesLayer(
        PackagesPort(params["lock_timeout"], params["run_dir"]), wishes, settings_from(params, mode)
    )


def main() -> None:
    module = AnsibleModule(argument_spec={**COMMON_ARGUMENTS, **ARGUMENTS}, supports_check_mode=True)
    run(module, PackagesLayer.name, partial(make_layer, check=module.check_mode))


if __name__ == "__main__":
    main()
