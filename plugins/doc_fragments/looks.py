# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by modules that only look."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of a module that changes nothing."""

    ATTRIBUTES = r"""
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
  idempotent:
    description: Changes nothing.
    support: full
  platform:
    description: Target systems.
    platforms: linux
    support: full
"""
