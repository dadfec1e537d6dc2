# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gpu module with its boot part: GPUs, program and units in one transaction."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.boot import part
from ansible_collections.swarm.node.plugins.module_utils.boot.paths import PROGRAM, SERVICE, unit_path
from ansible_collections.swarm.node.plugins.modules import gpu
from gpu_boot_node import BootNode

UNITS = Path(__file__).resolve().parents[1] / "module_utils" / "boot"
sys.path.insert(0, str(UNITS))
from boot_host import SYSTEMCTL  # noqa: E402

FACTORY = (700, False, None, None)
WISH: dict[str, Any] = {"power_limit": 630, "graphics_clocks": 1980}
TUNED = (630, True, [345, 1980], None)


class Installed(BootNode):
    """A node whose program and units are those that the module installs."""

    def __init__(self) -> None:
        super().__init__("h100:2")
        self.pyz.unlink()
        (self.root / "etc/swarm_node/boot.d/gpu.conf").unlink()
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.systemd = self.base / "systemd"
        self.systemd.mkdir()
        (self.systemd / "version").write_text("systemd 252\n")
        self.systemctl = self.systemd / "systemctl"
        self.systemctl.write_text(SYSTEMCTL.format(here=self.systemd, root=self.root))
        for path in (self.base, *self.base.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o777)

    def module(self, boot: bool = True, **options: Any) -> dict[str, Any]:
        def composed(make: Any) -> Any:
            return lambda params: part.with_boot(make(params), {**params, "boot": boot})

        def patch() -> None:
            os.environ["PATH"] = f"{self.systemd}:{os.environ['PATH']}"
            inner = gpu.run
            if "boot" not in gpu.ARGUMENTS:
                gpu.run = lambda module, name, make: inner(module, name, composed(make))

        if "boot" in gpu.ARGUMENTS:
            options["boot"] = boot
        return self.run(before=patch, **{"pynvml_path": str(self.bindings), **options})

    def files(self) -> list[str]:
        return sorted(
            str(p.relative_to(self.root)) for p in self.root.glob("*/*/**/swarm*") if not p.is_dir()
        )


@pytest.fixture
def node() -> Installed:
    return Installed()


def test_what_the_module_installs_brings_the_values_back(node: Installed) -> None:
    seen = node.module(check=True, **WISH)
    assert node.files() == []
    done = node.module(**WISH)
    assert not done.get("failed"), done
    assert done["plan_digest"] == seen["plan_digest"] and node.values(0) == node.values(1) == TUNED
    keys = [change["key"] for change in done["changes"]]
    assert keys[-3:] == ["boot.enabled", "boot.enabled", "boot.timer"] and keys.count("file") == 6
    again = node.module(**WISH)
    assert (again["changed"], again["writes"], again["unapplied"]) == (False, 0, [])
    node.reboot()
    assert node.values(0) == FACTORY and node.program()[0] == 0
    assert node.values(0) == node.values(1) == TUNED
    gone = node.module(state="absent")
    assert gone["changed"] and node.values(0) == FACTORY and node.files() == [] and not node.record.exists()
    assert node.module(state="absent")["writes"] == 0


def test_the_diff_of_an_installation_is_readable(node: Installed) -> None:
    diff = node.module(check=True, **WISH)["diff"]["after"]
    assert "Description=Re-apply the GPU settings" in diff and len(diff) < 10_000


def test_a_unit_that_cannot_be_started_undoes_the_gpus_too(node: Installed) -> None:
    (node.systemd / "fail").write_text("start")
    failed = node.module(**WISH)
    assert failed["failed"] and "told to fail" in failed["msg"] and not failed["not_undone"]
    assert node.values(0) == FACTORY and node.files() == []


def test_gpus_that_cannot_be_set_leave_no_unit(node: Installed) -> None:
    node.sim.inject("nvmlDeviceSetPowerManagementLimit", "UNKNOWN")
    assert node.module(**WISH)["failed"] and node.files() == []


def test_the_board_s_own_values_need_no_unit(node: Installed) -> None:
    done = node.module(power_limit="default", graphics_clocks="unlocked")
    assert not done.get("failed") and not (node.root / PROGRAM.lstrip("/")).exists()


def test_no_unit_when_none_is_wanted(node: Installed) -> None:
    node.module(**WISH)
    assert node.files()
    done = node.module(boot=False, **WISH)
    assert done["changed"] and node.files() == [] and node.values(0) == TUNED


def test_a_managed_node_gets_no_unit(node: Installed) -> None:
    node.process(77, "nv-hostengine")
    done = node.module(**WISH)
    assert not done["changed"] and node.files() == []
    keys = {wish["key"] for wish in done["unapplied"]}
    assert "gpu.power_limit" in keys and not any(key.startswith("boot.") for key in keys)


def test_the_file_that_is_installed_is_the_bundle(node: Installed) -> None:
    node.module(**WISH)
    from gpu_boot_node import PROGRAM_TEXT

    assert node.pyz.read_bytes() == PROGRAM_TEXT.encode("utf-8", "surrogateescape")
    assert (node.root / unit_path(SERVICE).lstrip("/")).read_text().count(PROGRAM) >= 2


def test_no_unit_for_what_may_not_be_set(node: Installed) -> None:
    left_out = node.module(max_disruption="none", power_limit=630)
    assert not left_out["changed"] and left_out["writes"] == 0 and node.files() == []
    assert "needs_more_disruption" in {wish["reason"] for wish in left_out["unapplied"]}
    node.module(**WISH)
    assert node.module(max_disruption="none", power_limit=500, graphics_clocks=1980)["writes"] == 0
    assert node.files()
