# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of `wg set` that make a tunnel's one peer what it is to be. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any

from ..core.model import Change
from .peer_plan import OTHER_PSK, canonical, describe
from .refresh import has_name, meanings
from .render import Written
from .wg import Device, Peer

NO_PSK = "/dev/null"
"""wg takes an empty file for no preshared key; leaving the word out would leave the key in."""


def peer_words(change: Change) -> list[str]:
    """From `before` to `after`. Only what differs is said: a list of networks set again loses packets."""
    after = change.after
    words: list[str] = []
    live: Mapping[str, Any] = {}
    for peer in change.data["before"]:
        if peer["public_key"] == after["public_key"]:
            live = peer
        else:
            words += ["peer", peer["public_key"], "remove"]
    return words + _set(after, live, change.data["psk"])


def undo_words(change: Change, devices: Mapping[str, Device]) -> list[str]:
    """Back to the peers of before, from whatever is there."""
    device = devices.get(change.target)
    live = {key: describe(peer, Written()) for key, peer in device.peers.items()} if device else {}
    words: list[str] = []
    before = {peer["public_key"]: peer for peer in change.data["before"]}
    for key in live:
        if key not in before:
            words += ["peer", key, "remove"]
    for key, peer in before.items():
        named = peer["psk"] not in ("", "unknown", OTHER_PSK)
        psk = f"{change.data['psk_dir']}/{peer['psk']}.key" if named else ""
        if peer["psk"] == OTHER_PSK:
            psk = change.data["psk"]  # What it was nobody knows: ours stays.
        same = key in live and bool(live[key]["psk"]) == bool(peer["psk"]) and not _psk_moved(change, peer)
        known = {**live.get(key, {}), "psk": peer["psk"]} if same else {**live.get(key, {}), "psk": None}
        words += _set(peer, known if key in live else {}, psk)
    return words


def live_peer(change: Change, device: Device, marks: Callable[[str], str] = lambda path: "") -> Any:
    """In the form of `before` or `after`, whichever it is.

    marks: path of a preshared key → `wg.mark_of` what it holds, "" where that is not known

    A peer may have called from another address since: its endpoint counts only where nothing else differs.
    One that is a name is what the name means now.
    """
    sides = [("after", [change.after]), ("before", change.data["before"])]
    now = {key: describe(peer, Written()) for key, peer in device.peers.items()}
    for exact in (True, False):
        for side, peers in sides:
            wanted = {peer["public_key"]: peer for peer in peers}
            if set(wanted) == set(now) and all(
                _alike(now[k], wanted[k], exact) and _same_psk(change, device.peers[k], wanted[k], marks)
                for k in wanted
            ):
                return getattr(change, side)
    return sorted(now.values(), key=lambda peer: str(peer["public_key"]))


def _alike(live: Mapping[str, Any], wanted: Mapping[str, Any], exact: bool) -> bool:
    if bool(live["psk"]) != bool(wanted["psk"]):
        return False
    if any(live[name] != wanted[name] for name in ("keepalive", "allowed_ips")):
        return False
    if exact and wanted["endpoint"]:
        if has_name(wanted["endpoint"]):
            return live["endpoint"] in meanings(wanted["endpoint"])
        return canonical(live["endpoint"]) == canonical(wanted["endpoint"])
    return bool(live["endpoint"]) or not wanted["endpoint"] or has_name(wanted["endpoint"])


def _same_psk(change: Change, peer: Peer, wanted: Mapping[str, Any], marks: Callable[[str], str]) -> bool:
    """As far as it is known: whether there is one is compared elsewhere."""
    if wanted["psk"] in ("", "unknown") or not peer.psk_mark:
        return True
    ours = wanted["psk"] != OTHER_PSK
    path = f"{change.data['psk_dir']}/{wanted['psk']}.key" if ours else change.data["psk"]
    mark = marks(path)
    return not mark or hmac.compare_digest(mark, peer.psk_mark) == ours


def _set(peer: Mapping[str, Any], live: Mapping[str, Any], psk: str) -> list[str]:
    words: list[str] = []
    if not live or live["psk"] != peer["psk"]:
        words += ["preshared-key", psk or NO_PSK]
    if not live or live["keepalive"] != peer["keepalive"]:
        words += ["persistent-keepalive", str(peer["keepalive"])]
    if not live or live["allowed_ips"] != peer["allowed_ips"]:
        words += ["allowed-ips", ",".join(peer["allowed_ips"])]
    if peer["endpoint"] and (not live or live["endpoint"] != peer["endpoint"]):
        words += ["endpoint", peer["endpoint"]]
    return ["peer", peer["public_key"], *words] if words or not live else []


def resolved(words: list[str]) -> list[str]:
    """Names of endpoints as addresses. One that means nothing now is left out: the timer looks it up again,
    and `wg set` would do nothing at all for the sake of it."""
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "endpoint" and has_name(rest[0]):
            known = meanings(rest.pop(0))
            found += [word, known[0]] if known else []
        else:
            found.append(word)
    return found


def _psk_moved(change: Change, peer: Mapping[str, Any]) -> bool:
    same = peer["public_key"] == change.after["public_key"]
    return same and peer["psk"] != change.after["psk"]
