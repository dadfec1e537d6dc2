# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of ours, known by their comment, at the head of somebody else's nftables chain."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ..core.commands import Runner, must
from ..core.errors import NodeError
from .firewall_match import plain_element
from .firewall_ranges import Opening, Step, comment_of, step_marked


@dataclass(frozen=True)
class ChainSurvey:
    """missing: why nft answers nothing; there: whether the chain is; chains: all of the node

    rules: (handle, comment, what it says) of the chain's rules that have a comment, in their order
    """

    missing: str = ""
    there: bool = False
    chains: tuple[str, ...] = ()
    rules: tuple[tuple[int, str, str], ...] = ()


class NftChain:
    """A `firewall_managers.Manager`. Items: `udp dport 51820-51867 accept`, after the sources; else JSON."""

    def __init__(self, runner: Runner, family: str, table: str, name: str) -> None:
        self.runner = runner
        self.family, self.table, self.name = family, table, name

    def survey(self) -> ChainSurvey:
        """Raises NodeError."""
        listed = self.runner(["nft", "-j", "list", "chains"])
        if not listed.good:
            return ChainSurvey(listed.err.strip() or "nft does not answer")
        chains = [
            (item["chain"]["family"], item["chain"]["table"], item["chain"]["name"])
            for item in parsed(listed.out)
            if "chain" in item
        ]
        if (self.family, self.table, self.name) not in chains:
            return ChainSurvey(chains=tuple(" ".join(place) for place in sorted(chains)))
        found = must(self.runner, ["nft", "-j", "-a", "list", "chain", self.family, self.table, self.name])
        rules = [item["rule"] for item in parsed(found) if "rule" in item]
        return ChainSurvey(
            there=True,
            rules=tuple(
                (rule["handle"], rule["comment"], describe(rule["expr"]))
                for rule in rules
                if "comment" in rule
            ),
        )

    def absent(self, survey: ChainSurvey) -> str:
        if survey.there:
            return ""
        return f"there is no chain {self.family} {self.table} {self.name}"

    def unusable(self, survey: ChainSurvey) -> str:
        return ""

    def asleep(self, survey: ChainSurvey) -> str:
        return ""

    def refusal(self, survey: ChainSurvey, opening: Opening) -> str:
        if survey.missing:
            return f"a firewall that works here ({survey.missing})"
        if survey.there:
            return ""
        others = [place for place in survey.chains if " swarm_node_mesh_" not in place]
        return f"a chain of this node: {', '.join(others) or 'it has none'}"

    def notes(self, survey: ChainSurvey, opening: Opening) -> list[str]:
        return _left_out(self.family, opening, f"the chain {self.family} {self.table} {self.name}")

    def step(self, survey: ChainSurvey, mesh: str, opening: Optional[Opening], applied: list[str]) -> Step:
        wanted = [describe(rule) for rule in rules_for(self.family, opening)] if opening else []
        return step_marked(wanted, self.live(survey, mesh, []))

    def live(self, survey: ChainSurvey, mesh: str, watch: list[str]) -> list[str]:
        return sorted({text for _handle, comment, text in survey.rules if comment == comment_of(mesh)})

    def change(self, mesh: str, add: list[str], remove: list[str]) -> None:
        """One transaction. Raises NodeError."""
        place = {"family": self.family, "table": self.table, "chain": self.name}
        commands: list[dict[str, Any]] = [
            {"delete": {"rule": {**place, "handle": handle}}}
            for handle, comment, text in self.survey().rules
            if comment == comment_of(mesh) and text in remove
        ]
        commands += [
            {"insert": {"rule": {**place, "comment": comment_of(mesh), "expr": expression_of(text)}}}
            for text in add
        ]
        if commands:
            must(self.runner, ["nft", "-j", "-f", "-"], json.dumps({"nftables": commands}))


def rules_for(family: str, opening: Opening) -> list[list[dict[str, Any]]]:
    """The rules of an opening: one for any source, else one per IP version that the family has."""
    port: Any = {"range": [opening.first, opening.last]}
    if opening.first == opening.last:
        port = opening.first
    end = [_match("udp", "dport", port), {"counter": {"packets": 0, "bytes": 0}}, {"accept": None}]
    if not opening.sources:
        return [end]
    found = []
    for version, word in ((4, "ip"), (6, "ip6")):
        sources = opening.of_version(version)
        if sources and family in ("inet", word):
            networks: list[Any] = [ipaddress.ip_network(source) for source in sources]
            collapsed = [_side(network) for network in ipaddress.collapse_addresses(networks)]
            right = collapsed[0] if len(collapsed) == 1 else {"set": collapsed}
            found.append([_match(word, "saddr", right), *end])
    return found


def describe(expr: list[Any]) -> str:
    """A rule in words: that of an opening as nft writes it, else its JSON. Equal for equal rules."""
    words = []
    for item in expr:
        kind, body = next(iter(item.items())) if isinstance(item, Mapping) else (str(item), {})
        if kind == "counter":
            continue
        text = kind if kind == "accept" else _words(body) if kind == "match" else ""
        if not text:
            bare = [part for part in expr if not (isinstance(part, Mapping) and "counter" in part)]
            return json.dumps(bare, sort_keys=True)
        words.append(text)
    return " ".join(words)


def expression_of(text: str) -> list[Any]:
    """The reverse of `describe`, with a counter before the verdict."""
    if text.startswith("["):
        found = json.loads(text)
    else:
        words = text.split()
        found = []
        if words[1] == "saddr":
            spans = [part.split("-") for part in words[2].split(",")]
            networks = [
                _side(network)
                for first, last in spans
                for network in ipaddress.summarize_address_range(
                    ipaddress.ip_address(first), ipaddress.ip_address(last)
                )
            ]
            found.append(_match(words[0], "saddr", networks[0] if len(networks) == 1 else {"set": networks}))
            words = words[3:]
        first, _dash, last = words[2].partition("-")
        found.append(_match("udp", "dport", {"range": [int(first), int(last)]} if last else int(first)))
        found.append({"accept": None})
    return [*found[:-1], {"counter": {"packets": 0, "bytes": 0}}, found[-1]]


def parsed(text: str) -> list[dict[str, Any]]:
    """The objects of an answer of `nft -j`. Raises NodeError."""
    try:
        found = json.loads(text)["nftables"]
    except (ValueError, KeyError, TypeError) as error:
        raise NodeError(f"nft -j: {type(error).__name__}: {error}") from error
    return list(found)


def _left_out(family: str, opening: Opening, place: str) -> list[str]:
    """Sources of the other IP version than a place is for."""
    other = {"ip": 6, "ip6": 4}.get(family, 0)
    found = opening.of_version(other) if other else ()
    return [f"{place} is not for IPv{other}: {', '.join(found)} need an opening elsewhere"] if found else []


def _match(protocol: str, name: str, right: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": name}}, "right": right}}


def _side(network: Any) -> Any:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def _words(match: Mapping[str, Any]) -> str:
    """`udp dport 1-2` or `ip saddr 192.0.2.1-192.0.2.1,…`; "" for anything else."""
    left = match["left"].get("payload", {}) if isinstance(match["left"], Mapping) else {}
    place, right = (left.get("protocol"), left.get("field")), match["right"]
    if match["op"] != "==":
        return ""
    if place == ("udp", "dport"):
        if isinstance(right, int):
            return f"udp dport {right}"
        if isinstance(right, Mapping) and set(right) == {"range"}:
            return f"udp dport {right['range'][0]}-{right['range'][1]}"
    if place in (("ip", "saddr"), ("ip6", "saddr")):
        spans = _spans(right)
        if spans:
            return f"{place[0]} saddr {','.join(f'{first}-{last}' for first, last in spans)}"
    return ""


def _spans(right: Any) -> list[tuple[Any, Any]]:
    """Ranges of addresses, sorted and merged, as nft merges them; none for something not understood."""
    values = right["set"] if isinstance(right, Mapping) and "set" in right else [right]
    found: list[tuple[Any, Any]] = []
    try:
        for value in map(plain_element, values):
            if isinstance(value, Mapping) and "range" in value:
                first, last = map(ipaddress.ip_address, value["range"])
            else:
                whole = value["prefix"] if isinstance(value, Mapping) else {"addr": value, "len": None}
                length = "" if whole["len"] is None else f"/{whole['len']}"
                network = ipaddress.ip_network(f"{whole['addr']}{length}")
                first, last = network[0], network[-1]
            found.append((first, last))
    except (ValueError, KeyError, TypeError):
        return []
    merged: list[tuple[Any, Any]] = []
    for first, last in sorted(found):
        if merged and int(first) <= int(merged[-1][1]) + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged
