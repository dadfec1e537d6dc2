# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host's variables were set: profile, groups, host, play. The only code that asks the inventory.

Everything here uses what Ansible documents for its Python API (InventoryManager, Host, Group), the setting
`VARIABLE_PRECEDENCE`, and the functions by which Ansible itself collects group_vars and host_vars.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.inventory.manager import InventoryManager
from ansible.vars.plugins import get_vars_from_inventory_sources, get_vars_from_path

from .resolve import EXTRA_RANK, PLAY_RANK, Level, group_rank, host_rank


@dataclass(frozen=True)
class Place:
    """One kind of place a group or host can have variables in.

    stage: its name in Ansible's `VARIABLE_PRECEDENCE`, after `all_` or `groups_`
    source: position among the inventories; a later one wins
    note: what follows the origin, with `{}` for `group` or `host`
    """

    stage: str
    source: int
    note: str
    read: Callable[[Any], dict[str, Any]]


def inventory_levels(
    inventory: InventoryManager, loader: Any, sources: list[str], basedir: str, host_name: str
) -> list[Level]:
    """The groups of a host and the host itself, one level for each place they have variables in.

    sources: the inventory's paths (`ansible_inventory_sources`); basedir: the playbook's directory
    """
    host = inventory.get_host(host_name)
    if host is None:
        return []
    places = _places(loader, sources, basedir)
    levels = []
    for group in host.get_groups():
        above = frozenset(item.name for item in group.get_ancestors())
        for place in places:
            stage = f"{'all' if group.name == 'all' else 'groups'}_{place.stage}"
            own = place.read(group) if stage in constants.VARIABLE_PRECEDENCE else {}
            if own:
                number = constants.VARIABLE_PRECEDENCE.index(stage)
                rank = group_rank(number, place.source, group.depth, group.priority)
                origin = f"group {group.name}{place.note.format('group')}"
                levels.append(Level(origin, rank, own, group.name, above))
    for number, place in enumerate(places):
        own = place.read(host)
        if own:
            origin = f"host {host_name}{place.note.format('host')}"
            levels.append(Level(origin, host_rank(number, place.source), own, host_name))
    return sorted(levels, key=lambda level: (level.rank, level.name))


def _places(loader: Any, sources: list[str], basedir: str) -> list[Place]:
    """Inline, then group_vars/ and host_vars/ beside each inventory, then beside the playbook.

    A directory that holds both inventory and playbook is read twice by Ansible; the later reading counts.
    """

    def beside_inventory(source: str) -> Callable[[Any], dict[str, Any]]:
        return lambda entity: get_vars_from_inventory_sources(loader, [source], [entity], "task")

    def beside_playbook(entity: Any) -> dict[str, Any]:
        return get_vars_from_path(loader, basedir, [entity], "task")

    directories = {
        source if Path(source).is_dir() else str(Path(source).parent): number
        for number, source in enumerate(sources)
        if source and ("," not in source or Path(source).exists())
    }
    shared = {name for name in directories if Path(name).resolve() == Path(basedir).resolve()}
    note = " ({}_vars)" if shared else " ({}_vars of the playbook)"
    return [
        Place("inventory", 0, "", lambda entity: dict(entity.vars)),
        *(
            Place("plugins_inventory", number, " ({}_vars)", beside_inventory(directory))
            for directory, number in directories.items()
            if directory not in shared
        ),
        Place("plugins_play", 0, note, beside_playbook),
    ]


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
