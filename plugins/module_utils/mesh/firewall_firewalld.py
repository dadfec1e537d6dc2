# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld: ports or rich rules, in the running and in the permanent configuration; nothing is reloaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..core.commands import Runner, must
from .firewall_ranges import (
    Opening,
    Range,
    Ranges,
    Step,
    edit,
    joined,
    live_items,
    parse_items,
    step_names,
    step_ranges,
    summed,
)
from .firewall_zones import Routes, Zone, by_source, parse_routes, parse_zones, zone_of, zones_of
from .share import INTERFACE

RUNTIME, PERMANENT = KINDS = ("runtime", "permanent")
FORWARD = "forward"
"""How an item begins that puts a mesh's interfaces into a zone by name: `forward wan-+ public runtime`."""

STRICT = "fib saddr . mark . iif oif missing"
"""The rule of `IPv6_rpfilter=yes`, which firewalld 2 calls strict."""


@dataclass(frozen=True)
class FirewalldSurvey:
    """usual: device → its zone now, under "" the default zone; zones: kind → name → zone

    entries: (where, ports) of all zones; bindings: patterns of interfaces that are in a zone
    strict: IPv6 packets are dropped that come by another device than answers would go by
    """

    program: bool = False
    running: bool = False
    usual: Mapping[str, str] = field(default_factory=dict)
    zones: Mapping[str, Mapping[str, Zone]] = field(default_factory=dict)
    routes: Routes = field(default_factory=Routes)
    entries: tuple[tuple[str, Range], ...] = ()
    ranges: Ranges = field(default_factory=dict)
    bindings: tuple[str, ...] = ()
    strict: bool = False


class Firewalld:
    """A `firewall_managers.Manager`. Items: `51820-51867 public runtime`, `… from ADDRESS`, bindings."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def survey(self) -> FirewalldSurvey:
        """Raises NodeError."""
        state = self.runner(["firewall-cmd", "--state"])
        if state.code == 127:
            return FirewalldSurvey()
        if not state.good or state.out.strip() != "running":
            return FirewalldSurvey(True)
        # All zones in one answer: firewall-cmd takes its time. A zone that ports were opened in before has
        # them still, whatever the devices' zones are now.
        zones = {
            RUNTIME: parse_zones(must(self.runner, ["firewall-cmd", "--list-all-zones"])),
            PERMANENT: parse_zones(must(self.runner, ["firewall-cmd", "--permanent", "--list-all-zones"])),
        }
        default = must(self.runner, ["firewall-cmd", "--get-default-zone"]).strip()
        usual = {device: name for name, zone in zones[RUNTIME].items() for device in zone.interfaces}
        filters = self.runner(["nft", "list", "chain", "inet", "firewalld", "filter_PREROUTING"])
        entries = _entries(zones)
        return FirewalldSurvey(
            True,
            True,
            {**usual, "": default},
            zones,
            parse_routes(self._routes("-4"), self._routes("-6")),
            entries,
            summed(entries),
            _bindings(zones),
            STRICT in filters.out,
        )

    def absent(self, survey: FirewalldSurvey) -> str:
        return "" if survey.program else "firewalld is not on this node"

    def asleep(self, survey: FirewalldSurvey) -> str:
        return self.unusable(survey)

    def unusable(self, survey: FirewalldSurvey) -> str:
        if survey.running:
            return ""
        return "firewalld does not run: what was opened in its permanent configuration is still there"

    def refusal(self, survey: FirewalldSurvey, opening: Opening) -> str:
        return (
            "" if survey.running else "a firewall that runs here: firewalld does not (`firewall-cmd --state`)"
        )

    def notes(self, survey: FirewalldSurvey, opening: Opening) -> list[str]:
        pattern, found = _pattern(opening.mesh), []
        name = _tunnels_zone(survey, opening.mesh)
        zone = survey.zones[RUNTIME].get(name, Zone())
        move = f"`firewall-cmd [--permanent] --zone=trusted --add-interface={pattern}`"
        if zone.closed and not by_source(survey.zones[RUNTIME], opening.prefixes):
            found.append(
                f"firewalld's zone {name}, to which the tunnels of {opening.mesh} belong, drops everything: "
                f"neighbours' probes fail, and changes are taken back. {move} lets all of the mesh in"
            )
        if opening.transit and not zone.forward and zone.target != "ACCEPT":
            found.append(
                f"firewalld's zone {name}, to which the tunnels of {opening.mesh} belong, forwards nothing: "
                f"`firewall-cmd [--permanent] --zone={name} --add-forward`"
            )
        if survey.strict and any(":" in prefix for prefix in opening.prefixes):
            found.append(
                "firewalld drops IPv6 packets that come by another tunnel than answers go by, so some of "
                f"{opening.mesh} are lost while keys or routes are replaced: IPv6_rpfilter in "
                "/etc/firewalld/firewalld.conf is `yes` (from firewalld 2 `strict`), and `no` (`loose`) "
                "lets them in"
            )
        return found

    def step(
        self, survey: FirewalldSurvey, mesh: str, opening: Optional[Opening], applied: list[str]
    ) -> Step:
        wanted = _wanted(survey, opening) if opening else {}
        bound = [item for item in applied if _is_binding(item)]
        ports = step_ranges(wanted, survey.ranges, parse_items(_without(applied)))
        return joined(ports, step_names(_binding(survey, opening, bound), survey.bindings, bound))

    def live(self, survey: FirewalldSurvey, mesh: str, watch: list[str]) -> list[str]:
        bound = sorted(item for item in watch if item in survey.bindings)
        return live_items(_without(watch), survey.ranges) + bound

    def change(self, mesh: str, add: list[str], remove: list[str]) -> None:
        """Raises NodeError."""
        for verb, texts in (("remove", remove), ("add", add)):
            for text in filter(_is_binding, texts):
                _word, pattern, zone, kind = text.split()
                must(self.runner, [*_words(zone, kind), f"--{verb}-interface={pattern}"])
        add, remove = _without(add), _without(remove)
        entries = self.survey().entries if remove else ()
        deleted, added = edit(entries, parse_items(remove), parse_items(add))
        for verb, texts in (("remove", deleted), ("add", added)):
            for text in texts:
                self._ask(verb, text)

    # -- inside

    def _ask(self, verb: str, item: str) -> None:
        (where, ((first, last),)), *_others = parse_items([item]).items()
        zone, kind, *source = where.split()
        words = _words(zone, kind)
        if source:
            family = "ipv6" if ":" in source[1] else "ipv4"
            rule = (
                f'rule family="{family}" source address="{source[1]}" '
                f'port port="{_ports(first, last)}" protocol="udp" accept'
            )
            must(self.runner, [*words, f"--{verb}-rich-rule={rule}"])
        else:
            must(self.runner, [*words, f"--{verb}-port={_ports(first, last)}/udp"])

    def _routes(self, family: str) -> list[Any]:
        done = self.runner(["ip", "-j", family, "route", "show"])
        try:
            found = json.loads(done.out or "[]") if done.good else []
        except ValueError:
            return []
        return found if isinstance(found, list) else []


def _words(zone: str, kind: str) -> list[str]:
    return ["firewall-cmd", "-q", *(["--permanent"] if kind == PERMANENT else []), f"--zone={zone}"]


def _wanted(survey: FirewalldSurvey, opening: Opening) -> dict[str, tuple[Range, ...]]:
    found: dict[str, tuple[Range, ...]] = {}
    for kind in KINDS:
        for source in opening.sources or ("",):
            for zone in zones_of(opening, source, survey.routes, survey.zones[kind], survey.usual):
                where = f"{zone} {kind} from {source}" if source else f"{zone} {kind}"
                found[where] = ((opening.first, opening.last),)
    return found


def _entries(zones: Mapping[str, Mapping[str, Zone]]) -> tuple[tuple[str, Range], ...]:
    return tuple(
        (f"{name} {kind} from {source}" if source else f"{name} {kind}", ports)
        for kind, found in zones.items()
        for name, zone in found.items()
        for source, ports in zone.entries
    )


def _bindings(zones: Mapping[str, Mapping[str, Zone]]) -> tuple[str, ...]:
    return tuple(
        f"{FORWARD} {device} {name} {kind}"
        for kind, found in zones.items()
        for name, zone in found.items()
        for device in zone.interfaces
        if device.endswith("-+")
    )


def _binding(survey: FirewalldSurvey, opening: Optional[Opening], ours: list[str]) -> list[str]:
    """Of a transit member: between interfaces that no zone names firewalld forwards nothing.

    They come to the zone in which they are anyhow, so that nothing else is let in than before.
    """
    if opening is None or not opening.transit:
        return []
    pattern = _pattern(opening.mesh)
    theirs = [item for item in survey.bindings if item.split()[1] == pattern and item not in ours]
    if theirs or by_source(survey.zones[RUNTIME], opening.prefixes):
        return theirs
    zone = _own_zone(survey, opening.mesh)
    return [f"{FORWARD} {pattern} {zone} {kind}" for kind in KINDS] if zone else []


def _own_zone(survey: FirewalldSurvey, mesh: str) -> str:
    """The zone of the mesh's interfaces by name, or the default zone; "" where they are in several."""
    named = {
        zone for device, zone in survey.usual.items() if INTERFACE.fullmatch(device) and _of(device, mesh)
    }
    if len(named) > 1:
        return ""
    return next(iter(named), survey.usual[""])


def _tunnels_zone(survey: FirewalldSurvey, mesh: str) -> str:
    return zone_of(f"{mesh}-", survey.zones[RUNTIME]) or _own_zone(survey, mesh) or survey.usual[""]


def _pattern(mesh: str) -> str:
    return f"{mesh}-+"


def _of(device: str, mesh: str) -> bool:
    return device.startswith(f"{mesh}-")


def _is_binding(item: str) -> bool:
    return item.startswith(f"{FORWARD} ")


def _without(items: list[str]) -> list[str]:
    return [item for item in items if not _is_binding(item)]


def _ports(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
