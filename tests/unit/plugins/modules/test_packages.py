# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `packages` from its arguments to its answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.swarm.node.plugins.doc_fragments.reconcile import ModuleDocFragment
from ansible_collections.swarm.node.plugins.module_utils.core.runner import COMMON_ARGUMENTS
from ansible_collections.swarm.node.plugins.modules import packages

sys.path.insert(0, str(Path(__file__).parents[1] / "module_utils" / "packages"))

import packages_fakes


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> packages_fakes.Distribution:
    return packages_fakes.distribution(tmp_path, monkeypatch)


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the module and returns its result."""

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        common = {"state_dir": str(tmp_path / "state"), "run_dir": str(tmp_path / "run")}
        arguments = {**common, **arguments, "_ansible_check_mode": check}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            packages.main()
        return json.loads(capsys.readouterr().out)

    return run


def test_install_then_nothing_then_release(call: Any, distribution: packages_fakes.Distribution) -> None:
    planned = call(check=True, name=["ethtool"])
    done = call(name=["ethtool"])
    assert planned["changes"] == done["changes"]
    assert planned["plan_digest"] == done["plan_digest"]
    assert (planned["details"][0]["pending"], done["details"][0]["pending"]) == (True, False)
    assert done["diff"]["after"] == "package (ethtool): 6.1\n"
    again = call(name=["ethtool"])
    assert (again["changed"], again["writes"], again["changes"]) == (False, 0, [])
    gone = call(state="absent")
    assert gone["changed"] is True
    assert "stays installed" in gone["notes"][0]
    assert call(state="absent")["changed"] is False
    assert distribution.installed() == {"ethtool"}


def test_the_default_guard_rails(call: Any, distribution: packages_fakes.Distribution) -> None:
    result = call(name=["python3-pynvml"], provides={"python3-pynvml": "no_such_pynvml"})
    assert result["unapplied"][0]["reason"] == "unsupported"
    assert "extra_import_paths" in result["unapplied"][0]["detail"]
    assert distribution.installed() == set()


def test_an_importable_module_is_enough(
    call: Any, distribution: packages_fakes.Distribution, tmp_path: Path
) -> None:
    (tmp_path / "some_binding.py").touch()
    result = call(
        name=["python3-pynvml"],
        provides={"python3-pynvml": "some_binding"},
        extra_import_paths=[str(tmp_path)],
        required=["package"],
    )
    assert (result["changed"], result["unapplied"]) == (False, [])
    assert "which is enough" in result["notes"][0]


@pytest.mark.parametrize("update_cache", ["auto", "always"])
def test_report_changes_and_loads_nothing(
    call: Any, distribution: packages_fakes.Distribution, update_cache: str
) -> None:
    result = call(name=["ethtool", "late"], manage="report", update_cache=update_cache)
    assert result["changed"] is False
    assert {wish["reason"] for wish in result["unapplied"]} == {"managed_by", "unsupported"}
    assert distribution.changing_calls() == []


def test_none_does_not_even_look(call: Any, distribution: packages_fakes.Distribution) -> None:
    assert call(name=["ethtool"], manage="none")["changes"] == []
    assert distribution.calls() == []


def test_required_and_refused_fails_before_the_first_change(
    call: Any, distribution: packages_fakes.Distribution
) -> None:
    result = call(name=["ethtool", "python3-pynvml"], required=["python3-pynvml"])
    assert result["failed"] is True
    assert "libnvidia-ml1" in result["msg"]
    assert distribution.changing_calls() == []
    assert distribution.installed() == set()


def test_bad_names_are_named(call: Any, distribution: packages_fakes.Distribution) -> None:
    result = call(name=["ethtool=6.1"], origins={"package": "group gpu"})
    assert result["failed"] is True
    assert "name: 'ethtool=6.1' is refused (from group gpu)" in result["msg"]
    assert distribution.calls() == []


def test_a_failed_installation_is_told(call: Any, distribution: packages_fakes.Distribution) -> None:
    distribution.change(faults={"install": {"half": ["ethtool"], "err": "E: boom"}})
    result = call(name=["ethtool"])
    assert result["failed"] is True
    assert result["rolled_back"] == ["package (ethtool)"]
    assert "boom; every change of this run was undone" in result["msg"]


def test_documentation_and_arguments_agree() -> None:
    documented = yaml.safe_load(packages.DOCUMENTATION)["options"]
    assert set(documented) == set(packages.ARGUMENTS)
    for name, spec in packages.ARGUMENTS.items():
        assert {key: documented[name].get(key) for key in spec} == spec
    shared = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(shared) == set(COMMON_ARGUMENTS)
    assert yaml.safe_load(packages.EXAMPLES)


def test_every_key_of_the_result_is_documented(call: Any, distribution: packages_fakes.Distribution) -> None:
    documented = set(yaml.safe_load(packages.RETURN))
    assert set(call(name=["ethtool"])) - {"changed", "diff", "invocation", "warnings"} <= documented


def test_packages_for_gpus_only_where_the_bus_shows_one(
    call: Any, distribution: packages_fakes.Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "gpus_on_pci", lambda root: ())
    assert call(name=["ethtool"], gpu_only=["ethtool"])["changes"] == []
    monkeypatch.setattr(packages, "gpus_on_pci", lambda root: ("0000:5d:00.0",))
    assert [change["target"] for change in call(name=["ethtool"], gpu_only=["ethtool"])["changes"]] == [
        "ethtool"
    ]
