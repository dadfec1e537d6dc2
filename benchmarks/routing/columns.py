# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pass measures, in this order; each step leaves the links as it found them.

A step returns its columns: seconds or counts, None where it did not happen in the time given.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable

from benchmarks.routing.scene import BY_C, BY_D, DIRECT, LINKS, A, B, C, D, Scene

Values = dict[str, float | None]
SETTLE, RETURN = 90.0, 60.0
"""Seconds that a start, and a way back, may take."""
TCP_SECONDS, TCP_RATE, TCP_QUEUE = 40, 20.0, 50.0


def start(stage: Scene) -> Values:
    """From the start of all daemons until both ends send directly, for 5 s on end."""
    stage.start()
    return {"start_s": stage.wait_via(B, SETTLE, steady=5)}


def cold_start(stage: Scene) -> Values:
    """The same where a tunnel's first handshake fails; and what A thinks of B after 20 s, truly 10 ms."""
    began = time.monotonic()
    stage.start(cold=True)
    settled = stage.wait_via(B, SETTLE, steady=5)
    time.sleep(max(0.0, began + 20 - time.monotonic()))
    rtt = stage.daemons[A].round_trips().get(stage.network.device(A, B))
    return {"cold_start_s": settled, "cold_rtt_ms": rtt}


def cost(stage: Scene) -> Values:
    """A node with three neighbours, at rest; the probes' own packets are subtracted."""
    seconds = 10.0
    before, used, probes = stage.network.sent(C), stage.daemons[C].seconds(), time.monotonic()
    time.sleep(seconds)
    after, took = stage.network.sent(C), time.monotonic() - probes
    return {
        "cpu_percent": 100 * (stage.daemons[C].seconds() - used) / took,
        "packets_s": (after[0] - before[0]) / took,
        "kbit_s": 8 * (after[1] - before[1]) / took / 1000,
    }


def slow(stage: Scene) -> Values:
    """The direct link goes from 10 to 120 ms, and back."""
    began = time.monotonic()
    stage.network.round_trip(DIRECT, 120)
    left = stage.wait_not_direct(60, since=began)
    time.sleep(3)
    lost = stage.prober.lost(began, time.monotonic())
    back = time.monotonic()
    stage.network.round_trip(DIRECT, LINKS[DIRECT])
    returned = stage.wait_via(B, RETURN, since=back)
    return {
        "slow_left_s": left,
        "slow_lost": lost + stage.prober.lost(back, time.monotonic()),
        "slow_return_s": returned,
    }


def dead_link(stage: Scene) -> Values:
    """The direct link drops everything, and comes back."""
    began = time.monotonic()
    stage.network.shape([DIRECT], up=0)
    stage.wait_not_direct(20)
    time.sleep(2)
    outage = stage.prober.lost(began, time.monotonic())
    back = time.monotonic()
    stage.network.shape([DIRECT], up=1)
    returned = stage.wait_via(B, RETURN, since=back)
    return {
        "link_outage_s": outage * stage.prober.interval,
        "link_return_s": returned,
        "link_return_lost": stage.prober.lost(back, time.monotonic()),
    }


def lossy(stage: Scene) -> Values:
    """30 % of the packets of the direct link are lost, each way, for 20 s."""
    began = time.monotonic()
    stage.network.shape([DIRECT], loss=30)
    left = stage.wait_not_direct(20, since=began)
    time.sleep(max(0.0, began + 20 - time.monotonic()))
    probes = stage.prober.between(began, began + 20)
    stage.network.shape([DIRECT], loss=0)
    stage.wait_via(B, RETURN, steady=2)
    return {
        "loss_left_s": left,
        "loss_lost_after_2s": sum(probe.lost for probe in probes if probe.sent > began + 2),
        "loss_lost_after_leaving": sum(
            probe.lost for probe in probes if left is not None and probe.sent > began + left
        ),
        "loss_moves": stage.moves(began, began + 20),
    }


def saturated(stage: Scene, queue: float = TCP_QUEUE, algorithm: str = "cubic") -> Values:
    """One TCP stream from A to B for 40 s; every link carries 20 Mbit/s and queues `queue` ms of it."""
    spaces, address = stage.network.spaces, stage.network.address
    stage.network.shape(LINKS, rate=TCP_RATE, queue=queue)
    server = spaces[B].start(["iperf3", "--server", "--one-off", "--bind", address(B)])
    # A virtual machine takes its time.
    deadline = time.monotonic() + 20
    while not spaces[B].run(["ss", "-Hltn", "sport = :5201"]) and time.monotonic() < deadline:
        time.sleep(0.1)
    began = time.monotonic()
    words = ["iperf3", "--json", "--client", address(B), "--bind", address(A), "--congestion", algorithm]
    report = json.loads(spaces[A].run([*words, "--time", str(TCP_SECONDS)], timeout=TCP_SECONDS + 30))
    moves = stage.moves(began)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(5)
    stage.network.shape(LINKS, rate=0)
    stage.wait_via(B, RETURN, steady=2)
    return {
        f"tcp{queue:.0f}_moves": moves,
        f"tcp{queue:.0f}_mbit_s": report["end"]["sum_received"]["bits_per_second"] / 1e6,
    }


def saturated_deep(stage: Scene) -> Values:
    """The same with twice the queue."""
    return saturated(stage, 2 * TCP_QUEUE)


def saturated_shallow(stage: Scene) -> Values:
    return saturated(stage, 20.0)


def saturated_bbr(stage: Scene) -> Values:
    """Twice the queue, and a sender that does not fill it."""
    return {key.replace("tcp", "bbr"): value for key, value in saturated(stage, 2 * TCP_QUEUE, "bbr").items()}


def restarted_leaf(stage: Scene) -> Values:
    """A's own daemon is restarted, while A and B send directly."""
    began = time.monotonic()
    stage.daemons[A].stop()
    stage.daemons[A].start()
    time.sleep(5)
    lost = stage.prober.lost(began, time.monotonic())
    stage.wait_via(B, RETURN, steady=2)
    return {"leaf_restart_lost_ms": 1000 * lost * stage.prober.interval}


def restarted_leaf_by_relay(stage: Scene) -> Values:
    """A's own daemon is restarted, while the direct link is down and C relays."""
    began = time.monotonic()
    stage.daemons[A].stop()
    stage.daemons[A].start()
    time.sleep(8)
    lost = stage.prober.lost(began, time.monotonic())
    stage.wait_via(C, RETURN, steady=2)
    return {"leaf_restart_relayed_lost_ms": 1000 * lost * stage.prober.interval}


def by_relay(stage: Scene) -> Values:
    """For what follows the direct link is down, so that C relays."""
    stage.network.shape([DIRECT], up=0)
    return {"relay_settled_s": stage.wait_via(C, RETURN, steady=3)}


def drained(stage: Scene) -> Values:
    """C is drained, and taken back."""
    began = time.monotonic()
    stage.daemons[C].drain()
    left = stage.wait_via(D, 20, since=began)
    time.sleep(2)
    back = time.monotonic()
    stage.daemons[C].undrain()
    returned = stage.wait_via(C, RETURN, steady=2, since=back)
    return {
        "drain_left_s": left,
        "drain_lost": stage.prober.lost(began, time.monotonic()),
        "undrain_return_s": returned,
    }


def restarted(stage: Scene) -> Values:
    """C's daemon is stopped in order and started again."""
    began = time.monotonic()
    stage.daemons[C].stop()
    stage.daemons[C].start()
    time.sleep(5)
    lost = stage.prober.lost(began, time.monotonic())
    returned = stage.wait_via(C, RETURN, steady=2)
    return {"restart_lost_ms": 1000 * lost * stage.prober.interval, "restart_return_s": returned}


def killed(stage: Scene) -> Values:
    """C's daemon is killed; 5 s later it is started again."""
    began = time.monotonic()
    stage.daemons[C].kill()
    time.sleep(5)
    stage.daemons[C].start()
    time.sleep(5)
    lost = stage.prober.lost(began, time.monotonic())
    stage.wait_via(C, RETURN, steady=2)
    return {"kill_lost_ms": 1000 * lost * stage.prober.interval}


def jittery(stage: Scene) -> Values:
    """By D it is as far as by C; packets of all four links come up to 5 ms early or late, for 30 s."""
    for pair in BY_D:
        stage.network.round_trip(pair, LINKS[BY_C[0]])
    stage.network.shape([*BY_C, *BY_D], jitter=5)
    time.sleep(5)
    began = time.monotonic()
    time.sleep(30)
    moves = stage.moves(began, began + 30)
    stage.network.shape([*BY_C, *BY_D], jitter=0)
    for pair in BY_D:
        stage.network.round_trip(pair, LINKS[pair])
    stage.wait_via(C, RETURN, steady=2)
    return {"jitter_moves": moves, "jitter_lost": stage.prober.lost(began, began + 30)}


def jittery_even(stage: Scene) -> Values:
    """The same, but by D it is 10 ms nearer, which is most of what its rank costs."""
    for pair in BY_D:
        stage.network.round_trip(pair, LINKS[BY_C[0]] - 5)
    stage.network.shape([*BY_C, *BY_D], jitter=5)
    time.sleep(5)
    began = time.monotonic()
    time.sleep(30)
    moves = stage.moves(began, began + 30)
    stage.network.shape([*BY_C, *BY_D], jitter=0)
    for pair in BY_D:
        stage.network.round_trip(pair, LINKS[pair])
    stage.wait_via(C, RETURN, steady=2)
    return {"jitter_even_moves": moves}


def dead_relay(stage: Scene) -> Values:
    """All links of C drop everything, and come back."""
    began = time.monotonic()
    stage.network.shape(stage.network.of(C), up=0)
    stage.wait_via(D, 20)
    time.sleep(2)
    outage = stage.prober.lost(began, time.monotonic())
    back = time.monotonic()
    stage.network.shape(stage.network.of(C), up=1)
    returned = stage.wait_via(C, RETURN, since=back)
    return {
        "relay_outage_s": outage * stage.prober.interval,
        "relay_return_s": returned,
        "relay_return_lost": stage.prober.lost(back, time.monotonic()),
    }


STEPS: dict[str, Callable[[Scene], Values]] = {
    "cost": cost,
    "slow": slow,
    "dead_link": dead_link,
    "lossy": lossy,
    "tcp": saturated,
    "tcp20": saturated_shallow,
    "tcp100": saturated_deep,
    "bbr": saturated_bbr,
    "leaf_restart": restarted_leaf,
    "drain": drained,
    "restart": restarted,
    "kill": killed,
    "jitter": jittery,
    "jitter_even": jittery_even,
    "dead_relay": dead_relay,
    "leaf_restart_relayed": restarted_leaf_by_relay,
}
BY_RELAY = ("drain", "restart", "kill", "jitter", "jitter_even", "dead_relay", "leaf_restart_relayed")
"""Steps that come after the direct link is down."""
