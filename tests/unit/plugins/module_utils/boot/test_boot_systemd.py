# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot part and systemd: units that are masked, deleted or stopped, reloads, and what a reload costs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.boot.paths import (
    SERVICE,
    TIMER,
    WATCH,
    links,
    unit_path,
)
from boot_host import ALL_FILES, Host, keys


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_reload_left_over_is_made_up_for(host: Host) -> None:
    host.run()
    loaded = host.systemd / f"loaded.{SERVICE}"
    loaded.write_text("an older one\n")
    assert keys(host.run()) == ["systemd.daemon_reload"] and host.run().writes == 0


def test_no_cycle_with_a_manager_that_runs_in_a_container(host: Host) -> None:
    """systemd would break the cycle by leaving out one of the units of this node at boot."""
    unit = host.at(unit_path("nvidia-dcgm.service"))
    unit.parent.mkdir(parents=True)
    unit.write_text("[Unit]\nAfter=network-online.target docker.service\n")
    host.run()
    (after,) = re.findall("^After=(.*)$", host.at(unit_path(SERVICE)).read_text(), re.MULTILINE)
    assert "nvidia-dcgm.service" not in after and "nvidia-persistenced.service" in after
    assert host.run().writes == 0
    unit.write_text("[Unit]\nAfter=network-online.target\n")
    assert host.run().changed and "nvidia-dcgm.service" in host.at(unit_path(SERVICE)).read_text()


@pytest.mark.parametrize("name", [SERVICE, WATCH])
def test_a_unit_that_was_deleted_needs_a_reload(host: Host, name: str) -> None:
    """systemd remembers that a unit another one names was not there, and then does not start the timer."""
    host.run()
    host.at(unit_path(name)).unlink()
    (host.systemd / f"loaded.{name}").unlink()
    host.asked()
    assert keys(host.run()) == ["file", "systemd.daemon_reload"] and host.asked() == ["daemon-reload"]


def test_disabled_or_stopped_by_hand(host: Host) -> None:
    host.run()
    host.at(links(SERVICE)[0]).unlink()
    (host.systemd / f"active.{TIMER}").write_text("failed\n")
    done = host.run()
    assert keys(done) == ["boot.enabled", "boot.timer"]
    assert (done.plan.changes[1].before, done.plan.changes[1].after) == ("failed", "active")
    assert os.path.lexists(host.at(links(SERVICE)[0]))


def test_without_systemd_it_says_so(tmp_path: Path) -> None:
    host = Host(tmp_path, systemd=False)
    done = host.run()
    (wish,) = done.plan.unapplied
    assert (wish.key, wish.reason) == ("boot.enabled", "unsupported") and "after a reboot" in wish.detail
    assert host.files() == {} and not done.changed


def test_a_masked_unit_stays_masked(host: Host) -> None:
    place = host.at(unit_path(TIMER))
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/null")
    done = host.run()
    (wish,) = done.plan.unapplied
    assert (wish.reason, wish.target) == ("shadowed_by", TIMER) and "unmask" in wish.detail
    assert str(place.readlink()) == "/dev/null" and host.asked() == []
    host.run((), wanted=False)
    assert str(place.readlink()) == "/dev/null"


@pytest.mark.parametrize("masked", [SERVICE, WATCH])
def test_no_timer_where_what_it_starts_is_masked(host: Host, masked: str) -> None:
    """systemd would refuse to start it, and every look of the watch would fail."""
    place = host.at(unit_path(masked))
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/null")
    done = host.run()
    assert {wish.reason for wish in done.plan.unapplied} == {"shadowed_by"}
    assert {wish.target for wish in done.plan.unapplied} == {masked, TIMER}
    assert masked in done.plan.unapplied[-1].detail
    assert host.asked() == [] and not set(links(TIMER)) & set(host.files())
    assert host.run().writes == 0


def test_an_old_systemd_needs_a_reload_to_see_new_files(host: Host) -> None:
    (host.systemd / "version").write_text("systemd 245 (245.4-4ubuntu3)\n")
    (host.systemd / "forgetful").touch()
    assert "systemd.daemon_reload" in keys(host.run())
    assert host.asked() == ["daemon-reload", f"start {TIMER}"]


def container(host: Host, device: str = "/dev/nvidia0") -> None:
    process = host.root / "proc/4242"
    (process / "fd").mkdir(parents=True)
    (process / "cgroup").write_text("0::/system.slice/docker-abc.scope/init\n")
    (process / "fd/7").symlink_to(device)


def test_a_reload_that_costs_containers_their_gpus_is_left_out(host: Host) -> None:
    host.run()
    container(host)
    host.asked()
    new = {"python": "/opt/python3"}
    done = host.run(**new)
    (wish,) = done.plan.unapplied
    assert (wish.key, wish.reason) == ("systemd.daemon_reload", "needs_more_disruption")
    assert "/opt/python3" in host.at(unit_path(SERVICE)).read_text(), "a boot reads the new file"
    assert host.asked() == [] and not host.run(**new).changed
    allowed = host.run(max_disruption="node_jobs", **new)
    assert keys(allowed) == ["systemd.daemon_reload"] and "docker-abc.scope" in allowed.plan.changes[0].why


@pytest.mark.parametrize("devices", ["DeviceAllow=/dev/nvidia0 rw", "DeviceAllow=/dev/char/195:0 rwm"])
def test_containers_whose_gpus_systemd_knows_of_keep_them(host: Host, devices: str) -> None:
    host.run()
    container(host)
    (host.systemd / "devices").write_text(f"{devices}\n")
    assert host.run(python="/opt/python3").plan.changes[-1].disruption == "none"


def test_a_container_without_gpus_does_not_count(host: Host) -> None:
    host.run()
    container(host, "/dev/null")
    assert host.run(python="/opt/python3").plan.changes[-1].disruption == "none"


def test_a_timer_that_cannot_start_before_a_reload_is_no_failure(host: Host) -> None:
    (host.systemd / "version").write_text("systemd 245\n")
    (host.systemd / "forgetful").touch()
    container(host)
    done = host.run()
    assert {wish.key: wish.reason for wish in done.plan.unapplied} == {
        "systemd.daemon_reload": "needs_more_disruption",
        "boot.timer": "unsupported",
    }
    assert set(host.files()) >= ALL_FILES
