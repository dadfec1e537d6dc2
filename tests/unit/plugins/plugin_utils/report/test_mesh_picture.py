# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a mesh: everything in it, inside its frame, told apart, and safe."""

from __future__ import annotations

import itertools
import math
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.plugin_utils.report import mesh
from ansible_collections.swarm.node.plugins.plugin_utils.report.mesh_picture import MOST, draw

SVG = "{http://www.w3.org/2000/svg}"


def block_of(links: list[tuple[int, int, str]], count: int, seen: int | None = None) -> dict[str, Any]:
    """Members n1 … nCOUNT, of which the first `seen` have answered."""
    tunnels: dict[int, list[dict[str, Any]]] = {number: [] for number in range(1, count + 1)}
    for first, second, state in links:
        for here, there in ((first, second), (second, first)):
            tunnels[here].append({"peer": f"n{there}", "peer_number": there, "state": state})
    hosts = {}
    for number in range(1, (count if seen is None else seen) + 1):
        info = {
            "member": f"n{number}",
            "number": number,
            "transit": number == 1,
            "addresses": [f"10.99.0.{number % 250}/32"],
            "armed": {"token": "t", "deadline": 1.0} if number == 2 else None,
            "tunnels": tunnels[number],
        }
        hosts[f"h{number}"] = mesh.fields({"mesh": {"wan": info}})
    return mesh.join(hosts)["wan"]


def ring(count: int) -> list[tuple[int, int, str]]:
    return [(number, number % count + 1, "up") for number in range(1, count + 1)]


def parsed(block: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(draw("wan", block))


def centres(root: ElementTree.Element) -> list[tuple[float, float]]:
    found = []
    for group in root.findall(f"{SVG}g"):
        circle, square = group.find(f"{SVG}circle"), group.find(f"{SVG}rect")
        if circle is not None:
            found.append((float(circle.attrib["cx"]), float(circle.attrib["cy"])))
        elif square is not None:
            half = float(square.attrib["width"]) / 2
            found.append((float(square.attrib["x"]) + half, float(square.attrib["y"]) + half))
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 12, 13, 64, 200])
def test_every_member_and_link_is_drawn_inside_the_frame_and_apart(count: int) -> None:
    links = ring(count) if count > 2 else [(1, 2, "up")] if count == 2 else []
    root = parsed(block_of(links, count))
    places = centres(root)
    assert len(places) == count
    assert len(root.findall(f"{SVG}line")) == len(links)
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    for x, y in places:
        assert left < x < left + width and top < y < top + height
    assert min((math.dist(a, b) for a, b in itertools.combinations(places, 2)), default=99) > 12


def test_states_are_told_by_class_and_title() -> None:
    links = [(1, 2, "up"), (2, 3, "stale"), (3, 4, "never"), (1, 4, "down")]
    lines = parsed(block_of(links, 4)).findall(f"{SVG}line")
    # What is not up lies above what is.
    assert [line.attrib["class"] for line in lines] == ["link-up", "link-stale", "link-never", "link-down"]
    assert [line[0].text for line in lines][1] == "n2 – n3: stale seen from n2 and n3"


def test_hubs_armed_and_unseen_members_are_marked() -> None:
    groups = parsed(block_of(ring(4), 4, seen=3)).findall(f"{SVG}g")
    found = {group.findtext(f"{SVG}text"): group for group in groups}
    assert found["n1"].find(f"{SVG}rect") is not None
    assert "forwards for others" in str(found["n1"].findtext(f"{SVG}title"))
    assert found["n2"][0].attrib["class"] == "dot armed"
    assert found["n4"][0].attrib["class"] == "dot unseen"
    assert found["n4"].findtext(f"{SVG}title") == "n4: not seen"
    assert found["n3"].findtext(f"{SVG}title") == "n3, 10.99.0.3/32: tunnels 2 up"


def test_members_stand_in_the_order_of_their_numbers() -> None:
    root = parsed(block_of(ring(20), 20))
    names = [group.findtext(f"{SVG}text") for group in root.findall(f"{SVG}g")]
    assert names == [f"n{number}" for number in range(1, 21)]


def test_a_large_mesh_is_drawn_by_regions() -> None:
    count = MOST + 1
    links = [*ring(count), (1, 130, "down"), (2, 9, "stale"), (3, 70, "down")]
    root = parsed(block_of(links, count))
    names = [group.findtext(f"{SVG}text") for group in root.findall(f"{SVG}g")]
    assert names == ["1–63", "64–127", "128–191", "192–255"]
    lines = {line[0].text: line.attrib["class"] for line in root.findall(f"{SVG}line")}
    assert lines["1–63 – 128–191: 1 link, 1 not up"] == "link-down"
    assert lines["1–63 – 64–127: 2 links, 1 not up"] == "link-partly"
    assert lines["64–127 – 128–191: 1 link, 0 not up"] == "link-up"
    first = root.findall(f"{SVG}g")[0]
    assert first.findtext(f"{SVG}title") == "1–63: 63 members, 63 seen, 63 links inside, 1 not up"
    assert "trouble" in first[0].attrib["class"] and "hub" in first[0].attrib["class"]


def test_regions_have_the_name_that_their_members_share() -> None:
    members = {
        f"n{number}.{'fra' if number < 64 else 'ams'}": number
        for number in range(1, MOST + 2)
        if number < 128
    }
    members.update({f"x{number}": number for number in range(128, MOST + 2)})
    infos = {
        name: mesh.fields({"mesh": {"wan": {"member": name, "number": number, "tunnels": []}}})
        for name, number in members.items()
    }
    root = parsed(mesh.join(infos)["wan"])
    names = [group.findtext(f"{SVG}text") for group in root.findall(f"{SVG}g")]
    assert names == ["fra (1–63)", "ams (64–127)", "128–191", "192–255"]


def test_twenty_thousand_members_stay_readable() -> None:
    root = parsed(block_of(ring(20000), 20000))
    assert len(root.findall(f"{SVG}g")) <= MOST


def test_a_foreign_peer_without_a_number() -> None:
    info = {
        "member": "n1",
        "number": 1,
        "tunnels": [{"peer": "partner", "foreign": True, "state": "up", "peer_number": None}],
    }
    root = parsed(mesh.join({"h": mesh.fields({"mesh": {"wan": info}})})["wan"])
    titles = [group.findtext(f"{SVG}title") for group in root.findall(f"{SVG}g")]
    assert titles[1] == "partner: foreign peer"


def test_it_is_safe_and_has_no_script() -> None:
    evil = '"><script>alert(1)</script>\x00\x1b'
    info = {
        "member": evil,
        "number": 1,
        "addresses": [evil],
        "tunnels": [{"peer": evil * 2, "peer_number": 2, "state": "up"}],
    }
    text = draw(evil, mesh.join({"h": mesh.fields({"mesh": {"wan": info}})})["wan"])
    root = ElementTree.fromstring(text)
    assert "<script" not in text and "href" not in text
    assert {element.tag for element in root.iter()} <= {
        SVG + name for name in ("svg", "title", "g", "line", "circle", "rect", "text")
    }


def test_two_draws_are_equal() -> None:
    assert draw("wan", block_of(ring(30), 30)) == draw("wan", block_of(ring(30), 30))
