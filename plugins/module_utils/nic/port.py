# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port of the nic layer: one change at a time, with a look at the link where it may go down."""

from __future__ import annotations

import errno
from typing import Any

from ..core.errors import NodeError, NotOffered, TargetLost
from ..core.model import Change
from . import cpus
from .bind import rounded_up
from .learned import Learned
from .links import LinkWatch
from .setter import Refused, Setter
from .settings import DEFAULT, PER_QUEUE, PREFIX, QDISC, group_of
from .sysfs import Sysfs

GONE = (errno.ENODEV, errno.ENOENT)
NOT_OFFERED = (errno.EOPNOTSUPP, errno.ENOTTY)


class NicPort:
    """Changes whose key begins with `nic.`, but the guard's and the units'. notes, after: the plan's own."""

    def __init__(self, sysfs: Sysfs, setter: Setter, watch: LinkWatch, learned: Learned) -> None:
        self.sysfs = sysfs
        self.setter = setter
        self.watch = watch
        self.learned = learned
        self.notes: list[str] = []
        self.after: dict[str, Any] = {}
        self._told: set[str] = set()
        self._undone: set[str] = set()
        self._stuck = False

    @property
    def writes(self) -> int:
        return self.setter.writes + self.sysfs.writes + self.learned.writes

    @property
    def stuck(self) -> bool:
        """Whether something could not be put back in this transaction."""
        return self._stuck

    # -- contract.Port

    def apply(self, change: Change) -> None:
        """Raises TargetLost, NotOffered, NodeError, OSError."""
        device, data = change.target, change.data
        if data["risky"] or data["resets"]:
            self.watch.before(device)
        if change.name not in self._told:
            try:
                self._set(change, 1)
            except Refused as error:
                self.learned.note(data["name"], device, change.after, self._driver(device), str(error))
                raise NotOffered(f"{change.label}: {error}") from error
            except OSError as error:
                raise self._failure(change, error) from error
        self._carry(change, 1)
        if data["resets"] and not self.watch.back(device):
            raise NodeError(
                f"{change.label}: the link of {device} did not come back within {self.watch.timeout:g} s"
            )

    def undo(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        self._undone.add(change.name)
        try:
            self._set(change, 0)
            self._carry(change, 0)
        except (Refused, OSError) as error:
            self._stuck = True
            raise NodeError(f"{change.label}: {error}") from error
        except NodeError:
            self._stuck = True
            raise
        if change.data["resets"]:
            self.watch.back(change.target)

    def reopen(self) -> None:
        """Raises NodeError where a device has lost what it had before."""
        self.watch.check()

    def readback(self, change: Change) -> Any:
        """The live value; `after` too where the driver has rounded that up. Raises NodeError."""
        device, name = change.target, change.data.get("name", change.key[len(PREFIX) :])
        try:
            live = self._same_words(change, name, device)
        except OSError as error:
            if error.errno in GONE and not self.sysfs.exists(device):
                raise TargetLost(device, f"{device} is gone") from error
            raise NodeError(f"{change.label}: {error}") from error
        undone = change.name in self._undone and live == change.before
        if live != change.after and not undone and rounded_up(name, live, change.after):
            self._say_rounded(change, live)
            return change.after
        return live

    def half(self, change: Change) -> bool:
        """Whether it was cut off while it was made: some queues have what they had, the others what is new.

        Raises NodeError.
        """
        name, device = change.data["name"], change.target
        if name == QDISC:
            return self.setter.root(device).marked
        parts = self.sysfs.parts(device, name) if name in PER_QUEUE else None
        if parts is None:
            return False
        sides = [cpus.expand(value, len(parts)) for value in (change.before, change.after)]
        return all(part in pair for part, *pair in zip(parts, *sides))

    # -- inside

    def _same_words(self, change: Change, name: str, device: str) -> Any:
        """The live value, in the words of `before` or `after` where it is the same."""
        if name in PER_QUEUE:
            parts = self.sysfs.parts(device, name)
            for value in (change.after, change.before):
                if parts is not None and isinstance(value, str) and parts == cpus.expand(value, len(parts)):
                    return value
        if name == QDISC and DEFAULT in (change.before, change.after):
            root = self.setter.root(device)
            return root.text if root.explicit else DEFAULT
        return self.setter.live(device, name)

    def _set(self, change: Change, side: int) -> None:
        """side: 0 for before, 1 for after. Its group goes along; by itself where the device refuses that."""
        data, own = change.data, change.after if side else change.before
        name = data["name"]
        if side == 0 and name == QDISC and data.get("default_before"):
            own = DEFAULT
        together = {key: pair[side] for key, pair in (data.get("together") or {}).items()}
        values = {**together, name: own}
        try:
            self.setter.set(change.target, name, values)
        except (Refused, OSError) as error:
            # One of several that the driver does not have spoils the call for all.
            spoilt = isinstance(error, OSError) and error.errno in (*NOT_OFFERED, errno.EINVAL)
            if len(values) == 1 or not spoilt:
                raise
            self.setter.set(change.target, name, {name: own})
            return
        if side:
            self._told |= {
                f"{PREFIX}{key} {change.target}" for key in together if group_of(key) != "features"
            }

    def _carry(self, change: Change, side: int) -> None:
        """What a driver forgets along with its queues is set again. Raises NodeError, OSError."""
        for name, pair in (change.data.get("carry") or {}).items():
            if pair[side] is None:
                continue
            try:
                if self._differs(change.target, name, pair[side]):
                    self.setter.set(change.target, name, {name: pair[side]})
            except (Refused, OSError) as error:
                raise NodeError(f"{PREFIX}{name} ({change.target}), lost with the queues: {error}") from error

    def _differs(self, device: str, name: str, value: Any) -> bool:
        if name in PER_QUEUE:
            parts = self.sysfs.parts(device, name)
            return parts is not None and parts != cpus.expand(value, len(parts))
        if name == QDISC and value == DEFAULT:
            return self.setter.root(device).explicit
        live = self.setter.live(device, name)
        return live is not None and live != value

    def _failure(self, change: Change, error: OSError) -> Exception:
        """What an error of the kernel's means."""
        device = change.target
        if error.errno in GONE and not self.sysfs.exists(device):
            return TargetLost(device, f"{device} is gone")
        if error.errno in NOT_OFFERED:
            driver = self._driver(device)
            said = f"the driver {driver or 'of the device'} refuses it ({error.strerror})"
            self.learned.note(change.data["name"], device, change.after, driver, said)
            return NotOffered(f"{change.label}: {said}")
        origin = f" (from {change.origin})" if change.origin else ""
        return NodeError(
            f"{change.key} of {device}: the driver rejects {change.after!r}{origin}: {error.strerror}; "
            f"it was {change.before!r}"
        )

    def _driver(self, device: str) -> str:
        driver = self.sysfs.driver(device)
        if driver:
            return driver
        try:
            return self.setter.ethtool.driver(device)
        except OSError:
            return ""

    def _say_rounded(self, change: Change, live: Any) -> None:
        note = f"{change.name}: asked for {change.after}, the driver made it {live}"
        if note not in self.notes:
            self.notes.append(note)
            self.after[change.name] = live
            name, device = change.data["name"], change.target
            self.learned.note(name, device, change.after, self._driver(device), made=live)
