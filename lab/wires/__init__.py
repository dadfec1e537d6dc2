# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links between network namespaces with delay, jitter, loss, rate and a finite queue: see docs/lab.md.

For kernels without netem. Every packet goes through one process of this package, in user space.
"""

from __future__ import annotations

from lab.wires.spaces import Space
from lab.wires.wires import BACK, BOTH, FORTH, Wires, build

__all__ = ["BACK", "BOTH", "FORTH", "Space", "Wires", "build"]
