# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the node (ip, wg, systemctl …), run without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .errors import NodeError

TIMEOUT = 60.0

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A login by ssh often has no sbin in its PATH."""

MISSING = 127
"""The code of a program that is not there."""

DENIED = 126
"""The code of a program that may not be run."""

ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PATH": SEARCH, "WG_COLOR_MODE": "never"}

SECRETIVE = ("wg",)
"""Programs whose output is not for a message: what `wg show … dump` prints holds keys, and half of it may be
out when it fails."""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def good(self) -> bool:
        return self.code == 0

    @property
    def reason(self) -> str:
        """What it said of its failure, in one line."""
        return _line(self.err or self.out) or f"it returned {self.code}"

    @property
    def complaint(self) -> str:
        """`reason` without what it printed, which may hold secrets, or more than a line can take."""
        return _line(self.err) or f"it returned {self.code}"


class Runner(Protocol):
    """Runs a command with `data` as its input; never raises for a command that fails."""

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = TIMEOUT) -> Done: ...


def execute(argv: Sequence[str], data: str = "", timeout: float = TIMEOUT) -> Done:
    """The real runner. Raises NodeError for a command that does not end in time."""
    try:
        return execute_allowed(argv, data, timeout)
    except PermissionError as error:
        return Done(DENIED, "", f"{argv[0]}: {error.strerror}")


def execute_allowed(argv: Sequence[str], data: str = "", timeout: float = TIMEOUT) -> Done:
    """As `execute`, for those who must not take "may not be run" for an answer. Raises PermissionError."""
    try:
        ended = subprocess.run(
            list(argv),
            input=data,
            capture_output=True,
            text=True,
            # A comment of an operator, or a line of the journal, may be in any encoding.
            encoding="utf-8",
            errors="backslashreplace",
            timeout=timeout,
            env={**os.environ, **ENVIRONMENT},
            check=False,
        )
    except FileNotFoundError:
        return Done(MISSING, "", f"{argv[0]}: no such program")
    except subprocess.TimeoutExpired as error:
        raise NodeError(f"{' '.join(argv)}: did not end within {timeout:.0f} s") from error
    return Done(ended.returncode, ended.stdout, ended.stderr)


def must(runner: Runner, argv: Sequence[str], data: str = "", timeout: float = TIMEOUT) -> str:
    """The output of a command that has to succeed. Raises NodeError; what was fed to it is never said."""
    done = runner(argv, data, timeout)
    if not done.good:
        why = done.complaint if argv[0] in SECRETIVE else done.reason
        raise NodeError(f"{' '.join(argv)}: {why}")
    return done.out


def _line(text: str) -> str:
    return " ".join(text.split())
