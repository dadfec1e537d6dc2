# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of ours: planned ones through tunnels, and the last resort of each mesh. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Optional

from ..core.managed_files import file_change
from ..core.marking import is_untouched
from ..core.model import Change
from .paths import METRIC, PROTOCOL, routes_path
from .render import aggregate_line, aggregates, route_line, routes
from .share import Share
from .state import MeshState, Route, source_for, wanted_aggregates, wanted_routes

ROUTES = "mesh.routes"
LAST = "mesh"
"""Name of the file with the aggregates."""


def plan_routes(shares: Mapping[str, Share], state: MeshState) -> list[Change]:
    """One change per tunnel. First those that gain routes: a route that moves is moved there."""
    holders = {
        (share.mesh, destination): tunnel.interface
        for share in shares.values()
        for tunnel in share.tunnels
        for destination in wanted_routes(share, tunnel.interface, state.ipv6)
    }
    changes = []
    for share in shares.values():
        for tunnel in share.tunnels:
            change = _tunnel_routes(share, tunnel.interface, holders, state)
            if change:
                changes.append(change)
    return sorted(changes, key=lambda change: not change.data["gained"])


def plan_aggregates(
    share: Optional[Share], mesh: str, state: MeshState, others: Iterable[Share]
) -> list[Change]:
    """share: None where the mesh goes; others: all that stay: their aggregates are not removed."""
    wanted = wanted_aggregates(share, state.ipv6) if share else []
    stored = state.stored.get(mesh)
    known = {*wanted, *(wanted_aggregates(stored, True) if stored else ())}
    kept = {one for other in others if other.mesh != mesh for one in wanted_aggregates(other, True)}
    live = sorted(
        route.destination
        for route in state.routes
        if route.is_aggregate and route.destination in known - (kept - set(wanted))
    )
    if live == wanted:
        return []
    gone = [one for one in live if one not in wanted]
    new = [one for one in wanted if one not in live]
    return [
        Change(
            ROUTES,
            live,
            wanted,
            target=mesh,
            why="packets for the mesh must not go to anybody else" if wanted else "no longer asked for",
            data={
                "do": [*map(aggregate_line, new), *(aggregate_line(one, "del") for one in gone)],
                "undo": [*map(aggregate_line, gone), *(aggregate_line(one, "del") for one in new)],
                "aggregates": sorted(known),
                "gained": True,
            },
        )
    ]


def routes_files(share: Share, state: MeshState) -> list[Change]:
    """What a boot loads."""
    texts = {routes_path(share.mesh, LAST): aggregates(share, state.ipv6)}
    for tunnel in share.tunnels:
        texts[routes_path(share.mesh, tunnel.interface)] = routes(share, tunnel.interface, state.ipv6)
    found = []
    for path, text in texts.items():
        live = state.files.get(path)
        edited = live is not None and not is_untouched(live)
        change = file_change(path, live, text, edited, "so that a boot brings the same routes")
        if change:
            found.append(change)
    return found


def _tunnel_routes(
    share: Share, interface: str, holders: Mapping[tuple[str, str], str], state: MeshState
) -> Optional[Change]:
    wanted = wanted_routes(share, interface, state.ipv6)
    found = state.via(interface)
    good = sorted(r.destination for r in found if r.is_planned(source_for(share, r.destination)))
    odd = [r for r in found if not r.is_planned(source_for(share, r.destination))]
    if good == wanted and not odd:
        return None
    gained = [one for one in wanted if one not in good]
    lost = [one for one in good if one not in wanted]
    moved = {one: holder for one in gained if (holder := _holder(one, interface, state))}
    # What moves to another tunnel is moved by that one's change.
    alone = [one for one in lost if holders.get((share.mesh, one), interface) == interface]
    replaced = {(one, METRIC) for one in wanted}
    do = [route_line(share, one, interface) for one in gained]
    do += [_delete(one, interface) for one in alone]
    do += [_line("del", r) for r in odd if (r.destination, r.metric) not in replaced]
    undo = [_line("replace", r) for r in odd]
    undo += [route_line(share, one, moved.get(one, interface)) for one in gained if one in moved]
    undo += [_delete(one, interface) for one in gained if one not in moved and not _was_odd(one, odd)]
    undo += [route_line(share, one, interface) for one in lost]
    return Change(
        ROUTES,
        sorted(good + [_word(route) for route in odd]),
        wanted,
        target=interface,
        disruption="perf" if alone else "none",
        why=_why(gained, moved, alone, odd),
        data={
            "do": do,
            "undo": undo,
            "gained": bool(gained),
            "sources": {one: source_for(share, one) for one in [*wanted, *lost]},
            "new": bool(gained) and state.links.get(interface) is None,
        },
    )


def _holder(destination: str, interface: str, state: MeshState) -> str:
    """The tunnel that has the route now, if it is another one."""
    for route in state.routes:
        same = route.ours and route.kind == "unicast" and route.metric == METRIC
        if same and route.destination == destination and route.device not in ("", interface):
            return route.device
    return ""


def _was_odd(destination: str, odd: list[Route]) -> bool:
    return any(route.destination == destination and route.metric == METRIC for route in odd)


def _delete(destination: str, interface: str) -> str:
    return f"route del {destination} dev {interface} proto {PROTOCOL} metric {METRIC}"


def deletion(route: Route) -> str:
    """The line that removes a route of ours, whatever its form."""
    return _line("del", route)


def _line(verb: str, route: Route) -> str:
    """A route of ours in another form than today's."""
    source = f" src {route.source}" if route.source and verb != "del" else ""
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    device = f" dev {route.device}" if route.device else ""
    return f"route {verb} {kind}{route.destination}{device} proto {PROTOCOL} metric {route.metric}{source}"


def _word(route: Route) -> str:
    """How a route in another form than ours stands in a result."""
    source = f" src {route.source}" if route.source else ""
    return f"{route.destination} metric {route.metric}{source}"


def live_value(interface: str, routes_now: Iterable[Route], sources: Mapping[str, str]) -> list[str]:
    """The live value of a tunnel's change, in the form of `before` and `after`."""
    found = []
    for route in routes_now:
        if route.ours and route.device == interface:
            plain = route.is_planned(sources.get(route.destination, route.source))
            found.append(route.destination if plain else _word(route))
    return sorted(found)


def _why(gained: list[str], moved: Mapping[str, str], alone: list[str], odd: list[Route]) -> str:
    if moved:
        return f"moves from {', '.join(sorted(set(moved.values())))}"
    if alone and not gained:
        return "nobody is to be reached that way any more"
    return "of another form than planned" if odd and not gained else ""
