# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a message of these modules has in addition to an error."""

from __future__ import annotations

import os


def with_root(error: object) -> str:
    """The error, and where this process is not root's, that it may be for that."""
    return f"{error}; this needs root: run it with become" if os.geteuid() != 0 else str(error)
