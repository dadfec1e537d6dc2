# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way anything is changed: read, plan, apply, verify, and undo on failure.

A call of `reconcile` is a transaction. After an error it caught, the layer has its old
state; after SIGKILL or a power cut each key is old or new, each file whole, and the
journal makes the next run say so and converge.
"""

from __future__ import annotations

from .contract import Layer, Outcome, Request
from .repairs import as_interrupted, check_layer, leave_as_is, plan_repairs, withhold_too_much
from .store import Store
from .transaction import Transaction


def reconcile(layer: Layer, store: Store, request: Request) -> Outcome:
    """Brings the layer to its wishes, or in check mode says what that would take.

    Raises BindError, LayerUnavailable, RecordTooNew before any write; LockTimeout;
    TransactionFailed after a rollback. An Outcome with `missing_required` changed nothing.
    """
    if request.check or request.managed_by or request.frozen:
        return _planned(layer, store, request)
    with store.lock():
        outcome = _planned(layer, store, request)
        if outcome.changed and not outcome.missing_required:
            Transaction(layer, store, request, outcome).run()
        return outcome


def _planned(layer: Layer, store: Store, request: Request) -> Outcome:
    record = store.load(request.owner)
    check_layer(record, layer.name)
    interrupted = store.unfinished(request.owner)
    state = layer.read()
    if interrupted is not None:
        record = as_interrupted(record, interrupted, layer.port.readback)
    plan = layer.plan(state, record, store.other_claims(request.owner))
    withhold_too_much(plan, record, request.max_disruption)
    if request.managed_by or request.frozen:
        reason = "managed_by" if request.managed_by else "frozen"
        leave_as_is(plan, record, reason, request.managed_by or request.frozen)
    else:
        plan_repairs(plan, store, record, interrupted)
    return Outcome(layer.name, request.owner, plan, interrupted=interrupted)
