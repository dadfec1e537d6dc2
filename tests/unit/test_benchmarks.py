# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks' frame: numbers, table, peer, runs of ansible-playbook, the command; and the merge."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import merge, node, peer
from benchmarks.ansible_run import CHECKOUT, Playbooks, Task, read_tasks
from benchmarks.errors import BenchmarkError
from benchmarks.measure import Row, ratios, samples, table

RESULT: dict[str, Any] = {"failed": False, "changed": True, "layers": ["gpu", "kernel"]}


# -- numbers and the table


def test_median_and_range() -> None:
    found = samples([3, 1, 2])
    assert found.text(1) == "2.0 (1.0-3.0)"
    assert found.as_json() == {"median": 2.0, "min": 1.0, "max": 3.0, "samples": [3.0, 1.0, 2.0]}
    assert samples([2]).text(2) == "2.00"
    with pytest.raises(ValueError, match="without a value"):
        samples([])


def test_ratio_is_taken_per_repetition() -> None:
    assert ratios(samples([10, 40]), samples([1, 2])).values == (10.0, 20.0)
    with pytest.raises(ValueError):
        ratios(samples([1, 2]), samples([1]))


def test_ratio_says_which_way_round() -> None:
    ours, theirs = samples([2.0]), samples([10.0])
    assert Row("b", "m", "s", ours, theirs, "peer/ours").cells()[-1] == "peer/ours 5.0"
    assert Row("b", "m", "s", ours, theirs, "ours/peer").cells()[-1] == "ours/peer 0.2"
    assert Row("b", "m", "s", ours).as_json()["ratio"] is None


@pytest.mark.parametrize(("theirs", "ratio"), [(None, "peer/ours"), (samples([1]), "faster")])
def test_impossible_rows_are_refused(theirs: Any, ratio: str) -> None:
    with pytest.raises(ValueError, match="ratio"):
        Row("b", "m", "s", samples([1]), theirs, ratio)


def test_table_is_aligned_and_names_a_benchmark_once() -> None:
    rows = [
        Row("kernel", "first", "s", samples([0.5]), samples([9]), "peer/ours"),
        Row("kernel", "a longer measure", "s", samples([0.25])),
        Row("merge", "x", "ms", samples([1])),
    ]
    lines = table(rows).splitlines()
    assert len(lines) == 5
    assert [line.startswith("kernel") for line in lines].count(True) == 1
    column = lines[0].index("swarm.node")
    assert [line[column : column + 4] for line in lines[2:]] == ["0.50", "0.25", "1.00"]


# -- the peer


@pytest.mark.parametrize("name", ["py311", "py313"])
def test_locks_name_one_package_and_no_index(name: str) -> None:
    path = CHECKOUT / "requirements" / f"bench-{name}.txt"
    version, digest = peer.read_lock(path.read_text("utf-8"), path.name)
    assert version and len(digest) == 64
    assert "://" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ansible==1.0\n",
        "ansible>=1.0 --hash=sha256:" + "0" * 64,
        "ansible==1 --hash=sha256:" + "0" * 64 + "\nother==2 --hash=sha256:" + "0" * 64,
    ],
)
def test_a_lock_without_hash_or_with_more_is_refused(text: str) -> None:
    with pytest.raises(BenchmarkError, match="x\\.txt: allowed is one package"):
        peer.read_lock(text, "x.txt")


def make_wheel(path: Path, collection: str = "posix") -> Path:
    manifest = json.dumps({"collection_info": {"version": "2.1.0"}})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"ansible_collections/ansible/{collection}/MANIFEST.json", manifest)
        archive.writestr("ansible_collections/other/thing/MANIFEST.json", "{}")
    return path


def test_only_the_one_collection_is_unpacked(tmp_path: Path) -> None:
    peer.unpack(make_wheel(tmp_path / "a.whl"), tmp_path / "out")
    found = [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.json")]
    assert found == ["ansible_collections/ansible/posix/MANIFEST.json"]
    with pytest.raises(BenchmarkError, match="holds no"):
        peer.unpack(make_wheel(tmp_path / "b.whl", "windows"), tmp_path / "other")


def test_the_peer_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("ansible==1.0 \\\n    --hash=sha256:" + "a" * 64 + "\n", "utf-8")
    calls: list[str] = []

    def download(lock: Path, version: str, directory: Path) -> Path:
        calls.append(version)
        return make_wheel(directory / "ansible.whl")

    monkeypatch.setattr(peer, "download", download)
    cache = tmp_path / "cache"
    assert peer.provide(lock, cache) == peer.provide(lock, cache) == (cache / ("a" * 16), "2.1.0")
    assert calls == ["1.0"]
    assert [path.name for path in cache.iterdir()] == ["a" * 16]


def test_a_peer_that_cannot_be_had_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("ansible==1.0 --hash=sha256:" + "a" * 64, "utf-8")
    lines: list[list[str]] = []

    def fail(line: list[str]) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        return subprocess.CompletedProcess(line, 1)

    monkeypatch.setattr(peer.subprocess, "run", fail)
    with pytest.raises(BenchmarkError, match=r"pip could not get ansible 1\.0"):
        peer.provide(lock, tmp_path / "cache")
    assert "--require-hashes" in lines[0] and "--no-deps" in lines[0]
    with pytest.raises(BenchmarkError, match="missing"):
        peer.provide(tmp_path / "none.txt", tmp_path / "cache")


# -- the merge benchmark


def test_every_host_of_the_fleet_is_in_one_group() -> None:
    fleet = merge.inventory(100)["all"]
    members = [name for group in fleet["children"].values() for name in group["hosts"]]
    assert sorted(members) == sorted(fleet["hosts"]) and len(members) == 100
    assert sum(bool(variables) for variables in fleet["hosts"].values()) == 10


def test_merge_of_a_small_fleet_makes_no_connection(tmp_path: Path) -> None:
    rows = merge.benchmark(Playbooks(tmp_path, []), 1, lambda text: None, tmp_path, [10])
    assert [row.measure for row in rows] == ["10 hosts: task, per host"]
    assert rows[0].ours.median > 0 and rows[0].peer is not None


def test_a_host_without_wishes_is_an_error() -> None:
    task = Task("merge", 1.0, {"a": RESULT, "b": {**RESULT, "layers": ["gpu"]}})
    with pytest.raises(BenchmarkError, match=r"without layers: \['b'\]"):
        merge.check(task, 2)
    with pytest.raises(BenchmarkError, match="1 answers"):
        merge.check(Task("merge", 1.0, {"a": RESULT}), 2)


# -- runs


def test_a_failed_playbook_says_why(tmp_path: Path) -> None:
    fleet = tmp_path / "hosts.yml"
    fleet.write_text(json.dumps(merge.inventory(10)), "utf-8")
    with pytest.raises(BenchmarkError, match=r"(?s)ended with 2 on node-0001.*no such luck"):
        Playbooks(tmp_path, []).run("node-0001", [{"ansible.builtin.fail": {"msg": "no such luck"}}], fleet)


def test_a_task_without_result_or_with_a_failure_is_an_error() -> None:
    task = {"name": "x", "start": 1.0, "end": 3.5, "hosts": {"a": RESULT}}
    assert read_tasks([task]) == [Task("x", 2.5, {"a": RESULT})]
    for wrong in ({"end": None}, {"hosts": {"a": {**RESULT, "failed": True}}}):
        with pytest.raises(BenchmarkError, match="'x'"):
            read_tasks([{**task, **wrong}])


def test_every_ssh_command_is_counted(tmp_path: Path) -> None:
    Playbooks(tmp_path, [])
    fake = tmp_path / "bin" / "ssh"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$@"\n', "utf-8")
    fake.chmod(0o755)
    trips = tmp_path / "trips"
    environment = {
        **os.environ,
        "PATH": f"{fake.parent}:{os.environ['PATH']}",
        "SWARM_NODE_BENCH_TRIPS": str(trips),
    }
    for _ in range(3):
        line = [str(tmp_path / "ssh"), "host", "a b"]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "host a b\n"
    assert trips.read_text("utf-8") == "..."


# -- the command


def test_without_a_lab_it_says_how_to_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SWARM_NODE_LAB", raising=False)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    assert command.main(["--short"]) == 1
    assert "scripts/with-lab bench" in capsys.readouterr().err


def test_a_lab_that_is_not_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_NODE_LAB", "unheard")
    done = subprocess.CompletedProcess([], 1, "lab unheard is not up\n", "")
    monkeypatch.setattr(node, "_lab", lambda *_: done)
    with pytest.raises(BenchmarkError, match="'unheard' is not up and well:\nlab unheard is not up"):
        node.require_lab()


def test_the_json_holds_every_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "REPORTS", tmp_path / "benchmarks")
    row = Row("b", "m", "s", samples([1, 2]), samples([4, 6]), "peer/ours")
    path = command.write([row], {"date": "2026-11-22T10:11:12+00:00", "cores": 2})
    assert path.name == "20261122T101112Z.json"
    data = json.loads(path.read_text("utf-8"))
    assert data["rows"][0]["peer"]["samples"] == [4.0, 6.0]
    assert data["rows"][0]["ratio"] == {
        "of": "peer/ours", "median": 3.5, "min": 3.0, "max": 4.0, "samples": [4.0, 3.0],
    }  # fmt: skip
