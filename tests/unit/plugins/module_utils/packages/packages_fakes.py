# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small distribution in a directory: apt-get, apt-cache and dpkg-query that never touch this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.packages.layer import PackagesLayer
from ansible_collections.swarm.node.plugins.module_utils.packages.model import Settings, wishes_from
from ansible_collections.swarm.node.plugins.module_utils.packages.port import PackagesPort

PROGRAM = r'''
import json, os, sys, time
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
WORLD = HOME / "world.json"
world = json.loads(WORLD.read_text())
name = os.path.basename(sys.argv[0])
raw = sys.argv[1:]
with (HOME / "calls.log").open("a") as log:
    log.write(json.dumps([name, *raw]) + "\n")


def save():
    WORLD.write_text(json.dumps(world))


def words(values):
    """The arguments that are no options; -o and -f take the next one with them."""
    found, skip = [], False
    for value in values:
        if skip:
            skip = False
        elif value in ("-o", "-f"):
            skip = True
        elif not value.startswith("-"):
            found.append(value)
    return found


def failing(step):
    """Fails as told; `times` counts down, `half` leaves packages half-configured."""
    fault = world["faults"].get(step)
    if not fault or fault.get("times", 1) == 0:
        return
    if "times" in fault:
        fault["times"] -= 1
    for package in fault.get("half", []):
        world["installed"][package] = {**world["repo"][package], "status": "half-configured"}
    for package in fault.get("whole", []):
        world["installed"][package] = {**world["repo"][package], "status": "installed"}
    if fault.get("fresh"):
        world["repo"].update(world["fresh"])
    save()
    sys.stderr.write(fault.get("err", "") + "\n")
    sys.exit(fault.get("code", 100))


def closure(names):
    todo, found = list(names), []
    while todo:
        package = todo.pop()
        if package in found:
            continue
        there = world["installed"].get(package)
        known = world["repo"].get(package)
        if known is None:
            sys.stderr.write("E: Unable to locate package %s\n" % package)
            sys.exit(100)
        needs_newer = package in world["upgrades"]
        if there and there["status"] == "installed" and not needs_newer:
            continue
        found.append(package)
        todo += known.get("depends", [])
    return sorted(found)


def conflicts(found):
    for package in found:
        for rival in world["repo"][package].get("conflicts", []):
            if rival in found:
                sys.stderr.write("E: Unable to correct problems, you have held broken packages.\n")
                sys.exit(100)
            if rival in world["installed"]:
                yield rival


def simulate(found, gone):
    for package in gone:
        print("Remv %s [%s]" % (package, world["installed"][package]["version"]))
    for package in found:
        old = world["installed"].get(package)
        was = " [%s]" % old["version"] if old and old["status"] == "installed" else ""
        print("Inst %s%s (%s Debian:12/oldstable [all])" % (package, was, world["repo"][package]["version"]))
    for package in found:
        print("Conf %s (%s Debian:12/oldstable [all])" % (package, world["repo"][package]["version"]))


def dependants(names):
    gone = set(names)
    while True:
        more = {p for p, item in world["installed"].items() if set(item.get("depends", [])) & gone} - gone
        if not more:
            return sorted(gone)
        gone |= more


def apt_get():
    verb, *names = words(raw)
    if verb == "update":
        failing("update")
        world["repo"].update(world["fresh"])
        return save()
    if verb == "remove":
        gone = dependants(names)
        if "-s" in raw:
            failing("simulate-remove")
            return simulate([], gone)
        failing("remove")
        for package in gone:
            world["installed"][package]["status"] = "config-files"
        return save()
    if "-s" in raw:
        failing("simulate")
        found = closure(names)
        return simulate(found, sorted(set(conflicts(found))))
    if "--download-only" in raw:
        return failing("download")
    time.sleep(world.get("slow", 0))
    failing("install")
    found = closure(names)
    for package in found:
        version = world.get("other_version") or world["repo"][package]["version"]
        world["installed"][package] = {**world["repo"][package], "version": version, "status": "installed"}
    return save()


if name == "dpkg-query":
    failing("dpkg-query")
    for package, item in world["installed"].items():
        print("\t".join([package, "all", item["status"], "ok", item["version"], item.get("provides", "")]))
elif name == "apt-cache":
    failing("policy")
    for package in words(raw)[1:]:
        if package in world["repo"]:
            print("%s:\n  Installed: (none)\n  Candidate: %s" % (package, world["repo"][package]["version"]))
else:
    apt_get()
'''

REPO: dict[str, dict[str, Any]] = {
    "python3-psutil": {"version": "5.9.4-1+b1", "depends": ["libps"]},
    "libps": {"version": "1.0"},
    "python3-pynvml": {"version": "11.525-1", "depends": ["libnvidia-ml1"]},
    "libnvidia-ml1": {"version": "535.261-1", "depends": ["update-glx"]},
    "update-glx": {"version": "1.2"},
    "ethtool": {"version": "6.1"},
    "nullmailer": {"version": "2.2", "conflicts": ["postfix"]},
    "duel-a": {"version": "1", "conflicts": ["duel-b"]},
    "duel-b": {"version": "1", "conflicts": ["duel-a"]},
}

INSTALLED: dict[str, dict[str, Any]] = {
    "dpkg": {"version": "1.21.22", "status": "installed"},
    "postfix": {"version": "3.7", "status": "installed"},
}


class Distribution:
    """The directory with the programs. `world` may be edited with `change`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bin = home / "bin"
        self.bin.mkdir(parents=True)
        for name in ("apt-get", "apt-cache", "dpkg-query"):
            program = self.bin / name
            program.write_text(f"#!{sys.executable} -IS\n{PROGRAM}", encoding="utf-8")
            program.chmod(0o755)
        self._save({"repo": REPO, "fresh": {}, "installed": INSTALLED, "faults": {}, "upgrades": []})

    def _save(self, world: dict[str, Any]) -> None:
        (self.home / "world.json").write_text(json.dumps(world), encoding="utf-8")

    @property
    def world(self) -> dict[str, Any]:
        return json.loads((self.home / "world.json").read_text(encoding="utf-8"))

    def change(self, **parts: Any) -> None:
        """Merges dicts into the world's dicts, replaces anything else."""
        world = self.world
        for key, value in parts.items():
            if isinstance(value, dict) and isinstance(world.get(key), dict):
                world[key].update(value)
            else:
                world[key] = value
        self._save(world)

    def install(self, name: str, version: str = "0.9", **more: Any) -> None:
        self.change(installed={name: {"version": version, "status": "installed", **more}})

    def installed(self) -> set[str]:
        """What is installed beyond the base."""
        items = self.world["installed"].items()
        return {name for name, item in items if item["status"] == "installed"} - set(INSTALLED)

    def calls(self) -> list[list[str]]:
        log = self.home / "calls.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def forget_calls(self) -> None:
        (self.home / "calls.log").unlink(missing_ok=True)

    def changing_calls(self) -> list[str]:
        """The verbs of calls that change something: update, download, install, remove."""
        found = []
        for name, *rest in self.calls():
            if name != "apt-get" or "-s" in rest:
                continue
            verb = next(word for word in rest if word in ("update", "install", "remove"))
            found.append("download" if "--download-only" in rest else verb)
        return found


def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """A distribution that is all there is on PATH."""
    made = Distribution(tmp_path / "distribution")
    monkeypatch.setenv("PATH", str(made.bin))
    return made


FORBID = ("libnvidia-*", "nvidia-*", "linux-image-*")


class Node:
    """Runs transactions on a distribution."""

    def __init__(self, distribution: Distribution, tmp_path: Path) -> None:
        self.distribution = distribution
        self.sources = tmp_path / "sources.list.d"
        self.sources.mkdir()
        self.store = Store(str(tmp_path / "state"), str(tmp_path / "run"))

    def run(
        self, *names: str, check: bool = False, required: tuple[str, ...] = (), **options: Any
    ) -> Outcome:
        lock_timeout = options.pop("lock_timeout", 0)
        settings = Settings(FORBID, mode="check" if check else "apply", **options)
        layer = PackagesLayer(
            PackagesPort(lock_timeout, str(self.store.run), (str(self.sources),)),
            wishes_from(list(names), list(required), {}),
            settings,
        )
        return reconcile(layer, self.store, Request("packages", check=check))

    def claims(self) -> dict[str, Any]:
        return self.store.load("packages").claims

    def journal(self) -> bool:
        return self.store.journal_path("packages").exists()
