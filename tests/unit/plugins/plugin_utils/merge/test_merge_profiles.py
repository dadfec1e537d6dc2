# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile files: which are found, what is refused, and that errors name file and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.plugin_utils.merge import profiles

GOOD = """
name: site
version: {version}
kernel:
  thp: {{value: madvise, source: our own tests}}
  sysctl:
    vm.swappiness: {{value: 5, source: measured}}
"""


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return root


def refused(call) -> list[str]:
    with pytest.raises(BindError) as caught:
        call()
    return [str(problem) for problem in caught.value.problems]


def test_pinned_and_newest(tmp_path):
    for version in (1, 2, 10):
        write(tmp_path, f"site/{version}.yml", GOOD.format(version=version))
    assert profiles.load("site@1", "o", [tmp_path]).label == "site@1"
    assert profiles.load("site", "o", [tmp_path]).label == "site@10"
    found = profiles.load("site@2", "o", [tmp_path])
    assert found.values == {"kernel": {"thp": "madvise", "sysctl": {"vm.swappiness": 5}}}
    assert found.sources == {"kernel": {"thp": "our own tests", "sysctl": {"vm.swappiness": "measured"}}}


@pytest.mark.parametrize(
    "wish",
    ["site@3", "site@", "site@1@2", "site@01", "site@0", "site@-1", "site@²", "sit", "", "@1", "../site@1"],
)
def test_unknown_names_what_there_is(tmp_path, wish):
    write(tmp_path, "site/1.yml", GOOD.format(version=1))
    (problem,) = refused(lambda: profiles.load(wish, "host h", [tmp_path]))
    assert repr(wish) in problem and "host h" in problem
    assert "training@1" in problem and "site@1" in problem


def test_files_that_are_no_versions_are_passed_over(tmp_path):
    for name in ("site/notes.yml", "site/².yml", "site/01.yml", "site/1.yaml"):
        write(tmp_path, name, "no: profile")
    assert "site" not in profiles.available([tmp_path])


@pytest.mark.parametrize("name", ["training/2.yml", "training/1.yml"])
def test_a_shipped_name_is_taken(tmp_path, name):
    write(tmp_path, name, GOOD)
    (problem,) = refused(lambda: profiles.load("training@1", "o", [tmp_path]))
    assert "training" in problem and str(tmp_path) in problem and str(profiles.SHIPPED) in problem


def test_one_directory_by_two_ways_is_no_second_one(tmp_path):
    write(tmp_path / "real", "site/1.yml", GOOD.format(version=1))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    directories = [tmp_path / "real", tmp_path / "link", tmp_path / "link" / ".." / "real", profiles.SHIPPED]
    assert profiles.load("site@1", "o", directories).name == "site"


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("", "profile", "a dictionary"),
        ("- a", "profile", "a dictionary"),
        ("a: [", "node_profile", "a readable YAML file"),
        ("name: site\nversion: 1\nname: other", "node_profile", "'name' stands here twice"),
        ("{name: other, version: 1}", "profile", "name site and version 1"),
        ("{name: site, version: 2}", "profile", "name site and version 1"),
        ("{name: site, version: 1, kernel: 5}", "kernel", "a dictionary of settings"),
        ("{name: site, version: 1, kernel: {thp: always}}", "kernel.thp", "value and source"),
        ("{name: site, version: 1, kernel: {thp: {}}}", "kernel.thp", "value and source"),
        ("{name: site, version: 1, kernel: {thp: {value: always}}}", "kernel.thp", "value and source"),
        (
            "{name: site, version: 1, kernel: {thp: {value: a, source: b, why: c}}}",
            "kernel.thp",
            "value and source",
        ),
        ("{name: site, version: 1, kernel: {thp: {value: a, source: }}}", "kernel.thp.source", "a text"),
        ("{name: site, version: 1, kernel: {thp: {value: a, source: ' '}}}", "kernel.thp.source", "a text"),
        (
            "{name: site, version: 1, kernel: {sysctl: {vm.swappiness: 5}}}",
            "kernel.sysctl.vm.swappiness",
            "value and source",
        ),
        (
            "{name: site, version: 1, kernel: {sysctl: {vm.swappiness: {value: 5}}}}",
            "kernel.sysctl.vm.swappiness",
            "value and source",
        ),
    ],
)
def test_malformed_files_name_file_and_key(tmp_path, text, key, hint):
    write(tmp_path, "site/1.yml", text)
    (problem,) = refused(lambda: profiles.load("site@1", "o", [tmp_path]))
    assert problem.startswith(f"{key}: ") and hint in problem and str(tmp_path / "site" / "1.yml") in problem


def test_a_sysctl_twice_in_one_profile_is_refused(tmp_path):
    text = GOOD.format(version=1) + "    vm.swappiness: {value: 6, source: measured}\n"
    (problem,) = refused(lambda: profiles.load("site", "o", [write(tmp_path, "site/1.yml", text)]))
    assert "'vm.swappiness' stands here twice" in problem and "line 8" in problem


def test_unreadable_text(tmp_path):
    path = write(tmp_path, "site/1.yml", "") / "site" / "1.yml"
    path.write_bytes(b"name: \xff")
    (problem,) = refused(lambda: profiles.load("site@1", "o", [tmp_path]))
    assert str(path) in problem


def test_every_mistake_of_a_file_at_once(tmp_path):
    text = "{name: x, version: 1, kernel: {thp: always, manage: {value: a}}, gpu: 5}"
    found = refused(lambda: profiles.load("site@1", "o", [write(tmp_path, "site/1.yml", text)]))
    assert [problem.split(":")[0] for problem in found] == ["profile", "kernel.thp", "kernel.manage", "gpu"]


def test_a_map_may_have_one_source(tmp_path):
    text = "{name: site, version: 1, kernel: {sysctl: {value: {vm.swappiness: 5}, source: a book}}}"
    found = profiles.load("site", "o", [write(tmp_path, "site/1.yml", text)])
    assert found.values["kernel"]["sysctl"] == {"vm.swappiness": 5}
    assert found.sources["kernel"]["sysctl"] == "a book"
