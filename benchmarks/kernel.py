# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""40 sysctls on one node over ssh: swarm.node.kernel against ansible.posix.sysctl in a loop."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks import node
from benchmarks.ansible_run import Playbooks, Run
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, samples
from benchmarks.sysctl_keys import WISHES

NODE = "cpu-1"
NAME = f"kernel, {len(WISHES)} sysctls"
OWNER = "bench"
PEER_FILE = "/etc/sysctl.d/90-bench-peer.conf"

OURS: dict[str, Any] = {
    "name": "ours",
    "swarm.node.kernel": {"owner": OWNER, "sysctl": WISHES},
}
PEER: dict[str, Any] = {
    "name": "peer",
    "ansible.posix.sysctl": {
        "name": "{{ item.key }}",
        "value": "{{ item.value }}",
        "sysctl_set": True,
        "sysctl_file": PEER_FILE,
    },
    "loop": [{"key": key, "value": value} for key, value in WISHES.items()],
    "loop_control": {"label": "{{ item.key }}"},
}
WARM: dict[str, Any] = {"name": "warm", "ansible.builtin.ping": {}}
GIVE_BACK: dict[str, Any] = {"name": "back", "swarm.node.kernel": {"owner": OWNER, "state": "absent"}}


@dataclass
class Side:
    """The runs of one side, in order of repetition."""

    first: list[Run] = field(default_factory=list)
    second: list[Run] = field(default_factory=list)


def live() -> dict[str, str]:
    """The 40 values in the node's kernel. Raises BenchmarkError naming the keys that cannot be used."""
    names = " ".join(key.replace(".", "/") for key in WISHES)
    script = (
        f"cd /proc/sys; for f in {names}; do "
        'if [ -w "$f" ] && v=$(cat "$f"); then echo "$f=$v"; else echo "$f"; fi; done'
    )
    return parse_live(node.sh(NODE, script))


def parse_live(text: str) -> dict[str, str]:
    """Lines `net/ipv4/key=value` as values by key; a line without a value is a key this kernel lacks."""
    pairs = [line.partition("=") for line in text.splitlines()]
    found = {name.replace("/", "."): value.strip() for name, sign, value in pairs if sign}
    missing = [key for key in WISHES if key not in found]
    if missing:
        raise BenchmarkError(f"{NODE}: these keys of the benchmark are missing or not writable: {missing}")
    return found


def require_defaults(values: dict[str, str]) -> None:
    """Every key must have something to change. Raises BenchmarkError."""
    same = [key for key, value in WISHES.items() if values[key] == value]
    if same:
        raise BenchmarkError(f"{NODE}: already as the benchmark wishes, so nothing would be measured: {same}")


def require_values(values: dict[str, str], wanted: dict[str, str], who: str) -> None:
    """Raises BenchmarkError naming every key that is not as it should be."""
    wrong = {key: (values[key], value) for key, value in wanted.items() if values[key] != value}
    if wrong:
        raise BenchmarkError(f"{NODE}: after {who}, (is, should be): {wrong}")


def restore(playbooks: Playbooks, defaults: dict[str, str]) -> None:
    """The node as it was: our own removal, then the peer's file and whatever value is left by hand."""
    playbooks.run(NODE, [GIVE_BACK])
    lines = [f"rm -f {PEER_FILE}"]
    lines += [
        f"echo {shlex.quote(value)} >/proc/sys/{key.replace('.', '/')}" for key, value in defaults.items()
    ]
    node.sh(NODE, "set -e; " + "; ".join(lines))
    require_values(live(), defaults, "restoring")


def check_ours(run: Run, first: bool) -> None:
    """What one run of our module must have counted. Raises BenchmarkError."""
    result = run.only().only()
    seen = (run.trips, result["changed"], result["unapplied"])
    if seen != (1, first, []):
        raise BenchmarkError(f"swarm.node.kernel: (round trips, changed, unapplied) is {seen}")
    if first and result["changes"] < len(WISHES):
        raise BenchmarkError(f"swarm.node.kernel: {result['changes']} changes for {len(WISHES)} keys")
    if not first and (result["changes"], result["writes"]) != (0, 0):
        raise BenchmarkError(
            f"swarm.node.kernel, second run: {result['changes']} changes, {result['writes']} writes"
        )


def check_peer(run: Run, first: bool) -> None:
    """The same for the peer's loop."""
    items = run.only().only()["items"]
    if run.trips != len(WISHES) or items != [first] * len(WISHES):
        changed = sum(items)
        raise BenchmarkError(f"ansible.posix.sysctl: {run.trips} round trips, {changed} items changed")


def without_warm_up(run: Run) -> Run:
    """The run as if its first task, a ping on both sides, had not been; it stays in the whole process's time.

    The first task of a play also pays for the play: starting workers, finding the connection. That is a cost
    of the play, not of the way its settings are made.
    """
    return Run(run.seconds, run.trips - 1, run.tasks[1:])


def measure_side(
    playbooks: Playbooks, side: Side, task: dict[str, Any], check: Callable[[Run, bool], None]
) -> None:
    """A first and a second run; the node must hold all values after each."""
    for first, runs in ((True, side.first), (False, side.second)):
        run = without_warm_up(playbooks.run(NODE, [WARM, task]))
        check(run, first)
        require_values(live(), WISHES, f"the {'first' if first else 'second'} run of {task['name']}")
        runs.append(run)


def benchmark(playbooks: Playbooks, repetitions: int, say: Callable[[str], None]) -> list[Row]:
    """Both sides in turn, the node restored in between. Raises BenchmarkError."""
    defaults = live()
    require_defaults(defaults)
    ours, peer, empty = Side(), Side(), []
    # Opens the connection that ControlPersist keeps, and warms the node's file cache for both.
    playbooks.run(NODE, [WARM])
    try:
        for number in range(1, repetitions + 1):
            say(f"kernel {number}/{repetitions}: swarm.node.kernel")
            empty.append(playbooks.run(NODE, []))
            measure_side(playbooks, ours, OURS, check_ours)
            restore(playbooks, defaults)
            say(f"kernel {number}/{repetitions}: ansible.posix.sysctl")
            measure_side(playbooks, peer, PEER, check_peer)
            restore(playbooks, defaults)
    except BaseException:
        restore(playbooks, defaults)
        raise
    return rows(ours, peer, empty)


def rows(ours: Side, peer: Side, empty: list[Run]) -> list[Row]:
    """The lines of the table."""
    found = []
    for label, mine, theirs in (
        ("first run", ours.first, peer.first),
        ("no change", ours.second, peer.second),
    ):
        task = [samples([run.only().seconds for run in runs]) for runs in (mine, theirs)]
        whole = [samples([run.seconds for run in runs]) for runs in (mine, theirs)]
        trips = [samples([run.trips for run in runs]) for runs in (mine, theirs)]
        found += [
            Row(NAME, f"{label}: task", "s", task[0], task[1], "peer/ours"),
            Row(NAME, f"{label}: whole ansible-playbook", "s", whole[0], whole[1], "peer/ours"),
            Row(NAME, f"{label}: round trips", "", trips[0], trips[1], digits=0),
            # The peer does not count its writes.
            Row(NAME, f"{label}: writes", "", samples([_writes(run) for run in mine]), digits=0),
        ]
    found.append(Row(NAME, "an empty playbook on the node", "s", samples([run.seconds for run in empty])))
    return found


def _writes(run: Run) -> int:
    return int(run.only().only()["writes"])
