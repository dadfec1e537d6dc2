# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands do with a whole lab: up, stop, down, purge, reboot, status."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lab import images, keys, namespaces, network, nodes, podman, sets
from lab.errors import LabError
from lab.paths import LABS, LabPaths, cache_dir
from lab.shell import run, say
from lab.spec import Node, node_set

# Overlay storage cannot lie on these; memory can stand in.
_NO_OVERLAY = {"overlayfs", "nfs", "nfs4", "fuseblk", "fuse", "v9fs", "smb2"}
# More nodes at once only wait for each other, and each waits only so long for its boot.
_WORKERS = 5


@contextmanager
def locked() -> Iterator[None]:
    """One change to the labs of this checkout at a time."""
    LABS.mkdir(exist_ok=True)
    handle = os.open(LABS, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def up(paths: LabPaths, wanted: str | None = None) -> None:
    """Brings the lab up, or repairs it; after a failed start nothing of it remains.

    `wanted` names a set of nodes; without it the lab keeps its set, a new one has the default set.
    """
    with locked():
        running = namespaces.holder(paths) is not None
        chosen = sets.choose(paths, wanted, running)
        roots, simulator = _artifacts(node_set(chosen))
        if running and _repaired(paths, roots, simulator):
            return
        remove(paths)
        try:
            _prepare(paths, chosen)
            _make(_podman(paths), list(node_set(chosen)), roots, simulator)
        except BaseException:
            say(f"lab {paths.name}: cannot start, removing what there is of it")
            remove(paths)
            raise


def _repaired(paths: LabPaths, roots: dict[str, Path], simulator: Path) -> bool:
    """Makes broken nodes of a running lab again; False when only a new start can help."""
    try:
        broken = _unhealthy(paths, roots, simulator)
        if not broken:
            say(f"lab {paths.name} is already up: {', '.join(node.name for node in sets.nodes_of(paths))}")
            return True
        say(f"lab {paths.name}: making again {', '.join(node.name for node in broken)}")
        _make(_podman(paths), broken, roots, simulator)
    except LabError as error:
        say(f"lab {paths.name} is beyond repair and starts anew: {error}")
        return False
    return True


def _artifacts(wanted: Iterable[Node]) -> tuple[dict[str, Path], Path]:
    simulator = images.simulator_package()
    return images.roots(node.suite for node in wanted), simulator


def _prepare(paths: LabPaths, chosen: str) -> None:
    """State directory, set, keys, namespaces, storage."""
    for folder in (paths.state, paths.storage, paths.temporary):
        folder.mkdir(parents=True, exist_ok=True)
    paths.storage.chmod(0o700)
    paths.containers_conf.write_text(podman.configuration(paths, podman.limits()), encoding="utf-8")
    sets.remember(paths, chosen)
    keys.make(paths, node_set(chosen))
    holder = namespaces.start(paths)
    if run(["stat", "-f", "-c", "%T", str(paths.storage)]).strip() in _NO_OVERLAY:
        say("this checkout's file system cannot hold overlays: the nodes' storage is kept in memory")
        run([*namespaces.enter(holder), "mount", "-t", "tmpfs", "lab-storage", str(paths.storage)])


def _podman(paths: LabPaths) -> podman.Podman:
    holder = namespaces.holder(paths)
    if holder is None:
        raise LabError(f"lab {paths.name} is not up; start it by: python -m lab up --name {paths.name}")
    return podman.Podman(paths, holder)


def _make(engine: podman.Podman, wanted: list[Node], roots: dict[str, Path], simulator: Path) -> None:
    network.make_bridges(engine.holder, wanted)
    with ThreadPoolExecutor(max_workers=min(len(wanted), _WORKERS)) as pool:
        jobs = [pool.submit(nodes.make, engine, node, roots[node.suite], simulator) for node in wanted]
    for job in jobs:
        job.result()


def _unhealthy(paths: LabPaths, roots: dict[str, Path], simulator: Path) -> list[Node]:
    """The nodes that are missing, down, unreachable or older than their definition."""
    engine = _podman(paths)
    known = engine.containers()

    def healthy(node: Node) -> bool:
        entry = known.get(node.name, {})
        spec = nodes.spec_digest(node, roots[node.suite], simulator)
        current = entry.get("state") == "running" and entry.get("spec") == spec
        return current and nodes.greets(engine.holder, node)

    return [node for node in sets.nodes_of(paths) if not healthy(node)]


def remove(paths: LabPaths) -> None:
    """Ends the lab and deletes its state; the cache of root file systems stays."""
    namespaces.stop(paths)
    if paths.state.exists():
        shutil.rmtree(paths.state)


def stop(paths: LabPaths) -> None:
    """Removes the lab and all its state; root file systems stay cached for a quick next start."""
    with locked():
        existed = paths.state.exists()
        remove(paths)
        _forget_empty()
    say(f"lab {paths.name} is {'gone' if existed else 'not up'}")


def down(paths: LabPaths) -> None:
    """Removes the lab and the cache; other labs of the checkout run on."""
    stop(paths)
    _drop_cache()


def purge() -> None:
    """Removes every lab of this checkout and the cache."""
    for name in sorted(path.name for path in LABS.iterdir() if path.is_dir()) if LABS.exists() else []:
        stop(LabPaths(name))
    _drop_cache()


def _drop_cache() -> None:
    if cache_dir().exists():
        shutil.rmtree(cache_dir())
    say(f"cache removed: {cache_dir()}")


def _forget_empty() -> None:
    if LABS.exists() and not any(LABS.iterdir()):
        LABS.rmdir()


def reboot(paths: LabPaths, node: Node) -> None:
    """Restarts one node and waits for it."""
    with locked():
        nodes.reboot(_podman(paths), node)
    say(f"{node.name}: rebooted")


def crash(paths: LabPaths, node: Node) -> None:
    """Ends one node as a power failure does."""
    with locked():
        nodes.crash(_podman(paths), node)
    say(f"{node.name}: down")


def start(paths: LabPaths, node: Node) -> None:
    """Starts a node after a crash and waits for it."""
    with locked():
        nodes.start(_podman(paths), node)
    say(f"{node.name}: started")


def cut(paths: LabPaths, node: Node, silent: bool = False) -> None:
    """Cuts a node's underlay until `restore` or a restart of the node."""
    network.cut(_podman(paths).holder, node, silent)


def restore(paths: LabPaths, node: Node) -> None:
    """Ends what `cut` did."""
    network.restore(_podman(paths).holder, node)


def status(paths: LabPaths) -> tuple[bool, str]:
    """Whether all nodes run and answer, and a line per node."""
    if namespaces.holder(paths) is None:
        return False, f"lab {paths.name} is not up\n"
    engine = _podman(paths)
    known = engine.containers()
    healthy, lines = True, []
    for node in sets.nodes_of(paths):
        state = known.get(node.name, {}).get("state", "missing")
        answers = state == "running" and nodes.greets(engine.holder, node)
        healthy = healthy and answers
        reached = "ssh" if answers else "no ssh"
        boards = node.boards or "-"
        lines.append(f"{node.name:10} {node.address:14} {node.suite:9} {boards:12} {state:9} {reached}\n")
    return healthy, "".join(lines)


def execute_command(paths: LabPaths, node: Node, words: list[str], terminal: bool) -> list[str]:
    """The command line that runs `words` in the node as root."""
    flags = ["--interactive", "--tty"] if terminal else ["--interactive"]
    return _podman(paths).command("exec", *flags, node.name, *words)
