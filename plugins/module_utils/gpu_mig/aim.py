# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way from what one GPU is to what it shall be: changes, or why there can be none. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ..core.model import Change, Unapplied
from .bind import Target, target_of
from .notation import Wanted, kind_text
from .state import MigGpu, Process, mode_text, named
from .wishes import LAYOUT, MODE, claim_name

NEEDS_MODE = "needs_mode"
"""In a change's `data`: it can only be made once the mode is in effect."""

RESET = "a reset of the GPU (nvidia-smi --gpu-reset -i {index}) or a reboot"


@dataclass(frozen=True)
class Aim:
    """What one GPU shall be.

    on: whether MIG shall be on; wanted: its instances, None to leave them alone
    """

    gpu: MigGpu
    on: bool
    wanted: Optional[Sequence[Wanted]]
    asked: Any = None
    why: str = "as asked for"
    origin: str = ""
    required: bool = False


@dataclass
class Way:
    """`layout`: every instance with its place as it will be, None if that is left alone."""

    changes: list[Change] = field(default_factory=list)
    unapplied: list[Unapplied] = field(default_factory=list)
    pending: list[dict[str, Any]] = field(default_factory=list)
    layout: Optional[list[str]] = None


def way_to(aim: Aim) -> Way:
    """Raises Refusal if the instances do not fit the board."""
    gpu, way = aim.gpu, Way()
    target = None if aim.wanted is None else target_of(aim.wanted, gpu)
    if target is not None:
        way.layout = target.after
    flips = gpu.current != aim.on
    if gpu.waits and gpu.pending == aim.on:
        way.pending.append(waiting(gpu, aim.on))
    elif flips and gpu.processes:
        _refuse(way, aim, MODE, "busy", _busy("MIG would have to be turned on or off", gpu.processes))
    elif gpu.pending != aim.on:
        way.changes.append(_mode_change(aim, flips))
    if target is None or target.after == gpu.layout:
        return way
    hindrance = _hindrance(aim, target, way)
    if hindrance:
        _refuse(way, aim, LAYOUT, *hindrance)
        return way
    change = _layout_change(aim, target, flips)
    # What is to be gone must go before the mode does, what is to come needs the mode.
    way.changes.insert(len(way.changes) if aim.on else 0, change)
    return way


def waiting(gpu: MigGpu, on: bool) -> dict[str, Any]:
    """The entry of `pending` for a mode that is set and not in effect."""
    return {
        "key": MODE,
        "target": gpu.uuid,
        "target_name": gpu.label,
        "live": mode_text(not on),
        "after": mode_text(on),
        "when": "reboot",
        "detail": f"needs {reset_of(gpu.index)}",
    }


def reset_of(index: int) -> str:
    """What makes a mode take effect, with the command."""
    return RESET.format(index=index)


def _hindrance(aim: Aim, target: Target, way: Way) -> Optional[tuple[str, str]]:
    """(reason, detail) why the layout cannot be changed now."""
    gpu = aim.gpu
    if way.unapplied:
        return "busy", way.unapplied[0].detail
    used = [(str(item.wanted), gpu.users(item)) for item in target.gone]
    for item, inner in target.emptied:
        used += [(f"{kind_text(part.kind)} in {item.wanted}", gpu.users(item, part)) for part in inner]
    names = dict.fromkeys(name for name, users in used if users)
    if names:
        what = f"{', '.join(names)} would have to be destroyed"
        return "busy", _busy(what, [user for _name, users in used for user in users])
    if aim.on and not gpu.current and way.pending:
        return "needs_reset", f"MIG is set to be on and {way.pending[0]['detail']}; the layout comes after it"
    return None


def _mode_change(aim: Aim, flips: bool) -> Change:
    gpu = aim.gpu
    why = aim.why if flips else f"{aim.why}: what was set is taken back before it takes effect"
    return Change(
        MODE,
        gpu.mode,
        mode_text(aim.on),
        target=gpu.uuid,
        target_name=gpu.label,
        disruption="node_jobs" if flips else "none",
        undo="exact" if flips else "none",
        origin=aim.origin,
        why=why,
        claim=claim_name(MODE, gpu.uuid),
        required=aim.required,
        data={"live": gpu.changes_live, "index": gpu.index, "flips": flips},
    )


def _layout_change(aim: Aim, target: Target, flips: bool) -> Change:
    gpu = aim.gpu
    steps = f"{target.kept} kept, {len(target.gone)} destroyed, {target.made} created"
    return Change(
        LAYOUT,
        gpu.layout,
        target.after,
        target=gpu.uuid,
        target_name=gpu.label,
        # What needs the mode disturbs as much as the mode, so that both are withheld or neither.
        disruption="node_jobs" if flips or target.destroys else "none",
        origin=aim.origin,
        why=f"{aim.why}; GPU instances: {steps}",
        claim=claim_name(LAYOUT, gpu.uuid),
        required=aim.required,
        data={NEEDS_MODE: aim.on and not gpu.current, "index": gpu.index},
    )


def _refuse(way: Way, aim: Aim, key: str, reason: str, detail: str) -> None:
    gpu = aim.gpu
    layout = key == LAYOUT
    way.unapplied.append(
        Unapplied(
            key=key,
            wanted=way.layout if layout else mode_text(aim.on),
            live=gpu.layout if layout else gpu.mode,
            reason=reason,
            detail=detail,
            target=gpu.uuid,
            target_name=gpu.label,
            required=aim.required,
            origin=aim.origin,
        )
    )


def _busy(what: str, users: Sequence[Process]) -> str:
    return f"{what}, but it is in use by {named(users)}; stop or drain that first"
