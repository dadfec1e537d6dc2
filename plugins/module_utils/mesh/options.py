# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the mesh's program."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..core.store import RUN_DIR, STATE_DIR
from ..core.version import VERSION

DESCRIPTION = "The mesh of swarm.node on this node: undoes what nobody confirms, or tells of it."

CODES = """\
return codes:
  0  done, or there is nothing to do
  1  something failed; the journal says what
  2  wrong usage
  4  another run of swarm.node held the node (refresh: it tries again soon)
"""

COMMANDS = (
    ("guard", "for its unit: wait for the deadline of what is armed, then undo it"),
    ("refresh", "for its timer: look up endpoint names of peers that have not answered"),
    ("firewall", "for its unit: put the mesh's rules into the firewall again"),
    ("status", "what is armed, and what was undone last"),
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Ends the process with 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog="mesh.pyz",
        description=DESCRIPTION,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"swarm.node {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--root", default="/", help="where /etc, /proc and /run are (tests)")
        command.add_argument("--state-dir", default=STATE_DIR, help="where the records are (%(default)s)")
        command.add_argument("--run-dir", default=RUN_DIR, help="where the lock is (%(default)s)")
        if name == "status":
            command.add_argument("--json", action="store_true", help="print the whole of it as JSON")
    return parser.parse_args(list(arguments))
