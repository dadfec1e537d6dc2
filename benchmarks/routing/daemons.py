# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A routing daemon on one node: its configuration as text, its life, its drain."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from benchmarks.routing.candidates import Candidate
from benchmarks.routing.network import PREFIX, Network
from benchmarks.routing.programs import Programs
from lab.errors import LabError

DRAINED_COST = "20000"
RANKS = 4
"""The fifth of those that forward costs as little as the first."""


class Daemon:
    """What both have in common. `work` is a directory for all nodes' files."""

    def __init__(
        self, programs: Programs, candidate: Candidate, network: Network, number: int, work: Path
    ) -> None:
        self.programs, self.candidate, self.network, self.number = programs, candidate, network, number
        self.space = network.spaces[number]
        self.file = work / f"{number}.conf"
        self.log = work / f"{number}.log"
        self.control = work / f"{number}.ctl"
        self.state = work / f"{number}.state"
        self._process: subprocess.Popen[bytes] | None = None

    def text(self) -> str:
        raise NotImplementedError

    def options(self) -> dict[str, str]:
        options = dict(self.candidate.options)
        if self.candidate.rank_cost and self.number in self.network.forwarding:
            rank = sorted(self.network.forwarding).index(self.number) % RANKS
            options["rxcost"] = str(int(options["rxcost"]) + rank * self.candidate.rank_cost)
        return options

    def command(self) -> list[str]:
        raise NotImplementedError

    def drain(self) -> None:
        """Nobody shall send over this node any more, while it goes on forwarding."""
        raise NotImplementedError

    def undrain(self) -> None:
        raise NotImplementedError

    def round_trips(self) -> dict[str, float]:
        """{device: ms} as the daemon reckons them."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.file.write_text(self.text(), encoding="utf-8")
        # Left by a daemon that was killed.
        self.control.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = self.space.start(self.command(), log)
        time.sleep(0.02)
        if self._process.poll() is not None:
            raise LabError(
                f"{self.candidate.daemon} of node {self.number} ended: {self.log.read_text()[-600:]}"
            )

    def _end(self, kind: signal.Signals) -> None:
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, kind)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Babeld(Daemon):
    def text(self) -> str:
        words = " ".join(f"{key} {value}" for key, value in self.options().items())
        return "\n".join(
            [
                *self.candidate.general,
                # The mesh layer's settings are not the daemon's; and WireGuard has no hardware address.
                "skip-kernel-setup true",
                "random-id true",
                *self.filters(),
                f"default {words}",
                *(f"interface {device}" for device in self.network.devices(self.number)),
                f"local-path-readwrite {self.control}",
                f"redistribute local ip {PREFIX} ge 32 allow",
                "redistribute local deny",
                "redistribute deny",
                f"install ip {PREFIX} pref-src {self.network.address(self.number)}",
                "",
            ]
        )

    def filters(self) -> list[str]:
        """Routes within the mesh alone. A leaf announces itself, and pays for whatever it uses."""
        hosts = f"ip {PREFIX} ge 32"
        metric = self.candidate.leaf_metric
        if not metric or self.number in self.network.forwarding:
            return [f"in {hosts} allow", "in deny"]
        own = self.network.address(self.number)
        return [f"in {hosts} metric {metric}", "in deny", f"out ip {own}/32 eq 32 allow", "out deny"]

    def command(self) -> list[str]:
        # -H is only for interfaces of which nothing is said; but half of it is the time after which a
        # request for a route is repeated, and of its default that would be 2 s.
        repeat = (
            ["-H", self.candidate.options["hello-interval"]]
            if "hello-interval" in self.candidate.options
            else []
        )
        return [
            *self.programs.command("babeld"),
            "-I",
            "",
            *repeat,
            "-S",
            str(self.state),
            "-c",
            str(self.file),
        ]

    def dump(self) -> list[str]:
        """All that the daemon says of itself: one line per interface, neighbour and route."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(5)
            control.connect(str(self.control))
            stream = control.makefile("rw", encoding="ascii", newline="\n")
            lines = []
            # The greeting ends with ok, and so does the answer.
            for command in ("", "dump\n"):
                stream.write(command)
                stream.flush()
                lines = [line.rstrip() for line in iter(stream.readline, "ok\n")]
            return lines

    def round_trips(self) -> dict[str, float]:
        return neighbour_round_trips(self.dump())

    def drain(self) -> None:
        """The daemon hears nobody, says so and gives up its routes; the tunnels carry packets as before.

        What it sends is not dropped: it would be told, and complain of each packet in its log.
        """
        rules = "add table inet deaf; flush table inet deaf\n"
        rules += "add chain inet deaf input { type filter hook input priority 0; }\n"
        rules += "add rule inet deaf input udp dport 6696 drop\n"
        self.space.run(["nft", "-f", "-"], data=rules.encode())

    def undrain(self) -> None:
        self.space.run(["nft", "delete", "table", "inet", "deaf"])


class Bird(Daemon):
    def __init__(
        self, programs: Programs, candidate: Candidate, network: Network, number: int, work: Path
    ) -> None:
        super().__init__(programs, candidate, network, number, work)
        self._drained = False

    def text(self) -> str:
        options = self.options()
        if self._drained:
            options["rxcost"] = DRAINED_COST
        words = " ".join(f"{key} {value};" for key, value in options.items())
        hosts = f"net ~ [ {PREFIX}{{32,32}} ]"
        source = f"krt_prefsrc = {self.network.address(self.number)};"
        devices = ", ".join(f'"{device}"' for device in self.network.devices(self.number))
        return "\n".join(
            [
                *self.candidate.general,
                f"router id {self.network.address(self.number)};",
                "protocol device { scan time 10; }",
                'protocol direct { ipv4; interface "lo"; }',
                "protocol kernel { ipv4 { import none; export filter {",
                f"  if source != RTS_BABEL then reject; {source} accept; }}; }}; }}",
                "protocol babel {",
                "  randomize router id yes;",
                f"  ipv4 {{ import where {hosts}; export where {hosts}; }};",
                f"  interface {devices} {{ {words} }};",
                "}",
                "",
            ]
        )

    def command(self) -> list[str]:
        return [*self.programs.command("bird"), "-f", "-c", str(self.file), "-s", str(self.control)]

    def round_trips(self) -> dict[str, float]:
        found = {}
        # Address, interface, metric, routes, hellos, expires, auth, RTT: one line per neighbour.
        for line in self.tell("show babel neighbors").splitlines():
            words = line.split()
            if len(words) == 8 and words[1] in self.network.devices(self.number):
                found[words[1]] = float(words[7])
        return found

    def tell(self, words: str) -> str:
        return self.space.run([*self.programs.command("birdc"), "-s", str(self.control), words])

    def _configure(self, drained: bool) -> None:
        self._drained = drained
        self.file.write_text(self.text(), encoding="utf-8")
        self.tell("configure")

    def drain(self) -> None:
        self._configure(True)

    def undrain(self) -> None:
        self._configure(False)


def neighbour_round_trips(lines: list[str]) -> dict[str, float]:
    """{device: ms} from lines of babeld's dump: `add neighbour 5581 address fe80::2 if w1x2 … rtt 10.2 …`."""
    found = {}
    for line in lines:
        words = line.split()
        if words[1:2] == ["neighbour"] and "rtt" in words:
            named = dict(zip(words[1::2], words[2::2], strict=False))
            found[named["if"]] = float(named["rtt"])
    return found


KINDS = {"babeld": Babeld, "bird": Bird}
