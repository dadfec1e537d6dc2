# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong changes of the mesh: the nodes undo them, whoever dies meanwhile, and afterwards all is as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from lab.faults import Background

from .conftest import MEMBERS, MeshLab
from .drill import ALIVE, ARMED, CRASHED, KILLED, REBOOTED, SECONDS, Apply, Drill, times
from .kills import KILL_MODULE
from .wrongs import ALLOWED, FIREWALLED, WRONGS, Registry, Wrong

pytestmark = pytest.mark.long

GUARD = "swarm-node-mesh-guard.service"
STATE = "/var/lib/swarm_node"

LIVE = r"""
for i in $(wg show interfaces | tr ' ' '\n' | sort); do
    wg show $i peers; wg show $i listen-port; wg show $i allowed-ips; ip -o address show dev $i
    ip -o link show dev $i | grep -o 'mtu [0-9]*'
done
ip route show proto 213 | sort; ip -6 route show proto 213 | sort
find /etc/wireguard /etc/swarm_node /etc/systemd/system -type f -o -type l | sort | xargs sha256sum
"""
"""What a change of the mesh would change, as text."""

READ_ONLY = f"mount --bind {STATE} {STATE} && mount -o remount,bind,ro {STATE}"
FULL = f"""
mkdir -p /run/drill && cp -a {STATE} /run/drill/ && mount -t tmpfs -o size=8m drill {STATE}
cp -a /run/drill/swarm_node/. {STATE}/ && rm -r /run/drill
dd if=/dev/zero of={STATE}/fill bs=4k 2>/dev/null || true
"""
UNMOUNT = f"umount {STATE}"


@pytest.fixture(scope="module")
def drill(mesh: MeshLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    found = Drill(mesh, tmp_path_factory.mktemp("drill"))
    found.prepare()
    yield found
    found.clean()


def nothing_is_left(drill: Drill) -> None:
    """The nodes have what the right registry says, to the last file, rule and route."""
    run = drill.settled()
    assert run.report["totals"]["changes"] == 0 and run.report["totals"]["writes"] == 0, run.output


def everybody_answers_to(lab: MeshLab, name: str) -> None:
    others = [other for other in MEMBERS if other != name]
    assert lab.silent(name, [lab.address(other) for other in others]) == [], name
    assert lab.silent(name, ["-6", *(lab.address6(other) for other in others)]) == [], name


def test_what_the_probe_sees_is_undone_at_once(drill: Drill) -> None:
    for outcome in drill.each_alone(WRONGS, ALIVE):
        assert outcome.good, outcome
        assert outcome.run.code != 0, outcome
        said = outcome.run.failure(outcome.wrong.node)
        assert "tunnels do not work" in said and outcome.wrong.says in said, said
        assert outcome.times["lifted"] - outcome.times["armed"] < 110, "not by the run, but at the deadline"
    nothing_is_left(drill)


def test_a_controller_that_died(drill: Drill) -> None:
    for outcome in drill.together(WRONGS, KILLED):
        assert outcome.good, outcome
        # The time in which the guard starts counts; what it undoes takes some, too.
        assert SECONDS - 10 < outcome.times["lifted"] - outcome.times["armed"] < SECONDS * 1.2 + 30, outcome
    nothing_is_left(drill)


def test_a_node_that_went_down_after_the_controller(drill: Drill) -> None:
    kinds = {"key": REBOOTED, "firewall": CRASHED, "route": CRASHED}
    tried = [(wrong, kinds[wrong.name]) for wrong in WRONGS if wrong.name in kinds]
    with ThreadPoolExecutor(len(tried)) as pool:
        outcomes = list(pool.map(lambda item: drill.one(*item), tried))
    for outcome in outcomes:
        assert outcome.good, outcome
    nothing_is_left(drill)


def test_a_module_that_died_on_the_node_is_taken_back_by_its_run(drill: Drill) -> None:
    wrong = WRONGS[0]
    killer = drill.lab.faults.background(wrong.node, "python3", "-c", KILL_MODULE, ARMED, "new")
    watch = drill.watch(wrong)
    run = drill.apply(drill.edited(wrong), [wrong.node], mesh_confirm_seconds=300, **wrong.variables)
    assert run.code != 0
    assert "killed" in times(killer.stop()), run.output
    until_lifted(watch)
    seen = times(watch.output())
    assert seen["lifted"] - seen["armed"] < 290, "not by the run, but at the deadline"
    nothing_is_left(drill)


def test_a_second_run_while_a_change_waits_is_refused(drill: Drill) -> None:
    wrong = WRONGS[0]
    watch = drill.watch(wrong)
    texts = {wrong.node: drill.edited(wrong)}
    first = Apply(drill.lab, drill.base / "first", texts, mesh_confirm_seconds=90, **wrong.variables)
    drill.await_cuts([watch], first)
    first.kill()
    second = drill.apply(texts[wrong.node], [wrong.node], **wrong.variables)
    said = second.failure(wrong.node)
    assert second.code != 0 and "the change by run 'ansible-local-" in said, said
    assert "the node undoes it by itself at 20" in said, said
    until_lifted(watch)


def until_lifted(watch: Background) -> None:
    """The watch ends when nothing is armed any more and the neighbour answers."""
    code, said = watch.wait(180)
    assert code == 0 and "works" in times(said), said


def test_one_of_a_batch_takes_the_others_with_it(drill: Drill) -> None:
    nodes = ("ams-2", "fra-2", "fra-3")

    data = yaml.safe_load(drill.right)
    data["settings"]["mtu"] = 1400
    two_ports("fra-2")(data)
    before = [drill.lab.sh(node, LIVE) for node in nodes]
    run = drill.apply(yaml.safe_dump(data), nodes, **ALLOWED)
    assert run.code != 0
    assert "to fra-1: " in run.failure("fra-2")
    for node in ("ams-2", "fra-3"):
        assert "taken back with its batch, because of fra-2" in run.failure(node), run.output
    assert [drill.lab.sh(node, LIVE) for node in nodes] == before


@pytest.mark.parametrize(
    ("trouble", "relief", "words"),
    [
        (f"systemctl mask {GUARD}", f"systemctl unmask {GUARD}", "somebody has masked"),
        (READ_ONLY, UNMOUNT, "Read-only file system"),
        (FULL, UNMOUNT, "No space left on device"),
    ],
    ids=["masked", "read-only", "full"],
)
def test_without_a_guard_nothing_is_changed(drill: Drill, trouble: str, relief: str, words: str) -> None:
    wrong = WRONGS[0]
    before = drill.lab.sh(wrong.node, LIVE)
    drill.lab.sh(wrong.node, trouble)
    try:
        run = drill.apply(drill.edited(wrong), [wrong.node], **wrong.variables)
    finally:
        drill.lab.sh(wrong.node, relief)
    assert run.code != 0 and words in run.failure(wrong.node), run.output
    assert drill.lab.sh(wrong.node, LIVE) == before
    assert drill.lab.silent(wrong.node, [drill.address]) == []


def test_the_operators_chain_is_gone_at_the_deadline(drill: Drill) -> None:
    wrong = Wrong("port, firewalled", FIREWALLED, "to fra-1: ", two_ports(FIREWALLED), ALLOWED)

    def without_chain() -> None:
        drill.lab.sh(FIREWALLED, "nft delete table inet drill")

    outcome = drill.one(wrong, KILLED, after=without_chain)
    drill.lab.sh(FIREWALLED, "systemctl restart nftables")
    assert outcome.good, outcome
    said = drill.lab.run(FIREWALLED, "cat", f"{STATE}/mesh/reverted.json")
    assert "there is no chain" in said or "a chain of this node" in said, said
    assert drill.settled().report["totals"]["changes"], "the opening is made again"


def two_ports(node: str) -> Callable[[Registry], None]:
    def change(registry: Registry) -> None:
        link = next(link for link in registry["links"] if set(link["ends"]) == {"fra-1", node})
        link["slots"] = [20, 20]

    return change


def test_all_is_as_before(drill: Drill) -> None:
    nothing_is_left(drill)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: is_as_before(drill, name), MEMBERS))


def is_as_before(drill: Drill, name: str) -> None:
    everybody_answers_to(drill.lab, name)
    left = f"ls {ARMED} /run/swarm_node/mesh-arming.json /etc/systemd/system/{GUARD} 2>/dev/null"
    assert drill.lab.sh(name, left, check=False) == "", name
