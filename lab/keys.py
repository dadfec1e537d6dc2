# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ssh for the lab: one login key per lab, one host key per node, all made when the lab is made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lab.paths import ROOT, LabPaths
from lab.shell import run
from lab.spec import Node


def make(paths: LabPaths, nodes: Iterable[Node]) -> None:
    """Makes the keys that are missing, and known_hosts."""
    paths.host_keys.mkdir(mode=0o700, exist_ok=True)
    _make(paths.key, f"lab {paths.name}")
    lines = []
    for node in nodes:
        _make(host_key(paths, node), node.name)
        public = host_key(paths, node).with_suffix(".pub").read_text(encoding="utf-8").split()
        lines.append(f"{node.name},{node.login} {public[0]} {public[1]}\n")
    paths.known_hosts.write_text("".join(lines), encoding="utf-8")
    give_to_caller(paths)


def give_to_caller(paths: LabPaths) -> None:
    """Under sudo: the key belongs to the person who runs ansible."""
    if "SUDO_UID" in os.environ and "SUDO_GID" in os.environ:
        for path in (paths.key, paths.known_hosts):
            os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def host_key(paths: LabPaths, node: Node) -> Path:
    """The node's private host key."""
    return paths.host_keys / node.name


def _make(path: Path, comment: str) -> None:
    if not path.exists():
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def ssh_options(paths: LabPaths) -> list[str]:
    """`Name=value` for ssh, the same as the inventory's."""
    return [
        f"ProxyCommand='{ROOT / 'lab' / 'connect'}' {paths.name} %h %p",
        f"UserKnownHostsFile={paths.known_hosts}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "IdentitiesOnly=yes",
    ]


def ssh_command(paths: LabPaths, node: Node, words: list[str]) -> list[str]:
    """The ssh call the inventory amounts to, for a person's shell."""
    flags = [word for option in ssh_options(paths) for word in ("-o", option)]
    return ["ssh", "-F", "/dev/null", "-i", str(paths.key), *flags, f"{node.user}@{node.login}", *words]
