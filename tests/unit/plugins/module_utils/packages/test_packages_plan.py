# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for, what is allowed, and the plan: pure tables."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.packages.model import (
    Package,
    PackagesState,
    Refusal,
    Settings,
    Simulation,
    Step,
    met,
    settings_from,
    wishes_from,
)
from ansible_collections.swarm.node.plugins.module_utils.packages.plan import plan_packages
from ansible_collections.swarm.node.plugins.module_utils.packages.survey import objection

FORBID = ("libnvidia-*", "nvidia-*", "linux-image-*")
PROVIDES = {"python3-pynvml": "pynvml", "python3-psutil": "psutil"}
NEW = Step("install", "python3-psutil", None, "5.9")
ALONG = Step("install", "libps", None, "1.0")
UPGRADE = Step("upgrade", "libc6", "2.36-9", "2.36-10")
HELD = {"package python3-psutil": Claim(None, "5.9")}


def plan(
    names: list[str], state: PackagesState, claims: dict[str, Claim] | None = None, **options: Any
) -> Any:
    wishes = wishes_from(names, options.pop("required", []), options.pop("origins", {}))
    settings = Settings(FORBID, PROVIDES, mode=options.pop("mode", "apply"))
    return plan_packages(wishes, settings, state, Record("packages", claims))


def coming(*steps: Step, names: tuple[str, ...] = ("python3-psutil",)) -> PackagesState:
    return PackagesState(chosen={name: name for name in names}, transaction=Simulation(names, steps))


def there(**versions: str) -> PackagesState:
    names = {name.replace("_", "-"): Package(version) for name, version in versions.items()}
    return PackagesState(packages=names)


# -- what may be asked for


@pytest.mark.parametrize(
    "name", ["", "foo-", "foo=1.0", "foo/unstable", "Foo", "-o", "a|", "a|B", "foo*", "x:i386"]
)
def test_names_that_apt_would_misread_are_refused(name: str) -> None:
    with pytest.raises(BindError) as error:
        wishes_from(["ok1", name], [], {"package": "group gpu"})
    (problem,) = error.value.problems
    assert (problem.key, problem.value, problem.origin) == ("name", name, "group gpu")


def test_names_with_their_alternatives_origins_and_requirements() -> None:
    wishes = wishes_from(
        ["g++", "a1 | b1", "a1|b1", "c1"], ["b1"], {"a1|b1": "profile x", "package": "group y"}
    )
    assert [wish.names for wish in wishes] == [("g++",), ("a1", "b1"), ("c1",)]
    assert [wish.required for wish in wishes] == [False, True, False]
    assert [wish.origin for wish in wishes] == ["group y", "profile x", "group y"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("provides", {"python3-psutil": "psutil; import os"}),
        ("provides", {"python3-psutil": 3}),
        ("provides", {"Bad Name": "psutil"}),
        ("forbid", [" "]),
        ("extra_import_paths", ["lib"]),
        ("lock_timeout", -1),
    ],
)
def test_settings_that_are_refused(option: str, value: Any) -> None:
    params = {
        "provides": {},
        "forbid": [],
        "extra_import_paths": [],
        "lock_timeout": 1,
        "update_cache": "auto",
    }
    with pytest.raises(BindError, match=option):
        settings_from({**params, option: value}, "apply")


# -- guard rails


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((NEW,), ""),
        ((NEW, ALONG, UPGRADE), ""),
        ((NEW, Step("install", "libnvidia-ml1", None, "5")), "libnvidia-ml1 5 (forbidden by libnvidia-*)"),
        ((NEW, Step("upgrade", "nvidia-smi", "1", "2")), "upgrade nvidia-smi 2 (forbidden by nvidia-*)"),
        ((NEW, Step("install", "libnvidia-ml1:i386", None, "5")), "libnvidia-ml1:i386"),
        ((NEW, Step("remove", "postfix", "3.7", None)), "remove postfix 3.7, and nothing may be removed"),
        ((ALONG,), "apt would not install python3-psutil"),
        ((), "apt would not install python3-psutil"),
    ],
)  # fmt: skip
def test_what_a_transaction_may_do(steps: tuple[Step, ...], expected: str) -> None:
    found = objection(Simulation(("python3-psutil",), steps), FORBID)
    assert (expected in found) if expected else found == ""


def test_what_apt_itself_refuses() -> None:
    assert objection(Simulation(("a1",), error="held"), ()) == "apt cannot install it: held"


# -- how a wish is met


@pytest.mark.parametrize(
    ("state", "by", "name"),
    [
        (PackagesState(packages={"a1": Package("1")}), "package", "a1"),
        (PackagesState(packages={"b1": Package("1")}), "package", "b1"),
        (PackagesState(packages={"x": Package("1", provides=("b1",))}), "provided", "b1"),
        (PackagesState(modules={"mod": "/x/mod.py"}), "module", "b1"),
        (PackagesState(packages={"a1": Package("1", "config-files")}), None, ""),
        (PackagesState(packages={"a1": Package("1", "half-configured", True)}), None, ""),
        (PackagesState(packages={"x": Package("1", "config-files", provides=("b1",))}), None, ""),
        (PackagesState(modules={"other": "/x"}), None, ""),
    ],
)
def test_how_a_wish_is_met(state: PackagesState, by: str | None, name: str) -> None:
    (wish,) = wishes_from(["a1|b1"], [], {})
    found = met(wish, state, {"b1": "mod"})
    assert (found.by, found.name) == (by, name) if found else by is None


# -- plan


def test_one_change_per_package_and_the_last_carries_the_call() -> None:
    found = plan(["python3-psutil"], coming(NEW, ALONG, UPGRADE), origins={"package": "role gpu"})
    rows = [(item.target, item.before, item.after, item.implied, item.undo) for item in found.changes]
    assert rows == [
        ("libps", None, "1.0", True, "exact"),
        ("libc6", "2.36-9", "2.36-10", True, "none"),
        ("python3-psutil", None, "5.9", False, "exact"),
    ]
    assert {(item.key, item.disruption, item.verify) for item in found.changes} == {
        ("package", "none", "readback")
    }
    assert found.changes[-1].data["new"] == ["python3-psutil", "libps"]
    assert found.changes[-1].origin == "role gpu"
    assert found.changes[0].why == "comes along with python3-psutil"
    assert found.claims == HELD
    assert (found.before, found.after) == (
        {"package python3-psutil": None},
        {"package python3-psutil": "5.9"},
    )


def test_two_wishes_are_one_call() -> None:
    ethtool = Step("install", "ethtool", None, "6")
    found = plan(["python3-psutil", "ethtool"], coming(NEW, ethtool, names=("python3-psutil", "ethtool")))
    assert [item.implied for item in found.changes] == [True, False]
    assert found.changes[-1].data["names"] == ["python3-psutil", "ethtool"]
    assert set(found.claims) == {"package python3-psutil", "package ethtool"}


@pytest.mark.parametrize("version", ["5.9", "6.0"])
def test_a_second_run_and_an_upgrade_by_others_change_nothing(version: str) -> None:
    found = plan(["python3-psutil"], there(python3_psutil=version), HELD)
    assert (found.changes, found.unapplied, found.claims) == ([], [], HELD)


def test_what_others_installed_is_not_ours() -> None:
    assert plan(["python3-psutil"], there(python3_psutil="5.9")).claims == {}


def test_a_package_removed_by_others_comes_back() -> None:
    found = plan(["python3-psutil"], coming(Step("install", "python3-psutil", None, "6.0")), HELD)
    assert found.claims == {"package python3-psutil": Claim(None, "6.0")}
    assert [item.key for item in found.changes] == ["package"]


@pytest.mark.parametrize(
    ("names", "state", "words"),
    [
        ([], there(python3_psutil="5.9"), "stays installed, because other software may use it"),
        ([], PackagesState(), "no longer asked for, nor installed"),
        (["python3-psutil"], PackagesState(modules={"psutil": "/x"}), "no longer installed: it is not ours"),
    ],
)
def test_release_is_a_change_of_the_record_alone(names: list[str], state: PackagesState, words: str) -> None:
    found = plan(names, state, HELD)
    assert [(item.key, item.target) for item in found.changes] == [("record", "package python3-psutil")]
    assert found.claims == {}
    assert any(words in note for note in found.notes)


def test_without_apt_nothing_on_record_is_forgotten_while_it_is_asked_for() -> None:
    found = plan(["python3-psutil"], PackagesState(has_apt=False, modules={"psutil": "/x"}), HELD)
    assert (found.changes, found.claims) == ([], HELD)


def test_another_layers_claims_under_the_same_owner_stay() -> None:
    foreign = {"vm.swappiness": Claim("60", "10")}
    assert plan([], PackagesState(), foreign).claims == foreign


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "python3-pynvml",
            "needs apt; install python3-pynvml with this distribution's package manager, "
            "or give a directory with the Python module pynvml in extra_import_paths (gpu_pynvml_path)",
        ),
        ("ethtool", "needs apt; install ethtool with this distribution's package manager"),
    ],
)
def test_without_apt_a_wish_is_unsupported(name: str, words: str) -> None:
    (wish,) = plan([name], PackagesState(has_apt=False), required=["package"]).unapplied
    assert (wish.reason, wish.detail, wish.required, wish.target) == ("unsupported", words, True, name)


def test_a_module_is_enough_and_said() -> None:
    found = plan(["python3-pynvml"], PackagesState(has_apt=False, modules={"pynvml": "/opt/pynvml.py"}))
    assert found.changes == found.unapplied == []
    assert found.details[0]["met_by"] == "module"
    assert found.details[0]["found_at"] == "/opt/pynvml.py"
    assert "found at /opt/pynvml.py, which is enough" in found.notes[0]


def test_an_interpreter_that_is_not_the_distributions_is_said() -> None:
    found = plan(["python3-psutil"], there(python3_psutil="5.9"))
    assert "does not find its Python module psutil" in found.notes[0]


def test_what_is_undecided_does_not_fail_a_check() -> None:
    state = PackagesState(refused={"ethtool": Refusal("unknown package", undecided=True)})
    found = plan(["ethtool"], state, required=["ethtool"], mode="check")
    assert [wish.required for wish in found.unapplied] == [False]
    assert found.details[0]["undecided"] is True


@pytest.mark.parametrize(("mode", "pending"), [("check", True), ("apply", False), ("report", False)])
def test_pending_means_a_check_whose_real_run_installs_it(mode: str, pending: bool) -> None:
    found = plan(["python3-psutil"], coming(NEW), mode=mode)
    assert found.details[0]["pending"] is pending
    assert found.details[0]["python_module"] == "psutil"
