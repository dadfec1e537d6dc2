# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""/etc/nccl.conf as a part of the gpu layer: held while it is asked for, never over somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.contract import Port
from ..core.errors import BindError, Problem
from ..core.managed_files import FILE, FilePort, digest, file_change
from ..core.model import Claim, Plan, Unapplied
from ..core.store import Record
from ..gpu.nvml import Nvml
from .model import Topology
from .nccl import Wanted, nccl_text, problems
from .read import read_topology

PATH = "/etc/nccl.conf"
CLAIM = f"{FILE} {PATH}"
VARIABLE = "gpu_nccl"
FORMS = "true, false, or a map with interfaces (list), devices (list) and settings (map)"


def mistakes_in_nccl(raw: Any) -> list[tuple[Any, str]]:
    """What is wrong with the writing of `gpu_nccl`, as (value, what is allowed). Pure."""
    if raw is None or isinstance(raw, bool):
        return []
    if not isinstance(raw, Mapping):
        return [(raw, FORMS)]
    mistakes: list[tuple[Any, str]] = [
        (key, FORMS) for key in raw if key not in ("interfaces", "devices", "settings")
    ]
    for key in ("interfaces", "devices"):
        value = raw.get(key, [])
        if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
            mistakes.append((value, f"{key} as a list of names"))
    settings = raw.get("settings", {})
    plain = isinstance(settings, Mapping) and all(
        isinstance(value, (str, int)) and not isinstance(value, bool) for value in settings.values()
    )
    if not plain:
        mistakes.append((settings, "settings as a map from NCCL's variables to texts or numbers"))
    return mistakes


def wanted_from(raw: Any, origin: str = "") -> Wanted | None:
    """What is asked for, None if nothing is. Raises BindError."""
    mistakes = mistakes_in_nccl(raw)
    if mistakes:
        raise BindError([Problem(VARIABLE, value, allowed, origin) for value, allowed in mistakes])
    if not raw and not isinstance(raw, Mapping):
        return None
    if raw is True:
        return Wanted()
    settings = {str(name): str(value) for name, value in raw.get("settings", {}).items()}
    return Wanted(tuple(raw.get("interfaces", [])), tuple(raw.get("devices", [])), settings)


def nccl_part(nvml: Nvml, params: Mapping[str, Any]) -> NcclPart:
    """The part for a module's parameters (nccl, state, origins, sys_root, state_dir). Raises BindError."""
    origin, root = params["origins"].get("nccl", ""), Path(params["sys_root"])
    wanted = wanted_from(params["nccl"], origin) if params["state"] == "present" else None
    return NcclPart(wanted, lambda: read_topology(nvml, root), root, params["state_dir"], origin)


@dataclass(frozen=True)
class NcclState:
    """The file as it is, and how this node is connected; None: nobody asks."""

    live: str | None = None
    topology: Topology | None = None


class NcclPart:
    """Brings the file to what the topology justifies, while it is wanted; takes it back otherwise."""

    def __init__(
        self,
        wanted: Wanted | None,
        survey: Callable[[], Topology],
        root: Path,
        state_dir: str,
        origin: str = "",
    ) -> None:
        self.wanted = wanted
        self.survey = survey
        self.origin = origin
        self.files = FilePort(root, state_dir)
        self.port: Port = self.files

    def owns(self, key: str) -> bool:
        return key == CLAIM

    def read(self) -> NcclState:
        """Raises OSError."""
        live = self.files.read(PATH)
        return NcclState(live, None if self.wanted is None else self.survey())

    def plan(self, state: NcclState, record: Record, others: dict[str, str]) -> Plan:
        """Pure. Raises BindError for names that this node does not have."""
        claim = record.claims.get(CLAIM)
        derived = None
        # Without a GPU nobody reads the file, and a fleet's variable names interfaces that are not here.
        if self.wanted is not None and state.topology is not None and state.topology.gpus:
            found = problems(state.topology, self.wanted, VARIABLE, self.origin)
            if found:
                raise BindError(found)
            derived = nccl_text(state.topology, self.wanted)
        if claim is None and state.live is not None and derived is not None:
            if state.live != derived:
                return _not_ours(derived, self.origin)
            # The very text that we would write: ours, and only the record of it was lost.
            return Plan(claims={} if CLAIM in others else {CLAIM: Claim(None, digest(derived))})
        return _ours(state.live, derived, claim, self.origin)


def _not_ours(derived: str, origin: str) -> Plan:
    """Somebody else's file stays; what it would be is said, so that it can be merged by hand."""
    lines = [line for line in derived.splitlines() if line and not line.startswith("#")]
    detail = (
        f"{PATH} is there and not of this collection, so it stays; this node would have: {', '.join(lines)}"
    )
    return Plan(unapplied=[Unapplied("gpu.nccl", True, "managed_by", detail, live=PATH, origin=origin)])


def _ours(live: str | None, derived: str | None, claim: Claim | None, origin: str) -> Plan:
    plan = Plan()
    if claim is None and derived is None:
        return plan
    edited = live is not None and claim is not None and digest(live) != claim.applied
    why = "derived from how GPUs and network devices are connected" if derived else "no longer asked for"
    change = file_change(PATH, live, derived, edited, why)
    if change:
        change.origin, change.claim = origin, CLAIM if derived else ""
        plan.changes.append(change)
    if edited and change:
        plan.notes.append(f"{PATH} was edited by hand; a copy of it is kept when it is replaced")
    if derived is not None:
        plan.claims[CLAIM] = Claim(None, digest(derived))
    return plan
