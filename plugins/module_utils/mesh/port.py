# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code of the tunnels' part that changes anything: files, systemctl, wg, ip, sysctls, keys."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core import files
from ..core.commands import Runner, must
from ..core.errors import NodeError
from ..core.managed_files import FILE, FilePort
from ..core.model import Change
from . import keys_file
from .kernel import Kernel
from .keys import KeyStore
from .paths import HOME, mesh_dir
from .peer_plan import PEER
from .peers import live_peer, peer_words, resolved, undo_words
from .psk import PskStore
from .routing import ROUTES, deletion, live_value
from .share import Psk
from .state import inside
from .sysctls import FORWARDING
from .tunnel import ADDRESS, DOWN, KEY, MTU, PORT, PSK, TUNNEL, UNIT, UP
from .units_port import TunnelUnits
from .wg import mark_of


class MeshPort:
    """Works below `root`; the kernel and systemd are reached by `runner`."""

    def __init__(self, root: Path, state_dir: str, runner: Runner, kernel: Kernel) -> None:
        self.root = root
        self.runner = runner
        self.kernel = kernel
        self.files = FilePort(root, state_dir)
        self.units = TunnelUnits(root, runner, kernel)
        self.keys = KeyStore(root, runner)
        self.psks = PskStore(root, runner)
        self._writes = 0
        self._do: dict[str, Callable[[Change, bool], None]] = {
            FILE: self._file,
            TUNNEL: self._tunnel,
            UNIT: self._unit,
            PEER: self._peer,
            KEY: self._key,
            PORT: self._listen_port,
            MTU: self._mtu,
            ADDRESS: self._address,
            ROUTES: self._routes,
            FORWARDING: self._sysctl,
            PSK: self._psk,
        }

    @property
    def writes(self) -> int:
        return self.files.writes + self.units.writes + self._writes

    # -- contract.Port

    def apply(self, change: Change) -> None:
        """Raises NodeError, OSError."""
        do = self._remove_secret if "secret" in change.data else self._do[change.key]
        do(change, True)
        self.kernel.forget()

    def undo(self, change: Change) -> None:
        if "secret" in change.data:
            if not self._has_secret(change):
                raise NodeError(f"{change.target}: the key is removed, and it is nowhere else")
            return
        try:
            self._do[change.key](change, False)
        finally:
            self.kernel.forget()

    def reopen(self) -> None:
        self.kernel.forget()
        self.units.forget()

    def readback(self, change: Change) -> Any:
        """Raises NodeError, OSError."""
        name = change.target
        if change.key == FILE:
            return self.files.readback(change)
        if change.key == UNIT:
            return self._at(change.data["link"]).is_symlink()
        if change.key == FORWARDING:
            return (files.read_text(self._sysctl_at(change.data["path"])) or "").strip()
        if "secret" in change.data:
            return change.before if self._has_secret(change) else None
        if change.key == PSK:
            psk = change.data["psk"]["name"]
            return change.after if self.psks.has(change.data["mesh"], psk) else None
        if change.key == ROUTES:
            return self._live_routes(change)
        if change.key == TUNNEL:
            return self._live_tunnel(change)
        return self._live_setting(change, name)

    # -- one kind of change each; `forth` is False where it is undone

    def _file(self, change: Change, forth: bool) -> None:
        (self.files.apply if forth else self.files.undo)(change)
        self._tidy(change.target)

    def _tunnel(self, change: Change, forth: bool) -> None:
        how, wanted = change.data["how"], change.after if forth else change.before
        if how == "link":
            self._ip("link", "set", "dev", change.target, "up" if wanted == UP else "down")
        elif wanted == UP:
            self.units.start(change.data["group"], how == "restart", change.data.get("linked", True))
        elif change.after == UP:
            # What did not work before does not have to be broken again, but what was not there goes.
            self.units.stop(change.data["group"], change.before is None)
        else:
            self.units.stop(change.data["group"], wanted is None)

    def _unit(self, change: Change, forth: bool) -> None:
        self.units.link(change.target, change.after if forth else change.before)

    def _peer(self, change: Change, forth: bool) -> None:
        words = peer_words(change) if forth else undo_words(change, self.kernel.devices())
        self._wg(change.target, *resolved(words))

    def _key(self, change: Change, forth: bool) -> None:
        generation = change.after if forth else change.before
        path = change.data["paths"][str(generation)] if generation is not None else "/dev/null"
        self._wg(change.target, "private-key", path)

    def _listen_port(self, change: Change, forth: bool) -> None:
        self._wg(change.target, "listen-port", str(change.after if forth else change.before))

    def _mtu(self, change: Change, forth: bool) -> None:
        self._ip("link", "set", "dev", change.target, "mtu", str(change.after if forth else change.before))

    def _address(self, change: Change, forth: bool) -> None:
        new, old = (change.after, change.before) if forth else (change.before, change.after)
        lines = [f"address replace {one} dev {change.target}" for one in new if one not in old]
        lines += [f"address del {one} dev {change.target}" for one in old if one not in new]
        self._batch(lines)

    def _routes(self, change: Change, forth: bool) -> None:
        lines = change.data["do" if forth else "undo"]
        if not lines:
            return
        # A route may be gone already, with its tunnel or with the address that was its source.
        gone = [line for line in lines if line.startswith("route del ")]
        rest = [line for line in lines if line not in gone]
        if rest:
            self._batch(rest, force=not forth)
        if gone:
            self._batch(gone, force=True)
            self.kernel.forget()
            there = {deletion(route) for route in self.kernel.routes() if route.ours}
            left = [line for line in gone if line in there]
            if left and forth:
                raise NodeError(f"ip -batch: it did not do {'; '.join(left[:3])}")

    def _sysctl(self, change: Change, forth: bool) -> None:
        self._set_sysctl(change.data["path"], change.after if forth else change.before)
        if not forth:
            for path, value in change.data.get("others", {}).items():
                self._set_sysctl(path, value)

    def _psk(self, change: Change, forth: bool) -> None:
        mesh, psk = change.data["mesh"], Psk(**change.data["psk"])
        if forth:
            self.psks.install(mesh, psk, change.data["generation"])
        else:
            self.psks.remove(mesh, psk.name)
        self._writes += 1

    # -- live values

    def _live_tunnel(self, change: Change) -> Any:
        link = self.kernel.links().get(change.target)
        if change.data["how"] == "link":
            return UP if link is not None and link.up else DOWN
        if link is not None:
            return UP
        return None if None in (change.before, change.after) else DOWN

    def _live_routes(self, change: Change) -> Any:
        known = change.data.get("aggregates")
        if known is None:
            return live_value(change.target, self.kernel.routes(), change.data["sources"])
        return sorted(
            r.destination for r in self.kernel.routes() if r.is_aggregate and r.destination in known
        )

    def _live_setting(self, change: Change, name: str) -> Any:
        """What `ip` and `wg` say of a tunnel that is up."""
        link = self.kernel.links().get(name)
        if change.key == MTU:
            return link.mtu if link else None
        if change.key == ADDRESS:
            known = {*change.before, *change.after}
            return sorted(
                one
                for one in (link.addresses if link else ())
                if one in known or inside(one, change.data["prefixes"])
            )
        device = self.kernel.devices().get(name)
        if device is None:
            return None
        if change.key == PORT:
            return device.listen_port
        if change.key == KEY:
            public: Mapping[str, str] = change.data["public"]
            return next((int(n) for n, key in public.items() if key == device.public_key), None)
        return live_peer(change, device, self._psk_mark)

    # -- inside

    def _psk_mark(self, path: str) -> str:
        try:
            return mark_of(keys_file.read(self._at(path)))
        except NodeError:
            return ""

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _sysctl_at(self, path: str) -> Path:
        return self.root / "proc/sys" / path

    def _set_sysctl(self, path: str, value: str) -> None:
        """Raises OSError that names the file."""
        self._writes += 1
        self._sysctl_at(path).write_text(f"{value}\n", encoding="ascii")

    def _wg(self, interface: str, *words: str) -> None:
        self._writes += 1
        must(self.runner, ["wg", "set", interface, *words])

    def _ip(self, *words: str) -> None:
        self._writes += 1
        must(self.runner, ["ip", *words])

    def _batch(self, lines: list[str], force: bool = False) -> None:
        self._writes += 1
        text = "".join(f"{line}\n" for line in lines)
        argv = ["ip", *(["-force"] if force else []), "-batch", "-"]
        done = self.runner(argv, text)
        if not done.good and not force:
            raise NodeError(f"ip -batch of {len(lines)} lines ({'; '.join(lines[:3])}…): {done.complaint}")

    def _remove_secret(self, change: Change, forth: bool) -> None:
        mesh, name = change.data["mesh"], change.data["secret"]
        if change.key == KEY:
            self.keys.remove(mesh, int(name))
        else:
            self.psks.remove(mesh, name)
        self._writes += 1
        self._tidy(f"{mesh_dir(mesh)}/{'keys' if change.key == KEY else 'psk'}/any")

    def _has_secret(self, change: Change) -> bool:
        mesh, name = change.data["mesh"], change.data["secret"]
        if change.key == KEY:
            return int(name) in self.keys.generations(mesh)
        return self.psks.has(mesh, name)

    def _tidy(self, path: str) -> None:
        """Our own directories go with the last file in them."""
        if not path.startswith(f"{HOME}/") or self._at(path).is_file():
            return
        directory = self._at(path).parent
        while directory != self._at(HOME).parent.parent:
            with contextlib.suppress(FileNotFoundError):
                try:
                    directory.rmdir()
                except OSError:
                    return
            directory = directory.parent
