# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""podman inside the lab's namespaces, with a configuration and storage of the lab's own."""

from __future__ import annotations

import json
import os
import resource
import threading
from pathlib import Path

from lab import network
from lab.namespaces import Process, enter
from lab.paths import LabPaths
from lab.shell import run
from lab.spec import Node

CAPABILITIES = ("NET_ADMIN", "NET_RAW", "NET_BROADCAST", "SYS_ADMIN")
SPEC_LABEL = "swarm.node.lab.spec"
TUN = Path("/dev/net/tun")


def limits() -> list[str]:
    """podman's default ulimits, within the hard limits of this process: raising them may be forbidden."""
    wanted = {"nofile": (resource.RLIMIT_NOFILE, 524288), "nproc": (resource.RLIMIT_NPROC, 65536)}
    result = []
    for name, (number, ceiling) in wanted.items():
        hard = resource.getrlimit(number)[1]
        value = ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)
        result.append(f"{name}={value}:{value}")
    return result


def configuration(paths: LabPaths, ulimits: list[str]) -> str:
    """The lab's containers.conf."""
    return f"""\
[containers]
default_ulimits = {json.dumps(ulimits)}
pids_limit = 0
log_driver = "k8s-file"
log_size_max = 10485760

[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
volume_path = {json.dumps(str(paths.storage / "volumes"))}

[network]
network_config_dir = {json.dumps(str(paths.storage / "networks"))}
"""


def run_options(paths: LabPaths, node: Node, spec: str, tun: bool) -> list[str]:
    """The options of `podman create` for a node.

    Never --privileged: the node's PID 1 would then change vm.* and fs.* of the machine underneath.
    AppArmor's profile for containers forbids mounts, which systemd and the boot unit need.
    """
    options = [
        f"--name={node.name}",
        f"--hostname={node.name}",
        f"--label={SPEC_LABEL}={spec}",
        f"--cgroup-parent={paths.cgroup}",
        f"--network=ns:{network.path(node)}",
        "--systemd=always",
        "--no-hosts",
        "--dns=none",
        # A `reboot` inside the node ends its PID 1: the node comes back as a machine does.
        "--restart=always",
        "--stop-timeout=10",
        "--security-opt=apparmor=unconfined",
        f"--cap-add={','.join(CAPABILITIES)}",
    ]
    if tun:
        options.append(f"--device={TUN}")
    return options


class Podman:
    """The lab's podman; all paths and names are the lab's."""

    # Two imports at once gain nothing on two cores and stress podman's storage lock.
    _import_lock = threading.Lock()

    def __init__(self, paths: LabPaths, holder: Process) -> None:
        self.paths = paths
        self.holder = holder

    def command(self, *words: str) -> list[str]:
        """The whole command line that runs `podman words…` in the lab."""
        environment = [
            f"CONTAINERS_CONF={self.paths.containers_conf}",
            f"TMPDIR={self.paths.temporary}",
            "HOME=/root",
            f"PATH={os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}",
        ]
        storage = ["--root", str(self.paths.storage), "--runroot", "/run/containers/storage"]
        return [*enter(self.holder), "env", *environment, "podman", *storage, "--log-level=error", *words]

    def call(self, *words: str, data: bytes | None = None, timeout: float = 120) -> str:
        """Runs podman and returns its output; LabError when it fails."""
        return run(self.command(*words), data=data, timeout=timeout)

    def containers(self) -> dict[str, dict[str, str]]:
        """name → {state, spec} of every container of the lab, running or not."""
        listed = json.loads(self.call("ps", "--all", "--format", "json") or "[]") or []
        return {
            entry["Names"][0]: {
                "state": entry["State"],
                "spec": (entry.get("Labels") or {}).get(SPEC_LABEL, ""),
            }
            for entry in listed
        }

    def import_root(self, tar: Path) -> str:
        """Makes the image of a root file system unless it is there; returns its name."""
        image = f"localhost/swarm-node-lab:{tar.stem}"
        with self._import_lock:
            known = self.call("images", "--format", "{{.Repository}}:{{.Tag}}").split()
            if image not in known:
                self.call("import", "--quiet", "--change", 'CMD ["/sbin/init"]', str(tar), image, timeout=300)
        return image

    def execute(self, node: Node, *words: str, data: bytes | None = None, timeout: float = 120) -> str:
        """Runs a command in a node as root."""
        return self.call("exec", "--interactive", node.name, *words, data=data, timeout=timeout)
