# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the `transport_` wishes ask of network devices, as the module nic takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .sysctls import FAIR, qdisc_of

DEVICES = ["default_route"]
"""Selectors, where nobody names others."""

UDP_GRO = {
    True: {"rx-udp-gro-forwarding": True, "rx-gro-list": False},
    False: {"rx-udp-gro-forwarding": False},
}
"""transport_udp_gro → features. With rx-gro-list a list of packets is forwarded instead of one large one."""


def devices_of(wishes: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """(selector → settings, origins by selector or `<selector> <setting>`) for the module nic.

    What `transport_interfaces` says of a selector counts more than what is reckoned here.
    """
    said = wishes.get("origins", {})
    found: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    qdisc = qdisc_of(wishes)
    for selector in wishes.get("devices", DEVICES):
        settings: dict[str, Any] = {}
        if qdisc:
            settings["qdisc"] = f"mq+{qdisc}"
            origins[f"{selector} qdisc"] = _qdisc_origin(wishes)
        if "udp_gro" in wishes:
            settings["features"] = dict(UDP_GRO[bool(wishes["udp_gro"])])
            for feature in settings["features"]:
                origins[f"{selector} features.{feature}"] = (
                    f"transport_udp_gro ({said.get('udp_gro', 'task')})"
                )
        if settings:
            found[selector] = settings
    for selector, own in (wishes.get("interfaces") or {}).items():
        settings = found.setdefault(str(selector), {})
        for name, value in own.items():
            both = isinstance(value, Mapping) and isinstance(settings.get(name), Mapping)
            settings[name] = {**settings[name], **value} if both else value
            for key in [str(name), *(f"{name}.{member}" for member in value)] if both else [str(name)]:
                origins.pop(f"{selector} {key}", None)
    if wishes.get("interfaces"):
        origins["interfaces"] = f"transport_interfaces ({said.get('interfaces', 'task')})"
    return found, origins


def _qdisc_origin(wishes: Mapping[str, Any]) -> str:
    said = wishes.get("origins", {})
    if "qdisc" in wishes:
        return f"transport_qdisc ({said.get('qdisc', 'task')})"
    name, origin = str(wishes.get("congestion_control")), said.get("congestion_control", "task")
    return f"transport_congestion_control ({origin}): {name} goes with {FAIR[name]}"
