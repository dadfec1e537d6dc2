# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that runs in a guest as long as a trial, and this side of it: here without a guest."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.routing.vm import agents, scene
from benchmarks.routing.vm.agents import Agent
from benchmarks.routing.vm.scene import GuestWatch
from lab.errors import LabError


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """The agent itself, as a guest gets it; with a network of its own where that is allowed."""
    program = tmp_path / "agent.pyz"
    program.write_bytes(agents.program())
    apart = ["unshare", "--net"] if os.geteuid() == 0 else []
    made = Agent("here", [*apart, sys.executable, "-I", str(program)])
    yield made
    made.close()


def test_the_agent_runs_programs_and_says_when(agent: Agent, tmp_path: Path) -> None:
    before = time.time()
    found = agent.ask("run", words=["cat"], data="text")
    assert (found["code"], found["out"]) == (0, "text")
    assert before - 1 < found["begin"] <= found["end"] < time.time() + 1
    with pytest.raises(LabError, match="here: false returned 1"):
        agent.run(["false"])
    with pytest.raises(LabError, match="FileNotFoundError"):
        agent.run([str(tmp_path / "nothing")])
    with pytest.raises(LabError, match="TimeoutExpired"):
        agent.run(["sleep", "5"], timeout=0.05)


def test_the_agent_reads_on_in_what_a_program_writes(agent: Agent, tmp_path: Path) -> None:
    file = str(tmp_path / "out")
    words = ["sh", "-c", "echo one; read line; echo two; exec sleep 60"]
    child = agent.ask("start", words=words, file=file)["child"]
    deadline = time.monotonic() + 10
    while "two" not in agent.ask("read", file=file, offset=0)["text"]:
        assert time.monotonic() < deadline
    found = agent.ask("read", file=file, offset=4)
    assert (found["text"], found["offset"]) == ("two\n", 8)
    assert agent.ask("wait", child=child, timeout=0.01)["code"] is None
    assert agent.ask("end", child=child)["code"] != 0
    with pytest.raises(subprocess.TimeoutExpired):
        fake = SimpleNamespace(ask=lambda *_, **__: {"code": None})
        scene.Process(cast(Any, fake), 0).wait(0.1)


def test_clocks_are_compared(agent: Agent) -> None:
    agent.synchronize()
    assert 0 < agent.skew < 0.5
    assert abs(agent.here(time.time()) - time.monotonic()) < agent.skew + 0.01
    assert agent.ask("late")["late"] >= 0


@pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root")
def test_routes_are_watched(agent: Agent) -> None:
    agent.synchronize()
    agent.shell("ip link set lo up; ip link add veth0 type veth peer name veth1; ip link set veth0 up")
    agent.shell("ip link set veth1 up; ip route add 10.99.0.65/32 dev lo proto 42")
    watch = GuestWatch(agent, "10.99.0.65")
    assert watch.device == "lo"
    began = time.monotonic()
    agent.shell("ip route replace 10.99.0.65/32 dev veth0 proto 42")
    agent.shell(
        "ip route add 10.99.0.66/32 dev veth0 proto 42; ip route add 10.99.0.65/32 dev lo metric 4000"
    )
    agent.shell("ip route del 10.99.0.65/32 dev veth0 proto 42")
    deadline = time.monotonic() + 10
    while watch.device is not None:
        assert time.monotonic() < deadline, watch.changes
        time.sleep(0.01)
    assert [change.device for change in watch.changes] == ["lo", "veth0", None]
    (move,) = watch.moves(0)
    assert began - 0.5 < move.time < time.monotonic()


def test_an_agent_that_is_not_there_is_named() -> None:
    gone = Agent("vm-9", [sys.executable, "-c", "raise SystemExit('no such guest')"])
    # Until it has ended it may still be written to.
    gone._process.wait(20)
    with pytest.raises(LabError, match=r"vm-9: .*no such guest"):
        gone.ask("clock")
    gone.close()
