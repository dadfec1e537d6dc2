# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that nobody can log in to: it asks, is accepted, and pulls its share by the timer's service."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from lab_runs import Run

from .conftest import MEMBERS, MeshLab
from .drill import ARMED
from .pulling import REPOSITORY, UNIT, Puller
from .test_life import everybody_answers, lost
from .traffic import Probes
from .wrongs import ALLOWED, PEER, WRONGS

pytestmark = pytest.mark.long

NOBODY = "192.0.2.1"
"""What the controller's inventory has as the node's address: whoever connects to it gets no answer."""

STATE = """
for i in $(wg show interfaces | tr ' ' '\\n' | sort); do wg show $i peers; wg show $i listen-port; done
ip route show proto 213 | sort; find /etc/wireguard /etc/swarm_node -type f | sort | xargs -r sha256sum
"""


@pytest.fixture(scope="module")
def puller(mesh: MeshLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Puller]:
    """A spare node with the controller's Python, so that the controller's ansible-core runs there."""
    ours = "Python {}.{}.".format(*sys.version_info[:2])
    names = [name for name in ("spare-1", "spare-2") if ours in mesh.run(name, "python3", "--version")]
    found = Puller(mesh, names[0], tmp_path_factory.mktemp("pull"))
    found.equip()
    found.install_timer()
    yield found
    if found.name in mesh.registry()["members"]:
        operator(found, "leave", member=found.name)


def operator(puller: Puller, playbook: str, **extra: Any) -> Run:
    """A run on the controller, on the whole inventory. The node is in it, and nobody may connect to it."""
    host = {**puller.wishes, "ansible_host": NOBODY, "mesh_endpoint": None}
    more = puller.work / "operator.yml"
    more.write_text(yaml.safe_dump({"all": {"hosts": {puller.name: host}}}), encoding="utf-8")
    run = puller.lab.mesh(playbook, "-i", str(more), node_batches=["100%"], **extra)
    assert run.code == 0, run.output
    assert f"{puller.name}: UNREACHABLE" not in run.output and "unreachable=1" not in run.output
    if puller.name in run.report["hosts"]:
        assert run.host(puller.name)["layers"] == [] and run.host(puller.name)["unreachable"] == ""
    return run


def answers(puller: Puller) -> None:
    """Each of the others reaches the node, by both families, and it them."""
    everybody_answers(puller.lab, (*MEMBERS, puller.name), patience=60)


def changed(said: str) -> int:
    """Tasks that changed something, by the run's last line."""
    recap = said.rpartition("PLAY RECAP")[2]
    return int(recap.partition("changed=")[2].split()[0])


def keys(puller: Puller, name: str) -> list[str]:
    return puller.lab.run(name, "ls", "/etc/swarm_node/mesh/wan/keys").split()


def test_a_node_asks_is_accepted_and_pulls(puller: Puller) -> None:
    request = puller.request()
    assert puller.name not in puller.lab.registry()["members"]
    run = operator(puller, "accept", request=str(request))
    assert "swarm.node.mesh_pull" in run.output
    member = puller.lab.registry()["members"][puller.name]
    assert member["nat"] and member["region"] == "attic"
    assert puller.lab.interfaces(puller.name) == []  # nobody has touched it
    puller.publish()
    assert changed(puller.pull()) > 0
    answers(puller)


def test_a_second_pull_changes_nothing(puller: Puller) -> None:
    before = puller.sh(STATE)
    puller.sh("touch /root/mark")
    assert changed(puller.pull()) == 0
    assert puller.sh(STATE) == before
    written = puller.sh("find /etc /var/lib/swarm_node -newer /root/mark -type f")
    assert written.split() == []
    receipt = yaml.safe_load(puller.receipt().read_text("utf-8"))
    assert receipt["name"] == puller.name and list(receipt["shares"]) == ["wan"] and receipt["sealed"] == {}


def test_a_run_as_somebody_else_is_refused(puller: Puller) -> None:
    """A slip in --limit: the registry's keys are not the node's."""
    before = puller.sh(STATE)
    puller.publish()
    line = f"cd {REPOSITORY} && ansible-playbook -i inventories/production -i fra-2, swarm.node.mesh_pull"
    both = puller.sh(f"{line} 2>&1 || true")
    assert "say which host of the inventory this node is" in both, both
    other = puller.sh(f"{line} --limit fra-2 -e mesh_name=wan 2>&1 || true")
    assert "the key that the registry has" in other and "changed=0" in other, other
    assert puller.sh(STATE) == before


def wrong(puller: Puller) -> str:
    """A registry in which the key of a neighbour is another one."""
    registry = copy.deepcopy(puller.lab.registry())
    next(item for item in WRONGS if item.name == "key").change(registry)
    return yaml.safe_dump(registry, sort_keys=False)


def test_a_wrong_registry_is_taken_back_by_the_pull_itself(puller: Puller) -> None:
    before = puller.sh(STATE)
    puller.publish(wrong(puller), **ALLOWED)
    said = puller.pull(check=False)
    assert "tunnels do not work" in said and f"to {PEER}: no handshake" in said, said
    assert puller.sh(f"ls {ARMED} 2>/dev/null; true") == ""
    assert puller.sh(STATE) == before
    answers(puller)


def test_a_pull_that_dies_is_taken_back_by_the_guard(puller: Puller) -> None:
    """No controller, no run any more: the node comes back at its deadline."""
    before = puller.sh(STATE)
    puller.publish(wrong(puller), **ALLOWED)
    armed = f"timeout 100 sh -c 'until [ -e {ARMED} ]; do sleep 0.05; done'"
    puller.sh(f"systemctl start --no-block {UNIT}.service; {armed} && systemctl kill -s KILL {UNIT}.service")
    deadline = time.monotonic() + 120
    while puller.sh(f"ls {ARMED} 2>/dev/null; true"):
        assert time.monotonic() < deadline, "the node does not take it back"
        time.sleep(1)
    assert puller.sh(STATE) == before
    answers(puller)
    # A right registry goes on as if nothing had been.
    puller.publish()
    assert changed(puller.pull()) == 0


def test_a_neighbour_gets_another_key_and_nothing_is_lost(puller: Puller) -> None:
    lab = puller.lab
    old = lab.registry()["members"]["fra-2"]["keys"]
    probes = Probes(lab.faults, [(puller.name, lab.address("fra-2")), ("fra-2", lab.address(puller.name))])
    try:
        operator(puller, "rotate", node_hosts="fra-2")
        waiting = link(puller, "fra-2")
        assert "next" in waiting and len(lab.registry()["members"]["fra-2"]["keys"]) == 2
        puller.publish()
        puller.pull()  # the tunnel beside the old one
        operator(puller, "settle")
        assert "old" in link(puller, "fra-2")
        puller.publish()
        receipt = puller.receipt()  # its routes have moved
        operator(puller, "settle", receipts=str(receipt))
        assert not {"next", "old"} & set(link(puller, "fra-2"))
        puller.publish()
        puller.pull()
    finally:
        counts = probes.stop()
    assert lost(counts) == {}
    new = lab.registry()["members"]["fra-2"]["keys"]
    assert len(new) == 1 and new != old
    assert changed(puller.pull()) == 0
    answers(puller)


def link(puller: Puller, other: str) -> dict[str, Any]:
    ends = {puller.name, other}
    return next(item for item in puller.lab.registry()["links"] if set(item["ends"]) == ends)


def test_the_node_gets_another_key_by_a_second_request(puller: Puller) -> None:
    lab = puller.lab
    probes = Probes(lab.faults, [(puller.name, lab.address("fra-1")), ("ams-1", lab.address(puller.name))])
    try:
        request = puller.request("-e generation=2")
        operator(puller, "accept", request=str(request), operation="rotate")
        puller.publish()
        puller.pull()
        operator(puller, "settle")
        puller.publish()
        operator(puller, "settle", receipts=str(puller.receipt()))
        puller.publish()
        puller.pull()
    finally:
        counts = probes.stop()
    assert lost(counts) == {}
    assert list(lab.registry()["members"][puller.name]["keys"]) == [2]
    puller.pull()  # keys are kept as long as a change might be taken back
    assert keys(puller, puller.name) == ["2.key"]
    answers(puller)


def test_who_has_left_takes_everything_away_by_itself(puller: Puller) -> None:
    lab = puller.lab
    operator(puller, "leave", member=puller.name)
    assert puller.name in lab.registry()["departed"]
    everybody_answers(lab)
    assert lab.interfaces(puller.name) != []
    puller.publish()
    puller.pull()
    assert lab.interfaces(puller.name) == []
    assert puller.sh("find /etc/swarm_node/mesh /etc/wireguard -type f 2>/dev/null; true").split() == []
    assert changed(puller.pull()) == 0
