# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands do with a lab of virtual machines; stop, down and purge are those of every lab."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from lab import keys, namespaces, network, sets
from lab.core import locked, remove
from lab.errors import LabError
from lab.namespaces import Process
from lab.paths import LabPaths
from lab.shell import say
from lab.spec import Node, node_set
from lab.vm import accelerator, guests, images
from lab.vm.accelerator import Accelerator
from lab.vm.images import Parts
from lab.vm.qemu import GuestPaths

STATUS_SECONDS = 20


@contextmanager
def exclusive(paths: LabPaths) -> Iterator[None]:
    """One change to the guests of this lab at a time; no other lab has to wait for a slow boot."""
    try:
        handle = os.open(paths.state, os.O_RDONLY)
    except FileNotFoundError:
        raise _not_up(paths) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def up(paths: LabPaths, wanted: str | None = None) -> None:
    """Brings the lab up, or repairs it; after a failed start nothing of it remains."""
    images.check_tools()
    with locked():
        running = namespaces.holder(paths)
        chosen = sets.choose(paths, wanted, running is not None)
    nodes = node_set(chosen)
    parts = images.parts(node.suite for node in nodes)
    speed = accelerator.find(parts[nodes[0].suite].kernel)
    try:
        _complete(paths, running or _anew(paths, chosen), nodes, parts, speed)
    except LabError as error:
        if running is None:
            _give_up(paths)
            raise
        say(f"lab {paths.name} is beyond repair and starts anew: {error}")
    except BaseException:
        _give_up(paths)
        raise
    else:
        return
    try:
        _complete(paths, _anew(paths, chosen), nodes, parts, speed)
    except BaseException:
        _give_up(paths)
        raise


def _give_up(paths: LabPaths) -> None:
    say(f"lab {paths.name}: cannot start, removing what there is of it")
    with locked():
        remove(paths)


def _anew(paths: LabPaths, chosen: str) -> Process:
    """An empty lab instead of what there was."""
    with locked():
        remove(paths)
        return _prepare(paths, chosen)


def _complete(
    paths: LabPaths, holder: Process, nodes: Collection[Node], parts: dict[str, Parts], speed: Accelerator
) -> None:
    """Makes the guests that are missing, down, unreachable or older than their definition."""

    def healthy(node: Node) -> bool:
        files = GuestPaths.of(paths, node)
        current = _current(files, parts[node.suite], speed)
        return current and guests.answers(holder, files, guests.LOGIN_SECONDS)

    with exclusive(paths):
        broken = [node for node in nodes if not healthy(node)]
        if broken:
            _make(paths, holder, broken, nodes, parts, speed)
        else:
            say(f"lab {paths.name} is already up: {', '.join(node.name for node in nodes)}")


def _prepare(paths: LabPaths, chosen: str) -> Process:
    """State directory, set, keys, namespaces."""
    paths.state.mkdir(parents=True, exist_ok=True)
    sets.remember(paths, chosen)
    keys.make(paths, node_set(chosen))
    return namespaces.start(paths)


def _make(
    paths: LabPaths,
    holder: Process,
    wanted: Collection[Node],
    nodes: Collection[Node],
    parts: dict[str, Parts],
    speed: Accelerator,
) -> None:
    """Makes the wanted ones of the lab's guests."""
    how = "KVM" if speed.kvm else f"translation, as {speed.why}"
    say(f"lab {paths.name}: starting {', '.join(node.name for node in wanted)} ({how})")
    network.make_bridges(holder, nodes)

    def make(node: Node) -> None:
        guests.make(paths, holder, node, nodes, parts[node.suite], speed)
        say(f"{node.name}: up ({node.suite}, {node.user}@{node.login}, underlay {node.address})")

    _side_by_side(wanted, make)


def _side_by_side(nodes: Collection[Node], do: Callable[[Node], None]) -> None:
    """As many at once as there are processors: more only wait for each other, and their units time out."""
    pool = ThreadPoolExecutor(max_workers=min(len(nodes), os.cpu_count() or 1))
    try:
        for job in as_completed([pool.submit(do, node) for node in nodes]):
            job.result()
    except BaseException:
        # The first failure decides; what still waits for a guest ends when the lab does.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _current(files: GuestPaths, parts: Parts, speed: Accelerator) -> bool:
    """Whether the guest is what would be made now."""
    try:
        return files.command.read_text(encoding="utf-8") == guests.recipe(files, parts, speed)
    except FileNotFoundError:
        return False


def _not_up(paths: LabPaths) -> LabError:
    start_it = f"python -m lab up --name {paths.name} --set vm"
    return LabError(f"lab {paths.name} is not up; start it by: {start_it}")


def _holder(paths: LabPaths) -> Process:
    holder = namespaces.holder(paths)
    if holder is None:
        raise _not_up(paths)
    return holder


def reboot(paths: LabPaths, node: Node) -> None:
    """Restarts one guest and waits for it."""
    with exclusive(paths):
        guests.reboot(paths, _holder(paths), node)
    say(f"{node.name}: rebooted")


def crash(paths: LabPaths, node: Node) -> None:
    """Ends one guest as a power failure does."""
    with exclusive(paths):
        guests.end(_holder(paths), GuestPaths.of(paths, node))
    say(f"{node.name}: down")


def start(paths: LabPaths, node: Node) -> None:
    """Starts a guest after a crash and waits for it."""
    with exclusive(paths):
        guests.start(paths, _holder(paths), node)
    say(f"{node.name}: started")


def status(paths: LabPaths) -> tuple[bool, str]:
    """Whether all guests run and answer, and a line per guest."""
    holder = namespaces.holder(paths)
    if holder is None:
        return False, f"lab {paths.name} is not up\n"
    healthy, lines = True, []
    for node in sets.nodes_of(paths):
        files = GuestPaths.of(paths, node)
        running = guests.alive(holder, files)
        answers = running and guests.answers(holder, files, STATUS_SECONDS)
        healthy = healthy and answers
        state = "running  ssh" if answers else "running  no ssh" if running else "down     no ssh"
        lines.append(f"{node.name:10} {node.login:14} {node.suite:9} {node.address:14} {state}\n")
    return healthy, "".join(lines)


def execute_command(paths: LabPaths, node: Node, words: list[str], terminal: bool) -> list[str]:
    """The command line that runs `words` in the guest as root."""
    _holder(paths)
    return guests.as_root(paths, node, guests.shell_words(words), "-t" if terminal else "-T")
