# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles and playbooks hand to the modules: every module of GPUs hears of `gpu_boot` and of a freeze."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

MODULES = ("swarm.node.gpu", "swarm.node.gpu_mig", "swarm.node.kernel", "swarm.node.packages")


def tasks(block: Any) -> Iterator[dict[str, Any]]:
    """Every task of a list of tasks or plays, those in blocks too."""
    for item in block or []:
        yield item
        for name in ("tasks", "block", "rescue", "always"):
            yield from tasks(item.get(name))


def calls(path: Path) -> dict[str, dict[str, Any]]:
    """Module → its options, of all reconciling modules a file calls."""
    found = tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
    return {module: task[module] for task in found for module in MODULES if module in task}


@pytest.mark.parametrize(("file", "module"), [("mig", "gpu_mig"), ("reconcile", "gpu")])
def test_both_gpu_modules_hear_of_gpu_boot(checkout: Path, file: str, module: str) -> None:
    options = calls(checkout / f"roles/gpu/tasks/{file}.yml")[f"swarm.node.{module}"]
    assert options["boot"] == "{{ __gpu_wishes.boot | default(omit) }}"


def test_every_layer_that_is_given_back_hears_of_a_freeze(checkout: Path) -> None:
    found = calls(checkout / "playbooks/uninstall.yml")
    assert set(found) == set(MODULES)
    assert {module for module in found if "freeze" not in found[module]} == set()


def test_no_record_of_packages_is_left_behind(checkout: Path) -> None:
    """Every owner of packages that a role or playbook has is given back."""
    owners = set()
    for path in [*checkout.glob("roles/*/tasks/*.yml"), *checkout.glob("playbooks/*.yml")]:
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            options = task.get("swarm.node.packages")
            if options is not None and path.name != "uninstall.yml":
                owners.add(options.get("owner", "packages"))
    (loop,) = (
        task["loop"]
        for task in tasks(yaml.safe_load((checkout / "playbooks/uninstall.yml").read_text(encoding="utf-8")))
        if "swarm.node.packages" in task
    )
    assert owners == set(loop)
