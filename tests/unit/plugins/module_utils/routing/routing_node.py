# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose /etc, /run and /proc are a tree of files, with systemctl, nft and babeld as files, too.

Its state outlives the process that uses it. What it does not know fails, so that a new command is seen.

`kernel.json`: units (those that run), tables (name → text), rival (the distribution's service, or null),
reload (systemd has old texts), broken (words that fail: "babeld", "start", "nft", "no nft")
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.mesh.paths import share_path
from ansible_collections.swarm.node.plugins.module_utils.mesh.render import share_text
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share
from ansible_collections.swarm.node.plugins.module_utils.routing import units_port
from ansible_collections.swarm.node.plugins.module_utils.routing.layer import RoutingLayer, RoutingOptions
from ansible_collections.swarm.node.plugins.module_utils.routing.lookup import lookup_of
from ansible_collections.swarm.node.plugins.module_utils.routing.paths import (
    DISTRIBUTION,
    PROGRAM,
    RUN,
    SYSTEMD,
    TEMPLATES,
    conf_path,
    priority,
    recorder_path,
    running_conf,
    socket_path,
)
from ansible_collections.swarm.node.plugins.module_utils.routing.recorder import digest_of
from ansible_collections.swarm.node.plugins.modules import routing as routing_module
from module_runner import run_forked

GOOD = Done(0, "", "")
OWN_CONF = "interface lo\n"
OWN_DIGEST = hashlib.md5(OWN_CONF.encode(), usedforsecurity=False).hexdigest()
_TABLE = re.compile(r"^(delete )?table inet (\w+)(?: \{\n(.*?)^\})?$", re.MULTILINE | re.DOTALL)
_CHAIN = re.compile(r"^\tchain (\w+) \{\n(.*?)^\t\}$", re.MULTILINE | re.DOTALL)


def touch(what: str) -> None:
    """Every change by a command comes by here, for tests that make one fail or the process die."""


class RoutingNode:
    """`root` is the node's tree; records are in `base/state`, the lock in `base/run`."""

    def __init__(self, base: Path, *shares: Share, version: str = "1.12.1") -> None:
        self.base = base
        self.root = base / "root"
        self.root.mkdir(parents=True)
        self.text("proc/sys/net/ipv6/conf/all/disable_ipv6", "0\n")
        self.text("proc/net/udp6", "  sl  local_address\n")
        self.text("usr/sbin/babeld", version)
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.root / "etc/systemd/system").mkdir(parents=True)
        self.save({"units": [], "tables": {}, "rival": None, "reload": False, "broken": []})
        for share in shares:
            self.store(share)

    # -- the node

    def text(self, path: str, text: str | None = None) -> str | None:
        place = self.root / path.lstrip("/")
        if text is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
        return place.read_text() if place.exists() else None

    def store(self, share: Share) -> None:
        """As the mesh layer does."""
        self.text(share_path(share.mesh), share_text(share))

    def leave(self, mesh: str) -> None:
        (self.root / share_path(mesh).lstrip("/")).unlink()

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.base / "kernel.json").read_text())
        return found

    def save(self, state: dict[str, Any]) -> None:
        place = self.base / "kernel.new"
        place.write_text(json.dumps(state, sort_keys=True))
        place.rename(self.base / "kernel.json")

    def set(self, **wishes: Any) -> None:
        self.save({**self.state(), **wishes})

    def live(self) -> dict[str, Any]:
        """What runs, what is loaded, and with what."""
        state = self.state()
        ran = {
            str(p.relative_to(self.root)): p.read_text()
            for p in (self.root / RUN[1:]).rglob("*")
            if p.is_file()
        }
        return {
            "units": sorted(state["units"]),
            "tables": state["tables"],
            "rival": state["rival"],
            "ran": ran,
        }

    def installed(self) -> dict[str, str]:
        """Every file and link below /etc and /usr but the shares: text, or where it leads to."""
        found = {}
        for part in ("etc", "usr"):
            for path in sorted((self.root / part).rglob("*")):
                name = str(path.relative_to(self.root))
                if path.is_symlink():
                    found[name] = f"-> {path.readlink()}"
                elif path.is_file() and "/mesh/" not in name:
                    found[name] = path.read_text(errors="surrogateescape")
        return found

    def record(self) -> dict[str, Any] | None:
        path = self.base / "state/routing.json"
        return json.loads(path.read_text())["claims"] if path.exists() else None

    def crash(self, unit: str) -> None:
        state = self.state()
        state["units"].remove(unit)
        self.save(state)

    # -- its commands

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        words = list(argv)
        state = self.state()
        if words[0] == "nft":
            return self._nft(state, words, data)
        if words[0] == "systemctl":
            return self._systemctl(state, words)
        if words[0].endswith("/babeld"):
            return self._babeld(state, words)
        if words[0] == "ip" and words[2:4] == ["route", "flush"]:
            touch(" ".join(words))
            return GOOD
        if words[0] == "ip" and words[2:4] == ["rule", "del"]:
            touch(" ".join(words))
            return Done(2, "", "RTNETLINK answers: No such file or directory")
        if words[:3] == ["ip", "-N", "-j"] and words[4:] == ["rule", "show"]:
            return Done(0, json.dumps(self._rules(state, words[3] == "-6")), "")
        if words[0] == "journalctl":
            return Done(0, "babeld said so\n", "")
        if words[0] == "dpkg-query":
            return Done(0, f" /etc/babeld.conf {OWN_DIGEST}\n /etc/init.d/babeld 00\n", "")
        return Done(1, "", f"not known here: {words}")

    def _rules(self, state: dict[str, Any], v6: bool) -> list[dict[str, Any]]:
        """Those of the daemons that were started, unless somebody has taken all away (`unruled`)."""
        found: list[dict[str, Any]] = [{"priority": 0, "src": "all", "table": "255"}]
        for place in [] if state.get("unruled") else sorted((self.root / RUN[1:]).glob("*/babeld.conf")):
            for prefix, table in lookup_of(place.read_text()).rules:
                if (":" in prefix) == v6:
                    dst, _slash, bits = prefix.partition("/")
                    rule = {"priority": priority(table), "dst": dst, "dstlen": int(bits)}
                    found.append({**rule, "table": str(table), "protocol": "214"})
        return found

    def _babeld(self, state: dict[str, Any], words: list[str]) -> Done:
        if words[1:] == ["-V"]:
            return Done(0, "", f"babeld-{self.text('usr/sbin/babeld')}\n")
        files = [words[place + 1] for place, word in enumerate(words) if word == "-c"]
        for place in files:
            if "babeld" in state["broken"] or "this is no word" in Path(place).read_text():
                return Done(1, "", f"Couldn't parse configuration from file {place} (error at line 1).\n")
        return GOOD

    def _nft(self, state: dict[str, Any], words: list[str], data: str) -> Done:
        tables = state["tables"]
        if "no nft" in state["broken"]:
            return Done(127, "", "nft: no such program")
        if words[1:] == ["--version"]:
            return Done(0, "nftables v1.0.6\n", "")
        if words[1:] == ["-j", "list", "tables"]:
            found = [{"table": {"family": "inet", "name": name}} for name in tables]
            return Done(0, json.dumps({"nftables": [{"metainfo": {}}, *found]}), "")
        if words[2:4] == ["list", "table"]:
            text = tables.get(words[-1])
            if text is None:
                return Done(1, "", "No such file or directory")
            if words[1] == "-s":
                return Done(0, f"table inet {words[-1]} {{\n{text}}}\n", "")
            return Done(0, json.dumps({"nftables": _listed(text)}), "")
        if words[1:3] == ["-f", "-"]:
            touch(f"nft {data[:40]}")
            if "nft" in state["broken"]:
                return Done(1, "", "Error: syntax error")
            self._load(tables, data)
            self.save(state)
            return GOOD
        return Done(1, "", f"not known here: {words}")

    @staticmethod
    def _load(tables: dict[str, str], data: str) -> None:
        for delete, name, body in _TABLE.findall(data):
            if delete:
                del tables[name]
            else:
                tables[name] = tables.get(name, "") + body

    def _systemctl(self, state: dict[str, Any], words: list[str]) -> Done:
        verb, unit = words[1], words[-1]
        if verb == "show":
            return Done(0, self._shown(state, unit), "")
        if verb == "is-enabled":
            return Done(0, "enabled\n" if state["rival"]["enabled"] else "disabled\n", "")
        if verb == "reset-failed":
            return GOOD
        touch(" ".join(words))
        if verb == "daemon-reload":
            state["reload"] = False
        elif unit == DISTRIBUTION:
            key = "enabled" if verb in ("enable", "disable") else "active"
            state["rival"][key] = verb in ("enable", "start")
        elif verb == "stop":
            state["units"] = [one for one in state["units"] if one != unit]
            mesh = unit.partition("@")[2].partition(".")[0]
            if not unit.startswith("swarm-node-routing-changes"):
                shutil.rmtree(self.root / f"{RUN}/{mesh}".lstrip("/"), ignore_errors=True)
        elif verb == "restart":
            return self._restart(state, unit)
        else:
            return Done(1, "", f"not known here: {words}")
        self.save(state)
        return GOOD

    def _restart(self, state: dict[str, Any], unit: str) -> Done:
        mesh = unit.partition("@")[2].partition(".")[0]
        state["units"] = [one for one in state["units"] if one != unit]
        self.save(state)
        template = f"{SYSTEMD}/{unit.partition('@')[0]}@.service"
        if self.text(template) is None or "start" in state["broken"]:
            return Done(1, "", f"Job for {unit} failed")
        if template == TEMPLATES["daemon"]:
            text = self.text(conf_path(mesh))
            if text is None or "no such word" in text:
                return Done(1, "", f"Job for {unit} failed")
            self.text(running_conf(mesh), text)
            state["unruled"] = False
            self.text(socket_path(mesh), "answers")
        else:
            self._sign(mesh)
        state["units"].append(unit)
        self.save(state)
        return GOOD

    def _sign(self, mesh: str) -> None:
        """As a program does that takes a while to come up."""
        text = digest_of(self.root / PROGRAM.lstrip("/")) + "\n"
        if not self.state().get("slow"):
            self.text(recorder_path(mesh), text)
        elif os.fork() == 0:
            time.sleep(0.05)
            self.text(recorder_path(mesh), text)
            os._exit(0)

    def _shown(self, state: dict[str, Any], unit: str) -> str:
        if unit == DISTRIBUTION:
            rival = state["rival"]
            there = "not-found" if rival is None else "loaded"
            active = "active" if rival and rival["active"] else "inactive"
            return f"LoadState={there}\nActiveState={active}\nNeedDaemonReload=no\n"
        there = "loaded" if self.text(f"{SYSTEMD}/{unit.partition('@')[0]}@.service") else "not-found"
        active = "active" if unit in state["units"] else "inactive"
        stale = "yes" if state["reload"] else "no"
        return f"LoadState={there}\nActiveState={active}\nNeedDaemonReload={stale}\n"

    # -- the module

    def answers(self, path: str, timeout: float = 2.0) -> bool:
        return Path(path).exists()

    def patch(self) -> None:
        """In the module's process: this node instead of the machine."""
        made = functools.partial(RoutingOptions, runner=self)
        setattr(routing_module, "RoutingOptions", made)  # noqa: B010
        setattr(units_port, "answers", self.answers)  # noqa: B010
        setattr(units_port, "ANSWER_TIMEOUT", 1.0)  # noqa: B010
        init = units_port.UnitsPort.__init__
        init.__defaults__ = (1.0,)

    def layer(self, **options: Any) -> RoutingLayer:
        return RoutingLayer(
            RoutingOptions(root=self.root, state_dir=str(self.base / "state"), runner=self, **options)
        )

    def apply(self, before: Callable[[], None] | None = None, **options: Any) -> dict[str, Any]:
        """The module's answer. `before` runs in its process first; raises Killed."""

        def prepare() -> None:
            self.patch()
            if before:
                before()

        parameters = {
            "_ansible_check_mode": options.pop("check", False),
            "_ansible_diff": True,
            "root": str(self.root),
            "state_dir": str(self.base / "state"),
            "run_dir": str(self.base / "run"),
            "daemon": "babeld",
            **options,
        }
        return run_forked("routing", parameters, prepare)

    def good(self, **options: Any) -> dict[str, Any]:
        """`apply`, which must succeed."""
        answer = self.apply(**options)
        assert not answer.get("failed"), answer["msg"]
        return answer


def _listed(text: str) -> list[dict[str, Any]]:
    """As `nft -j list table` has it."""
    found: list[dict[str, Any]] = []
    for chain, body in _CHAIN.findall(text):
        lines = [line.strip() for line in body.splitlines()]
        head: dict[str, Any] = {"name": chain}
        if lines and lines[0].startswith("type filter hook"):
            words = lines.pop(0).replace(";", "").split()
            head.update(type="filter", hook=words[3], prio=int(words[5]), policy=words[7])
        found.append({"chain": head})
        found += [{"rule": _rule(chain, line)} for line in lines]
    return found


def _rule(chain: str, line: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"chain": chain, "handle": 7, "expr": []}
    line, _word, comment = line.partition(' comment "')
    if comment:
        rule["comment"] = comment.rstrip('"')
    if line.startswith("iifname . oifname { "):
        # The kernel shuffles a set's elements.
        inner, _end, line = line.partition("{ ")[2].partition(" } ")
        pairs = [[name.strip('"') for name in pair.split(" . ")] for pair in inner.split(", ")]
        both = {"concat": [{"meta": {"key": "iifname"}}, {"meta": {"key": "oifname"}}]}
        rule["expr"].append(_equal(both, {"set": [{"concat": pair} for pair in pairs[::-1]]}))
    words = line.split()
    while words:
        word = words.pop(0)
        if word in ("iifname", "oifname"):
            rule["expr"].append(_equal({"meta": {"key": word}}, words.pop(0).strip('"')))
        elif word in ("ip6", "udp"):
            left = {"payload": {"protocol": word, "field": words.pop(0)}}
            value = words.pop(0)
            address, slash, length = value.partition("/")
            right: Any = int(value) if value.isdigit() else value
            right = {"prefix": {"addr": address, "len": int(length)}} if slash else right
            rule["expr"].append(_equal(left, right))
        elif word == "counter":
            rule["expr"].append({"counter": {"packets": 3, "bytes": 300}})
        elif word == "jump":
            rule["expr"].append({"jump": {"target": words.pop(0)}})
        else:
            rule["expr"].append({word: None})
    return rule


def _equal(left: dict[str, Any], value: Any) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": value}}
