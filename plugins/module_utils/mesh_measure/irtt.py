# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""irtt: how it is called, and what it says, read strictly (irtt 0.9, JSON format 1). Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..core.errors import NodeError
from .model import IRTT, Probe, with_port
from .stats import summary

FORMAT = 1
"""`json_format` of irtt 0.9.0, the one that Debian 12 and 13 have."""

SHORTEST_INTERVAL = 5
"""ms; the server takes no faster clients."""

HANDSHAKE = "1s,1s,1s,2s"
HANDSHAKE_SECONDS = 5.0
WAIT_SECONDS = 4.0
"""irtt waits so long for late answers."""

MILLI = 1e6
"""ns in a ms"""

_LOST = ("false", "true", "true_up", "true_down")
_COUNTS = ("packets_sent", "packets_received", "server_packets_received", "duration")


class BrokenOutput(NodeError):
    """A program's output is not what it always is: cut off, or of a version that is not known."""


def server(address: str, port: int, seconds: float) -> list[str]:
    """seconds: the longest test that a client may ask for"""
    return [
        IRTT,
        "server",
        "-b",
        with_port(address, port),
        "-d",
        f"{seconds:.0f}s",
        "-i",
        f"{SHORTEST_INTERVAL}ms",
        "-l",
        "200",
    ]


def client(probe: Probe, source: str, window: float, output: str) -> list[str]:
    """output: path that ends in .json.gz"""
    return [
        IRTT,
        "client",
        "-Q",
        "-i",
        f"{probe.interval_ms:g}ms",
        "-d",
        f"{window:g}s",
        "--clock=monotonic",
        f"--timeouts={HANDSHAKE}",
        f"--local={with_port(source, 0)}",
        "-o",
        output,
        with_port(probe.address, probe.port),
    ]


def parse(text: str, probe: Probe) -> dict[str, Any]:
    """`{tool, sent, received, seconds, rtt, jitter: {out, back}, loss: {out, back}}`.

    rtt and jitter are as `stats.summary` has them, a loss is `{sent, lost}`. Where irtt does not know in
    which direction a packet was lost, it counts for both. Raises BrokenOutput.
    """
    try:
        data = json.loads(text)
        version = data["version"]["json_format"]
        stats, trips = data["stats"], data["round_trips"]
        counts = {key: stats[key] for key in _COUNTS}
    except (ValueError, KeyError, TypeError) as error:
        raise BrokenOutput(f"irtt: its JSON is cut off or of another kind: {error!r}") from error
    if version != FORMAT:
        raise BrokenOutput(f"irtt: JSON format {version!r}, known is {FORMAT}")
    if not all(_is_count(value) for value in counts.values()) or not isinstance(trips, list):
        raise BrokenOutput(f"irtt: counts that are none: {counts}")
    try:
        kinds = Counter(trip["lost"] for trip in trips)
        answered = [trip for trip in trips if trip["lost"] == "false"]
        rtt = [_number(trip["delay"]["rtt"]) for trip in answered]
        steps = {
            way: [abs(_number(trip["ipdv"][key])) for trip in answered if key in trip["ipdv"]]
            for way, key in (("out", "send"), ("back", "receive"))
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenOutput(f"irtt: a round trip of another kind: {error!r}") from error
    _check(kinds, counts, len(trips))
    sent = len(trips)
    unknown, up, down = kinds["true"], kinds["true_up"], kinds["true_down"]
    return {
        "tool": IRTT,
        "sent": sent,
        "received": len(answered),
        "seconds": round(counts["duration"] / 1e9, 3),
        "loss": {
            "out": {"sent": sent, "lost": up + unknown},
            "back": {"sent": sent - up, "lost": down + unknown},
        },
        "rtt": summary(rtt, probe.latency_ms, probe.share),
        "jitter": {way: summary(values, probe.jitter_ms, probe.share) for way, values in steps.items()},
    }


def _check(kinds: Mapping[str, int], counts: Mapping[str, int], trips: int) -> None:
    wrong = sorted(str(kind) for kind in kinds if kind not in _LOST)
    if wrong:
        raise BrokenOutput(f"irtt: unknown kinds of loss: {', '.join(wrong)}")
    if trips != counts["packets_sent"] or kinds["false"] != counts["packets_received"]:
        raise BrokenOutput(
            f"irtt: {trips} round trips, {kinds['false']} of them answered, where it counts "
            f"{counts['packets_sent']} and {counts['packets_received']}"
        )


def why(code: int, errors: str) -> str:
    """Why there is no result, in words, by what irtt wrote."""
    if "no reply from server" in errors:
        return "no answer from the server"
    if "connection refused" in errors:
        return "refused: no server at that port, or a firewall rejects it"
    if "no route to host" in errors or "unreachable" in errors:
        return "no way there: " + _last(errors)
    return f"irtt ended with {code}: {_last(errors)}"


def _last(errors: str) -> str:
    lines = [" ".join(line.split()) for line in errors.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: Any) -> float:
    """ns as ms"""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value / MILLI
