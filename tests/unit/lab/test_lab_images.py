# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of root file systems: keys follow content, a failed build leaves nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import images, spec


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "swarm.node"


def test_borders_between_parts_count() -> None:
    assert images.digest([b"ab", b"c"]) != images.digest([b"a", b"bc"])
    assert images.digest([b"ab", b"c"]) == images.digest([b"ab", b"c"])


@pytest.mark.parametrize("change", ["content", "mode", "name"])
def test_a_changed_file_changes_the_key(tmp_path: Path, change: str) -> None:
    file = tmp_path / "boot"
    file.write_text("one", encoding="utf-8")
    before = images.digest(images.tree_parts(tmp_path))
    if change == "content":
        file.write_text("two", encoding="utf-8")
    elif change == "mode":
        file.chmod(0o755)
    else:
        file.rename(tmp_path / "start")
    assert images.digest(images.tree_parts(tmp_path)) != before


def test_suites_have_keys_of_their_own() -> None:
    assert len({images.root_key(suite) for suite in spec.SUITES}) == len(spec.SUITES)


def test_built_once_and_the_long_unused_go(cache: Path) -> None:
    built: list[Path] = []

    def build(output: Path) -> None:
        built.append(output)
        output.write_text("x", encoding="utf-8")

    old, recent = (images.cached("root-a", key, ".tar", build) for key in "12")
    other = images.cached("root-b", "1", ".tar", build)
    for path in (old, other):
        os.utime(path, (0, 0))
    new = images.cached("root-a", "3", ".tar", build)
    assert images.cached("root-a", "3", ".tar", build) == new
    assert len(built) == 4
    assert [path.exists() for path in (old, recent, other, new)] == [False, True, True, True]


def test_a_failed_build_leaves_no_file(cache: Path) -> None:
    def build(output: Path) -> None:
        output.write_text("half", encoding="utf-8")
        raise RuntimeError("full")

    with pytest.raises(RuntimeError):
        images.cached("root-a", "1", ".tar", build)
    assert [path.name for path in cache.iterdir()] == ["root-a.lock"]


def test_the_image_has_nothing_that_the_roles_install() -> None:
    assert not set(spec.PACKAGES) & set(spec.REPOSITORY_PACKAGES)
