# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module of the collection as Ansible would, in a process of its own.

As a program: `module_runner.py MODULE JSON`, with the collection on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from ansible.module_utils.testing import patch_module_args

PACKAGE = "ansible_collections.swarm.node.plugins.modules"


class Killed(Exception):
    """The process died of a signal instead of answering; `args[0]` is its number."""


def run_here(name: str, parameters: dict[str, Any]) -> None:
    """The module's `main` with these parameters: prints the answer and raises SystemExit."""
    with patch_module_args(parameters):
        importlib.import_module(f"{PACKAGE}.{name}").main()


def start(name: str, parameters: dict[str, Any], before: Callable[[], None] | None = None) -> tuple[int, int]:
    """Starts the module in a fork, `before` running there first. Returns (pid, descriptor of its answer)."""
    importlib.import_module(f"{PACKAGE}.{name}")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.close(reading)
            os.dup2(writing, 1)
            sys.stdout = os.fdopen(1, "w", encoding="utf-8")
            if before:
                before()
            run_here(name, parameters)
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:  # noqa: BLE001 - the fork must end here, whatever happened
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(writing)
    return pid, reading


def finish(pid: int, reading: int) -> dict[str, Any]:
    """The module's answer. Raises Killed."""
    with os.fdopen(reading, encoding="utf-8") as stream:
        answer = stream.read()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        raise Killed(os.WTERMSIG(status))
    result: dict[str, Any] = json.loads(answer.splitlines()[-1])
    return result


def run_forked(
    name: str, parameters: dict[str, Any], before: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Starts the module and waits for its answer. Raises Killed."""
    return finish(*start(name, parameters, before))


if __name__ == "__main__":
    run_here(sys.argv[1], json.loads(sys.argv[2]))
