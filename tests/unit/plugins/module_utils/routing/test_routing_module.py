# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The routing module on a tree of files: what it makes, what it refuses, what it gives back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record, Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import share_path
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import (
    PROGRAM,
    TEMPLATES,
    conf_path,
    filter_path,
    recorder_path,
    running_conf,
    socket_path,
)
from routing_cases import other, share, tunnel
from routing_node import OWN_CONF, RoutingNode

DAEMON = "swarm-node-routing@wan.service"
RECORDER = "swarm-node-routing-changes@wan.service"


@pytest.fixture
def node(tmp_path: Path) -> RoutingNode:
    return RoutingNode(tmp_path, share())


def keys(answer: dict) -> list[str]:
    return [f"{change['key']} {change['target']}" for change in answer["changes"]]


def test_first_second_and_removal(node: RoutingNode) -> None:
    before = node.installed()
    looked = node.good(check=True)
    assert looked["changed"] and node.installed() == before and looked["writes"] == 0
    made = node.good()
    assert keys(made) == keys(looked) and made["plan_digest"] == looked["plan_digest"]
    assert node.live()["units"] == [RECORDER, DAEMON]
    assert list(node.live()["tables"]) == ["swarm_node_routing_wan"]
    assert node.text(running_conf("wan")) == node.text(conf_path("wan"))
    assert not node.good()["changed"] and node.good()["writes"] == 0
    gone = node.good(state="absent")
    assert gone["changed"]
    assert node.installed() == before and node.record() is None
    assert node.live() == {"units": [], "tables": {}, "rival": None, "ran": {}}
    assert not node.good(state="absent")["changed"]


def test_none_takes_it_away_as_absent_does(node: RoutingNode) -> None:
    before = node.installed()
    node.good()
    node.good(daemon="none")
    assert node.installed() == before and node.live()["units"] == []
    assert not node.good(daemon="none")["changed"]


def test_a_new_tunnel_is_one_start_of_the_daemon(node: RoutingNode) -> None:
    node.good()
    node.store(share(*share().tunnels, tunnel(68)))
    looked = node.good(check=True)
    assert {change["key"]: change["disruption"] for change in looked["changes"]} == {
        "routing.daemon": "perf",
        "file": "none",
        "routing.filter": "none",
    }
    left = node.good(max_disruption="none")
    assert not left["changed"] or keys(left) == ["record "]
    assert {wish["reason"] for wish in left["unapplied"]} == {"needs_more_disruption"}
    assert "wan-68" not in str(node.text(conf_path("wan")))
    node.good()
    assert "interface wan-68\n" in str(node.text(running_conf("wan")))
    assert not node.good()["changed"]


def test_a_rotation_of_keys_changes_nothing(node: RoutingNode) -> None:
    node.good()
    node.store(share(*share().tunnels, tunnel(65, transit=True, side="b", generation=1)))
    assert not node.good()["changed"]


def test_a_mesh_that_has_left_takes_its_routing_with_it(tmp_path: Path) -> None:
    node = RoutingNode(tmp_path, share(), other())
    node.good(ports={"lab": 6697})
    assert "protocol-port 6697" in str(node.text(conf_path("lab")))
    node.leave("lab")
    gone = node.good()
    assert "routing.daemon lab" in keys(gone) and "routing.daemon wan" not in keys(gone)
    assert node.text(conf_path("lab")) is None and node.text(filter_path("lab")) is None
    assert node.live()["units"] == [RECORDER, DAEMON]
    assert list(node.live()["tables"]) == ["swarm_node_routing_wan"]


def test_a_mesh_that_has_left_disturbs_nobody_by_its_routing(node: RoutingNode) -> None:
    """Its tunnels are gone already, so what is allowed to be disturbed does not matter."""
    before = node.installed()
    node.good()
    node.leave("wan")
    gone = node.good(max_disruption="none")
    assert {change["disruption"] for change in gone["changes"]} == {"none"} and gone["unapplied"] == []
    assert node.installed() == before and node.live()["units"] == [] and node.record() is None


@pytest.mark.parametrize("text", ["", '{"schema": 1, "mesh"', '{"schema": 999}'])
def test_a_share_that_cannot_be_read_is_no_mesh_that_has_left(tmp_path: Path, text: str) -> None:
    node = RoutingNode(tmp_path, share(), other())
    node.good(ports={"lab": 6697})
    files, live, record = node.installed(), node.live(), node.record()
    for mesh in ("lab", "wan"):
        node.text(share_path(mesh), text)
        answer = node.good(ports={"lab": 6697})
        assert not answer["changed"], keys(answer)
        assert node.live() == live and node.installed() == files and node.record() == record
        told = {wish["target"]: wish["detail"] for wish in answer["unapplied"]}
        assert mesh in told and "mesh_apply" in told[mesh]
    node.good(state="absent")
    assert node.live()["units"] == [] and node.record() is None


def test_one_of_two_meshes(tmp_path: Path) -> None:
    node = RoutingNode(tmp_path, share(), other())
    node.good(meshes=["wan"])
    assert node.live()["units"] == [RECORDER, DAEMON]
    assert not node.good(meshes=["wan"])["changed"]


def test_two_meshes_of_one_port_are_refused(tmp_path: Path) -> None:
    node = RoutingNode(tmp_path, share(), other())
    refused = node.apply(origins={"ports": "group all"})
    assert refused["failed"] and refused["failure_kind"] == "refused"
    assert "a port of its own" in refused["msg"] and node.record() is None


def test_a_port_of_another_program_is_refused(node: RoutingNode) -> None:
    node.text("proc/net/udp6", "  sl  local\n 1: 00000000000000000000000000000000:1A28 0:0 07 x\n")
    refused = node.apply()
    assert refused["failure_kind"] == "refused" and "6696" in refused["msg"] and "ss -lunp" in refused["msg"]


def test_our_own_daemon_may_have_the_port(node: RoutingNode) -> None:
    node.good()
    node.text("proc/net/udp6", "  sl  local\n 1: 00000000000000000000000000000000:1A28 0:0 07 x\n")
    assert not node.good()["changed"]


def test_a_daemon_that_hangs_and_has_its_port_is_started_again(node: RoutingNode) -> None:
    """Its process lives, but nobody answers at its socket."""
    node.good()
    node.text("proc/net/udp6", "  sl  local\n 1: 00000000000000000000000000000000:1A28 0:0 07 x\n")
    (node.root / socket_path("wan").lstrip("/")).unlink()
    again = node.good()
    assert keys(again) == ["routing.daemon wan"] and node.text(socket_path("wan"))
    assert not node.good()["changed"]


def test_what_may_not_be_stopped_keeps_all_that_it_needs(node: RoutingNode) -> None:
    """Its unit and its program, too; and the distribution's daemon comes back after it, whenever that is."""
    node.set(rival={"enabled": True, "active": True})
    node.text("etc/babeld.conf", OWN_CONF)
    before = node.installed()
    node.good()
    files, live = node.installed(), node.live()
    for _time in range(2):
        left = node.good(state="absent", max_disruption="none")
        assert {wish["reason"] for wish in left["unapplied"]} == {"needs_more_disruption"}
        assert node.installed() == files and node.live() == live
    assert not left["changed"]
    node.good(state="absent")
    assert node.installed() == before and node.record() is None
    assert node.live()["units"] == [] and node.live()["rival"] == {"enabled": True, "active": True}


# -- what somebody else does to it


@pytest.mark.parametrize("text", ["no such word\n", "# empty\n", ""])
def test_an_edited_configuration_is_put_right_and_kept(node: RoutingNode, text: str) -> None:
    node.good()
    good = node.text(conf_path("wan"))
    node.text(conf_path("wan"), text)
    mended = node.good()
    assert keys(mended) == [f"file {conf_path('wan')}"] and mended["changes"][0]["why"] == "edited by hand"
    assert node.text(conf_path("wan")) == good
    assert [path.read_text() for path in (node.base / "state/edited").iterdir()] == [text]


@pytest.mark.parametrize("kind", ["daemon", "recorder"])
def test_an_edited_unit_is_kept_too(node: RoutingNode, kind: str) -> None:
    node.good()
    good = str(node.text(TEMPLATES[kind]))
    node.text(TEMPLATES[kind], good + "Nice=5\n")
    mended = node.good()
    assert [change["why"] for change in mended["changes"]] == ["edited by hand"]
    assert node.text(TEMPLATES[kind]) == good
    assert [path.read_text() for path in (node.base / "state/edited").iterdir()] == [good + "Nice=5\n"]


def test_a_broken_file_that_the_daemon_could_not_start_with(node: RoutingNode) -> None:
    node.good()
    node.text(conf_path("wan"), "no such word\n")
    node.crash(DAEMON)
    mended = node.good()
    assert keys(mended) == ["routing.daemon wan", f"file {conf_path('wan')}"]
    assert DAEMON in node.live()["units"]


@pytest.mark.parametrize("unit", [DAEMON, RECORDER])
def test_what_has_died_is_started(node: RoutingNode, unit: str) -> None:
    node.good()
    node.crash(unit)
    mended = node.good()
    assert keys(mended) == ["routing.daemon wan" if unit == DAEMON else "routing.recorder wan"]
    assert "does not run" in mended["changes"][0]["why"]
    assert unit in node.live()["units"]


def test_a_recorder_that_takes_a_while_to_come_up(node: RoutingNode) -> None:
    """What the one before it has said of its program is not taken for what the new one says."""
    node.good()
    node.text(PROGRAM, "an older program")
    node.text(recorder_path("wan"), "sha256:older\n")
    node.set(slow=True)
    made = node.good()
    assert "routing.recorder wan" in keys(made)
    assert not node.good()["changed"]


def test_a_socket_that_is_gone_is_a_daemon_that_does_not_answer(node: RoutingNode) -> None:
    node.good()
    (node.root / socket_path("wan").lstrip("/")).unlink()
    mended = node.good()
    assert keys(mended) == ["routing.daemon wan"] and "does not answer" in mended["changes"][0]["why"]
    assert not node.good()["changed"]


def test_a_table_that_is_gone_or_another_is_loaded(node: RoutingNode) -> None:
    node.good()
    tables = node.live()["tables"]
    node.set(tables={})
    assert keys(node.good()) == ["routing.filter wan"]
    node.set(tables={"swarm_node_routing_wan": tables["swarm_node_routing_wan"].replace(" drop", " accept")})
    assert keys(node.good()) == ["routing.filter wan"]
    assert node.live()["tables"] == tables


def test_a_link_that_is_gone_is_no_restart(node: RoutingNode) -> None:
    node.good()
    (node.root / f"etc/systemd/system/nftables.service.wants/{DAEMON}").unlink()
    mended = node.good()
    assert keys(mended) == ["routing.daemon wan"] and mended["changes"][0]["disruption"] == "none"
    assert node.good()["changed"] is False


def test_a_masked_unit_is_said_and_left(node: RoutingNode) -> None:
    (node.root / f"etc/systemd/system/{DAEMON}").symlink_to("/dev/null")
    answer = node.good()
    assert not answer["changed"]
    assert answer["unapplied"][0]["reason"] == "shadowed_by" and DAEMON in answer["unapplied"][0]["detail"]
    failed = node.apply(required=["routing.daemon"])
    assert failed["failure_kind"] == "required"


def test_a_lost_record_is_written_again(node: RoutingNode) -> None:
    node.good()
    (node.base / "state/routing.json").unlink()
    again = node.good()
    assert keys(again) == ["record "] and any("lost" in note for note in again["notes"])
    assert not node.good()["changed"]
    (node.base / "state/routing.json").unlink()
    node.good(state="absent")
    assert node.live()["units"] == [] and node.text(conf_path("wan")) is None


# -- babeld, and the distribution's


def test_without_babeld_it_is_said_and_nothing_is_changed(node: RoutingNode) -> None:
    (node.root / "usr/sbin/babeld").unlink()
    before = node.installed()
    failed = node.apply()
    assert failed["failure_kind"] == "unavailable" and "install the package babeld" in failed["msg"]
    assert node.installed() == before
    looked = node.good(check=True, tools_pending=True)
    assert looked["changed"] and "not installed yet: babeld" in looked["notes"]


def test_a_check_goes_on_where_nft_is_still_to_come(node: RoutingNode) -> None:
    node.set(broken=["no nft"])
    assert "no program nft" in node.apply(check=True)["msg"]
    (node.root / "usr/sbin/babeld").unlink()
    looked = node.good(check=True, tools_pending=True)
    assert "routing.filter wan" in keys(looked)


def test_removal_needs_no_babeld(node: RoutingNode) -> None:
    node.good()
    (node.root / "usr/sbin/babeld").unlink()
    node.good(state="absent")
    assert node.live()["units"] == []


@pytest.mark.parametrize(
    ("version", "said"), [("1.12.1", False), ("1.13.1", False), ("1.14", True), ("2.0", True)]
)
def test_a_version_that_was_never_tried_is_said(tmp_path: Path, version: str, said: bool) -> None:
    answer = RoutingNode(tmp_path, share(), version=version).good()
    assert bool(answer["attention"]) == said
    if said:
        assert (
            answer["attention"][0]["what"] == "routing_untried"
            and version in answer["attention"][0]["detail"]
        )


def test_a_version_that_is_too_old_is_refused(tmp_path: Path) -> None:
    failed = RoutingNode(tmp_path, share(), version="1.9.2").apply()
    assert failed["failure_kind"] == "unavailable" and "1.9.2 is too old" in failed["msg"]


def test_a_configuration_that_babeld_does_not_take_never_goes_live(node: RoutingNode) -> None:
    node.good()
    live, installed = node.live(), node.installed()
    node.store(share(*share().tunnels, tunnel(68)))
    node.set(broken=["babeld"])
    failed = node.apply()
    assert failed["failure_kind"] == "rolled_back"
    assert "babeld does not take its new configuration" in failed["msg"] and "line 1" in failed["msg"]
    assert node.live() == live and node.installed() == installed
    node.set(broken=[])
    node.good()


def test_the_distributions_daemon_is_off_while_ours_runs(node: RoutingNode) -> None:
    node.set(rival={"enabled": True, "active": True})
    node.text("etc/babeld.conf", OWN_CONF)
    node.text("proc/net/udp6", "  sl  local\n 1: 00000000000000000000000000000000:1A28 0:0 07 x\n")
    made = node.good()
    assert keys(made)[0] == "routing.distribution babeld.service"
    assert node.live()["rival"] == {"enabled": False, "active": False}
    assert not node.good()["changed"]
    gone = node.good(state="absent")
    assert keys(gone)[-1] == "routing.distribution babeld.service"
    assert node.live()["rival"] == {"enabled": True, "active": True}


def test_one_that_came_with_a_package_of_ours_stays_off(node: RoutingNode) -> None:
    """Debian starts it when its package is installed, which nobody asked for."""
    record = Record("routing_packages", {"package babeld": Claim(None, "1.12.1-1")})
    Store(str(node.base / "state"), str(node.base / "run")).save(record, "packages")
    node.set(rival={"enabled": True, "active": True})
    node.text("etc/babeld.conf", OWN_CONF)
    assert keys(node.good())[0] == "routing.distribution babeld.service"
    gone = node.good(state="absent")
    assert gone["changed"] and "routing.distribution babeld.service" not in keys(gone)
    assert node.live()["rival"] == {"enabled": False, "active": False}


def test_one_that_was_off_stays_off(node: RoutingNode) -> None:
    node.set(rival={"enabled": False, "active": False})
    node.good()
    node.good(state="absent")
    assert node.live()["rival"] == {"enabled": False, "active": False}


def test_an_operators_own_babeld_is_left_alone_and_named(node: RoutingNode) -> None:
    node.set(rival={"enabled": True, "active": True})
    node.text("etc/babeld.conf", OWN_CONF + "interface eth1\n")
    before = node.installed()
    answer = node.good()
    assert not answer["changed"] and node.installed() == before
    assert {wish["reason"] for wish in answer["unapplied"]} == {"managed_by"}
    assert "not the package's own any more" in answer["unapplied"][0]["detail"]
    node.set(rival={"enabled": False, "active": False})
    assert node.good()["changed"]


# -- modes


def test_report_and_freeze_and_none(node: RoutingNode) -> None:
    for options, reason in (({"manage": "report"}, "managed_by"), ({"freeze": "until Friday"}, "frozen")):
        answer = node.good(**options)
        assert not answer["changed"] and {wish["reason"] for wish in answer["unapplied"]} == {reason}
    assert node.good(manage="none")["unapplied"] == []
    assert node.record() is None and node.live()["units"] == []


def test_a_node_without_a_mesh(tmp_path: Path) -> None:
    node = RoutingNode(tmp_path)
    (node.root / "usr/sbin/babeld").unlink()
    answer = node.good()
    assert not answer["changed"] and "it has no share" in answer["notes"][0]


@pytest.mark.parametrize("what", ["systemd", "ipv6"])
def test_where_it_cannot_be_it_is_said(node: RoutingNode, what: str) -> None:
    if what == "systemd":
        (node.root / "run/systemd/system").rmdir()
    else:
        node.text("proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n")
    answer = node.good()
    assert not answer["changed"] and answer["unapplied"][0]["reason"] == "unsupported"
    assert ("systemd" if what == "systemd" else "IPv6") in answer["unapplied"][0]["detail"]


def test_a_share_that_only_learns_who_forwards_changes_costs_alone(node: RoutingNode) -> None:
    node.store(replace(share(tunnel(65), tunnel(66))))
    node.good()
    node.store(share(tunnel(65, transit=True), tunnel(66, capacity=10)))
    made = node.good()
    assert keys(made) == ["routing.daemon wan", f"file {conf_path('wan')}"]
    assert not node.good()["changed"]


def test_files_say_whose_they_are(node: RoutingNode) -> None:
    node.good()
    for path in (conf_path("wan"), filter_path("wan"), *TEMPLATES.values()):
        assert str(node.text(path)).startswith("# swarm.node keeps this file (sha256:"), path
    assert (node.root / PROGRAM.lstrip("/")).stat().st_mode & 0o777 == 0o755


def test_a_drained_mesh_that_goes_is_drained_no_more(node: RoutingNode) -> None:
    node.good()
    tables = node.live()["tables"]
    deaf = "\tchain input {\n\t\ttype filter hook input priority -3; policy accept;\n"
    deaf += '\t\tiifname "wan-*" udp dport 6696 drop\n\t}\n'
    node.set(tables={**tables, "swarm_node_deaf_wan": deaf})
    node.text("run/swarm-node-routing/wan.drain", "table")
    assert not node.good()["changed"]
    gone = node.good(state="absent")
    assert "routing.drain wan" in keys(gone)
    assert node.live() == {"units": [], "tables": {}, "rival": None, "ran": {}}
