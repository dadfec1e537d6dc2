# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit-confirm: what is armed until somebody confirms it, and the note of what was undone. Pure data.

A layer adds to both what its undo needs, and its own words.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Optional, TypeVar

from .deadline import Clock
from .errors import BindError, NodeError, Problem

SCHEMA = 1

AnyReverted = TypeVar("AnyReverted", bound="Reverted")


class TooLate(NodeError):
    """The node has undone what was to be confirmed."""


@dataclass(frozen=True)
class Armed(ABC):
    """One change that is not confirmed yet.

    token: of the run that made it
    armed_at: Unix time; boot_id and boottime: the same moment by the kernel
    length: s until it is undone, jitter included
    """

    token: str
    armed_at: float
    boot_id: str
    boottime: float
    length: float

    @property
    def begun(self) -> Clock:
        return Clock(self.armed_at, self.boottime, self.boot_id)

    @property
    def deadline(self) -> float:
        """Unix time."""
        return self.armed_at + self.length

    @abstractmethod
    def refusal(self, token: str) -> Problem:
        """Why run `token` may neither change nor confirm anything now."""


@dataclass(frozen=True)
class Reverted(ABC):
    """A change that was undone. when: Unix time; undone: labels; left_out: what could not be undone."""

    token: str
    when: float
    why: str
    undone: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    @abstractmethod
    def sentence(self) -> str:
        """For a note."""

    def to_text(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def parse(cls: type[AnyReverted], text: str) -> Optional[AnyReverted]:
        """None for what makes no sense: it is a note, and nothing depends on it."""
        try:
            body = json.loads(text)
            return cls(
                str(body["token"]),
                float(body["when"]),
                str(body["why"]),
                tuple(str(item) for item in body["undone"]),
                tuple(str(item) for item in body["left_out"]),
            )
        except (ValueError, KeyError, TypeError):
            return None


def confirmable(token: str, armed: Optional[Armed], reverted: Optional[Reverted]) -> bool:
    """Whether there is something to be confirmed by run `token`.

    Raises BindError where it is another run's, TooLate where it is undone.
    """
    if armed is not None:
        if armed.token != token:
            raise BindError([armed.refusal(token)])
        return True
    if reverted is not None and reverted.token == token:
        raise TooLate(f"it is too late to confirm: {reverted.sentence}")
    return False
