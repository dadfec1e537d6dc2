# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every manager of a firewall can do, and which one a name means."""

from __future__ import annotations

from typing import Any, Optional, Protocol

from ..core.commands import Runner
from .firewall_chain import NftChain
from .firewall_firewalld import Firewalld
from .firewall_ranges import Opening, Step
from .firewall_set import NftSet
from .firewall_ufw import Ufw


class Manager(Protocol):
    """A firewall that opens ports when it is asked to. Items are texts in its own notation."""

    def survey(self) -> Any:
        """What it has now. Writes nothing; raises NodeError."""

    def absent(self, survey: Any) -> str:
        """Why nothing of ours can be in it, or ""."""

    def unusable(self, survey: Any) -> str:
        """Why it can be asked nothing now, though something of ours may be in it, or ""."""

    def asleep(self, survey: Any) -> str:
        """Why nothing of ours in it counts now, though it does when it is switched on again, or ""."""

    def refusal(self, survey: Any, opening: Opening) -> str:
        """What to write instead, where it cannot have this opening, or ""."""

    def notes(self, survey: Any, opening: Opening) -> list[str]:
        """What of an opening it cannot say."""

    def step(self, survey: Any, mesh: str, opening: Optional[Opening], applied: list[str]) -> Step:
        """From what is there to the opening, or to nothing. applied: our items by the record. Pure."""

    def live(self, survey: Any, mesh: str, watch: list[str]) -> list[str]:
        """Which of these items are there, sorted; with what else has our mark."""

    def change(self, mesh: str, add: list[str], remove: list[str]) -> None:
        """Raises NodeError."""


def manager_of(name: str, runner: Runner) -> Manager:
    """name: of `Wish.manager`"""
    words = name.split()
    if words[0] == "firewalld":
        return Firewalld(runner)
    if words[0] == "ufw":
        return Ufw(runner)
    kind = NftChain if words[1] == "chain" else NftSet
    return kind(runner, words[2], words[3], words[4])
