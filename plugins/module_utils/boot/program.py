# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program on the node: re-applies what the owner records hold, or tells of it. No Ansible here."""

from __future__ import annotations

import contextlib
import json
import os
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core import files
from ..core.errors import NodeError
from ..core.notify import WARNING, put, say, tell_status
from ..core.recorded import BootStore
from ..core.signals import signals_as_errors
from .kinds import Places
from .options import parse
from .owners import parse_owner
from .paths import OWNERS
from .reapply import Done, Run, reapply
from .status import (
    APPLIED,
    BUSY,
    FAILED,
    FROZEN,
    MANAGED,
    NOTHING,
    PARTLY,
    RUNNING,
    UNAVAILABLE,
    UNCHANGED,
    Stamp,
    Status,
    due,
    new_status,
    read_stamp,
    read_status,
    write_status,
)
from .words import lines, summary

CODES = {FAILED: 1, PARTLY: 1, RUNNING: 1, UNAVAILABLE: 3, BUSY: 4}
"""Outcome → return code; 0 for the others."""

WORST_FIRST = (UNAVAILABLE, BUSY, FAILED, PARTLY, FROZEN, APPLIED, MANAGED, UNCHANGED, NOTHING)
MANUAL = "manual"
DRIVER_WAIT = 60.0
"""Seconds to wait for a driver that is being loaded."""


def main(arguments: Sequence[str]) -> int:
    """The return code; `options.CODES` says what each means."""
    options = parse(arguments)
    try:
        if options.command == "status":
            return _status(options)
        with signals_as_errors() as stops:
            return _run(options, options.command == "check", lambda: bool(stops))
    except (NodeError, OSError) as error:
        say(str(error), WARNING)
        tell_status(f"failed: {error}")
        return 1


# -- reapply and check


def _run(options: Namespace, check: bool, stopped: Callable[[], bool]) -> int:
    if not check and os.geteuid() != 0:
        raise NodeError("reapply needs root")
    root, store = Path(options.root), BootStore(options.state_dir, options.run_dir)
    _wait_for_driver(root)
    last, stamp, frozen = read_status(store.run), read_stamp(root), store.frozen()
    why = due(last, stamp, bool(frozen), time.time()) or MANUAL
    places = Places(root, options.state_dir, options.run_dir, check)
    if not check:
        _begin(store.run, why, stamp, last)
    done = _owners(root, Run(store, places, frozen, why, stopped))
    outcome = _worst(done)
    code = 1 if check and outcome == APPLIED else CODES.get(outcome, 0)
    said = summary(done, outcome, check)
    result = {"outcome": outcome, "code": code, "summary": said, "owners": [vars(item) for item in done]}
    status = new_status(why, stamp, last, result)
    if not check:
        write_status(store.run, status)
        tell_status(f"{why}: {said}")
    _tell(status, options.json)
    return code


def _begin(run_dir: Path, why: str, stamp: Stamp, last: Status) -> None:
    """Notes that a run is under way, so that one that is killed counts as an attempt."""
    begun = {"outcome": RUNNING, "code": CODES[RUNNING], "summary": summary([], RUNNING), "owners": []}
    with contextlib.suppress(OSError):  # Said in the end; until then the GPUs get their settings.
        write_status(run_dir, new_status(why, stamp, last, begun))


def _owners(root: Path, run: Run) -> list[Done]:
    """What came of every owner that has a file; a file that makes no sense is that owner's failure."""
    owners, done = [], []
    for path in sorted((root / OWNERS.lstrip("/")).glob("*.conf")):
        try:
            owners.append(parse_owner(path.stem, files.read_text(path) or ""))
        except NodeError as error:
            done.append(Done(path.stem, FAILED, f"{path}: {error}"))
    done += reapply(owners, run)
    if run.stopped():
        done.append(Done("", FAILED, "stopped before it was done; what was under way was undone"))
    return done


def _worst(done: Sequence[Done]) -> str:
    """The outcome of them all."""
    found = {item.outcome for item in done}
    worst = next((outcome for outcome in WORST_FIRST if outcome in found), NOTHING)
    return PARTLY if worst == FAILED and any(item.changes for item in done) else worst


def _wait_for_driver(root: Path) -> None:
    """The kernel announces a module before it is ready; then the GPUs cannot be asked yet."""
    state = root / "sys/module/nvidia/initstate"
    end = time.monotonic() + DRIVER_WAIT
    while time.monotonic() < end:
        try:
            if state.read_text().strip() != "coming":
                return
        except OSError:
            return
        time.sleep(0.5)


# -- what is said


def _tell(status: Status, as_json: bool) -> None:
    if as_json:
        put(json.dumps(status, indent=1, default=str))
        return
    for priority, line in lines(status):
        say(line, priority)


def _status(options: Namespace) -> int:
    status = read_status(Path(options.run_dir))
    if options.json:
        put(json.dumps(status, indent=1))
    elif not status:
        say("it has not run since this boot")
    else:
        finished, version, attempt = (status.get(name) for name in ("finished", "version", "attempts"))
        say(f"{finished} by swarm.node {version}, attempt {attempt}")
        for _priority, line in lines(status):
            say(line)
    return int(status.get("code", 0))
