# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ..core.store import RUN_DIR, STATE_DIR
from ..core.version import VERSION

DESCRIPTION = (
    "The GPU settings that swarm.node holds on record on this node: re-applies them, or tells of them."
)

CODES = """\
return codes:
  0  all is as recorded, or there is nothing to do (no record, frozen, somebody else manages the GPUs)
  1  something is not as recorded (check: or would be changed)
  2  wrong usage
  3  the GPUs cannot be asked: driver, NVML library or pynvml is missing
  4  another run of swarm.node held the node
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Ends the process with 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog="swarm_node.pyz",
        description=DESCRIPTION,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"swarm.node {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("reapply", "bring every GPU to what the records say"),
        ("check", "say what reapply would change; change nothing"),
        ("status", "what the last run did"),
        ("watch", "for the timer: start the service if the driver was loaded anew"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--root", default="/", help="where /etc, /proc, /sys and /run are (tests, containers)"
        )
        command.add_argument("--state-dir", default=STATE_DIR, help="where the records are (%(default)s)")
        command.add_argument("--run-dir", default=RUN_DIR, help="where the status is (%(default)s)")
        if name == "watch":
            command.add_argument("--systemctl", default="systemctl", help="the command (tests)")
        if name != "watch":
            command.add_argument("--json", action="store_true", help="print the whole of it as JSON")
    return parser.parse_args(list(arguments))
