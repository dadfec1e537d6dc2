# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Elements in somebody else's nftables set: ports, or ports with addresses, by the set's type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ..core.commands import Runner, must
from .firewall_chain import parsed
from .firewall_match import plain_element
from .firewall_ranges import Opening, Range, Ranges, Step, edit, live_items, parse_items, step_ranges, summed

PORT, PROTOCOL = "inet_service", "inet_proto"
ADDRESSES = {"ipv4_addr": 4, "ipv6_addr": 6}
_FIELDS = {
    ("ip", "saddr"): "ipv4_addr",
    ("ip6", "saddr"): "ipv6_addr",
    ("udp", "dport"): PORT,
    ("th", "dport"): PORT,
    ("ip", "protocol"): PROTOCOL,
}
"""What `typeof` of a field means."""


@dataclass(frozen=True)
class SetSurvey:
    """missing: why nft answers nothing; sets: all of the node; types: of the elements' parts

    entries: (where, ports) of every element that is understood; where: the other parts
    """

    missing: str = ""
    sets: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    interval: bool = False
    entries: tuple[tuple[str, Range], ...] = ()
    ranges: Ranges = field(default_factory=dict)


class NftSet:
    """A `firewall_managers.Manager`. Items: `51820-51867`, `51820-51867 203.0.113.7`."""

    def __init__(self, runner: Runner, family: str, table: str, name: str) -> None:
        self.runner = runner
        self.family, self.table, self.name = family, table, name

    def survey(self) -> SetSurvey:
        """Raises NodeError."""
        listed = self.runner(["nft", "-j", "list", "sets"])
        if not listed.good:
            return SetSurvey(listed.err.strip() or "nft does not answer")
        sets = [item["set"] for item in parsed(listed.out) if "set" in item]
        names = tuple(sorted(f"{one['family']} {one['table']} {one['name']}" for one in sets))
        if self._place not in names:
            return SetSurvey(sets=names)
        answer = must(self.runner, ["nft", "-j", "list", "set", self.family, self.table, self.name])
        body = next(item["set"] for item in parsed(answer) if "set" in item)
        types = types_of(body["type"])
        entries = tuple(
            entry for value in body.get("elem", ()) for entry in _entry(plain_element(value), types)
        )
        return SetSurvey("", names, types, "interval" in _flags(body), entries, summed(entries))

    @property
    def _place(self) -> str:
        return f"{self.family} {self.table} {self.name}"

    def absent(self, survey: SetSurvey) -> str:
        return "" if survey.types else f"there is no set {self._place}"

    def unusable(self, survey: SetSurvey) -> str:
        return ""

    def asleep(self, survey: SetSurvey) -> str:
        return ""

    def refusal(self, survey: SetSurvey, opening: Opening) -> str:
        if survey.missing:
            return f"a firewall that works here ({survey.missing})"
        if not survey.types:
            return f"a set of this node: {', '.join(survey.sets) or 'it has none'}"
        known = {PORT, PROTOCOL, *ADDRESSES}
        if survey.types.count(PORT) != 1 or not set(survey.types) <= known:
            return (
                f"a set of ports, or of ports with one address, in any order ({' . '.join(survey.types)} "
                "is the type of this one)"
            )
        versions = [ADDRESSES[name] for name in survey.types if name in ADDRESSES]
        if len(versions) > 1 or (versions and not opening.sources):
            return "a set of ports alone: tunnels may come from any address here"
        if versions and any("/" in source for source in opening.of_version(versions[0])):
            return "a set of ports alone: not all tunnels come from single addresses"
        return ""

    def notes(self, survey: SetSurvey, opening: Opening) -> list[str]:
        versions = [ADDRESSES[name] for name in survey.types if name in ADDRESSES]
        missing = [
            source for source in opening.sources if versions and source not in opening.of_version(versions[0])
        ]
        if not missing:
            return []
        return [
            f"the set {self._place} has no place for {', '.join(missing)}: they need an opening elsewhere"
        ]

    def step(self, survey: SetSurvey, mesh: str, opening: Optional[Opening], applied: list[str]) -> Step:
        wanted: dict[str, tuple[Range, ...]] = {}
        if opening:
            versions = [ADDRESSES[name] for name in survey.types if name in ADDRESSES]
            sources = opening.of_version(versions[0]) if versions else ("",)
            for source in sources:
                rest = [source if name in ADDRESSES else "udp" for name in survey.types if name != PORT]
                wanted[" ".join(rest)] = ((opening.first, opening.last),)
        return step_ranges(wanted, survey.ranges, parse_items(applied))

    def live(self, survey: SetSurvey, mesh: str, watch: list[str]) -> list[str]:
        return live_items(watch, survey.ranges)

    def change(self, mesh: str, add: list[str], remove: list[str]) -> None:
        """One transaction. Raises NodeError."""
        survey = self.survey()
        deleted, added = edit(survey.entries, parse_items(remove), parse_items(add))
        lines = []
        for verb, texts in (("delete", deleted), ("add", added)):
            elements = [element for text in texts for element in _written(text, survey)]
            if elements:
                lines.append(f"{verb} element {self._place} {{ {', '.join(elements)} }}")
        if lines:
            must(self.runner, ["nft", "-f", "-"], "\n".join(lines) + "\n")


def types_of(written: Any) -> tuple[str, ...]:
    """The parts of a set's type: of a name, a list of names, or of the expressions that `typeof` names."""
    if isinstance(written, Mapping) and "typeof" in written:
        written = written["typeof"]
    if isinstance(written, Mapping) and "concat" in written:
        written = written["concat"]
    return tuple(_type(part) for part in (written if isinstance(written, list) else [written]))


def _type(part: Any) -> str:
    if isinstance(part, str):
        return part
    payload = part.get("payload", {}) if isinstance(part, Mapping) else {}
    return _FIELDS.get((payload.get("protocol", ""), payload.get("field", "")), "")


def _flags(body: Mapping[str, Any]) -> list[str]:
    flags = body.get("flags", [])
    return [flags] if isinstance(flags, str) else list(flags)


def _entry(value: Any, types: tuple[str, ...]) -> list[tuple[str, Range]]:
    """An element as (where, ports); none for one of a form that is never ours."""
    parts = value["concat"] if isinstance(value, Mapping) and "concat" in value else [value]
    if len(parts) != len(types) or types.count(PORT) != 1:
        return []
    place = types.index(PORT)
    port, rest = parts[place], [*parts[:place], *parts[place + 1 :]]
    span = port.get("range") if isinstance(port, Mapping) else [port, port]
    if not span or not all(isinstance(one, int) for one in span):
        return []
    if not all(isinstance(one, str) for one in rest):
        return []
    return [(" ".join(rest), (span[0], span[1]))]


def _written(item: str, survey: SetSurvey) -> list[str]:
    """An item as nft takes it: one element per port where the set has no intervals."""
    (where, ((first, last),)), *_others = parse_items([item]).items()
    if survey.interval:
        spans = [str(first) if first == last else f"{first}-{last}"]
    else:
        spans = [str(port) for port in range(first, last + 1)]
    rest = where.split()
    place = survey.types.index(PORT)
    return [" . ".join([*rest[:place], span, *rest[place:]]) for span in spans]
