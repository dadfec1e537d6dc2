# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs programs. dpkg must never be cut short, so one of the two ways cannot be."""

# Ansible's run_command knows no time limit and no session of its own, and needs a module at hand.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass

from ..core.errors import NodeError

ENVIRONMENT = {
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    # needrestart would restart services, container runtimes among them.
    "NEEDRESTART_SUSPEND": "1",
}


@dataclass(frozen=True)
class Answer:
    """What a program left behind."""

    code: int
    out: str
    err: str


def run(argv: list[str], timeout: float) -> Answer:
    """Runs a program that may be stopped at any time. timeout in seconds; raises NodeError."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            env={**os.environ, **ENVIRONMENT},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NodeError(f"{_shown(argv)} did not end within {timeout:g} s and was stopped") from error
    except OSError as error:
        raise NodeError(f"{_shown(argv)} cannot be run: {error.strerror}") from error
    return Answer(done.returncode, _text(done.stdout), _text(done.stderr))


def run_whole(argv: list[str]) -> Answer:
    """Runs a program to its end, come what may; a signal is passed on only after that.

    A session of its own keeps a hang-up of the connection from it, and files instead of pipes
    let it go on should this process be killed.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **ENVIRONMENT},
                start_new_session=True,
            )
        except OSError as error:
            raise NodeError(f"{_shown(argv)} cannot be run: {error.strerror}") from error
        try:
            process.wait()
        except BaseException:
            # Not wait(): after an interrupt it gives the child only a moment.
            while process.poll() is None:
                time.sleep(0.05)
            raise
        out.seek(0)
        err.seek(0)
        return Answer(process.returncode, _text(out.read()), _text(err.read()))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _shown(argv: list[str]) -> str:
    """The command in a message: without the options in between."""
    return " ".join([os.path.basename(argv[0]), *(word for word in argv[1:3] if not word.startswith("-"))])  # noqa: PTH119
