# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads all the mesh layer has to know of a node, in as few processes as it takes. Changes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

from ..core import files
from ..core.commands import SEARCH, Runner
from ..core.errors import NodeError
from .forwarding import ALL, DROPIN
from .kernel import Kernel
from .keys import KeyStore
from .parse import parse_active, parse_ports
from .paths import HOME, WIREGUARD, conf_path, quick_unit, routes_path, share_path
from .psk import PskStore
from .refresh import has_name, meanings
from .render import Shown, parse_conf
from .routing import LAST
from .share import INTERFACE, Psk, Share
from .state import MeshState
from .stored import directories, stored_shares
from .sysctls import DEFAULT_FORWARDING
from .tunnel import unit_link

PROGRAMS = ("wg", "wg-quick", "ip", "systemctl")
PACKAGE = "wireguard-tools (and, where the kernel has no WireGuard, wireguard-go)"


class Reader:
    """root: where /etc, /proc and /sys are ("/" but in tests)"""

    def __init__(self, root: Path, runner: Runner, kernel: Kernel) -> None:
        self.root = root
        self.runner = runner
        self.kernel = kernel
        self.keys = KeyStore(root, runner)
        self.psks = PskStore(root, runner)

    def read(self, shares: Mapping[str, Share], armed: str) -> MeshState:
        """Raises NodeError, OSError."""
        stored = stored_shares(self.root)
        texts = self._files(shares, stored)
        interfaces = self._interfaces(shares, stored, texts)
        ports, holders = self._ports(shares, interfaces)
        psks = self._psks(shares, stored)
        return MeshState(
            stored=stored,
            links=self.kernel.links(),
            routes=self.kernel.routes(),
            devices=self.kernel.devices(),
            files=texts,
            links_on={quick_unit(name): self._at(unit_link(name)).is_symlink() for name in interfaces},
            active=self._active(interfaces),
            ports=ports,
            holders=holders,
            public_keys=self._public_keys(shares),
            generations={mesh: tuple(self.keys.generations(mesh)) for mesh in self._meshes(shares, stored)},
            psks=psks,
            psk_marks=self._psk_marks(shares, psks),
            sysctls=self._sysctls(shares),
            ipv6=self._has_ipv6(),
            missing=self.missing(),
            time=time.time(),
            armed=armed,
            named=self._named(shares, texts),
        )

    def missing(self) -> tuple[str, ...]:
        """Programs that are not there."""
        found = [name for name in PROGRAMS if not self._has(name)]
        if not found and not self._has_wireguard():
            found.append("wireguard-go (this kernel has no WireGuard)")
        return tuple(found)

    # -- inside

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _meshes(self, shares: Mapping[str, Share], stored: Mapping[str, Share]) -> list[str]:
        return sorted({*shares, *stored, *directories(self.root)})

    def _files(self, shares: Mapping[str, Share], stored: Mapping[str, Share]) -> dict[str, Optional[str]]:
        paths = {DROPIN}
        for share in [*shares.values(), *stored.values()]:
            paths |= {share_path(share.mesh), routes_path(share.mesh, LAST)}
            for tunnel in share.tunnels:
                paths |= {conf_path(tunnel.interface), routes_path(share.mesh, tunnel.interface)}
        for mesh in directories(self.root):
            paths |= {f"{HOME}/{mesh}/{path.name}" for path in self._at(f"{HOME}/{mesh}").glob("*.routes")}
            paths.add(share_path(mesh))
        for path in self._at(WIREGUARD).glob("*.conf"):
            if INTERFACE.fullmatch(path.stem):
                paths.add(conf_path(path.stem))
        found = {path: files.read_text(self._at(path)) for path in sorted(paths)}
        return {
            path: Shown(text) if text is not None and path.startswith(f"{WIREGUARD}/") else text
            for path, text in found.items()
        }

    def _interfaces(
        self, shares: Mapping[str, Share], stored: Mapping[str, Share], texts: Mapping[str, Optional[str]]
    ) -> list[str]:
        found = {t.interface for share in [*shares.values(), *stored.values()] for t in share.tunnels}
        for path, text in texts.items():
            if text is not None and path.startswith(f"{WIREGUARD}/"):
                found.add(Path(path).stem)
        return sorted(found)

    def _active(self, interfaces: Iterable[str]) -> dict[str, str]:
        """Nothing where systemd does not answer: applying says so, if it needs it."""
        units = [quick_unit(name) for name in interfaces]
        if not units:
            return {}
        done = self.runner(["systemctl", "show", "--property=Id,ActiveState", *units])
        return parse_active(done.out) if done.good else {}

    def _ports(
        self, shares: Mapping[str, Share], interfaces: Iterable[str]
    ) -> tuple[frozenset[int], dict[int, str]]:
        """Ports that are taken; who has those that a share needs and no tunnel of ours has."""
        tables = [files.read_text(self._at(f"/proc/net/{name}")) or "" for name in ("udp", "udp6")]
        found = parse_ports(*tables)
        ours = set(interfaces)
        held = {device.listen_port for name, device in self.kernel.devices().items() if name in ours}
        needed = {tunnel.listen_port for share in shares.values() for tunnel in share.tunnels}
        wanted = {port: found[port] for port in needed if port in found and port not in held}
        return frozenset(found), self._holders(wanted)

    def _holders(self, wanted: Mapping[int, set[str]]) -> dict[int, str]:
        """Port → `name (process 123)`. Looks through /proc, so only where a port is taken."""
        found: dict[int, str] = {}
        sockets = {f"socket:[{inode}]": port for port, inodes in wanted.items() for inode in inodes}
        if not sockets:
            return found
        for process in self._at("/proc").glob("[0-9]*"):
            try:
                for handle in (process / "fd").iterdir():
                    port = sockets.get(os.readlink(handle))  # noqa: PTH115
                    if port is not None:
                        name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                        found.setdefault(port, f"{name} (process {process.name})")
            except OSError:
                continue
        return found

    def _named(
        self, shares: Mapping[str, Share], texts: Mapping[str, Optional[str]]
    ) -> dict[str, tuple[str, ...]]:
        """Of endpoints that became names since, or were none at boot: what they mean.

        Nobody is asked where nothing changes.
        """
        found: dict[str, tuple[str, ...]] = {}
        for tunnel in (tunnel for share in shares.values() for tunnel in share.tunnels):
            device = self.kernel.devices().get(tunnel.interface)
            live = device.peers.get(tunnel.public_key) if device else None
            if live and has_name(tunnel.endpoint) and tunnel.endpoint not in found:
                written = parse_conf(texts.get(conf_path(tunnel.interface)))
                if not live.endpoint or written.endpoint != tunnel.endpoint:
                    found[tunnel.endpoint] = meanings(tunnel.endpoint)
        return found

    def _public_keys(self, shares: Mapping[str, Share]) -> dict[tuple[str, int], str]:
        found = {}
        for share in shares.values():
            for generation in share.keys:
                public = self.keys.public_key(share.mesh, generation) if self._has("wg") else None
                if public:
                    found[share.mesh, generation] = public
        return found

    def _psks(self, shares: Mapping[str, Share], stored: Mapping[str, Share]) -> dict[tuple[str, str], bool]:
        """Files that are there → whether they are what the share sealed. A seal that is new is opened."""
        found = {
            (mesh, name): True for mesh in self._meshes(shares, stored) for name in self.psks.names(mesh)
        }
        for share in shares.values():
            before = {t.psk for s in stored.values() if s.mesh == share.mesh for t in s.tunnels}
            for tunnel in share.tunnels:
                psk = tunnel.psk
                if psk and psk.sealed and (share.mesh, psk.name) in found and psk not in before:
                    found[share.mesh, psk.name] = self._matches(share.mesh, psk, tunnel.generation)
        return found

    def _psk_marks(
        self, shares: Mapping[str, Share], psks: Mapping[tuple[str, str], bool]
    ) -> dict[tuple[str, str], str]:
        """No process but for a seal whose key is not in its file yet."""
        found = {}
        for share in shares.values():
            for tunnel in share.tunnels:
                if tunnel.psk:
                    name = (share.mesh, tunnel.psk.name)
                    new = tunnel.generation if psks.get(name) is False else 0
                    found[name] = self.psks.mark(share.mesh, tunnel.psk, new)
        return {name: mark for name, mark in found.items() if mark}

    def _matches(self, mesh: str, psk: Psk, generation: int) -> bool:
        try:
            return self.psks.matches(mesh, psk, generation)
        except NodeError:
            return False  # Installing it says what is wrong.

    def _sysctls(self, shares: Mapping[str, Share]) -> dict[str, str]:
        """Of tunnels, and those that forwarding of IPv6 is made of."""
        base = self._at("/proc/sys")
        found = {}
        for share in shares.values():
            for tunnel in share.tunnels:
                for name in ("rp_filter", "forwarding"):
                    found[f"net/ipv4/conf/{tunnel.interface}/{name}"] = ""
        try:
            names = sorted(path.name for path in (base / "net/ipv6/conf").iterdir())
        except OSError:
            names = []
        for name in names:
            found[f"net/ipv6/conf/{name}/accept_ra"] = ""
            found[f"net/ipv6/conf/{name}/forwarding"] = ""
        found.update({ALL: "", DEFAULT_FORWARDING: ""})
        values = {path: files.read_text(base / path) for path in found}
        return {path: value.strip() for path, value in values.items() if value is not None}

    def _has_ipv6(self) -> bool:
        """Whether new interfaces get IPv6 addresses."""
        base = self._at("/proc/sys/net/ipv6/conf")
        found = [files.read_text(base / name / "disable_ipv6") for name in ("all", "default")]
        return all(text is not None and text.strip() == "0" for text in found)

    def _has(self, program: str) -> bool:
        return any(os.access(self._at(f"{directory}/{program}"), os.X_OK) for directory in SEARCH.split(":"))

    def _has_wireguard(self) -> bool:
        """The kernel's, or wireguard-go. Where the kernel's cannot be seen, wg-quick finds out."""
        if self._has("wireguard-go") or self._at("/sys/module/wireguard").exists():
            return True
        release = (files.read_text(self._at("/proc/sys/kernel/osrelease")) or "").strip()
        text = ""
        for name in ("modules.dep", "modules.builtin"):
            text += files.read_text(self._at(f"/lib/modules/{release}/{name}")) or ""
        return not text or "/wireguard.ko" in text
