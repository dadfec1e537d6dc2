# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node for the packet filter's tests: nft of a network namespace, stand-ins for the rest.

Nothing here can reach the host's ruleset: every real command goes through `Namespace.run`, which
refuses to run in the namespace of this process or of process 1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done, execute_allowed
from ansible_collections.swarm.node.plugins.module_utils.core.composite import Composite
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import NodeError
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.filter import FilterPart
from ansible_collections.swarm.node.plugins.module_utils.mesh.firewall import FirewallPart
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share, Tunnel

KEY = "A" * 43 + "="
SHARE = Share(
    mesh="wan",
    member="gw1",
    number=1,
    addresses=("10.99.0.1/32", "fd12:3456:789a::1/128"),
    prefixes=("10.99.0.0/16", "fd12:3456:789a::/48"),
    ports=(51820, 51867),
    keys={1: KEY},
    tunnels=(Tunnel("wan-2", "two", 2, 1, 51820, KEY),),
    routes={"wan-2": ("10.99.0.2/32",)},
)
FOREIGN = Tunnel("wan-70", "partner", 70, 1, 51826, KEY, allowed_ips=("10.55.0.0/24",), foreign=True)
GATEWAY = replace(SHARE, transit=True, tunnels=(*SHARE.tunnels, FOREIGN))


class Namespace:
    """A network namespace that lives while a process of it sleeps."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "600"])
        deadline = time.monotonic() + 5
        while not self._is_own():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.close()
                raise NodeError("no network namespace can be made here")
            time.sleep(0.01)

    def _is_own(self) -> bool:
        own = _network_of(self.process.pid)
        return own != "" and own not in (_network_of(os.getpid()), _network_of(1))

    def run(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        assert self._is_own(), "this namespace is the host's: nothing is run"
        entry = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", "--"]
        return execute_allowed([*entry, *argv], data, timeout)

    def must(self, *argv: str, data: str = "") -> str:
        done = self.run(argv, data)
        assert done.good, f"{argv}: {done.err}"
        return done.out

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def _network_of(pid: int) -> str:
    """The network namespace of a process; "" where it cannot be seen, as that of a container's outside."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def why_no_namespace() -> str:
    """Why nft cannot be tried here, or ""."""
    missing = [name for name in ("unshare", "nsenter", "nft", "ip") if not shutil.which(name)]
    if missing:
        return f"not on this machine: {', '.join(missing)}"
    if os.geteuid() != 0:
        return "a network namespace needs root"
    try:
        namespace = Namespace()
    except NodeError as error:
        return str(error)
    try:
        done = namespace.run(["nft", "add", "table", "inet", "probe"])
        return "" if done.good else f"nf_tables does not work in this kernel: {done.err.strip()}"
    finally:
        namespace.close()


WHY_NOT = why_no_namespace()
needs_nft = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "nf_tables works")


class Machine:
    """A `commands.Runner`: nft and ip of a namespace (None: no such program), stand-ins for the others.

    calls: what was asked; refuse: the number of the changing call that fails, counted from 1
    """

    def __init__(self, root: Path, namespace: Namespace | None = None) -> None:
        self.root = root
        self.namespace = namespace
        self.calls: list[list[str]] = []
        self.refuse = 0
        self.changing = 0
        self.active: set[str] = set()
        self.ufw: list[str] | None = None
        self.ufw_active = True
        self.firewalld: dict[str, list[str]] | None = None
        self.bound: dict[str, list[str]] = {}
        self.answers: dict[str, Done] = {}

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        words = list(argv)
        self.calls.append(words)
        if self._changes(words):
            self.changing += 1
            if self.changing == self.refuse:
                return Done(1, "", "refused by the test")
        if words[0] in self.answers:
            return self.answers[words[0]]
        if words[0] in ("nft", "ip"):
            return self.namespace.run(words, data, timeout) if self.namespace else Done(127, "", "")
        known = {"systemctl": self._systemctl, "ufw": self._ufw, "firewall-cmd": self._firewalld}
        return known[words[0]](words[1:]) if words[0] in known else Done(127, "", "")

    def _changes(self, words: list[str]) -> bool:
        looks = {"show", "list", "status", "-j", "--state"}
        if words[:2] == ["nft", "-f"] or words[:3] == ["nft", "-j", "-f"]:
            return True
        if words[0] == "firewall-cmd":
            return any(word.startswith(("--add", "--remove")) for word in words)
        return words[0] in ("systemctl", "ufw") and not looks & set(words[1:3])

    def _systemctl(self, words: list[str]) -> Done:
        unit = words[-1]
        if words[0] == "show":
            active = "active" if unit in self.active else "inactive"
            return Done(0, f"LoadState=loaded\nActiveState={active}\nNeedDaemonReload=no\n", "")
        if words[0] == "start":
            self.active.add(unit)
        elif words[0] == "stop":
            self.active.discard(unit)
        return Done(0, "", "")

    def _ufw(self, words: list[str]) -> Done:
        """As ufw 0.36.2 does: the same rule twice is one, a rule is deleted whatever its comment."""
        if self.ufw is None:
            return Done(127, "", "")
        if words == ["status"]:
            return Done(0, f"Status: {'active' if self.ufw_active else 'inactive'}\n", "")
        if words == ["show", "added"]:
            lines = self.ufw or ["(None)"]
            head = "Added user rules (see 'ufw status' for running firewall):"
            return Done(0, "\n".join([head, *lines, ""]), "")
        if "delete" in words:
            # `ufw route delete allow …` is a rule `ufw route allow …`.
            rule = " ".join(["ufw", *(word for word in words if word != "delete")])
            self.ufw = [line for line in self.ufw if line.partition(" comment ")[0] != rule]
            return Done(0, "Rule deleted\n", "")
        place = words.index("comment")
        rule = " ".join(["ufw", *words[:place]])
        self.ufw = [line for line in self.ufw if line.partition(" comment ")[0] != rule]
        self.ufw.append(f"{rule} comment '{words[place + 1]}'")
        return Done(0, "Rule added\n", "")

    def _firewalld(self, words: list[str]) -> Done:
        """As firewall-cmd 1.3 answers, with the zones public (default) and internal."""
        if self.firewalld is None:
            return Done(127, "", "")
        if words == ["--state"]:
            return Done(0, "running\n", "") if self.firewalld else Done(252, "", "not running")
        if words[-1].startswith(("--add-interface", "--remove-interface")):
            kind = "permanent" if "--permanent" in words else "runtime"
            zone = next(word.partition("=")[2] for word in words if word.startswith("--zone="))
            return self._bind(f"{zone} {kind}", *words[-1].split("=", 1))
        if words[0] == "--get-default-zone":
            return Done(0, "public\n", "")
        if words[-1] == "--list-all-zones":
            kind = "permanent" if words[0] == "--permanent" else "runtime"
            return Done(0, _zones(self.firewalld, self.bound, kind), "")
        kind = "permanent" if "--permanent" in words else "runtime"
        zone = next(word.partition("=")[2] for word in words if word.startswith("--zone="))
        entries = self.firewalld.setdefault(f"{zone} {kind}", [])
        verb, _equals, value = words[-1].partition("=")
        if verb.startswith("--add"):
            entries.append(value)
        elif value in entries:
            entries.remove(value)
        else:
            return Done(1, "", f"NOT_ENABLED: {value}")
        return Done(0, "", "")

    def _bind(self, place: str, verb: str, device: str) -> Done:
        bound = self.bound.setdefault(place, [])
        kind = place.split()[1]
        if verb == "--remove-interface":
            if device not in bound:
                return Done(1, "", "UNKNOWN_INTERFACE")
            bound.remove(device)
        elif any(device in found for name, found in self.bound.items() if name.endswith(kind)):
            return Done(1, "", f"ZONE_CONFLICT: '{device}' already bound to a zone")
        else:
            bound.append(device)
        return Done(0, "", "")

    def ruleset(self) -> str:
        """The namespace's, without the values of counters and without handles."""
        assert self.namespace
        return self.namespace.must("nft", "-s", "list", "ruleset")


def _zones(entries: dict[str, list[str]], bound: dict[str, list[str]], kind: str) -> str:
    """As `print_zone_policy_info` of firewalld 1.3 prints zones."""
    text = ""
    for zone, device in (("drop", ""), ("internal", "eth1"), ("public", "eth0"), ("work", "")):
        found = entries.get(f"{zone} {kind}", [])
        ports = " ".join(one for one in found if not one.startswith(("rule", "source=")))
        devices = " ".join([*([device] if device else []), *bound.get(f"{zone} {kind}", [])])
        sources = " ".join(one[7:] for one in found if one.startswith("source="))
        text += f"{zone} (active)\n  target: {'DROP' if zone == 'drop' else 'default'}\n"
        text += f"  icmp-block-inversion: no\n  interfaces: {devices}\n"
        text += f"  sources: {sources}\n  services: ssh\n  ports: {ports}\n  protocols: \n  forward: yes\n"
        text += (
            "  masquerade: no\n  forward-ports: \n  source-ports: 53/udp\n  icmp-blocks: \n  rich rules: \n"
        )
        text += "".join(f"\t{one}\n" for one in found if one.startswith("rule")) + "\n"
    return text


def node(tmp_path: Path, machine: Machine) -> tuple[Path, Store]:
    root = tmp_path / "root"
    (root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    machine.root = root
    return root, Store(str(tmp_path / "state"), str(tmp_path / "run"))


def run(
    machine: Machine,
    tmp_path: Path,
    shares: dict[str, Share],
    wish: str = "none",
    check: bool = False,
    managed_by: str = "",
    required: tuple[str, ...] = (),
) -> Outcome:
    """One transaction of both parts."""
    root, store = node(tmp_path, machine)
    state = str(tmp_path / "state")
    parts: list[Any] = [
        FilterPart(shares, root, state, machine, required),
        FirewallPart(wish, shares, root, state, machine, required, "host_vars/gw1.yml", "/usr/bin/python3"),
    ]
    layer = Composite("mesh", parts, lambda: "")
    return reconcile(layer, store, Request("mesh", check=check, managed_by=managed_by))


def keys(outcome: Outcome) -> list[str]:
    return [change.name for change in outcome.plan.changes]


def tree(root: Path) -> dict[str, str]:
    """Every file and link below root."""
    return {
        str(path.relative_to(root)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def listed(*items: dict[str, Any]) -> dict[str, Any]:
    """An answer of `nft -j`."""
    return json.loads(json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, *items]}))
