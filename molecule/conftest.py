# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""testinfra hosts for all scenarios: the lab's nodes over ssh, as Ansible reaches them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import testinfra

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from lab.keys import ssh_options  # noqa: E402
from lab.paths import LabPaths  # noqa: E402
from lab.sets import nodes_of  # noqa: E402
from lab.spec import Node  # noqa: E402

PATHS = LabPaths(os.environ.get("SWARM_NODE_LAB") or "molecule")
NODES = nodes_of(PATHS)


@pytest.fixture(scope="session")
def ssh_config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An ssh configuration with every node of the lab under its name."""
    path = tmp_path_factory.mktemp("ssh") / "config"
    lines = []
    for node in NODES:
        lines += [f"Host {node.name}", f"  HostName {node.login}", f"  User {node.user}"]
        lines += [f"  IdentityFile {PATHS.key}"]
        lines += ["  " + option.replace("=", " ", 1) for option in ssh_options(PATHS)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="session")
def nodes(ssh_config: str) -> dict[str, Any]:
    """Node name → testinfra host, with root's rights."""
    return {
        node.name: testinfra.get_host(
            f"ssh://{node.name}",
            ssh_config=ssh_config,
            sudo=node.user != "root",
            **(shared_login(ssh_config, node) if node.machine else {}),
        )
        for node in NODES
    }


def shared_login(ssh_config: str, node: Node) -> dict[str, Any]:
    """A virtual machine may need seconds for a login: one serves all commands."""
    return {"timeout": 120, "controlpath": str(Path(ssh_config).with_name(node.name))}


@pytest.fixture(params=[node.name for node in NODES])
def node(request: pytest.FixtureRequest, nodes: dict[str, Any]) -> Any:
    """Each node in turn."""
    return nodes[request.param]


@pytest.fixture(params=[node.name for node in NODES if node.boards])
def gpu_node(request: pytest.FixtureRequest, nodes: dict[str, Any]) -> Any:
    """Each node with GPUs in turn."""
    return nodes[request.param]


def boards(node: Any) -> list[dict[str, Any]]:
    """What the simulator itself says of the boards, locks included."""
    return json.loads(node.check_output("nvml-sim status --json"))["gpus"]


def instances(node: Any) -> dict[int, list[str]]:
    """GPU index → names of its MIG instances, sorted; only GPUs that have any."""
    found = {
        board["index"]: sorted(item["profile"] for item in board["mig_instances"]) for board in boards(node)
    }
    return {index: names for index, names in found.items() if names}


WATTS = {
    "NVIDIA H100 80GB HBM3": 630,
    "NVIDIA A100-SXM4-40GB": 360,
    "NVIDIA B200": 900,
    "NVIDIA L40S": 315,
    "Tesla T4": 68,
}
"""Model → what the gpu scenario asks for: 90 % of the default, of a T4 80 % of its range."""

EXCLUSIVE_PROCESS = 3
"""NVML's number of the compute mode."""
