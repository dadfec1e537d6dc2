# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run did, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.notify import NOTICE, WARNING
from .reapply import Done
from .status import BUSY, FROZEN, MANAGED, NOTHING, RUNNING, TRY_AGAIN, UNAVAILABLE, UNCHANGED, Status


def summary(done: Sequence[Done], outcome: str, check: bool = False) -> str:
    """One line."""
    changes = [change for item in done for change in item.changes]
    gpus = {change["target"] for change in changes if change["target"].startswith("GPU-")}
    problems = sum(len(item.failures) + len(item.unapplied) for item in done)
    details = "; ".join(dict.fromkeys(item.detail for item in done if item.detail))
    words = {
        NOTHING: "no record holds anything to re-apply",
        UNCHANGED: "every GPU has what is on record",
        FROZEN: f"frozen, nothing done: {details}",
        MANAGED: f"nothing done: {details}",
        RUNNING: "a run has begun, and has not come to its end",
        UNAVAILABLE: f"the GPUs cannot be asked: {details}",
        BUSY: f"not done: {details}",
    }.get(outcome)
    if words is None:
        verb = "would be set" if check else "set"
        words = f"{len(changes)} values {verb} on {len(gpus)} GPUs"
        if problems:
            words += f", {problems} could not be"
        if details:
            words += f"; {details}"
    away = sum(len(item.away) for item in done)
    return f"{words}; {away} GPUs on record are not in this node" if away else words


def lines(status: Status) -> Iterator[tuple[int, str]]:
    """(priority, line) of everything worth saying."""
    owners = status["owners"]
    for item in owners:
        name = f"{item['owner']}: " if len(owners) > 1 and item["owner"] else ""
        for change in item["changes"]:
            label = change["target_name"] or change["target"]
            unit = f" {change['unit']}" if change["unit"] else ""
            before = "unknown" if change["before"] is None else f"{change['before']}{unit}"
            yield NOTICE, f"{name}{label}: {change['key']} {before} -> {change['after']}{unit}"
        for wish in item["unapplied"]:
            label = wish["target_name"] or wish["target"]
            yield WARNING, f"{name}{label}: {wish['key']} not applied ({wish['reason']}): {wish['detail']}"
        for failure in item["failures"]:
            yield WARNING, f"{name}{failure['target'] or 'all GPUs'}: {failure['error']}"
        for note in item["notes"]:
            yield NOTICE, f"{name}{note}"
    yield WARNING if status["outcome"] in TRY_AGAIN else NOTICE, f"{status['why']}: {status['summary']}"
