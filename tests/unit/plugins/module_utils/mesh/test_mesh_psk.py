# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preshared keys: sealed on one node, opened on the other, and nowhere else."""

from __future__ import annotations

import base64
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh import psk_seal
from ansible_collections.swarm.node.plugins.module_utils.mesh.keys import KeyStore
from ansible_collections.swarm.node.plugins.module_utils.mesh.psk import PskStore
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Psk
from mesh_keys_wg import RecordingRunner, public_of, x25519

NAME = "gw1.fra+home-ann"


class Node:
    """One node of the test: its files are below a directory of its own."""

    def __init__(self, base: Path, name: str) -> None:
        self.runner = RecordingRunner(base / "bin")
        self.keys = KeyStore(base / name, self.runner)
        self.psks = PskStore(base / name, self.runner)
        self.public = self.keys.make("wan", 1)

    def secret(self) -> str:
        return self.psks.path("wan", NAME).read_text().strip()


@pytest.fixture
def one(tmp_path: Path) -> Node:
    return Node(tmp_path, "one")


@pytest.fixture
def other(tmp_path: Path) -> Node:
    return Node(tmp_path, "other")


# RFC 5869, appendix A: test cases 1 to 3
@pytest.mark.parametrize(
    ("secret", "salt", "info", "length", "expected"),
    [
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            42,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x00, 0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            82,
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            "0b" * 22,
            "",
            "",
            42,
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_hkdf(secret: str, salt: str, info: str, length: int, expected: str) -> None:
    found = psk_seal.hkdf(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), length)
    assert found.hex() == expected


# RFC 7748, section 5.2
VECTORS = [
    (
        "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
    ),
    (
        "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
        "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
    ),
]


@pytest.mark.parametrize(("scalar", "point", "expected"), VECTORS)
def test_x25519(tmp_path: Path, scalar: str, point: str, expected: str) -> None:
    runner = RecordingRunner(tmp_path / "bin")
    found = psk_seal.x25519(runner, bytes.fromhex(scalar), bytes.fromhex(point))
    assert found.hex() == expected
    assert x25519(bytes.fromhex(scalar), bytes.fromhex(point)).hex() == expected
    assert not [word for argv in runner.argv for word in argv if scalar in word]


def test_a_public_key_that_gives_no_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="openssl"):
        psk_seal.x25519(RecordingRunner(tmp_path / "bin"), b"\x11" * 32, bytes(32))


def test_sealed_here_opened_there(one: Node, other: Node) -> None:
    psk = one.psks.make_sealed("wan", NAME, other.public)
    assert one.psks.has("wan", NAME)
    assert not other.psks.has("wan", NAME)
    assert other.psks.install("wan", psk, 1)
    assert other.secret() == one.secret()
    path = other.psks.path("wan", NAME)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not other.psks.install("wan", psk, 1)
    assert other.psks.matches("wan", psk, 1)
    assert (one.psks.names("wan"), other.psks.names("wan")) == ([NAME], [NAME])


def test_each_seal_is_another_one_of_the_same_key(one: Node, other: Node) -> None:
    first = one.psks.make_sealed("wan", NAME, other.public)
    secret = one.secret()
    second = one.psks.make_sealed("wan", NAME, other.public)
    assert one.secret() == secret
    assert (first.sealed, first.sender) != (second.sealed, second.sender)
    assert other.psks.install("wan", first, 1)
    assert not other.psks.install("wan", second, 1)


def test_a_new_key_of_the_same_name_replaces_the_old(one: Node, other: Node) -> None:
    other.psks.install("wan", one.psks.make_sealed("wan", NAME, other.public), 1)
    one.psks.remove("wan", NAME)
    psk = one.psks.make_sealed("wan", NAME, other.public)
    assert not other.psks.matches("wan", psk, 1)
    assert other.psks.install("wan", psk, 1)
    assert other.secret() == one.secret()


def test_no_secret_in_arguments_or_seal(one: Node, other: Node) -> None:
    psk = one.psks.make_sealed("wan", NAME, other.public)
    other.psks.install("wan", psk, 1)
    secrets = [one.secret(), *(node.keys.path("wan", 1).read_text().strip() for node in (one, other))]
    shown = [word for node in (one, other) for argv in node.runner.argv for word in argv]
    shown += [psk.sealed, psk.sender, repr(psk)]
    for secret in secrets:
        raw = base64.b64decode(secret)
        for text in shown:
            assert secret not in text and raw.hex() not in text
        assert raw not in base64.b64decode(psk.sealed)


@pytest.mark.parametrize("place", [0, 31, 32, 63])
def test_a_damaged_seal_is_refused(one: Node, other: Node, place: int) -> None:
    psk = one.psks.make_sealed("wan", NAME, other.public)
    body = bytearray(base64.b64decode(psk.sealed))
    body[place] ^= 1
    with pytest.raises(NodeError, match="seal it again"):
        other.psks.install("wan", replace(psk, sealed=base64.b64encode(body).decode()), 1)
    assert not other.psks.has("wan", NAME)


@pytest.mark.parametrize(
    "change",
    [
        {"sealed": "AAAA"},
        {"sealed": "no base64!"},
        {"sealed": "é"},
        {"sender": "short"},
        {"sender": base64.b64encode(b"\x09" + bytes(31)).decode()},
        {"name": "another"},
    ],
)
def test_a_seal_for_something_else_is_refused(one: Node, other: Node, change: dict[str, str]) -> None:
    psk = replace(one.psks.make_sealed("wan", NAME, other.public), **change)
    with pytest.raises(NodeError):
        other.psks.install("wan", psk, 1)
    assert other.psks.names("wan") == []


def test_another_generation_or_node_or_mesh_cannot_open(one: Node, other: Node) -> None:
    psk = one.psks.make_sealed("wan", NAME, other.public)
    other.keys.make("wan", 2)
    (other.keys.path("lan", 1).parent).mkdir(parents=True)
    other.keys.path("lan", 1).write_text(other.keys.path("wan", 1).read_text())
    for node, mesh, generation in ((other, "wan", 2), (one, "wan", 1), (other, "lan", 1)):
        with pytest.raises(NodeError, match="not sealed for this node's key"):
            node.psks.open_sealed(mesh, psk, generation)
    with pytest.raises(NodeError, match=r"3\.key is missing"):
        other.psks.open_sealed("wan", psk, 3)


def test_one_that_was_made_here_has_to_be_here(one: Node) -> None:
    with pytest.raises(NodeError, match="this node made the preshared key"):
        one.psks.install("wan", Psk(NAME), 1)
    one.psks.make("wan", NAME)
    assert not one.psks.install("wan", Psk(NAME), 1)
    assert one.psks.matches("wan", Psk(NAME), 1)


def test_a_damaged_file_is_written_again_or_said(one: Node, other: Node) -> None:
    psk = one.psks.make_sealed("wan", NAME, other.public)
    other.psks.install("wan", psk, 1)
    other.psks.path("wan", NAME).write_text("cut")
    assert other.psks.install("wan", psk, 1)
    assert other.secret() == one.secret()
    one.psks.path("wan", NAME).write_text("cut")
    with pytest.raises(NodeError, match="holds no WireGuard key"):
        one.psks.seal("wan", NAME, other.public)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", "a b", "a\n", "-x", "é", "x" * 201, None])
def test_names_are_checked(one: Node, name: str) -> None:
    with pytest.raises(BindError, match="name: "):
        one.psks.has("wan", name)


@pytest.mark.parametrize("key", ["", "short", None, "A" * 43 + "!"])
def test_the_other_ends_key_is_checked_before_one_is_made(one: Node, key: str) -> None:
    with pytest.raises(BindError, match="public_key: "):
        one.psks.make_sealed("wan", NAME, key)
    assert not one.psks.has("wan", NAME)


def test_without_openssl(tmp_path: Path, other: Node) -> None:
    runner = RecordingRunner(tmp_path / "few", missing=["openssl"])
    psks = PskStore(tmp_path / "one", runner)
    with pytest.raises(NodeError, match="no program openssl"):
        psks.make_sealed("wan", NAME, other.public)


def test_public_keys_agree(one: Node) -> None:
    private = one.keys.path("wan", 1).read_text().strip()
    raw = psk_seal.x25519(one.runner, psk_seal.decoded(private), psk_seal.BASE_POINT)
    assert psk_seal.encoded(raw) == one.public == public_of(private)
