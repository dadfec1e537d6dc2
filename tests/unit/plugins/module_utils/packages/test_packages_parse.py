# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers against what apt and dpkg of Debian 12 printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.packages.model import Step
from ansible_collections.swarm.node.plugins.module_utils.packages.parse import (
    complaint,
    is_broken,
    is_locked,
    parse_dpkg,
    parse_policy,
    parse_simulation,
)
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = Path(__file__).parent / "samples"
LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 26840 (apt-get)\n"
INTERRUPTED = "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.\n"
UNMET = "E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).\n"


def sample(name: str) -> str:
    return (SAMPLES / name).read_text(encoding="utf-8")


def test_one_new_package() -> None:
    assert parse_simulation(sample("psutil.txt")) == (Step("install", "python3-psutil", None, "5.9.4-1+b1"),)


def test_dependencies_come_along() -> None:
    steps = {step.name: step for step in parse_simulation(sample("pynvml.txt"))}
    assert len(steps) == 12
    assert steps["libnvidia-ml1"] == Step("install", "libnvidia-ml1", None, "535.261.03-1")
    assert steps["pciutils"].after == "1:3.9.0-4"


def test_upgrades_have_both_versions_and_trailing_brackets_are_no_version() -> None:
    steps = parse_simulation(sample("upgrades.txt"))
    assert steps[0] == Step("upgrade", "curl", "7.88.1-10+deb12u14", "7.88.1-10+deb12u15")
    assert [step.action for step in steps] == ["upgrade"] * 4 + ["install"]


def test_removals() -> None:
    assert parse_simulation(sample("removal.txt")) == (
        Step("remove", "postfix", "3.7.11-0+deb12u1", None),
        Step("install", "nullmailer", None, "1:2.2-4"),
    )


def test_configuring_others_is_no_step() -> None:
    assert [step.name for step in parse_simulation(sample("half_configured.txt"))] == ["python3-psutil"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Inst libc6:i386 (2.36-9 Debian:12/stable [i386])", Step("install", "libc6:i386", None, "2.36-9")),
        (
            "Inst a [1] (2 Debian:12/stable, Debian-Security:12/stable [amd64]) []",
            Step("upgrade", "a", "1", "2"),
        ),
        ("Inst local (2 [amd64])", Step("install", "local", None, "2")),
        ("Remv a [1] [b:amd64 ]", Step("remove", "a", "1", None)),
        ("Purg a [1]", Step("remove", "a", "1", None)),
        ("Remv a", Step("remove", "a", None, None)),
    ],
)
def test_forms_of_a_step(line: str, expected: Step) -> None:
    assert parse_simulation(f"Reading package lists...\n{line}\n") == (expected,)


def test_a_step_that_cannot_be_read_is_not_overlooked() -> None:
    with pytest.raises(NodeError, match="cannot read what apt-get would do: 'Inst libnvidia-ml1'"):
        parse_simulation("Inst libnvidia-ml1\n")


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,12}", fullmatch=True),
            st.one_of(st.none(), st.from_regex(r"[0-9][0-9a-z.+~:-]{0,9}", fullmatch=True)),
            st.from_regex(r"[0-9][0-9a-z.+~:-]{0,9}", fullmatch=True),
        )
    )
)
def test_any_transaction_comes_back(rows: list[tuple[str, str | None, str]]) -> None:
    lines = [
        f"Inst {name}{f' [{old}]' if old else ''} ({new} Debian:12/stable [all])" for name, old, new in rows
    ]
    lines += [f"Conf {name} ({new} Debian:12/stable [all])" for name, _, new in rows]
    found = parse_simulation("\n".join(lines))
    assert [(step.name, step.before, step.after) for step in found] == rows


def test_candidates() -> None:
    # An unknown package is not listed, a virtual one has no candidate.
    assert parse_policy(sample("policy.txt")) == {
        "python3-pynvml": "11.525.112-1",
        "python3-psutil": "5.9.4-1+b1",
    }


def test_dpkg_list() -> None:
    found = parse_dpkg(sample("dpkg.txt"))
    assert found["apt"].provides == ("apt-transport-https",)
    assert found["dbus"].provides == ("dbus-system-bus", "default-dbus-system-bus")
    assert all(item.works and not item.broken for item in found.values())


@pytest.mark.parametrize(
    ("status", "flag", "works", "broken"),
    [
        ("installed", "ok", True, False),
        ("triggers-pending", "ok", True, False),
        ("config-files", "ok", False, False),
        ("half-configured", "ok", False, True),
        ("half-installed", "reinstreq", False, True),
        ("unpacked", "ok", False, True),
    ],
)
def test_dpkg_states(status: str, flag: str, works: bool, broken: bool) -> None:
    package = parse_dpkg(f"a\tall\t{status}\t{flag}\t1\t\n")["a"]
    assert (package.works, package.broken) == (works, broken)


def test_foreign_architecture_is_another_package() -> None:
    text = (
        "dpkg\tamd64\tinstalled\tok\t1\t\nlibc6\tamd64\tinstalled\tok\t2\t\nlibc6\ti386\tunpacked\tok\t2\t\n"
    )
    found = parse_dpkg(text)
    assert found["libc6"].works
    assert found["libc6:i386"].broken


def test_reasons_of_a_failure() -> None:
    assert is_locked(LOCKED)
    assert "another process is using apt or dpkg" in complaint("", LOCKED)
    assert is_broken(INTERRUPTED)
    assert "run 'dpkg --configure -a'" in complaint("", INTERRUPTED)
    assert is_broken(UNMET)
    assert "apt-get --fix-broken install" in complaint("", UNMET)


def test_a_conflict_is_told_in_apts_words_and_is_not_a_broken_node() -> None:
    out, err = sample("conflict.out.txt"), sample("conflict.err.txt")
    assert not is_broken(err)
    assert "held broken packages" in complaint(out, err)
    assert "libcurl4-gnutls-dev : Conflicts: libcurl4-openssl-dev" in complaint(out, err)


def test_a_script_that_fails_is_named() -> None:
    err = (
        "dpkg: error processing package x (--configure):\n"
        " installed x package post-installation script subprocess returned error exit status 1\n"
        "E: Sub-process /usr/bin/dpkg returned an error code (1)\n"
    )
    assert complaint("", err) == (
        "dpkg: error processing package x (--configure): installed x package post-installation script "
        "subprocess returned error exit status 1; Sub-process /usr/bin/dpkg returned an error code (1)"
    )
    assert complaint("", "") == "no message"
