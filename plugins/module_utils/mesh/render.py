# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the mesh's files, none of which holds a secret. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..core.marking import marked
from .paths import METRIC, PROTOCOL, UNREACHABLE_METRIC, key_path, psk_path, routes_path
from .refresh import has_name
from .share import Share, Tunnel
from .state import source_for, wanted_addresses, wanted_aggregates, wanted_routes

MARK = "# swarm.node keeps this file"
"""How every file of ours begins; `core.marking` writes it."""

LOOSE = 2
"""rp_filter of a tunnel: an answer may come by another way than the packet went. The kernel takes the higher
value of this and of `all`, so 0 would not do where `all` is 1."""


_PATIENCE = "WG_ENDPOINT_RESOLUTION_RETRIES=2 timeout 15"

_SECRETS = re.compile(r"(?im)^([ \t]*(?:PrivateKey|PresharedKey)[ \t]*=[ \t]*)\S[^\n]*")


class Shown(str):
    """The text of a conf that somebody may have written a key into: diffs show it without."""

    def __str__(self) -> str:
        return _SECRETS.sub(r"\1(hidden)", str.__str__(self))


def is_ours(text: str | None) -> bool:
    return text is not None and text.startswith(MARK)


def conf(share: Share, tunnel: Tunnel, ipv6: bool) -> str:
    """/etc/wireguard/<interface>.conf for wg-quick. Keys come from their files when the tunnel comes up."""
    psk = tunnel.psk
    lines = [
        f"# mesh {share.mesh}, tunnel to {tunnel.peer}",
        "[Interface]",
        f"Address = {', '.join(wanted_addresses(share, ipv6))}",
        f"ListenPort = {tunnel.listen_port}",
        f"MTU = {tunnel.mtu}",
        "Table = off",
        f"PostUp = wg set %i private-key {key_path(share.mesh, tunnel.generation)}",
    ]
    if psk:
        path = psk_path(share.mesh, psk.name)
        lines.append(f"PostUp = wg set %i peer {tunnel.public_key} preshared-key {path}")
    # What follows may fail and the tunnel is still good: it must not be taken down for it.
    lines.append(f"PostUp = echo {LOOSE} >/proc/sys/net/ipv4/conf/%i/rp_filter || true")
    if share.transit:
        lines.append("PostUp = echo 1 >/proc/sys/net/ipv4/conf/%i/forwarding || true")
    lines.append(f"PostUp = ip -force -batch {routes_path(share.mesh, tunnel.interface)} || true")
    named = has_name(tunnel.endpoint)
    if named:
        # wg-quick's unit would wait for a name for ever, and a boot with it; the timer looks it up again.
        lines.append(
            f"PostUp = {_PATIENCE} wg set %i peer {tunnel.public_key} endpoint {tunnel.endpoint} || true"
        )
    lines += ["", "[Peer]", f"PublicKey = {tunnel.public_key}"]
    lines.append(f"AllowedIPs = {', '.join(sorted(tunnel.allowed_ips))}")
    if tunnel.endpoint:
        lines.append(f"{'# ' if named else ''}Endpoint = {tunnel.endpoint}")
    if tunnel.keepalive:
        lines.append(f"PersistentKeepalive = {tunnel.keepalive}")
    return marked("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Written:
    """What a conf of ours says and the kernel does not: the endpoint that was asked for, whose psk it is."""

    public_key: str = ""
    endpoint: str = ""
    psk: str = ""


def parse_conf(text: str | None) -> Written:
    """Empty fields for what is not there."""
    found = dict(re.findall(r"^(?:# )?(PublicKey|Endpoint) = (.*)$", text or "", re.MULTILINE))
    psk = re.search(r"preshared-key \S*/psk/(\S+)\.key$", text or "", re.MULTILINE)
    return Written(found.get("PublicKey", ""), found.get("Endpoint", ""), psk[1] if psk else "")


def route_line(share: Share, destination: str, interface: str) -> str:
    """One line of `ip -batch`: it also moves a route that went through another tunnel."""
    source = source_for(share, destination)
    return f"route replace {destination} dev {interface} proto {PROTOCOL} metric {METRIC} src {source}"


def aggregate_line(prefix: str, verb: str = "replace") -> str:
    return f"route {verb} unreachable {prefix} proto {PROTOCOL} metric {UNREACHABLE_METRIC}"


def routes(share: Share, interface: str, ipv6: bool) -> str:
    """Input of `ip -batch`: the planned routes through one tunnel."""
    found = [route_line(share, one, interface) for one in wanted_routes(share, interface, ipv6)]
    return marked(_lines(found))


def aggregates(share: Share, ipv6: bool) -> str:
    """Input of `ip -batch`: packets for the mesh go to nobody else while there is no route for them."""
    return marked(_lines(aggregate_line(prefix) for prefix in wanted_aggregates(share, ipv6)))


def share_text(share: Share) -> str:
    return json.dumps(share.as_data(), indent=1, sort_keys=True) + "\n"


def sysctl_dropin(values: dict[str, str], before: Mapping[str, str]) -> str:
    """sysctl.d, paths below /proc/sys → value, in their order: an interface's name may have dots.

    before: path → its value before us, for where the owner's record is lost
    """
    notes = [f"# {path} was {before[path]}" for path in values if before.get(path)]
    return marked(_lines([*notes, *(f"{path} = {value}" for path, value in values.items())]))


def parse_dropin(text: str) -> dict[str, tuple[str, str]]:
    """path → (value before us, ours) of what says so."""
    before = dict(re.findall(r"^# (\S+) was (\S+)$", text, re.MULTILINE))
    ours = dict(re.findall(r"^([^#\s]\S*) = (\S+)$", text, re.MULTILINE))
    return {path: (before[path], value) for path, value in ours.items() if path in before}


def _lines(found: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in found)
