# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of whole meshes share: the lab's ten nodes in four sites, a registry, addresses."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab_runs import Nodes, Run

from lab.faults import Faults

MEMBERS = ("ams-1", "ams-2", "ams-3", "fra-1", "fra-2", "fra-3", "home-1", "home-2")
"""Those of the inventory; spare-1 and spare-2 have no mesh unless a test says so."""


class MeshLab(Nodes):
    """A lab, of the set `mesh` unless another inventory is named, with registries of its own."""

    def __init__(self, reports: Path, registries: Path, name: str, inventory: str = "lab-mesh") -> None:
        super().__init__(reports, inventory)
        self.registries = registries
        self.faults = Faults(name)
        self.extra_inventory = registries.parent / "more.yml"

    def mesh(self, playbook: str, *arguments: str, spares: Iterable[str] = (), **extra: Any) -> Run:
        """Runs swarm.node.mesh_<playbook>. spares: spare nodes that the inventory makes members."""
        return self.node(f"mesh_{playbook}", *arguments, spares=spares, **extra)

    def node(self, playbook: str, *arguments: str, spares: Iterable[str] = (), **extra: Any) -> Run:
        hosts = {name: {"mesh_name": "wan"} for name in spares}
        self.extra_inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
        variables = {"mesh_registry_dir": str(self.registries), **extra}
        words = ["-i", str(self.extra_inventory), *arguments, "-e", json.dumps(variables)]
        return self.play(f"swarm.node.{playbook}", *words)

    def registry(self, mesh: str = "wan") -> dict[str, Any]:
        return dict(yaml.safe_load((self.registries / f"{mesh}.yml").read_text("utf-8")))

    def edit(self, change: Any, mesh: str = "wan") -> str:
        """Changes the registry by hand; returns the text before."""
        path = self.registries / f"{mesh}.yml"
        before = path.read_text("utf-8")
        data = yaml.safe_load(before)
        change(data)
        path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        return before

    def put_back(self, text: str, mesh: str = "wan") -> None:
        (self.registries / f"{mesh}.yml").write_text(text, encoding="utf-8")

    def address(self, name: str) -> str:
        return f"10.99.0.{self.registry()['members'][name]['number']}"

    def address6(self, name: str) -> str:
        return f"fd5e:7a11:9c3d::{self.registry()['members'][name]['number']:x}"

    def silent(self, node: str, addresses: Iterable[str]) -> list[str]:
        """Of these addresses the ones that do not answer the node."""
        out = self.run(node, "fping", "-u", "-r", "4", "-t", "500", *addresses, check=False)
        return out.split()

    def interfaces(self, node: str) -> list[str]:
        out = self.run(node, "wg", "show", "interfaces")
        return sorted(out.split())

    def processes(self, node: str) -> dict[str, str]:
        """Interface → pid of its wireguard-go: another one means that the tunnel was restarted."""
        out = self.run(node, "ps", "-eo", "pid=,args=")
        return {found[2]: found[1] for found in re.finditer(r"(\d+) \S*wireguard-go\S* (wan-\S+)", out)}


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> MeshLab:
    name = os.environ.get("SWARM_NODE_LAB")
    if not name:
        pytest.fail("these tests need a lab of their own with the set `mesh`: run `make meshes`")
    base = tmp_path_factory.mktemp("mesh")
    (base / "registries").mkdir()
    return MeshLab(tmp_path_factory.mktemp("reports"), base / "registries", name)


@pytest.fixture(scope="session")
def mesh(lab: MeshLab) -> MeshLab:
    """The lab with the eight members of the inventory in one mesh."""
    run = lab.mesh("join", node_batches=["100%"])
    assert run.code == 0, run.output
    return lab
