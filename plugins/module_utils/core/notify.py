# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd is told: lines of the journal with their priority, and the status line of the unit."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

WARNING, NOTICE, INFO = 4, 5, 6


def say(text: str, priority: int = INFO) -> None:
    """A line for the journal, or for a person at a terminal."""
    prefix = f"<{priority}>" if "JOURNAL_STREAM" in os.environ else ""
    put(f"{prefix}{text}")


def put(text: str) -> None:
    """One line on standard output. This is a program of its own; Ansible is not there to read it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tell_status(text: str) -> None:
    """The line that `systemctl status` shows. Where systemd does not listen nothing happens."""
    _notify(f"STATUS={' '.join(text.split())}")


def tell_ready() -> None:
    """A unit of Type=notify counts as started from now on."""
    _notify("READY=1")


def _notify(line: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        channel.send(line.encode("utf-8", "replace"))
