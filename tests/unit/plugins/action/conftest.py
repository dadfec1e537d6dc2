# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs ansible-playbook on inventories made for a test and hands back what tasks answered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Writes every task's answer as one line of JSON; the file is named by an environment variable.
CALLBACK = '''
import json, os
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: dump
type: aggregate
short_description: results as lines
description: results as lines
"""

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "dump"

    def v2_runner_on_ok(self, result):
        self._dump(result, False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._dump(result, True)

    def _dump(self, result, failed):
        line = {"host": result.host.get_name(), "task": result.task.get_name(), "failed": failed,
                "result": result.result}
        with open(os.environ["DUMP_FILE"], "a") as out:
            out.write(json.dumps(line, default=str) + "\\n")
'''


@dataclass
class Answers:
    """(task, host) → the task's result; `output` is what Ansible printed."""

    found: dict[tuple[str, str], dict[str, Any]]
    failed: set[tuple[str, str]]
    output: str

    def ok(self, host: str, task: str = "merge") -> dict[str, Any]:
        assert (task, host) not in self.failed, self.found[task, host].get("msg")
        return self.found[task, host]

    def refused(self, host: str, task: str = "merge") -> list[dict[str, Any]]:
        """The problems; each must be whole, and be said in the message."""
        assert (task, host) in self.failed, f"{host} was not refused: {self.found[task, host]}"
        answer = self.found[task, host]
        assert answer["layer"] == "merge" and host in answer["msg"] and "nothing was changed" in answer["msg"]
        for problem in answer["problems"]:
            assert problem["key"] and problem["allowed"] and problem["origin"], problem
            assert f"{problem['key']}: {problem['value']!r}" in answer["msg"]
            assert problem["allowed"] in answer["msg"] and problem["origin"] in answer["msg"]
        return answer["problems"]

    def explained(self, host: str, key: str, task: str = "merge") -> dict[str, Any]:
        (entry,) = [entry for entry in self.ok(host, task)["explain"] if entry["key"] == key]
        return entry


@pytest.fixture
def play(tmp_path, collections_path):
    """Call with {file: text} and arguments for ansible-playbook; `play.yml` is what runs."""

    def run(
        files: dict[str, str], *arguments: str, inventory: str = "inv/hosts.yml", **environment: str
    ) -> Answers:
        for name, text in {**files, "callbacks/dump.py": CALLBACK}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        dump = tmp_path / "dump.jsonl"
        dump.unlink(missing_ok=True)
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "pb/play.yml", "-i", inventory]
        settings = {
            "ANSIBLE_CALLBACK_PLUGINS": str(tmp_path / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "dump",
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path),
            "ANSIBLE_CONFIG": str(tmp_path / "none.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"),
            "ANSIBLE_NOCOLOR": "1",
            "DUMP_FILE": str(dump),
            **environment,
        }
        (tmp_path / "none.cfg").touch()
        done = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
        )
        lines = [json.loads(line) for line in dump.read_text().splitlines()] if dump.exists() else []
        assert lines, done.stdout + done.stderr
        return Answers(
            {(line["task"], line["host"]): line["result"] for line in lines},
            {(line["task"], line["host"]) for line in lines if line["failed"]},
            done.stdout + done.stderr,
        )

    return run
