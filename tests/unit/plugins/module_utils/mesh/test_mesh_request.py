# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The join request: what one end writes the other reads, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.mesh.keys_request import (
    JoinRequest,
    from_data,
    parse,
    render,
)
from hypothesis import given
from hypothesis import strategies as st

REQUEST = JoinRequest(
    mesh="wan",
    name="home-ann",
    public_key="sO4BzFpZ5wQ7wW0aQ1Yp1lPj1c2b3a4d5e6f7g8h9iA=",
    generation=1,
    networks=("192.168.1.0/24", "fd00::/64"),
    mtu=1492,
    address="192.168.1.5",
    wireguard="userspace",
    time="2026-11-23T01:30:00Z",
)


def test_there_and_back() -> None:
    assert parse(render(REQUEST)) == REQUEST
    bare = replace(REQUEST, networks=(), mtu=None, address=None)
    assert parse(render(bare)) == bare


def test_it_is_yaml() -> None:
    data = yaml.safe_load(render(REQUEST))
    assert data["underlay"] == {
        "networks": ["192.168.1.0/24", "fd00::/64"],
        "mtu": 1492,
        "address": "192.168.1.5",
    }
    assert from_data(data) == REQUEST


def test_mail_may_change_line_ends_and_add_comments() -> None:
    text = "---\n# from ann\n\n" + render(REQUEST)
    assert parse(text.replace("\n", "  \r\n")) == REQUEST


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("schema: 1", "schema: 2", "schema: 2"),
        ("schema: 1", "schema: true", "schema: True"),
        ('mesh: "wan"', 'mesh: "../wan"', "mesh: "),
        ('name: "home-ann"', 'name: "a b"', "name: 'a b'"),
        ('name: "home-ann"', 'name: "a{{ lookup(1) }}"', "name: "),
        ("generation: 1", "generation: 0", "generation: 0"),
        ("generation: 1", 'generation: "1"', "generation: '1'"),
        ("iA=", "iB=", "public_key: "),
        ('"192.168.1.0/24"', '"192.168.1.1/24"', "networks: "),
        ('"192.168.1.0/24"', "7", "networks: "),
        ("mtu: 1492", "mtu: 100", "mtu: 100"),
        ("mtu: 1492", "mtu: true", "mtu: True"),
        ('"192.168.1.5"', '"here"', "address: 'here'"),
        ('"userspace"', '"none of it"', "wireguard: "),
        ('"2026-11-23T01:30:00Z"', '"yesterday"', "time: 'yesterday'"),
        ('time: "', 'tim: "', "line 8: "),
        ("mtu: 1492", "mtu: nonsense", "mtu: 'nonsense'"),
        ("  mtu: 1492\n", "", "mtu: None"),
        ("  mtu: 1492\n", "  mtu: 1492\n  mtu: 1493\n", "line 12: "),
        ("generation: 1", "- generation: 1", "line 6: "),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, named: str) -> None:
    text = render(REQUEST)
    assert old in text
    with pytest.raises(BindError) as raised:
        parse(text.replace(old, new), "ann.yml")
    assert named in str(raised.value)
    assert "(from ann.yml)" in str(raised.value)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(BindError) as raised:
        from_data({"schema": 1, "mesh": "WAN", "generation": 0, "more": 1})
    keys = {problem.key for problem in raised.value.problems}
    assert {"mesh", "generation", "more", "public_key", "networks"} <= keys


@pytest.mark.parametrize("text", ["", "x" * 70000, "[" * 50000, "mesh: " + "[" * 50000])
def test_strange_texts(text: str) -> None:
    with pytest.raises(BindError) as raised:
        parse(text)
    assert len(str(raised.value)) < 3000


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    with pytest.raises(BindError):
        parse(text)
