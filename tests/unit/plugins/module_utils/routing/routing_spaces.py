# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes with a real babeld each, in network namespaces: files and commands are those that the layer makes.

A (1) and B (2) are leaves, C (3) and D (4) relays; all are linked, by tunnels that are wires.
There is no systemd in a namespace, so what the unit says is run by hand.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import module_runner
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import share_path
from ansible_collections.swarm.node.plugins.module_utils.mesh.render import share_text
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share
from ansible_collections.swarm.node.plugins.module_utils.routing.filter import filter_text
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import (
    PROGRAM,
    RUN,
    conf_path,
    filter_path,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.program import program_text
from ansible_collections.swarm.node.plugins.module_utils.routing.render import conf
from ansible_collections.swarm.node.plugins.module_utils.routing.settings import Wish
from ansible_collections.swarm.node.plugins.module_utils.routing.units import daemon_service
from routing_cases import share, tunnel

from lab.wires import Space, Wires

A, B, C, D = 1, 2, 3, 4
RELAYS = (C, D)
LINKS = {(A, B): 10.0, (A, C): 10.0, (B, C): 10.0, (A, D): 60.0, (B, D): 60.0, (C, D): 50.0}
PREFIX = "10.99.0.0/16"


def share_of(number: int, timers_links: dict[tuple[int, int], float]) -> Share:
    near = sorted({a + b - number for a, b in timers_links if number in (a, b)})
    tunnels = [tunnel(other, transit=other in RELAYS) for other in near]
    relay = number in RELAYS
    rank = RELAYS.index(number) if relay else 0
    return share(*tunnels, number=number, transit=relay, rank=rank)


class Node:
    """One namespace. `root` has its /etc and /usr; its /run is that of the namespace alone."""

    def __init__(
        self,
        number: int,
        base: Path,
        links: dict[tuple[int, int], float],
        timers: str,
        given: Share | None = None,
        babeld: Sequence[str] = (),
    ) -> None:
        """given: its share, where it is not that of the four; babeld: another than the host's"""
        self.number = number
        self.babeld = list(babeld)
        self.root = base / str(number)
        self.root.mkdir()
        (self.root / "run").symlink_to("/run")
        (self.root / "proc").symlink_to("/proc")
        (self.root / "sys").symlink_to("/sys")
        self.timers = timers
        self.space = Space(f"node {number}", private=[RUN, "/run/swarm_node"])
        for key in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
            self.space.set(key, 1)
        for key in ("all", "default"):
            self.space.set(f"net/ipv4/conf/{key}/rp_filter", 0)
        self.space.set("net/ipv6/conf/default/addr_gen_mode", 1)
        self.space.run(["ip", "route", "add", "unreachable", PREFIX, "metric", "4100"])
        self.service = daemon_service("python", timers)
        self.give(given or share_of(number, links))
        self.write(PROGRAM, program_text())
        self.daemon: subprocess.Popen[bytes] | None = None
        self.recorder: subprocess.Popen[bytes] | None = None
        self.log = base / f"{number}.log"

    def give(self, share: Share) -> None:
        """Its files are those of this share from now on."""
        self.share = share
        self.wish = Wish(share, timers=self.timers)
        self.write(share_path("wan"), share_text(share))
        self.write(conf_path("wan"), conf(self.wish, "x"))
        self.write(filter_path("wan"), filter_text(self.wish))

    @property
    def address(self) -> str:
        return f"10.99.0.{self.number}"

    def write(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8", errors="surrogateescape")

    def program(self, command: str) -> list[str]:
        return [
            sys.executable,
            "-I",
            str(self.root / PROGRAM.lstrip("/")),
            command,
            "wan",
            "--root",
            str(self.root),
        ]

    def start(self) -> None:
        """What the unit says, in its order. Raises LabError where it does not come up."""
        self.space.run(["mkdir", "-p", f"{RUN}/wan"])
        self.space.run(self.program("prepare"))
        words = re.findall(r"^ExecStart=(.*)$", self.service, re.MULTILINE)[0].replace("%i", "wan").split()
        words = ["" if word == "''" else word for word in words]
        words[:1] = self.babeld or words[:1]
        with self.log.open("ab") as log:
            self.daemon = self.space.start(words, log)
        before_others(self.daemon.pid)

    def record(self) -> None:
        self.recorder = self.space.start(self.program("record"))

    def end(self, kind: signal.Signals = signal.SIGTERM) -> None:
        assert self.daemon is not None
        self.daemon.send_signal(kind)
        self.daemon.wait(10)
        # As the unit does, however the daemon ended.
        assert "ExecStopPost=python -I" in self.service
        self.space.run(self.program("clear"))

    def module(self, name: str, **parameters: Any) -> dict[str, Any]:
        """The module's answer, inside of the namespace."""
        runner = Path(module_runner.__file__)
        paths = ":".join(path for path in sys.path if path)
        words = ["env", f"PYTHONPATH={paths}", sys.executable, str(runner), name]
        made = {"root": str(self.root), **parameters}
        command = ["sh", "-c", '"$@" || true', "x", *words, json.dumps(made)]
        answer: dict[str, Any] = json.loads(self.space.run(command, timeout=60).splitlines()[-1])
        return answer

    def info(self, listen: float = 0.0) -> dict[str, Any]:
        answer = self.module("routing_info", listen=listen)
        assert not answer.get("failed") and answer["unreadable"] == [], answer
        return dict(answer["meshes"]["wan"])

    def via(self, number: int) -> str:
        """The device that the kernel sends to a member by."""
        out = self.space.run(["sh", "-c", f"ip route get 10.99.0.{number} || true"])
        found = re.search(r" dev (\S+)", out)
        return found[1] if found else ""


class Mesh:
    """All nodes, joined. Close it."""

    def __init__(
        self, base: Path, links: dict[tuple[int, int], float] = LINKS, timers: str = "small"
    ) -> None:
        self.links = links
        self.wires = Wires(1)
        before_others(self.wires.pid)
        self.nodes: dict[int, Node] = {}
        try:
            for number in sorted({number for pair in links for number in pair}):
                self.nodes[number] = self.node(number, base, timers)
            for pair, rtt in links.items():
                self._link(pair, rtt)
        except BaseException:
            self.close()
            raise

    def node(self, number: int, base: Path, timers: str) -> Node:
        return Node(number, base, self.links, timers)

    def _link(self, pair: tuple[int, int], rtt: float) -> None:
        ends = [(self.nodes[here], f"wan-{there}") for here, there in (pair, pair[::-1])]
        first, second = [(node.space, device) for node, device in ends]
        self.wires.add(name(pair), first, second)
        for node, device in ends:
            node.space.run(["ip", "address", "add", f"{node.address}/32", "dev", device])
            for address in (f"fd5e:7a11:9c3d::{node.number:x}/128", f"fe80::{node.number:x}/64"):
                node.space.run(["ip", "address", "add", address, "dev", device, "nodad"])
            node.space.run(["ip", "link", "set", device, "up"])
        self.wires.set(name(pair), delay=rtt / 2)
        for (node, device), other in zip(ends, pair[::-1]):
            self.planned(node, device, other)

    def planned(self, node: Node, device: str, other: int) -> None:
        """The mesh layer's own route, to the neighbour."""
        words = ["dev", device, "metric", "4000", "src", node.address]
        node.space.run(["ip", "route", "add", f"10.99.0.{other}/32", *words])

    def up(self, pair: tuple[int, int], there: bool) -> None:
        self.wires.set(name(pair), up=int(there))

    def start(self) -> None:
        for node in self.nodes.values():
            node.start()
            node.record()

    def close(self) -> None:
        self.wires.close()
        for node in self.nodes.values():
            node.space.close()


def before_others(pid: int) -> None:
    """On a machine full of other work hellos would come late, and every link look bad."""
    os.setpriority(os.PRIO_PROCESS, pid, -15)


def name(pair: tuple[int, int]) -> str:
    return f"{pair[0]}-{pair[1]}"


def until(condition: Callable[[], Any], patience: float, why: Callable[[], str] = lambda: "") -> float:
    """Seconds until it was so; fails after `patience`."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < patience, f"it did not happen in time: {why()}"
        time.sleep(0.1)
    return time.monotonic() - start


__all__ = ["A", "B", "C", "D", "Mesh", "Node", "replace", "until"]
