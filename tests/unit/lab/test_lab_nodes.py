# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node is given, and how podman is told to run it."""

from __future__ import annotations

import io
import os
import re
import resource
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from lab import namespaces, nodes, paths, podman, spec
from lab.cli import main, parser
from lab.errors import LabError

LAB = paths.LabPaths("lab")


def inventory(checkout: Path, name: str) -> dict[str, dict[str, str]]:
    """host → its variables, from the static inventory of that name."""
    data = yaml.safe_load((checkout / "inventories" / name / "hosts.yml").read_text(encoding="utf-8"))
    groups = data["all"]["children"]["lab"]["children"].values()
    return {name: values for group in groups for name, values in group["hosts"].items()}


@pytest.mark.parametrize(("name", "node_set"), [("lab", "default"), ("lab-mesh", "mesh")])
def test_the_inventory_names_the_nodes_of_the_set(checkout: Path, name: str, node_set: str) -> None:
    hosts = inventory(checkout, name)
    nodes_of_set = spec.node_set(node_set)
    assert {name: values["ansible_host"] for name, values in hosts.items()} == {
        node.name: node.login for node in nodes_of_set
    }
    for node in nodes_of_set:
        assert hosts[node.name].get("ansible_user", "root") == node.user
        assert hosts[node.name].get("ansible_become", False) is (node.user != "root")


def test_both_debian_releases_have_gpus() -> None:
    assert {node.suite for node in spec.NODES if node.boards} == set(spec.SUITES)


@pytest.mark.parametrize("node", spec.NODES + spec.MESH_NODES, ids=lambda node: node.name)
def test_no_node_may_write_settings_of_the_machine_underneath(node: spec.Node) -> None:
    options = podman.run_options(LAB, node, "abc", tun=True)
    joined = " ".join(options)
    assert not re.search(r"privileged|unmask|systempaths|--network=host|--pid|--ipc|SYS_MODULE", joined)
    assert f"--network=ns:/run/lab-net/{node.name}" in options
    assert "--device=/dev/net/tun" in options
    assert "--device=/dev/net/tun" not in podman.run_options(LAB, node, "abc", tun=False)


def test_ulimits_stay_within_what_this_process_may_set(monkeypatch: pytest.MonkeyPatch) -> None:
    hard = {resource.RLIMIT_NOFILE: 20000, resource.RLIMIT_NPROC: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda number: (1024, hard[number]))
    assert podman.limits() == ["nofile=20000:20000", "nproc=65536:65536"]


def test_labs_of_different_names_or_checkouts_share_no_cgroup(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {LAB.cgroup, paths.LabPaths("molecule").cgroup}
    monkeypatch.setattr(paths, "LABS", Path("/elsewhere/.lab"))
    groups.add(paths.LabPaths("lab").cgroup)
    assert len(groups) == 3


@pytest.mark.parametrize("name", ["", "Lab", "a/b", "..", "-a", "a" * 33, "a b"])
def test_a_bad_lab_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="allowed are a-z"):
        spec.check_lab_name(name)


def test_an_unknown_node_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LabError, match=r"'gpu-9'.*h100-1, mixed-1, cpu-1"):
        spec.node("gpu-9")
    assert main(["status", "--name", "NO"]) == 1
    assert "lab name 'NO'" in capsys.readouterr().err


@pytest.mark.parametrize("node_set", spec.SETS)
def test_a_node_knows_every_name_that_can_be_reached(node_set: str) -> None:
    wanted = spec.node_set(node_set)
    for owner in wanted:
        lines = dict(line.split(" ", 1) for line in nodes.hosts_file(owner, wanted).splitlines())
        for node in wanted:
            known = node.router is None or node is owner
            assert lines.get(node.address) == (node.name if known else None)


def test_the_archive_keeps_modes_and_belongs_to_root() -> None:
    data = nodes.archive({"etc/key": (0o600, b"secret"), "etc/name": (0o644, b"n")})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {member.name: member for member in tar}
        stream = tar.extractfile("etc/key")
        assert stream is not None
        assert stream.read() == b"secret"
    assert {name: (member.mode, member.uid) for name, member in members.items()} == {
        "etc/key": (0o600, 0),
        "etc/name": (0o644, 0),
    }


def test_a_node_is_out_of_date_when_anything_it_is_made_of_changes() -> None:
    first, second = spec.NODES[:2]
    made = [
        nodes.spec_digest(first, Path("root-1.tar"), Path("sim-1.deb")),
        nodes.spec_digest(second, Path("root-1.tar"), Path("sim-1.deb")),
        nodes.spec_digest(first, Path("root-2.tar"), Path("sim-1.deb")),
        nodes.spec_digest(first, Path("root-1.tar"), Path("sim-2.deb")),
    ]
    assert len(set(made)) == 4


def test_a_reused_pid_is_not_the_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "LABS", tmp_path)
    LAB.state.mkdir()
    assert namespaces.holder(LAB) is None
    start = namespaces.start_time(os.getpid())
    assert start is not None
    LAB.holder.write_text(f"{os.getpid()}\n{start}\n", encoding="utf-8")
    assert namespaces.holder(LAB) == namespaces.Process(os.getpid(), start)
    LAB.holder.write_text(f"{os.getpid()}\n{start - 1}\n", encoding="utf-8")
    assert namespaces.holder(LAB) is None


def test_a_zombie_counts_as_gone() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert namespaces.start_time(child.pid) is None
    child.wait()


def test_connect_says_how_to_start_a_lab_that_is_not_up(checkout: Path) -> None:
    command = [str(checkout / "lab/connect"), "no-such-lab", "10.77.0.11", "22"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no-such-lab is not up" in done.stderr
    assert "make lab-up" in done.stderr


def test_the_environment_selects_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_NODE_LAB", "molecule")
    assert parser().parse_args(["up"]).name == "molecule"
    assert parser().parse_args(["up", "--name", "mine"]).name == "mine"
