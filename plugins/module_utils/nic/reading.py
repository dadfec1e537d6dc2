# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the plan needs to know of a node. Writes nothing."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.commands import MISSING, Runner
from ..core.errors import NodeError
from . import cpus, qdisc
from .ethtool import Ethtool
from .learned import Found, Learned
from .managers import irqbalance, read_rivals, read_tuned_of
from .model import NO_DEFAULT_ROUTE, Nic, NicState
from .select import DEFAULT_ROUTE, matching
from .settings import CHANNELS, IRQ, PER_QUEUE, QDISC, RINGS, RSS, SYSFS
from .survey import survey
from .sysfs import Sysfs

NET_ADMIN = 12
"""The capability's number."""

ABSENT = (errno.EOPNOTSUPP, errno.ENODEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)
"""A question that a driver does not answer is a setting it does not have."""

DEFAULTS = (["ip", "-j", "-4", "route", "show", "default"], ["ip", "-j", "-6", "route", "show", "default"])


class Reader:
    """Reads devices, by ethtool's calls, from /sys and /proc, and of tc and ip."""

    def __init__(self, root: Path, sysfs: Sysfs, ethtool: Ethtool, runner: Runner, learned: Learned) -> None:
        self.root = root
        self.sysfs = sysfs
        self.ethtool = ethtool
        self.runner = runner
        self.learned = learned

    def read(self, needs: Collection[str], selectors: Collection[str], devices: Collection[str]) -> NicState:
        """Raises NodeError, OSError. At most three processes, whatever is asked for.

        needs: settings that cost something to read; devices: names that are on record
        """
        state = NicState(
            online=self.sysfs.online(),
            may=self._may(),
            irqbalance=irqbalance(self.root) if IRQ in needs else "",
            tuned=read_tuned_of(self.root),
            rivals=read_rivals(self.root),
        )
        roots: Optional[dict[str, qdisc.Qdisc]] = {}
        if QDISC in needs:
            roots = self.qdiscs()
            state.tc = roots is not None
        if DEFAULT_ROUTE in selectors:
            state.default_route, state.beneath = self._default_route()
        state.nics = {name: self._outline(name) for name in self.sysfs.names()}
        learned = self.learned.read()
        chosen = {name for selector in selectors for name in matching(selector, state)}
        for name in sorted((chosen | set(devices)) & set(state.nics)):
            state.nics[name] = self.device(name, needs, roots, learned, state.online)
        return state

    def survey(self, state: NicState) -> dict[str, Any]:
        """What `survey.survey` says; where `ip` cannot be asked, of no device."""
        devices, beneath = state.default_route, state.beneath
        if not devices and not beneath:
            try:
                devices, beneath = self._default_route()
            except NodeError as error:
                beneath = str(error)
        return survey(self.root, self.sysfs, devices, beneath)

    def _outline(self, name: str) -> Nic:
        """What selectors look at: a node may have hundreds of interfaces that nobody asks about."""
        return Nic(name, self._driver(name), self.sysfs.is_physical(name))

    def _driver(self, name: str) -> str:
        return self.sysfs.driver(name) or self._ask(lambda: self.ethtool.driver(name)) or ""

    def device(
        self,
        name: str,
        needs: Collection[str],
        roots: Optional[Mapping[str, qdisc.Qdisc]],
        learned: Found,
        online: tuple[int, ...],
    ) -> Nic:
        """One device. roots: queueing disciplines by device, where they were asked for"""
        driver = self._driver(name)
        root = (roots or {}).get(name) or (
            qdisc.Qdisc("noqueue") if QDISC in needs and roots is not None else None
        )
        values: dict[str, Any] = {}
        limits: dict[str, int] = {}
        self._counted(name, values, limits)
        coalesce = self._ask(lambda: self.ethtool.coalesce(name)) or {}
        values.update({f"coalesce.{key}": _truth(key, value) for key, value in coalesce.items()})
        fixed = self._features(name, values)
        self._rss(name, values, limits)
        for setting in SYSFS:
            number = self.sysfs.number(name, setting)
            if number is not None:
                values[setting] = number
        for setting in PER_QUEUE:
            parts = self.sysfs.parts(name, setting) if setting in needs else None
            if parts is not None:
                values[setting] = cpus.joined(parts)
        if root is not None:
            values[QDISC] = root.text
        return Nic(
            name,
            driver,
            self.sysfs.is_physical(name),
            self.sysfs.in_use(name),
            values,
            limits,
            frozenset(fixed),
            self._locked(name, values),
            {QDISC: root.foreign} if root is not None and root.foreign else {},
            self.learned.refused(learned, name, driver),
            self.learned.rounded(learned, name, driver),
            tuple(cpu for cpu in self.sysfs.near_cpus(name) if cpu in online) or online,
            len(self.sysfs.queues(name, "rx")) or 1,
            len(self.sysfs.queues(name, "tx")) or 1,
            len(self.sysfs.irqs(name)) if IRQ in needs else 0,
            root is None or not root.explicit,
            root is not None and root.marked,
        )

    def qdiscs(self) -> Optional[dict[str, qdisc.Qdisc]]:
        """None where tc is not installed. Raises NodeError."""
        done = self.runner(qdisc.SHOW)
        if done.code == MISSING:
            return None
        try:
            if not done.good:
                raise ValueError(done.reason)
            return qdisc.parse(done.out)
        except ValueError as error:
            raise NodeError(f"{' '.join(qdisc.SHOW)}: {error}") from error

    # -- parts of a device

    def _counted(self, name: str, values: dict[str, Any], limits: dict[str, int]) -> None:
        for group, members, ask in (
            ("rings", RINGS, self.ethtool.rings),
            ("channels", CHANNELS, self.ethtool.channels),
        ):
            found = self._ask(lambda ask=ask: ask(name))  # type: ignore[misc]
            for member in members if found is not None else ():
                values[f"{group}.{member}"] = found.now[member]
                limits[f"{group}.{member}"] = found.most[member]

    def _features(self, name: str, values: dict[str, Any]) -> list[str]:
        """Puts their values down; names of those that are fixed."""
        found = self._ask(lambda: self.ethtool.features(name)) or {}
        values.update({f"features.{key}": feature.active for key, feature in found.items()})
        return [f"features.{key}" for key, feature in found.items() if not feature.changeable]

    def _rss(self, name: str, values: dict[str, Any], limits: dict[str, int]) -> None:
        table = self._ask(lambda: self.ethtool.indirection(name))
        if not table:
            return
        values[RSS] = equal(table)
        rings = self._ask(lambda: self.ethtool.rx_rings(name))
        limits[RSS] = rings or max(table) + 1

    def _locked(self, name: str, values: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for setting in (*SYSFS, *PER_QUEUE):
            shut = [path for path in self.sysfs.paths(name, setting) if self.sysfs.locked(path)]
            if setting in values and shut:
                found[setting] = f"{shut[0]} cannot be written here (a container, or a read-only file system)"
        return found

    def _ask(self, question: Callable[[], Any]) -> Any:
        """None where the driver does not answer it."""
        try:
            return question()
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise

    # -- the node

    def _may(self) -> bool:
        """Whether this process has CAP_NET_ADMIN; a run that is not root is not asked to."""
        for line in (files.read_text(self.root / "proc/self/status") or "").splitlines():
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> NET_ADMIN & 1) or os.geteuid() != 0
        return True

    def _default_route(self) -> tuple[tuple[str, ...], str]:
        """Devices below the default routes of both families, and why there is none. Raises NodeError."""
        ways: list[str] = []
        for argv in DEFAULTS:
            done = self.runner(argv)
            if not done.good:
                raise NodeError(f"{' '.join(argv)}: {done.reason}; the selector default_route needs it")
            ways += [way for way in outgoing(done.out) if way not in ways]
        found: list[str] = []
        for way in ways:
            found += [name for name in self._below(way) if name not in found]
        if found:
            return tuple(found), ""
        return (
            (),
            f"the default route goes through {', '.join(ways)}" if ways else NO_DEFAULT_ROUTE,
        )

    def _below(self, name: str) -> list[str]:
        """Devices that a VLAN, bond or bridge leads to. A tunnel leads nowhere, and neither does a veth."""
        waiting, found = [name], []
        for one in waiting:
            if self.sysfs.is_physical(one):
                found.append(one)
            else:
                waiting += [lower for lower in self.sysfs.linked(one, "lower_") if lower not in waiting]
        return found


def _truth(name: str, value: int) -> Any:
    return bool(value) if name.startswith("adaptive-") else value


def equal(table: list[int]) -> Any:
    """The number of queues an indirection table spreads over evenly, else the table."""
    count = max(table) + 1
    return count if table == [index % count for index in range(len(table))] else table


def outgoing(text: str) -> list[str]:
    """Interfaces of the routes that `ip -j route` lists, all ways of one with several. Raises NodeError."""
    try:
        routes = json.loads(text or "[]")
        ways = [way for route in routes for way in (route.get("nexthops") or [route])]
        return list(dict.fromkeys(str(way["dev"]) for way in ways if way.get("dev")))
    except (ValueError, AttributeError, TypeError) as error:
        raise NodeError(f"ip -j route: {error}") from error
