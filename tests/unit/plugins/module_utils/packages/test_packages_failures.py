# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every call that can fail, on a small distribution: what is said, and what is undone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError, TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.packages import port as port_module
from ansible_collections.swarm.node.plugins.module_utils.packages.imports import find_module
from packages_fakes import Distribution, Node

LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 1 (apt-get)"


# -- failures


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("dpkg-query", "dpkg-query cannot read the packages: boom"),
        ("policy", "apt-cache cannot read the package lists: boom"),
    ],
)
def test_a_reading_that_fails(node: Node, distribution: Distribution, step: str, words: str) -> None:
    distribution.change(faults={step: {"err": "E: boom"}})
    with pytest.raises(NodeError, match=words):
        node.run("ethtool")
    assert distribution.changing_calls() == []


def test_a_simulation_that_fails_is_a_refusal(node: Node, distribution: Distribution) -> None:
    distribution.change(faults={"simulate": {"err": "E: held broken packages"}})
    assert "held broken packages" in node.run("ethtool").plan.unapplied[0].detail


def test_broken_dependencies_of_the_node_stop_the_run(node: Node, distribution: Distribution) -> None:
    distribution.change(faults={"simulate": {"err": "E: Unmet dependencies. Try 'apt --fix-broken install'"}})
    with pytest.raises(NodeError, match="nothing was changed: installed packages of this node lack"):
        node.run("ethtool")


@pytest.mark.parametrize("check", [True, False])
def test_an_interrupted_dpkg_is_left_to_the_operator(
    node: Node, distribution: Distribution, check: bool
) -> None:
    distribution.install("postfix", status="half-configured")
    with pytest.raises(NodeError, match=r"postfix \(half-configured\); run 'dpkg --configure -a'"):
        node.run("ethtool", check=check)
    distribution.install("ethtool")
    assert node.run("ethtool", check=check).changed is False


def test_a_half_installed_transaction_is_removed_and_nothing_else(
    node: Node, distribution: Distribution
) -> None:
    distribution.change(
        faults={
            "install": {
                "whole": ["libps"],
                "half": ["python3-psutil"],
                "err": "dpkg: error processing package python3-psutil (--configure):\nE: Sub-process failed",
            }
        }
    )
    with pytest.raises(TransactionFailed, match="error processing package python3-psutil") as error:
        node.run("python3-psutil")
    assert error.value.not_undone == []
    assert distribution.installed() == set()
    assert distribution.world["installed"]["postfix"]["status"] == "installed"
    assert [call for call in distribution.calls() if "remove" in call][-1][-2:] == ["libps", "python3-psutil"]
    assert (node.claims(), node.journal()) == ({}, False)


def test_a_removal_that_fails_is_said_and_the_journal_stays(node: Node, distribution: Distribution) -> None:
    distribution.change(
        faults={"install": {"half": ["ethtool"], "err": "E: boom"}, "remove": {"err": "E: cannot remove"}}
    )
    with pytest.raises(TransactionFailed, match="could not be undone") as error:
        node.run("ethtool")
    assert "cannot remove" in error.value.not_undone[0]["error"]
    assert node.journal()


def test_an_undo_never_takes_others_along(node: Node, distribution: Distribution) -> None:
    distribution.install("user-of-ethtool", depends=["ethtool"])
    distribution.change(faults={"install": {"whole": ["ethtool"], "err": "E: boom"}})
    with pytest.raises(TransactionFailed) as error:
        node.run("ethtool")
    assert "apt would also remove user-of-ethtool" in error.value.not_undone[0]["error"]
    assert {"ethtool", "user-of-ethtool"} <= distribution.installed()


def test_an_upgrade_that_came_along_is_not_undone_and_said(node: Node, distribution: Distribution) -> None:
    distribution.install("libps", "0.9")
    distribution.change(
        upgrades=["libps"],
        faults={"install": {"whole": ["libps"], "half": ["python3-psutil"], "err": "E: x"}},
    )
    with pytest.raises(TransactionFailed) as error:
        node.run("python3-psutil")
    assert error.value.not_undone == [
        {
            "key": "package",
            "target": "libps",
            "error": "stays at 1.0: apt does not go back to an older version",
        }
    ]
    assert distribution.installed() == {"libps"}


def test_another_version_than_planned_does_not_pass(node: Node, distribution: Distribution) -> None:
    distribution.change(other_version="0.0")
    with pytest.raises(TransactionFailed, match=r"'6.1' was accepted, but reads back as '0.0'"):
        node.run("ethtool")
    assert distribution.installed() == set()


def test_a_lock_is_waited_for(
    node: Node, distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port_module, "LOCK_PAUSE", 0.01)
    distribution.change(faults={"download": {"times": 2, "err": LOCKED}})
    node.run("ethtool", lock_timeout=20, update_cache="never")
    assert distribution.changing_calls() == ["download", "download", "download", "install"]


def test_a_lock_that_stays_is_named(node: Node, distribution: Distribution) -> None:
    distribution.change(faults={"install": {"err": LOCKED}})
    with pytest.raises(TransactionFailed, match=r"another process is using apt or dpkg.*waited 0 s") as error:
        node.run("ethtool")
    assert error.value.not_undone == []


def test_without_apt_only_modules_count(node: Node, distribution: Distribution, tmp_path: Path) -> None:
    (distribution.bin / "dpkg-query").unlink()  # apt-get alone: a distribution with rpm
    (tmp_path / "pynvml.py").touch()
    provides = {"python3-pynvml": "pynvml"}
    outcome = node.run("python3-pynvml", "ethtool", provides=provides, paths=(str(tmp_path),))
    assert [wish.target for wish in outcome.plan.unapplied] == ["ethtool"]
    assert outcome.plan.details[0]["found_at"] == str(tmp_path / "pynvml.py")
    assert distribution.calls() == []


def test_a_signal_waits_for_apt_and_then_undoes(distribution: Distribution, tmp_path: Path) -> None:
    """SIGTERM during the installation: apt ends in peace, its packages are removed again."""
    distribution.change(slow=1.0)
    program = tmp_path / "run.py"
    program.write_text(
        textwrap.dedent(
            """
            import sys
            from ansible_collections.swarm.node.plugins.module_utils.core.contract import Request
            from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
            from ansible_collections.swarm.node.plugins.module_utils.core.errors import TransactionFailed
            from ansible_collections.swarm.node.plugins.module_utils.core.signals import signals_as_errors
            from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
            from ansible_collections.swarm.node.plugins.module_utils.packages.layer import PackagesLayer
            from ansible_collections.swarm.node.plugins.module_utils.packages.model import Settings, Wish
            from ansible_collections.swarm.node.plugins.module_utils.packages.port import PackagesPort

            layer = PackagesLayer(PackagesPort(0, sys.argv[2]), [Wish("ethtool", ("ethtool",))], Settings())
            try:
                with signals_as_errors():
                    reconcile(layer, Store(sys.argv[1], sys.argv[2]), Request("packages"))
            except TransactionFailed as error:
                print(error)
            """
        ),
        encoding="utf-8",
    )
    path = os.pathsep.join(item for item in sys.path if item)
    process = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path / "state"), str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 20
    while "install" not in distribution.changing_calls() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert "stopped by SIGTERM; every change of this run was undone" in out
    assert distribution.changing_calls() == ["download", "install", "remove"]
    # apt came to its end before it was undone: nothing had put the package there otherwise.
    assert distribution.world["installed"]["ethtool"]["status"] == "config-files"
    assert json.loads(json.dumps(distribution.world))["installed"]["postfix"]["status"] == "installed"


# -- Python modules


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("plain", True),
        ("pack", True),
        ("pack.inner", True),
        ("pack.none", False),
        ("bare", False),
        ("sys", True),
    ],
)
def test_find_module_without_importing_it(tmp_path: Path, name: str, found: bool) -> None:
    for file in ("plain.py", "pack/__init__.py", "pack/inner.py"):
        place = tmp_path / file
        place.parent.mkdir(exist_ok=True)
        place.write_text("raise SystemExit('imported')\n", encoding="utf-8")
    (tmp_path / "bare").mkdir()
    assert bool(find_module(name, [str(tmp_path)])) is found


def test_a_module_of_this_interpreter_is_found() -> None:
    assert find_module("json")
    assert find_module("no_such_module_anywhere") is None
