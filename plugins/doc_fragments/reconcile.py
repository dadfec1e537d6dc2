# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by every module that reconciles a layer."""

from __future__ import annotations


class ModuleDocFragment:
    """Options and attributes of `module_utils/core/runner.py`."""

    DOCUMENTATION = r"""
options:
  owner:
    description:
      - On whose behalf the settings are held. Every owner has a record of its own on the node
        and, where a layer writes files, a file of its own.
      - A key that another owner holds is refused.
      - Defaults to the name of the layer.
    type: str
  state:
    description:
      - V(present) makes the node's settings what is asked for. Settings this owner held before
        and is no longer asked for go back to the values they had before.
      - V(absent) gives back everything this owner holds.
    type: str
    choices: [present, absent]
    default: present
  manage:
    description:
      - V(auto) reports instead of changing where another manager of the layer is found, and names it.
      - V(manage) changes settings whoever else may do so, V(report) never changes anything,
        V(none) does not even look.
    type: str
    choices: [auto, manage, report, none]
    default: auto
  max_disruption:
    description:
      - Changes that disturb more than this are left out and listed as unapplied.
    type: str
    choices: [none, perf, node_jobs, peer_jobs, reboot]
    default: perf
  required:
    description:
      - Keys that must not stay unapplied. If one would, the module fails before the first change.
    type: list
    elements: str
    default: []
  origins:
    description:
      - Where each wish came from, by key, for messages and results. The role fills it in.
    type: dict
    default: {}
  freeze:
    description:
      - If not empty, why this node must stay as it is. Nothing is changed then; what would have been
        is listed as unapplied. A file C(freeze) in O(state_dir) does the same, and its text is the reason.
    type: str
    default: ''
  run:
    description:
      - Who runs this and in which job. It is kept in the node's log of changes.
    type: dict
    default: {}
  state_dir:
    description:
      - Where owner records, journal and the log of changes are kept.
      - The unit that applies settings of GPUs again after a boot reads records of the default only.
    type: path
    default: /var/lib/swarm_node
  run_dir:
    description:
      - Where the lock and what must not survive a reboot are kept.
    type: path
    default: /run/swarm_node
"""

    ATTRIBUTES = r"""
attributes:
  check_mode:
    description: Can run in check mode and say what it would change, without changing anything.
    support: full
  diff_mode:
    description: Says what has changed, or would change in check mode, key by key and file by file.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
  platform:
    description: Target systems.
    platforms: linux
    support: full
"""
