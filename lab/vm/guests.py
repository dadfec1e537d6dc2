# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one guest: made, started, ended, rebooted, checked."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import time
from collections.abc import Collection
from pathlib import Path

from lab import images, keys, network
from lab.errors import LabError
from lab.namespaces import Process, enter
from lab.nodes import archive, greets
from lab.paths import LabPaths
from lab.shell import run, say
from lab.spec import MACHINE_BRIDGE_ADDRESS, PREFIX_LENGTH, Node
from lab.vm import initrd, qemu
from lab.vm.accelerator import Accelerator
from lab.vm.images import Parts
from lab.vm.qemu import GuestPaths

# An idle host with translation needs 15 to 30 s per guest; a host that is busy already many times that.
BOOT_SECONDS = 600
LOGIN_SECONDS = 120
# A guest that is asked again before it has answered starts another sshd each time, and gets slower still.
GREETING_SECONDS = 30
CONSOLE_LINES = 15
# A guest that goes down may leave a connection open, which would be waited on for ever.
_PATIENCE = (
    "LogLevel=ERROR",
    f"ConnectTimeout={LOGIN_SECONDS}",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=8",
)

_TAP = """
set -eu
port=$1 bridge=$2 isolated=$3
ip link show "$port" >/dev/null 2>&1 || ip tuntap add dev "$port" mode tap
ip link set "$port" master "$bridge" up
ip link set "$port" type bridge_slave isolated "$isolated"
"""

# A pid may have passed to another process: only a guest of that name counts.
_PID = """
pid=$(cat "$1" 2>/dev/null) || exit 1
tr '\\0' '\\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -e "$2" && echo "$pid"
"""

# Until the process is gone its disk is locked.
_KILL = """
kill -KILL "$1" 2>/dev/null || exit 0
for attempt in $(seq 200); do
    [ -e "/proc/$1" ] || exit 0
    sleep 0.05
done
echo "process $1 does not end" >&2
exit 1
"""


def node_files(paths: LabPaths, node: Node, nodes: Collection[Node]) -> dict[str, tuple[int, bytes]]:
    """path below the guest's root → (mode, content) of what differs from guest to guest."""
    private = keys.host_key(paths, node)
    authorized = paths.key.with_suffix(".pub").read_bytes()
    identity = images.digest([str(paths.state).encode(), node.name.encode()])
    return {
        "etc/hosts": (0o644, hosts_file(nodes).encode()),
        "etc/hostname": (0o644, f"{node.name}\n".encode()),
        "etc/machine-id": (0o444, f"{identity}{identity}\n".encode()),
        "etc/network/interfaces": (0o644, interfaces_file(node).encode()),
        "etc/ssh/ssh_host_ed25519_key": (0o600, private.read_bytes()),
        "etc/ssh/ssh_host_ed25519_key.pub": (0o644, private.with_suffix(".pub").read_bytes()),
        "root/.ssh/authorized_keys": (0o600, authorized),
        "home/ops/.ssh/authorized_keys": (0o600, authorized),
    }


def hosts_file(nodes: Collection[Node]) -> str:
    """/etc/hosts of a guest; names lead to the underlay."""
    names = [("127.0.0.1", "localhost"), ("::1", "localhost ip6-localhost"), (MACHINE_BRIDGE_ADDRESS, "lab")]
    names += [(node.address, node.name) for node in nodes]
    return "".join(f"{address} {name}\n" for address, name in names)


def interfaces_file(node: Node) -> str:
    """/etc/network/interfaces of a guest."""
    blocks = ["auto lo\niface lo inet loopback\n"]
    for name, address in (("eth0", node.login), ("eth1", node.address)):
        blocks.append(f"auto {name}\niface {name} inet static\n    address {address}/{PREFIX_LENGTH}\n")
    return "\n".join(blocks)


def recipe(files: GuestPaths, parts: Parts, accelerator: Accelerator) -> str:
    """What a guest is made of and started by, as JSON; differs whenever one made now would differ."""
    made_of = {"disk": parts.disk.name, "initrd": parts.initrd.name, "node": repr(files.node)}
    return json.dumps({**made_of, "command": qemu.command(files, parts.kernel, accelerator)}, indent=1)


def make(
    paths: LabPaths,
    holder: Process,
    node: Node,
    nodes: Collection[Node],
    parts: Parts,
    accelerator: Accelerator,
) -> None:
    """Makes the guest with a new disk, starts it and waits until it is up."""
    files = GuestPaths.of(paths, node)
    end(holder, files)
    files.folder.mkdir(exist_ok=True)
    base = _keep(files, parts.disk)
    _keep(files, parts.kernel)
    files.disk.unlink(missing_ok=True)
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "raw", str(files.disk)])
    own = initrd.own(archive(node_files(paths, node, nodes)))
    files.initrd.write_bytes(parts.initrd.read_bytes() + own)
    files.command.write_text(recipe(files, parts, accelerator), encoding="utf-8")
    start(paths, holder, node)


def _keep(files: GuestPaths, cached: Path) -> Path:
    """The lab's own name for a file of the cache, or, on another file system, the cache's."""
    kept = files.shared(cached)
    try:
        os.link(cached, kept)
    except FileExistsError:
        pass
    except OSError:
        # A link across file systems; several guests may come here at once.
        part = kept.with_name(f".{kept.name}.{files.node.name}")
        run(["cp", "--sparse=always", str(cached), str(part)])
        part.replace(kept)
    return kept


def start(paths: LabPaths, holder: Process, node: Node) -> None:
    """Starts a guest that is down and waits until it is up; its disk is as it was."""
    files = GuestPaths.of(paths, node)
    if alive(holder, files):
        raise LabError(f"{node.name} runs already")
    command = json.loads(files.command.read_text(encoding="utf-8"))["command"]
    files.console.unlink(missing_ok=True)
    _plug(holder, network.management_link(node), network.MANAGEMENT_BRIDGE, "on")
    _plug(holder, network.uplink(node), network.BRIDGE, "off")
    run([*enter(holder), "mkdir", "-p", qemu.RUN])
    run([*enter(holder), *command])
    wait_up(paths, holder, node)


def _plug(holder: Process, port: str, bridge: str, isolated: str) -> None:
    network.shell(holder, _TAP, port, bridge, isolated)


def _pid(holder: Process, files: GuestPaths) -> str | None:
    """The guest's process, by its number inside the lab."""
    try:
        return run([*enter(holder), "sh", "-c", _PID, "sh", files.pid, files.node.name]).strip()
    except LabError:
        return None


def alive(holder: Process, files: GuestPaths) -> bool:
    """Whether the guest's machine is switched on."""
    return _pid(holder, files) is not None


def end(holder: Process, files: GuestPaths) -> None:
    """Ends the guest at once, as a power failure does; nothing to do when it is down."""
    pid = _pid(holder, files)
    if pid is not None:
        network.shell(holder, _KILL, pid)


def reboot(paths: LabPaths, holder: Process, node: Node) -> None:
    """Restarts the guest, by its own means if it still answers, else by its power switch."""
    files = GuestPaths.of(paths, node)
    before = boot_id(paths, node) if answers(holder, files, LOGIN_SECONDS) else None
    if before is None:
        say(f"{node.name}: does not answer, switched off and on")
        end(holder, files)
        start(paths, holder, node)
        return
    # Without waiting: the guest takes its network down and leaves the connection open.
    login(paths, node, ["systemctl --no-block reboot"], check=False)
    wait_up(paths, holder, node, before)


def answers(holder: Process, files: GuestPaths, patience: float) -> bool:
    """Whether the guest runs and its sshd greets within `patience` s: on a busy host it may only be slow."""
    deadline = time.monotonic() + patience
    while alive(holder, files):
        if greets(holder, files.node, GREETING_SECONDS):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return False


def boot_id(paths: LabPaths, node: Node) -> str | None:
    """The guest's boot id; None when it does not answer."""
    return login(paths, node, ["cat /proc/sys/kernel/random/boot_id"], check=False).strip() or None


def as_root(paths: LabPaths, node: Node, words: list[str], *flags: str) -> list[str]:
    """The ssh call that runs the words, joined by blanks, in a guest's shell as root."""
    command = keys.ssh_command(paths, dataclasses.replace(node, user="root"), words)
    return [command[0], *flags, *(word for option in _PATIENCE for word in ("-o", option)), *command[1:]]


def login(paths: LabPaths, node: Node, words: list[str], *, check: bool = True) -> str:
    """Runs the words in the guest as root and returns their output; with `check`, LabError on failure."""
    line = as_root(paths, node, words, "-T", "-o", "BatchMode=yes")
    try:
        return run(line, timeout=LOGIN_SECONDS + 30)
    except LabError:
        if check:
            raise
        return ""


def wait_up(paths: LabPaths, holder: Process, node: Node, before: str | None = None) -> None:
    """Waits until the guest has booted, for the first time or since the boot `before`, and answers.

    LabError says what its console said last, or which units failed.
    """
    files = GuestPaths.of(paths, node)
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        if not alive(holder, files):
            raise LabError(f"{node.name}: its machine has ended\n{console(files)}")
        if greets(holder, node, GREETING_SECONDS) and _booted(paths, node, before):
            return
        time.sleep(0.5)
    raise LabError(f"{node.name}: not up after {BOOT_SECONDS} s; its console said last:\n{console(files)}")


def _booted(paths: LabPaths, node: Node, before: str | None) -> bool:
    """Whether a boot other than `before` is complete; LabError with the units that failed."""
    # `|| true`: the command returns nonzero for every state but "running".
    script = "cat /proc/sys/kernel/random/boot_id; systemctl is-system-running --wait || true"
    said = login(paths, node, [script], check=False).split()
    if len(said) != 2 or said[0] == before:
        return False
    if said[1] == "degraded":
        script = "systemctl --failed --no-legend --plain; journalctl --no-pager -b -p err -n 20"
        raise LabError(f"{node.name}: units failed at boot\n{login(paths, node, [script])}")
    return said[1] == "running"


def console(files: GuestPaths) -> str:
    """The last lines of the guest's console."""
    try:
        lines = files.console.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "    (nothing)"
    return "\n".join("    " + line for line in lines[-CONSOLE_LINES:]) or "    (nothing)"


def shell_words(words: list[str]) -> list[str]:
    """Words for ssh, whose other end is a shell: each arrives as it is."""
    return [shlex.join(words)]
