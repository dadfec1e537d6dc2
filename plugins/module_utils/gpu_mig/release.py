# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a GPU whose MIG layout is no longer asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ..core.model import Claim
from .aim import Aim
from .notation import ENABLED, Refusal, Wanted, from_texts
from .state import MigGpu

WHY = "no longer asked for: back to what was seen first"


@dataclass(frozen=True)
class Given:
    """What this owner holds of a GPU. `begun`: layouts a run that never finished may have left in part."""

    gpu: MigGpu
    mode: Optional[Claim]
    layout: Optional[Claim]
    begun: Sequence[str] = ()


@dataclass(frozen=True)
class Release:
    """`aim` None: the GPU stays as it is; `notes` say why."""

    aim: Optional[Aim] = None
    notes: tuple[str, ...] = ()


def release(given: Given) -> Release:
    """Back to the mode and the layout seen first, as far as what is there now is still ours."""
    gpu, notes = given.gpu, []
    if gpu.current is None:
        return Release()
    on, note = _mode_to(given)
    notes += [note] if note else []
    wanted, note = _layout_to(given, on)
    notes += [note] if note else []
    if wanted is None and gpu.instances and not on:
        # Turning MIG off would destroy instances that are not this owner's.
        notes += [] if note else [f"{gpu.label}: MIG stays on, as there are instances of somebody else"]
        on = True
    if not on:
        wanted = ()
    if on == gpu.current == gpu.pending and wanted is None:
        return Release(notes=tuple(notes))
    return Release(Aim(gpu, on, wanted, why=WHY), tuple(notes))


def _mode_to(given: Given) -> tuple[bool, str]:
    """(whether MIG shall be on, what to say of it)."""
    gpu, claim = given.gpu, given.mode
    live = bool(gpu.pending)
    if claim is None or claim.first_seen == gpu.mode:
        return live, ""
    if claim.first_seen is None:
        return live, f"{gpu.label}: MIG stays {gpu.mode}, as what was seen first is unknown"
    if claim.applied != gpu.mode:
        return live, (
            f"{gpu.label}: MIG is no longer asked for; it is {gpu.mode}, not {claim.applied} as this "
            "collection had set it, so it stays as it is"
        )
    return claim.first_seen == ENABLED, ""


def _layout_to(given: Given, on: bool) -> tuple[Optional[tuple[Wanted, ...]], str]:
    """(the instances to go back to or None, what to say of it)."""
    gpu, claim = given.gpu, given.layout
    if claim is None or (not gpu.instances and not on):
        return None, ""
    first = claim.first_seen
    if first == gpu.layout:
        return (None if on else from_texts(first)), ""
    if first is None:
        return None, f"{gpu.label}: the MIG layout stays, as what was seen first is unknown"
    if not _ours(given, claim):
        return None, (
            f"{gpu.label}: the MIG layout is no longer asked for; it is {_shown(gpu.layout)}, not "
            f"{_shown(claim.applied)} as this collection had made it, so it stays as it is"
        )
    try:
        return from_texts(first), ""
    except Refusal as error:
        return None, f"{gpu.label}: the MIG layout stays; what was seen first cannot be made again: {error}"


def _ours(given: Given, claim: Claim) -> bool:
    """Whether there is no instance that neither we made nor was there first.

    A run that was cut off may have left a part of what it found and a part of what it meant to make, or
    nothing. Otherwise nothing, where there should be instances, is what somebody else made of it.
    """
    if given.gpu.current and not given.gpu.instances and claim.applied and not given.begun:
        return False
    known = {_place(text) for text in [*(claim.first_seen or ()), *(claim.applied or ()), *given.begun]}
    return all(_place(text) in known for text in given.gpu.layout)


def _place(text: Any) -> str:
    """Profile and place without the compute instances, which are half made at times."""
    return str(text).partition(" ")[0]


def _shown(layout: Any) -> str:
    return ", ".join(map(str, layout or ())) or "without instances"
