# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of the routing daemon's unit and of the one that notes its changes of route. Pure."""

from __future__ import annotations

from ..core.marking import marked
from .paths import BABELD, PROGRAM, RUN
from .settings import TIMERS

START_LIMIT = 30
"""Seconds that the wait for handshakes and the tables may take together."""


def daemon_service(python: str, timers: str = "small") -> str:
    """One instance per mesh. timers: those of all meshes of the node

    -H: half of it is the time after which babeld asks again for a route.
    """
    hello = TIMERS[timers].hello
    return marked(f"""\
[Unit]
Description=Routes within the mesh %i by latency and loss (Babel)
Documentation=man:babeld(8)
After=network.target nftables.service swarm-node-mesh@%i.service
# A restart of nftables.service takes every table away, and so does a reload.
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
StartLimitIntervalSec=0

[Service]
Type=exec
SyslogIdentifier=swarm-node-routing
RuntimeDirectory={RUN.rpartition("/")[2]}/%i
ExecStartPre={python} -I {PROGRAM} prepare %i
ExecStart={BABELD} -I '' -H {hello:g} -S {RUN}/%i/state -c {RUN}/%i/babeld.conf
ExecReload={python} -I {PROGRAM} tables %i
ExecStopPost={python} -I {PROGRAM} clear %i
TimeoutStartSec={START_LIMIT}
TimeoutStopSec=5
Restart=always
RestartSec=1
OOMScoreAdjust=-500
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW
RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6
{_HARDENING}ReadWritePaths={RUN}
ProtectKernelTunables=yes

[Install]
WantedBy=multi-user.target nftables.service
""")


def recorder_service(python: str) -> str:
    return marked(f"""\
[Unit]
Description=Note the changes of route of the mesh %i
After=swarm-node-routing@%i.service
StartLimitIntervalSec=0

[Service]
Type=exec
SyslogIdentifier=swarm-node-routing
RuntimeDirectory={RUN.rpartition("/")[2]}
RuntimeDirectoryPreserve=yes
ExecStart={python} -I {PROGRAM} record %i
TimeoutStopSec=5
Restart=always
RestartSec=2
CapabilityBoundingSet=
RestrictAddressFamilies=AF_UNIX
{_HARDENING}ReadWritePaths={RUN}
ProtectKernelTunables=yes
MemoryMax=64M

[Install]
WantedBy=multi-user.target
""")


_HARDENING = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0022
"""
