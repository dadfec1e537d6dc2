# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a mesh's own nftables table, and the same rules as `nft -j` lists them. Pure.

Every rule here returns or drops: nothing that another table drops is opened by them.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from typing import Any

from .paths import table
from .share import Share, Tunnel

FAMILY = "inet"
PRIORITY = -5
"""Before the usual filter chains (0) and after conntrack and NAT's destination (-200, -100)."""

LINK_LOCAL = "fe80::/10"
MULTICAST = "ff02::/16"

Rules = Mapping[str, tuple[str, ...]]
"""Chain → its rules in the notation of nft, a base chain's first line being its hook."""


def rules_of(share: Share) -> dict[str, tuple[str, ...]]:
    """The whole table of a share."""
    ours = f'"{share.mesh}-*"'
    to_others = 'counter drop comment "no member forwards between tunnels here"'
    if share.transit:
        to_others = "jump destination"
    found = {
        "destination": tuple(_destinations(share)),
        "elsewhere": (
            # A connection that a container opened towards the mesh: its answers come back.
            "ct direction reply return",
            # A port that a container publishes.
            "ct status dnat return",
            'counter drop comment "out of the mesh"',
        ),
        "forward": (
            _hook("forward"),
            f"iifname {ours} jump source",
            f"iifname != {ours} jump outside",
            f"iifname {ours} oifname {ours} {to_others}",
            f"iifname {ours} oifname != {ours} jump elsewhere",
        ),
        "input": (
            _hook("input"),
            f"iifname {ours} jump source",
            f"iifname != {ours} jump outside",
        ),
        "outside": (
            # What the node sends to itself.
            'iifname "lo" return',
            *(
                f'{match} counter drop comment "a member\'s address from outside"'
                for match in _matches("saddr", share.prefixes)
            ),
        ),
        "source": tuple(_sources(share)),
    }
    if not share.transit:
        del found["destination"]
    return found


def table_text(share: Share) -> str:
    """Input of `nft -f`: takes the table away and makes it anew in one transaction, or does nothing."""
    name = table(share.mesh)
    lines = [
        f"# Packet filter of the mesh {share.mesh}, kept by swarm.node: change the inventory, not this file.",
        f"table {FAMILY} {name} {{",
        "}",
        f"delete table {FAMILY} {name}",
        f"table {FAMILY} {name} {{",
    ]
    # A chain has to be known before one that jumps to it.
    rules = rules_of(share)
    for chain in sorted(rules, key=lambda chain: (chain in ("input", "forward"), chain)):
        lines += [f"\tchain {chain} {{", *(f"\t\t{line}" for line in rules[chain]), "\t}"]
    return "\n".join([*lines, "}", ""])


def removal_text(mesh: str) -> str:
    """Input of `nft -f` that takes the table away, also where it is not there."""
    name = table(mesh)
    return f"table {FAMILY} {name} {{\n}}\ndelete table {FAMILY} {name}\n"


def as_lines(rules: Rules) -> list[str]:
    """One line per rule, with its chain: what results and diffs show."""
    return [f"{chain}: {line}" for chain in sorted(rules) for line in (rules[chain] or ("(empty)",))]


def digest_of(rules: Rules) -> str:
    text = "\n".join(as_lines(rules))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()[:16]


def rules_in(listed: Any) -> dict[str, tuple[str, ...]]:
    """The table that `nft -j list table` shows, in the notation of `rules_of`; the unknown as JSON.

    Handles and the values of counters do not count.
    """
    found: dict[str, list[str]] = {}
    for item in listed.get("nftables", ()):
        kind, body = next(iter(item.items()))
        if kind == "chain":
            head = [_hook_of(body)] if "hook" in body else []
            found.setdefault(body["name"], [])[:0] = head
        elif kind == "rule":
            found.setdefault(body["chain"], []).append(_rule(body))
        elif kind not in ("metainfo", "table"):
            plain = {key: value for key, value in body.items() if key != "handle"}
            found.setdefault(f"({kind})", []).append(json.dumps(plain, sort_keys=True))
    return {chain: tuple(lines) for chain, lines in found.items()}


# -- what is wanted


def _hook(name: str) -> str:
    return f"type filter hook {name} priority {PRIORITY}; policy accept;"


def _sources(share: Share) -> Iterable[str]:
    """Where a packet that came by a tunnel may be from."""
    for tunnel in _foreign(share):
        for match in _matches("saddr", tunnel.allowed_ips):
            yield f'iifname "{tunnel.interface}" {match} return'
        yield f'iifname "{tunnel.interface}" counter drop comment "not an address of {tunnel.interface}"'
    # A routing daemon and the probes of neighbours use link-local addresses.
    yield f"ip6 saddr {LINK_LOCAL} return"
    yield f"ip6 saddr :: ip6 daddr {MULTICAST} return"
    for match in _matches("saddr", (*share.prefixes, *_behind(share))):
        yield f"{match} return"
    yield 'counter drop comment "not an address of the mesh"'


def _destinations(share: Share) -> Iterable[str]:
    """Where a transit member lets packets of the mesh go on to."""
    for tunnel in _foreign(share):
        for match in _matches("daddr", tunnel.allowed_ips):
            yield f'oifname "{tunnel.interface}" {match} return'
        yield f'oifname "{tunnel.interface}" counter drop comment "not an address of {tunnel.interface}"'
    for match in _matches("daddr", (*share.prefixes, *_behind(share))):
        yield f"{match} return"
    yield 'counter drop comment "not for the mesh"'


def _foreign(share: Share) -> list[Tunnel]:
    return [tunnel for tunnel in share.tunnels if tunnel.foreign]


def _behind(share: Share) -> list[str]:
    """Networks outside the mesh's prefixes that other members lead to: those of their foreign peers."""
    foreign = {tunnel.interface for tunnel in _foreign(share)}
    inside = [ipaddress.ip_network(prefix) for prefix in share.prefixes]
    return sorted(
        {
            destination
            for interface, destinations in share.routes.items()
            for destination in destinations
            if interface not in foreign and not _within(ipaddress.ip_network(destination), inside)
        }
    )


def _within(network: Any, others: Iterable[Any]) -> bool:
    return any(network.version == other.version and network.subnet_of(other) for other in others)


def _matches(field: str, networks: Iterable[str]) -> list[str]:
    found = []
    for text in networks:
        network = ipaddress.ip_network(text)
        word = "ip" if network.version == 4 else "ip6"
        if network.prefixlen == 0:
            found.append(f"meta nfproto {'ipv4' if network.version == 4 else 'ipv6'}")
        elif network.prefixlen == network.max_prefixlen:
            found.append(f"{word} {field} {network.network_address}")
        else:
            found.append(f"{word} {field} {network}")
    return found


# -- what is there


def _hook_of(chain: Mapping[str, Any]) -> str:
    policy = chain.get("policy", "accept")
    return f"type {chain['type']} hook {chain['hook']} priority {chain['prio']}; policy {policy};"


def _rule(rule: Mapping[str, Any]) -> str:
    words = [_expression(item) for item in rule.get("expr", ())]
    if rule.get("comment"):
        words.append(f'comment "{rule["comment"]}"')
    return " ".join(words)


def _expression(item: Mapping[str, Any]) -> str:
    kind, body = next(iter(item.items()))
    if kind in ("drop", "return", "accept"):
        return kind
    if kind == "counter":
        return "counter"
    if kind == "jump":
        return f"jump {body['target']}"
    known = _match(body) if kind == "match" else ""
    return known or json.dumps(item, sort_keys=True)


def _match(body: Mapping[str, Any]) -> str:
    """A comparison in nft's words; "" for one of a form that no rule here has."""
    kind, left = next(iter(body["left"].items()))
    value = body["right"]
    if isinstance(value, Mapping) and set(value) == {"prefix"}:
        value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if not isinstance(value, str) or not isinstance(left, Mapping):
        return ""
    negated = "!= " if body["op"] == "!=" else ""
    if kind == "meta" and left["key"] in ("iifname", "oifname"):
        return f'{left["key"]} {negated}"{value}"'
    if kind == "meta":
        return f"meta {left['key']} {negated}{value}"
    if kind == "payload" and "protocol" in left:
        return f"{left['protocol']} {left['field']} {negated}{value}"
    if kind == "ct" and set(left) == {"key"}:
        return f"ct {left['key']} {negated}{value}"
    return ""
