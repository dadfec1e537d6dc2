# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of nodes: what they hold, how a lab remembers its own, how its network is plugged together."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest
import yaml

from lab import cli, faults, network, paths, sets, spec
from lab.errors import LabError
from lab.namespaces import Process

LAB = paths.LabPaths("lab")
UNDERLAY = ip_network(f"{spec.BRIDGE_ADDRESS}/{spec.PREFIX_LENGTH}", strict=False)
MANAGEMENT = ip_network(f"{spec.MANAGEMENT_ADDRESS}/{spec.PREFIX_LENGTH}", strict=False)
HOMES = [node for node in spec.MESH_NODES if node.router is not None]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of the lab LAB, below the test's own directory."""
    monkeypatch.setattr(paths, "LABS", tmp_path)
    LAB.state.mkdir()
    return LAB.state


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The words of every command that would change the network, script first."""
    made: list[list[str]] = []

    def run(command: list[str]) -> str:
        words = command[command.index("sh") + 2 :]
        made.append([words[0], *words[2:]])
        return ""

    monkeypatch.setattr(network, "run", run)
    return made


def test_the_default_set_is_the_one_it_always_was() -> None:
    assert [(node.name, node.suite, node.address, node.login) for node in spec.node_set("default")] == [
        ("h100-1", "bookworm", "10.77.0.11", "10.77.0.11"),
        ("mixed-1", "trixie", "10.77.0.12", "10.77.0.12"),
        ("cpu-1", "trixie", "10.77.0.13", "10.77.0.13"),
    ]


def test_no_address_is_given_twice() -> None:
    given = [spec.BRIDGE_ADDRESS, spec.MANAGEMENT_ADDRESS]
    for node in spec.NODES + spec.MESH_NODES:
        given += [node.address, *([node.management] if node.management else [])]
        given += [node.router.outside, node.router.inside] if node.router else []
    assert len(given) == len(set(given))


@pytest.mark.parametrize("node", spec.NODES + spec.MESH_NODES, ids=lambda node: node.name)
def test_every_address_lies_in_its_network(node: spec.Node) -> None:
    public = node.router.outside if node.router else node.address
    assert IPv4Address(public) in UNDERLAY
    assert not node.management or IPv4Address(node.management) in MANAGEMENT
    if node.router:
        home = ip_network(f"{node.router.inside}/{spec.PREFIX_LENGTH}", strict=False)
        assert IPv4Address(node.address) in home
        assert not home.overlaps(UNDERLAY)


def test_interface_names_are_short_enough_for_the_kernel() -> None:
    for node in spec.NODES + spec.MESH_NODES:
        assert len(network.uplink(node)) <= 15
        assert len(network.management_link(node)) <= 15


def test_the_mesh_set_mixes_releases_at_every_site_and_has_no_gpus() -> None:
    sites: dict[str, set[str]] = {}
    for node in spec.MESH_NODES:
        assert not node.boards
        sites.setdefault(node.name.rpartition("-")[0], set()).add(node.suite)
    assert sites == {site: set(spec.SUITES) for site in ("fra", "ams", "home", "spare")}


def test_the_mesh_inventory_says_what_the_spec_says(checkout: Path) -> None:
    data = yaml.safe_load((checkout / "inventories/lab-mesh/hosts.yml").read_text(encoding="utf-8"))
    groups = data["all"]["children"]["lab"]["children"]
    for node in spec.MESH_NODES:
        group = groups[node.name.rpartition("-")[0]]
        values = {**group.get("vars", {}), **group["hosts"][node.name]}
        assert values.get("mesh_endpoint") == (None if node.router else node.address)
        assert values.get("mesh_behind_nat", False) is (node.router is not None)
        assert values.get("mesh_name") == (None if node.name.startswith("spare") else "wan")
        assert values.get("mesh_transit", False) is (node.name in ("fra-1", "ams-1"))


def test_both_inventories_connect_alike(checkout: Path) -> None:
    def connection(name: str) -> dict[str, str]:
        text = (checkout / "inventories" / name / "hosts.yml").read_text(encoding="utf-8")
        found: dict[str, str] = yaml.safe_load(text)["all"]["children"]["lab"]["vars"]
        return {key: value for key, value in found.items() if not key.startswith("mesh_")}

    assert connection("lab") == connection("lab-mesh")


def test_an_unknown_set_names_the_known(state: Path) -> None:
    with pytest.raises(LabError, match=r"'moon'.*default, mesh"):
        spec.node_set("moon")
    with pytest.raises(LabError, match=r"'moon'.*default, mesh"):
        sets.choose(LAB, "moon", running=False)


def test_a_lab_keeps_its_set(state: Path) -> None:
    assert sets.choose(LAB, None, running=False) == "default"
    sets.remember(LAB, "mesh")
    assert sets.choose(LAB, None, running=True) == "mesh"
    assert sets.nodes_of(LAB) == spec.MESH_NODES
    assert sets.node_of(LAB, "fra-1").address == "10.77.0.21"
    with pytest.raises(LabError, match=r"'h100-1'.*fra-1, fra-2"):
        sets.node_of(LAB, "h100-1")


def test_a_running_lab_does_not_change_its_set(state: Path) -> None:
    sets.remember(LAB, "mesh")
    with pytest.raises(LabError, match="'mesh', not 'default': stop it first"):
        sets.choose(LAB, "default", running=True)
    assert sets.choose(LAB, "default", running=False) == "default"


def test_without_a_lab_any_sets_node_is_known(state: Path) -> None:
    assert sets.node_of(LAB, "home-1").router is not None
    assert sets.node_of(LAB, "cpu-1").name == "cpu-1"
    with pytest.raises(LabError, match="'gpu-9'"):
        sets.node_of(LAB, "gpu-9")


def test_the_environment_selects_the_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SWARM_NODE_LAB_SET", raising=False)
    assert cli.parser().parse_args(["up"]).set is None
    monkeypatch.setenv("SWARM_NODE_LAB_SET", "mesh")
    assert cli.parser().parse_args(["up"]).set == "mesh"
    assert cli.parser().parse_args(["up", "--set", "default"]).set == "default"


def test_a_home_has_no_port_on_the_bridge_but_its_routers(calls: list[list[str]]) -> None:
    home, holder = HOMES[0], Process(1, 1)
    assert home.router is not None
    network.make_router(holder, home)
    network.make_namespace(holder, home)
    ports = [words for script, *words in calls if script == network._PORT]
    assert [(words[0], words[1], words[4], words[5]) for words in ports] == [
        (network.router_path(home), "wan", network.BRIDGE, "off"),
        (network.path(home), "eth9", network.MANAGEMENT_BRIDGE, "on"),
    ]
    (lan,) = [words for script, *words in calls if script == network._LAN]
    assert lan[:4] == [
        network.path(home),
        f"{home.address}/24",
        network.router_path(home),
        "192.168.101.1/24",
    ]


def test_a_restart_leaves_the_router_alone(calls: list[list[str]]) -> None:
    network.make_namespace(Process(1, 1), HOMES[0])
    removed = [words for script, *words in calls if script == network._REMOVE]
    assert removed == [[network.path(HOMES[0]), network.management_link(HOMES[0])]]
    assert network._NAT not in [script for script, *_ in calls]


def test_a_node_on_the_bridge_has_no_router(calls: list[list[str]]) -> None:
    network.make_router(Process(1, 1), spec.NODES[0])
    assert calls == []
    network.make_namespace(Process(1, 1), spec.NODES[0])
    (port,) = [words for script, *words in calls if script == network._PORT]
    assert port[:4] == [network.path(spec.NODES[0]), "eth0", "10.77.0.11/24", network.uplink(spec.NODES[0])]


def test_only_a_set_with_management_has_a_second_bridge(calls: list[list[str]]) -> None:
    network.make_bridges(Process(1, 1), spec.NODES)
    assert [words[1] for words in calls] == ["lab0"]
    network.make_bridges(Process(1, 1), spec.MESH_NODES)
    assert [words[1] for words in calls] == ["lab0", "lab0", "lab9"]


def test_hardware_addresses_are_local_distinct_and_lasting() -> None:
    addresses = [network.hardware_address(node.address) for node in spec.NODES + spec.MESH_NODES]
    assert network.hardware_address("10.77.0.21") == "02:00:0a:4d:00:15"
    assert len(set(addresses)) == len(addresses)


def test_faults_name_the_lab_before_the_node() -> None:
    words = faults.Faults("mine").command("exec", "fra-1", "ls", "-l")
    assert words[1:] == ["-m", "lab", "exec", "--name", "mine", "fra-1", "ls", "-l"]
    arguments = cli.parser().parse_args(words[3:])
    assert (arguments.name, arguments.node, arguments.words) == ("mine", "fra-1", ["ls", "-l"])
    cut = cli.parser().parse_args(faults.Faults("mine").command("cut", "--silent", "fra-1")[3:])
    assert (cut.name, cut.node, cut.silent) == ("mine", "fra-1", True)


def test_a_background_program_gives_output_and_return_code(monkeypatch: pytest.MonkeyPatch) -> None:
    class Here(faults.Faults):
        """The command runs on this machine instead of in a node."""

        def command(self, *words: str) -> list[str]:
            return list(words[words.index("--") + 1 :])

    job = Here("mine").background("fra-1", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert job.wait(10) == (7, "out\nerr\n")
    assert not job.running
    assert job.stop() == "out\nerr\n"


def test_a_fault_that_fails_is_told_in_the_commands_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        faults.Faults, "command", lambda self, *words: ["sh", "-c", "echo no such node; exit 1"]
    )
    with pytest.raises(LabError, match="no such node"):
        faults.Faults("mine").cut("nope")


@pytest.mark.parametrize(("word", "lab", "node_set"), [("mine", "mine", ""), ("mine:mesh", "mine", "mesh")])
def test_with_lab_takes_a_set(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str, lab: str, node_set: str
) -> None:
    monkeypatch.delenv("SWARM_NODE_LAB_SET", raising=False)
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    script = tmp_path / "scripts/with-lab"
    script.write_bytes((checkout / "scripts/with-lab").read_bytes())
    python = tmp_path / ".venv/bin/python"
    python.write_text('#!/bin/sh\necho "$SWARM_NODE_LAB/$SWARM_NODE_LAB_SET $*"\n', encoding="utf-8")
    python.chmod(0o755)
    done = subprocess.run(
        ["bash", str(script), word, "sh", "-c", "echo mid $SWARM_NODE_LAB; exit 3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout.splitlines() == [
        f"{lab}/{node_set} -m lab up",
        f"mid {lab}",
        f"{lab}/{node_set} -m lab stop",
    ]
