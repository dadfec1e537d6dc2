# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one node: made, started, set up, restarted, checked."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterable
from pathlib import Path

from lab import keys, network, sets
from lab.errors import LabError
from lab.images import digest
from lab.namespaces import Process, enter
from lab.paths import LabPaths
from lab.podman import TUN, Podman, run_options
from lab.shell import run, say
from lab.spec import BRIDGE_ADDRESS, DRIVER_VERSION, Node

BOOT_SECONDS = 60
SETUP = "/usr/local/lib/swarm-lab/setup"
PACKAGE = "var/lib/swarm-lab/libnvidia-ml1.deb"


def spec_digest(node: Node, root: Path, simulator: Path) -> str:
    """Changes whenever a running node would differ from one made now."""
    return digest(text.encode() for text in (repr(node), root.name, simulator.name, DRIVER_VERSION))


def node_files(paths: LabPaths, node: Node, simulator: Path) -> dict[str, tuple[int, bytes]]:
    """path below the node's root → (mode, content) of what differs from node to node."""
    private = keys.host_key(paths, node)
    authorized = paths.key.with_suffix(".pub").read_bytes()
    home = "root" if node.user == "root" else f"home/{node.user}"
    files = {
        "etc/hosts": (0o644, hosts_file(node, sets.nodes_of(paths)).encode()),
        "etc/hostname": (0o644, f"{node.name}\n".encode()),
        "etc/ssh/ssh_host_ed25519_key": (0o600, private.read_bytes()),
        "etc/ssh/ssh_host_ed25519_key.pub": (0o644, private.with_suffix(".pub").read_bytes()),
        f"{home}/.ssh/authorized_keys": (0o600, authorized),
    }
    if node.boards:
        files["etc/swarm-lab/gpu"] = (0o644, f"{node.boards}\n".encode())
        files[PACKAGE] = (0o644, simulator.read_bytes())
    return files


def hosts_file(owner: Node, nodes: Iterable[Node]) -> str:
    """/etc/hosts of a node: itself, and all that can be reached from outside."""
    names = [("127.0.0.1", "localhost"), ("::1", "localhost ip6-localhost"), (BRIDGE_ADDRESS, "lab")]
    names += [(node.address, node.name) for node in nodes if node == owner or node.router is None]
    return "".join(f"{address} {name}\n" for address, name in names)


def archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """The files as an uncompressed tar, owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (mode, content) in files.items():
            info = tarfile.TarInfo(name)
            info.mode, info.size, info.mtime = mode, len(content), int(time.time())
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def make(podman: Podman, node: Node, root: Path, simulator: Path) -> None:
    """Makes the node from its image and waits until it is set up."""
    podman.call("rm", "--force", "--ignore", "--time=1", node.name)
    network.make_router(podman.holder, node)
    network.make_namespace(podman.holder, node)
    image = podman.import_root(root)
    spec = spec_digest(node, root, simulator)
    podman.call("create", *run_options(podman.paths, node, spec, TUN.exists()), image)
    podman.call("cp", "-", f"{node.name}:/", data=archive(node_files(podman.paths, node, simulator)))
    podman.call("start", node.name)
    wait_booted(podman, node)
    podman.execute(node, "sh", "-c", ownership(node))
    podman.execute(node, SETUP, *([node.boards, DRIVER_VERSION] if node.boards else []))
    wait_ssh(podman, node)
    say(f"{node.name}: up ({node.suite}, {node.boards or 'no GPU'}, {node.user}@{node.login})")


def ownership(node: Node) -> str:
    """sshd ignores keys below a directory that is not the user's own."""
    home = "/root" if node.user == "root" else f"/home/{node.user}"
    return f"chown -R {node.user}: {home}/.ssh && chmod 0700 {home}/.ssh"


def reboot(podman: Podman, node: Node) -> None:
    """Restarts the node: what is volatile is lost, its file system stays."""
    podman.call("stop", "--ignore", node.name)
    start(podman, node)


def crash(podman: Podman, node: Node) -> None:
    """Ends the node at once, as a power failure does; its addresses are gone, its file system stays."""
    podman.call("kill", node.name)
    network.remove_namespace(podman.holder, node)


def start(podman: Podman, node: Node) -> None:
    """Starts a node that is down and waits for it."""
    network.make_namespace(podman.holder, node)
    podman.call("start", node.name)
    wait_booted(podman, node)
    wait_ssh(podman, node)


def wait_booted(podman: Podman, node: Node) -> None:
    """Waits for systemd to finish the boot; LabError names the units that failed."""
    deadline = time.monotonic() + BOOT_SECONDS
    state = ""
    while time.monotonic() < deadline:
        # `|| true`: the command returns nonzero for every state but "running".
        command = "systemctl is-system-running --wait 2>/dev/null || true"
        try:
            state = podman.execute(node, "sh", "-c", command, timeout=BOOT_SECONDS).strip()
        except LabError as error:
            state = str(error)
        if state == "running":
            return
        if state == "degraded":
            report = podman.execute(
                node, "sh", "-c", "systemctl --failed --no-legend --plain; journalctl --no-pager -p err -n 20"
            )
            raise LabError(f"{node.name}: units failed at boot\n{report}")
        time.sleep(0.1)
    raise LabError(f"{node.name}: not booted after {BOOT_SECONDS} s; last state: {state or 'none'}")


def wait_ssh(podman: Podman, node: Node) -> None:
    """Waits until the node's sshd greets."""
    deadline = time.monotonic() + BOOT_SECONDS
    while not greets(podman.holder, node):
        if time.monotonic() > deadline:
            raise LabError(f"{node.name}: sshd does not answer on {node.login} port 22")
        time.sleep(0.1)


def greets(holder: Process, node: Node, patience: float = 2) -> bool:
    """Whether an ssh server answers at the node's login address, within `patience` s."""
    script = 'exec 3<>"/dev/tcp/$1/22" && read -r banner <&3 && [ "${banner#SSH-}" != "$banner" ]'
    line = [*enter(holder), "timeout", f"{patience:g}", "bash", "-c", script, "bash", node.login]
    try:
        run(line, timeout=patience + 10)
    except LabError:
        return False
    return True
