# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook verify as a whole: two members in network namespaces, with the real programs.

systemd is played by two scripts that only the modules see, in a mount namespace of their own.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import (
    Identity,
    Link,
    Member,
    Registry,
    Settings,
)

sys.path.append(str(Path(__file__).parents[1] / "module_utils" / "mesh_measure"))

from measure_world import PORT, World, why_not

WHY_NOT = why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "it can be tried")

PLAY = "- import_playbook: swarm.node.verify\n"

# Of one host: its network, its /run, and systemd as far as it is used.
PYTHON = """#!/bin/sh
export SHIM_STATE={state}
exec nsenter --net=/proc/{pid}/ns/net -- unshare -m --propagation private -- sh -c '
mount --bind {shims} /usr/local/sbin && mount --bind {run} /run && exec {python} "$@"' sh "$@"
"""
SYSTEMD_RUN = """#!/bin/sh
for word; do
    case "$word" in
        --unit=*) unit=${word#--unit=} ;;
        --property=RuntimeMaxSec=*) limit=${word##*=} ;;
        --*) ;;
        *) break ;;
    esac
    shift
done
setsid timeout -k 3 "$limit" "$@" >"$SHIM_STATE/$unit.log" 2>&1 &
echo $! >"$SHIM_STATE/$unit.pid"
"""
SYSTEMCTL = """#!/bin/sh
verb=$1
for unit; do :; done
pid=$(cat "$SHIM_STATE/$unit.pid" 2>/dev/null)
alive() { [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && ! grep -q "^State:.*Z" "/proc/$pid/status"; }
case "$verb" in
    is-active) alive || exit 3 ;;
    stop) if alive; then kill -TERM "$pid"; for i in $(seq 50); do alive || break; sleep 0.1; done; fi ;;
esac
"""


class Fleet:
    """An inventory of the two members, with their registry."""

    def __init__(self, base: Path, world: World, play: Callable[..., Any]) -> None:
        self.base, self.world, self._play = base, world, play
        shims = base / "shims"
        shims.mkdir()
        for name, text in (("systemd-run", SYSTEMD_RUN), ("systemctl", SYSTEMCTL)):
            self._script(shims / name, text)
        self.hosts: dict[str, dict[str, Any]] = {}
        for name, node in (("one", world.one), ("two", world.two)):
            state, run = world.root / f"{name}-state", world.root / f"{name}-run"
            for path in (state, run):
                path.mkdir()
            text = PYTHON.format(
                pid=node.space.process.pid, shims=shims, run=run, state=state, python=sys.executable
            )
            wrapper = self._script(world.root / f"{name}-python", text)
            self.hosts[name] = {
                "ansible_connection": "local",
                "ansible_python_interpreter": str(wrapper),
                "mesh_name": "wan",
            }

    def _script(self, path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path

    def files(self, **hosts: dict[str, Any]) -> dict[str, str]:
        members = {
            name: Member(name, number, region, endpoint=f"192.0.2.{number}", keys={1: _key(number)})
            for number, name, region in (
                (1, "one", "fra"),
                (65, "two", "ams"),
                (66, "three", "ams"),
                (67, "four", "ams"),
            )
        }
        pairs = [("one", "two"), ("one", "three"), ("three", "two")]
        links = {pair: Link(pair, (at, at), Identity((1, 1))) for at, pair in enumerate(pairs)}
        regions = {"fra": (0,), "ams": (1,)}
        registry = Registry("wan", Settings(("10.99.0.0/16",)), regions, members, links=links)
        every = {
            name: {**self.hosts.get(name, {}), **hosts.get(name, {})} for name in {**self.hosts, **hosts}
        }
        return {
            "pb/play.yml": PLAY,
            "inv/hosts.yml": yaml.safe_dump({"all": {"hosts": every}}),
            "inv/mesh/wan.yml": dump_registry(registry),
        }

    def run(self, *arguments: str, hosts: dict[str, Any] | None = None, **variables: Any) -> Any:
        given = {
            "verify_window": 10,
            "verify_latency_ms": 100,
            "verify_jitter_ms": 50,
            "verify_loss_percent": 1,
        }
        given |= {"verify_throughput_mbit": 20, "verify_install": False, "verify_port": PORT, **variables}
        return self._play(
            self.files(**(hosts or {})),
            "-e",
            json.dumps(given),
            *arguments,
            ANSIBLE_ALLOW_WORLD_READABLE_TMPFILES="1",
        )

    def reports(self) -> list[dict[str, Any]]:
        found = sorted((self.base / "reports" / "verify").glob("2*-verify.json"))
        return [json.loads(path.read_text()) for path in found]


def _key(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


@pytest.fixture
def fleet(tmp_path: Path, play: Callable[..., Any]) -> Iterator[Fleet]:
    world = World((1, 65))
    yield Fleet(tmp_path, world, play)
    world.close()


def nothing_is_left(fleet: Fleet) -> None:
    for name, node in (("one", fleet.world.one), ("two", fleet.world.two)):
        deadline = time.monotonic() + 5
        while node.space.programs() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert node.space.programs() == []
        assert list((fleet.world.root / f"{name}-run").iterdir()) == []


def test_two_members_are_measured_and_the_report_is_there(fleet: Fleet) -> None:
    answers = fleet.run()
    assert len(fleet.reports()) == 1, answers.output
    (body,) = fleet.reports()
    assert body["verdict"] == "met", answers.output
    assert [item["ends"] for item in body["pairs"]] == [["one", "two"]]
    (pair,) = body["pairs"]
    assert pair["tool"] == "irtt" and pair["latency"]["n"] > 500
    for way in pair["directions"]:
        assert 20 < way["throughput"]["value"] < 30 and way["loss"]["sent"] > 500
    assert body["run"]["partial"] and body["totals"]["members_of_mesh"] == 4
    assert "failed=0" in answers.output and "failed=1" not in answers.output
    # Three round trips for a node: up, go, down.
    calls = [task for task, host in answers.found if host == "two" and "this member" in task]
    assert len(calls) == 3
    assert (fleet.base / "reports" / "verify" / "latest.html").is_file()
    nothing_is_left(fleet)


def test_a_missed_target_fails_the_run_after_the_report(fleet: Fleet) -> None:
    chain = "add table inet wall; add chain inet wall in { type filter hook input priority 0; }"
    for node in (fleet.world.one, fleet.world.two):
        node.space.run("nft", chain)
        node.space.run("nft", f"add rule inet wall in udp dport {PORT} numgen inc mod 10 == 5 drop")
    answers = fleet.run("--limit", "one,two", verify_throughput="none")
    (body,) = fleet.reports()
    assert body["verdict"] == "missed" and body["totals"]["loss"]["missed"] >= 1
    assert "the mesh wan misses its targets (verify_fail_on: missed)" in " ".join(answers.output.split())
    assert "MISSED" in answers.output
    nothing_is_left(fleet)


def test_a_member_that_cannot_be_reached_is_named(fleet: Fleet) -> None:
    far = {"ansible_host": "127.0.0.1", "ansible_port": 1, "mesh_name": "wan", "ansible_ssh_retries": 0}
    pulls = {"mesh_name": "wan", "mesh_pull": True}
    misspelt = {"mesh_name": "wan", "mesh_prot": 7}
    hosts = {"three": far, "four": pulls, "five": misspelt}
    answers = fleet.run(hosts=hosts, verify_throughput="none")
    assert len(fleet.reports()) == 1, answers.output
    (body,) = fleet.reports()
    assert set(body["not_measured"]) == {"three", "four"}, answers.output
    assert "mesh_pull" in body["not_measured"]["four"]
    assert "mesh_prot" in answers.output
    verdicts = {tuple(item["ends"]): item["verdict"] for item in body["pairs"]}
    assert verdicts["one", "two"] == "met"
    assert verdicts["one", "three"] == verdicts["three", "two"] == "not_shown"
    assert body["verdict"] == "not_shown"
    nothing_is_left(fleet)


def test_a_check_says_what_it_would_send_and_sends_nothing(fleet: Fleet) -> None:
    answers = fleet.run("--check")
    assert fleet.reports() == []
    would = answers.ok("one", "swarm.node.verify : Start the servers of this member")["would"]
    assert would["bytes"] > 100000 and would["seconds"] > 10
    # What IPv6 says of itself is all there is.
    lines = fleet.world.one.space.run("cat", "/proc/net/dev").splitlines()
    (sent,) = [int(line.split()[9]) for line in lines if line.split()[0] == "wan-2:"]
    assert sent < 5000
    nothing_is_left(fleet)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"verify_window": 5}, ["verify_window: 5", "whole seconds from 10 to 3600", "extra vars"]),
        ({"verify_latancy_ms": 5}, ["verify_latancy_ms", "did you mean verify_latency_ms"]),
        ({"verify_between": {"fra mars": {"latency_ms": 1}}}, ["verify_between", "fra mars", "ams, fra"]),
        ({"mesh": "lan"}, ["mesh: lan is refused", "allowed: wan"]),
    ],
)
def test_nonsense_is_refused_before_anything_is_started(
    fleet: Fleet, variables: dict[str, Any], words: list[str]
) -> None:
    answers = fleet.run(**variables)
    said = " ".join(answers.output.split())
    assert [word for word in words if word not in said] == [], said
    assert fleet.reports() == []
    assert not any("Start the servers" in task for task, _host in answers.found)
    nothing_is_left(fleet)
