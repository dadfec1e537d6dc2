# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sorts of GPU settings that are re-applied, in their order: MIG first, for it may reset a GPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.model import Claim
from ..gpu.layer import GpuLayer, GpuOptions
from ..gpu.recorded import wishes_from_claims as settings_from_claims
from ..gpu_mig.layer import MigLayer, MigOptions
from ..gpu_mig.wishes import parse_wish
from ..gpu_mig.wishes import wishes_from_claims as layouts_from_claims
from .owners import Owner

Claims = Mapping[str, Claim]


@dataclass(frozen=True)
class Places:
    """Where things are on the node; check: nothing will be written."""

    root: Path
    state_dir: str
    run_dir: str
    check: bool


@dataclass(frozen=True)
class Kind:
    """One sort of settings.

    prefix: of the names of its claims
    layer: makes a layer that asks for nothing; aim: makes it ask for what claims hold. Raises BindError.
    """

    prefix: str
    layer: Callable[[Owner, Places], Any]
    aim: Callable[[Any, Owner, Claims], None]

    def owns(self, claim: str) -> bool:
        return claim.startswith(self.prefix)


def _mig_layer(owner: Owner, places: Places) -> MigLayer:
    return MigLayer(
        MigOptions(
            check=places.check,
            root=places.root,
            owner=owner.name,
            state_dir=places.state_dir,
            run_dir=places.run_dir,
            pynvml_path=owner.pynvml_path,
            library=owner.nvml_library,
        )
    )


def _aim_mig(layer: MigLayer, owner: Owner, claims: Claims) -> None:
    origin = {"mig": f"record of owner {owner.name}"}
    wish = parse_wish(layouts_from_claims(claims) or None, None, origin, ())
    layer.options = replace(layer.options, wish=wish)


def settings_layer(owner: Owner, places: Places) -> GpuLayer:
    return GpuLayer(
        GpuOptions(
            check=places.check,
            root=places.root,
            run_dir=places.run_dir,
            pynvml_path=owner.pynvml_path,
            library=owner.nvml_library,
        )
    )


def _aim_settings(layer: GpuLayer, owner: Owner, claims: Claims) -> None:
    layer.options = replace(layer.options, wishes=settings_from_claims(claims, owner.name))


KINDS = (
    Kind("gpu_mig.", _mig_layer, _aim_mig),
    Kind("gpu.", settings_layer, _aim_settings),
)
