# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network devices as they are, and what is asked of them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .armed import Armed, Reverted
from .rivals import Rival
from .tuned import Tuned

NO_DEFAULT_ROUTE = "there is no default route"
"""`beneath` where there is none at all: for a moment, most likely, as a daemon has lost its neighbour."""


@dataclass(frozen=True)
class Nic:
    """One device.

    values: setting → live value, of those it has (`rings.rx` → 512, `features.rx-gro` → True)
    limits: setting → the most the device takes; fixed: settings the driver does not let anyone change
    locked: setting → why it cannot be written here
    foreign: setting → who holds it instead (an operator's queueing discipline)
    refused: setting → (value, what the driver said) of what it has refused since the node was started
    rounded: setting → (value, what the driver made of it)
    physical: it has a device in sysfs; in_use: it is up and has a carrier
    cpus: those of its NUMA node, all of the node's where it has none
    rx, tx, irqs: how many queues and interrupts
    default_qdisc: nobody has set a queueing discipline; marked_qdisc: it is an mq that we have set
    """

    name: str
    driver: str = ""
    physical: bool = True
    in_use: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    locked: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    rounded: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    cpus: tuple[int, ...] = ()
    rx: int = 1
    tx: int = 1
    irqs: int = 0
    default_qdisc: bool = True
    marked_qdisc: bool = False


@dataclass
class NicState:
    """Everything the plan looks at.

    default_route: devices below the default route; beneath: why there is none of them, or ""
    online: CPUs; may: whether this process may set devices (CAP_NET_ADMIN)
    irqbalance: how it is known to run, or ""; tc: whether it is installed
    rivals: files that set devices later in a boot than we do
    armed: a change that is not confirmed; rebooted: the node was started anew since
    """

    nics: dict[str, Nic] = field(default_factory=dict)
    default_route: tuple[str, ...] = ()
    beneath: str = ""
    online: tuple[int, ...] = (0,)
    may: bool = True
    irqbalance: str = ""
    tuned: Tuned = field(default_factory=Tuned)
    tc: bool = True
    rivals: tuple[Rival, ...] = ()
    armed: Optional[Armed] = None
    rebooted: bool = False
    reverted: Optional[Reverted] = None


@dataclass(frozen=True)
class Wish:
    """What is asked of one setting of the devices a selector names.

    value: as asked (`max`, 512, True, `local`); floor: at least `value`
    exact: a value from a record, which is not to be refused but left out where it does not fit
    short: the name of several features that this one was asked for by (`tso`), or ""
    """

    selector: str
    name: str
    value: Any
    floor: bool = False
    required: bool = False
    origin: str = ""
    exact: bool = False
    short: str = ""

    @property
    def text(self) -> Any:
        """As an operator would write it."""
        return f">={self.value}" if self.floor else self.value
