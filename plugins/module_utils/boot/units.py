# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the units and of the udev rule. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..core.marking import marked
from .paths import OWNERS, PROGRAM, SERVICE, TIMER, UDEV_RULE, WANTED_BY, WATCH, unit_path
from .status import START_LIMIT, STOP_LIMIT

AFTER = (
    "systemd-modules-load.service",
    "local-fs.target",
    "nvidia-persistenced.service",
    "nvidia-fabricmanager.service",
    "nvidia-mig-manager.service",
    "nvidia-dcgm.service",
)
"""What loads the driver, sets GPUs up, or is a manager that the program has to see."""

BEFORE = (
    "slurmd.service",
    "kubelet.service",
    "docker.service",
    "containerd.service",
    "crio.service",
    "podman.service",
    "podman-restart.service",
    "k3s.service",
    "k3s-agent.service",
    "rke2-server.service",
    "rke2-agent.service",
)
"""What starts work on GPUs. Ordering only: none of these waits longer than LONGEST_RUN."""

EVERY = 60
"""Seconds between two looks at whether the driver was loaded anew."""

_GUARDS = f"""\
ConditionPathExists={PROGRAM}
ConditionDirectoryNotEmpty={OWNERS}
"""

# DevicePolicy, PrivateDevices and ProtectClock would close /dev/nvidia*, ProtectKernelModules and a read-only
# /sys or /proc would keep the driver from being loaded by NVML's first call. With ProtectControlGroups
# systemd 252 shows the boot id of the machine underneath where a container has one of its own.
# NoNewPrivileges takes nothing from root, and may keep SELinux from giving nvidia-modprobe and modprobe,
# which NVML's first call runs, the domains they need. PrivateTmp would need /tmp to be mounted.
_HARDENING = """\
ProtectSystem=full
ProtectHome=read-only
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0022
"""


def after(waits: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """AFTER without the units that wait for one of BEFORE (DCGM in a container): that would be a cycle.

    waits: unit → units that it waits for
    """
    return tuple(name for name in AFTER if not set(waits.get(name, ())) & set(BEFORE))


def texts(python: str, behind: Sequence[str] = AFTER) -> dict[str, str]:
    """Path → text of every file that all owners share, but the program.

    python: the node's interpreter; behind: what the service waits for
    """
    return {
        unit_path(SERVICE): marked(_service(python, behind)),
        unit_path(WATCH): marked(_watch(python)),
        unit_path(TIMER): marked(_timer()),
        UDEV_RULE: marked(_udev_rule()),
    }


def _service(python: str, behind: Sequence[str]) -> str:
    return f"""\
[Unit]
Description=Re-apply the GPU settings that swarm.node holds on record
Documentation=file:{PROGRAM}
After={" ".join(behind)}
Before={" ".join(BEFORE)}
{_GUARDS}
[Service]
Type=oneshot
NotifyAccess=main
SyslogIdentifier=swarm-node-gpu
ExecStart={python} -I {PROGRAM} reapply
TimeoutStartSec={START_LIMIT}
TimeoutStopSec={STOP_LIMIT}
{_HARDENING}
[Install]
WantedBy={" ".join(WANTED_BY[SERVICE])}
"""


def _watch(python: str) -> str:
    return f"""\
[Unit]
Description=See whether the NVIDIA driver was loaded anew
{_GUARDS}
[Service]
Type=oneshot
SyslogIdentifier=swarm-node-gpu
ExecStart={python} -I {PROGRAM} watch
TimeoutStartSec=30
# Without it the journal would have lines of every look.
LogLevelMax=notice
{_HARDENING}"""


def _timer() -> str:
    return f"""\
[Unit]
Description=See whether the NVIDIA driver was loaded anew
{_GUARDS}
[Timer]
Unit={WATCH}
OnActiveSec={EVERY}
OnUnitInactiveSec={EVERY}
AccuracySec=15

[Install]
WantedBy={" ".join(WANTED_BY[TIMER])}
"""


def _udev_rule() -> str:
    return f"""\
# Sooner than the timer's next look. The look decides, so an event too many does no harm.
ACTION=="add", SUBSYSTEM=="module", KERNEL=="nvidia", RUN+="/bin/systemctl --no-block start {WATCH}"
"""
