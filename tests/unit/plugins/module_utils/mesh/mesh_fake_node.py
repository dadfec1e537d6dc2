# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node in memory: ip, wg, wg-quick by systemctl, below a directory; it outlives the process that uses it.

Only what the mesh layer asks is there. What it does not know fails, so that a new command is seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Optional

from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done

PRIVATE = {"1": "A" * 42 + "A=", "2": "B" * 42 + "A="}
GOOD = Done(0, "", "")


def public_of(private: str) -> str:
    """Not Curve25519, but another text for each key."""
    return private[:20] + "p" + private[21:]


class FakeNode:
    """root: the node's files; before, after: called with number and words of each command that changes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.place = root / "kernel.json"
        self.before: Callable[[int, Sequence[str]], Optional[Done]] = lambda number, argv: None
        self.after: Callable[[int, Sequence[str]], None] = lambda number, argv: None
        self.changes = 0
        if not self.place.exists():
            self.save({"links": {}, "routes": {}, "units": [], "wg": {}})

    def load(self) -> dict[str, Any]:
        return dict(json.loads(self.place.read_text()))

    def save(self, state: dict[str, Any]) -> None:
        self.place.write_text(json.dumps(state, sort_keys=True))

    # -- the runner

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        words = list(argv)
        asked = self._ask(words)
        if asked is not None:
            return asked
        number, self.changes = self.changes, self.changes + 1
        failed = self.before(number, words)
        if failed is not None:
            return failed
        state = self.load()
        done = self._change(state, words, data)
        self.save(state)
        self.after(number, words)
        return done

    def _ask(self, words: list[str]) -> Optional[Done]:
        if words[0] == "nft" or words[0] == "modprobe":
            return Done(127, "", "no such program")
        if words[0] == "sh":
            private = Path(words[-1]).read_text().strip()
            return Done(0, public_of(private) + "\n", "")
        if words[0] == "journalctl":
            return Done(0, "wg-quick said so\n", "")
        state = self.load()
        if words[:3] == ["wg", "show", "all"]:
            return Done(0, self._dump(state), "")
        if words[:2] == ["ip", "-j"] and words[-2] in ("address", "addr"):
            return Done(0, json.dumps([self._link(name, link) for name, link in state["links"].items()]), "")
        if words[:3] == ["ip", "-N", "-j"]:
            return Done(0, json.dumps(list(state["routes"].values())), "")
        if words[:2] == ["systemctl", "show"]:
            blocks = [
                f"Id={unit}\nActiveState={'active' if unit in state['units'] else 'inactive'}"
                for unit in words[3:]
            ]
            return Done(0, "\n\n".join(blocks) + "\n", "")
        if words[:2] == ["systemctl", "is-active"]:
            return Done(3, "", "")
        return None

    # -- what changes

    def _change(self, state: dict[str, Any], words: list[str], data: str) -> Done:
        if words[:2] == ["wg", "set"]:
            return self._wg_set(state["wg"][words[2]], words[3:])
        if words[0] == "systemctl" and words[1] in ("start", "stop", "restart", "reset-failed"):
            for unit in words[2:]:
                if not self._unit(state, words[1], unit):
                    return Done(1, "", f"Job for {unit} failed")
            return GOOD
        if words[:2] == ["ip", "link"]:
            return self._ip_link(state, words[2:])
        if words[0] == "ip" and words[-2:] == ["-batch", "-"]:
            return self._batch(state, data, "-force" in words)
        return Done(1, "", f"not known here: {' '.join(words)}")

    def _unit(self, state: dict[str, Any], verb: str, unit: str) -> bool:
        name = unit.partition("@")[2].partition(".service")[0]
        if verb in ("stop", "restart") and unit in state["units"]:
            state["units"].remove(unit)
            self._delete(state, name)
        if verb in ("start", "restart") and unit not in state["units"]:
            if name in state["links"] or not self._up(state, name):
                return False
            state["units"].append(unit)
        return True

    def _up(self, state: dict[str, Any], name: str) -> bool:
        """As wg-quick up does it."""
        try:
            text = (self.root / f"etc/wireguard/{name}.conf").read_text()
        except OSError:
            return False
        found = dict(re.findall(r"^(\w+) = (.*)$", text, re.MULTILINE))
        addresses = found["Address"].split(", ")
        state["links"][name] = {"mtu": int(found["MTU"]), "addresses": addresses, "up": True}
        private = re.search(r"private-key (\S+)", text)
        device = {"port": int(found["ListenPort"]), "private": "", "peers": {}}
        state["wg"][name] = device
        if private:
            device["private"] = (self.root / private[1].lstrip("/")).read_text().strip()
        words = ["peer", found["PublicKey"], "allowed-ips", found["AllowedIPs"].replace(" ", "")]
        named = re.search(r"^PostUp = .* endpoint (\S+) \|\| true$", text, re.MULTILINE)
        if "Endpoint" in found or named:
            words += ["endpoint", named[1] if named else found["Endpoint"]]
        psk = re.search(r"preshared-key (\S+)$", text, re.MULTILINE)
        words += ["preshared-key", psk[1]] if psk else []
        words += ["persistent-keepalive", found.get("PersistentKeepalive", "0")]
        self._wg_set(device, words)
        for sysctl, value in re.findall(r"echo (\d) >/proc/sys/(\S+)", text):
            path = self.root / "proc/sys" / value.replace("%i", name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{sysctl}\n")
        batch = re.search(r"-batch (\S+)", text)
        routes = self.root / batch[1].lstrip("/") if batch else self.root
        if routes.is_file():
            self._batch(state, routes.read_text(), True)
        return True

    def _wg_set(self, device: dict[str, Any], words: list[str]) -> Done:
        peer: dict[str, Any] = {}
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "peer":
                key = rest.pop(0)
                if rest[:1] == ["remove"]:
                    rest.pop(0)
                    device["peers"].pop(key, None)
                    continue
                empty = {"psk": "", "endpoint": "", "allowed": "", "keepalive": 0}
                peer = device["peers"].setdefault(key, empty)
            elif word == "private-key":
                device["private"] = self._secret(rest.pop(0))
            elif word == "listen-port":
                device["port"] = int(rest.pop(0))
            elif word == "preshared-key":
                peer["psk"] = self._secret(rest.pop(0))
            elif word == "persistent-keepalive":
                peer["keepalive"] = int(rest.pop(0))
            elif word == "allowed-ips":
                peer["allowed"] = rest.pop(0)
            elif word == "endpoint":
                peer["endpoint"] = rest.pop(0)
            else:
                return Done(1, "", f"Invalid argument: {word}")
        return GOOD

    def _secret(self, path: str) -> str:
        return "" if path == "/dev/null" else (self.root / path.lstrip("/")).read_text().strip()

    def _ip_link(self, state: dict[str, Any], words: list[str]) -> Done:
        if words[0] == "delete":
            self._delete(state, words[2])
            return GOOD
        link = state["links"].get(words[2])
        if link is None:
            return Done(1, "", f'Cannot find device "{words[2]}"')
        if words[3] == "mtu":
            link["mtu"] = int(words[4])
        else:
            link["up"] = words[3] == "up"
        return GOOD

    def _delete(self, state: dict[str, Any], name: str) -> None:
        state["links"].pop(name, None)
        state["wg"].pop(name, None)
        state["routes"] = {k: r for k, r in state["routes"].items() if r.get("dev") != name}

    def _batch(self, state: dict[str, Any], data: str, force: bool) -> Done:
        ended = GOOD
        for line in data.splitlines():
            if not line or line.startswith("#"):
                continue
            if not self._line(state, line.split()):
                ended = Done(1, "", f"Command failed: {line}")
                if not force:
                    return ended
        return ended

    def _line(self, state: dict[str, Any], words: list[str]) -> bool:
        what, verb, rest = words[0], words[1], words[2:]
        if what == "address":
            addresses = state["links"][rest[2]]["addresses"]
            if verb == "replace" and rest[0] not in addresses:
                addresses.append(rest[0])
            if verb == "del":
                addresses.remove(rest[0])
            return True
        kind = "7" if rest[0] == "unreachable" else ""
        rest = rest[1:] if kind else rest
        options = dict(zip(rest[1::2], rest[2::2]))
        key = f"{rest[0]} {options['metric']}"
        if options.get("dev", "lo") not in (*state["links"], "lo"):
            return False
        if verb == "del":
            there = state["routes"].get(key)
            if not there or there.get("dev") != options.get("dev"):
                return False
            del state["routes"][key]
            return True
        route = {"dst": rest[0], "protocol": options["proto"], "metric": int(options["metric"])}
        route.update({"type": kind} if kind else {"dev": options["dev"]})
        route.update({"prefsrc": options["src"]} if "src" in options else {})
        state["routes"][key] = route
        return True

    # -- answers

    def _dump(self, state: dict[str, Any]) -> str:
        lines = []
        for name, device in sorted(state["wg"].items()):
            private = device["private"] or "(none)"
            public = public_of(device["private"]) if device["private"] else "(none)"
            lines.append("\t".join([name, private, public, str(device["port"]), "off"]))
            for key, peer in sorted(device["peers"].items()):
                psk, endpoint = peer["psk"] or "(none)", peer["endpoint"] or "(none)"
                rest = [peer["allowed"] or "(none)", "0", "0", "0", str(peer["keepalive"] or "off")]
                lines.append("\t".join([name, key, psk, endpoint, *rest]))
        return "".join(f"{line}\n" for line in lines)

    @staticmethod
    def _link(name: str, link: dict[str, Any]) -> dict[str, Any]:
        addresses = [
            {"local": one.partition("/")[0], "prefixlen": int(one.partition("/")[2])}
            for one in sorted(link["addresses"])
        ]
        flags = ["UP"] if link["up"] else []
        kind = {"info_kind": "wireguard"}
        return {"ifname": name, "mtu": link["mtu"], "flags": flags, "addr_info": addresses, "linkinfo": kind}
