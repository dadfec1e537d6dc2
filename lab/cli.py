# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of the lab: python -m lab up|down|stop|status|exec|ssh|reboot|… [--name NAME]."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import ModuleType

from lab import core, keys, sets
from lab.errors import LabError
from lab.paths import ROOT, LabPaths
from lab.spec import DEFAULT_SET, SETS, Node, check_lab_name, node_set
from lab.vm import core as vm_core

_KEPT = ("PATH", "XDG_CACHE_HOME", "SWARM_NODE_LAB", "SWARM_NODE_LAB_SET", "SWARM_NODE_LAB_MIRROR")


def parser() -> argparse.ArgumentParser:
    """The arguments; `--name` may also come from the environment (SWARM_NODE_LAB)."""
    common = argparse.ArgumentParser(add_help=False)
    name = os.environ.get("SWARM_NODE_LAB") or "lab"
    common.add_argument("--name", default=name, help="the lab's name (default: %(default)s)")
    top = argparse.ArgumentParser(prog="python -m lab", description="The embedded lab.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(command: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(command, parents=[common], help=text, description=text)

    add("up", "start the lab, or repair it; does nothing when all is well").add_argument(
        "--set",
        default=os.environ.get("SWARM_NODE_LAB_SET") or None,
        help=f"the nodes of a new lab: {', '.join(SETS)} (default: those it has had, else {DEFAULT_SET})",
    )
    add("stop", "remove the lab; cached root file systems stay")
    add("down", "remove the lab and the cached root file systems")
    add("status", "one line per node; returns 1 unless all nodes answer")
    for command, text in (("exec", "run a command in a node as root"), ("ssh", "log in as Ansible does")):
        sub = add(command, text)
        sub.add_argument("node")
        sub.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
    add("reboot", "restart a node: what is volatile is lost").add_argument("node")
    add("crash", "end a node at once, as a power failure does").add_argument("node")
    add("start", "start a node after a crash").add_argument("node")
    sub = add("cut", "cut a node's underlay; with a management address logins go on")
    sub.add_argument("--silent", action="store_true", help="the node's link stays up")
    sub.add_argument("node")
    add("restore", "end what cut did").add_argument("node")
    add("purge", "remove every lab of this checkout and the cache")
    return top


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0 success, 1 failure or an unhealthy lab."""
    arguments = parser().parse_args(argv)
    # As an exception it lets a half-made lab be removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        paths = LabPaths(check_lab_name(arguments.name))
        if os.geteuid() != 0:
            become_root(sys.argv[1:] if argv is None else argv)
        return _dispatch(arguments, paths)
    except LabError as error:
        print(f"lab: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


def become_root(argv: list[str]) -> None:
    """Runs the same command through sudo; does not return."""
    kept = [f"{key}={os.environ[key]}" for key in _KEPT if key in os.environ]
    command = ["sudo", "env", *kept, f"PYTHONPATH={ROOT}", sys.executable, "-B", "-m", "lab", *argv]
    try:
        os.execvp("sudo", command)
    except FileNotFoundError as error:
        raise LabError(
            "the lab needs root for its namespaces, and there is no sudo: run it as root"
        ) from error


def _engine(node: Node) -> ModuleType:
    """What acts on nodes of this kind: no set mixes containers and virtual machines."""
    return vm_core if node.machine else core


def _dispatch(arguments: argparse.Namespace, paths: LabPaths) -> int:
    command = arguments.command
    if command == "status":
        healthy, text = _engine(sets.nodes_of(paths)[0]).status(paths)
        print(text, end="")
        return 0 if healthy else 1
    if command == "purge":
        core.purge()
    elif command == "up":
        chosen = arguments.set or sets.remembered(paths) or DEFAULT_SET
        _engine(node_set(chosen)[0]).up(paths, arguments.set)
    elif command in ("stop", "down"):
        getattr(core, command)(paths)
    elif command == "cut":
        core.cut(paths, sets.node_of(paths, arguments.node), arguments.silent)
    elif command == "restore":
        core.restore(paths, sets.node_of(paths, arguments.node))
    elif command in ("reboot", "crash", "start"):
        node = sets.node_of(paths, arguments.node)
        getattr(_engine(node), command)(paths, node)
    elif command == "ssh":
        line = keys.ssh_command(paths, sets.node_of(paths, arguments.node), arguments.words)
        os.execvp(line[0], line)
    else:
        words = arguments.words or ["bash", "-l"]
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        node = sets.node_of(paths, arguments.node)
        line = _engine(node).execute_command(paths, node, words, terminal)
        os.execvp(line[0], line)
    return 0
