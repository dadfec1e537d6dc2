# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what becomes of the boot unit's files, links and timer. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.managed_files import file_change
from ..core.marking import is_untouched
from ..core.model import Change, Plan, Unapplied
from .paths import PROGRAM, SERVICE, TIMER, UNITS, links, owner_path, unit_path
from .systemd import Unit

ENABLED = "boot.enabled"
RUNNING = "boot.timer"
STOPPED = "boot.service"
RELOAD = "systemd.daemon_reload"
KEYS = (ENABLED, RUNNING, STOPPED, RELOAD)

WHY = "so that the GPUs get their settings back after a reboot or a load of the driver"
GONE = "nothing is held on record that a reboot would take away"


@dataclass(frozen=True)
class BootState:
    """How the node is.

    systemd: whether it runs here
    files: path → text, None where there is no file; masked: units that are links to /dev/null
    links: path of a link that enables a unit → whether it is there
    owners: those with a file in paths.OWNERS
    forgetful: new unit files are not found without a daemon-reload
    cut_off: containers that would lose their GPUs by a daemon-reload; only looked for where one is needed
    """

    systemd: bool = True
    files: Mapping[str, str | None] = field(default_factory=dict)
    masked: frozenset[str] = frozenset()
    links: Mapping[str, bool] = field(default_factory=dict)
    owners: tuple[str, ...] = ()
    units: Mapping[str, Unit] = field(default_factory=dict)
    forgetful: bool = False
    cut_off: tuple[str, ...] = ()

    def unit(self, name: str) -> Unit:
        return self.units.get(name, Unit())


def plan_boot(wanted: bool, owner: str, texts: Mapping[str, str], state: BootState) -> Plan:
    """texts: path → text of every file, the owner's own among them, in the order of installation."""
    if not wanted:
        return _removal(owner, texts, state)
    if state.systemd:
        return _installation(texts, state)
    plan = Plan()
    plan.unapplied.append(
        Unapplied(
            ENABLED,
            True,
            "unsupported",
            "systemd does not run on this node (there is no /run/systemd/system): after a reboot or a load "
            "of the driver the settings are gone until the next run",
            live=False,
            target=SERVICE,
        )
    )
    return plan


def needs_reload(texts: Mapping[str, str], state: BootState) -> bool:
    """Whether systemd knows our units otherwise than the files will have them.

    Once it knows one of them it may also know of another, named there, that it is not found.
    """
    known = state.forgetful or any(state.unit(name).loaded for name in UNITS if name not in state.masked)
    for name in UNITS:
        unit, path = state.unit(name), unit_path(name)
        if name in state.masked or path not in texts:
            continue
        new = state.files.get(path) != texts[path]
        if unit.stale or (new and known):
            return True
    return False


# -- there


def _installation(texts: Mapping[str, str], state: BootState) -> Plan:
    plan = Plan()
    masked_paths = {unit_path(name) for name in state.masked}
    for path, text in texts.items():
        if path not in masked_paths:
            _add(plan, _file(path, state.files.get(path), text))
    if needs_reload(texts, state):
        plan.changes.append(_reload(state))
    for name in UNITS:
        if name in state.masked:
            plan.unapplied.append(_masked(name))
        elif name == TIMER and state.masked:
            plan.unapplied.append(_idle(state))
        elif links(name):
            _enable(plan, name, state)
    if not state.masked:
        _start(plan, state)
    return plan


def _file(path: str, live: str | None, text: str | None) -> Change | None:
    edited = live is not None and not is_untouched(live)
    change = file_change(path, live, text, edited, WHY if text else GONE, 0o755 if path == PROGRAM else 0o644)
    if change is None or path != PROGRAM:
        return change
    for side in ("before_text", "after_text"):
        if change.data[side] is not None:
            change.data[side] = Opaque(change.data[side])
    return change


def _reload(state: BootState) -> Change:
    cut_off = ", ".join(state.cut_off)
    return Change(
        RELOAD,
        "old unit files",
        "current",
        disruption="node_jobs" if cut_off else "none",
        undo="none",
        why=f"would take the GPUs from running containers: {cut_off}" if cut_off else "unit files changed",
    )


def _enable(plan: Plan, name: str, state: BootState) -> None:
    missing = [path for path in links(name) if not state.links.get(path)]
    plan.before[f"{ENABLED} {name}"], plan.after[f"{ENABLED} {name}"] = not missing, True
    if missing:
        plan.changes.append(Change(ENABLED, False, True, target=name, why=WHY, data={"links": missing}))


def _start(plan: Plan, state: BootState) -> None:
    live = state.unit(TIMER).active
    plan.before[f"{RUNNING} {TIMER}"], plan.after[f"{RUNNING} {TIMER}"] = live, "active"
    if live != "active":
        why = "so that a load of the driver is seen from now on"
        plan.changes.append(Change(RUNNING, live, "active", target=TIMER, why=why))


def _idle(state: BootState) -> Unapplied:
    """systemd starts no timer for a unit that is masked."""
    masked = ", ".join(sorted(state.masked))
    return Unapplied(
        ENABLED, True, "shadowed_by", f"it would start what is masked: {masked}", live=False, target=TIMER
    )


def _masked(name: str) -> Unapplied:
    return Unapplied(
        ENABLED,
        True,
        "shadowed_by",
        f"somebody has masked it ({unit_path(name)} is a link to /dev/null); "
        f"`systemctl unmask {name}` lets it run",
        live=False,
        target=name,
    )


# -- gone


def _removal(owner: str, texts: Mapping[str, str], state: BootState) -> Plan:
    """Nothing of ours stays, unless another owner needs it: then only this owner's file goes."""
    plan = Plan()
    own = owner_path(owner)
    if any(other != owner for other in state.owners):
        _add(plan, _file(own, state.files.get(own), None))
        return plan
    if state.systemd:
        _stop(plan, state)
    for name in UNITS:
        there = [path for path in links(name) if state.links.get(path)]
        if there:
            plan.changes.append(Change(ENABLED, True, False, target=name, why=GONE, data={"links": there}))
    for path in reversed(list(texts)):
        if path not in {unit_path(name) for name in state.masked}:
            _add(plan, _file(path, state.files.get(path), None))
    return plan


def _stop(plan: Plan, state: BootState) -> None:
    live = state.unit(TIMER).active
    if live == "active":
        plan.changes.append(Change(RUNNING, live, "inactive", target=TIMER, why=GONE))
    for name in UNITS:
        live = state.unit(name).active
        if name != TIMER and live not in ("", "inactive"):
            plan.changes.append(Change(STOPPED, live, "inactive", target=name, undo="none", why=GONE))


def _add(plan: Plan, change: Change | None) -> None:
    if change is not None:
        plan.changes.append(change)


class Opaque(str):
    """A text nobody wants to read: diffs show how long it is. The journal has the whole of it."""

    def __str__(self) -> str:
        return f"({len(self)} characters)"
