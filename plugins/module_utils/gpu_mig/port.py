# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the layer that changes anything: the MIG mode and the instances of a GPU.

A layout is applied and undone in the same way: what is there and is not in the layout goes, what is
missing comes at its place. So it does not matter where an earlier run stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

from ..core.errors import NodeError
from ..core.model import Change
from ..gpu.nvml import RESET_REQUIRED, Nvml, NvmlError
from .api import IN_USE, Handle, MigApi, explained
from .bind import compute_steps
from .fit import Arrangement, Place
from .notation import ENABLED, Wanted, from_texts, kind_text, texts
from .reading import compute_handles, handles, read_instance, read_processes, read_profiles
from .state import Instance, Process, Profile, mode_text, named
from .wishes import MODE

STATUS = {IN_USE: "the GPU is in use", RESET_REQUIRED: "the driver cannot reset it by itself"}

Waits = Callable[[Change, str], None]
"""Told of a mode that is set and waits for a reset, with why."""


class MigPort:
    """Applies, undoes and reads back the mode or the whole layout of single GPUs (`change.target`)."""

    def __init__(self, nvml: Nvml, root: Path, waits: Waits) -> None:
        self.nvml = nvml
        self.api = MigApi(nvml)
        self.root = root
        self.waits = waits
        self.writes = 0

    def apply(self, change: Change) -> None:
        """Raises TargetLost, NodeError."""
        if change.key == MODE:
            status = self._set_mode(change, change.after)
            if status:
                self.waits(change, status)
        else:
            self._bring(change.target, change.after)

    def undo(self, change: Change) -> None:
        """Puts mode or layout back. MIG devices made again have other UUIDs than before."""
        if change.key != MODE:
            self._bring(change.target, change.before)
        elif change.undo == "exact":
            self._set_mode(change, change.before)

    def reopen(self) -> None:
        self.nvml.reopen()

    def readback(self, change: Change) -> Any:
        """What the mode is set to, or every instance with its place. Raises TargetLost, NvmlError."""
        mode = self.api.mode(change.target)
        if change.key == MODE:
            return None if mode is None else mode_text(mode[1])
        if mode is None or not mode[0]:
            return []
        found = handles(self.api, change.target, read_profiles(self.api, change.target))
        return texts([instance.wanted for _handle, instance in found])

    # -- mode

    def _set_mode(self, change: Change, value: str) -> str:
        """Why it waits for a reset, "" if it is in effect. Raises NodeError if it is neither."""
        uuid, on = change.target, value == ENABLED
        self.writes += 1
        code = self.api.set_mode(uuid, on)
        mode = self.api.mode(uuid)
        if mode is None:
            raise NodeError(f"{uuid} says nothing of its MIG mode any more")
        reason = STATUS.get(code, f"NVML error {code}" if code else "")
        if mode[0] == on:
            if not change.data.get("live"):
                # The GPU may have been reset: what is known of it is of the time before.
                self.reopen()
            return ""
        if mode[1] == on and (code == RESET_REQUIRED or not change.data.get("live")):
            return reason or "it takes effect with a reset"
        users = named(read_processes(self.nvml, uuid, self.root))
        by = f" by {users}" if users else ""
        raise NodeError(f"MIG cannot be {value} on {uuid}: {reason or 'nothing happened'}{by}")

    # -- layout

    def _bring(self, uuid: str, layout: Sequence[str]) -> None:
        """Destroys and makes instances until they are the layout."""
        wanted = {(item.profile, item.start): item for item in from_texts(layout)}
        mode = self.api.mode(uuid)
        if mode is None or not mode[0]:
            if wanted:
                raise NodeError(f"MIG is not on, so that {uuid} can have no instances")
            return
        profiles = read_profiles(self.api, uuid)
        processes = read_processes(self.nvml, uuid, self.root)
        kept: list[tuple[Handle, Instance, Arrangement]] = []
        for handle, instance in handles(self.api, uuid, profiles):
            item = wanted.pop((instance.profile, instance.start), None)
            if item is None:
                self._destroy(uuid, handle, instance)
            else:
                kept.append((handle, instance, self._steps(instance, item, processes)))
        for handle, instance, steps in kept:
            self._destroy_compute(
                uuid, handle, instance, {instance.compute[gone].number for gone in steps.gone}
            )
        for item in sorted(wanted.values(), key=str):
            self._create(uuid, item, profiles)
        for handle, instance, steps in kept:
            self._create_compute(uuid, handle, instance, steps)

    def _steps(self, instance: Instance, item: Wanted, processes: Sequence[Process] = ()) -> Arrangement:
        steps = compute_steps(instance, item.compute, processes)
        if steps is None:
            has = ", ".join(kind_text(kind) for kind in sorted(instance.profiles))
            raise NodeError(f"{item}: the driver offers {has} in {instance.profile}, and these do not fit so")
        return steps

    def _destroy(self, uuid: str, handle: Handle, instance: Instance) -> None:
        self._destroy_compute(uuid, handle, instance, {item.number for item in instance.compute})
        doing = f"{instance.wanted} cannot be destroyed"
        self._write(uuid, doing, self.api.destroy_gpu_instance, handle)

    def _destroy_compute(self, uuid: str, handle: Handle, instance: Instance, numbers: set[int]) -> None:
        if not numbers:
            return
        for inner, item in compute_handles(self.api, uuid, handle, instance.profiles):
            if item.number in numbers:
                doing = (
                    f"the compute instance {kind_text(item.kind)} of {instance.wanted} cannot be destroyed"
                )
                self._write(uuid, doing, self.api.destroy_compute_instance, inner)

    def _create(self, uuid: str, item: Wanted, profiles: dict[str, Profile]) -> None:
        profile = profiles.get(item.profile)
        place = next((place for place in profile.places if place[0] == item.start), None) if profile else None
        if profile is None or place is None:
            raise NodeError(f"{item}: the driver offers no such profile or place on {uuid} any more")
        doing = f"{item} cannot be created"
        handle = self._write(uuid, doing, self.api.create_gpu_instance, profile.number, place)
        instance = read_instance(self.api, uuid, handle, profile)
        self._create_compute(uuid, handle, instance, self._steps(instance, item))

    def _create_compute(self, uuid: str, handle: Handle, instance: Instance, steps: Arrangement) -> None:
        for piece, found in steps.made:
            number = instance.profiles.get(piece.kind)
            where = f"{instance.profile}:{instance.start}"
            doing = f"the compute instance {kind_text(piece.kind)} of {where} cannot be created"
            if number is None:
                raise NodeError(f"{doing}: the driver does not offer it")
            place: Optional[Place] = found if found[1] else None
            self._write(uuid, doing, self.api.create_compute_instance, handle, number, place)

    def _write(self, uuid: str, doing: str, call: Callable[..., Any], *arguments: Any) -> Any:
        self.writes += 1
        try:
            return call(uuid, *arguments)
        except NvmlError as error:
            users = named(read_processes(self.nvml, uuid, self.root)) if error.code == IN_USE else ""
            raise explained(error, doing, users) from error
