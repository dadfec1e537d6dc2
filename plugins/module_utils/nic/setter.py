# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets one setting of one device: by ethtool's calls, in sysfs, or by tc."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from ..core.commands import MISSING, Runner
from ..core.errors import NodeError
from . import cpus, qdisc
from .ethtool import Ethtool
from .reading import Reader, equal
from .settings import DEFAULT, IRQ, PER_QUEUE, QDISC, RSS, SYSFS, group_of, member_of
from .sysfs import Sysfs

UNKNOWN = ("unknown", "qdisc not found", "not supported", "No such file")
"""Words of tc and the kernel for a discipline that this kernel or device does not have. The second are those
of kernels before 5.18."""

COUNTED = ("rings", "channels", "coalesce")


class Refused(Exception):
    """The device does not have it, and everything is as it was. The text says who says so."""


class Setter:
    """`writes` counts calls that change something, but for files in sysfs, which Sysfs counts."""

    def __init__(self, sysfs: Sysfs, ethtool: Ethtool, runner: Runner, reader: Reader) -> None:
        self.sysfs = sysfs
        self.ethtool = ethtool
        self.runner = runner
        self.reader = reader
        self.writes = 0

    # -- reading one value

    def live(self, device: str, name: str) -> Any:
        """None where there is no such setting any more. Raises OSError, NodeError."""
        group, member = group_of(name), member_of(name)
        if group in COUNTED:
            return self._counts(device, group).get(member)
        if group == "features":
            feature = self.ethtool.features(device).get(member)
            return None if feature is None else feature.active
        if name == RSS:
            return equal(self.ethtool.indirection(device))
        if name in SYSFS:
            return self.sysfs.number(device, name)
        if name in PER_QUEUE:
            parts = self.sysfs.parts(device, name)
            return None if parts is None else cpus.joined(parts)
        return self.root(device).text

    def root(self, device: str) -> qdisc.Qdisc:
        """The device's queueing discipline. Raises NodeError."""
        found = self.reader.qdiscs()
        if found is None:
            raise NodeError("tc is not installed (package iproute2)")
        return found.get(device, qdisc.Qdisc("noqueue"))

    # -- writing

    def set(self, device: str, name: str, values: Mapping[str, Any]) -> None:
        """Makes `name` what `values` says, along with the others in there, which go by the same call.

        Raises Refused, OSError, NodeError.
        """
        group = group_of(name)
        if group in COUNTED:
            self._set_counts(device, group, {member_of(key): value for key, value in values.items()})
        elif group == "features":
            self._set_features(device, member_of(name), {member_of(key): v for key, v in values.items()})
        elif name == RSS:
            self._set_rss(device, values[name])
        elif name in SYSFS:
            self.sysfs.put(self.sysfs.paths(device, name)[0], str(values[name]))
        elif name in PER_QUEUE:
            self._set_cpus(device, name, values[name])
        else:
            self._set_qdisc(device, values[name])

    def _counts(self, device: str, group: str) -> Mapping[str, Any]:
        if group == "coalesce":
            found = self.ethtool.coalesce(device)
            return {key: bool(v) if key.startswith("adaptive-") else v for key, v in found.items()}
        return (self.ethtool.rings if group == "rings" else self.ethtool.channels)(device).now

    def _set_counts(self, device: str, group: str, wanted: Mapping[str, Any]) -> None:
        live = self._counts(device, group)
        if all(live.get(key) == value for key, value in wanted.items()):
            return
        self.writes += 1
        if group == "rings":
            self.ethtool.set_rings(device, wanted)
        elif group == "channels":
            self.ethtool.set_channels(device, wanted)
        else:
            self.ethtool.set_coalesce(device, wanted)

    def _set_features(self, device: str, own: str, wanted: Mapping[str, bool]) -> None:
        """A feature that depends on another one is taken down as wanted and stays off: that is put back."""
        before = self.ethtool.features(device)
        todo = {
            key: value
            for key, value in wanted.items()
            if key in before and (before[key].active, before[key].requested) != (value, value)
        }
        if todo:
            self.writes += 1
            self.ethtool.set_features(device, todo)
        after = self.ethtool.features(device)
        kept = [key for key in {*todo, own} if key in after and after[key].active != wanted[key]]
        for key in kept:
            self.ethtool.set_features(
                device, {key: before[key].requested if key in todo else not wanted[key]}
            )
        if own in kept:
            state = "off" if wanted[own] else "on"
            raise Refused(
                f"the driver takes the request and leaves it {state}: another feature or mode needs that"
            )

    def _set_rss(self, device: str, wanted: Any) -> None:
        size = len(self.ethtool.indirection(device))
        self.writes += 1
        if wanted == self.ethtool.rx_rings(device):
            # The driver's own table, if it is that: one of ours would keep channels from being taken away.
            self.ethtool.set_indirection(device, [])
            if equal(self.ethtool.indirection(device)) == wanted:
                return
        table = wanted if isinstance(wanted, list) else [index % wanted for index in range(size)]
        if len(table) != size:
            raise OSError(errno.EINVAL, f"the table has {size} places now, not {len(table)}")
        self.ethtool.set_indirection(device, table)

    def _set_cpus(self, device: str, name: str, wanted: str) -> None:
        """All queues or none."""
        files = self.sysfs.files(device, name)
        before = self.sysfs.parts(device, name)
        if before is None:
            raise Refused(f"{device} has no {name} now")
        done: list[int] = []
        try:
            for index, part in enumerate(cpus.expand(wanted, len(files))):
                if part != before[index]:
                    self._put_cpus(files[index], name, part)
                    done.append(index)
        except OSError as error:
            for index in reversed(done):
                self._put_cpus(files[index], name, before[index])
            if error.errno in (errno.EIO, errno.EOPNOTSUPP):
                raise Refused(
                    f"{files[len(done)]}: {error.strerror} (the kernel manages it itself)"
                ) from error
            raise

    def _put_cpus(self, path: Any, name: str, part: str) -> None:
        numbers = cpus.cpus_of(part)
        self.sysfs.put(path, cpus.text(numbers) if name == IRQ else cpus.to_mask(numbers))

    def _set_qdisc(self, device: str, wanted: str) -> None:
        before = self.root(device)
        if wanted == (DEFAULT if not before.explicit else before.text):
            return
        queues = len(self.sysfs.queues(device, "tx")) or 1
        argv, lines = qdisc.command(device, wanted, queues)
        self.writes += 1
        done = self.runner(argv, lines)
        if done.good:
            return
        if done.code == MISSING:
            raise NodeError("tc is not installed (package iproute2)")
        now = self.root(device)
        if now != before:
            argv, lines = qdisc.command(device, before.text if before.explicit else DEFAULT, queues)
            self.runner(argv, lines)
        if any(word in done.reason for word in UNKNOWN):
            raise Refused(f"this kernel or device has no {wanted}: {done.reason}")
        raise NodeError(f"{QDISC} of {device}: {done.reason}")
