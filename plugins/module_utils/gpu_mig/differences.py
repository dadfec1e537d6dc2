# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is not as it was declared, for a run that only asserts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.errors import Problem
from ..core.model import Plan
from .wishes import KEYS


@dataclass(frozen=True)
class Difference(Problem):
    """The node is not as it was declared, said as such and not as a refused value."""

    def __str__(self) -> str:
        origin = f" (from {self.origin})" if self.origin else ""
        return f"{self.key} on {self.target}: declared{origin} is {self.value}, {self.allowed}"


def differences(plan: Plan) -> list[Problem]:
    """What is not as declared, whether it could be changed or not."""
    found: list[Problem] = [
        Difference(
            item.key, _shown(item.after), f"found is {_shown(item.before)}", item.origin, item.target_name
        )
        for item in plan.changes
        if item.key in KEYS
    ]
    found += [
        Difference(
            item.key,
            _shown(item.wanted),
            f"found is {_shown(item.live)} ({item.reason}: {item.detail})",
            item.origin,
            item.target_name,
        )
        for item in plan.unapplied
    ]
    found += [
        Difference(
            item["key"],
            item["after"],
            f"found is {item['live']}: it {item['detail']}",
            "",
            item["target_name"],
        )
        for item in plan.pending
    ]
    return found


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "no instance"
    return str(value)
