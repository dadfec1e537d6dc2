# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole transactions on a small distribution: what is called, and what is left out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError, TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.packages import port as port_module
from ansible_collections.swarm.node.plugins.module_utils.packages.commands import run, run_whole
from ansible_collections.swarm.node.plugins.module_utils.packages.port import PackagesPort
from packages_fakes import Distribution, Node

# -- success


def test_one_call_installs_everything_and_a_second_run_does_nothing(
    node: Node, distribution: Distribution
) -> None:
    first = node.run("python3-psutil", "ethtool")
    assert [change.target for change in first.plan.changes] == ["libps", "python3-psutil", "ethtool"]
    assert distribution.changing_calls() == ["download", "install"]
    assert distribution.installed() == {"libps", "python3-psutil", "ethtool"}
    assert set(node.claims()) == {"package python3-psutil", "package ethtool"}
    assert first.writes > 0
    assert not node.journal()

    distribution.forget_calls()
    second = node.run("python3-psutil", "ethtool")
    assert (second.changed, second.writes) == (False, 0)
    assert [call[0] for call in distribution.calls()] == ["dpkg-query"]


def test_apt_is_called_as_a_machine_should_call_it(node: Node, distribution: Distribution) -> None:
    node.run("ethtool", lock_timeout=30)
    (install,) = [call for call in distribution.calls() if "-y" in call and "--download-only" not in call]
    assert install == [
        "apt-get", "-o", "DPkg::Lock::Timeout=30", "-q", "install", "-y", "--no-install-recommends",
        "--no-remove", "-o", "Dpkg::Options::=--force-confold", "ethtool",
    ]  # fmt: skip


@pytest.mark.parametrize("way", [lambda argv: run(argv, 10), run_whole])
def test_programs_ask_nothing_and_restart_nothing(way: Any) -> None:
    answer = way(
        ["/bin/sh", "-c", "echo $LC_ALL $DEBIAN_FRONTEND $NEEDRESTART_SUSPEND; cat; echo x >&2; exit 3"]
    )
    assert (answer.code, answer.out, answer.err) == (3, "C noninteractive 1\n", "x\n")


def test_programs_that_hang_or_are_missing() -> None:
    with pytest.raises(NodeError, match=r"sleep 5 did not end within 0.1 s"):
        run(["/bin/sleep", "5"], 0.1)
    for way in (lambda argv: run(argv, 1), run_whole):
        with pytest.raises(NodeError, match="no-such-program install cannot be run"):
            way(["/no-such-program", "install"])


def test_check_mode_only_reads(node: Node, distribution: Distribution, tmp_path: Path) -> None:
    outcome = node.run("python3-psutil", check=True)
    assert [change.target for change in outcome.plan.changes] == ["libps", "python3-psutil"]
    assert outcome.plan.details[0]["pending"] is True
    assert distribution.changing_calls() == []
    assert not (tmp_path / "state").exists()


def test_an_upgrade_by_others_is_no_deviation(node: Node, distribution: Distribution) -> None:
    node.run("ethtool")
    distribution.install("ethtool", "99")
    again = node.run("ethtool")
    assert (again.changed, again.writes) == (False, 0)


def test_release_leaves_the_package_and_happens_once(node: Node, distribution: Distribution) -> None:
    node.run("ethtool")
    distribution.forget_calls()
    released = node.run()
    assert [change.key for change in released.plan.changes] == ["record"]
    assert (node.claims(), node.journal()) == ({}, False)
    assert "ethtool" in distribution.installed()
    assert distribution.changing_calls() == []
    again = node.run()
    assert (again.changed, again.writes) == (False, 0)


def test_the_first_alternative_apt_has(node: Node, distribution: Distribution) -> None:
    node.run("no-such|ethtool|python3-psutil")
    assert distribution.installed() == {"ethtool"}
    assert node.run("no-such|ethtool|python3-psutil").changed is False


# -- guard rails


def test_a_forbidden_dependency_leaves_its_wish_out_and_the_others_in(
    node: Node, distribution: Distribution
) -> None:
    outcome = node.run("python3-pynvml", "ethtool")
    (wish,) = outcome.plan.unapplied
    assert (wish.target, wish.reason) == ("python3-pynvml", "unsupported")
    assert "install libnvidia-ml1 535.261-1 (forbidden by libnvidia-*)" in wish.detail
    assert distribution.installed() == {"ethtool"}
    distribution.forget_calls()
    again = node.run("python3-pynvml", "ethtool")
    assert (again.changed, again.writes, len(again.plan.unapplied)) == (False, 0, 1)
    assert distribution.changing_calls() == []


def test_the_same_package_is_installed_where_its_library_is_there(
    node: Node, distribution: Distribution
) -> None:
    distribution.install("libnvidia-ml1", "535.261-1")
    assert [change.target for change in node.run("python3-pynvml").plan.changes] == ["python3-pynvml"]


def test_nothing_is_removed_for_a_wish(node: Node, distribution: Distribution) -> None:
    outcome = node.run("nullmailer")
    assert "apt would remove postfix 3.7" in outcome.plan.unapplied[0].detail
    assert distribution.changing_calls() == []


def test_of_two_that_exclude_each_other_the_first_is_taken(node: Node, distribution: Distribution) -> None:
    outcome = node.run("duel-a", "duel-b", "ethtool")
    assert distribution.installed() == {"duel-a", "ethtool"}
    assert [wish.target for wish in outcome.plan.unapplied] == ["duel-b"]


def test_a_required_wish_that_is_refused_stops_everything(node: Node, distribution: Distribution) -> None:
    outcome = node.run("ethtool", "python3-pynvml", required=("python3-pynvml",))
    assert len(outcome.missing_required) == 1
    assert distribution.installed() == set()
    assert node.claims() == {}


def test_what_changed_since_the_plan_is_not_installed(
    node: Node, distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = PackagesPort.download

    def download_and_change(self: PackagesPort, names: Any) -> str:
        problem = download(self, names)
        repo = distribution.world["repo"]
        repo["ethtool"]["depends"] = ["libnvidia-ml1"]
        distribution.change(repo=repo)
        return problem

    monkeypatch.setattr(PackagesPort, "download", download_and_change)
    with pytest.raises(TransactionFailed, match="no longer what was planned") as error:
        node.run("ethtool")
    assert error.value.not_undone == []
    assert distribution.installed() == set()
    assert "install" not in distribution.changing_calls()


# -- package lists


@pytest.mark.parametrize(
    ("mode", "calls"),
    [
        ("auto", ["update", "download", "install"]),
        ("always", ["update", "download", "install"]),
        ("never", []),
    ],
)
def test_an_unknown_package(node: Node, distribution: Distribution, mode: str, calls: list[str]) -> None:
    distribution.change(fresh={"late": {"version": "1"}})
    outcome = node.run("late", update_cache=mode)
    assert distribution.changing_calls() == calls
    if mode == "never":
        assert "update_cache: never" in outcome.plan.unapplied[0].detail
    else:
        assert distribution.installed() == {"late"}
        assert "the package lists were updated" in outcome.plan.notes


def test_a_package_that_stays_unknown_updates_the_lists_once_an_hour(
    node: Node, distribution: Distribution, tmp_path: Path
) -> None:
    node.run("late")
    again = node.run("late")
    assert distribution.changing_calls() == ["update"]
    assert "less than an hour old" in again.plan.unapplied[0].detail
    stamp = tmp_path / "run" / "package_lists"
    an_hour_ago = time.time() - port_module.LISTS_FRESH - 1
    os.utime(stamp, (an_hour_ago, an_hour_ago))
    os.utime(node.sources, (an_hour_ago - 1, an_hour_ago - 1))
    node.run("late")
    assert distribution.changing_calls() == ["update"] * 2
    (node.sources / "contrib.sources").touch()
    os.utime(stamp, (time.time() - 10, time.time() - 10))
    node.run("late")
    assert distribution.changing_calls() == ["update"] * 3
    node.run("late", update_cache="always")
    assert distribution.changing_calls() == ["update"] * 4


@pytest.mark.parametrize("mode", ["auto", "always", "never"])
def test_check_mode_never_updates_the_lists(node: Node, distribution: Distribution, mode: str) -> None:
    distribution.change(fresh={"late": {"version": "1"}})
    outcome = node.run("late", check=True, update_cache=mode, required=("late",))
    assert distribution.changing_calls() == []
    assert "unknown package" in outcome.plan.unapplied[0].detail
    assert bool(outcome.missing_required) is (mode == "never")


def test_lists_are_left_alone_where_everything_is_there(node: Node, distribution: Distribution) -> None:
    distribution.install("ethtool")
    node.run("ethtool", update_cache="always")
    assert distribution.changing_calls() == []


@pytest.mark.parametrize("code", [0, 100])
def test_a_failed_update_is_said_and_the_others_go_on(
    node: Node, distribution: Distribution, code: int
) -> None:
    err = "W: Some index files failed to download. They have been ignored, or old ones used instead."
    distribution.change(faults={"update": {"code": code, "err": err}})
    outcome = node.run("late", "ethtool")
    assert distribution.installed() == {"ethtool"}
    assert "updating the lists failed" in outcome.plan.unapplied[0].detail


def test_an_old_list_is_updated_when_a_download_fails(node: Node, distribution: Distribution) -> None:
    distribution.change(
        fresh={"ethtool": {"version": "6.2"}},
        faults={"download": {"times": 1, "err": "E: Failed to fetch ethtool_6.1.deb  404  Not Found"}},
    )
    outcome = node.run("ethtool")
    assert distribution.changing_calls() == ["download", "update", "download", "install"]
    assert outcome.plan.after == {"package ethtool": "6.2"}


@pytest.mark.parametrize("mode", ["auto", "never"])
def test_a_download_that_keeps_failing_changes_nothing(
    node: Node, distribution: Distribution, mode: str
) -> None:
    distribution.change(faults={"download": {"err": "E: Failed to fetch x  404  Not Found"}})
    with pytest.raises(NodeError, match="nothing was changed: a package cannot be downloaded: Failed to"):
        node.run("ethtool", update_cache=mode)
    assert (distribution.installed(), node.claims(), node.journal()) == (set(), {}, False)


def test_new_lists_that_bring_a_forbidden_package_are_noticed(node: Node, distribution: Distribution) -> None:
    distribution.change(
        fresh={"ethtool": {"version": "7", "depends": ["libnvidia-ml1"]}},
        faults={"download": {"times": 1, "err": "E: Failed to fetch x  404  Not Found"}},
    )
    outcome = node.run("ethtool")
    assert "forbidden by libnvidia-*" in outcome.plan.unapplied[0].detail
    assert distribution.installed() == set()
