# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot unit as a part of the gpu layer: there while the owner's record holds what a boot takes away."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.composite import Composite, Part
from ..core.contract import Port
from ..core.errors import NodeError
from ..core.interpreter import PYTHON, lasting
from ..core.managed_files import FILE
from ..core.model import Claim, Plan
from ..core.store import Record
from ..gpu.presence import gpus_on_pci
from .bundle import bundle
from .containers import without_gpus_after_reload
from .kinds import KINDS
from .owners import Owner, render_owner
from .paths import OWNERS, PROGRAM, UNITS, links, owner_path, unit_path
from .plan import KEYS, BootState, needs_reload, plan_boot
from .port import BootPort
from .systemd import FORGETFUL, Systemctl
from .units import AFTER, after, texts

LASTING = ("gpu.ecc",)
"""Keys that a GPU keeps over a boot by itself: nothing for which the unit would be needed."""

FACTORY = (None, False, "unlocked", "default", "disabled")
"""Values that a GPU has after a boot anyhow, in whatever key."""


@dataclass(frozen=True)
class BootOptions:
    """owner: on whose behalf, and how the record is re-applied
    wanted: False takes the unit away (state: absent, or the operator wants none)
    managed: somebody else looks after the GPUs, so nothing is planned
    root: where /etc, /usr, /run, /proc and /sys are ("/" but in tests)
    systemctl, python: commands; the interpreter is the one that runs this where none is named
    """

    owner: Owner
    state_dir: str
    wanted: bool = True
    managed: bool = False
    root: Path = Path("/")
    systemctl: str = "systemctl"
    python: str = ""


class BootPart:
    """A `composite.Part`. It is the last one: `claims`: what the parts before it will hold."""

    def __init__(self, options: BootOptions, claims: Callable[[], Mapping[str, Claim]]) -> None:
        self.options = options
        self.claims = claims
        self.systemctl = Systemctl(options.systemctl)
        self._port = BootPort(options.root, options.state_dir, self.systemctl)
        self.port: Port = self._port
        self.texts = self._texts()

    def owns(self, key: str) -> bool:
        name, _space, target = key.partition(" ")
        if name == FILE:
            return target in self.texts
        return name in KEYS

    def read(self) -> BootState:
        """Raises NodeError where systemctl does not answer, OSError."""
        names = list(self.texts)
        masked = frozenset(name for name in UNITS if self._port.is_masked(unit_path(name)))
        state = BootState(
            systemd=(self.options.root / "run/systemd/system").is_dir(),
            files={path: self._port.files.read(path) for path in names},
            masked=masked,
            links={path: self._port.is_link(path) for name in UNITS for path in links(name)},
            owners=self._owners(),
        )
        return self._with_systemd(state) if state.systemd else state

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        if self.options.managed:
            return Plan()
        held = tuple(name for name, claim in self.claims().items() if _is_volatile(name, claim))
        wanted = self.options.wanted and bool(held)
        plan = plan_boot(wanted, self.options.owner.name, self.texts, state)
        if wanted:
            # Where all that would be held is too disruptive to set, there is nothing to set again.
            for change in plan.changes:
                change.serves = held
        return plan

    # -- inside

    def _texts(self) -> dict[str, str]:
        owner = self.options.owner
        return {
            PROGRAM: bundle(),
            owner_path(owner.name): render_owner(owner),
            **texts(self.options.python or interpreter()),
        }

    def _owners(self) -> tuple[str, ...]:
        try:
            found = sorted((self.options.root / OWNERS.lstrip("/")).iterdir())
        except OSError:
            return ()
        return tuple(path.stem for path in found if path.suffix == ".conf")

    def _with_systemd(self, state: BootState) -> BootState:
        """The state with what systemctl says. A node where nothing of ours is, nor will be, asks nothing."""
        options = self.options
        wanted = options.wanted and gpus_on_pci(options.root)
        if options.managed or not (wanted or any(state.files.values())):
            return state
        units = self.systemctl.show((*UNITS, *AFTER))
        behind = after({name: unit.after for name, unit in units.items()})
        self.texts.update(texts(options.python or interpreter(), behind))
        fresh = any(state.files[unit_path(name)] is None for name in UNITS)
        forgetful = fresh and self.systemctl.version() in FORGETFUL
        known = replace(state, units=units, forgetful=forgetful)
        return replace(known, cut_off=self._cut_off()) if needs_reload(self.texts, known) else known

    def _cut_off(self) -> tuple[str, ...]:
        def allowed(scope: str) -> str:
            with contextlib.suppress(NodeError):
                return self.systemctl.allowed_devices(scope)
            return ""

        return without_gpus_after_reload(self.options.root, allowed)


def _is_volatile(name: str, claim: Claim) -> bool:
    """Whether a boot takes away what a claim holds, and the program brings it back."""
    re_applied = any(kind.owns(name) for kind in KINDS)
    return re_applied and name.partition(" ")[0] not in LASTING and claim.applied not in FACTORY


def with_boot(
    layer: Any, params: Mapping[str, Any], parts: Sequence[Part] = (), systemctl: str = "systemctl"
) -> Composite:
    """A layer of GPUs (GpuLayer, MigLayer), further parts, and the boot unit as the last one.

    params: the module's owner, state, boot, manage, state_dir, sys_root, pynvml_path, nvml_library
    """
    owner = Owner(
        params["owner"] or layer.name,
        "manage" if params["manage"] == "manage" else "auto",
        params["pynvml_path"] or "",
        params["nvml_library"] or "",
    )
    wanted = params["boot"] and params["state"] == "present"
    options = BootOptions(
        owner, params["state_dir"], wanted, layer.options.managed, Path(params["sys_root"]), systemctl
    )
    boot = BootPart(options, lambda: composite.planned.claims)
    composite = Composite(layer.name, [layer, *parts, boot], layer.manager)
    return composite


def interpreter() -> str:
    """The Python that runs this, as the units name it."""
    return lasting(PYTHON, sys.executable, sys.prefix != sys.base_prefix)
