# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose simulated GPUs can be parted, seen as its operator sees it."""

from __future__ import annotations

import json
from typing import Any

from gpu_node import GpuNode


class MigNode(GpuNode):
    """Runs the module gpu_mig; changes that disturb jobs are allowed unless a test says otherwise."""

    def run(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        options = {"module": "gpu_mig", "max_disruption": "node_jobs", **options}
        if options["module"] != "gpu_mig":
            del options["max_disruption"]
        return super().run(*arguments, **options)

    def mode(self, index: int = 0) -> tuple[int, int]:
        """(in effect, set)."""
        current, pending = self.sim.gpu(index)["mig"]
        return current, pending

    def layout(self, index: int = 0) -> list[str]:
        """Every instance as the simulator has it, written as results write it."""
        found = []
        for item in self.sim.gpu(index)["mig_instances"]:
            inside = sorted((inner["profile"] for inner in item["compute"]), key=_slices, reverse=True)
            text = f"{item['profile']}:{item['placement'][0]}"
            if inside != [item["profile"]]:
                text += f" ({', '.join(f'{_slices(name)}c' for name in inside) or 'none'})"
            found.append((item["placement"][0], text))
        return [text for _start, text in sorted(found)]

    def instance(self, start: int, index: int = 0) -> int:
        """The id of the GPU instance that begins there."""
        instances = self.sim.gpu(index)["mig_instances"]
        return int(next(item["id"] for item in instances if item["placement"][0] == start))

    def claims(self) -> dict[str, Any]:
        path = self.base / "state" / "gpu_mig.json"
        return dict(json.loads(path.read_text())["claims"]) if path.exists() else {}

    def use(self, start: int, pid: int = 4711, name: str = "python3", index: int = 0) -> None:
        """A process runs on the instance that begins there."""
        self.process(pid, name)
        self.sim.node.process(f"{index}:{self.instance(start, index)}", pid, 100)


def _slices(profile: str) -> int:
    """Compute slices of a compute instance by its name: `2c.3g.40gb` and `2g.20gb` are 2."""
    return int(profile[0])
