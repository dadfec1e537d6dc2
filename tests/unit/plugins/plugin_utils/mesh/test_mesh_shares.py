# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each member gets of the mesh: endpoints, ports, sizes, routes; and the shares as files of one run."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, LockTimeout
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, parse_share
from ansible_collections.swarm.node.plugins.plugin_utils.mesh import cache, registry_file
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.dump import dump_registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.places import registry_directory
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.registry import Foreign, Registry
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.shares import Shares, digest
from mesh_cast import do, host, key, small


def share(registry: Registry, name: str) -> Share:
    found = Shares(registry).of(name)
    assert parse_share(found.as_data()) == found
    return found


def tunnel(registry: Registry, name: str, peer: str):
    (found,) = [item for item in share(registry, name).tunnels if item.peer == peer]
    return found


def test_both_ends_of_a_tunnel_fit_together():
    registry = small()
    for one in registry.members:
        for item in share(registry, one).tunnels:
            other = tunnel(registry, item.peer, one)
            assert item.public_key == registry.members[item.peer].keys[other.generation]
            assert item.mtu == other.mtu
            if item.endpoint:
                assert int(item.endpoint.rpartition(":")[2]) == other.listen_port


def test_who_is_behind_nat_calls_and_keeps_the_way_open():
    registry = small()
    inside, outside = tunnel(registry, "bo", "fra"), tunnel(registry, "fra", "bo")
    assert inside.endpoint and inside.keepalive == 25
    assert (outside.endpoint, outside.keepalive) == ("", 0)


@pytest.mark.parametrize(
    ("one", "other", "mtu"),
    [
        ({}, {}, 1440),
        ({"endpoint": "one.example"}, {}, 1420),
        ({"endpoint": "2001:db8::7"}, {}, 1420),
        ({"underlay_mtu": 1400}, {}, 1340),
        ({"underlay_mtu": 9000}, {"underlay_mtu": 9000}, 8940),
        ({"underlay_mtu": 1340}, {"underlay_mtu": 9000}, 1280),
    ],
)
def test_the_mtu_comes_from_the_path(one, other, mtu):
    registry = do(None, "join", host("a", **one), host("b", **other))[0]
    assert tunnel(registry, "a", "b").mtu == tunnel(registry, "b", "a").mtu == mtu
    fixed = replace(registry, settings=replace(registry.settings, mtu=1300))
    assert tunnel(fixed, "a", "b").mtu == min(1300, mtu)


def test_a_path_that_is_too_narrow_for_ipv6_is_refused():
    narrow = host("narrow", nat=True, underlay_mtu=1350, underlay=("192.168.0.0/24",))
    registry = do(None, "join", host("six", endpoint="2001:db8::7"))[0]
    with pytest.raises(BindError, match="underlay_mtu 1360 or more"):
        do(registry, "join", narrow)


def test_members_of_a_region_talk_over_its_own_network():
    near = [host(name, region="fra", local_endpoint=f"10.1.0.{at}") for at, name in enumerate("ab", 1)]
    registry = do(None, "join", *near, host("far", region="ams", local_endpoint="10.1.0.3"))[0]
    assert tunnel(registry, "a", "b").endpoint == "10.1.0.2:51820"
    assert tunnel(registry, "a", "far").endpoint.startswith("203.")


def test_a_forwarded_port_is_where_others_call():
    registry = do(None, "join", host("a", endpoint="192.0.2.1:7000"), host("b"), host("c"))[0]
    assert tunnel(registry, "b", "a").endpoint == "192.0.2.1:7000"
    assert tunnel(registry, "c", "a").endpoint == "192.0.2.1:7002"
    assert tunnel(registry, "a", "c").listen_port == 51822


def test_a_bare_ipv6_address_is_put_in_brackets():
    registry = do(None, "join", host("a", endpoint="2001:db8::7"), host("b"))[0]
    assert tunnel(registry, "b", "a").endpoint == "[2001:db8::7]:51820"


def test_where_tunnels_may_come_from():
    registry = small()
    assert share(registry, "fra").endpoints == ()  # one peer is behind NAT
    assert share(registry, "bo").endpoints == tuple(
        sorted(
            (registry.members[name].endpoint for name in ("ams", "db", "fra")),
            key=lambda text: [int(part) for part in text.split(".")],
        )
    )
    named = do(registry, "endpoint", host("ams", region="ams", transit=True, endpoint="one.example"))[0]
    assert share(named, "bo").endpoints == ()  # what a name stands for may change


def test_ports_cover_every_tunnel_there_can_be():
    assert share(small(), "fra").ports == (51820, 51867)
    assert share(small(max_degree=30), "fra").ports == (51820, 51879)


def test_everybody_has_a_way_to_everybody():
    registry = small(full_mesh_up_to=2, neighbours=2)
    for name in registry.members:
        found = share(registry, name)
        assert set(found.routes) <= {item.interface for item in found.tunnels}
        assert any("10.99" in item for items in found.routes.values() for item in items)


def test_a_foreign_peer_is_reached_via_its_gateway():
    partner = Foreign("partner", 70, key("p"), "198.51.100.9", ("10.55.0.0/24",), ("fra",), {"fra": 9})
    registry = replace(small(), foreign={"partner": partner})
    there = tunnel(registry, "fra", "partner")
    assert (there.interface, there.foreign, there.listen_port) == ("wan-70", True, 51838)
    assert (there.endpoint, there.allowed_ips) == ("198.51.100.9:51820", ("10.55.0.0/24",))
    assert share(registry, "fra").routes["wan-70"] == ("10.55.0.0/24",)
    assert "10.55.0.0/24" in share(registry, "db").routes["wan-129"]
    hidden = replace(registry.members["ams"], transit=False)
    closed = replace(partner, via=("ams",), slots={"ams": 9})
    lonely = replace(registry, members={**registry.members, "ams": hidden}, foreign={"partner": closed})
    assert not any("10.55.0.0/24" in items for items in share(lonely, "db").routes.values())


def test_shares_depend_on_nothing_but_the_registry():
    registry = small()
    turned = replace(
        registry,
        members=dict(reversed(registry.members.items())),
        links=dict(reversed(registry.links.items())),
    )
    for name in registry.members:
        assert digest(share(registry, name).as_data()) == digest(share(turned, name).as_data())


def test_a_name_that_is_no_member_is_refused_with_the_playbook():
    with pytest.raises(BindError, match=r"swarm\.node\.mesh_join"):
        Shares(small()).of("stranger")


# -- as files of one run


def count_parsing(monkeypatch, parsed: list[str]) -> None:
    real = cache.parse_registry

    def parse(text: str, path: str) -> Registry:
        parsed.append(path)
        return real(text, path)

    monkeypatch.setattr(cache, "parse_registry", parse)


def test_a_registry_is_parsed_once_for_all_hosts(tmp_path, monkeypatch):
    path, parsed = tmp_path / "wan.yml", list[str]()
    path.write_text(dump_registry(small()))
    count_parsing(monkeypatch, parsed)
    for name in ("fra", "db", "bo", "ams"):
        found = cache.cached_share(path, name, tmp_path)
        assert parse_share(found["share"]) == Shares(small()).of(name)
        assert found["digest"] == digest(Shares(small()).of(name).as_data())
    with pytest.raises(BindError, match=r"stranger is not in its registry.*mesh_join"):
        cache.cached_share(path, "stranger", tmp_path)
    assert len(parsed) == 1
    path.write_text(dump_registry(do(small(), "leave", names=["db"])[0]))
    there = f"wan-{small().members['db'].number}"
    assert there not in cache.cached_share(path, "fra", tmp_path)["share"]["routes"]
    assert len(parsed) == 2


def test_what_is_wrong_is_found_once_and_said_to_every_host(tmp_path, monkeypatch):
    path, parsed = tmp_path / "wan.yml", list[str]()
    path.write_text(dump_registry(small()).replace("nat: true", "nat: 2026-01-01"))
    count_parsing(monkeypatch, parsed)
    for name in ("fra", "db"):
        with pytest.raises(BindError, match=r"members bo nat.*wan.yml:9"):
            cache.cached_share(path, name, tmp_path)
    assert len(parsed) == 1
    with pytest.raises(BindError, match="mesh_join"):
        cache.cached_share(tmp_path / "gone.yml", "fra", tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BindError, match="UTF-8"):
        cache.cached_share(path, "fra", tmp_path)
    other = tmp_path / "lan.yml"
    other.write_text(dump_registry(small()))
    with pytest.raises(BindError, match="as the file is named"):
        cache.cached_share(other, "fra", tmp_path)


def test_many_processes_at_once_make_it_once(tmp_path):
    path = tmp_path / "wan.yml"
    path.write_text(dump_registry(small()))
    code = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[3].split(':')\n"
        "from ansible_collections.swarm.node.plugins.plugin_utils.mesh.cache import cached_share\n"
        "print(cached_share(Path(sys.argv[1]), 'fra', Path(sys.argv[2]))['digest'])"
    )
    command = [sys.executable, "-c", code, str(path), str(tmp_path), ":".join(sys.path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _each in range(3)]
    said = {process.communicate()[0].strip() for process in started}
    assert said == {digest(Shares(small()).of("fra").as_data())}
    assert len([item for item in tmp_path.glob("swarm_mesh_*") if item.is_dir()]) == 1


# -- the file itself


def test_a_save_keeps_mode_and_follows_a_link(tmp_path):
    real = tmp_path / "real.yml"
    real.write_text("x")
    real.chmod(0o640)
    path = tmp_path / "wan.yml"
    path.symlink_to(real)
    text = registry_file.save(path, small())
    assert path.is_symlink() and real.read_text() == text and real.stat().st_mode & 0o777 == 0o640
    assert registry_file.load(path) == (small(), text)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["real.yml", "wan.yml"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "wan.yml"
    path.write_text(dump_registry(small()))

    def full(*_given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(BindError, match="No space left"):
        registry_file.save(path, do(small(), "leave", names=["db"])[0])
    assert path.read_text() == dump_registry(small())
    assert [item.name for item in tmp_path.iterdir()] == ["wan.yml"]


def test_one_writer_at_a_time(tmp_path):
    second = registry_file.locked(tmp_path, wait=0.2)
    with registry_file.locked(tmp_path), pytest.raises(LockTimeout, match="another run"), second:
        pass
    with registry_file.locked(tmp_path, wait=0):
        assert list(tmp_path.iterdir()) == []


def test_where_registries_are(tmp_path):
    inside = tmp_path / "inv"
    inside.mkdir()
    file = inside / "hosts.yml"
    base = str(tmp_path / "playbooks")
    assert registry_directory(None, str(inside), [str(file)], base) == inside / "mesh"
    assert registry_directory(None, str(inside), [str(inside)], base) == tmp_path / "mesh"
    (inside / "mesh").mkdir()
    assert registry_directory(None, str(inside), [str(inside)], base) == inside / "mesh"
    assert registry_directory(None, None, ["host,"], base) == Path(base) / "mesh"
    # A host that was added in the run has no inventory of its own.
    file.touch()
    assert registry_directory(None, None, ["host,", str(file)], base) == inside / "mesh"
    assert registry_directory("mesh", None, [str(inside)], base) == inside / "mesh"
    assert registry_directory("mesh", str(inside), [], base) == inside / "mesh"
    with pytest.raises(BindError, match="a directory that exists"):
        registry_directory("gone", str(inside), [], base)
    assert registry_directory("gone", str(inside), [], base, make=True) == inside / "gone"
