# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.report import store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
REPORT = {"schema": 1, "run": {"playbook": "my site.yml"}}


def test_names_and_latest(tmp_path):
    path = store.write(tmp_path / "a" / "b", REPORT, "<p>", NOW, keep=20)
    assert path.name == "20260102T030405Z-my_site.html"
    assert (path.parent / "latest.html").readlink().name == path.name
    assert json.loads((path.parent / "latest.json").read_text()) == REPORT
    assert not [entry for entry in path.parent.iterdir() if entry.name.startswith(".")]


def test_same_second_gives_a_second_report(tmp_path):
    first = store.write(tmp_path, REPORT, "1", NOW, keep=20)
    second = store.write(tmp_path, REPORT, "2", NOW, keep=20)
    assert (first.read_text(), second.read_text()) == ("1", "2")


@pytest.mark.parametrize(("keep", "left"), [(0, 1), (2, 3), (-1, 5)])
def test_prune_keeps_the_newest_and_foreign_files(tmp_path, keep, left):
    foreign = [tmp_path / "notes.html", tmp_path / "20260102T030405Z-site.txt"]
    for path in foreign:
        path.write_text("mine")
    for minute in range(5):
        newest = store.write(tmp_path, REPORT, "p", NOW + timedelta(minutes=minute), keep)
    reports = [path for path in tmp_path.glob("2026*.html") if not path.is_symlink()]
    assert len(reports) == left == len(list(tmp_path.glob("2026*.json")))
    assert newest in reports and all(path.exists() for path in foreign)


def test_lone_surrogates_do_not_cost_the_report(tmp_path):
    assert store.write(tmp_path, REPORT, "bad \udc80", NOW, keep=1).read_text() == "bad \\udc80"
