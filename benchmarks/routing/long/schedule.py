# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a long trial, drawn beforehand by a seed."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from benchmarks.routing.long.paths import Pair, State

FIRST, CALM_END = 15.0, 15.0
"""Seconds at the beginning and at the end in which nothing happens."""
MEAN_GAP, SHORTEST_GAP = 10.0, 1.0
DURATIONS = (8.0, 45.0)
LOSSES = (2, 5, 10, 20, 30, 50)
WEIGHTS = {"rtt": 30, "loss": 20, "jitter": 15, "link": 20, "relay": 8, "crash": 4, "restart": 3}
"""rtt: ms more; loss: percent each way; jitter: ms; link: dead; relay: all links of a node that forwards are
dead; crash: the same, its daemon is killed, and started again when the links are back; restart: of the
daemon of any node."""
OF_RELAYS = ("relay", "crash")


@dataclass(frozen=True)
class Event:
    """at, until: seconds since the beginning. target: a link, or one node. value: 0 where there is none."""

    at: float
    until: float
    kind: str
    target: tuple[int, ...]
    value: float = 0.0


def draw(seed: int, seconds: float, links: Iterable[Pair], forwarding: Collection[int]) -> list[Event]:
    """Events by their beginning.

    A link has one trouble of its own at a time, and one relay is dead at most: mostly that leaves a way.
    """
    dice = random.Random(seed)
    pairs, relays = sorted(links), sorted(forwarding)
    nodes = sorted({number for pair in pairs for number in pair})
    found: list[Event] = []
    time = FIRST
    while time < seconds - CALM_END - DURATIONS[0]:
        kind = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        until = min(time + dice.uniform(*DURATIONS), seconds - CALM_END)
        running = [event for event in found if event.until > time]
        target = _target(dice, kind, running, pairs, relays, nodes)
        if target:
            end = time if kind == "restart" else until
            found.append(Event(round(time, 3), round(end, 3), kind, target, _value(dice, kind)))
        time += max(SHORTEST_GAP, dice.expovariate(1 / MEAN_GAP))
    return found


def _target(
    dice: random.Random,
    kind: str,
    running: list[Event],
    pairs: list[Pair],
    relays: list[int],
    nodes: list[int],
) -> tuple[int, ...]:
    """Whom it hits; () where all of the kind have trouble already."""
    dead = [event.target[0] for event in running if event.kind in OF_RELAYS]
    if kind in OF_RELAYS:
        return () if dead else (dice.choice(relays),)
    if kind == "restart":
        # The daemon of a node that has crashed does not run.
        return (dice.choice([number for number in nodes if number not in dead]),)
    taken = {event.target for event in running}
    free = [pair for pair in pairs if pair not in taken]
    return dice.choice(free) if free else ()


def _value(dice: random.Random, kind: str) -> float:
    if kind == "rtt":
        return round(dice.uniform(20, 200), 1)
    if kind == "loss":
        return float(dice.choice(LOSSES))
    return round(dice.uniform(1, 15), 1) if kind == "jitter" else 0.0


def steps(events: Iterable[Event]) -> list[tuple[float, Event, bool]]:
    """(when, what, does it begin), in order; an end comes before what begins in the same moment."""
    found = [(event.at, event, True) for event in events]
    found += [(event.until, event, False) for event in events if event.until > event.at]
    return sorted(found, key=lambda step: (step[0], step[2]))


def compose(base: State, running: Iterable[Event]) -> State:
    """The links while these events last."""
    state = dict(base)
    for event in running:
        for pair, link in state.items():
            if event.kind in OF_RELAYS and event.target[0] in pair:
                state[pair] = replace(link, up=False)
            elif event.target == pair:
                state[pair] = {
                    "rtt": replace(link, rtt=link.rtt + event.value),
                    "loss": replace(link, loss=event.value),
                    "jitter": replace(link, jitter=event.value),
                    "link": replace(link, up=False),
                }[event.kind]
    return state
