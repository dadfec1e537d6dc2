# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mesh's program on the node. No Ansible here."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.bundle import program
from ..core.commands import execute_allowed
from ..core.errors import Interrupted, LockTimeout, NodeError
from ..core.notify import NOTICE, WARNING, put, say, tell_status
from ..core.signals import signals_as_errors
from .firewall import reinsert
from .guard import Guard
from .options import parse
from .refresh import find_moved, set_live
from .stored import stored_shares
from .units import STOPPED
from .watch import Watch

BUSY = 4
REFRESH_LOCK_WAIT = 5.0
"""Seconds: the next look is soon."""


def program_text() -> str:
    """The text of PROGRAM: this file and what it needs, whatever the collection is called where this runs."""
    return program(
        "for the mesh on the node: undoes what nobody confirms, looks up names of endpoints.", __name__
    )


def main(arguments: Sequence[str]) -> int:
    """The return code; `options.CODES` says what each means."""
    options = parse(arguments)
    commands = {"guard": _guard, "refresh": _refresh, "firewall": _firewall, "status": _status}
    try:
        if options.command != "status" and os.geteuid() != 0:
            raise NodeError(f"{options.command} needs root")
        with signals_as_errors():
            return commands[options.command](options)
    except Interrupted as error:
        say(str(error))
        return STOPPED if options.command == "guard" else 0
    except LockTimeout as error:
        say(str(error))
        return BUSY
    except (NodeError, OSError) as error:
        say(str(error), WARNING)
        tell_status(f"failed: {error}")
        return 1


def _guard(options: Namespace) -> int:
    return Watch(_guard_of(options)).run()


def _refresh(options: Namespace) -> int:
    shares = list(stored_shares(Path(options.root)).values())
    found = find_moved(shares, execute_allowed)
    if not found:
        return 0
    with _guard_of(options).store().lock(REFRESH_LOCK_WAIT):
        for item in set_live(found, execute_allowed):
            say(f"{item.interface}: {item.name} is {item.endpoint} now", NOTICE)
    return 0


def _firewall(options: Namespace) -> int:
    reinsert(Path(options.root), execute_allowed)
    return 0


def _status(options: Namespace) -> int:
    guard = _guard_of(options)
    armed, reverted = guard.armed(), guard.reverted()
    if options.json:
        body: dict[str, Any] = {
            "armed": None if armed is None else {"token": armed.token, "deadline": armed.deadline},
            "reverted": None if reverted is None else asdict(reverted),
        }
        put(json.dumps(body, indent=1))
        return 0
    if armed is None:
        say("nothing is armed")
    else:
        say(armed.sentence)
        if not guard.unit.is_active():
            say("the guard does not run", WARNING)
    if reverted is not None:
        say(reverted.sentence)
    return 0


def _guard_of(options: Namespace) -> Guard:
    return Guard(Path(options.root), options.state_dir, options.run_dir, program=program_text)
