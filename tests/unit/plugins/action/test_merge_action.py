# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action in this process: the branch that reads the inventory again, and who is said to run it."""

from __future__ import annotations

import getpass
import os
from types import SimpleNamespace

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.manager import VariableManager
from ansible_collections.swarm.node.plugins.action import merge

INVENTORY = """
all: {vars: {node_profile: training@1}}
g:
  hosts: {h: {gpu_power_limit: "{{ 150 * 2 }}"}, other: {gpu_power_limit: 1}}
  vars: {kernel_sysctl: {vm.swappiness: 4}}
"""


class WithoutInventory:
    """A variable manager of some future Ansible, that lends no inventory."""

    extra_vars = {"gpu_manage": "report"}


@pytest.fixture
def action(tmp_path, monkeypatch):
    """Call with whether the manager lends its inventory: (action, task_vars)."""
    (tmp_path / "hosts.yml").write_text(INVENTORY)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "g.yml").write_text("{kernel_thp: never}")
    source = str(tmp_path / "hosts.yml")

    def make(lends: bool):
        loader = DataLoader()
        loader.set_basedir(str(tmp_path))
        inventory = InventoryManager(loader=loader, sources=[source])
        manager = VariableManager(loader=loader, inventory=inventory)
        manager._extra_vars = dict(WithoutInventory.extra_vars)
        task_vars = manager.get_vars(host=inventory.get_host("h"), include_hostvars=False)
        task_vars["ansible_inventory_sources"] = [source]
        templar = Templar(loader=loader, variables=task_vars)
        task = SimpleNamespace(
            args={"layers": ["gpu", "kernel"]}, async_val=0, check_mode=False, diff=False,
            get_variable_manager=lambda: manager if lends else WithoutInventory(),
        )  # fmt: skip
        found = merge.ActionModule(task, None, SimpleNamespace(check_mode=False), loader, templar, None)
        return found, task_vars

    return make


def count_inventories(monkeypatch) -> list[list[str]]:
    made: list[list[str]] = []

    def manager(loader, sources):
        made.append(sources)
        return InventoryManager(loader=loader, sources=sources)

    monkeypatch.setattr(merge, "InventoryManager", manager)
    return made


def test_with_and_without_a_lent_inventory_the_answer_is_the_same(action, monkeypatch):
    lent, lent_vars = action(True)
    alone, alone_vars = action(False)
    made = count_inventories(monkeypatch)
    first = lent._merged(["gpu", "kernel"], lent_vars)
    assert made == []
    second = alone._merged(["gpu", "kernel"], alone_vars)
    assert made == [alone_vars["ansible_inventory_sources"]]
    assert first == second
    origins = {entry["key"]: (entry["value"], entry["origin"]) for entry in first["explain"]}
    assert origins["gpu_power_limit"] == (300, "host h")
    assert origins["kernel_thp"] == ("never", "group g (group_vars)")
    assert origins["kernel_sysctl.vm.swappiness"] == (4, "group g")
    assert origins["gpu_manage"] == ("report", "extra vars")


def test_a_host_the_inventory_does_not_know_is_merged_from_what_is_in_force(action):
    alone, task_vars = action(False)
    task_vars["inventory_hostname"] = "made_by_add_host"
    entries = {entry["key"]: entry["origin"] for entry in alone._merged(["gpu"], task_vars)["explain"]}
    assert entries["gpu_power_limit"] == "play or role" and entries["gpu_manage"] == "extra vars"


def test_a_host_list_has_no_profiles_beside_it(action, tmp_path, monkeypatch):
    """`-i host,` run from a directory that happens to hold profiles/training."""
    (tmp_path / "profiles" / "training").mkdir(parents=True)
    (tmp_path / "profiles" / "training" / "1.yml").write_text("{name: training, version: 1}")
    monkeypatch.chdir(tmp_path)
    found, task_vars = action(True)
    task_vars["inventory_dir"] = None
    assert found._merged(["gpu"], task_vars)["profile"] == "training@1"


def test_plain_values_hold_no_tags(action):
    found, task_vars = action(True)
    answer = found._merged(["gpu", "kernel"], task_vars)

    def kinds(value):
        if isinstance(value, dict):
            return {type(value)}.union(*(kinds(item) for pair in value.items() for item in pair))
        if isinstance(value, list):
            return {type(value)}.union(*(kinds(item) for item in value))
        return {type(value)}

    assert kinds(answer["layers"]) | kinds(answer["explain"]) <= {
        dict,
        list,
        str,
        int,
        bool,
        float,
        type(None),
    }


@pytest.mark.parametrize("error", [KeyError("no such uid"), OSError("no username set")])
def test_an_account_without_a_name_is_its_number(monkeypatch, error):
    def fails():
        raise error

    monkeypatch.setattr(getpass, "getuser", fails)
    assert merge._run({})["user"] == f"uid {os.getuid()}"


def test_the_job_of_a_scheduler(monkeypatch):
    monkeypatch.delenv("JOB_ID", raising=False)
    assert merge._run({"awx_job_id": 7})["job"] == 7
    assert merge._run({"tower_job_id": 8})["job"] == 8
    assert merge._run({})["job"] is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (False, ""),
        ("", ""),
        (None, ""),
        ("false", ""),
        (" No ", ""),
        ("off", ""),
        (True, "node_freeze (extra vars)"),
        ("true", "node_freeze (extra vars)"),
        ("Yes", "node_freeze (extra vars)"),
        ("on call", "node_freeze (extra vars): on call"),
        ("no visit today", "node_freeze (extra vars): no visit today"),
    ],
)
def test_a_freeze_in_words_of_the_command_line(value, reason):
    """`-e node_freeze=false` is a text, and no reason."""
    merged = SimpleNamespace(values={"node_freeze": value}, origins={"node_freeze": "extra vars"})
    assert merge._freeze(merged) == reason
