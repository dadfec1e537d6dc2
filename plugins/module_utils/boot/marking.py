# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mark of our files, as `core` has it."""

from __future__ import annotations

from ..core.marking import is_untouched, marked

__all__ = ["is_untouched", "marked"]
