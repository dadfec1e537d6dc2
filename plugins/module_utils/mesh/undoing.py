# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The undo of what is armed: the mesh layer reconciled to the shares of before, by the engine as always."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, Optional

from ..core import files
from ..core.contract import Outcome, Request
from ..core.engine import reconcile
from ..core.errors import BindError
from ..core.model import Unapplied
from ..core.store import Store
from .armed import Armed, Reverted
from .firewall import FIREWALL, WISH
from .guard import LOCK_WAIT, Guard
from .layer import MeshLayer, MeshOptions
from .paths import GUARD
from .share import Share, parse_share
from .stored import stored_shares

OWNER = "mesh"
FIXED = (
    "shares",
    "confirm_seconds",
    "token",
    "absent",
    "check",
    "root",
    "state_dir",
    "run_dir",
    "runner",
    "undoing",
    "program",
    "witnesses",
    "max_disruption",
)
"""Fields of MeshOptions that settings do not set."""


class HeldStore(Store):
    """The node's records while the caller holds the lock."""

    @contextlib.contextmanager
    def lock(self, timeout: float = 0.0) -> Iterator[None]:
        yield


def undo(
    guard: Guard,
    armed: Armed,
    why: str,
    wait: float,
    check: bool = False,
    due: Callable[[Armed], bool] = lambda armed: True,
) -> Optional[Outcome]:
    """Brings the node back to the snapshot and notes it; None where meanwhile nothing is to be undone.

    wait: s for the node's lock; due: asked under the lock, for the run before may have extended the deadline
    Raises LockTimeout, and what `reconcile` raises: the change stays armed then.
    """
    if check:
        return _reconciled(guard, armed, why, check)
    with guard.store().lock(wait):
        now = guard.armed()
        if now is None or now.token != armed.token or not due(now):
            return None
        outcome = _reconciled(guard, now, why, check)
        labels = tuple(change.label for change in outcome.plan.changes)
        left_out = tuple(f"{wish.key} {wish.target}: {wish.detail}" for wish in outcome.plan.unapplied)
        guard.settle(Reverted(now.token, guard.clock().wall, why, labels, left_out))
        return outcome


def revert(guard: Guard, why: str, token: str = "", check: bool = False) -> Optional[Outcome]:
    """Undoes now what is armed, None where nothing is. Raises as `undo`, and BindError for another's token.

    A run that is about to arm holds the node: it is waited for.
    """
    armed = guard.armed()
    if armed is None and not check:
        armed = guard.still_armed()
    if armed is None:
        return None
    if token and armed.token != token:
        raise BindError([armed.refusal(token)])
    outcome = undo(guard, armed, why, LOCK_WAIT, check)
    if outcome is not None and not check:
        guard.unit.stop()
    return outcome


def _reconciled(guard: Guard, armed: Armed, why: str, check: bool) -> Outcome:
    """A firewall that cannot be had any more must not keep the tunnels from going back."""
    wishes = list(dict.fromkeys(_firewalls(guard, armed)))
    first: Optional[BindError] = None
    for wish in wishes:
        try:
            outcome = _reconciled_with(guard, armed, why, check, wish)
        except BindError as error:
            first = first or error
            continue
        if first is not None:
            detail = f"{wishes[0]} is refused now, so it is {wish}: {first}"
            outcome.plan.unapplied.append(Unapplied(FIREWALL, wishes[0], "unsupported", detail, wish))
        return outcome
    raise first or BindError([])  # there is always a wish, so one of them was refused


def _firewalls(guard: Guard, armed: Armed) -> Iterator[str]:
    """What to ask of the firewall: as before; as the change has left it; nothing."""
    yield str(armed.settings.get("firewall", "auto"))
    with contextlib.suppress(ValueError, KeyError, TypeError):
        yield str(json.loads(files.read_text(guard.root / WISH.lstrip("/")) or "{}")["firewall"])
    yield "none"


def _reconciled_with(guard: Guard, armed: Armed, why: str, check: bool, firewall: str) -> Outcome:
    request = Request(
        owner=str(armed.settings.get("owner", OWNER)),
        check=check,
        max_disruption="reboot",
        run={"why": why, "by": GUARD, "token": armed.token},
    )
    layer = MeshLayer(options(guard, armed, check, firewall))
    return reconcile(layer, HeldStore(guard.state_dir, guard.run_dir), request)


def options(guard: Guard, armed: Armed, check: bool, firewall: str) -> MeshOptions:
    """What of the layer is asked for. Raises BindError where the snapshot makes no sense."""
    wanted: dict[str, Any] = {
        name: value
        for name, value in armed.settings.items()
        if name in MeshOptions.__dataclass_fields__ and name not in FIXED
    }
    wanted["firewall"] = firewall
    return MeshOptions(
        shares=_shares(guard, armed),
        confirm_seconds=0,
        token=armed.token,
        absent=False,  # Keys stay, also where there was no mesh before: the registry knows them.
        check=check,
        root=guard.root,
        state_dir=guard.state_dir,
        run_dir=guard.run_dir,
        runner=guard.runner,
        undoing=True,
        program=guard.program,
        **wanted,
    )


def _shares(guard: Guard, armed: Armed) -> dict[str, Share]:
    """Meshes that were not part of the change stay as they are."""
    shares = stored_shares(guard.root)
    for mesh, data in armed.snapshot.items():
        if data is None:
            shares.pop(mesh, None)
        else:
            shares[mesh] = parse_share(data, f"snapshot of {mesh}")
    return shares
