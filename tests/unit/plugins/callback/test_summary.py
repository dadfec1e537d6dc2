# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a real ansible-playbook with the callback enabled, on local hosts and a stand-in module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

PLAYBOOK_COMMAND = Path(sys.executable).parent / "ansible-playbook"

# Answers like a module of the collection: wants `value` in the file `state`.
MODULE = """
from ansible.module_utils.basic import AnsibleModule
import os

def main():
    module = AnsibleModule(
        {"state": {"type": "path"}, "value": {"type": "str"}, "fail": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    path, wanted = module.params["state"], module.params["value"]
    live = open(path).read() if os.path.exists(path) else None
    change = {"key": "gpu.power_limit", "target": "GPU-6f3a0001", "target_name": "gpu 0 (H100)",
              "before": live, "after": wanted, "unit": "W", "when": "now", "disruption": "perf",
              "verify": "readback", "undo": "exact", "origin": "group train_h100", "why": "90%default of 700"}
    changes = [change] if live != wanted else []
    if module.params["fail"] and not module.check_mode:
        module.fail_json(msg="the board said no", layer="gpu", rolled_back=["gpu.power_limit"],
                         not_undone=[{"key": "gpu.mode", "target": "GPU-6f3a0001", "error": "lost"}],
                         writes=2)
    if changes and not module.check_mode:
        with open(path, "w") as handle:
            handle.write(wanted)
    module.exit_json(changed=bool(changes), layer="gpu", owner="gpu", changes=changes, unapplied=[],
                     notes=[], writes=0 if module.check_mode else 2 * len(changes), reboot_required=False)

main()
"""

PLAYBOOK = """
- hosts: all
  gather_facts: false
  vars:
    state: "{{ playbook_dir }}/{{ inventory_hostname }}.state"
  tasks:
    - name: not a module call
      ansible.builtin.debug: {msg: hello}
    - name: secret
      ansible.builtin.command: "false"
      no_log: true
      ignore_errors: true
      when: secret | default(false) | bool
    - name: look
      fake: {state: "{{ state }}", value: "630", fail: "{{ refuse | default(false) }}"}
      check_mode: true
      register: preflight
    - name: stop before
      ansible.builtin.fail: {msg: another layer said no}
      when: stop | default(false) | bool
    - name: apply
      fake: {state: "{{ state }}", value: "630", fail: "{{ refuse | default(false) }}"}
      when: preflight is changed
    - name: loop
      ansible.builtin.command: "true"
      changed_when: false
      loop: [a, b, c]
"""


class Parser(HTMLParser):
    """Fails on tags that do not match and collects links to the outside."""

    VOID = {"meta", "br", "hr", "link", "img", "input"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


class Run:
    def __init__(self, folder: Path, collections: Path) -> None:
        self.folder = folder
        self.collections = collections
        (folder / "library").mkdir()
        (folder / "library" / "fake.py").write_text(MODULE)
        (folder / "unreachable").write_text("#!/bin/sh\nexit 255\n")
        (folder / "unreachable").chmod(0o755)
        (folder / "site.yml").write_text(PLAYBOOK)

    def __call__(self, inventory: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        (self.folder / "hosts").write_text(inventory)
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_CALLBACKS_ENABLED": "swarm.node.summary",
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(self.folder),
            **environment,
        }
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "SWARM_NODE_"))
        }
        return subprocess.run(
            [str(PLAYBOOK_COMMAND), "-i", "hosts", "site.yml", *arguments],
            cwd=self.folder,
            env=kept | settings,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def report(self) -> dict:
        return json.loads((self.folder / "reports" / "latest.json").read_text())

    def page(self) -> str:
        return (self.folder / "reports" / "latest.html").read_text()


LOCAL = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
# Ends as ssh ends when there is no way to the host, without any network.
GONE = "ansible_connection=ssh ansible_ssh_executable=./unreachable"


@pytest.fixture
def run(tmp_path: Path, collections_path: Path) -> Run:
    return Run(tmp_path, collections_path)


def test_outcomes_of_a_mixed_run(run):
    (run.folder / "n2.state").write_text("630")
    done = run(
        f"n1 {LOCAL}\nn2 {LOCAL}\nn3 {LOCAL} refuse=true\n"
        f"n4 {GONE}\nn5 {LOCAL} stop=true\nn6 {LOCAL} secret=true\n"
    )
    assert done.returncode != 0
    hosts = run.report()["hosts"]
    assert {name: host["state"] for name, host in hosts.items()} == {
        "n1": "changed", "n2": "unchanged", "n3": "failed", "n4": "unreachable",
        "n5": "failed", "n6": "changed",
    }  # fmt: skip
    # pre-flight, apply and three loop items; n2 needs no apply; n3 stops at it; n5 before it
    trips = {name: host["round_trips"] for name, host in hosts.items()}
    assert trips == {"n1": 5, "n2": 4, "n3": 2, "n4": 0, "n5": 1, "n6": 6}
    assert {name: host["writes"] for name, host in hosts.items()} == {
        "n1": 2, "n2": 0, "n3": 2, "n4": 0, "n5": 0, "n6": 2,
    }  # fmt: skip
    assert hosts["n5"]["layers"][0]["state"] == "planned"
    assert hosts["n3"]["failures"][0]["rolled_back"] == ["gpu.power_limit"]
    assert hosts["n6"]["failures"][0]["msg"] == "(hidden by no_log)"
    out = done.stdout
    assert "6 nodes: 2 failed, 1 unreachable, 2 changed, 1 unchanged" in out
    assert "n3  gpu: the board said no" in out
    assert "NOT UNDONE  gpu.mode on GPU-6f3a0001: lost" in out
    assert "n5  stop before: another layer said no" in out
    assert "gpu: planned, not applied" in out
    assert "gpu.power_limit  gpu 0 (H100)  none -> 630 W  now perf undo exact" in out
    assert "[WARNING]: swarm.node" not in done.stdout + done.stderr


def test_every_host_fails(run):
    done = run(f"n1 {GONE}\nn2 {GONE}\n")
    assert done.returncode != 0
    assert run.report()["totals"]["states"]["unreachable"] == 2
    assert "UNREACHABLE  2 nodes" in done.stdout
    assert "Unreachable" in run.page()


def test_check_mode_would_change_and_writes_nothing(run):
    done = run(f"n1 {LOCAL}\nn2 {LOCAL}\n", "--check")
    report = run.report()
    assert report["run"]["check"] is True
    assert {host["state"] for host in report["hosts"].values()} == {"would_change"}
    assert "2 nodes: 2 would change" in done.stdout
    assert report["totals"]["writes"] == 0
    assert report["totals"]["changes"] == 0 and report["totals"]["changes_planned"] == 2
    assert not (run.folder / "n1.state").exists()


def test_second_run_says_nothing_to_change_and_old_reports_go(run):
    for _ in range(3):
        done = run(f"n1 {LOCAL}\n", SWARM_NODE_REPORT_KEEP="1")
    assert "Nothing to change: every node is as wished." in done.stdout
    pages = [path for path in (run.folder / "reports").glob("*.html") if not path.is_symlink()]
    assert len(pages) == 2
    assert (run.folder / "reports" / "latest.html").resolve() == max(pages)


def test_page_is_whole_and_self_contained(run):
    run(f"n1 {LOCAL}\nn2 {LOCAL} refuse=true\n")
    parser = Parser()
    parser.feed(run.page())
    assert parser.open == []
    assert not parser.tags & {"script", "link", "img", "iframe"}
    assert all(link.startswith("#") for link in parser.links)


def test_unwritable_directory_is_a_warning(run):
    (run.folder / "file").write_text("")
    done = run(f"n1 {LOCAL}\n", SWARM_NODE_REPORT_DIR="file/reports")
    assert done.returncode == 0
    assert "no report could be written" in done.stdout + done.stderr
    assert "1 node: 1 changed" in done.stdout


def test_silent_for_a_playbook_of_others_and_without_files_when_told(run):
    (run.folder / "site.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  tasks: [{debug: {msg: hi}}]\n"
    )
    done = run(f"n1 {LOCAL}\n")
    assert "SWARM.NODE" not in done.stdout and not (run.folder / "reports").exists()
    (run.folder / "site.yml").write_text(PLAYBOOK)
    done = run(f"n1 {LOCAL}\n", SWARM_NODE_REPORT="false")
    assert "SWARM.NODE SUMMARY" in done.stdout and not (run.folder / "reports").exists()
