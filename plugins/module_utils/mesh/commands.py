# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the node (ip, wg, nft, systemctl …), run without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.errors import NodeError

TIMEOUT = 60.0

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A login by ssh often has no sbin in its PATH."""


@dataclass(frozen=True)
class Done:
    """How a command ended. `code` is 127 where there is no such program."""

    code: int
    out: str
    err: str

    @property
    def good(self) -> bool:
        return self.code == 0


class Runner(Protocol):
    """Runs a command with `data` as its input; never raises for a command that fails."""

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = TIMEOUT) -> Done: ...


def execute(argv: Sequence[str], data: str = "", timeout: float = TIMEOUT) -> Done:
    """The real runner. Raises NodeError for a command that does not end in time."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": SEARCH, "WG_COLOR_MODE": "never"}
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
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        return Done(127, "", f"{argv[0]}: no such program")
    except subprocess.TimeoutExpired as error:
        raise NodeError(f"{' '.join(argv)}: did not end within {timeout:.0f} s") from error
    return Done(ended.returncode, ended.stdout, ended.stderr)


def must(runner: Runner, argv: Sequence[str], data: str = "", timeout: float = TIMEOUT) -> str:
    """The output of a command that has to succeed. Raises NodeError; what was fed to it is never said."""
    done = runner(argv, data, timeout)
    if not done.good:
        # What `wg show … dump` prints holds keys; half of it may be out when it fails.
        said = done.err or ("" if argv[0] == "wg" else done.out)
        reason = " ".join(said.split()) or f"it returned {done.code}"
        raise NodeError(f"{' '.join(argv)}: {reason}")
    return done.out
