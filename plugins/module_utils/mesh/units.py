# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the guard's unit and of those that look up endpoint names, and of the program they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Optional

from ..core.errors import NodeError
from ..core.interpreter import interpreter
from ..core.marking import marked
from ..core.store import RUN_DIR, STATE_DIR
from .paths import GUARD, PROGRAM

SYSTEMD = "/etc/systemd/system"
REFRESH = "swarm-node-mesh-refresh.service"
REFRESH_TIMER = "swarm-node-mesh-refresh.timer"

WANTED_BY = {GUARD: "multi-user.target", REFRESH_TIMER: "timers.target"}
"""Unit → what pulls it in while it is enabled."""

EVERY = 60
"""Seconds between two looks at names of endpoints."""

STOP_LIMIT = 90
"""Seconds an undo that is told to stop has to put things back."""

STOPPED = 75
"""Return code of a guard that a signal ended. systemd starts it again unless systemd itself stopped it: a
`pkill python3` by somebody must not cost the undo."""

ARMED = "armed.json"
"""Below <state>/mesh: a change that is not confirmed yet."""

ARMING = "mesh-arming.json"
"""In the run directory, which a boot empties: what the guard is to take over when it starts."""

Program = Callable[[], str]
"""Makes the text of PROGRAM. `program.program_text` is it; that file needs this one, so it is handed in."""


def no_program() -> str:
    """For what never installs PROGRAM. Raises NodeError."""
    raise NodeError("whoever asked for this change handed in no program for the node")


def unit_path(unit: str) -> str:
    return f"{SYSTEMD}/{unit}"


def link_path(unit: str) -> str:
    """The link by which a unit is enabled."""
    return f"{SYSTEMD}/{WANTED_BY[unit]}.wants/{unit}"


def texts(
    make: Program, refresh: bool, armed: bool, python: str = "", program: Optional[bool] = None
) -> dict[str, Optional[str]]:
    """Path → text of the files that look up names of endpoints; None where the file has to go.

    make: makes the text of PROGRAM
    refresh: whether an endpoint is a name; program: whether PROGRAM is needed, as it is for that
    armed: whether a change is armed or about to be. Then PROGRAM is never to be removed, as the guard runs
        it: it is not in the answer, and `Guard.confirm` removes it.
    """
    needed = refresh if program is None else program
    found: dict[str, Optional[str]] = {}
    if needed or not armed:
        found[PROGRAM] = make() if needed else None
    found[unit_path(REFRESH)] = marked(refresh_service(python or interpreter())) if refresh else None
    found[unit_path(REFRESH_TIMER)] = marked(refresh_timer()) if refresh else None
    return found


def guard_service(python: str, state_dir: str = STATE_DIR, run_dir: str = RUN_DIR) -> str:
    """The guard. It never gives up by a timeout, and a boot does not wait for it."""
    places = "".join(
        f" --{name} {value}"
        for name, value, usual in (("state-dir", state_dir, STATE_DIR), ("run-dir", run_dir, RUN_DIR))
        if value != usual
    )
    return f"""\
[Unit]
Description=Undo a change of the mesh that nobody confirms
Documentation=file:{PROGRAM}
After=local-fs.target network-online.target
ConditionPathExists={PROGRAM}
ConditionPathExists=|{state_dir}/mesh/{ARMED}
ConditionPathExists=|{run_dir}/{ARMING}
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
SyslogIdentifier=swarm-node-mesh
ExecStart={python} -I {PROGRAM} guard{places}
TimeoutStartSec=60
TimeoutStopSec={STOP_LIMIT}
# Killed by somebody or by lack of memory, it goes on; it fails only where armed.json makes no sense.
Restart=on-abnormal
SuccessExitStatus={STOPPED}
RestartForceExitStatus={STOPPED}
RestartSec=2
OOMScoreAdjust=-900
{_HARDENING}
[Install]
WantedBy={WANTED_BY[GUARD]}
"""


def refresh_service(python: str) -> str:
    return f"""\
[Unit]
Description=Look up the names of endpoints of the mesh that have not answered
Documentation=file:{PROGRAM}
ConditionPathExists={PROGRAM}

[Service]
Type=oneshot
SyslogIdentifier=swarm-node-mesh
ExecStart={python} -I {PROGRAM} refresh
TimeoutStartSec=120
# Without it the journal would have lines of every look.
LogLevelMax=notice
{_HARDENING}"""


def refresh_timer() -> str:
    return f"""\
[Unit]
Description=Look up the names of endpoints of the mesh that have not answered
ConditionPathExists={PROGRAM}

[Timer]
Unit={REFRESH}
OnActiveSec={EVERY}
OnUnitInactiveSec={EVERY}
AccuracySec=15
RandomizedDelaySec=10

[Install]
WantedBy={WANTED_BY[REFRESH_TIMER]}
"""


# The undo writes below /etc and /usr/local, talks to systemd, and loads nft and WireGuard's module:
# ProtectSystem, ProtectKernelModules and the like would be in its way.
_HARDENING = """\
ProtectHome=read-only
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0022
"""
