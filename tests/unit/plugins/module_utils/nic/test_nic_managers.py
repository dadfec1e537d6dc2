# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tuned and irqbalance: what they hold, read from a tree of files."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.nic.managers import (
    irqbalance,
    manager,
    read_tuned_of,
)
from nic_cases import nic, plan, reasons, state

PROFILE = """\
[main]
include=base
[net]
type=net
devices=eth*,!eth9
ring=rx 4096, tx 1024
features=gro off tso on
coalesce=rx-usecs 8, nonsense 4
channels=combined 8
txqueuelen=5000
dynamic=0
"""


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def tuned(tmp_path, profile=PROFILE, main="dynamic_tuning = 1\n", **files):
    return tree(
        tmp_path,
        {
            "etc/tuned/active_profile": "mine\n",
            "etc/tuned/tuned-main.conf": main,
            "run/tuned/tuned.pid": "7",
            "etc/tuned/profiles/mine/tuned.conf": profile,
            "usr/lib/tuned/base/tuned.conf": "[net]\nring=rx 64\n[sysctl]\nvm.swappiness=1\n",
            **files,
        },
    )


def test_what_a_profile_sets_on_a_device(tmp_path):
    found = read_tuned_of(tuned(tmp_path))
    assert found.held("eth0") == {
        "rings.rx": "4096",
        "rings.tx": "1024",
        "features.rx-gro": "off",
        "features.tx-tcp-segmentation": "on",
        "features.tx-tcp-ecn-segmentation": "on",
        "features.tx-tcp6-segmentation": "on",
        "coalesce.rx-usecs": "8",
        "channels.combined": "8",
        "txqueuelen": "5000",
    }
    assert found.held("eth9") == found.held("lo") == {}


def test_a_profile_that_asks_for_the_same_is_no_rival(tmp_path):
    node = state(nic(values={"features.rx-gro": False}), tuned=read_tuned_of(tuned(tmp_path)))
    made = plan({"eth0": {"rings": {"rx": 4096, "tx": 2048}, "features": {"gro": False}}}, node)
    assert reasons(made) == {"rings.tx eth0": "shadowed_by"}


@pytest.mark.parametrize(
    ("profile", "main", "slows"),
    [
        ("[net]\n", "dynamic_tuning = 1\n", True),
        ("[net]\n", "", True),
        ("[net]\n", "dynamic_tuning=0\n", False),
        ("[net]\ndynamic=0\n", "dynamic_tuning = 1\n", False),
        ("[eth]\ntype=net\n", "dynamic_tuning = 1\n", True),
        ("[net]\nenabled=0\n", "dynamic_tuning = 1\n", False),
        ("[sysctl]\nvm.swappiness=1\n", "dynamic_tuning = 1\n", False),
        ("no profile at all", "dynamic_tuning = 1\n", False),
    ],
)
def test_dynamic_tuning_makes_tuned_the_manager(tmp_path, profile, main, slows):
    found = manager(tuned(tmp_path, profile, main))
    assert bool(found) is slows
    assert not slows or ("profile mine" in found and "100 Mbit/s" in found)


def test_a_section_may_take_the_place_of_the_included_one(tmp_path):
    found = read_tuned_of(tuned(tmp_path, "[main]\ninclude=base\n[net]\nreplace=1\ntxqueuelen=5\n"))
    assert found.held("eth0") == {"txqueuelen": "5"}


def test_a_profile_that_includes_itself_ends(tmp_path):
    assert read_tuned_of(tuned(tmp_path, "[main]\ninclude=mine\n[net]\ntxqueuelen=5\n")).held("x") == {
        "txqueuelen": "5"
    }


def test_tuned_that_does_not_run_holds_nothing(tmp_path):
    root = tuned(tmp_path)
    (root / "run/tuned/tuned.pid").unlink()
    assert not read_tuned_of(root).profile
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "tuned.service").symlink_to("/nowhere/tuned.service")
    assert read_tuned_of(root).profile == "mine", "it will at boot"


def test_irqbalance(tmp_path):
    root = tree(tmp_path, {"proc/1/comm": "systemd\n", "proc/77/comm": "sshd\n"})
    assert irqbalance(root) == ""
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "irqbalance.service").symlink_to("/nowhere")
    assert irqbalance(root) == "enabled at boot"
    tree(root, {"proc/78/comm": "irqbalance\n"})
    assert irqbalance(root) == "process 78"
