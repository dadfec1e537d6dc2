# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes a node, or some of its links, out of use without a lost packet, and back into it.

It is made deaf: what Babel sends to it is dropped. Neighbours notice that nobody hears them, and go
elsewhere, while it forwards as before. Then it waits until nothing comes any more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..core import files
from ..core.commands import Runner
from ..core.errors import BindError, LayerUnavailable, NodeError, Problem
from ..core.store import Store
from ..mesh.paths import share_path
from ..mesh.share import Share
from ..mesh.stored import stored_shares, unreadable_shares
from .babel_socket import INFINITY, read_tables
from .filter import PASSED, counted, deaf_rules, deaf_text, digest_of
from .paths import PORT, conf_path, deaf_table, drain_path, running_conf, socket_path
from .prepare import hear_again
from .render import hello_of, port_of
from .settings import Peer, Timers, peers
from .tables import Tables

STEP = 0.2
"""Seconds between two looks."""


@dataclass
class Drain:
    """What is asked for, of one mesh.

    only: peers by name or number; empty for the whole node
    timeout: s to wait at most; quiet: s without a packet that count as nothing
    required: it is taken back where that is not reached
    """

    mesh: str
    share: Share
    root: Path
    runner: Runner
    only: Sequence[str] = ()
    timeout: float = 30.0
    quiet: float = 1.0
    required: bool = True
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    changed: bool = field(default=False, init=False)
    before: Optional[str] = field(default=None, init=False)
    """What was drained before, in the words of `nft -f`."""

    def __post_init__(self) -> None:
        self.tables = Tables(self.runner)
        text = files.read_text(self._at(running_conf(self.mesh))) or files.read_text(
            self._at(conf_path(self.mesh))
        )
        self.port = port_of(text) or PORT
        self.patience = Timers(hello_of(text), 0).patience

    # -- looking

    def chosen(self) -> list[Peer]:
        """Raises BindError for a peer that is no neighbour."""
        near = peers(self.share)
        found = [peer for peer in near if {peer.name, str(peer.number)} & set(self.only)]
        known = {word for peer in near for word in (peer.name, str(peer.number))}
        wrong = [word for word in self.only if word not in known]
        if wrong:
            allowed = f"a neighbour of {self.share.member} in the mesh {self.mesh}: " + (
                ", ".join(peer.name for peer in near) or "it has none"
            )
            raise BindError([Problem("peers", word, allowed, target=self.mesh) for word in wrong])
        return found

    def check_timeout(self) -> None:
        """Raises BindError for one that ends before neighbours know, whether or not packets come."""
        least = self.patience + self.quiet
        if self.timeout < least:
            allowed = f"{least:g} s or more, by the timers of the mesh {self.mesh} and `quiet`"
            raise BindError([Problem("timeout", self.timeout, allowed, target=self.mesh)])

    def interfaces(self) -> list[str]:
        return [name for peer in self.chosen() for name in peer.interfaces]

    def is_so(self) -> bool:
        """Whether just this is drained already. Raises NodeError."""
        name = deaf_table(self.mesh)
        if name not in self.tables.names():
            return False
        wanted = deaf_rules(self.mesh, self.port, self.interfaces())
        return digest_of(self.tables.rules(name)) == digest_of(wanted)

    def is_drained(self) -> bool:
        """Whether anything of the mesh is. Raises NodeError."""
        return deaf_table(self.mesh) in self.tables.names()

    def passed(self) -> int:
        """Packets that came by since it is drained. Raises NodeError."""
        return counted(self.tables.listed(deaf_table(self.mesh))).get(PASSED, 0)

    def up(self) -> list[str]:
        """Peers whose tunnels the daemon counts as good; none where it does not answer."""
        try:
            tables = read_tables(str(self._at(socket_path(self.mesh))))
        except NodeError:
            return []
        good = {one.interface for one in tables.neighbours.values() if one.cost < INFINITY}
        return [peer.name for peer in peers(self.share) if good & set(peer.interfaces)]

    # -- doing

    def drain(self) -> None:
        """Raises NodeError, OSError; either it is drained then, or nothing has changed."""
        text = deaf_text(self.mesh, self.port, self.interfaces())
        self.before = files.read_text(self._at(drain_path(self.mesh)))
        files.write_whole(self._at(drain_path(self.mesh)), text)
        try:
            self.tables.load(text)
        except BaseException:
            self._put_back(self.before)
            raise
        self.changed = True

    def take_back(self) -> None:
        """What was drained before is drained again, and nothing else. Raises NodeError, OSError."""
        if self.before is None:
            hear_again(self.root, self.mesh, self.runner)
        else:
            self._put_back(self.before)
            self.tables.load(self.before)
        self.changed = False

    def undrain(self) -> None:
        """Raises NodeError, OSError."""
        hear_again(self.root, self.mesh, self.runner)
        self.changed = True

    def wait_until_quiet(self) -> dict[str, Any]:
        """What was seen: {quiet, waited_s, packets (since it is drained), packets_last_s}. Raises NodeError.

        At first neighbours do not know yet, so that silence means nothing.
        """
        start = self.clock()
        last = self.passed()
        silent = start
        seen = [(start, last)]
        while True:
            self.sleep(STEP)
            now, packets = self.clock(), self.passed()
            seen = [(at, count) for at, count in seen if now - at <= 1.0 + STEP / 2] + [(now, packets)]
            if packets != last:
                last, silent = packets, now
            quiet = now - silent >= self.quiet and now - start >= self.patience + self.quiet
            if quiet or now - start >= self.timeout:
                return {
                    "quiet": quiet,
                    "waited_s": round(now - start, 1),
                    "packets": packets,
                    "packets_last_s": packets - seen[0][1],
                }

    def wait_until_heard(self) -> dict[str, Any]:
        """What was seen once neighbours are back: {up, missing, waited_s}. Raises NodeError."""
        start = self.clock()
        wanted = {peer.name for peer in (self.chosen() or peers(self.share))}
        known, grown = self.up(), start
        while wanted - set(known) and self.clock() - start < self.timeout:
            # Who is off does not come back for this; the others do within some hellos.
            if self.clock() - grown > 2 * self.patience:
                break
            self.sleep(STEP)
            now = self.up()
            if set(now) - set(known):
                grown = self.clock()
            known = now
        missing = sorted(wanted - set(known))
        return {"up": sorted(known), "missing": missing, "waited_s": round(self.clock() - start, 1)}

    # -- inside

    def _put_back(self, text: Optional[str]) -> None:
        if text is None:
            files.remove(self._at(drain_path(self.mesh)))
        else:
            files.write_whole(self._at(drain_path(self.mesh)), text)

    def _at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def drains(
    root: Path, runner: Runner, mesh: Optional[str], if_any: bool = False, **options: Any
) -> list[Drain]:
    """One for each mesh that is meant: the one of that name, or all that have routing on this node.

    if_any: a node without is no mistake. Raises BindError, LayerUnavailable.
    """
    shares = stored_shares(root)
    with_routing = [name for name in shares if _has_routing(root, name)]
    for name in unreadable_shares(root):
        if mesh in (None, name) and _has_routing(root, name):
            raise LayerUnavailable(
                f"mesh {name}: it has a routing daemon, but {share_path(name)} cannot be read, so its "
                "links are not known: swarm.node.mesh_apply writes it anew"
            )
    if if_any and (not with_routing or (mesh is not None and mesh not in with_routing)):
        return []
    if mesh is not None and mesh not in with_routing:
        allowed = f"a mesh of this node with a routing daemon: {', '.join(with_routing) or 'there is none'}"
        raise BindError([Problem("mesh", mesh, allowed)])
    if not with_routing:
        raise LayerUnavailable("no mesh of this node has a routing daemon of this collection")
    found = [
        Drain(name, shares[name], root, runner, **options) for name in with_routing if mesh in (None, name)
    ]
    for one in found:
        one.chosen()  # Of all meshes, before any of them is changed.
    return found


def _has_routing(root: Path, mesh: str) -> bool:
    return (root / conf_path(mesh).lstrip("/")).exists()


def run_all(
    wanted: Sequence[Drain], drained: bool, store: Store, check: bool, told: list[dict[str, Any]]
) -> None:
    """One after the other; `told` gets what was seen. Raises BindError, NodeError, OSError.

    Where one fails, what this run has drained before is taken back, unless it was forced; what cannot be
    stays `changed`.
    """
    for one in wanted if drained else ():
        one.check_timeout()
    try:
        for one in wanted:
            told.append((run_drain if drained else run_undrain)(one, store, check))
    except BaseException:
        for one in wanted:
            if drained and not check and one.changed and one.required:
                with contextlib.suppress(NodeError, OSError), store.lock():
                    one.take_back()
        raise


def run_drain(one: Drain, store: Store, check: bool) -> dict[str, Any]:
    """Drains, and waits. Raises NodeError where it was taken back, with what was seen."""
    result: dict[str, Any] = {"mesh": one.mesh, "interfaces": one.interfaces(), "up_before": one.up()}
    if one.is_so():
        return {**result, **(one.wait_until_quiet() if not check else {})}
    if not one.up() and not one.is_drained():
        raise NodeError(
            f"mesh {one.mesh}: its routing daemon does not run, or no neighbour hears it: nobody would leave"
        )
    if check:
        one.changed = True
        return result
    with store.lock():
        one.drain()
    try:
        seen = one.wait_until_quiet()
        if not seen["quiet"] and one.required:
            raise NodeError(
                f"mesh {one.mesh}: after {seen['waited_s']} s packets still come this way "
                f"({seen['packets_last_s']} in the last second), as others have no other way, or no routing "
                "daemon; the drain was taken back"
            )
    except BaseException:
        if one.required:
            with store.lock():
                one.take_back()
        raise
    return {**result, **seen}


def run_undrain(one: Drain, store: Store, check: bool) -> dict[str, Any]:
    """Ends a drain of the mesh, whatever was drained, and waits until neighbours are heard."""
    result: dict[str, Any] = {"mesh": one.mesh}
    if not one.is_drained() and not (one.root / drain_path(one.mesh).lstrip("/")).exists():
        return {**result, "up": one.up()}
    one.changed = True
    if check:
        return result
    with store.lock():
        one.undrain()
    return {**result, **one.wait_until_heard()}
