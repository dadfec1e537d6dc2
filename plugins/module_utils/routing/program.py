# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the routing layer runs on the node: what comes before a daemon's start, its recorder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..core.bundle import program
from ..core.commands import execute
from ..core.errors import Interrupted, NodeError
from ..core.notify import NOTICE, WARNING, say
from ..core.signals import signals_as_errors
from ..core.version import VERSION
from ..mesh.share import MESH_NAME
from .prepare import load_tables, prepare, take_down
from .recorder import Recorder


def program_text() -> str:
    """This file and what it needs as one, whatever the collection is called where this runs."""
    return program("for routing: prepares a daemon's start, notes its changes of route.", __name__)


def main(arguments: Sequence[str]) -> int:
    """0, or 1 with the reason in the journal; 2 for wrong usage."""
    options = _parse(arguments)
    root = Path(options.root)
    try:
        if not MESH_NAME.fullmatch(options.mesh):
            raise NodeError(f"{options.mesh!r} is no mesh's name")
        if options.command != "record" and os.geteuid() != 0:
            raise NodeError(f"{options.command} needs root")
        with signals_as_errors():
            if options.command == "record":
                recorder = Recorder(root, options.mesh)
                recorder.sign(Path(sys.argv[0]))
                recorder.run()
            elif options.command == "tables":
                load_tables(root, options.mesh, execute)
            elif options.command == "clear":
                take_down(root, options.mesh, execute)
            else:
                cold = prepare(root, options.mesh, execute)
                if cold:
                    say(f"no handshake yet: {', '.join(cold)}", NOTICE)
    except Interrupted:
        return 0
    except (NodeError, OSError) as error:
        say(str(error), WARNING)
        return 1
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Ends the process with 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog="swarm_node_routing.pyz",
        description="Routing within meshes, as swarm.node keeps it on this node.",
    )
    parser.add_argument("--version", action="version", version=f"swarm.node {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        (
            "prepare",
            "what comes before the daemon's start: tables, its copy of the configuration, handshakes",
        ),
        ("tables", "load the mesh's tables again"),
        ("clear", "what comes after the daemon's end: its rules and tables of routes go"),
        ("record", "note changes of route until it is stopped"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("mesh", help="the mesh's name")
        command.add_argument("--root", default="/", help="where /etc and /run are (tests)")
    return parser.parse_args(list(arguments))
