# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two nftables tables of a mesh: which packets its daemon gets, and one that makes it deaf. Pure.

The first one ends circles, too: where the daemon has no way for a moment the planned one is taken, and that
may lead to a relay that still sends here.

Every rule here returns or drops: nothing that another table drops is opened by them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.marking import marked
from .paths import deaf_table, table
from .settings import Wish, peers

FAMILY = "inet"
LINK_LOCAL = "fe80::/10"
"""Not the one address that the mesh gives a neighbour: a device of WireGuard in user space (TUN) has another
by chance beside it, and the kernel may well send from that. Whose tunnel it is says who it is."""

PRIORITY, DEAF_PRIORITY = -4, -3
"""After the mesh's own filter (-5), before the usual chains (0)."""

SPOOFED, OUTSIDE = "not a link-local address", "not by a tunnel of the mesh"
CIRCLED = "back to the neighbour it came from"
PASSED = "still passes"

Rules = Mapping[str, tuple[str, ...]]
"""Chain → its rules in the notation of nft, a base chain's first line being its hook."""


def rules_of(wish: Wish) -> dict[str, tuple[str, ...]]:
    """What the daemon may hear: neighbours, by their tunnels, from link-local addresses; and that nothing is
    forwarded to the neighbour it came from."""
    babel: list[str] = []
    for peer in peers(wish.share):
        for name in peer.interfaces:
            babel.append(f'iifname "{name}" ip6 saddr {LINK_LOCAL} return')
            babel.append(f'iifname "{name}" counter drop comment "{SPOOFED}"')
    babel.append(f'counter drop comment "{OUTSIDE}"')
    names = [peer.interfaces for peer in peers(wish.share)]
    back = [(one, other) for pair in names for one in pair for other in pair]
    turn = [f'iifname . oifname {_pairs(back)} counter drop comment "{CIRCLED}"'] if back else []
    return {
        "babel": tuple(babel),
        "forward": (_hook("forward", PRIORITY), *turn),
        "input": (_hook("input", PRIORITY), f"udp dport {wish.port} jump babel"),
    }


def deaf_rules(mesh: str, port: int, interfaces: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Nothing reaches the daemon by these interfaces (none: by any), and what still passes is counted.

    Of a whole node that is what it forwards from tunnel to tunnel, of a link all but Babel itself.
    """
    if not interfaces:
        return {
            "forward": (
                _hook("forward", DEAF_PRIORITY),
                f'iifname "{mesh}-*" oifname "{mesh}-*" counter comment "{PASSED}"',
            ),
            "input": (_hook("input", DEAF_PRIORITY), f'iifname "{mesh}-*" udp dport {port} drop'),
        }
    found = {
        "input": (
            _hook("input", DEAF_PRIORITY),
            *(f'iifname "{n}" udp dport {port} drop' for n in interfaces),
        )
    }
    for hook, word in (("prerouting", "iifname"), ("postrouting", "oifname")):
        lines = [_hook(hook, DEAF_PRIORITY), f"udp dport {port} return"]
        found[hook] = (*lines, *(f'{word} "{name}" counter comment "{PASSED}"' for name in interfaces))
    return found


def filter_text(wish: Wish) -> str:
    """Input of `nft -f`: takes the table away and makes it anew in one transaction, or does nothing."""
    mesh = wish.share.mesh
    head = f"# who may talk to the routing daemon of the mesh {mesh}"
    return marked(f"{head}\n{text_of(table(mesh), rules_of(wish))}")


def deaf_text(mesh: str, port: int, interfaces: Sequence[str]) -> str:
    return text_of(deaf_table(mesh), deaf_rules(mesh, port, interfaces))


def text_of(name: str, rules: Rules) -> str:
    lines = [f"table {FAMILY} {name} {{", "}", f"delete table {FAMILY} {name}", f"table {FAMILY} {name} {{"]
    # A chain has to be known before one that jumps to it.
    for chain in sorted(rules, key=lambda chain: (chain in ("input", "forward"), chain)):
        lines += [f"\tchain {chain} {{", *(f"\t\t{line}" for line in rules[chain]), "\t}"]
    return "\n".join([*lines, "}", ""])


def removal_text(name: str) -> str:
    """Takes the table away, also where it is not there."""
    return f"table {FAMILY} {name} {{\n}}\ndelete table {FAMILY} {name}\n"


def as_lines(rules: Rules) -> list[str]:
    return [f"{chain}: {line}" for chain in sorted(rules) for line in rules[chain]]


def digest_of(rules: Rules) -> str:
    return "sha256:" + hashlib.sha256("\n".join(as_lines(rules)).encode()).hexdigest()[:16]


def rules_in(listed: Any) -> dict[str, tuple[str, ...]]:
    """The table that `nft -j list table` shows, in the notation above; the unknown as JSON."""
    found: dict[str, list[str]] = {}
    for kind, body in _items(listed):
        if kind == "chain":
            head = [_hook(body["hook"], body["prio"], body.get("policy", "accept"))] if "hook" in body else []
            found.setdefault(body["name"], [])[:0] = head
        elif kind == "rule":
            words = [_expression(item) for item in body.get("expr", ())]
            words += [f'comment "{body["comment"]}"'] if body.get("comment") else []
            found.setdefault(body["chain"], []).append(" ".join(words))
        elif kind not in ("metainfo", "table"):
            plain = {key: value for key, value in body.items() if key != "handle"}
            found.setdefault(f"({kind})", []).append(json.dumps(plain, sort_keys=True))
    return {chain: tuple(lines) for chain, lines in found.items()}


def counted(listed: Any) -> dict[str, int]:
    """Comment of a rule, or its chain where it has none → packets, all rules of that word together."""
    found: dict[str, int] = {}
    for kind, body in _items(listed):
        for item in body.get("expr", ()) if kind == "rule" else ():
            if "counter" in item and isinstance(item["counter"], Mapping):
                word = body.get("comment") or body["chain"]
                found[word] = found.get(word, 0) + int(item["counter"].get("packets", 0))
    return found


def deaf_interfaces(rules: Rules) -> list[str]:
    """Of a deaf table: what it drops Babel from, as nft names it (`wan-*` for all)."""
    return [line.split('"')[1] for line in rules.get("input", ()) if line.startswith('iifname "')]


def _items(listed: Any) -> Iterable[tuple[str, Any]]:
    """(kind, body) of each object in the list."""
    for item in listed.get("nftables", ()):
        yield from item.items()


def _hook(name: str, priority: int, policy: str = "accept") -> str:
    return f"type filter hook {name} priority {priority}; policy {policy};"


def _expression(item: Mapping[str, Any]) -> str:
    kind, body = next(iter(item.items()))
    if kind in ("drop", "return", "accept", "counter"):
        return kind
    if kind == "jump":
        return f"jump {body['target']}"
    known = _match(body) if kind == "match" else ""
    return known or json.dumps(item, sort_keys=True)


def _match(body: Mapping[str, Any]) -> str:
    """A comparison in nft's words; "" for one of a form that no rule here has."""
    left, value = body["left"], body["right"]
    if isinstance(value, Mapping) and set(value) == {"prefix"}:
        value = f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if "concat" in left and body["op"] == "==":
        return _concatenation(left["concat"], value)
    if body["op"] != "==" or not isinstance(value, (str, int)):
        return ""
    if "meta" in left:
        return f'{left["meta"]["key"]} "{value}"'
    if "payload" in left and "protocol" in left["payload"]:
        return f"{left['payload']['protocol']} {left['payload']['field']} {value}"
    return ""


def _concatenation(left: Sequence[Any], right: Any) -> str:
    """Two interfaces against a set of pairs. The kernel has a set's elements in no order."""
    keys = [one["meta"]["key"] if isinstance(one, Mapping) and "meta" in one else "" for one in left]
    elements = right.get("set") if isinstance(right, Mapping) else None
    if keys != ["iifname", "oifname"] or not isinstance(elements, list):
        return ""
    pairs: list[Any] = [one.get("concat") for one in elements if isinstance(one, Mapping)]
    if not all(isinstance(one, list) and len(one) == 2 for one in pairs) or len(pairs) != len(elements):
        return ""
    return f"iifname . oifname {_pairs(pairs)}"


def _pairs(pairs: Iterable[Sequence[str]]) -> str:
    return "{ " + ", ".join(sorted(f'"{one}" . "{other}"' for one, other in pairs)) + " }"
