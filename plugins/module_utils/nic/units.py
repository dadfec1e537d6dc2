# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the nic layer has its files on a node, and their texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..core.marking import marked
from ..core.store import RUN_DIR, STATE_DIR

PROGRAM = "/usr/local/lib/swarm_node/swarm_node_nic.pyz"
SERVICE = "swarm-node-nic.service"
UNIT = f"/etc/systemd/system/{SERVICE}"
LINK = f"/etc/systemd/system/multi-user.target.wants/{SERVICE}"
UDEV_RULE = "/etc/udev/rules.d/90-swarm-node-nic.rules"
SYSTEMD = "run/systemd/system"
"""Below the root: there while systemd runs."""

GUARD = "swarm-node-nic-guard"
"""The transient unit that watches over a change."""

OPENED = "swarm-node-nic-opened"
"""The transient unit that waits for devices to be opened."""

_SAFE = re.compile(r"[A-Za-z0-9_.:@-]+")


def places(state_dir: str, run_dir: str) -> list[str]:
    """Options of the program for directories that are not the usual ones."""
    usual = (("--state-dir", state_dir, STATE_DIR), ("--run-dir", run_dir, RUN_DIR))
    return [word for option, value, default in usual if value != default for word in (option, value)]


def service(python: str, state_dir: str, run_dir: str) -> str:
    """Before anything brings the network up: a link that is set up anew then disturbs nobody.

    No default dependencies: it would wait for what on some nodes waits for the network (cloud-init). No limit
    of starts: udev asks for one per device and event, and systemd's is 5 in 10 s.
    """
    extra = "".join(f" {word}" for word in places(state_dir, run_dir))
    return marked(
        f"""\
[Unit]
Description=Re-apply the settings of network devices that swarm.node holds on record
Documentation=file:{PROGRAM}
DefaultDependencies=no
Wants=network-pre.target
After=local-fs.target systemd-modules-load.service systemd-udevd.service
Before=network-pre.target shutdown.target
Conflicts=shutdown.target
ConditionPathExists={PROGRAM}
ConditionPathExistsGlob={state_dir}/*.json
StartLimitIntervalSec=0

[Service]
Type=oneshot
SyslogIdentifier=swarm-node-nic
ExecStart={python} -I {PROGRAM} reapply{extra}
TimeoutStartSec=180
TimeoutStopSec=90
ProtectHome=read-only
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0022

[Install]
WantedBy=multi-user.target
"""
    )


def udev_rule(devices: Iterable[str]) -> str:
    """Devices by name: a node that makes veths for containers must not start a program for each of them.

    A device that udev renames is told of by its new name twice: as NAME of the event, and by a `move`.
    """
    lines = ["# A device of these that appears, or gets its name, is set up again.\n"]
    run = f'RUN+="/bin/systemctl --no-block start {SERVICE}"'
    for name in sorted(set(devices)):
        if _SAFE.fullmatch(name):
            lines.append(f'ACTION=="add|move", SUBSYSTEM=="net", KERNEL=="{name}", {run}\n')
            lines.append(f'ACTION=="add", SUBSYSTEM=="net", KERNEL!="{name}", NAME=="{name}", {run}\n')
    return marked("".join(lines))
