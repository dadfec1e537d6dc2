# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator would fear: texts that break out of files, names that clash, what half-way states cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done, execute_allowed
from ansible_collections.swarm.node.plugins.module_utils.core.deadline import read_clock
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.marking import marked
from ansible_collections.swarm.node.plugins.module_utils.core.runner import diff_of
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record
from ansible_collections.swarm.node.plugins.module_utils.mesh.armed import Armed
from ansible_collections.swarm.node.plugins.module_utils.mesh.layer import MeshLayer, MeshOptions
from ansible_collections.swarm.node.plugins.module_utils.mesh.plan import is_live
from ansible_collections.swarm.node.plugins.module_utils.mesh.render import conf, parse_conf
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Psk, parse_share
from ansible_collections.swarm.node.plugins.module_utils.mesh.state import Link, Route
from mesh_cases import node, planned, share, tunnel
from test_mesh_layer_faults import OLD, apply, made

EVIL = "x\nPostUp = touch /tmp/evil"


def data_of(**tunnel_wishes: Any) -> dict[str, Any]:
    return dict(json.loads(json.dumps(share(tunnel(**tunnel_wishes)).as_data())))


@pytest.mark.parametrize(
    "wishes",
    [
        {"peer": EVIL},
        {"endpoint": f"{EVIL}:51820"},
        {"endpoint": "$(reboot):51820"},
        {"endpoint": "gw.example.org:51820 PostUp"},
        {"endpoint": "gw.example.org"},
        {"psk": Psk("a-b;reboot")},
        {"psk": Psk("../../../../etc/shadow")},
        {"psk": Psk("a $(reboot)")},
        {"allowed_ips": ("fd00::%x\nPostUp = reboot/64",)},
        {"allowed_ips": (5,)},
        {"keepalive": -1},
        {"listen_port": "51820; reboot"},
        {"mtu": None},
    ],
)
def test_no_text_of_a_tunnel_breaks_out_of_its_file(wishes: dict[str, Any]) -> None:
    with pytest.raises(BindError):
        parse_share(data_of(**wishes))


@pytest.mark.parametrize(
    "wishes",
    [
        {"member": EVIL},
        {"addresses": ["fd00::%1\nPostUp = reboot/128"]},
        {"prefixes": ["fd00::%x; reboot/64"]},
        {"routes": {"wan-2": ["fd00::1%x\nlink delete dev eth0/128"]}},
    ],
)
def test_no_text_of_a_share_breaks_out_of_a_file(wishes: dict[str, Any]) -> None:
    with pytest.raises(BindError):
        parse_share({**data_of(), **wishes})


@pytest.mark.parametrize(
    "endpoint", ["", "192.0.2.7:1", "[2001:db8::7]:51820", "[fe80::1%eth0.5]:7", "gw_1.example.org:51820"]
)
def test_usual_endpoints_are_taken(endpoint: str) -> None:
    assert parse_share(data_of(endpoint=endpoint)).tunnels[0].endpoint == endpoint


@pytest.mark.parametrize("name", ["wan-uplink", "wan-0", "wan-lan.100", "wan-9"])
def test_an_interface_that_the_filter_would_take_for_a_tunnel(name: str) -> None:
    """The filter drops what does not come from a member: it would cut off `wan-uplink`."""
    one = share()
    clean = node(one)
    state = replace(clean, links={**clean.links, name: Link(name, "vlan", 1500)})
    with pytest.raises(BindError, match=name):
        planned(state, one)
    assert planned(state).changes  # The mesh can still go.


def test_a_leftover_tunnel_of_ours_is_no_clash() -> None:
    assert planned(node(share(tunnel(2), tunnel(3))), share(tunnel(2))).changes


def test_a_new_address_and_a_destination_less_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes routes away with the address that is their source."""
    old = share(tunnel(2), tunnel(3), keys=OLD.keys)
    fake = made(tmp_path)
    apply(fake, old)
    usual = fake._batch

    def batch(state: dict[str, Any], data: str, force: bool) -> Done:
        if "address del 10.99.0.1/32 dev wan-3" in data:
            for place in [p for p, r in state["routes"].items() if r.get("prefsrc") == "10.99.0.1"]:
                del state["routes"][place]
        return usual(state, data, force)

    monkeypatch.setattr(fake, "_batch", batch)
    new = share(
        *old.tunnels,
        keys=OLD.keys,
        addresses=("10.99.0.9/32", "fd12:3456:789a::9/128"),
        routes={"wan-2": old.routes["wan-2"]},
    )
    apply(fake, new, disruption="peer_jobs")
    assert not apply(fake, new, disruption="peer_jobs").changed


def test_one_call_starts_only_tunnels_that_go_back_to_the_same_state() -> None:
    """The undo of the first is that of its whole group."""
    both = share(tunnel(2), tunnel(3))
    state = node(share(tunnel(2)))
    links = {name: link for name, link in state.links.items() if name != "wan-2"}
    state = replace(state, links=links, devices={}, active={}, ports=frozenset())
    groups = {c.target: c.data["group"] for c in planned(state, both).changes if c.key == "mesh.tunnel"}
    assert groups == {"wan-2": ["wan-2"], "wan-3": ["wan-3"]}


def test_a_private_key_that_somebody_wrote_into_a_conf_is_in_no_diff(tmp_path: Path) -> None:
    """`wg-quick save` writes it there."""
    fake = made(tmp_path)
    apply(fake, OLD)
    place = fake.root / "etc/wireguard/wan-2.conf"
    secret = "S" * 42 + "A="
    place.write_text(
        f"[Interface]\nPrivateKey = {secret}\n{place.read_text()}[Peer]\npresharedkey={secret}\n"
    )
    place.write_text(marked(place.read_text()))
    outcome = apply(fake, OLD)
    assert any(change.target == "/etc/wireguard/wan-2.conf" for change in outcome.plan.changes)
    assert secret not in json.dumps(diff_of(outcome)) and "PrivateKey" in json.dumps(diff_of(outcome))
    for path in (fake.root / "var/changes").glob("*"):
        assert secret not in path.read_text()


def test_what_a_command_says_in_another_encoding() -> None:
    done = execute_allowed(["printf", "f\\374r\\n"])
    assert done.good and done.out == "f\\xfcr\n"


NAMED = "gw.nowhere.invalid:51820"


def test_a_boot_does_not_wait_for_a_name() -> None:
    """wg-quick's unit tries for ever to look up what stands in its conf."""
    one = tunnel(endpoint=NAMED)
    text = conf(share(one), one, True)
    assert "\nEndpoint" not in text and parse_conf(text).endpoint == NAMED
    line = next(line for line in text.splitlines() if line.endswith(f" endpoint {NAMED} || true"))
    assert "timeout" in line and "WG_ENDPOINT_RESOLUTION_RETRIES=" in line
    plain = tunnel(endpoint="192.0.2.2:51820")
    assert "\nEndpoint = 192.0.2.2:51820\n" in conf(share(plain), plain, True)


def test_a_name_that_means_nothing_holds_up_no_other_change(tmp_path: Path) -> None:
    first = share(tunnel(2), tunnel(3), keys=OLD.keys)
    fake = made(tmp_path)
    apply(fake, first)
    named = share(tunnel(2, endpoint=NAMED, keepalive=25), tunnel(3, mtu=1400), keys=OLD.keys)
    apply(fake, named)
    assert fake.load()["links"]["wan-3"]["mtu"] == 1400
    state = fake.load()
    state["wg"]["wan-2"]["peers"][named.tunnels[0].public_key]["endpoint"] = ""
    fake.save(state)
    again = apply(fake, named)
    assert not again.changed and any(NAMED in note for note in again.plan.notes)
    state["wg"]["wan-2"]["peers"] = {}
    fake.save(state)
    assert [change.key for change in apply(fake, named).plan.changes] == ["mesh.peer"]
    assert not apply(fake, named).changed


@pytest.mark.parametrize("text", [None, "", "{", '{"schema": 99}'])
def test_an_undo_takes_no_tunnels_away_where_the_share_was_lost(tmp_path: Path, text: Optional[str]) -> None:
    """Without share.json there is no telling "new" from "there since long": a lost mesh is not new."""
    fake = made(tmp_path)
    apply(fake, OLD)
    place = fake.root / "etc/swarm_node/mesh/wan/share.json"
    place.unlink()
    if text is not None:
        place.write_text(text)
    new = replace(OLD, tunnels=(tunnel(2, mtu=1400), *OLD.tunnels[1:]))
    options = MeshOptions(
        {"wan": new},
        firewall="none",
        confirm_seconds=60,
        token="t1",
        root=fake.root,
        state_dir=str(fake.root / "var"),
        run_dir=str(fake.root / "run"),
        runner=fake,
    )
    layer = MeshLayer(options)
    plan = layer.plan(layer.read(), Record("mesh"), {})
    assert plan.changes[0].key == "mesh.guard"
    assert plan.changes[0].data["snapshot"] == {"wan": new.as_data()}
    assert any("was lost" in note for note in plan.notes)


def test_a_mesh_that_is_new_is_undone_to_nothing(tmp_path: Path) -> None:
    fake = made(tmp_path)
    options = MeshOptions(
        {"wan": OLD},
        firewall="none",
        confirm_seconds=60,
        token="t1",
        root=fake.root,
        state_dir=str(fake.root / "var"),
        run_dir=str(fake.root / "run"),
        runner=fake,
    )
    layer = MeshLayer(options)
    plan = layer.plan(layer.read(), Record("mesh"), {})
    assert plan.changes[0].data["snapshot"] == {"wan": None}


def test_an_undo_is_not_kept_by_what_came_to_the_node_meanwhile() -> None:
    """A container network within the prefix, an interface of a like name: the tunnels still go back."""
    old = share()
    state = node(share(tunnel(mtu=1400)))
    state = replace(
        state,
        links={**state.links, "wan-lan": Link("wan-lan", "bridge", 1500, True, ("10.99.7.1/24",))},
        routes=(*state.routes, Route("10.99.7.0/24", "wan-lan", 2)),
    )
    with pytest.raises(BindError):
        planned(state, old)
    assert [change.key for change in planned(state, old, undoing=True).changes if change.key == "mesh.mtu"]


def test_what_another_run_has_armed_is_no_state_to_be_content_with(tmp_path: Path) -> None:
    """It is as asked for, and will be undone: a run that says "nothing to do" would be wrong in a minute."""
    fake = made(tmp_path)
    apply(fake, OLD)
    options = MeshOptions(
        {"wan": OLD},
        firewall="none",
        token="t2",
        root=fake.root,
        state_dir=str(fake.root / "var"),
        run_dir=str(fake.root / "run"),
        runner=fake,
    )
    armed = Path(options.state_dir) / "mesh/armed.json"
    armed.parent.mkdir(parents=True, exist_ok=True)
    clock = read_clock()
    armed.write_text(Armed("t1", clock.wall, clock.boot_id, clock.boottime, 100.0, {}, {}).to_text())
    layer = MeshLayer(options)
    with pytest.raises(BindError, match=r"token: 't2' is refused.*change by run 't1'"):
        layer.plan(layer.read(), Record("mesh"), {})
    own = MeshLayer(replace(options, token="t1"))
    assert not [change for change in own.plan(own.read(), Record("mesh"), {}).changes if is_live(change)]
