# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a registry waits for, in words. Pure."""

from __future__ import annotations

from typing import Any

from .registry import Registry


def unfinished(registry: Registry) -> list[dict[str, Any]]:
    """What `finish` waits for, as entries of a report's `pending`."""
    found = []
    for link in registry.links.values():
        if link.held:
            what, why = "proof", "leaves as soon as all new links carry their routes"
        elif link.leaving:
            what, why = "applied", "leaves; it goes when both ends have applied that"
        elif link.old is not None:
            what, why = "applied", "the old tunnel goes when both ends have applied that they use the new"
        elif link.next is not None:
            what, why = "proof", "the new tunnel waits for its first handshake"
        elif link.fresh:
            what, why = "proof", "the new link waits for its first handshake"
        else:
            continue
        found.append({"what": what, "why": f"{link.words}: {why}", "ends": list(link.ends)})
    for member in registry.members.values():
        if member.fresh:
            why = (
                "others send over it as soon as it has applied its routes over a link with one that forwards"
            )
        elif member.stops:
            why = "forwards until all that is new carries routes"
        elif member.held:
            why = "forwards as before until all its neighbours have applied that they do not send over it"
        else:
            continue
        found.append({"what": "applied", "why": f"{member.name}: {why}", "member": member.name})
    return found + _on_their_way(registry)


def _on_their_way(registry: Registry) -> list[dict[str, Any]]:
    """One entry for each member that sends as before, or may do so."""
    found = {}
    for way in sorted(registry.ways, key=lambda way: (way.kept, way.at)):
        why = "has not said yet that it has its new routes"
        if way.kept:
            why = f"sends by {way.by} as before, until others have their new routes: a circle might arise"
        found[way.kept, way.at] = {"what": "applied", "why": f"{way.at}: {why}", "member": way.at}
    return list(found.values())
