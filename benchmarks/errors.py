# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks raise."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A benchmark could not run, or what it counted is wrong. The text is for the person at the terminal."""
