# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices, wishes and a model of a device, for tests of the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.model import Change, Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.nic import cpus
from ansible_collections.swarm.node.plugins.module_utils.nic.model import Nic, NicState
from ansible_collections.swarm.node.plugins.module_utils.nic.plan import plan_nic
from ansible_collections.swarm.node.plugins.module_utils.nic.wishes import wishes_from

VALUES: dict[str, Any] = {
    "rings.rx": 512,
    "rings.tx": 512,
    "rings.rx-mini": 0,
    "rings.rx-jumbo": 0,
    "channels.rx": 0,
    "channels.tx": 0,
    "channels.combined": 4,
    "coalesce.adaptive-rx": False,
    "coalesce.adaptive-tx": False,
    "coalesce.rx-usecs": 3,
    "coalesce.rx-frames": 0,
    "features.rx-gro": True,
    "features.rx-lro": False,
    "features.rx-checksum": True,
    "features.tx-tcp-segmentation": True,
    "features.tx-tcp-ecn-segmentation": False,
    "features.tx-tcp6-segmentation": True,
    "features.rx-gro-hw": False,
    "rss.equal": 4,
    "txqueuelen": 1000,
    "napi_defer_hard_irqs": 0,
    "gro_flush_timeout": 0,
    "rps": "off",
    "xps": "0,4;1,5;2,6;3,7",
    "irq_affinity": "0-7",
    "qdisc": "mq+fq_codel",
}
LIMITS = {
    "rings.rx": 8192,
    "rings.tx": 8192,
    "rings.rx-mini": 0,
    "rings.rx-jumbo": 0,
    "channels.rx": 0,
    "channels.tx": 0,
    "channels.combined": 16,
    "rss.equal": 4,
}
FIXED = frozenset({"features.rx-gro-hw", "features.tx-tcp-ecn-segmentation"})


def nic(name: str = "eth0", driver: str = "ixgbe", values: dict[str, Any] | None = None, **other: Any) -> Nic:
    """A device of 4 of at most 16 queues on CPUs 0-7; `values` over VALUES, None takes one away."""
    merged = {**VALUES, **(values or {})}
    found = {key: value for key, value in merged.items() if value is not None}
    base = Nic(name, driver, True, True, found, LIMITS, FIXED, cpus=tuple(range(8)), rx=4, tx=4, irqs=4)
    return replace(base, **other)


def state(*nics: Nic, **other: Any) -> NicState:
    found = {item.name: item for item in (nics or (nic(),))}
    return NicState(found, online=tuple(range(16)), **other)


def plan(
    interfaces: dict[str, Any],
    now: NicState | None = None,
    claims: dict[str, Claim] | None = None,
    others: dict[str, str] | None = None,
    max_disruption: str = "peer_jobs",
    required: tuple[str, ...] = (),
) -> Plan:
    wishes = wishes_from(interfaces, required, {})
    return plan_nic(wishes, now or state(), Record("nic", claims), others or {}, max_disruption)


def settings(found: Plan) -> dict[str, Any]:
    """`rings.rx eth0` → after, of the changes that are settings."""
    return {
        f"{change.key[4:]} {change.target}": change.after
        for change in found.changes
        if change.key != "record"
    }


def reasons(found: Plan) -> dict[str, str]:
    return {f"{wish.key[4:]} {wish.target}": wish.reason for wish in found.unapplied}


def applied(device: Nic, changes: list[Change], forgets: bool = True) -> Nic:
    """The device after these changes, by a driver that makes queues anew and forgets what hung on them."""
    values, rx, tx, limits = dict(device.values), device.rx, device.tx, dict(device.limits)
    explicit = not device.default_qdisc
    for change in changes:
        name = change.data.get("name")
        if name is None or change.target != device.name:
            continue
        step = change.after - values[name] if name.startswith("channels.") else 0
        values[name] = change.after
        if name == "qdisc":
            explicit = change.after != "default"
            values[name] = change.after if explicit else "mq+fq_codel"
        if not name.startswith("channels."):
            continue
        rx += 0 if name.endswith("tx") else step
        tx += 0 if name.endswith("rx") else step
        limits["rss.equal"] = rx
        if forgets:
            values.update({"rps": "off", "xps": cpus.spread(range(8), tx), "irq_affinity": "0-7"})
            values["rss.equal"] = rx
        for key, pair in change.data["carry"].items():
            if pair[1] not in (None, "default"):
                values[key] = pair[1]
    return replace(device, values=values, limits=limits, rx=rx, tx=tx, default_qdisc=not explicit)
