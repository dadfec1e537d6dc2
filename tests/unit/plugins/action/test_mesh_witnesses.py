# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action mesh: which members of the run a node is to try, and which shares count as applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.action import mesh as action
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, Problem

HOSTS = [f"n{number:02}" for number in range(20)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def share(path: Path, host: str, directory: Path) -> dict[str, Any]:
        found.append(host)
        if host == "n19":
            raise BindError([Problem("mesh_name", host, "a member")])
        if host == "n06":
            return {"left": "2026-11-23"}
        return {"share": {"addresses": [f"10.99.0.{int(host[1:])}/32", "fd12::1/128"]}, "digest": ""}

    monkeypatch.setattr(action, "cached_share", share)
    monkeypatch.setattr(action.ActionModule, "_directory", lambda self, task_vars: Path("mesh"))
    return found


def witnesses(hosts: list[str]) -> dict[str, Any]:
    module = object.__new__(action.ActionModule)
    share = {"member": "n00", "tunnels": [{"peer": "n01"}, {"peer": "n02"}]}
    return module._witnesses({"wan": share}, {"ansible_play_hosts": hosts})


def test_a_few_members_of_the_run_that_are_no_neighbours(asked: list[str]) -> None:
    found = witnesses(HOSTS)["witnesses"]["wan"]
    assert len(asked) == 4 and not {"n00", "n01", "n02"} & set(asked)
    assert asked[0] == "n03" and asked[-1] == "n19", "spread over all of them"
    assert found == [f"10.99.0.{int(host[1:])}" for host in asked if host != "n19"]


def test_who_left_and_who_is_alone(asked: list[str]) -> None:
    assert witnesses(["n00", "n01", "n06"]) == {} and asked == ["n06"]
    assert witnesses(["n00", "n01", "n02"]) == {} == witnesses([])


@pytest.mark.parametrize(
    ("wish", "whole"),
    [
        ({}, ["lab", "wan"]),
        ({"target": "wan-2", "reason": "needs_more_disruption"}, ["lab"]),
        ({"target": "/etc/swarm_node/mesh/lab/share.json", "reason": "needs_more_disruption"}, ["wan"]),
        ({"target": "wan nft chain inet f in", "reason": "frozen"}, ["lab"]),
        ({"target": "net.ipv6.conf.all.forwarding", "reason": "managed_by"}, []),
        ({"target": "wan", "reason": "unsupported"}, ["lab", "wan"]),
    ],
)
def test_a_share_of_which_a_part_was_left_out_is_not_applied(wish: dict[str, str], whole: list[str]) -> None:
    digests = {"lab": "sha256:1", "wan": "sha256:2"}
    assert sorted(action._whole(digests, {"unapplied": [wish] if wish else []})) == whole
