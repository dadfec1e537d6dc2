# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the node that set devices when the network comes up, which is later than our unit. Pure.

What such a file sets is in force after a boot, whatever we had set before it. Which value it is, only the
program that reads the file knows; so it is said, and decides nothing.
"""

from __future__ import annotations

import configparser
import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OPTIONS = {"-G": "rings", "-L": "channels", "-C": "coalesce", "-K": "features", "-X": "rss"}
LONG = {
    "--set-ring": "rings",
    "--set-channels": "channels",
    "--coalesce": "coalesce",
    "--features": "features",
    "--offload": "features",
    "--set-rxfh-indir": "rss",
    "--rxfh": "rss",
}
IFUPDOWN = {"hardware-dma-ring-": "rings", "hardware-irq-coalesce-": "coalesce", "offload-": "features"}
NETWORK_MANAGER = {"ring-": "rings", "channels-": "channels", "coalesce-": "coalesce", "feature-": "features"}

INTERFACES = "etc/network/interfaces"
PLACES = (INTERFACES, "etc/network/interfaces.d/*", "etc/NetworkManager/system-connections/*.nmconnection")


@dataclass(frozen=True)
class Rival:
    """groups: what it sets (`rings`); device: a name or pattern"""

    path: str
    device: str
    groups: tuple[str, ...]


def rivals(texts: Mapping[str, str]) -> list[Rival]:
    """texts: path → text, of files at PLACES"""
    found = []
    for path, text in sorted(texts.items()):
        if path.endswith(".nmconnection"):
            found += _network_manager(path, text)
        else:
            found += _ifupdown(path, text)
    return found


def notes(found: Iterable[Rival], asked: Mapping[str, Iterable[str]]) -> list[str]:
    """What to say. asked: device → groups that are to be set"""
    said = []
    for rival in found:
        for device, groups in sorted(asked.items()):
            common = sorted(set(groups) & set(rival.groups))
            if common and fnmatch.fnmatchcase(device, rival.device):
                said.append(
                    f"{rival.path} sets {', '.join(common)} of {device} when the network comes up; after "
                    "a boot that is later than the unit of swarm.node, so that file wins"
                )
    return said


def _ifupdown(path: str, text: str) -> list[Rival]:
    found: dict[str, set[str]] = {}
    device = ""
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("iface", "mapping", "auto", "source") or words[0].startswith("allow-"):
            device = words[1] if words[0] == "iface" and len(words) > 1 else ""
            continue
        groups = {group for start, group in IFUPDOWN.items() if words[0].startswith(start)}
        if re.search(r"(^|/)ethtool$", words[1] if len(words) > 1 else "") or "ethtool" in words:
            groups |= {group for word, group in {**OPTIONS, **LONG}.items() if word in words}
        if words[0] == "txqueuelen" or "txqueuelen" in words:
            groups.add("txqueuelen")
        if device and groups:
            found.setdefault(device, set()).update(groups)
    return [Rival(path, name, tuple(sorted(groups))) for name, groups in found.items()]


def _network_manager(path: str, text: str) -> list[Rival]:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    try:
        parser.read_string(text)
    except configparser.Error:
        return []
    if not parser.has_section("ethtool"):
        return []
    options = parser.options("ethtool")
    groups = {
        group for start, group in NETWORK_MANAGER.items() if any(one.startswith(start) for one in options)
    }
    name = parser.get("connection", "interface-name", fallback="") if parser.has_section("connection") else ""
    return [Rival(path, name or "*", tuple(sorted(groups)))] if groups else []
