# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""iperf3: how it is called, and what it says, read strictly (3.12 and 3.18). Pure."""

from __future__ import annotations

import json
from typing import Any

from ..core.errors import NodeError
from .irtt import BrokenOutput
from .model import IPERF, Transfer

WARM_UP = 1
"""s at the start that do not count: TCP is still finding its rate."""

CONNECT_MS = 2000


class NoTransfer(NodeError):
    """iperf3 says in words why there was none."""


def server(address: str, port: int) -> list[str]:
    return [IPERF, "-s", "-B", address, "-p", str(port)]


def client(transfer: Transfer, source: str, back: bool) -> list[str]:
    """back: from the other member to this one"""
    return [
        IPERF,
        "-J",
        "-c",
        transfer.address,
        "-p",
        str(transfer.port),
        "-B",
        source,
        "-t",
        str(transfer.seconds),
        "-O",
        str(WARM_UP),
        "-b",
        f"{transfer.mbit * 1e6:.0f}",
        "--connect-timeout",
        str(CONNECT_MS),
        *(["-R"] if back else []),
    ]


def parse(text: str, back: bool) -> dict[str, Any]:
    """`{mbit, mbytes, seconds, retransmits}` of what arrived. Raises NoTransfer, BrokenOutput."""
    try:
        data = json.loads(text)
        error = data.get("error")
    except (ValueError, AttributeError) as broken:
        raise BrokenOutput(f"iperf3: its JSON is cut off: {broken}") from broken
    if error is not None:
        raise NoTransfer(" ".join(str(error).split())[:200])
    try:
        test = data["start"]["test_start"]
        received, sent = data["end"]["sum_received"], data["end"]["sum_sent"]
        kind = (test["protocol"], bool(test["reverse"]))
        numbers = [received["bits_per_second"], received["bytes"], received["seconds"]]
        retransmits = sent.get("retransmits")
    except (KeyError, TypeError, AttributeError) as broken:
        raise BrokenOutput(f"iperf3: its JSON lacks {broken}") from broken
    if kind != ("TCP", back):
        raise BrokenOutput(f"iperf3: it ran {kind}, asked was {('TCP', back)}")
    if not all(_is_number(value) for value in numbers) or numbers[2] <= 0:
        raise BrokenOutput(f"iperf3: numbers that are none: {numbers}")
    return {
        "mbit": round(numbers[0] / 1e6, 3),
        "mbytes": round(numbers[1] / 1e6, 3),
        "seconds": round(numbers[2], 3),
        "retransmits": retransmits if _is_number(retransmits) else None,
    }


def why(error: NoTransfer) -> str:
    """In the words of the other tools."""
    said = str(error)
    if "busy" in said:
        return "the server was busy with another test"
    if "refused" in said:
        return "refused: no server at that port, or a firewall rejects it"
    if "timed out" in said.lower() or "timeout" in said.lower():
        return "no answer from the server"
    return said


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
