# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot part in the engine: there, the same, newer, edited, gone, and never half."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.boot.owners import Owner
from ansible_collections.swarm.node.plugins.module_utils.boot.part import BootPart
from ansible_collections.swarm.node.plugins.module_utils.boot.paths import (
    PROGRAM,
    SERVICE,
    TIMER,
    links,
    owner_path,
    unit_path,
)
from ansible_collections.swarm.node.plugins.module_utils.core import files
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.core.runner import diff_of
from boot_host import ALL_FILES, ALL_LINKS, Host, keys
from stepping import Steps, kill


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_the_first_installation(host: Host) -> None:
    seen = host.run(check=True)
    assert host.files() == {} and host.asked() == []
    done = host.run()
    assert done.plan.digest == seen.plan.digest
    assert set(host.files()) == ALL_FILES | ALL_LINKS
    assert keys(done)[:-3] == ["file"] * 6 and keys(done)[-3:] == [
        "boot.enabled",
        "boot.enabled",
        "boot.timer",
    ]
    # systemd finds a unit it has never seen by itself: no daemon-reload, which could cost GPUs.
    assert host.asked() == [f"start {TIMER}"]
    assert host.at(PROGRAM).stat().st_mode & 0o777 == 0o755
    assert host.at(unit_path(SERVICE)).stat().st_mode & 0o777 == 0o644
    assert str(host.at(links(SERVICE)[1]).readlink()) == unit_path(SERVICE)


def test_a_second_run_writes_nothing(host: Host) -> None:
    host.run()
    host.asked()
    again = host.run()
    assert (again.changed, again.writes, host.asked()) == (False, 0, [])


@pytest.mark.parametrize("claims", [(), ("gpu.ecc GPU-1",), ("file /etc/nccl.conf",)])
def test_without_anything_volatile_on_record_there_is_no_unit(host: Host, claims: tuple[str, ...]) -> None:
    host.run(claims)
    assert host.files() == {} and host.asked() == []


def test_a_node_where_nothing_of_ours_is_wanted_is_not_even_asked(host: Host) -> None:
    host.run((), wanted=False)
    assert not (host.systemd / "log").exists()


def test_a_node_without_gpus_is_not_asked_either(host: Host) -> None:
    shutil.rmtree(host.root / "sys")
    host.run(())
    assert not (host.systemd / "log").exists()


def test_a_newer_version_replaces_its_files_and_reloads(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run()
    host.asked()
    done = host.run(python="/opt/python/bin/python3")
    assert keys(done) == ["file", "file", "systemd.daemon_reload"]
    assert done.plan.changes[-1].disruption == "none" and host.asked() == ["daemon-reload"]
    assert not list(host.base.glob("state/edited/*")), "nobody has edited the old version"
    assert host.run(python="/opt/python/bin/python3").writes == 0


def test_an_edited_file_is_put_right_and_kept(host: Host) -> None:
    host.run()
    text = host.at(unit_path(TIMER)).read_text()
    host.at(unit_path(TIMER)).write_text(text.replace("OnActiveSec=60", "OnActiveSec=5"))
    done = host.run()
    assert [change.why for change in done.plan.changes if change.key == "file"] == ["edited by hand"]
    assert host.at(unit_path(TIMER)).read_text() == text
    (kept,) = host.base.glob("state/edited/*")
    assert "OnActiveSec=5" in kept.read_text()


def test_removal_leaves_nothing(host: Host) -> None:
    host.run()
    (host.systemd / f"active.{SERVICE}").write_text("failed\n")
    host.asked()
    done = host.run((), wanted=False)
    assert host.files() == {}
    assert host.asked()[:2] == [f"stop {TIMER}", f"reset-failed {TIMER}"] and f"stop {SERVICE}" in keys_of(
        done
    )
    for gone in ("usr/local/lib/swarm_node", "etc/swarm_node"):
        assert not (host.root / gone).exists()
    assert (host.root / "etc/systemd/system/multi-user.target.wants").exists(), "a directory of systemd's"
    assert host.run((), wanted=False).writes == 0


def keys_of(outcome: Any) -> list[str]:
    return [f"{c.key.replace('boot.service', 'stop')} {c.target}" for c in outcome.plan.changes]


def test_the_service_ends_before_its_file_goes(host: Host) -> None:
    host.run()
    (host.systemd / f"active.{SERVICE}").write_text("activating\n")
    names = keys_of(host.run((), wanted=False))
    assert names.index(f"stop {SERVICE}") < names.index(f"file {unit_path(SERVICE)}")
    assert names.index(f"file {unit_path(SERVICE)}") < names.index(f"file {PROGRAM}")


def test_two_owners_share_the_unit(host: Host) -> None:
    host.run()
    second = host.run(owner=Owner("batch", manage="manage"))
    assert [change.target for change in second.plan.changes] == [owner_path("batch")]
    first_gone = host.run((), wanted=False)
    assert [change.target for change in first_gone.plan.changes] == [owner_path("gpu")]
    assert unit_path(SERVICE) in host.files()
    host.run((), owner=Owner("batch", manage="manage"), wanted=False)
    assert host.files() == {}


def test_a_read_only_node_is_told_of_the_way_out(host: Host) -> None:
    def patch(part: BootPart) -> None:
        def apply(change: Any) -> None:
            raise OSError(errno.EROFS, "Read-only file system", change.target)

        part.files.apply = apply

    def patch_port(part: BootPart) -> None:
        patch(part.port)

    with pytest.raises(TransactionFailed, match=r"Read-only file system: .*gpu_boot: false"):
        host.run(patch=patch_port)


@pytest.mark.parametrize("word", ["start", "daemon-reload"])
def test_what_fails_is_undone(host: Host, word: str) -> None:
    host.run()
    before = host.files()
    (host.systemd / f"active.{TIMER}").unlink()
    (host.systemd / "fail").write_text(word)
    host.asked()
    with pytest.raises(TransactionFailed, match="told to fail"):
        host.run(python="/opt/python3")
    assert host.files() == before
    assert host.asked()[-1] == "daemon-reload", "systemd must not go on with a file that is gone"
    (host.systemd / "fail").unlink()
    assert not (host.base / "state/journal/gpu.json").exists() or word == "daemon-reload"
    assert host.run(python="/opt/python3").changed and host.run(python="/opt/python3").writes == 0


def test_a_failed_first_installation_leaves_nothing(host: Host) -> None:
    (host.systemd / "fail").write_text("start")
    with pytest.raises(TransactionFailed, match="every change of this run was undone"):
        host.run()
    assert host.files() == {}


def test_a_failed_removal_puts_everything_back(host: Host) -> None:
    host.run()
    before = host.files()

    def patch(part: BootPart) -> None:
        inner = part.port.apply

        def apply(change: Any) -> None:
            if change.target == PROGRAM:
                raise OSError("the disk is full")
            inner(change)

        part.port.apply = apply

    host.asked()
    with pytest.raises(TransactionFailed, match="the disk is full"):
        host.run((), wanted=False, patch=patch)
    assert host.files() == before and host.asked()[-1] == f"start {TIMER}"


def killed_at(step: int, work: Callable[[], Any]) -> bool:
    """Runs `work` in a fork that is killed at its step-th write. False: it made fewer."""
    pid = os.fork()
    if pid == 0:
        steps = Steps(step, kill(signal.SIGKILL))
        steps.watch(files, "write_whole", "remove")
        steps.watch(Path, "symlink_to", "unlink")
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.mark.faults
@pytest.mark.parametrize("removal", [False, True])
def test_killed_at_each_write(tmp_path: Path, removal: bool) -> None:
    wish: dict[str, Any] = {"claims": (), "wanted": False} if removal else {}
    for step in range(1, 60):
        host = Host(tmp_path / str(step))
        if removal:
            host.run()
        if not killed_at(step, partial(host.run, **wish)):
            assert step > 10
            return
        for text in host.files().values():
            assert text, f"step {step}: an empty file"
        host.run(**wish)
        assert set(host.files()) == (set() if removal else ALL_FILES | ALL_LINKS), step
        assert host.run(**wish).writes == 0, step
    pytest.fail("still writing")


def test_the_diff_has_units_in_full_and_not_the_program(host: Host) -> None:
    diff = diff_of(host.run(check=True))["after"]
    assert "ExecStart=/usr/bin/python3 -I" in diff and "characters)" in diff and len(diff) < 10_000
