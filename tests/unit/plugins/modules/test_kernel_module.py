# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel module over a tree of files: its whole life, and what it says."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import module_runner
import pytest
from kernel_node import REJECTED, TREE, KernelNode

WISH = {
    "sysctl": {
        "vm.swappiness": 10,
        "vm.max_map_count": ">=1048576",
        "net.ipv4.tcp_rmem": [4096, 87380, 268435456],
        "net.ipv4.conf.eth0/100.rp_filter": 1,
        "net.ipv4.tcp_congestion_control": "bbr",
        "vm.dirty_bytes": 1048576,
    },
    "thp": "never",
    "thp_defrag": "defer",
}


@pytest.fixture
def node(tmp_path):
    return KernelNode(tmp_path)


def test_the_life_of_settings(node):
    first = node.tree()
    planned = node.apply(check=True, **WISH)
    assert planned["changed"] and planned["writes"] == 0
    assert node.tree() == first and node.kept() == {}

    done = node.apply(**WISH)
    assert done["changed"] and done["plan_digest"] == planned["plan_digest"]
    assert done["changes"] == planned["changes"] and done["diff"] == planned["diff"]
    assert node.live("vm.swappiness") == "10"
    assert node.live("net.ipv4.tcp_rmem") == "4096 87380 268435456"
    assert node.live("vm.dirty_ratio") == "0"
    assert node.thp() == "never"
    assert "net/ipv4/conf/eth0.100/rp_filter = 1\n" in node.ours()
    assert "vm.max_map_count = 1048576\n" in node.ours()
    assert "vm.dirty_ratio" not in node.ours()
    assert "w /sys/kernel/mm/transparent_hugepage/enabled - - - - never\n" in node.ours("tmpfiles")

    again = node.apply(**WISH)
    assert (again["changed"], again["writes"], again["changes"], again["unapplied"]) == (False, 0, [], [])

    second = node.apply(sysctl={"vm.swappiness": 1, "vm.dirty_ratio": 10}, thp="always")
    assert second["changed"]
    assert (node.live("vm.swappiness"), node.live("vm.dirty_ratio"), node.thp()) == ("1", "10", "always")
    assert node.live("vm.dirty_bytes") == "0"
    assert node.live("net.ipv4.tcp_congestion_control") == "cubic"
    assert not node.apply(sysctl={"vm.swappiness": 1, "vm.dirty_ratio": 10}, thp="always")["changed"]

    assert node.apply(check=True, state="absent")["changed"]
    gone = node.apply(state="absent")
    assert gone["changed"] and node.tree() == first
    assert node.claims() == {}
    assert node.apply(state="absent")["changed"] is False


def test_the_diff_shows_keys_and_whole_files(node):
    node.apply(sysctl={"vm.swappiness": 10})
    diff = node.apply(check=True, sysctl={"vm.swappiness": 20})["diff"]
    assert "vm.swappiness: 10\n" in diff["before"] and "vm.swappiness: 20\n" in diff["after"]
    assert "vm.swappiness = 10\n" in diff["before"] and "vm.swappiness = 20\n" in diff["after"]
    assert "/etc/sysctl.d/90-swarm-node-t.conf" in diff["after"]
    assert diff["before_header"] == "kernel (owner t)"


def test_the_result_has_every_documented_key(node, checkout):
    table = (checkout / "docs/results.md").read_text().split("## A change")[0]
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| `")
        for name in line.split("|")[1].split("`")[1::2]
    }
    assert len(named) > 12
    for options in (WISH, {"manage": "none"}, {"manage": "report", **WISH}):
        assert named <= set(node.run(check=True, **options))


def test_a_value_the_kernel_rejects_is_in_no_file_and_undoes_the_rest(node):
    first = node.tree()
    options = {"sysctl": {"vm.swappiness": 10, "vm.dirty_bytes": 1048576, "net.core.rmem_max": int(REJECTED)}}
    result = node.run(origins={"net.core.rmem_max": "group net"}, thp="never", **options)
    assert result["failed"]
    assert (
        f"net.core.rmem_max: the kernel rejects '{REJECTED}' (from group net): Invalid argument"
        in result["msg"]
    )
    assert "live is '212992'" in result["msg"]
    assert result["not_undone"] == []
    assert node.tree() == first and node.kept() == {}
    assert set(result["rolled_back"]) >= {"vm.swappiness", "vm.dirty_bytes", "vm.dirty_ratio"}


def test_a_key_that_is_no_file_is_unsupported(node):
    (node.root / "proc/sys/vm/swappiness").unlink()
    os.mkfifo(node.root / "proc/sys/vm/swappiness")
    result = node.apply(sysctl={"vm.swappiness": 1, "net.core": 1, "vm.absent": 1})
    assert [(wish["key"], wish["reason"]) for wish in result["unapplied"]] == [
        (key, "unsupported") for key in ("vm.swappiness", "net.core", "vm.absent")
    ]
    assert not result["changed"]


def test_a_required_key_that_cannot_be_had_stops_the_run(node):
    first = node.tree()
    result = node.run(required=["vm/absent"], sysctl={"vm.absent": 1, "vm.swappiness": 1})
    assert result["failed"] and not result["changed"]
    assert "vm.absent (unsupported: this kernel has no /proc/sys/vm/absent)" in result["msg"]
    assert node.tree() == first and result["writes"] == 0


def test_the_link_99_sysctl_conf_has_the_last_word(node):
    (node.root / "etc/sysctl.conf").write_text("vm.swappiness=60\n")
    wish = node.apply(sysctl={"vm.swappiness": 1})["unapplied"][0]
    assert (wish["reason"], wish["detail"]) == ("shadowed_by", "/etc/sysctl.d/99-sysctl.conf (wins, =60)")


def test_a_file_that_hides_another_of_the_same_name(node):
    (node.root / "usr/lib/sysctl.d/95-x.conf").write_text("vm.swappiness=60\n")
    assert node.apply(check=True, sysctl={"vm.swappiness": 1})["unapplied"]
    (node.root / "etc/sysctl.d/95-x.conf").symlink_to("/dev/null")
    assert not node.apply(check=True, sysctl={"vm.swappiness": 1})["unapplied"]


@pytest.mark.parametrize(
    ("reapply", "alive", "reasons"),
    [
        ("0", "run/tuned/tuned.pid", ["shadowed_by", "shadowed_by"]),
        ("1", "run/tuned/tuned.pid", ["shadowed_by"]),
        ("1", "etc/systemd/system/multi-user.target.wants/tuned.service", ["shadowed_by"]),
        ("0", "", []),
    ],
    ids=["rules", "sysctl.d rules", "will run at boot", "stopped and disabled"],
)
def test_tuned_as_its_files_say(node, reapply, alive, reasons):
    if alive:
        (node.root / alive).parent.mkdir(parents=True)
        (node.root / alive).write_text("1\n")
    profiles = node.root / "usr/lib/tuned"
    for name, text in {
        "base": "[sysctl]\nvm.swappiness=30\nvm.max_map_count=>5\n",
        "mine": "[main]\ninclude=base\n[vm]\ntransparent_hugepages=always\n",
    }.items():
        (profiles / name).mkdir(parents=True)
        (profiles / name / "tuned.conf").write_text(text)
    (node.root / "etc/tuned").mkdir()
    (node.root / "etc/tuned/active_profile").write_text("mine\n")
    (node.root / "etc/tuned/tuned-main.conf").write_text(f"reapply_sysctl = {reapply}\n")
    result = node.apply(sysctl={"vm.swappiness": 10, "vm.max_map_count": 70000}, thp="never")
    assert [wish["reason"] for wish in result["unapplied"]] == reasons
    assert all("tuned profile mine" in wish["detail"] for wish in result["unapplied"])
    assert node.live("vm.max_map_count") == "70000"


def test_an_edited_file_is_copied_byte_for_byte_before_it_is_replaced(node):
    node.apply(sysctl={"vm.swappiness": 10})
    edited = b"# mine\r\nvm.swappiness=10\r\nbytes=\xff\xfe\n"
    path = node.root / "etc/sysctl.d/90-swarm-node-t.conf"
    path.write_bytes(edited)
    path.chmod(0o640)
    result = node.apply(sysctl={"vm.swappiness": 10})
    assert result["changed"] and path.stat().st_mode & 0o777 == 0o640
    (copy,) = (node.base / "state/edited").iterdir()
    assert copy.read_bytes() == edited


def test_a_failure_brings_an_edited_file_back_byte_for_byte(node):
    node.apply(sysctl={"vm.swappiness": 10})
    (node.root / "etc/sysctl.d/90-swarm-node-t.conf").write_bytes(b"# mine\r\nvm.swappiness=10\xff\r\n")
    first = node.tree()

    def break_tmpfiles():
        from ansible_collections.swarm.node.plugins.module_utils.core import files

        real = files.write_whole

        def write(path, text, mode=0o644):
            if "tmpfiles.d" in str(path):
                raise OSError(28, "No space left on device")
            real(path, text, mode)

        files.write_whole = write

    result = node.run(before=break_tmpfiles, sysctl={"vm.swappiness": 20}, thp="never")
    assert result["failed"] and "No space left on device" in result["msg"]
    assert result["not_undone"] == [] and node.tree() == first


def test_two_owners_do_not_touch_each_other(node):
    node.apply(sysctl={"vm.swappiness": 10})
    taken = node.run(owner="u", sysctl={"vm/swappiness": 20})
    assert taken["failed"] and "'t' holds this key" in taken["msg"]
    assert taken["problems"][0]["origin"] == "task"
    node.apply(owner="u", sysctl={"net.core.rmem_max": 1000000})
    node.apply(state="absent")
    assert (node.live("vm.swappiness"), node.live("net.core.rmem_max")) == ("60", "1000000")


def test_an_owner_one_yields_to_keeps_its_key_and_the_next_run_takes_it_over(node):
    wish = {"vm.swappiness": 20, "vm.dirty_bytes": 1048576, "net.core.rmem_max": 1000000}
    node.apply(sysctl={"vm.swappiness": 10, "vm.dirty_ratio": 7})
    made = node.apply(owner="u", yields_to=["t"], sysctl=wish)
    assert made["yielded"] == ["vm.swappiness"] and made["other_owners"] == ["t"]
    found = {item["key"]: (item["reason"], item["detail"]) for item in made["unapplied"]}
    assert found == dict.fromkeys(
        ("vm.swappiness", "vm.dirty_bytes"), ("managed_by", "owner 't' holds it on this node")
    )
    assert [node.live(key) for key in (*wish, "vm.dirty_ratio")] == ["10", "0", "1000000", "7"]
    again = node.apply(owner="u", yields_to=["t"], sysctl=wish)
    assert not again["changed"] and again["writes"] == 0 and again["yielded"]
    node.apply(state="absent")
    taken = node.apply(owner="u", yields_to=["t"], sysctl=wish)
    assert taken["yielded"] == [] and node.live("vm.swappiness") == "20"
    assert node.apply(state="absent", owner="u")["other_owners"] == []
    assert node.live("vm.swappiness") == "60"


def test_who_else_holds_something_is_said_though_this_layer_is_left_alone(node):
    node.apply(sysctl={"vm.swappiness": 10})
    assert node.apply(owner="u", manage="none")["other_owners"] == ["t"]
    assert node.apply(manage="none")["other_owners"] == []


def test_a_required_key_that_is_left_to_another_owner_fails(node):
    node.apply(sysctl={"vm.swappiness": 10})
    wish = {"vm.swappiness": 20, "net.core.rmem_max": 1000000}
    made = node.run(owner="u", yields_to=["t"], sysctl=wish, required=["vm.swappiness"])
    assert made["failed"] and made["failure_kind"] == "required"
    assert node.live("net.core.rmem_max") == "212992"


def test_a_required_key_may_wait_for_its_owner_where_another_call_follows(node):
    node.apply(sysctl={"vm.swappiness": 10})
    asked = {"owner": "u", "yields_to": ["t"], "required": ["vm.swappiness", "net.core.x"]}
    wish = {"vm.swappiness": 20, "net.core.rmem_max": 1000000}
    planned = node.apply(check=True, may_wait=True, sysctl=wish, **asked)
    assert planned["yielded"] == ["vm.swappiness"] and planned["unapplied"][0]["reason"] == "managed_by"
    made = node.apply(may_wait=True, sysctl=wish, **asked)
    assert made["changes"] == planned["changes"] and node.live("net.core.rmem_max") == "1000000"
    lacking = node.run(may_wait=True, sysctl={**wish, "net.core.x": 1}, **asked)
    assert lacking["failure_kind"] == "required" and "vm.swappiness" not in lacking["msg"]
    node.apply(state="absent")
    node.apply(sysctl=wish, **asked)
    assert node.live("vm.swappiness") == "20"


def test_a_discipline_that_the_kernel_does_not_have_is_said_and_not_tried(node):
    place = node.root / "proc/sys/net/core/default_qdisc"
    place.write_text("pfifo_fast\n")
    builtin = node.root / "lib/modules/6.1.0-test/modules.builtin"
    builtin.write_text("kernel/net/sched/sch_fq_codel.ko\n")
    made = node.apply(sysctl={"net.core.default_qdisc": "sfq"})
    (left,) = made["unapplied"]
    assert left["reason"] == "unsupported" and "fq, fq_codel" in left["detail"] and not made["changed"]
    for word in ("fq", "fq_codel", "pfifo"):
        assert node.apply(sysctl={"net.core.default_qdisc": word})["unapplied"] == []
        assert node.live("net.core.default_qdisc") == word
    builtin.unlink()
    assert node.apply(sysctl={"net.core.default_qdisc": "sfq"})["unapplied"] == [], (
        "nobody knows: it is tried"
    )


def test_where_no_module_may_be_loaded_only_what_is_there_counts(node):
    (node.root / "proc/sys/kernel/modules_disabled").write_text("1\n")
    made = node.apply(sysctl={"net.ipv4.tcp_congestion_control": "bbr"})
    (left,) = made["unapplied"]
    assert (left["reason"], left["detail"]) == ("unsupported", "this kernel offers reno, cubic")


def test_where_no_module_may_be_loaded_a_discipline_that_is_not_there_is_not_tried(node):
    (node.root / "proc/sys/net/core/default_qdisc").write_text("pfifo_fast\n")
    (node.root / "lib/modules/6.1.0-test/modules.builtin").write_text("kernel/net/sched/sch_fq_codel.ko\n")
    (node.root / "proc/modules").write_text("sch_sfq 28672 0 - Live 0x0000000000000000\n")
    (node.root / "proc/sys/kernel/modules_disabled").write_text("1\n")
    made = node.apply(sysctl={"net.core.default_qdisc": "fq", "vm.swappiness": 10})
    (left,) = made["unapplied"]
    assert (left["reason"], left["key"]) == ("unsupported", "net.core.default_qdisc")
    assert left["detail"].endswith("noqueue, fq_codel, sfq") and node.live("vm.swappiness") == "10"
    for word in ("fq_codel", "sfq"):
        assert node.apply(sysctl={"net.core.default_qdisc": word})["unapplied"] == []


@pytest.mark.parametrize("owner", ["../x", "a/b", ".x", "a\n", "-x", "x" * 65])
def test_owners_that_are_no_file_name_are_refused(node, owner):
    result = node.run(owner=owner, sysctl={"vm.swappiness": 1})
    assert result["failed"] and "owner: " in result["msg"] and "allowed:" in result["msg"]
    assert node.live("vm.swappiness") == "60" and not (node.base / "state").exists()


def test_report_only(node):
    first = node.tree()
    result = node.apply(manage="report", **WISH)
    assert {wish["reason"] for wish in result["unapplied"]} == {"managed_by"}
    assert result["after"] == result["before"] and not result["changed"]
    assert node.tree() == first and node.kept() == {}


def test_what_is_held_elsewhere_stays_readable_in_a_held_lock(node):
    """Check mode neither takes nor waits for the lock."""
    (node.base / "run").mkdir()
    with (node.base / "run/lock").open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert node.apply(check=True, **WISH)["changed"]


def test_as_a_program_of_its_own(node, collections_path):
    """The module in a fresh interpreter, nothing imported before it."""
    environment = {**os.environ, "PYTHONPATH": str(collections_path)}
    parameters = json.dumps(node.parameters(sysctl={"vm.swappiness": 3}))
    done = subprocess.run(
        [sys.executable, str(Path(module_runner.__file__)), "kernel", parameters],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    result = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0 and result["changed"], done.stderr
    assert node.live("vm.swappiness") == "3"


def test_the_tree_of_these_tests_is_one_the_layer_reads(node):
    before = node.apply(check=True, **WISH)["before"]
    assert before["vm.swappiness"] == TREE["proc/sys/vm/swappiness"].strip()
    assert before["thp.enabled"] == "madvise"


def test_a_check_without_root_plans_what_root_would_do(node, monkeypatch):
    wishes = {"sysctl": {"vm.swappiness": 10, "net.core.rmem_max": 1048576}}
    planned = node.apply(check=True, **wishes)
    (node.root / "proc/sys/net/core/rmem_max").chmod(0o444)  # as in a network namespace of its own
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    answer = node.apply(check=True, **wishes)
    assert answer["changes"][0] == planned["changes"][0]
    assert [(wish["key"], wish["reason"]) for wish in answer["unapplied"]] == [
        ("net.core.rmem_max", "readonly")
    ]
