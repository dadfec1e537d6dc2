# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes no sense is refused before anything changes: key, value, what is allowed, where it came from."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab_runs import Run

from .conftest import MEMBERS, MeshLab

WATCHED = ("fra-1", "home-1", "spare-1", "spare-2")
STATE = """
wg show all public-key; wg show all allowed-ips; wg show all listen-port; ip -o addr | sed 's/valid_lft.*//'
ip route; ip -6 route; nft list ruleset
for place in /etc/wireguard /etc/swarm_node /etc/systemd/system; do
    find $place -type f -exec sha256sum {} + 2>/dev/null | sort; done
"""


def state(lab: MeshLab, nodes: tuple[str, ...] = WATCHED) -> dict[str, str]:
    """Tunnels, addresses, routes, filters and files of nodes; keys that were made for a join may stay."""
    found = {}
    for node in nodes:
        text = lab.sh(node, STATE, check=False)
        assert "lo " in text
        # Counters go on.
        lines = [line for line in text.splitlines() if "/keys/" not in line and "expires" not in line]
        found[node] = re.sub(r"(packets|bytes) \d+", "", "\n".join(lines))
    return found


@pytest.fixture
def unchanged(mesh: MeshLab) -> Iterator[MeshLab]:
    """Registries and nodes are the same afterwards."""
    before, files = state(mesh), texts(mesh)
    yield mesh
    assert texts(mesh) == files
    after = state(mesh)
    for node in WATCHED:
        assert after[node] == before[node], node


def texts(lab: MeshLab) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in lab.registries.iterdir()}


@contextmanager
def edited(lab: MeshLab, change: Callable[[Any], None]) -> Iterator[None]:
    before = lab.edit(change)
    try:
        yield
    finally:
        lab.put_back(before)


def refused(run: Run, *words: str) -> str:
    """The whole message on one line."""
    assert run.code != 0, run.output
    said = " ".join(run.output.split())
    for word in words:
        assert word in said, f"{word!r} is not in:\n{run.output}"
    assert "Traceback" not in run.output
    return said


def apply(lab: MeshLab, *arguments: str, **extra: Any) -> Run:
    run = lab.mesh("apply", "--limit", "fra-1,home-1", *arguments, **extra)
    assert run.report["totals"]["writes"] == 0
    return run


# -- a registry that was edited into nonsense


def test_a_slip_of_yaml_has_its_line(unchanged: MeshLab) -> None:
    text = unchanged.edit(lambda data: None)
    try:
        unchanged.put_back(text.replace("\nlinks:", "\nlinks: ]", 1))
        line = text[: text.index("\nlinks:")].count("\n") + 2
        said = refused(apply(unchanged), "YAML that can be read", "nothing was changed")
        assert f"wan.yml:{line})" in said
    finally:
        unchanged.put_back(text)


def test_values_that_cannot_be(unchanged: MeshLab) -> None:
    def change(data: Any) -> None:
        data["members"]["fra-1"]["endpont"] = "10.77.0.21"
        data["members"]["fra-2"]["number"] = "two"
        data["members"]["fra-3"]["nat"] = "perhaps"
        data["settings"]["prefixes"] = ["10.99.0.0/33"]

    with edited(unchanged, change):
        path = unchanged.registries / "wan.yml"
        lines = path.read_text("utf-8").splitlines()
        at = next(number for number, line in enumerate(lines, 1) if "endpont" in line)
        said = refused(
            apply(unchanged),
            *(
                "did you mean endpoint?",
                "fra-2 number",
                "two",
                "1 to 65535",
                "nat",
                "perhaps",
                "10.99.0.0/33",
            ),
        )
        assert f"wan.yml:{at}" in said


def test_what_contradicts_itself(unchanged: MeshLab) -> None:
    def change(data: Any) -> None:
        members, links = data["members"], data["links"]
        members["fra-2"]["number"] = members["fra-3"]["number"]
        members["ams-2"]["underlay_mtu"] = 1300
        members["ams-3"].pop("endpoint")
        members["fra-1"]["underlay"] = ["10.99.64.0/20"]
        at_fra_1 = [link for link in links if "fra-1" in link["ends"]]
        for link in at_fra_1[:2]:
            link["slots"][link["ends"].index("fra-1")] = 0
        links.append({"ends": ["home-1", "home-2"], "slots": [20, 20], "generations": [1, 1]})
        links.append({"ends": ["fra-1", "stranger"], "slots": [21, 0], "generations": [1, 1]})

    with edited(unchanged, change):
        refused(
            apply(unchanged),
            *("a number of its own (its address comes from it)", "has this one", "wan.yml:"),
            *("underlay_mtu", "1300", "1340 or more", "IPv6 needs 1280"),
            *("ams-3 endpoint", "an address or name where others call it, or nat: true"),
            *("10.99.64.0/20", "the mesh would capture them"),
            *("a slot of its own", "home-1 – home-2", "both are behind NAT"),
            *("stranger", "this one is not in the registry"),
        )


def test_a_registry_of_a_newer_version(unchanged: MeshLab) -> None:
    with edited(unchanged, lambda data: data.update(schema=2)):
        refused(apply(unchanged), "schema", "2", "newer version of the collection", "wan.yml:")


def test_a_host_that_is_in_no_registry_is_named_with_the_playbook(unchanged: MeshLab) -> None:
    run = unchanged.mesh("apply", "--limit", "spare-1", spares=["spare-1"])
    refused(run, "spare-1 is not in its registry", "swarm.node.mesh_join", "registry of wan")


def test_an_address_that_is_given_twice_by_the_registry_of_another_mesh(unchanged: MeshLab) -> None:
    """Two meshes on one host with one prefix and one range of ports."""
    text = (unchanged.registries / "wan.yml").read_text("utf-8")
    (unchanged.registries / "two.yml").write_text(text.replace("mesh: wan", "mesh: two"), "utf-8")
    try:
        run = apply(unchanged, mesh_name=["wan", "two"])
        refused(run, "10.99.0.0/16", "[51820, 51867]", "ports apart from", "a prefix apart from", "two.yml")
    finally:
        (unchanged.registries / "two.yml").unlink()


def test_a_clock_that_is_wrong(unchanged: MeshLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller's is, here: a lab's nodes have the host's."""
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nreal = time.time\ntime.time = lambda: real() + 1000\n", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = refused(apply(unchanged), "mesh clock", "at most 300 s", "timedatectl")
    assert re.search(r"-(9\d\d|1000) s against the controller's", said), said


# -- a join

TWO_PLACES = """
import socket
real = socket.getaddrinfo
def getaddrinfo(host, *more, **options):
    if host != "two.mesh.test":
        return real(host, *more, **options)
    return [(2, 2, 17, "", (address, 0)) for address in ("10.77.0.51", "10.77.0.99")]
socket.getaddrinfo = getaddrinfo
"""


def join(lab: MeshLab, hosts: dict[str, dict[str, Any]], **extra: Any) -> Run:
    """hosts: name → what the inventory says of it"""
    extra_inventory = lab.registries.parent / "bad.yml"
    extra_inventory.write_text(yaml.safe_dump({"all": {"hosts": hosts}}), encoding="utf-8")
    return lab.play(
        "swarm.node.mesh_join",
        *("-i", str(extra_inventory)),
        mesh_registry_dir=str(lab.registries),
        node_hosts=",".join(hosts),
        **extra,
    )


def test_members_that_cannot_be_are_refused_together(unchanged: MeshLab) -> None:
    unchanged.sh("spare-2", "ip tuntap add docker0 mode tap; ip addr add 10.99.128.1/24 dev docker0")
    listener = unchanged.faults.background(
        "spare-2", "python3", "-c", "import socket, time; s = socket.socket(2, 2); "
        "s.bind(('0.0.0.0', 51824)); time.sleep(300)",
    )  # fmt: skip
    try:
        unchanged.sh("spare-2", "ip link set docker0 up; sleep 1")
        before = state(unchanged, ("spare-2",))
        hosts: dict[str, dict[str, Any]] = {
            "spare-1": {"mesh_name": "wan", "mesh_endpoint": None, "mesh_port": 65500},
            "spare-2": {"mesh_name": "wan", "mesh_endpoint": "localhost", "mesh_underlay_mtu": 1350},
        }
        said = refused(
            join(unchanged, hosts),
            *("mesh_endpoint", "mesh_behind_nat: true"),
            *("65500", "at most 65488", "on spare-1 is refused (from host spare-1)"),
            *("mesh_underlay_mtu", "1350 on spare-2", "1360 or more", "IPv6 needs 1280"),
            *("localhost", "an address that other members can reach; it stands for"),
            *("10.99.128.0/24", "the mesh would capture them"),
            *("51824 is taken by another program on the node",),
        )
        assert "spare-1" in said and "spare-2" in said
        assert state(unchanged, ("spare-2",)) == before
    finally:
        listener.stop()
        unchanged.sh("spare-2", "ip link del docker0")


@pytest.mark.parametrize(
    ("prefix", "network"), [("172.17.0.0/16", "172.17.0.0/16"), ("10.77.0.0/16", "10.77.0.0/")]
)
def test_a_new_mesh_over_networks_that_are_there(unchanged: MeshLab, prefix: str, network: str) -> None:
    """Docker's own network, and the node's."""
    unchanged.sh("spare-1", "ip tuntap add docker0 mode tap; ip addr add 172.17.0.1/16 dev docker0")
    try:
        unchanged.sh("spare-1", "ip link set docker0 up")
        wishes = {"mesh_name": "new", "mesh_settings": {"prefixes": [prefix]}}
        said = refused(join(unchanged, {"spare-1": wishes, "spare-2": wishes}), "underlay", network, prefix)
        assert "the mesh would capture them" in said
        assert not (unchanged.registries / "new.yml").exists()
    finally:
        unchanged.sh("spare-1", "ip link del docker0")


def test_two_behind_nat_and_no_relay(unchanged: MeshLab) -> None:
    wishes = {
        "mesh_name": "new",
        "mesh_endpoint": None,
        "mesh_behind_nat": True,
        "mesh_settings": {"prefixes": ["10.97.0.0/16"]},
    }
    said = refused(join(unchanged, {"spare-1": wishes, "spare-2": wishes}))
    assert "NAT" in said and "spare-1" in said, said
    assert not (unchanged.registries / "new.yml").exists()


def test_a_name_that_stands_for_two_places(
    unchanged: MeshLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the controller's resolver: who calls the node would get the one or the other."""
    (tmp_path / "sitecustomize.py").write_text(TWO_PLACES, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    wishes = {"mesh_name": "wan", "mesh_endpoint": "two.mesh.test"}
    refused(
        join(unchanged, {"spare-1": wishes}),
        *("mesh_endpoint", "two.mesh.test", "10.77.0.51, 10.77.0.99", "a name of one address"),
        "host spare-1",
    )


def test_a_port_that_is_taken_after_the_join_is_refused_by_the_node(unchanged: MeshLab) -> None:
    """Before anything changes on any node, by name of who has it."""
    slot = next(link for link in unchanged.registry()["links"] if set(link["ends"]) == {"fra-1", "fra-2"})
    port = 51820 + 2 * slot["slots"][slot["ends"].index("fra-2")]
    unchanged.sh("fra-2", "systemctl stop 'wg-quick@*'")
    listener = unchanged.faults.background(
        "fra-2", "python3", "-c", "import socket, time; s = socket.socket(2, 2); "
        f"s.bind(('0.0.0.0', {port})); time.sleep(300)",
    )  # fmt: skip
    try:
        unchanged.sh("fra-2", "sleep 1")
        run = unchanged.mesh("apply", "--limit", "fra-2")
        refused(run, str(port), "a UDP port nobody else has", "python3 (process", "mesh_port")
        assert unchanged.interfaces("fra-2") == []
    finally:
        listener.stop()
        run = unchanged.mesh("apply", "--limit", "fra-2")
        assert run.code == 0, run.output
    assert len(unchanged.interfaces("fra-2")) == len(MEMBERS) - 1
    # Who is behind NAT cannot be called: it finds the way again when its own session has been silent.
    homes = [unchanged.address(name) for name in ("home-1", "home-2")]
    deadline = time.monotonic() + 180
    while unchanged.silent("fra-2", homes):
        assert time.monotonic() < deadline, "the nodes behind NAT do not come back"
