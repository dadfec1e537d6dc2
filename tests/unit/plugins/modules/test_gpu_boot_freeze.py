# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that freezes nodes: idempotent, honest in check mode, and it overwrites nobody's reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOST = "localhost"


class Frozen:
    """This machine as the node, with the freeze file in a directory of the test's."""

    def __init__(self, base: Path, checkout: Path) -> None:
        self.file = base / "state" / "freeze"
        self.remote = base / "remote"
        self.checkout = checkout

    def play(self, *arguments: str) -> tuple[dict[str, int], str]:
        """(the host's counts, everything that was said)."""
        variables = {
            "__freeze_file": str(self.file),
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(self.remote),
        }
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                *("-i", f"{HOST},", "-c", "local", "-e", json.dumps(variables)),
                *arguments,
                str(self.checkout / "playbooks/freeze.yml"),
            ],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "ANSIBLE_NOCOLOR": "1"},
        )
        said = done.stdout + done.stderr
        recap = next(line for line in said.splitlines() if line.startswith(HOST) and "ok=" in line)
        counts = dict(word.split("=") for word in recap.partition(":")[2].split())
        return {name: int(count) for name, count in counts.items()}, said


@pytest.fixture
def node(tmp_path: Path, checkout: Path) -> Frozen:
    return Frozen(tmp_path, checkout)


def reason(text: Any) -> tuple[str, str]:
    return "-e", json.dumps({"node_freeze": text})


def test_a_freeze_and_its_end(node: Frozen) -> None:
    assert node.play("--check", *reason("debugging: 50% done"))[0]["changed"] >= 1 and not node.file.exists()
    assert node.play(*reason("debugging: 50% done"))[0]["changed"] >= 1
    assert node.file.read_text() == "debugging: 50% done\n" and node.file.stat().st_mode & 0o777 == 0o644
    assert node.play(*reason("debugging: 50% done"))[0]["changed"] == 0
    counts, said = node.play(*reason("another reason"))
    assert counts["changed"] == 0 and "frozen already, and left so: debugging: 50% done" in said
    assert node.file.read_text() == "debugging: 50% done\n"
    assert node.play("--check", "-e", "node_freeze=false")[0]["changed"] == 1 and node.file.exists()
    assert node.play("-e", "node_freeze=false")[0]["changed"] == 1 and not node.file.exists()
    assert node.play(*reason(False))[0]["changed"] == 0


def test_without_a_word_nothing_happens(node: Frozen) -> None:
    counts, said = node.play()
    assert counts["failed"] == 1 and "node_freeze=false lifts a freeze" in said
    assert not node.file.parent.exists()


def test_true_is_a_freeze_without_a_reason(node: Frozen) -> None:
    node.play(*reason(True))
    assert node.file.read_text() == "no reason given\n"


@pytest.mark.parametrize("inventory", [False, "a reason of the group", True])
def test_the_inventory_neither_lifts_a_freeze_nor_sets_one(node: Frozen, inventory: Any) -> None:
    """`node_freeze` of the inventory is what the roles obey; this playbook only does as it is told."""
    hosts = node.remote.parent / "hosts.yml"
    hosts.write_text(json.dumps({"all": {"hosts": {HOST: {"node_freeze": inventory}}}}))
    node.play(*reason("on call"))
    counts, said = node.play("-i", str(hosts))
    assert counts["failed"] == 1 and "node_freeze=false lifts a freeze" in said
    assert node.file.read_text() == "on call\n"
    assert node.play("-i", str(hosts), "-e", "node_freeze=false")[0]["changed"] == 1
    assert node.play("-i", str(hosts))[0]["failed"] == 1 and not node.file.exists()


def test_a_reason_that_lost_its_words_is_refused(node: Frozen) -> None:
    """Ansible splits `-e name=value` at blanks: of a reason in bare words only the first would be kept."""
    counts, said = node.play("-e", "node_freeze=on call until Friday")
    assert counts["failed"] == 1 and "call until Friday" in said and not node.file.exists()
    assert node.play("-e", 'node_freeze="on call until Friday"')[0]["changed"] >= 1
    assert node.file.read_text() == "on call until Friday\n"


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_word_is_no_word(node: Frozen, empty: Any) -> None:
    assert node.play(*reason(empty))[0]["failed"] == 1 and not node.file.exists()
