# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages layer as the engine sees it."""

from __future__ import annotations

from typing import Any

from ..core.contract import Port
from ..core.model import Plan
from ..core.store import Record
from .model import PackagesState, Settings, Wish
from .plan import plan_packages
from .port import PackagesPort
from .survey import survey


class PackagesLayer:
    """The packages of one owner."""

    name = "packages"

    def __init__(self, port: PackagesPort, wishes: list[Wish], settings: Settings) -> None:
        self.port: Port = port
        self.reader = port
        self.wishes = wishes
        self.settings = settings

    def manager(self) -> str:
        """None holds the whole layer: adding a package takes nothing from anybody."""
        return ""

    def read(self) -> PackagesState:
        return survey(self.wishes, self.settings, self.reader)

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        return plan_packages(self.wishes, self.settings, state, record)
