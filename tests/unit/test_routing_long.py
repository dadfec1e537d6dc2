# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long trial of the routing daemon: its schedule, the best way, and the account of probes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.routing.long import load, schedule
from benchmarks.routing.long.account import (
    IN_FLIGHT,
    NO_WAY,
    STALLED,
    UNEXPLAINED,
    Account,
    Book,
    account,
    as_data,
    quantiles,
)
from benchmarks.routing.long.circles import circles
from benchmarks.routing.long.counters import expired
from benchmarks.routing.long.paths import Link, State, Timeline, Way, best_ways, ordered
from benchmarks.routing.long.probes import INTERVAL
from benchmarks.routing.long.report import table
from benchmarks.routing.long.routes import History, trace
from benchmarks.routing.long.schedule import Event, compose, draw, steps
from benchmarks.routing.scale import graph

FORWARDING = (3, 4)
LINKS: State = {
    (1, 2): Link(10),
    (1, 3): Link(10),
    (2, 3): Link(10),
    (1, 4): Link(20),
    (2, 4): Link(20),
    (3, 4): Link(5),
}
"""As in the short trial: 1 and 2 are leaves; by 3 it is 20 ms, by 4 40 ms."""


def with_link(pair: tuple[int, int], link: Link, state: State = LINKS) -> State:
    return {**state, pair: link}


@pytest.mark.parametrize(
    ("state", "way"),
    [
        (LINKS, Way(10, (1, 2))),
        (with_link((1, 2), Link(10, up=False)), Way(20, (1, 3, 2))),
        (with_link((1, 2), Link(10, loss=2)), Way(20, (1, 3, 2))),
        (with_link((1, 2), Link(10, jitter=9)), Way(10, (1, 2))),
        (with_link((1, 2), Link(25)), Way(20, (1, 3, 2))),
        (with_link((1, 3), Link(10, up=False), with_link((1, 2), Link(90))), Way(35, (1, 4, 3, 2))),
        ({pair: link for pair, link in LINKS.items() if 1 not in pair}, None),
    ],
    ids=["direct", "dead", "lossy", "jitter", "slow", "two relays", "none"],
)
def test_the_best_way(state: State, way: Way | None) -> None:
    assert best_ways(state, FORWARDING, 1).get(2) == way


@pytest.mark.parametrize(
    ("prices", "nodes"),
    [
        (None, (1, 3, 2)),
        ({1: 0, 2: 0, 3: 0, 4: 0}, (1, 3, 2)),
        # A relay has to be so much faster: 30 ms direct against 20, 25 and 29.
        ({1: 9, 2: 9, 3: 9, 4: 9}, (1, 3, 2)),
        ({1: 11, 2: 11, 3: 11, 4: 11}, (1, 2)),
        ({1: 1, 2: 1, 3: 30, 4: 1}, (1, 2)),
    ],
)
def test_prices_make_another_way_the_best(prices: dict[int, float] | None, nodes: tuple[int, ...]) -> None:
    state = with_link((1, 2), Link(30))
    way = best_ways(state, FORWARDING, 1, prices)[2]
    assert way.nodes == nodes
    assert way.rtt == (30 if len(nodes) == 2 else 20)


def test_leaves_do_not_forward() -> None:
    state = {(1, 2): Link(1), (2, 3): Link(1)}
    assert best_ways(state, (), 1) == {1: Way(0, (1,)), 2: Way(1, (1, 2))}


def shortest(state: State, forwarding: tuple[int, ...], start: int, end: int) -> float | None:
    """By trying all orders of all relays."""
    best = None
    for count in range(len(forwarding) + 1):
        for between in itertools.permutations(sorted(set(forwarding) - {start, end}), count):
            nodes = (start, *between, end)
            links = [state.get(ordered(a, b)) for a, b in zip(nodes, nodes[1:], strict=False)]
            if all(link is not None and link.clean for link in links):
                total = sum(link.rtt for link in links if link is not None)
                best = total if best is None else min(best, total)
    return best


@given(
    st.dictionaries(
        st.sampled_from(list(itertools.combinations(range(1, 7), 2))),
        st.builds(Link, rtt=st.integers(1, 100), loss=st.sampled_from([0, 0, 5]), up=st.booleans()),
        min_size=1,
    ),
    st.sets(st.integers(1, 6), max_size=4).map(tuple),
)
def test_no_way_is_better_than_the_best(state: State, forwarding: tuple[int, ...]) -> None:
    found = best_ways(state, forwarding, 1)
    for there in range(2, 7):
        assert (found[there].rtt if there in found else None) == shortest(state, forwarding, 1, there)


LONG_LINKS, HUBS = graph(8, 4, 5)


@pytest.mark.parametrize("seed", range(8))
def test_a_schedule_can_be_repeated_and_keeps_its_rules(seed: int) -> None:
    events = draw(seed, 1800, LONG_LINKS, HUBS)
    assert events == draw(seed, 1800, LONG_LINKS, HUBS)
    assert events != draw(seed + 100, 1800, LONG_LINKS, HUBS)
    assert len(events) > 100
    assert {event.kind for event in events} == set(schedule.WEIGHTS)
    for event in events:
        assert schedule.FIRST <= event.at <= event.until <= 1800 - schedule.CALM_END
        others = [one for one in events if one is not event and one.at <= event.at < one.until]
        if event.kind in schedule.OF_RELAYS:
            assert event.target[0] in HUBS
            assert not any(one.kind in schedule.OF_RELAYS for one in others)
        elif event.kind == "restart":
            assert event.at == event.until
        else:
            assert event.target in LONG_LINKS
            assert event.target not in [one.target for one in others]


def test_steps_are_in_order_and_each_end_follows_its_beginning() -> None:
    events = draw(1, 3600, LONG_LINKS, HUBS)
    made = steps(events)
    assert [at for at, _, _ in made] == sorted(at for at, _, _ in made)
    running: list[Event] = []
    for _, event, begins in made:
        if begins and event.kind != "restart":
            running.append(event)
        elif not begins:
            running.remove(event)
    assert running == []


@pytest.mark.parametrize(
    ("events", "pair", "link"),
    [
        ([Event(0, 9, "rtt", (1, 2), 50)], (1, 2), Link(60)),
        ([Event(0, 9, "loss", (1, 2), 30)], (1, 2), Link(10, loss=30)),
        ([Event(0, 9, "jitter", (1, 2), 4)], (1, 2), Link(10, jitter=4)),
        ([Event(0, 9, "link", (1, 2))], (1, 2), Link(10, up=False)),
        ([Event(0, 9, "relay", (3,))], (2, 3), Link(10, up=False)),
        ([Event(0, 9, "crash", (3,))], (1, 3), Link(10, up=False)),
        ([Event(0, 9, "relay", (3,))], (1, 2), Link(10)),
        ([Event(0, 9, "relay", (3,)), Event(0, 9, "rtt", (1, 3), 5)], (1, 3), Link(15, up=False)),
        ([], (1, 2), Link(10)),
    ],
)
def test_what_events_make_of_a_link(events: list[Event], pair: tuple[int, int], link: Link) -> None:
    assert compose(LINKS, events)[pair] == link


def timeline(*changes: tuple[float, State]) -> Timeline:
    made = Timeline(0, LINKS, FORWARDING)
    for time, state in changes:
        made.add(time, state)
    return made


def direct() -> History:
    """1 and 2 send directly to each other, all else as planned."""
    return History({1: {2: 2, 3: 3}, 2: {1: 1, 3: 3}, 3: {1: 1, 2: 2}, 4: {1: 1, 2: 2}})


DEAD = with_link((1, 2), Link(10, up=False))
LOSSY = with_link((1, 2), Link(10, loss=30))
ISOLATED = {pair: Link(10, up=1 not in pair) for pair in LINKS}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ([(1.0, DEAD)], "dead"),
        ([(1.0, LOSSY)], "30 % loss"),
        ([(1.0, ISOLATED)], NO_WAY),
        ([(5.005, DEAD)], IN_FLIGHT),
        ([(5.5, DEAD)], UNEXPLAINED),
        # The end of a trouble may be known a little late.
        ([(1.0, DEAD), (4.99, LINKS)], "dead"),
        ([(1.0, DEAD), (4.9, LINKS)], UNEXPLAINED),
    ],
)
def test_the_cause_of_a_loss_at_second_five(changes: list[tuple[float, State]], cause: str) -> None:
    book = Book(timeline(*changes), direct(), [], 4)
    assert book.cause(1, 2, 5.0) == cause


@pytest.mark.parametrize(("late", "cause"), [([3.5], STALLED), ([6.5], STALLED), ([2.0, 8.0], UNEXPLAINED)])
def test_what_the_machine_loses_is_said_to_be_so(late: list[float], cause: str) -> None:
    assert Book(timeline(), direct(), late, 4).cause(1, 2, 5.0) == cause


def test_a_trace_follows_the_routes_of_the_moment() -> None:
    history, line = direct(), timeline((1.0, DEAD))
    assert trace(history, line, 1, 2, 2.0, 4)[0] == "dead"
    history.add(3.0, 1, 2, 3)
    # There by 3, and back as before.
    assert trace(history, line, 1, 2, 4.0, 4)[0] == "dead"
    history.add(3.5, 2, 1, 3)
    cause, back = trace(history, line, 1, 2, 4.0, 4)
    assert (cause, round(back, 6)) == ("", 4.02)
    # The daemon gives up its route: the planned one counts.
    history.add(5.0, 1, 2, None)
    assert trace(history, line, 1, 2, 6.0, 4)[0] == "dead"
    history.add(7.0, 3, 2, 1)
    history.add(7.0, 1, 2, 3)
    assert trace(history, line, 1, 2, 8.0, 4)[0] == "loop"
    assert trace(History({}), line, 1, 2, 8.0, 4)[0] == "no route"


def test_circles_in_the_tables() -> None:
    """3 and 4 take each other for the way to 2 for half a second; then the link between them dies."""
    history = direct()
    history.add(1.0, 3, 2, 4)
    history.add(1.2, 4, 2, 3)
    history.add(1.7, 3, 2, 2)
    history.add(2.0, 3, 2, 4)
    history.add(3.0, 4, 1, 2)
    apart = with_link((3, 4), Link(5, up=False))
    found = circles(history, timeline((2.5, apart)), [1, 2, 3, 4], 0.0, 10.0)
    assert [(one.start, round(one.seconds, 6), one.destination, one.nodes) for one in found] == [
        (1.2, 0.5, 2, (3, 4)),
        (2.0, 1.0, 2, (3, 4)),
    ]
    assert circles(direct(), timeline(), [1, 2, 3, 4], 0.0, 10.0) == []
    # The planned routes count where a daemon has none.
    history = History({3: {2: 4}, 4: {2: 3}})
    assert [one.nodes for one in circles(history, timeline(), [1, 2, 3, 4], 0.0, 1.0)] == [(3, 4)]


def test_moves_pass_over_moments_without_a_route() -> None:
    history = History({})
    for time, hop in enumerate([2, 3, None, 3, None, 2, 2]):
        history.add(float(time), 1, 2, hop)
    assert history.moves(0) == {(1, 2): 2}
    assert history.moves(1.5) == {(1, 2): 1}


def probes(lost: set[int], count: int = 200, trip: float = 12.0) -> list[tuple[float, float | None]]:
    return [(number * INTERVAL, None if number in lost else trip) for number in range(count)]


def test_every_probe_has_its_place() -> None:
    """The direct link dies at second 5, the routes follow half a second later."""
    history, line = direct(), timeline((5.0, DEAD))
    history.add(5.5, 1, 2, 3)
    history.add(5.5, 2, 1, 3)
    lost = {*range(100, 110), 20, 150, 151}
    made = account(Book(line, history, [], 4), [((1, 2), probes(lost))], 0.0, 10.0)
    assert made.sent == 200
    assert made.lost == {"dead": 10, UNEXPLAINED: 3}
    assert made.avoidable == 13
    assert [(round(seconds, 6), cause, pair) for seconds, cause, pair, _ in made.outages] == [
        (0.5, "dead", (1, 2))
    ]
    # 12 ms are 2 more than directly, and 8 less than by the relay.
    assert sorted(set(made.excess)) == sorted(set(made.beyond_prices)) == [-8, 2]
    assert made.sent == sum(made.lost.values()) + len(made.excess)


def test_what_nobody_could_avoid_is_no_outage() -> None:
    made = account(
        Book(timeline((5.0, ISOLATED)), direct(), [], 4), [((1, 2), probes(set(range(100, 200))))], 0, 10
    )
    assert made.lost == {NO_WAY: 100}
    assert (made.avoidable, made.outages) == (0, [])


def test_only_the_time_asked_for_counts() -> None:
    made = account(Book(timeline(), direct(), [], 4), [((1, 2), probes({0, 199}))], 1.0, 9.0)
    assert (made.sent, sum(made.lost.values())) == (160, 0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], [None] * 4),
        ([3.0], [3.0] * 4),
        ([float(one) for one in range(1, 101)], [50.0, 95.0, 99.0, 100.0]),
        ([1.0, 2.0], [1.0, 2.0, 2.0, 2.0]),
    ],
)
def test_quantiles(values: list[float], expected: list[float | None]) -> None:
    assert quantiles(values) == expected


def test_times_do_not_go_back() -> None:
    with pytest.raises(ValueError, match="before"):
        timeline((2.0, DEAD), (1.0, LINKS))


def test_packets_that_expired_are_read() -> None:
    text = "Ip: Forwarding DefaultTTL InReceives InHdrErrors\nIp: 1 64 1000 7\nIcmp: InMsgs\nIcmp: 3\n"
    assert expired(text) == 7


def test_streams_join_different_pairs() -> None:
    made = load.choose(4, [1, 2, 3, 4])
    assert made == load.choose(4, [1, 2, 3, 4])
    assert len({(one.here, one.there) for one in made}) == len({one.port for one in made}) == 5
    assert all(one.here != one.there for one in made)


def test_the_table_says_what_matters() -> None:
    filled = Account(sent=1000, excess=[0.0, 50.0], outages=[(0.5, "dead", (1, 2), 7.0)])
    filled.lost.update({"dead": 10, NO_WAY: 5})
    node = {
        "cpu_percent": 0.2,
        "babel_kbit_s": 20.0,
        "babel_packets_s": 30.0,
        "expired": 1,
        "leaked": 2,
        "stray": 2,
    }
    text = table(
        {
            "seconds": 1800,
            "probes": as_data(filled),
            "nodes": {1: node, 2: node},
            "moves": [{"node": 1, "destination": 2, "moves": 4}, {"node": 2, "destination": 1, "moves": 0}],
            "events": [{"kind": "link", "begins": True}, {"kind": "link", "begins": False}],
            "late": [[3.0, 0.4]],
            "circles": [{"seconds": 0.004}],
        }
    )
    for line in (
        "| events | link 1 |",
        "| lost beyond the unavoidable | 10 (1.000 %) |",
        "| … no clean way (unavoidable) | 5 |",
        "| outages: how many; s: median, 95 %, 99 %, longest | 1; 0.50, 0.50, 0.50, 0.50 |",
        "| round trips within 45 ms of it | 50.00 % |",
        "| changes of route an hour: of a node to one other, mean and most; altogether | 4.0, 8; 8 |",
        "| loops: packets whose time to live was used up | 2 |",
        "| circles in the tables: how many; s: median, 95 %, 99 %, longest | 1; 0.004, 0.004,",
        "| leaks: packets to the mesh by the default route | 4 |",
        "| the machine stood still (> 0.1 s): how often, longest | 1, 0.40 s |",
    ):
        assert line in text
