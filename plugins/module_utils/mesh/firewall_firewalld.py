# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld: ports or rich rules, in the running and in the permanent configuration; nothing is reloaded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Optional

from .commands import Runner, must
from .firewall_ranges import (
    Opening,
    Range,
    Ranges,
    Step,
    both,
    edit,
    items,
    merged,
    parse_items,
    plus,
    step_ranges,
)

KINDS = ("runtime", "permanent")
_RICH = re.compile(
    r'rule family="ipv[46]" source address="([^"]+)" port port="(\d+)(?:-(\d+))?" protocol="udp" accept'
)
_PORT = re.compile(r"(\d+)(?:-(\d+))?/udp")


@dataclass(frozen=True)
class FirewalldSurvey:
    """zones: of the devices that tunnels go over; entries: (where, ports) of all zones looked at"""

    program: bool = False
    running: bool = False
    zones: tuple[str, ...] = ()
    entries: tuple[tuple[str, Range], ...] = ()
    ranges: Ranges = field(default_factory=dict)


class Firewalld:
    """A `firewall_managers.Manager`. Items: `51820-51867 public runtime`, or `… from ADDRESS`."""

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
        runtime = must(self.runner, ["firewall-cmd", "--list-all-zones"])
        permanent = must(self.runner, ["firewall-cmd", "--permanent", "--list-all-zones"])
        entries = (*parse_zones(runtime, "runtime"), *parse_zones(permanent, "permanent"))
        return FirewalldSurvey(True, True, self._zones(runtime), entries, _merged(entries))

    def absent(self, survey: FirewalldSurvey) -> str:
        return "" if survey.program else "firewalld is not on this node"

    def unusable(self, survey: FirewalldSurvey) -> str:
        if survey.running:
            return ""
        return "firewalld does not run: what was opened in its permanent configuration is still there"

    def refusal(self, survey: FirewalldSurvey, opening: Opening) -> str:
        return (
            "" if survey.running else "a firewall that runs here: firewalld does not (`firewall-cmd --state`)"
        )

    def notes(self, survey: FirewalldSurvey, opening: Opening) -> list[str]:
        return []

    def step(
        self, survey: FirewalldSurvey, mesh: str, opening: Optional[Opening], applied: list[str]
    ) -> Step:
        wanted: dict[str, tuple[Range, ...]] = {}
        for zone, kind in product(survey.zones, KINDS):
            if opening:
                for source in opening.sources or ("",):
                    where = f"{zone} {kind} from {source}" if source else f"{zone} {kind}"
                    wanted[where] = ((opening.first, opening.last),)
        return step_ranges(wanted, survey.ranges, parse_items(applied))

    def live(self, survey: FirewalldSurvey, mesh: str, watch: list[str]) -> list[str]:
        return items(both(parse_items(watch), survey.ranges))

    def change(self, mesh: str, add: list[str], remove: list[str]) -> None:
        """Raises NodeError."""
        entries = self.survey().entries if remove else ()
        deleted, added = edit(entries, parse_items(remove), parse_items(add))
        for verb, texts in (("remove", deleted), ("add", added)):
            for text in texts:
                self._ask(verb, text)

    # -- inside

    def _ask(self, verb: str, item: str) -> None:
        (where, ((first, last),)), *_others = parse_items([item]).items()
        zone, kind, *source = where.split()
        words = ["firewall-cmd", "-q", *(["--permanent"] if kind == "permanent" else []), f"--zone={zone}"]
        if source:
            family = "ipv6" if ":" in source[1] else "ipv4"
            rule = (
                f'rule family="{family}" source address="{source[1]}" '
                f'port port="{_ports(first, last)}" protocol="udp" accept'
            )
            must(self.runner, [*words, f"--{verb}-rich-rule={rule}"])
        else:
            must(self.runner, [*words, f"--{verb}-port={_ports(first, last)}/udp"])

    def _zones(self, listed: str) -> tuple[str, ...]:
        """Zones of the devices that default routes go over; the default zone where there are none."""
        devices = {
            route["dev"]
            for family in ("-4", "-6")
            for route in self._routes(family)
            if isinstance(route, dict) and "dev" in route
        }
        # A device without a zone of its own is in the default zone.
        default = must(self.runner, ["firewall-cmd", "--get-default-zone"]).strip()
        zones = device_zones(listed)
        return tuple(sorted({zones.get(device, default) for device in devices} or {default}))

    def _routes(self, family: str) -> list[object]:
        done = self.runner(["ip", "-j", family, "route", "show", "default"])
        try:
            found = json.loads(done.out or "[]") if done.good else []
        except ValueError:
            return []
        return found if isinstance(found, list) else []


def parse_zones(listed: str, kind: str) -> tuple[tuple[str, Range], ...]:
    """UDP ports and rich rules that open them, of `firewall-cmd --list-all-zones`. Pure."""
    found = []
    for zone, line in _lines(listed):
        rich = _RICH.fullmatch(line)
        if rich:
            found.append((f"{zone} {kind} from {rich[1]}", _range(rich[2], rich[3])))
        elif line.startswith("ports:"):
            matches = [_PORT.fullmatch(word) for word in line.split()[1:]]
            found += [(f"{zone} {kind}", _range(match[1], match[2])) for match in matches if match]
    return tuple(found)


def device_zones(listed: str) -> dict[str, str]:
    """Device → zone, of the same answer."""
    return {
        device: zone
        for zone, line in _lines(listed)
        if line.startswith("interfaces:")
        for device in line.split()[1:]
    }


def _lines(listed: str) -> Iterable[tuple[str, str]]:
    """(zone, line of it): a zone's name stands at the margin, ` (active)` or so behind it."""
    zone = ""
    for line in listed.splitlines():
        if line and not line[0].isspace():
            zone = line.split()[0]
        elif line.strip():
            yield zone, line.strip()


def _ports(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _range(first: str, last: Optional[str]) -> Range:
    return int(first), int(last or first)


def _merged(entries: Iterable[tuple[str, Range]]) -> dict[str, tuple[Range, ...]]:
    found: dict[str, tuple[Range, ...]] = {}
    for where, ports in entries:
        found = plus(found, {where: merged([ports])})
    return found
