# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queueing disciplines: what `tc -j qdisc show` says, and the commands that change them. Pure.

A discipline is one word: `fq`, or `mq+fq` where each queue of the device has one of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .settings import CLASSLESS, DEFAULT, MQ

SHOW = ("tc", "-j", "qdisc", "show")
NOT_ROOT = ("ingress", "clsact")
HANDLE = "5a:"
"""Of an mq that we set: the kernel's own has none, so nothing can be put below it. Any would do."""


@dataclass(frozen=True)
class Qdisc:
    """The root of one device.

    explicit: somebody has set it; foreign: why it is not ours to replace; marked: it is an mq of ours
    """

    text: str
    explicit: bool = False
    foreign: str = ""
    marked: bool = False


def parse(text: str) -> dict[str, Qdisc]:
    """Device → its root. Raises ValueError for what is no answer of tc's."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    items = json.loads(text or "[]")
    if not isinstance(items, list):
        raise ValueError("no list")
    for item in items:
        if not isinstance(item, dict):
            raise ValueError("no list of objects")
        if item.get("kind") and item["kind"] not in NOT_ROOT and item.get("dev"):
            found.setdefault(str(item["dev"]), []).append(item)
    return {device: _root(parts) for device, parts in found.items()}


def _root(parts: Sequence[Mapping[str, Any]]) -> Qdisc:
    root = next((item for item in parts if item.get("root")), None)
    if root is None:
        return Qdisc("noqueue")
    kind, handle = str(root["kind"]), str(root.get("handle", "0:"))
    children = sorted({str(item["kind"]) for item in parts if not item.get("root")})
    if kind == MQ:
        strange = [child for child in children if child not in CLASSLESS]
        foreign = f"somebody has set {', '.join(strange)} below {MQ}" if strange else ""
        set_below = any(not item.get("root") and str(item.get("handle", "0:")) != "0:" for item in parts)
        text = f"{MQ}+{','.join(children)}" if children else MQ
        return Qdisc(text, handle != "0:" or set_below, foreign, handle == HANDLE)
    if kind in CLASSLESS and not children:
        return Qdisc(kind, handle != "0:")
    below = f" with {', '.join(children)} below it" if children else ""
    return Qdisc(kind, True, f"somebody has set {kind} ({handle}){below}, which shapes or sorts traffic")


def command(device: str, wanted: str, queues: int) -> tuple[list[str], str]:
    """(what to run, its input) that brings it about. queues: of the device, for `mq+…`"""
    if wanted == DEFAULT:
        return ["tc", "qdisc", "del", "dev", device, "root"], ""
    root, _plus, leaf = wanted.partition("+")
    if root != MQ:
        return ["tc", "qdisc", "replace", "dev", device, "root", root], ""
    lines = [f"qdisc replace dev {device} root handle {HANDLE} {MQ}"]
    if leaf and "," not in leaf:
        lines += [
            f"qdisc replace dev {device} parent {HANDLE}{index:x} {leaf}" for index in range(1, queues + 1)
        ]
    return ["tc", "-batch", "-"], "\n".join([*lines, ""])
