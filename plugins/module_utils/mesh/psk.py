# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preshared keys: one end of a tunnel makes it and seals it for the other, which opens it into its file."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from ..core import files
from ..core.commands import Runner, execute_allowed
from ..core.errors import BindError, NodeError, Problem
from . import keys_file, psk_seal
from .keys import KeyStore
from .keys import mistakes as mistakes_in_key
from .paths import psk_path
from .share import KEY, PSK_NAME, Psk
from .wg import mark_of

NAME = PSK_NAME


class PskStore:
    """Preshared keys below `root` ("/" but in tests). Whoever writes holds the node's lock."""

    def __init__(self, root: Path | str = "/", runner: Runner = execute_allowed) -> None:
        self.root = Path(root)
        self.runner = runner
        self.keys = KeyStore(root, runner)

    def path(self, mesh: str, name: str) -> Path:
        """Raises BindError for a name that is none."""
        problems = mistakes(mesh, name)
        if problems:
            raise BindError(problems)
        return self.root / psk_path(mesh, name).lstrip("/")

    def has(self, mesh: str, name: str) -> bool:
        """Raises NodeError for a file that cannot be a key of this node."""
        return keys_file.look(self.path(mesh, name)) is not None

    def names(self, mesh: str) -> list[str]:
        directory = self.path(mesh, "any").parent
        return sorted(path.stem for path in directory.glob("*.key") if NAME.fullmatch(path.stem))

    def make(self, mesh: str, name: str) -> bool:
        """Makes the key; one that exists stays. Says whether it was made. Raises NodeError, OSError."""
        path = self.path(mesh, name)
        if keys_file.look(path) is not None:
            return False
        keys_file.make(self.runner, path, "genpsk")
        return True

    def make_sealed(self, mesh: str, name: str, public_key: str) -> Psk:
        """Makes the key where it is missing; returns it sealed to the other end's `public_key`.

        The seal is another one each time. Raises BindError, NodeError, OSError.
        """
        check_public_key(public_key)
        self.make(mesh, name)
        return self.seal(mesh, name, public_key)

    def seal(self, mesh: str, name: str, public_key: str) -> Psk:
        """The key that is there, sealed. Changes nothing. Raises NodeError where there is none."""
        check_public_key(public_key)
        secret = psk_seal.decoded(keys_file.read(self.path(mesh, name)))
        sealed, sender = psk_seal.seal(self.runner, secret, mesh, name, public_key)
        return Psk(name, sealed, sender)

    def open_sealed(self, mesh: str, psk: Psk, generation: int) -> bytes:
        """The key, sealed to this node's key of `generation`. Raises NodeError."""
        path = self.keys.path(mesh, generation)
        public = self.keys.public_key(mesh, generation)
        if public is None:
            raise NodeError(f"{path} is missing: the preshared key {psk.name} was sealed for it")
        private = keys_file.read(path)
        return psk_seal.unseal(self.runner, psk.sealed, psk.sender, mesh, psk.name, private, public)

    def matches(self, mesh: str, psk: Psk, generation: int) -> bool:
        """Whether the file holds what `install` would put there. Raises NodeError."""
        if not self.has(mesh, psk.name):
            return False
        if not psk.sealed:
            return True
        secret = psk_seal.encoded(self.open_sealed(mesh, psk, generation))
        return keys_file.read(self.path(mesh, psk.name)) == secret

    def mark(self, mesh: str, psk: Psk, generation: int = 0) -> str:
        """Of what the tunnel is to have, to compare with the live key: "" where that is not known.

        generation: of the key to open the seal with; 0: what the file holds is right
        """
        try:
            if generation and psk.sealed:
                return mark_of(psk_seal.encoded(self.open_sealed(mesh, psk, generation)))
            return mark_of(keys_file.read(self.path(mesh, psk.name))) if self.has(mesh, psk.name) else ""
        except NodeError:
            return ""  # Whoever needs the key says what is wrong.

    def install(self, mesh: str, psk: Psk, generation: int) -> bool:
        """Puts the key into its file; says whether that changed. Raises NodeError, OSError.

        One without a seal was made on this node and has to be there.
        """
        path = self.path(mesh, psk.name)
        if not psk.sealed:
            if keys_file.look(path) is None:
                raise NodeError(
                    f"{path} is missing: this node made the preshared key {psk.name} of mesh {mesh}; "
                    "re-key the link"
                )
            keys_file.read(path)
            return False
        secret = psk_seal.encoded(self.open_sealed(mesh, psk, generation))
        if self._held(path) == secret:
            return False
        keys_file.write(path, secret)
        return True

    def loose(self, mesh: str, name: str) -> str:
        """The mode by which others can reach the key ("0644"), "" if they cannot."""
        return keys_file.loose(self.path(mesh, name))

    def tighten(self, mesh: str, name: str) -> None:
        keys_file.tighten(self.path(mesh, name))

    def remove(self, mesh: str, name: str) -> None:
        """Nothing happens where there is none. Raises OSError."""
        files.remove(self.path(mesh, name))

    def _held(self, path: Path) -> Optional[str]:
        """None for no file and for one that is damaged, which is written again."""
        if keys_file.look(path) is None:
            return None
        try:
            return keys_file.read(path)
        except NodeError:
            return None


def mistakes(mesh: object, name: object) -> list[Problem]:
    """What is wrong with the names of a mesh and of a preshared key."""
    problems = mistakes_in_key(mesh, 1)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        problems.append(
            Problem("name", name, "up to 200 letters, digits and any of . _ + @ = , - that can name a file")
        )
    return problems


def check_public_key(public_key: object) -> None:
    """Raises BindError for what cannot be a WireGuard key."""
    if not isinstance(public_key, str) or not KEY.fullmatch(public_key):
        raise BindError([Problem("public_key", public_key, "44 characters of base64")])
