# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at the nodes of the lab that SWARM_NODE_LAB names, past Ansible."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.ansible_run import CHECKOUT
from benchmarks.errors import BenchmarkError

TIMEOUT = 120.0


def _lab(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "lab", *words]
    try:
        return subprocess.run(line, cwd=CHECKOUT, capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"python -m lab {words[0]} did not end in {TIMEOUT:.0f} s") from error


def require_lab() -> str:
    """The lab's name. Raises BenchmarkError if none is named or the one named does not run."""
    name = os.environ.get("SWARM_NODE_LAB", "")
    if not name:
        raise BenchmarkError("SWARM_NODE_LAB names no lab: run `make bench`, or `scripts/with-lab bench ...`")
    done = _lab("status")
    if done.returncode != 0:
        raise BenchmarkError(f"the lab {name!r} is not up and well:\n{(done.stdout + done.stderr).strip()}")
    return name


def sh(node: str, script: str) -> str:
    """Runs a shell script in a node as root and returns its output. Raises BenchmarkError if it fails."""
    done = _lab("exec", node, "sh", "-c", script)
    if done.returncode != 0:
        raise BenchmarkError(f"{node}: a script ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
