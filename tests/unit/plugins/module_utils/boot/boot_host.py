# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of files with a systemctl that remembers, on which the boot part is tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.boot.owners import Owner
from ansible_collections.swarm.node.plugins.module_utils.boot.part import BootOptions, BootPart
from ansible_collections.swarm.node.plugins.module_utils.boot.paths import (
    PROGRAM,
    SERVICE,
    TIMER,
    UDEV_RULE,
    WATCH,
    links,
    owner_path,
    unit_path,
)
from ansible_collections.swarm.node.plugins.module_utils.core.composite import Composite
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim, Plan
from ansible_collections.swarm.node.plugins.module_utils.core.store import Record, Store

ALL_FILES = {PROGRAM, owner_path("gpu"), UDEV_RULE, *map(unit_path, (SERVICE, WATCH, TIMER))}
ALL_LINKS = {*links(SERVICE), *links(TIMER)}

SYSTEMCTL = """\
#!/bin/sh
# Knows a unit once it was shown, as systemd does while another unit refers to it.
here={here}; units={root}/etc/systemd/system
echo "$*" >>"$here/log"
[ ! -e "$here/fail" ] || [ "$(cat "$here/fail")" != "$1" ] || {{ echo "told to fail" >&2; exit 1; }}
word=$1; shift
case $word in
--version) cat "$here/version" ;;
show)
    case $1 in --property=DeviceAllow) cat "$here/devices" 2>/dev/null; exit 0 ;; esac
    shift
    for unit; do
        load=not-found active=inactive stale=no
        if [ -e "$units/$unit" ] && [ ! -e "$here/loaded.$unit" ] && [ ! -e "$here/forgetful" ]; then
            cp "$units/$unit" "$here/loaded.$unit"
        fi
        if [ -e "$here/loaded.$unit" ]; then
            load=loaded
            cmp -s "$units/$unit" "$here/loaded.$unit" || stale=yes
        fi
        [ -e "$here/active.$unit" ] && active=$(cat "$here/active.$unit")
        grep -h '^After=' "$units/$unit" 2>/dev/null
        printf 'Id=%s\nLoadState=%s\nActiveState=%s\nNeedDaemonReload=%s\n\n' "$unit" $load $active $stale
    done ;;
start) for unit; do echo active >"$here/active.$unit"; done ;;
stop|reset-failed) for unit; do rm -f "$here/active.$unit"; done ;;
daemon-reload)
    rm -f "$here"/loaded.* "$here/forgetful"
    for unit in "$units"/swarm-node-*; do [ -f "$unit" ] && cp "$unit" "$here/loaded.${{unit##*/}}"; done
    exit 0 ;;
esac
"""


def keys(outcome: Any) -> list[str]:
    return [change.key for change in outcome.plan.changes]


class OnePart:
    """Stands for the settings before the boot part: it claims what it is told to."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.port = NoPort()

    def owns(self, key: str) -> bool:
        return key.startswith("gpu.")

    def read(self) -> None:
        return None

    def plan(self, state: Any, record: Record, others: dict[str, str]) -> Plan:
        return Plan(claims={name: record.claims.get(name, Claim(1, 2)) for name in self.names})


class NoPort:
    writes = 0

    def apply(self, change: Any) -> None:
        raise AssertionError(change)

    undo = readback = apply

    def reopen(self) -> None:
        pass


class Host:
    """`root` is the node's file system, `systemd` the directory of its stand-in."""

    def __init__(self, base: Path, systemd: bool = True) -> None:
        self.root, self.systemd, self.base = base / "root", base / "systemd", base
        self.systemd.mkdir(parents=True)
        self.root.mkdir()
        if systemd:
            (self.root / "run/systemd/system").mkdir(parents=True)
        device = self.root / "sys/bus/pci/devices/0000:01:00.0"
        device.mkdir(parents=True)
        for name, text in (("vendor", "0x10de"), ("class", "0x030200")):
            (device / name).write_text(text)
        self.command = self.systemd / "systemctl"
        self.command.write_text(SYSTEMCTL.format(here=self.systemd, root=self.root))
        self.command.chmod(0o755)
        (self.systemd / "version").write_text("systemd 252 (252.38-1~deb12u1)\n")
        self.store = Store(str(base / "state"), str(base / "run"))

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def part(self, owner: Owner | None = None, wanted: bool = True, **options: Any) -> BootPart:
        given: dict[str, Any] = {
            "root": self.root,
            "systemctl": str(self.command),
            "python": "/usr/bin/python3",
            **options,
        }
        return BootPart(BootOptions(owner or Owner("gpu"), str(self.base / "state"), wanted, **given), dict)

    def run(
        self,
        claims: tuple[str, ...] = ("gpu.power_limit GPU-1",),
        owner: Owner | None = None,
        check: bool = False,
        max_disruption: str = "perf",
        patch: Callable[[BootPart], None] | None = None,
        **options: Any,
    ) -> Outcome:
        part = self.part(owner, **options)
        layer = Composite("gpu", [OnePart(list(claims)), part], lambda: "")
        part.claims = lambda: layer.planned.claims
        if patch:
            patch(part)
        request = Request(part.options.owner.name, check, max_disruption)
        store = Store(str(self.store.state), str(self.store.run))
        return reconcile(layer, store, request)

    def asked(self, clear: bool = True) -> list[str]:
        """What systemctl was asked to do, without questions."""
        log = self.systemd / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        if clear:
            log.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith(("show", "--version"))]

    def files(self) -> dict[str, str]:
        """Every file and link below /etc and /usr, with its content."""
        found = {}
        for top in ("etc", "usr"):
            for path in sorted((self.root / top).rglob("*")):
                name = "/" + str(path.relative_to(self.root))
                if path.is_symlink():
                    found[name] = f"-> {path.readlink()}"
                elif path.is_file():
                    found[name] = path.read_bytes().decode("utf-8", "surrogateescape")
        return found
