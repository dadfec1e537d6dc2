# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tasks of one run tell each other: small files in the run's own directory on the controller.

A plan of a thousand members is no variable of a thousand hosts: every task would template all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from .plan import VerifyPlan, plan_from
from .timing import Clock


class Notes:
    """Of one mesh. directory: of the run; Ansible removes it at the end"""

    def __init__(self, directory: Path, mesh: str) -> None:
        self._place = directory / f"swarm_verify_{mesh}"

    def begin(self, plan: VerifyPlan) -> None:
        """Whatever an earlier task of the run has noted of the mesh is gone then."""
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._place.iterdir():
            path.unlink()
        self._write("plan", plan.as_data())
        self._write("head", replace(plan, pairs=()).as_data())

    def plan(self) -> VerifyPlan:
        """Raises FileNotFoundError before `begin`."""
        return plan_from(json.loads((self._place / "plan.json").read_text(encoding="utf-8")))

    def head(self) -> VerifyPlan:
        """The plan without its pairs, which every host's task reads."""
        return plan_from(json.loads((self._place / "head.json").read_text(encoding="utf-8")))

    def put(self, kind: str, host: str, data: Mapping[str, Any]) -> None:
        self._write(f"{kind}.{host}", data)

    def get(self, kind: str, host: str) -> Optional[dict[str, Any]]:
        try:
            return dict(json.loads((self._place / f"{kind}.{host}.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def fail(self, host: str, why: str) -> None:
        """The first reason stays: the others follow from it."""
        if self.get("failed", host) is None:
            self.put("failed", host, {"why": why})

    def clocks(self, hosts: Iterable[str]) -> dict[str, Clock]:
        """Of those that serve."""
        found = {host: self.get("clock", host) for host in hosts}
        return {host: Clock(**data) for host, data in found.items() if data is not None}

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        path = self._place / f"{name}.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(data), encoding="utf-8")
        temporary.replace(path)
