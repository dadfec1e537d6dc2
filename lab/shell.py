# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: every failure becomes a LabError that shows the command and its last words."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from lab.errors import LabError

_START = time.monotonic()


def say(text: str) -> None:
    """One progress line, with the seconds since the start."""
    print(f"lab {time.monotonic() - _START:5.1f}s  {text}", file=sys.stderr, flush=True)


def run(
    command: Sequence[str],
    *,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 120,
) -> str:
    """Runs to the end and returns standard output; LabError on a nonzero return or after `timeout` s."""
    try:
        done = subprocess.run(
            list(command),
            input=data if data is not None else b"",
            capture_output=True,
            env=env,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"{error.filename} is not installed; run scripts/bootstrap lab") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"no end after {timeout:.0f} s: {shlex.join(command)}") from error
    if done.returncode != 0:
        raise LabError(
            failure(command, done.returncode, (done.stdout + done.stderr).decode(errors="replace"))
        )
    return done.stdout.decode(errors="replace")


def failure(command: Sequence[str], code: int, output: str, lines: int = 12) -> str:
    """The text of a failed command: how it was called, its return code, its last lines."""
    tail = "\n".join("    " + line for line in output.strip().splitlines()[-lines:])
    return f"command returned {code}: {shlex.join(command)[:400]}\n{tail}"
