# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel in memory for the tests of the plan: states, records, and what the kernel makes of a change."""

from __future__ import annotations

import copy
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.kernel.boot import (
    BootFile,
    BootFiles,
    parse_tmpfiles,
)
from ansible_collections.swarm.node.plugins.module_utils.kernel.model import (
    EXCLUSIVE,
    KernelState,
    Live,
    wishes_from,
)
from ansible_collections.swarm.node.plugins.module_utils.kernel.plan import plan_kernel
from ansible_collections.swarm.node.plugins.module_utils.kernel.sysctl_conf import parse
from ansible_collections.swarm.node.plugins.module_utils.kernel.tuned import Tuned

OWNER = "t"
OURS = f"/etc/sysctl.d/90-swarm-node-{OWNER}.conf"
OUR_TMPFILES = f"/etc/tmpfiles.d/90-swarm-node-{OWNER}.conf"
THP = ("always", "madvise", "never")

LIVE = {
    "vm.swappiness": "60",
    "vm.max_map_count": "65530",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_congestion_control": "cubic",
    "net/ipv4/conf/eth0.100/rp_filter": "2",
    "kernel.core_pattern": "core",
    "vm.dirty_ratio": "20",
    "vm.dirty_bytes": "0",
    "vm.overcommit_memory": "0",
}


def state(
    live: dict[str, str] | None = None,
    boot: dict[str, str] | None = None,
    tmpfiles: dict[str, str] | None = None,
    tuned: Tuned | None = None,
    files: dict[str, str | None] | None = None,
    **special: Live,
) -> KernelState:
    """A node with LIVE and `live`. boot, tmpfiles: path → text of other boot files; special: key → Live."""
    values = {key: Live(True, value, True) for key, value in {**LIVE, **(live or {})}.items()}
    values["thp.enabled"] = Live(True, "madvise", True, THP)
    values.update({key.replace("__", "."): value for key, value in special.items()})
    return KernelState(
        live=values,
        sysctl_boot=BootFiles([BootFile(path, tuple(parse(text))) for path, text in (boot or {}).items()]),
        tmpfiles_boot=BootFiles(
            [BootFile(path, tuple(parse_tmpfiles(text))) for path, text in (tmpfiles or {}).items()], True
        ),
        tuned=tuned or Tuned(),
        files={OURS: None, OUR_TMPFILES: None, **(files or {})},
        congestion=("reno", "cubic", "bbr"),
    )


def plan(
    sysctl: dict[str, Any] | None = None,
    node: KernelState | None = None,
    claims: dict[str, tuple[Any, Any]] | None = None,
    others: dict[str, str] | None = None,
    required: list[str] | None = None,
    thp: str | None = None,
) -> Plan:
    """The plan for these wishes. claims: key → (first seen, applied)."""
    origins = dict.fromkeys(sysctl or {}, "group g")
    wishes = wishes_from(sysctl or {}, {"thp.enabled": thp}, required or [], origins)
    return plan_kernel(wishes, node or state(), record(claims), others or {})


def record(claims: dict[str, tuple[Any, Any]] | None = None) -> Record:
    return Record(OWNER, {key: Claim(*pair) for key, pair in (claims or {}).items()})


def claims_of(found: Plan) -> dict[str, tuple[Any, Any]]:
    return {key: (claim.first_seen, claim.applied) for key, claim in found.claims.items()}


def steps(found: Plan) -> list[tuple[str, Any, Any]]:
    """(key, before, after) of every change of a key."""
    return [
        (item.key, item.before, item.after) for item in found.changes if item.key not in ("file", "record")
    ]


def text_of(found: Plan, path: str = OURS) -> str | None:
    """What the plan writes to a file; fails if it does not touch it."""
    return next(item.data["after_text"] for item in found.changes if item.target == path)


def reasons(found: Plan) -> list[tuple[str, str]]:
    return [(wish.key, wish.reason) for wish in found.unapplied]


class Refused(Exception):
    """The kernel's EINVAL."""


def write(node: KernelState, key: str, value: str) -> None:
    """What the kernel does with a write. Raises Refused."""
    rival = EXCLUSIVE.get(key, "")
    if rival and key.endswith("_bytes") and value == "0":
        raise Refused(key)
    old = node.live[key]
    node.live[key] = Live(True, value, True, old.choices)
    if rival in node.live and old.value != value:
        node.live[rival] = Live(True, "0", True)


def applied(node: KernelState, found: Plan) -> KernelState:
    """The node after the plan, as the port carries it out on a real kernel and the engine verifies it."""
    after = copy.deepcopy(node)
    for change in found.changes:
        if change.key == "file":
            after.files[change.target] = change.data["after_text"]
        elif change.key != "record" and not change.implied:
            write(after, change.key, change.after)
    for change in found.changes:  # As the engine verifies it, once everything is written.
        if change.key in after.live:
            assert after.live[change.key].value == change.after, f"{change.key} does not stay"
    return after


def undone(node: KernelState, found: Plan) -> KernelState:
    """The node after every change of the plan is undone, newest first, as the port does it."""
    after = copy.deepcopy(node)
    for change in reversed(found.changes):
        if change.key == "file":
            after.files[change.target] = change.data["before_text"]
        elif change.key != "record":
            key, value = change.data.get("undo_by") or (change.key, change.before)
            if after.live[key].value != value:
                write(after, key, value)
            assert after.live[change.key].value == change.before
    return after


def values(node: KernelState) -> dict[str, str | None]:
    return {key: live.value for key, live in node.live.items()}
