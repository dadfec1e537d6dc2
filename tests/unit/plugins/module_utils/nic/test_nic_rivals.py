# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that set devices when the network comes up: found, and said."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.nic.managers import read_rivals
from ansible_collections.swarm.node.plugins.module_utils.nic.rivals import Rival, notes, rivals
from hypothesis import given, settings
from hypothesis import strategies as st
from nic_cases import nic, plan, state

INTERFACES = """\
# iface eth9 inet static
auto lo
iface lo inet loopback
allow-hotplug eth0
iface eth0 inet static
    address 10.0.0.1/24
    up /sbin/ethtool -G $IFACE rx 4096 tx 4096
    post-up ethtool --features eth0 gro off
    hardware-irq-coalesce-rx-usecs 8
iface eth1 inet dhcp
    offload-lro off
    post-up ip link set eth1 txqueuelen 5000
iface eth2 inet dhcp
"""
CONNECTION = "[connection]\nid=a\ninterface-name=enp1s0\n[ethtool]\nring-rx=4096\nfeature-gro=false\n"


def test_ifupdown():
    assert rivals({"/etc/network/interfaces": INTERFACES}) == [
        Rival("/etc/network/interfaces", "eth0", ("coalesce", "features", "rings")),
        Rival("/etc/network/interfaces", "eth1", ("features", "txqueuelen")),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (CONNECTION, [("enp1s0", ("features", "rings"))]),
        ("[ethtool]\nchannels-combined=8\ncoalesce-rx-usecs=3\n", [("*", ("channels", "coalesce"))]),
        ("[ethtool]\npause-rx=1\n", []),
        ("[connection]\nid=a\n", []),
        ("nonsense", []),
    ],
)
def test_network_manager(text, found):
    assert [(rival.device, rival.groups) for rival in rivals({"/x.nmconnection": text})] == found


def test_only_what_is_asked_for_is_said():
    found = [Rival("/a", "eth*", ("rings", "features"))]
    said = notes(found, {"eth0": {"rings", "rps"}, "eth1": {"rps"}, "ib0": {"rings"}})
    assert len(said) == 1 and said[0].startswith("/a sets rings of eth0 when the network comes up")


def test_it_is_a_note_of_the_plan():
    rival = Rival("/etc/network/interfaces", "eth0", ("rings",))
    made = plan({"eth0": {"rings": {"rx": "max"}}}, state(nic(), rivals=(rival,)))
    assert any("/etc/network/interfaces sets rings of eth0" in note for note in made.notes)
    assert not plan({"eth0": {"txqueuelen": 5}}, state(nic(), rivals=(rival,))).notes


def test_they_are_found_on_a_node(tmp_path):
    for name, text in (
        ("etc/network/interfaces", INTERFACES),
        ("etc/network/interfaces.d/more", "iface eth5 inet dhcp\n  up ethtool -L eth5 combined 4\n"),
        ("etc/NetworkManager/system-connections/a.nmconnection", CONNECTION),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = read_rivals(tmp_path)
    assert [rival.device for rival in found] == ["enp1s0", "eth0", "eth1", "eth5"]
    assert read_rivals(tmp_path / "nothing") == ()


@settings(max_examples=80, deadline=None)
@given(st.text(), st.sampled_from(["/etc/network/interfaces", "/x.nmconnection"]))
def test_no_text_makes_it_fall_over(text, path):
    for rival in rivals({path: text, "/b": "iface " + text}):
        assert rival.groups
