# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error the lab raises for the user to read."""

from __future__ import annotations


class LabError(Exception):
    """Something the lab needs is missing or failed; the message says what and what to do."""
