# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that changes something fails once: the node is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share
from mesh_firewall_world import GATEWAY, SHARE, Machine, Namespace, needs_nft, run, tree

pytestmark = needs_nft

SOURCES = replace(SHARE, endpoints=("203.0.113.7", "2001:db8::9"))
THEIRS = """
table inet theirs {
    set plain { type inet_service; elements = { 22, 51821 }; }
    chain input { type filter hook input priority 0; policy drop; }
}
"""
Shares = dict[str, Share]
STEPS: dict[str, tuple[tuple[Shares, str], tuple[Shares, str]]] = {
    "made": (({}, "none"), ({"wan": SHARE}, "nft chain inet theirs input")),
    "changed": (
        ({"wan": SHARE}, "nft chain inet theirs input"),
        ({"wan": replace(GATEWAY, ports=(51820, 51899))}, "nft chain inet theirs input"),
    ),
    "removed": (({"wan": SHARE}, "nft set inet theirs plain"), ({}, "none")),
    "from set to chain": (
        ({"wan": SHARE}, "nft set inet theirs plain"),
        ({"wan": SHARE}, "nft chain inet theirs input"),
    ),
    "from ufw to firewalld": (({"wan": SOURCES}, "ufw"), ({"wan": SOURCES}, "firewalld")),
    "from firewalld to ufw": (({"wan": SOURCES}, "firewalld"), ({"wan": SHARE}, "ufw")),
}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Callable[[], Machine]]:
    """Makes machines in an empty namespace; the namespace is made once."""
    namespace = Namespace()

    def fresh() -> Machine:
        namespace.must("nft", "-f", "-", data="flush ruleset\n" + THEIRS)
        machine = Machine(tmp_path, namespace)
        machine.ufw, machine.firewalld = ["ufw allow 22/tcp"], {"public runtime": ["51825/udp"]}
        return machine

    yield fresh
    namespace.close()


def whole(machine: Machine, root: Path) -> dict[str, Any]:
    return {
        "nft": machine.ruleset(),
        "files": tree(root),
        "active": sorted(machine.active),
        "ufw": sorted(machine.ufw or []),
        "firewalld": {name: sorted(found) for name, found in (machine.firewalld or {}).items() if found},
    }


@pytest.mark.parametrize("name", STEPS)
def test_after_any_failure_everything_is_as_it_was(
    machines: Callable[[], Machine], tmp_path: Path, name: str
) -> None:
    start, end = STEPS[name]
    number = 0
    while True:
        number += 1
        place = tmp_path / str(number)
        machine = machines()
        run(machine, place, *start)
        before = whole(machine, place / "root")
        machine.changing, machine.refuse = 0, number
        try:
            run(machine, place, *end)
        except TransactionFailed as error:
            assert error.not_undone == []
            assert whole(machine, place / "root") == before
            continue
        assert machine.changing < number
        assert whole(machine, place / "root") != before
        break
    assert number > 2
