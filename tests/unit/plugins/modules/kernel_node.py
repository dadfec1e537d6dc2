# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose /proc, /sys and /etc are a tree of files, with the manners of a kernel where they matter."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.kernel.model import EXCLUSIVE
from ansible_collections.swarm.node.plugins.module_utils.kernel.port import KernelPort
from module_runner import run_forked

TREE = {
    "proc/sys/vm/swappiness": "60\n",
    "proc/sys/vm/max_map_count": "65530\n",
    "proc/sys/vm/dirty_ratio": "20\n",
    "proc/sys/vm/dirty_bytes": "0\n",
    "proc/sys/net/core/rmem_max": "212992\n",
    "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456\n",
    "proc/sys/net/ipv4/tcp_congestion_control": "cubic\n",
    "proc/sys/net/ipv4/tcp_available_congestion_control": "reno cubic\n",
    "proc/sys/net/ipv4/conf/eth0.100/rp_filter": "2\n",
    "proc/sys/kernel/osrelease": "6.1.0-test\n",
    "lib/modules/6.1.0-test/modules.dep": "kernel/net/ipv4/tcp_bbr.ko.xz:\nkernel/net/sched/sch_fq.ko.xz:\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never\n",
    "etc/sysctl.conf": "# nothing\n",
    "etc/sysctl.d/10-distribution.conf": "vm.swappiness = 60\n",
    "etc/tmpfiles.d/x.conf": "d /run/x 0755 - - -\n",
    "usr/lib/sysctl.d/50-default.conf": "-net.ipv4.conf.all.rp_filter\nnet.ipv4.conf.*.rp_filter = 2\n",
}
REJECTED = "4294967295"
"""What this kernel takes for no value, whatever the key."""


def act_as_kernel() -> None:
    """Makes the port's raw write behave as the kernel's: EINVAL, pairs, words in brackets, tabs."""
    put = KernelPort._put

    def write(self: KernelPort, path: Path, text: str) -> None:
        value = text.strip()
        key = ".".join(path.parts[-2:])
        if value == REJECTED or (key.startswith("vm.dirty") and key.endswith("_bytes") and value == "0"):
            raise OSError(errno.EINVAL, "Invalid argument")
        if path.parent.name == "transparent_hugepage":
            words = [
                f"[{word}]" if word == value else word
                for word in path.read_text().replace("[", "").replace("]", "").split()
            ]
            text = " ".join(words) + "\n"
        if path.name == "tcp_rmem":
            text = "\t".join(value.split()) + "\n"
        changed = path.read_text() != text
        put(self, path, text)
        rival = path.with_name(EXCLUSIVE[key][3:]) if key in EXCLUSIVE else None
        if rival and changed:
            put(self, rival, "0\n")

    setattr(KernelPort, "_put", write)  # noqa: B010 - mypy would have it a method


class KernelNode:
    """`root` is the node's tree; records are in `base/state`, the lock in `base/run`."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "root"
        for name, text in TREE.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")

    def parameters(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return {
            "owner": "t",
            "sys_root": str(self.root),
            "state_dir": str(self.base / "state"),
            "run_dir": str(self.base / "run"),
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            **options,
        }

    def run(
        self, check: bool = False, before: Callable[[], None] | None = None, **options: Any
    ) -> dict[str, Any]:
        """The module's answer. `before` runs in the module's process. Raises Killed."""

        def prepare() -> None:
            act_as_kernel()
            if before:
                before()

        return run_forked("kernel", self.parameters(check, **options), prepare)

    def apply(self, **options: Any) -> dict[str, Any]:
        """`run`, which must succeed."""
        result = self.run(**options)
        assert not result.get("failed"), result["msg"]
        return result

    def live(self, key: str) -> str:
        return " ".join((self.root / "proc/sys" / key.replace(".", "/")).read_text().split())

    def thp(self) -> str:
        text = (self.root / "sys/kernel/mm/transparent_hugepage/enabled").read_text()
        return text[text.index("[") + 1 : text.index("]")]

    def ours(self, kind: str = "sysctl") -> str | None:
        path = self.root / f"etc/{kind}.d/90-swarm-node-t.conf"
        return path.read_text() if path.exists() else None

    def tree(self) -> dict[str, bytes]:
        """Every file below the root, byte for byte."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def kept(self) -> dict[str, str]:
        """Every file of the state directory."""
        state = self.base / "state"
        return {str(path.relative_to(state)): path.read_text() for path in state.rglob("*") if path.is_file()}

    def claims(self) -> dict[str, Any]:
        path = self.base / "state/t.json"
        found: dict[str, Any] = json.loads(path.read_text())["claims"] if path.exists() else {}
        return found
