# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu_mig layer as the engine sees it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

from ..core.contract import Port
from ..core.errors import BindError, LayerUnavailable, NodeError
from ..core.model import Change, Plan
from ..core.store import RUN_DIR, STATE_DIR, Record, Store
from ..gpu.checks import expect_problems
from ..gpu.layer import NEEDS_ROOT, can_write, expect_from
from ..gpu.lost import with_addresses
from ..gpu.managers import find_manager
from ..gpu.nvml import BindingMissing, Nvml
from ..gpu.presence import gpus_on_pci
from ..gpu.settings import Expect
from .aim import NEEDS_MODE, reset_of
from .differences import differences
from .plan import plan_mig, plan_pending
from .port import MigPort
from .reading import read_gpus
from .state import MigState, mode_text
from .wishes import LAYOUT, MODE, MigWish, parse_wish


@dataclass(frozen=True)
class MigOptions:
    """What the layer is to do.

    assert_only: fail where the node is not as asked for, and change nothing
    check: nothing will be written; pending: pynvml will be installed later in this run
    root: where /proc, /sys and /run are looked for
    """

    wish: Optional[MigWish] = None
    expect: Optional[Expect] = None
    assert_only: bool = False
    absent: bool = False
    check: bool = False
    pending: bool = False
    managed: bool = False
    root: Path = Path("/")
    owner: str = "gpu_mig"
    state_dir: str = STATE_DIR
    run_dir: str = RUN_DIR
    pynvml_path: str = ""
    library: str = ""

    @property
    def writes(self) -> bool:
        return not self.check and not self.managed and not self.assert_only


class MigLayer:
    """MIG mode and MIG instances of one owner."""

    name = "gpu_mig"

    def __init__(self, options: MigOptions) -> None:
        self.options = options
        self.nvml = Nvml(options.pynvml_path, options.library)
        self.port: Port = MigPort(self.nvml, options.root, self._wait_for_reset)
        self._plan = Plan()
        self.whole_plan: Callable[[], Plan] = lambda: self._plan
        """The plan that is carried out: another one where this layer is a part of a composite."""
        self._record = Record(options.owner)

    def manager(self) -> str:
        return find_manager(self.options.root)

    def owns(self, key: str) -> bool:
        """Whether a claim or a change is about MIG, and not about what else this owner holds."""
        return key.startswith("gpu_mig.")

    def read(self) -> MigState:
        """Raises NvmlError.

        Where nothing is asked for and nothing held, no GPU is asked: most nodes have no wish for MIG.
        """
        options = self.options
        pci = gpus_on_pci(options.root)
        if options.wish is None and not self._store().load(options.owner).claims:
            return MigState(pci=pci)
        try:
            gpus, lost = read_gpus(self.nvml, options.root)
        except LayerUnavailable as error:
            missing = isinstance(error, BindingMissing)
            return MigState(pci=pci, unavailable=str(error), binding_missing=missing)
        state = MigState(gpus, pci, begun=self._begun(), lost=lost)
        return replace(state, lost=with_addresses(lost, state.node))

    def plan(self, state: MigState, record: Record, others: dict[str, str]) -> Plan:
        """Raises BindError, LayerUnavailable, NodeError without root."""
        options = self.options
        if state.unavailable:
            return self._without_nvml(state, record)
        if options.wish and options.expect:
            problems = expect_problems(options.expect, state.node)
            if problems:
                raise BindError(problems)
        if options.assert_only:
            return self._asserted(state, record)
        plan = plan_mig(options.wish, state, record, others, options.absent)
        if plan.changes and options.writes and os.geteuid() != 0:
            raise NodeError(NEEDS_ROOT)
        self._plan, self._record = plan, record
        return plan

    def close(self) -> None:
        self.nvml.close()

    # -- inside

    def _asserted(self, state: MigState, record: Record) -> Plan:
        """Nothing to do, or BindError with every difference."""
        plan = plan_mig(self.options.wish, state, Record(record.owner), {})
        found = differences(plan)
        if found:
            raise BindError(found)
        plan.changes, plan.claims = [], dict(record.claims)
        return plan

    def _store(self) -> Store:
        return Store(self.options.state_dir, self.options.run_dir)

    def _begun(self) -> dict[str, list[str]]:
        """Layouts that a run which never finished found or meant to make, by claim."""
        journal = self._store().unfinished(self.options.owner) or {}
        entries = journal.get("changes")
        begun: dict[str, list[str]] = {}
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and entry.get("key") == LAYOUT:
                known = [*(entry.get("before") or ()), *(entry.get("after") or ())]
                begun[f"{LAYOUT} {entry.get('target')}"] = [str(item) for item in known]
        return begun

    def _wait_for_reset(self, change: Change, why: str) -> None:
        """Only the write tells that a mode does not take effect at once: what needs it cannot be done now."""
        needs = reset_of(change.data["index"])
        if change.required:
            raise NodeError(f"{change.label}: {why}; it needs {needs}, and it is required")
        change.when = "reboot"
        plan = self.whole_plan()
        plan.pending.append(
            {
                "key": MODE,
                "target": change.target,
                "target_name": change.target_name,
                "live": mode_text(change.after != mode_text(True)),
                "after": change.after,
                "when": "reboot",
                "detail": f"needs {needs} ({why})",
            }
        )
        known = {**self._record.claims, **plan.claims}
        for other in list(plan.changes):
            if other.target == change.target and other.data.get(NEEDS_MODE):
                detail = f"MIG is on only after {needs}; the layout comes after it"
                plan.withhold(other, "needs_reset", detail, known)

    def _without_nvml(self, state: MigState, record: Record) -> Plan:
        """A node without GPUs has nothing to do; one with GPUs must not pass as partitioned."""
        options = self.options
        if options.check and options.pending and state.binding_missing:
            why = "pynvml is not installed yet; this run would install it before the GPUs"
            return plan_pending(options.wish, record, why)
        if options.absent and not state.pci:
            return plan_mig(None, state, record, {}, True)
        if (options.wish or record.claims) and state.pci:
            raise LayerUnavailable(
                f"NVIDIA GPUs {len(state.pci)} on the PCI bus: {', '.join(state.pci)}; "
                f"nothing was changed: {state.unavailable}"
            )
        plan = Plan(claims=dict(record.claims))
        if options.wish:
            plan.notes.append("this node has no NVIDIA GPU: nothing to do")
        return plan


def options_from(params: Mapping[str, Any], check: bool) -> MigOptions:
    """Options from the module's parameters. Raises BindError; NodeError where writing is impossible."""
    absent, root = params["state"] == "absent", Path(params["sys_root"])
    wish = parse_wish(params["mig"], params["layouts"], params["origins"], params["required"])
    options = MigOptions(
        wish=None if absent else wish,
        expect=None if absent else expect_from(params["expect"], params["origins"]),
        assert_only=bool(params["assert_only"]) and not absent,
        absent=absent,
        check=check,
        pending=params["pynvml_pending"],
        managed=params["manage"] == "report" or (params["manage"] == "auto" and bool(find_manager(root))),
        root=root,
        owner=params["owner"] or MigLayer.name,
        state_dir=params["state_dir"],
        run_dir=params["run_dir"],
        pynvml_path=params["pynvml_path"] or "",
        library=params["nvml_library"] or "",
    )
    if options.writes and not all(can_write(Path(params[name])) for name in ("state_dir", "run_dir")):
        raise NodeError(NEEDS_ROOT)
    return options
