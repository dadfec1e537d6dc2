# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sealing a preshared key to the public key of the other end's node.

    shared = X25519(ephemeral private key, the other end's public key)
    stream, tag key = HKDF-SHA256(shared; mesh, name, both public keys)        RFC 5869
    sealed = (key XOR stream) + HMAC-SHA256(tag key, key XOR stream)           encrypt, then authenticate

An ephemeral key seals one key and is forgotten, so that the stream is used once. The seal keeps the key
secret from whoever carries it and shows damage. It does not prove who sealed it: the carrier, which is the
operator's registry, could put a key of its own there. A preshared key only adds to WireGuard's own keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import tempfile
from pathlib import Path

from ..core.commands import Runner
from ..core.errors import NodeError

LABEL = b"swarm.node mesh preshared key 1"
SIZE = 32
TAG_SIZE = 32

PRIVATE_PREFIX = bytes.fromhex("302e020100300506032b656e04220420")
"""DER of a PKCS #8 private key of X25519 up to its 32 bytes (RFC 8410)."""
PUBLIC_PREFIX = bytes.fromhex("302a300506032b656e032100")
"""DER of a SubjectPublicKeyInfo of X25519 up to its 32 bytes (RFC 8410)."""

BASE_POINT = bytes([9]) + bytes(SIZE - 1)
"""X25519 of a private key with it is the public key (RFC 7748)."""

DERIVE = 'openssl pkeyutl -derive -inkey /dev/stdin -peerkey "$1" | openssl base64 -A'
"""The private key comes by standard input, as PEM; only a public key is in a file."""


def seal(runner: Runner, secret: bytes, mesh: str, name: str, public_key: str) -> tuple[str, str]:
    """(sealed, ephemeral public key), both base64, for the owner of `public_key` (base64).

    Raises NodeError where openssl is missing or refuses the key.
    """
    if len(secret) != SIZE:
        raise ValueError(f"a preshared key has {SIZE} bytes")
    recipient = decoded(public_key)
    ephemeral = os.urandom(SIZE)
    sender = x25519(runner, ephemeral, BASE_POINT)
    stream, tag_key = _keys(x25519(runner, ephemeral, recipient), mesh, name, recipient, sender)
    hidden = _xor(secret, stream)
    tag = hmac.new(tag_key, hidden, hashlib.sha256).digest()
    return encoded(hidden + tag), encoded(sender)


def unseal(
    runner: Runner, sealed: str, sender: str, mesh: str, name: str, private_key: str, public_key: str
) -> bytes:
    """The secret. `private_key` and `public_key` (base64) are this node's.

    Raises NodeError where it was sealed for another node, mesh or name, or was damaged.
    """
    wrong = NodeError(
        f"the preshared key {name} of mesh {mesh} was not sealed for this node's key {public_key}, or was "
        "damaged on its way; let the other end seal it again"
    )
    try:
        body, ephemeral = base64.b64decode(sealed, validate=True), decoded(sender)
    except (ValueError, NodeError) as error:
        raise wrong from error
    if len(body) != SIZE + TAG_SIZE:
        raise wrong
    shared = x25519(runner, decoded(private_key), ephemeral)
    stream, tag_key = _keys(shared, mesh, name, decoded(public_key), ephemeral)
    hidden, tag = body[:SIZE], body[SIZE:]
    if not hmac.compare_digest(tag, hmac.new(tag_key, hidden, hashlib.sha256).digest()):
        raise wrong
    return _xor(hidden, stream)


def x25519(runner: Runner, private: bytes, public: bytes) -> bytes:
    """The shared secret, 32 bytes, by openssl (1.1.1 or newer). Raises NodeError."""
    with tempfile.TemporaryDirectory(prefix="swarm_node.") as directory:
        peer = Path(directory) / "peer.pem"
        peer.write_text(_pem("PUBLIC KEY", PUBLIC_PREFIX + public), encoding="ascii")
        key = _pem("PRIVATE KEY", PRIVATE_PREFIX + private)
        done = runner(["sh", "-c", DERIVE, "sh", str(peer)], key)
    try:
        shared = base64.b64decode(done.out.strip(), validate=True)
    except ValueError:
        shared = b""
    if len(shared) != SIZE or shared == bytes(SIZE):
        raise NodeError(f"openssl pkeyutl -derive: {_reason(done.code, done.err)}")
    return shared


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF with SHA-256 (RFC 5869), at most 255 * 32 bytes."""
    key = hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()
    block, found, count = b"", b"", 0
    while len(found) < length:
        count += 1
        block = hmac.new(key, block + info + bytes([count]), hashlib.sha256).digest()
        found += block
    return found[:length]


def decoded(key: str) -> bytes:
    """The 32 bytes of a key in base64. Raises NodeError that does not say the key."""
    try:
        raw = base64.b64decode(key, validate=True)
    except ValueError as error:
        raise NodeError("a WireGuard key is 44 characters of base64") from error
    if len(raw) != SIZE:
        raise NodeError(f"a WireGuard key has {SIZE} bytes")
    return raw


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _keys(shared: bytes, mesh: str, name: str, recipient: bytes, sender: bytes) -> tuple[bytes, bytes]:
    """Stream and key of the tag. Each part goes in with its length, so that no two contexts look alike."""
    parts = (LABEL, mesh.encode(), name.encode(), recipient, sender)
    info = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    both = hkdf(shared, LABEL, info, SIZE + TAG_SIZE)
    return both[:SIZE], both[SIZE:]


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(left, right))


def _pem(kind: str, der: bytes) -> str:
    return f"-----BEGIN {kind}-----\n{encoded(der)}\n-----END {kind}-----\n"


def _reason(code: int, err: str) -> str:
    if "not found" in err or code == 127:
        return "there is no program openssl on this node; preshared keys need the package openssl"
    return " ".join(err.split()) or "it gave no shared secret; is the public key one of WireGuard?"
