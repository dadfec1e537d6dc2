# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is compared: daemons with their settings, each one entry that can be read and changed."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Candidate:
    """One setting for all nodes.

    daemon: babeld or bird. releases: of Debian, dealt out to the nodes in turn.
    options: words of the daemon's own configuration for all interfaces; those of babeld as after `default`,
    those of BIRD as in `interface {…}`. general: lines outside of that.
    leaf_metric (babeld): a node that does not forward pays so much more for every route it uses, and
    announces itself alone. So what a forwarding neighbour offers it is feasible at once (RFC 8966, 3.5.1).
    rank_cost: so much more rxcost has each of those that forward than the one before it, so that two of them
    at the same distance are not alike.
    """

    daemon: str
    options: dict[str, str]
    general: tuple[str, ...] = ()
    releases: tuple[str, ...] = ("bookworm",)
    leaf_metric: int = 0
    rank_cost: int = 0


def babeld(half_life: int, releases: tuple[str, ...] = ("bookworm",), **options: object) -> Candidate:
    """Options of `default`, with _ for -; RTT costs about 10 units a ms unless said otherwise."""
    words = {
        "rxcost": 16,
        "hello_interval": 0.2,
        "update_interval": 2,
        "rtt_decay": 42,
        "rtt_min": 1,
        "rtt_max": 1000,
        "max_rtt_penalty": 10000,
        **options,
    }
    named = {"type": "tunnel", **{key.replace("_", "-"): str(value) for key, value in words.items()}}
    return Candidate("babeld", named, (f"smoothing-half-life {half_life}",), releases)


def bird(**options: object) -> Candidate:
    words = {
        "hello_interval": "200 ms",
        "limit": 14,
        "update_interval": "2 s",
        "rxcost": 16,
        "rtt_cost": 4000,
        "rtt_min": "1 ms",
        "rtt_max": "1000 ms",
        "rtt_decay": 128,
        **options,
    }
    named = {"type": "tunnel", **{key.replace("_", " "): str(value) for key, value in words.items()}}
    return Candidate("bird", named, releases=("trixie",))


CHOSEN = replace(
    babeld(1, rxcost=850, hello_interval=0.15, update_interval=1, rtt_decay=128, max_rtt_penalty=20000),
    leaf_metric=4000,
    rank_cost=300,
)
"""docs/decisions/0017-routing-daemon.md; 20 units a ms, so that a relay has to be 42.5 ms faster."""

CANDIDATES: dict[str, Candidate] = {
    "babeld": CHOSEN,
    "babeld-mixed": replace(CHOSEN, releases=("bookworm", "trixie")),
    "babeld-hubs": replace(CHOSEN, leaf_metric=0),
    "babeld-smooth": babeld(4),
    "babeld-quick": babeld(0, hello_interval=0.1, rxcost=400),
    "babeld-defaults": Candidate("babeld", {"type": "tunnel"}),
    "bird": bird(hello_interval="100 ms", rxcost=200),
}


def variant(name: str, words: list[str]) -> Candidate:
    """A candidate with other options: rxcost=400 half-life=1 releases=bookworm,trixie."""
    made = CANDIDATES[name]
    for word in words:
        key, _, value = word.partition("=")
        if key == "releases":
            made = replace(made, releases=tuple(value.split(",")))
        elif key == "leaf-metric":
            made = replace(made, leaf_metric=int(value))
        elif key == "rank-cost":
            made = replace(made, rank_cost=int(value))
        elif key == "half-life":
            made = replace(made, general=(f"smoothing-half-life {value}",))
        else:
            separator = "-" if made.daemon == "babeld" else " "
            made = replace(made, options={**made.options, key.replace("_", separator): value})
    return made
