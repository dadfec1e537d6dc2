# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding of IPv6 on members that carry others' traffic, and the default routes it must not cost. Pure.

The kernel has one switch for all interfaces. Turning it on takes away default routes that came by router
advertisements, but for interfaces whose accept_ra is 2: these are set first. IPv4 is switched per tunnel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

from ..core.managed_files import file_change
from ..core.marking import is_untouched
from ..core.model import Change, Claim, Plan
from ..core.store import Record
from .render import parse_dropin, sysctl_dropin
from .share import INTERFACE, Share
from .state import MeshState, is_v6
from .sysctls import FORWARDING, sysctl_change, sysctl_path

ALL = "net/ipv6/conf/all/forwarding"
DROPIN = "/etc/sysctl.d/90-swarm-node-mesh.conf"
RA = 9
"""Protocol number of routes that came by router advertisements."""


def plan_forwarding(
    shares: Mapping[str, Share], state: MeshState, record: Record
) -> tuple[Plan, list[Change]]:
    """The changes that switch it on, with all claims; and those that give it back, which come last."""
    record = _with_lost(record, state)
    plan = Plan()
    forwards = any(share.transit and any(map(is_v6, share.addresses)) for share in shares.values())
    wanted = state.ipv6 and forwards
    values = _wanted_values(state, record) if wanted else {}
    for path, value in values.items():
        live, name = state.sysctls.get(path, ""), _claim_name(path)
        held = record.claims.get(name)
        plan.claims[name] = Claim(held.first_seen if held else live, value)
        if live != value:
            change = sysctl_change(path, live, value, _why(path))
            change.claim = name
            change.data["others"] = _individual(state) if path == ALL else {}
            plan.changes.append(change)
    before = {path: str(plan.claims[_claim_name(path)].first_seen or "") for path in values}
    dropin = _dropin(values, before, state)
    if dropin and wanted:
        plan.changes.append(dropin)
    back = _given_back(values, state, record)
    if dropin and not wanted:
        back.append(dropin)
    return plan, back


def _wanted_values(state: MeshState, record: Record) -> dict[str, str]:
    """Path → value, accept_ra first. Where somebody else forwards already, RAs are their matter."""
    held = _claim_name(ALL) in record.claims
    found = {}
    if held or state.sysctls.get(ALL) == "0":
        for path, live in sorted(state.sysctls.items()):
            if path.endswith("/accept_ra") and (
                _claim_name(path) in record.claims or _takes_ra(path, live, state)
            ):
                found[path] = "2"
    found[ALL] = "1"
    return found


def _with_lost(record: Record, state: MeshState) -> Record:
    """The record, where it was lost, with what our drop-in says of the values before."""
    text = state.files.get(DROPIN)
    if text is None or not is_untouched(text) or any(n.startswith(f"{FORWARDING} ") for n in record.claims):
        return record
    found = {_claim_name(path): Claim(*values) for path, values in parse_dropin(text).items()}
    return Record(record.owner, {**found, **record.claims}, record.damaged)


def _takes_ra(path: str, live: str, state: MeshState) -> bool:
    name = path.split("/")[3]
    if live != "1" or name in ("all", "default", "lo") or INTERFACE.fullmatch(name):
        return False
    link = state.links.get(name)
    hardware = link is not None and link.kind == ""
    return hardware or any(r.protocol == RA and r.device == name for r in state.routes)


def _given_back(values: Mapping[str, str], state: MeshState, record: Record) -> list[Change]:
    """The switch first: while it is on, accept_ra stays 2."""
    found = []
    prefix = f"{FORWARDING} "
    for name in sorted(record.claims, key=lambda one: (one != _claim_name(ALL), one)):
        if not name.startswith(prefix) or name in map(_claim_name, values):
            continue
        path = sysctl_path(name[len(prefix) :])
        claim, live = record.claims[name], state.sysctls.get(path)
        if live is None or live != claim.applied or claim.first_seen in (None, "", live):
            continue  # Somebody else has set it since, or the interface is gone.
        change = sysctl_change(path, live, str(claim.first_seen), "no longer asked for")
        change.data["others"] = {}
        found.append(change)
    return found


def _individual(state: MeshState) -> dict[str, str]:
    """Interfaces that had forwarding on by themselves: switching all off would switch these off, too."""
    return {
        path: value
        for path, value in state.sysctls.items()
        if path.startswith("net/ipv6/conf/") and path.endswith("/forwarding") and value == "1" and path != ALL
    }


def _dropin(values: dict[str, str], before: Mapping[str, str], state: MeshState) -> Optional[Change]:
    live = state.files.get(DROPIN)
    edited = live is not None and not is_untouched(live)
    return file_change(
        DROPIN,
        live,
        sysctl_dropin(values, before) if values else None,
        edited,
        "so that forwarding survives a reboot" if values else "no longer asked for",
    )


def _claim_name(path: str) -> str:
    return sysctl_change(path, "", "", "").name


def _why(path: str) -> str:
    if path == ALL:
        return "this member forwards for others"
    return "so that forwarding does not take away the default route of router advertisements"
