# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tuned's files: which profile is active, and its sections in the order in which they count."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.tuned import (
    ALIVE,
    DIRECTORIES,
    active_profile,
    main_setting,
    sections,
)

ACTIVE = "/etc/tuned/active_profile"


def profiles(**texts):
    """`read` of a node with these profiles in the last directory, by name."""
    return {f"{DIRECTORIES[-1]}/{name}/tuned.conf": text for name, text in texts.items()}


@pytest.mark.parametrize("alive", ALIVE)
def test_a_profile_is_active_where_tuned_runs_or_will(alive):
    assert active_profile({ACTIVE: "one two\n", alive: ""}.get) == "one two"
    assert active_profile({ACTIVE: "\n", alive: ""}.get) == active_profile({alive: ""}.get) == ""


def test_the_file_stays_when_tuned_is_switched_off():
    assert active_profile({ACTIVE: "one\n"}.get) == ""


def test_what_is_included_comes_first_and_several_profiles_one_after_another():
    read = profiles(
        one="[main]\ninclude=base, other\n[net]\na=1\n",
        base="[net]\na=2\nb\n",
        other="[vm]\nc=3\n",
        two="[x]\n",
    ).get
    found = [item for item in sections(read, "one two") if item[0] != "main"]
    assert found == [("net", {"a": "2", "b": None}), ("vm", {"c": "3"}), ("net", {"a": "1"}), ("x", {})]


def test_an_operators_own_file_goes_before_the_distributions():
    files = profiles(one="[net]\na=1\n")
    files[f"{DIRECTORIES[0]}/one/tuned.conf"] = "[net]\na=2\n"
    assert list(sections(files.get, "one")) == [("net", {"a": "2"})]


def test_profiles_that_include_each_other_end_and_nonsense_has_nothing():
    read = profiles(
        one="[main]\ninclude=two\n", two="[main]\ninclude=one\n[net]\n", bad="no section at all"
    ).get
    assert [name for name, _options in sections(read, "one")] == ["main", "net", "main"]
    assert list(sections(read, "bad missing")) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("reapply_sysctl = Yes\n", "yes"),
        ("# reapply_sysctl = 1\nreapply_sysctl=0\nreapply_sysctl=1\n", "0"),
        ("reapply_sysctls=1\n", None),
        ("reapply_sysctl\n", None),
        (None, None),
    ],
)
def test_what_the_main_file_says(text, said):
    assert main_setting({"/etc/tuned/tuned-main.conf": text}.get, "reapply_sysctl") == said
