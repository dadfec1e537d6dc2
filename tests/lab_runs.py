# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running lab for tests: commands on its nodes, and playbook runs with their reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


@dataclass
class Run:
    """One ansible-playbook run: exit code, output, and the JSON report of the summary callback."""

    code: int
    output: str
    report: dict[str, Any]

    def host(self, name: str) -> dict[str, Any]:
        return self.report["hosts"][name]

    def layer(self, host: str, layer: str, owner: str = "") -> dict[str, Any]:
        """The result of the layer; of its own role's where it served others, too, unless `owner` is named."""
        found = [item for item in self.host(host)["layers"] if item["layer"] == layer]
        if owner or len(found) > 1:
            found = [item for item in found if item["owner"] == (owner or layer)]
        assert len(found) == 1, f"{layer} of {host}: {found}"
        return found[0]

    def failure(self, host: str) -> str:
        """All failure messages of a host."""
        return "\n".join(item["msg"] for item in self.host(host)["failures"])


class Nodes:
    """The nodes of the running lab whose name is in SWARM_NODE_LAB.

    inventory: the one that names them, below inventories/
    """

    # s a playbook and a single command may take.
    playbook_seconds = 600.0
    command_seconds = 120.0

    def __init__(self, reports: Path, inventory: str = "lab") -> None:
        self.reports = reports
        self.inventory = CHECKOUT / "inventories" / inventory

    def run(self, node: str, *words: str, check: bool = True) -> str:
        """Runs a command in a node as root and returns its output."""
        line = [sys.executable, "-m", "lab", "exec", node, *words]
        done = subprocess.run(
            line, cwd=CHECKOUT, capture_output=True, text=True, timeout=self.command_seconds
        )
        assert not check or done.returncode == 0, f"{node}: {words}: {done.stdout}{done.stderr}"
        return done.stdout

    def sh(self, node: str, script: str, check: bool = True) -> str:
        return self.run(node, "sh", "-c", script, check=check)

    def reboot(self, node: str) -> None:
        line = [sys.executable, "-m", "lab", "reboot", node]
        subprocess.run(line, cwd=CHECKOUT, check=True, timeout=180, capture_output=True)

    def play(self, playbook: str, *arguments: str, **extra: Any) -> Run:
        """Runs a playbook on the lab. `extra` become extra variables."""
        variables = ["-e", json.dumps(extra)] if extra else []
        return self.raw(playbook, "-i", str(self.inventory), *arguments, *variables)

    def raw(self, playbook: str, *arguments: str) -> Run:
        """The same with an inventory of the caller's."""
        environment = {**os.environ, "SWARM_NODE_REPORT_DIR": str(self.reports), "ANSIBLE_NOCOLOR": "1"}
        line = [str(BIN / "ansible-playbook"), playbook, *arguments]
        latest = self.reports / "latest.json"
        latest.unlink(missing_ok=True)
        done = subprocess.run(
            line,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=self.playbook_seconds,
            env=environment,
        )
        report = json.loads(latest.read_text("utf-8")) if latest.exists() else {}
        return Run(done.returncode, done.stdout + done.stderr, report)
