# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysctls of tunnels, and how a sysctl stands in a plan. Pure."""

from __future__ import annotations

from ..core.model import Change
from .render import LOOSE
from .share import Share
from .state import MeshState

FORWARDING = "mesh.forwarding"
DEFAULT_FORWARDING = "net/ipv4/conf/default/forwarding"


def wanted_sysctls(share: Share, name: str) -> dict[str, str]:
    """Path below /proc/sys → value, of a tunnel."""
    found = {f"net/ipv4/conf/{name}/rp_filter": str(LOOSE)}
    if share.transit:
        found[f"net/ipv4/conf/{name}/forwarding"] = "1"
    return found


def tunnel_sysctls(share: Share, name: str, state: MeshState) -> list[Change]:
    """Those of a tunnel that is up."""
    changes = []
    wishes = wanted_sysctls(share, name)
    stored = state.stored.get(share.mesh)
    if stored is not None and stored.transit and not share.transit:
        # What a tunnel has that comes up now.
        wishes[f"net/ipv4/conf/{name}/forwarding"] = state.sysctls.get(DEFAULT_FORWARDING, "0")
    for path, wanted in wishes.items():
        live = state.sysctls.get(path)
        if live is not None and live != wanted:
            loose = path.endswith("/rp_filter")
            forwards = f"this member {'forwards' if share.transit else 'no longer forwards'} for others"
            why = "an answer may come by another tunnel" if loose else forwards
            changes.append(sysctl_change(path, live, wanted, why))
    return changes


def sysctl_change(path: str, live: str, wanted: str, why: str) -> Change:
    """The target is what sysctl calls it."""
    name = path if "." in path else path.replace("/", ".")
    return Change(FORWARDING, live, wanted, target=name, why=why, data={"path": path})


def sysctl_path(target: str) -> str:
    """Below /proc/sys, of such a change's target. An interface's name may have dots: then it has slashes."""
    return target if "/" in target else target.replace(".", "/")
