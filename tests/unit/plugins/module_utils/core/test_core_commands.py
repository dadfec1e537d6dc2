# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the node: how they end, and what is said of it."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done, execute, must
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError

SAY = (
    "import sys; sys.stdout.write('out'); sys.stderr.write('err\\nmore'); "
    "sys.exit(int(sys.stdin.read() or 0))"
)


def test_a_command_gets_its_input_and_gives_its_output():
    assert execute([sys.executable, "-c", SAY]) == Done(0, "out", "err\nmore")
    failed = execute([sys.executable, "-c", SAY], data="3")
    assert (failed.code, failed.good, failed.reason) == (3, False, "err more")


def test_what_is_not_there_is_no_exception():
    done = execute(["/nonexistent/program"])
    assert done.code == 127 and "no such program" in done.reason
    assert execute(["/etc"]).code == 126


def test_one_that_does_not_end_is():
    with pytest.raises(NodeError, match=r"did not end within 0 s|did not end within 1 s"):
        execute([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)


def test_one_that_has_to_succeed():
    assert must(execute, [sys.executable, "-c", SAY]) == "out"
    with pytest.raises(NodeError, match="err more"):
        must(execute, [sys.executable, "-c", SAY], data="3")


def test_bytes_that_are_no_text_are_shown():
    done = execute([sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'a\\xffb')"])
    assert done.out == "a\\xffb"


def test_words_are_english_and_sbin_is_searched():
    done = execute([sys.executable, "-c", "import os; print(os.environ['LC_ALL'], os.environ['PATH'])"])
    assert done.out.startswith("C.UTF-8 ") and "/usr/sbin" in done.out


def test_a_failure_without_a_word():
    assert Done(7, "", "").reason == "it returned 7"
