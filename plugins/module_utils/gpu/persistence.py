# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether persistence mode has to be on: who needs it, who wants it off, who holds it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ..core.errors import Problem
from ..core.model import Change
from .resolve import Others, Want, claim_name, needs_persistence, others_on, unsupported
from .settings import PERSISTENCE, VOLATILE
from .state import Gpu

DAEMON = "nvidia-persistenced holds the GPU"

LEGACY = (
    "persistence mode is turned on by NVML, which NVIDIA means to give up in favour of nvidia-persistenced; "
    "the daemon also turns it on at boot"
)


@dataclass
class Settled:
    """What the other wishes of a GPU mean for persistence.

    wants: all wishes, persistence among them where it is needed
    volatile: wishes that would vanish, as persistence is not to be had
    held: the wish to turn it off that nvidia-persistenced stands against
    """

    wants: dict[str, Want]
    volatile: list[Want] = field(default_factory=list)
    held: Want | None = None
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def settle(gpu: Gpu, wishes: Mapping[str, Want], others: Others, ours: bool) -> Settled:
    """`ours`: this owner has persistence on record."""
    found = Settled(dict(wishes))
    volatile = [want for want in wishes.values() if want.volatile]
    if volatile and not gpu.live(PERSISTENCE) and unsupported(PERSISTENCE, gpu):
        found.volatile, volatile = volatile, []
        for want in found.volatile:
            del found.wants[want.setting.key]
    asked = found.wants.get(PERSISTENCE)
    if asked is not None and not asked.after:
        _off(found, asked, volatile, others)
    if volatile and PERSISTENCE not in found.wants and (not gpu.live(PERSISTENCE) or ours):
        found.wants[PERSISTENCE] = needs_persistence(gpu, volatile)
    return found


def tied_to_persistence(changes: Iterable[Change], gpu: Gpu, wants: Collection[Want]) -> None:
    """Notes at persistence's change which others it stands or falls with.

    Turned off, it takes away what is not given back yet. Turned on for others alone, it is of no use without.
    """
    mine = [change for change in changes if change.target == gpu.uuid]
    volatile = {change.name for change in mine if change.key in VOLATILE}
    implied = any(want.implied for want in wants)
    needed_by = tuple(want.name for want in wants if want.volatile)
    for change in mine:
        if change.key != PERSISTENCE:
            continue
        if not change.after:
            change.relies_on = tuple(sorted(volatile))
        elif implied and volatile.issuperset(needed_by):
            change.serves = needed_by


def lost_without(gpu: Gpu) -> str:
    """Why a volatile wish cannot be held on this GPU."""
    return (
        "it would be gone as soon as nothing uses the GPU, for persistence mode is not to be had: "
        f"{unsupported(PERSISTENCE, gpu)}"
    )


def _off(found: Settled, asked: Want, volatile: list[Want], others: Others) -> None:
    """Persistence is to be off: nobody may need it, and nvidia-persistenced must not hold it."""
    gpu = asked.gpu
    owner = others_on(gpu, others)
    holder = others.get(claim_name(PERSISTENCE, gpu.uuid), "") if asked.reset else ""
    if asked.yields:
        if volatile or owner or holder or gpu.kept_by_daemon:
            del found.wants[PERSISTENCE]
        if not volatile and gpu.live(PERSISTENCE):
            reason = f"owner {owner or holder!r} relies on it" if owner or holder else ""
            reason = reason or (DAEMON if gpu.kept_by_daemon else "")
            found.notes += [f"{gpu.label}: persistence stays on; {reason}"] if reason else []
        return
    if volatile:
        names = ", ".join(want.setting.variable for want in volatile)
        found.problems.append(
            asked.problem(f"true while {names} is set: without persistence it would vanish")
        )
    if owner:
        found.problems.append(asked.problem(f"true: owner {owner!r} relies on it on this GPU"))
    if not found.problems and gpu.kept_by_daemon:
        found.held = found.wants.pop(PERSISTENCE)
