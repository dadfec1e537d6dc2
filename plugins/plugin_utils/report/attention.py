# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs a person's attention, over all nodes: the same trouble at the same place is one entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report.values import clean, hosts_text, mask

SEVERITIES = ("critical", "warning")
"""Worst first. What a result calls otherwise counts as a warning."""

TARGETS_SHOWN = 8


@dataclass(frozen=True)
class Attention:
    """One trouble. `where`: `[(hosts, devices)]`, both as a person reads them; `detail` the first node's."""

    severity: str
    what: str
    detail: str
    where: list[tuple[str, str]]


def collect(hosts: Mapping[str, Any]) -> list[Attention]:
    """The critical first, and of those the one on most nodes."""
    details: dict[tuple[str, str, str], list[str]] = {}
    places: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for name, host in hosts.items():
        for key, entries in _by_trouble(host["layers"]).items():
            details.setdefault(key, []).extend(str(entry.get("detail") or "") for entry in entries)
            places.setdefault(key, {}).setdefault(_devices(entries), []).append(name)
    found = [
        Attention(
            severity=severity,
            what=what,
            detail=_detail(details[severity, what, masked], masked),
            where=[(hosts_text(names), devices) for devices, names in where.items()],
        )
        for (severity, what, masked), where in places.items()
    ]
    spread = {key[:2]: sum(map(len, where.values())) for key, where in places.items()}
    return sorted(
        found, key=lambda entry: (SEVERITIES.index(entry.severity), -spread[entry.severity, entry.what])
    )


def distinct(layers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A host's entries; two layers that look at one device tell the same."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for layer in layers:
        for entry in layer.get("attention") or ():
            key = (_target(entry), str(entry.get("what")), str(entry.get("detail")))
            found.setdefault(key, dict(entry))
    return list(found.values())


def severity_of(entry: Mapping[str, Any]) -> str:
    severity = str(entry.get("severity"))
    return severity if severity in SEVERITIES else SEVERITIES[-1]


def _by_trouble(
    layers: Iterable[Mapping[str, Any]],
) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """(severity, what, detail without device names) → entries of one host."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for entry in distinct(layers):
        key = (severity_of(entry), str(entry.get("what") or "not said"), mask(entry.get("detail") or ""))
        found.setdefault(key, []).append(entry)
    return found


def _devices(entries: list[dict[str, Any]]) -> str:
    names = [clean(entry.get("target_name") or _target(entry)) for entry in entries]
    more = len(names) - TARGETS_SHOWN
    return ", ".join(names[:TARGETS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _detail(details: list[str], masked: str) -> str:
    """A device's own name would mislead where several devices are meant."""
    return details[0] if len(set(details)) == 1 else masked


def _target(entry: Mapping[str, Any]) -> str:
    return str(entry.get("target") or "")
