# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests are told so that the way between two of them is long, lossy, narrow or dead. Pure.

The underlay is shaped, on the way out of each end: WireGuard's own packets suffer with all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TABLE = "routing_trial"
FULL = 1494
"""Bytes of the largest packet as netem sees it: 1420 in the tunnel, 60 around it, 14 of Ethernet."""
_FAST = "10gbit"
"""No limit. netem keeps packets in order, whatever their delay, only if it has some rate."""
_MANY = 20000


@dataclass(frozen=True)
class Shape:
    """rtt, and jitter each way: ms. loss: % each way. rate: Mbit/s, 0: any. queue: ms a packet may wait."""

    rtt: float = 0.0
    loss: float = 0.0
    jitter: float = 0.0
    rate: float = 0.0
    queue: float = 0.0

    def limit(self) -> int:
        """Packets on their way and in the queue, were all of them full."""
        if not self.rate:
            return _MANY
        return math.ceil((self.rtt / 2 + self.queue) * self.rate * 1000 / 8 / FULL)

    def netem(self) -> str:
        """One way."""
        words = ["netem", "limit", str(self.limit()), "delay", f"{self.rtt / 2:g}ms"]
        words += [f"{self.jitter:g}ms"] if self.jitter else []
        words += ["loss", f"{self.loss:g}%"] if self.loss else []
        return " ".join([*words, "rate", f"{self.rate:g}mbit" if self.rate else _FAST])


def lay(device: str, shapes: dict[str, Shape]) -> str:
    """A script that begins anew, with a class for each address; all else goes as it is."""
    lines = [
        f"tc qdisc delete dev {device} root 2>/dev/null || true",
        f"tc qdisc add dev {device} root handle 1: prio bands {len(shapes) + 1} priomap {' '.join('0' * 16)}",
    ]
    for place, (address, shape) in enumerate(shapes.items()):
        band = place + 2
        lines.append(f"tc qdisc add dev {device} parent 1:{band} handle {band}0: {shape.netem()}")
        match = f"u32 match ip dst {address}/32 flowid 1:{band}"
        lines.append(f"tc filter add dev {device} parent 1: protocol ip prio 1 {match}")
    lines.append(f"nft -f - <<'END'\n{_rules(device)}END")
    return "\n".join(lines)


def change(device: str, place: int, shape: Shape) -> str:
    """A line for tc: the class of the address that was the `place`-th when it was laid."""
    band = place + 2
    return f"qdisc change dev {device} parent 1:{band} handle {band}0: {shape.netem()}"


def _rules(device: str) -> str:
    """At the very first and the very last, so that nothing of the node's own sees what is dropped."""
    return f"""table inet {TABLE} {{
}}
delete table inet {TABLE}
table inet {TABLE} {{
    set dead {{ type ipv4_addr; }}
    chain in {{
        type filter hook prerouting priority -400;
        iifname "{device}" ip saddr @dead drop
    }}
    chain out {{
        type filter hook postrouting priority 400;
        oifname "{device}" ip daddr @dead drop
    }}
}}
"""


def bar(addresses: Iterable[str]) -> str:
    """For nft: nothing goes to these addresses, and nothing comes from them."""
    return f"add element inet {TABLE} dead {{ {', '.join(addresses)} }}\n"


def open_again(addresses: Iterable[str]) -> str:
    return f"delete element inet {TABLE} dead {{ {', '.join(addresses)} }}\n"


def clear(device: str) -> str:
    """A script that leaves nothing of all this behind."""
    return f"tc qdisc delete dev {device} root 2>/dev/null || true\nnft delete table inet {TABLE} || true"


def shared_end(pairs: Sequence[tuple[int, int]]) -> int:
    """The node where all of these links can be cut at one moment. Raises ValueError where there is none."""
    shared = set(pairs[0]).intersection(*pairs)
    if not shared:
        raise ValueError(f"no node has all of these links: {pairs}")
    return min(shared)
