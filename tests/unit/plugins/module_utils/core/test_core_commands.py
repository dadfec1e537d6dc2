# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the node: how they end, and what is said of it."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import (
    Done,
    execute,
    execute_allowed,
    must,
)
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
    assert execute_allowed(["/nonexistent/program"]) == done


def test_what_may_not_be_run_is_one_for_those_who_ask_for_it():
    with pytest.raises(PermissionError):
        execute_allowed(["/etc"])


def test_one_that_does_not_end_is():
    with pytest.raises(NodeError, match=r"did not end within 0 s|did not end within 1 s"):
        execute([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.5)


def test_one_that_has_to_succeed():
    assert must(execute, [sys.executable, "-c", SAY]) == "out"
    with pytest.raises(NodeError, match="err more"):
        must(execute, [sys.executable, "-c", SAY], data="3")


def test_a_failure_of_wg_never_says_what_it_printed_nor_what_it_was_fed():
    def fails(_argv, _data="", _timeout=60.0):
        return Done(1, "a private key", "")

    with pytest.raises(NodeError, match=r"^wg show all dump: it returned 1$"):
        must(fails, ["wg", "show", "all", "dump"], "another key")
    with pytest.raises(NodeError, match=r"^nft list tables: a private key$"):
        must(fails, ["nft", "list", "tables"], "another key")


def test_bytes_that_are_no_text_are_shown():
    done = execute([sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'a\\xffb')"])
    assert done.out == "a\\xffb"


def test_words_are_english_and_sbin_is_searched():
    done = execute([sys.executable, "-c", "import os; print(os.environ['LC_ALL'], os.environ['PATH'])"])
    assert done.out.startswith("C.UTF-8 ") and "/usr/sbin" in done.out


def test_wg_has_no_colours_whatever_the_operator_likes(monkeypatch):
    monkeypatch.setenv("WG_COLOR_MODE", "always")
    assert execute(["sh", "-c", "echo $WG_COLOR_MODE"]).out == "never\n"


def test_a_failure_without_a_word():
    assert Done(7, "", "").reason == Done(7, "a private key", "").complaint == "it returned 7"
    assert Done(7, "out", "err\nmore").complaint == "err more"
