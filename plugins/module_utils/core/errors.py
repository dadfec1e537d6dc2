# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the engine and its layers.

Lower layers raise these; only `runner` turns them into a module's answer.
"""

from __future__ import annotations

from dataclasses import dataclass


class NodeError(Exception):
    """Base of everything the engine and the layers raise on purpose."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a wish: what an operator needs to mend it."""

    key: str
    value: object
    allowed: str
    origin: str = ""
    target: str = ""

    def __str__(self) -> str:
        where = f" on {self.target}" if self.target else ""
        origin = f" (from {self.origin})" if self.origin else ""
        return f"{self.key}: {self.value!r}{where} is refused{origin}; allowed: {self.allowed}"


class BindError(NodeError):
    """Wishes that this node cannot or must not have. Raised before the first write."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(str(problem) for problem in problems))


class LayerUnavailable(NodeError):
    """The hardware is there but what drives it is not (driver, library, binding)."""


class TargetLost(NodeError):
    """A device went away between two calls. The others can go on without it."""

    def __init__(self, target: str, message: str) -> None:
        self.target = target
        super().__init__(message)


class NotOffered(NodeError):
    """The device certainly does not do this and did nothing. What was wished is unapplied, no failure."""


class RecordTooNew(NodeError):
    """The owner record was written by a newer version of the collection."""


class LockTimeout(NodeError):
    """Another run holds the node."""


class Interrupted(NodeError):
    """The run was told to stop (SIGTERM, SIGHUP, SIGINT) and undoes what it did."""


class VerifyError(NodeError):
    """A change was accepted and is not there when read again."""


class TransactionFailed(NodeError):
    """Applying or verifying failed; the layer was rolled back as far as possible.

    rolled_back: keys that have their old value again
    not_undone: `{key, target, error}` of those that could not be put back
    """

    def __init__(self, message: str, rolled_back: list[str], not_undone: list[dict[str, str]]) -> None:
        self.rolled_back = rolled_back
        self.not_undone = not_undone
        super().__init__(message)
