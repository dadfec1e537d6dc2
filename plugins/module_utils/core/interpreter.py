# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python the units of the node run."""

from __future__ import annotations

import os
import sys

PYTHON = "/usr/bin/python3"


def interpreter() -> str:
    """The Python that runs this, as a unit should name it."""
    return lasting(PYTHON, sys.executable, sys.prefix != sys.base_prefix)


def lasting(short: str, executable: str, virtual: bool) -> str:
    """The Python `executable`; by its short name where that is the same, which outlives an upgrade.

    A virtual environment is not the same, though it links to the same file: it has modules of its own.
    """
    if virtual:
        return executable
    try:
        same = os.path.samefile(short, executable)  # noqa: PTH121 (either may be missing)
    except OSError:
        same = False
    return short if same else executable
