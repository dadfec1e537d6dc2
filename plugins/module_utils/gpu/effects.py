# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a change of a GPU takes effect, and whom it disturbs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .modes import WAITS
from .settings import COMPUTE, ECC, SETTINGS
from .state import Gpu


@dataclass(frozen=True)
class Effect:
    """`when` and `disruption` as results have them; `words` belong to the `why`."""

    when: str
    disruption: str
    words: str = ""


def effect(gpu: Gpu, key: str, after: Any) -> Effect:
    """What setting the key to `after` means now."""
    if key == COMPUTE and gpu.computing:
        # What runs goes on; what a job starts next may be refused.
        return Effect("now", "node_jobs", f"computing on it now: {gpu.computing}")
    if key == ECC and after != gpu.ecc_current:
        return Effect("reboot", SETTINGS[ECC].disruption, WAITS)
    if key == ECC:
        return Effect("now", "none", "the GPU runs with it; another mode was waiting for the next reset")
    return Effect("now", SETTINGS[key].disruption)


def with_words(why: str, found: Effect) -> str:
    return f"{why}; {found.words}" if found.words else why
