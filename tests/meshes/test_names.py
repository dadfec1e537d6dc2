# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An endpoint that is a name: a live tunnel gets it, and the timer follows it to another address."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .conftest import MEMBERS, MeshLab

NAME = "ams-1.mesh.test"
ADDRESS = "10.77.0.31"
NOBODY = "10.77.0.250"
TIMER = "swarm-node-mesh-refresh.timer"
SERVICE = "swarm-node-mesh-refresh.service"
HOLD = """\
table inet swarm_test {
  chain input { type filter hook input priority -300; ip saddr 10.77.0.31 udp sport 51820-51870 drop; }
  chain output { type filter hook output priority -300; ip daddr 10.77.0.31 udp dport 51820-51870 drop; }
}
"""


def means(lab: MeshLab, node: str, address: str) -> None:
    """What the name means on a node. A container's /etc/hosts is a mount: it is written, not replaced."""
    lab.sh(node, f"sed '/{NAME}/d' /etc/hosts >/tmp/hosts; echo '{address} {NAME}' >>/tmp/hosts; "
           "cat /tmp/hosts >/etc/hosts")  # fmt: skip


def forget(lab: MeshLab, node: str) -> None:
    lab.sh(node, f"sed '/{NAME}/d' /etc/hosts >/tmp/hosts; cat /tmp/hosts >/etc/hosts")


def endpoint(lab: MeshLab, node: str, interface: str) -> str:
    """Address only."""
    return lab.run(node, "wg", "show", interface, "endpoints").split()[1].rpartition(":")[0]


def answers_soon(lab: MeshLab, node: str, address: str) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if not lab.silent(node, [address]):
            return True
    return False


@pytest.fixture
def named(mesh: MeshLab) -> Iterator[MeshLab]:
    """ams-1 is called by its name, which every member knows."""
    for node in MEMBERS:
        means(mesh, node, ADDRESS)
    before = mesh.edit(lambda data: data["members"]["ams-1"].update(endpoint=NAME))
    yield mesh
    mesh.sh("fra-2", "nft delete table inet swarm_test 2>/dev/null || true")
    mesh.put_back(before)
    run = mesh.mesh("apply", node_batches=["100%"])
    for node in MEMBERS:
        forget(mesh, node)
    assert run.code == 0, run.output
    assert mesh.sh("fra-2", f"ls /etc/systemd/system/{TIMER} 2>/dev/null", check=False) == ""


def test_an_endpoint_becomes_a_name_and_is_looked_up_again(named: MeshLab) -> None:
    mesh, number = named, named.registry()["members"]["ams-1"]["number"]
    (interface,) = [name for name in mesh.interfaces("fra-2") if name.rstrip("b") == f"wan-{number}"]
    processes = {node: mesh.processes(node) for node in MEMBERS}

    run = mesh.mesh("apply", node_batches=["100%"])
    assert run.code == 0, run.output
    changed = [item["key"] for item in run.layer("fra-2", "mesh")["changes"]]
    assert "mesh.peer" not in changed  # the name means the address that is live
    assert {node: mesh.processes(node) for node in MEMBERS} == processes
    assert endpoint(mesh, "fra-2", interface) == ADDRESS
    assert f"Endpoint = {NAME}:" in mesh.run("fra-2", "cat", f"/etc/wireguard/{interface}.conf")
    assert mesh.mesh("apply").report["totals"]["writes"] == 0

    # The timer runs, on those who have a peer with a name, and its next look is within two minutes.
    assert mesh.run("fra-2", "systemctl", "is-active", TIMER).strip() == "active"
    assert mesh.run("fra-2", "systemctl", "is-enabled", TIMER).strip() == "enabled"
    assert mesh.run("ams-1", "systemctl", "is-active", TIMER, check=False).strip() != "active"

    # A tunnel that came up while the name meant somebody else, and has never heard of its peer.
    means(mesh, "fra-2", NOBODY)
    mesh.sh("fra-2", f"nft -f - <<'END'\n{HOLD}END")
    mesh.run("fra-2", "systemctl", "restart", f"wg-quick@{interface}.service")
    assert endpoint(mesh, "fra-2", interface) == NOBODY
    mesh.run("fra-2", "systemctl", "start", SERVICE)
    assert endpoint(mesh, "fra-2", interface) == NOBODY  # the name still says so

    means(mesh, "fra-2", ADDRESS)
    mesh.run("fra-2", "systemctl", "start", SERVICE)  # what the timer starts once a minute
    assert endpoint(mesh, "fra-2", interface) == ADDRESS
    mesh.run("fra-2", "nft", "delete", "table", "inet", "swarm_test")
    assert answers_soon(mesh, "fra-2", mesh.address("ams-1"))
    assert f"{interface}: {NAME} is {ADDRESS}:" in mesh.run("fra-2", "journalctl", "-u", SERVICE, "-o", "cat")
