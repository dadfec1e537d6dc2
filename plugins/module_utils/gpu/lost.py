# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What GPUs that do not work mean for the plan of the others, and what a person must look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..core.model import Change, Plan, Unapplied
from .health import WARNING, Entry, Health, attention_of, entry, most_links
from .memory import LOCK_MEMORY
from .modes import DEFAULT
from .selectors import INDEX, MODEL, PCI, SPECIFICITY, UUID, Rule, Selector, missing
from .settings import Wish
from .state import LostGpu, NodeState

LOCATED = "on the PCI bus, but NVML does not see it"


def with_addresses(lost: Sequence[LostGpu], state: NodeState) -> tuple[LostGpu, ...]:
    """Addresses for GPUs that cannot tell theirs, if as many of the bus are left over."""
    mute = [gpu for gpu in lost if not gpu.bus_id]
    free = state.unseen
    if len(free) != len(mute):
        return tuple(lost)
    # NVML counts in the order of the bus.
    found = {gpu.index: address for gpu, address in zip(mute, free)}
    return tuple(replace(gpu, bus_id=found.get(gpu.index, gpu.bus_id)) for gpu in lost)


def may_be_lost(selector: Selector, state: NodeState) -> bool:
    """Whether an index, address or UUID that no working GPU has may be that of a GPU that does not work."""
    if not missing([Rule(selector, None, None)], [gpu.identity for gpu in state.every]):
        return True
    if selector.kind == UUID:
        return bool(state.unseen) or any(not gpu.uuid for gpu in state.lost)
    if selector.kind == PCI:
        return selector.value in state.unseen
    return int(selector.value) < len(state.gpus) + len(state.lost) + len(state.unseen)


def leave_out(plan: Plan, wishes: Mapping[str, Wish], state: NodeState, absent: bool = False) -> None:
    """Adds to the plan of the working GPUs what becomes of the others: claims kept, wishes unapplied.

    A GPU that is asked for nothing (`null`) does not fail the host.
    """
    for gpu in state.lost:
        held = [name for name in plan.claims if gpu.uuid and name.endswith(f" {gpu.uuid}")]
        left = [
            _unapplied(wish, raw, gpu, origin)
            for wish in wishes.values()
            for raw, origin in _asked(wish, gpu, state)
        ]
        plan.unapplied += left
        for wish in left:
            name = f"{wish.key} {wish.target}"
            plan.before[name] = plan.after[name] = None
        if left or (absent and held):
            plan.degraded.append(gpu.label)
        elif held:
            plan.notes.append(f"{gpu.label} keeps what was set on it: {gpu.why}")
    _strays(plan, wishes, state)
    _forget_locks(plan, state)


def attention(state: NodeState) -> list[Entry]:
    """What is wrong with the GPUs of a node, whatever is wished of them."""
    found: list[Entry] = []
    links = _links_by_model(state)
    for lost in state.lost:
        if lost.gone:
            found.append(entry(lost.target, lost.label, "lost", lost.why))
        if lost.health:
            found += attention_of(lost.health, lost.target, lost.label, links.get(lost.name, 0))
    for gpu in state.gpus:
        if gpu.health:
            found += attention_of(gpu.health, gpu.uuid, gpu.label, links.get(gpu.name, 0))
    found += [entry(address, f"the GPU at {address}", "unseen", LOCATED, WARNING) for address in state.unseen]
    return found


def _links_by_model(state: NodeState) -> dict[str, int]:
    models: dict[str, list[Health]] = {}
    for gpu in state.every:
        if gpu.health:
            models.setdefault(gpu.name, []).append(gpu.health)
    return {name: most_links(healths) for name, healths in models.items()}


def _asked(wish: Wish, gpu: LostGpu, state: NodeState) -> list[tuple[object, str]]:
    """(what is asked of this GPU, by whom): one value, the whole wish where it is uncertain, or nothing."""
    possible = [rule for rule in wish.rules if _may_mean(rule.selector, gpu, state)]
    if not possible:
        reset = any(_may_mean(rule.selector, gpu, state) for rule in wish.reset)
        return [(DEFAULT, wish.reset_origin)] if reset else []
    if all(rule.quantity is None for rule in possible):
        return []
    level = max(SPECIFICITY[rule.selector.kind] for rule in possible)
    best = [rule for rule in possible if SPECIFICITY[rule.selector.kind] == level]
    if not all(_means(rule.selector, gpu, state) for rule in best):
        return [(wish.raw, wish.origin)]
    return [] if best[0].quantity is None else [(best[0].raw, wish.origin)]


def _means(selector: Selector, gpu: LostGpu, state: NodeState) -> bool:
    """Whether it is certain. What names no other GPU names the only one that cannot be asked."""
    mute = [lost for lost in state.lost if not lost.uuid]
    return selector.matches(*gpu.identity) or (selector.kind == UUID and mute == [gpu] and not state.unseen)


def _may_mean(selector: Selector, gpu: LostGpu, state: NodeState) -> bool:
    if selector.matches(*gpu.identity):
        return True
    if selector.kind == MODEL:
        return not gpu.name
    others = [other.identity for other in state.every if other.identity != gpu.identity]
    unknown = (selector.kind == UUID and not gpu.uuid) or (selector.kind == PCI and not gpu.bus_id)
    return unknown and not any(selector.matches(*identity) for identity in others)


def _unapplied(wish: Wish, raw: object, gpu: LostGpu, origin: str) -> Unapplied:
    return Unapplied(
        key=wish.setting.key,
        wanted=raw,
        reason="lost",
        detail=gpu.why,
        target=gpu.target,
        target_name=gpu.label,
        origin=origin,  # never `required`: the host fails as degraded, the others have their new state
    )


def _strays(plan: Plan, wishes: Mapping[str, Wish], state: NodeState) -> None:
    """Indexes and UUIDs that may be those of a GPU which only the PCI bus shows."""
    if not state.unseen:
        return
    known = [gpu.identity for gpu in state.every]
    where = ", ".join(state.unseen)
    for wish in wishes.values():
        if any(rule.selector.kind == INDEX and rule.quantity is not None for rule in wish.rules):
            note = f"{wish.setting.variable}: indexes count the GPUs that NVML sees, without {where}"
            plan.notes.append(note)
        for rule in (*wish.rules, *wish.reset):
            if rule.quantity is None or rule.selector not in missing([rule], known):
                continue
            if any(_may_mean(rule.selector, gpu, state) for gpu in state.lost):
                continue
            target = _stray_name(rule.selector)
            detail = f"NVML does not know it; it may be the GPU at {where}: {LOCATED}"
            plan.unapplied.append(
                Unapplied(
                    wish.setting.key, rule.raw, "lost", detail,
                    target=target, target_name=target, origin=wish.origin,
                )
            )  # fmt: skip
            plan.degraded.append(target)


def _stray_name(selector: Selector) -> str:
    if selector.kind == UUID:
        return f"GPU-{selector.value[4:]}"
    return selector.value if selector.kind == PCI else f"gpu {selector.value}"


def _forget_locks(plan: Plan, state: NodeState) -> None:
    """What GPUs that are away were locked to is not to be relied on once they are back.

    A reset takes locks away and leaves the driver loaded, and NVML cannot be asked for them.
    """
    if not state.lost:
        return
    labels = {gpu.uuid: gpu.label for gpu in state.lost if gpu.uuid}
    plan.changes += [
        Change(
            LOCK_MEMORY,
            "remembered",
            "forgotten",
            target=uuid,
            target_name=labels.get(uuid, uuid),
            verify="accepted",
            undo="none",
            why="a GPU that comes back has lost its clock locks, and cannot be asked for them",
            data={"bookkeeping": True},
        )
        for uuid in state.locked
        if not state.gpu(uuid)
    ]
