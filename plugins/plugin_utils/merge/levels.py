# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host's variables were set: profile, groups, host, play. The only code that asks the inventory.

Everything here uses what Ansible documents for its Python API (InventoryManager, Host, Group) and the
function by which Ansible itself collects group_vars and host_vars; nothing else of its insides.
"""

from __future__ import annotations

from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path

from .resolve import EXTRA_RANK, HOST_RANK, PLAY_RANK, Level, group_rank


def inventory_levels(
    inventory: InventoryManager, loader: Any, sources: list[str], basedir: str, host_name: str
) -> list[Level]:
    """The groups of a host and the host itself, each with its own variables, inline and from files.

    sources: the inventory's paths (`ansible_inventory_sources`); basedir: the playbook's directory
    """
    host = inventory.get_host(host_name)
    if host is None:
        return []
    levels = []
    for group in sorted(host.get_groups(), key=lambda item: (item.depth, item.priority, item.name)):
        own = {**group.vars, **_from_files(loader, sources, basedir, group)}
        above = frozenset(item.name for item in group.get_ancestors())
        rank = group_rank(group.depth, group.priority)
        levels.append(Level(f"group {group.name}", rank, own, group.name, above))
    own = {**host.vars, **_from_files(loader, sources, basedir, host)}
    levels.append(Level(f"host {host_name}", HOST_RANK, own, host_name))
    return levels


def _from_files(loader: Any, sources: list[str], basedir: str, entity: Any) -> dict[str, Any]:
    """group_vars/ and host_vars/ beside the inventory, then beside the playbook, as Ansible orders them."""
    found = dict(get_vars_from_inventory_sources(loader, sources, [entity], "task"))
    found.update(get_vars_from_inventory_sources(loader, sources, [entity], "inventory"))
    for stage in ("task", "inventory"):
        found.update(get_vars_from_path(loader, basedir, [entity], stage))
    return found


def play_level(
    levels: list[Level], task_vars: dict[str, Any], extra_vars: dict[str, Any], names: list[str]
) -> list[Level]:
    """Levels above the inventory: extra vars, and whatever else differs from what the inventory says.

    Play vars, role parameters, set_fact and include_vars cannot be told apart from outside; they
    are recognised by the value in force not being the inventory's.
    """
    extra = {name: task_vars[name] for name in names if name in extra_vars and name in task_vars}
    play = {}
    for name in names:
        if name not in task_vars or name in extra:
            continue
        holders = [level for level in levels if name in level.variables]
        top = max(holders, key=lambda level: (level.rank, level.name)) if holders else None
        if top is None or top.variables[name] != task_vars[name]:
            play[name] = task_vars[name]
    found = []
    if play:
        found.append(Level("play or role", PLAY_RANK, play))
    if extra:
        found.append(Level("extra vars", EXTRA_RANK, extra))
    return found
