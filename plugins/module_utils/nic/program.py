# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nic layer's program on the node: guards a change, and brings settings back. No Ansible here."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..core.bundle import program
from ..core.errors import Interrupted, LockTimeout, NodeError
from ..core.notify import NOTICE, WARNING, put, say
from ..core.signals import signals_as_errors
from ..core.store import RUN_DIR, STATE_DIR
from ..core.version import VERSION
from .layer import NicLayer, NicOptions
from .opening import closed, postpone, until_open, wait_in_background
from .reapply import Done, rounds
from .watching import guard_it

BUSY = 4
STOPPED = 75

CODES = """\
return codes:
  0  all is as recorded, or there is nothing to do
  1  something is not as recorded (check: or would be changed)
  2  wrong usage
  4  another run of swarm.node held the node
"""


def program_text() -> str:
    """This file and what it needs as one, whatever the collection is called where this runs."""
    return program(
        "for network devices: takes back what nobody confirms, re-applies what is on record.", __name__
    )


def main(arguments: Sequence[str]) -> int:
    """The return code; CODES says what each means."""
    options = _parse(arguments)
    try:
        if options.command in ("guard", "reapply", "opened") and os.geteuid() != 0:
            raise NodeError(f"{options.command} needs root")
        with signals_as_errors() as stops:
            if options.command == "guard":
                layer = NicLayer(_options(options))
                return guard_it(layer.guard, lambda: NicLayer(_options(options)).parts)
            if options.command == "status":
                return _status(options)
            return brought_back(_options(options), options.command, lambda: bool(stops))
    except Interrupted as error:
        say(str(error))
        return STOPPED
    except LockTimeout as error:
        say(str(error), WARNING)
        return BUSY
    except (NodeError, OSError) as error:
        say(str(error), WARNING)
        return 1


def _options(options: argparse.Namespace) -> NicOptions:
    return NicOptions(
        root=Path(options.root), state_dir=options.state_dir, run_dir=options.run_dir, program=program_text
    )


def brought_back(options: NicOptions, command: str, stopped: Callable[[], bool]) -> int:
    """check, reapply, or opened: what came of the last round."""
    check, code = command == "check", 0
    down = set(closed(options))
    for done in until_open(options, stopped) if command == "opened" else rounds(options, check, stopped):
        # Also those that have been opened meanwhile: they may have been read before.
        down = (set() if command == "opened" else down) | set(closed(options))
        for item in done:
            postpone(item, down)
        code = _tell(done, check)
    if command == "reapply" and down and not wait_in_background(options, options.runner):
        say("nothing waits for the devices that are down to be opened", WARNING)
    return code


def _tell(done: Sequence[Done], check: bool) -> int:
    verb = "would be set" if check else "set"
    for item in done:
        for change in item.changes:
            key = f"{change['key']} of {change['target']}"
            say(f"{item.owner}: {key} {verb} to {change['after']!r} (was {change['before']!r})", NOTICE)
        for wish in item.unapplied:
            text = f"{wish['key']} of {wish['target']} is not {wish['wanted']!r}"
            say(f"{item.owner}: {text}: {wish['reason']}: {wish['detail']}", WARNING)
        for note in item.notes:
            say(f"{item.owner}: {note}")
        for text in item.failed:
            say(f"{item.owner}: {text}", WARNING)
    if not any(item.changes for item in done) and all(item.good for item in done):
        say("all network devices are as recorded" if done else "nothing is on record")
    return int(any(not item.good or (check and item.changes) for item in done))


def _status(options: argparse.Namespace) -> int:
    guard = NicLayer(_options(options)).guard
    armed, reverted = guard.armed(), guard.reverted()
    if options.json:
        told = None if reverted is None else asdict(reverted)
        put(json.dumps({"armed": guard.info(), "reverted": told}, indent=1))
        return 0
    say("nothing is armed" if armed is None else armed.sentence)
    if armed is not None and not guard.process.is_running():
        say("the guard does not run", WARNING)
    if reverted is not None:
        say(reverted.sentence)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Ends the process with 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog="swarm_node_nic.pyz",
        description="Network devices as swarm.node holds them on record on this node.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"swarm.node {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("reapply", "bring every device to what the records say"),
        ("check", "say what reapply would change; change nothing"),
        ("opened", "wait for devices that are down, and set what drivers make anew when they are opened"),
        ("guard", "take back what is armed unless it is confirmed (the module starts it)"),
        ("status", "what is armed, and what was taken back last"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--root", default="/", help="where /etc, /proc and /sys are (tests)")
        command.add_argument("--state-dir", default=STATE_DIR, help="where the records are (%(default)s)")
        command.add_argument("--run-dir", default=RUN_DIR, help="where the lock is (%(default)s)")
        if name == "status":
            command.add_argument("--json", action="store_true", help="print it as JSON")
    return parser.parse_args(list(arguments))
