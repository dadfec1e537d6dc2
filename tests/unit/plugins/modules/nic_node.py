# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose devices are a tree of files and a JSON file, with the manners of drivers where they matter.

`devices.json`: device → {driver, rings, channels, coalesce, features, rss, qdisc, faults}. `faults`:
  rounds       rings become powers of two
  refuses      setting → error number that the driver answers with
  keeps        features that it takes down as wanted and leaves as they are
  irqs_follow  there are as many interrupts as queues
  loses_link   value of rings.rx with which the link does not come back
"""

from __future__ import annotations

import errno
import functools
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.model import Change
from ansible_collections.swarm.node.plugins.module_utils.nic import (
    asked,
    confirming,
    guard_process,
    qdisc,
    watching,
)
from ansible_collections.swarm.node.plugins.module_utils.nic.ethtool import Counts, Ethtool, Feature
from ansible_collections.swarm.node.plugins.module_utils.nic.layer import NicLayer, NicOptions
from ansible_collections.swarm.node.plugins.module_utils.nic.reapply import Done as Reapplied
from ansible_collections.swarm.node.plugins.module_utils.nic.reapply import reapply
from module_runner import run_forked

FEATURES = {
    "rx-gro": [True, True, True],
    "rx-lro": [False, False, True],
    "rx-gro-list": [False, False, True],
    "rx-gro-hw": [False, False, False],
    "tx-tcp-segmentation": [True, True, True],
    "tx-tcp-ecn-segmentation": [False, False, False],
    "tx-tcp6-segmentation": [True, True, True],
}
NUMBERS = {"tx_queue_len": 1000, "napi_defer_hard_irqs": 0, "gro_flush_timeout": 0}
FIRST_IRQ = 40
MOST_QUEUES = 8
UNLINK, REPLACE = os.unlink, os.replace
"""The device's own: tests that count what the module does replace those of `os`."""


def device(driver: str = "ixgbe", queues: int = 4, **faults: Any) -> dict[str, Any]:
    return {
        "driver": driver,
        "queues": queues,
        "rings": {
            "now": {"rx": 512, "rx-mini": 0, "rx-jumbo": 0, "tx": 512},
            "most": {"rx": 8192, "tx": 8192},
        },
        "channels": {
            "now": {"rx": 0, "tx": 0, "other": 1, "combined": queues},
            "most": {"combined": MOST_QUEUES},
        },
        "coalesce": {"rx-usecs": 3, "tx-usecs": 3},
        "features": {name: list(bits) for name, bits in FEATURES.items()},
        "rss": [index % queues for index in range(16)],
        "qdisc": ["mq", False, "fq_codel"],
        "faults": faults,
    }


class FakeEthtool(Ethtool):
    """Ethtool's calls on `devices.json`."""

    def __init__(self, node: NicNode) -> None:
        super().__init__()
        self.node = node

    def driver(self, device: str) -> str:
        return str(self._of(device)["driver"])

    def rings(self, device: str) -> Counts:
        return self._counts(device, "rings", ("rx", "rx-mini", "rx-jumbo", "tx"))

    def channels(self, device: str) -> Counts:
        return self._counts(device, "channels", ("rx", "tx", "other", "combined"))

    def set_rings(self, device: str, values: Mapping[str, int]) -> None:
        def write(body: dict[str, Any]) -> None:
            wanted = dict(values)
            if body["faults"].get("rounds"):
                wanted = {name: 1 << (value - 1).bit_length() for name, value in values.items()}
            body["rings"]["now"].update(wanted)
            lost = body["faults"].get("loses_link")
            self.node.carrier(device, lost is None or body["rings"]["now"]["rx"] != lost)

        self._write(device, "rings", values, write)

    def set_channels(self, device: str, values: Mapping[str, int]) -> None:
        def write(body: dict[str, Any]) -> None:
            body["channels"]["now"].update(values)
            count = body["channels"]["now"]["combined"]
            body["rss"] = [index % count for index in range(16)]
            self.node.make_queues(device, count)
            if body["faults"].get("irqs_follow"):
                self.node.make_irqs(device, count)

        self._write(device, "channels", values, write)

    def coalesce(self, device: str) -> dict[str, int]:
        return dict(self._of(device)["coalesce"])

    def set_coalesce(self, device: str, values: Mapping[str, int]) -> None:
        self._write(device, "coalesce", values, lambda body: body["coalesce"].update(values))

    def features(self, device: str) -> dict[str, Feature]:
        return {name: Feature(*bits) for name, bits in self._of(device)["features"].items()}

    def set_features(self, device: str, values: Mapping[str, bool]) -> bool:
        kept = self._of(device)["faults"].get("keeps", [])

        def write(body: dict[str, Any]) -> None:
            for name, value in values.items():
                bits = body["features"][name]
                body["features"][name] = [bits[0] if name in kept else value, value, bits[2]]

        self._write(device, "features", values, write)
        return not set(kept) & set(values)

    def rx_rings(self, device: str) -> int:
        return int(self._of(device)["channels"]["now"]["combined"])

    def indirection(self, device: str) -> list[int]:
        return list(self._of(device)["rss"])

    def set_indirection(self, device: str, table: Sequence[int]) -> None:
        even = [index % self.rx_rings(device) for index in range(16)]
        self._write(device, "rss", {"equal": 0}, lambda body: body.update(rss=list(table) or even))

    def _of(self, device: str) -> dict[str, Any]:
        found = self.node.devices().get(device)
        if found is None:
            raise OSError(errno.ENODEV, "No such device")
        return found

    def _counts(self, device: str, group: str, names: Sequence[str]) -> Counts:
        body = self._of(device)[group]
        return Counts(
            {name: body["now"].get(name, 0) for name in names},
            {name: body["most"].get(name, 0) for name in names},
        )

    def _write(
        self, device: str, group: str, values: Mapping[str, Any], write: Callable[[dict[str, Any]], None]
    ) -> None:
        touch(f"{group} {device}")
        body = self._of(device)
        for name in values:
            number = body["faults"].get("refuses", {}).get(f"{group}.{name}")
            if number:
                raise OSError(number, os.strerror(number))
        write(body)
        self.node.put(device, body)


def touch(what: str) -> None:
    """Every write of the driver's or tc's comes by here, for tests that make one fail or the process die."""


class NicNode:
    """`root` is the node's tree; records are in `base/state`, the lock in `base/run`."""

    def __init__(self, base: Path, systemd: bool = True, **devices: dict[str, Any]) -> None:
        self.base = base
        self.root = base / "root"
        self.net = self.root / "sys/class/net"
        base.mkdir(parents=True, exist_ok=True)
        self._text("sys/devices/system/cpu/online", "0-7")
        self._text("proc/self/status", "CapEff:\t000001ffffffffff")
        self._text("proc/sys/kernel/random/boot_id", "boot-1")
        (self.root / "etc").mkdir()
        if systemd:
            (self.root / "run/systemd/system").mkdir(parents=True)
        self._save({})
        for name, body in (devices or {"eth0": device()}).items():
            self.add(name, body)

    # -- the node

    def add(self, name: str, body: dict[str, Any]) -> None:
        self._save({**self.devices(), name: body})
        bus = f"sys/devices/pci0000:00/{name}"
        self._text(f"{bus}/local_cpulist", "0-3")
        first = FIRST_IRQ + 10 * int(name[-1])
        for number in range(first, first + 4):
            self._text(f"{bus}/msi_irqs/{number}", "msix")
            self._text(f"proc/irq/{number}/smp_affinity_list", "0-7")
        for setting, number in NUMBERS.items():
            self._text(f"sys/class/net/{name}/{setting}", str(number))
        self._text(f"sys/class/net/{name}/flags", "0x1003")
        (self.net / name / "device").symlink_to(self.root / bus)
        self.carrier(name, True)
        self.make_queues(name, body["channels"]["now"]["combined"])

    def remove(self, name: str) -> None:
        found = self.devices()
        del found[name]
        self._save(found)
        (self.net / name).rename(self.base / f"gone-{name}-{time.time_ns()}")

    def make_queues(self, name: str, count: int) -> None:
        """As a driver makes them anew: nothing is set."""
        for index in range(MOST_QUEUES):
            for side, file in (("rx", "rps_cpus"), ("tx", "xps_cpus")):
                place = self.net / name / f"queues/{side}-{index}"
                if index < count:
                    self._text(f"{place.relative_to(self.root)}/{file}", "00")
                elif place.exists():
                    UNLINK(place / file)
                    place.rmdir()

    def make_irqs(self, name: str, count: int) -> None:
        """As many as queues; those that are new are everywhere."""
        first = FIRST_IRQ + 10 * int(name[-1])
        for number in range(first, first + MOST_QUEUES):
            place = self.root / f"proc/irq/{number}/smp_affinity_list"
            if number < first + count and not place.exists():
                self._text(f"sys/devices/pci0000:00/{name}/msi_irqs/{number}", "msix")
                self._text(f"proc/irq/{number}/smp_affinity_list", "0-7")
            elif number >= first + count and place.exists():
                UNLINK(place)

    def carrier(self, name: str, there: bool) -> None:
        self._text(f"sys/class/net/{name}/carrier", "1" if there else "0")

    def close(self, name: str) -> None:
        """As before the network comes up: the driver has asked for no interrupt yet."""
        self._text(f"sys/class/net/{name}/flags", "0x1002")
        for number in self._irqs(name):
            UNLINK(self.root / f"proc/irq/{number}/smp_affinity_list")

    def open(self, name: str) -> None:
        """The driver asks for its interrupts, and hands out the CPUs of XPS as it likes."""
        for number in self._irqs(name):
            self._text(f"proc/irq/{number}/smp_affinity_list", "0-7")
        for path in (self.net / name / "queues").glob("tx-*/xps_cpus"):
            self._text(str(path.relative_to(self.root)), "80")
        self._text(f"sys/class/net/{name}/flags", "0x1003")

    def _irqs(self, name: str) -> list[str]:
        return [path.name for path in (self.net / name / "device/msi_irqs").iterdir()]

    def reboot(self) -> None:
        """Every live value is the driver's again, and the run directory is empty."""
        found = self.devices()
        self._text("proc/sys/kernel/random/boot_id", f"boot-{time.time_ns()}")
        for path in sorted(Path(self.base / "run").rglob("*"), reverse=True):
            path.unlink()
        for name in list(found):
            self.remove(name)
        for name, body in found.items():
            self.add(name, device(body["driver"], body["queues"], **body["faults"]))

    def devices(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.base / "devices.json").read_text())
        return found

    def put(self, name: str, body: dict[str, Any]) -> None:
        self._save({**self.devices(), name: body})

    def live(self) -> dict[str, Any]:
        """Every setting of every device, as it is."""
        found: dict[str, Any] = {}
        for name, body in self.devices().items():
            found[name] = {key: body[key] for key in ("rings", "channels", "coalesce", "rss", "qdisc")}
            found[name]["features"] = {key: bits[0] for key, bits in body["features"].items()}
            files = [self.net / name / setting for setting in NUMBERS]
            files += sorted((self.net / name / "queues").rglob("*_cpus")) + sorted(
                self.root.glob("proc/irq/*/*")
            )
            found[name]["files"] = {str(path.relative_to(self.root)): _plain(path) for path in files}
        return found

    def installed(self) -> list[str]:
        """Files below /etc and /usr."""
        found = [
            path for part in ("etc", "usr") for path in (self.root / part).rglob("*") if not path.is_dir()
        ]
        return sorted(str(path.relative_to(self.root)) for path in found)

    def _save(self, body: dict[str, Any]) -> None:
        place = self.base / "devices.new"
        place.write_text(json.dumps(body))
        REPLACE(place, self.base / "devices.json")

    def _text(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")

    # -- its commands

    def run(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        words = list(argv)
        if words[:4] == list(qdisc.SHOW):
            return Done(0, json.dumps(self._qdiscs()), "")
        if words[0] == "tc":
            lines = [line.split() for line in data.splitlines()] if "-batch" in words else [words[1:]]
            return next(
                (done for done in (self._tc(line) for line in lines) if not done.good), Done(0, "", "")
            )
        if words[0] == "systemd-run":
            self.fork_guard(words)
        answers = {
            "addr": [
                {"ifname": name, "addr_info": [{"local": "10.0.0.1", "prefixlen": 24}]}
                for name in self.devices()
            ],
            "route": [{"dst": "default", "gateway": "10.0.0.254", "dev": min(self.devices(), default="")}],
            "neigh": [{"lladdr": "52:54:00:00:00:01", "state": ["REACHABLE"]}],
        }
        found = next((answer for word, answer in answers.items() if word in words and "-6" not in words), [])
        return Done(0, json.dumps(found), "")

    def _qdiscs(self) -> list[dict[str, Any]]:
        found = []
        for name, body in self.devices().items():
            root, explicit, leaf = body["qdisc"]
            handle = "5a:" if explicit else "0:"
            found.append({"kind": root, "handle": handle, "dev": name, "root": True})
            if leaf:
                found.append({"kind": leaf, "handle": "0:", "dev": name, "parent": f"{handle}1"})
        return found

    def _tc(self, words: Sequence[str]) -> Done:
        name = words[words.index("dev") + 1]
        touch(f"qdisc {name}")
        body = self.devices()[name]
        if words[-1] in body["faults"].get("no_qdisc", []):
            said = body["faults"].get("no_qdisc_says", "Error: Specified qdisc kind is unknown.")
            return Done(2, "", said)
        if words[1] == "del":
            body["qdisc"] = ["mq", False, "fq_codel"]
        elif "parent" in words:
            body["qdisc"][2] = words[-1]
        else:
            body["qdisc"] = [words[-1], True, "fq_codel" if words[-1] == "mq" else ""]
        self.put(name, body)
        return Done(0, "", "")

    # -- the module and its program

    def options(self, **other: Any) -> NicOptions:
        base = {"root": self.root, "state_dir": str(self.base / "state"), "run_dir": str(self.base / "run")}
        return NicOptions(
            **{**base, "runner": self.run, "ethtool": FakeEthtool(self), "link_timeout": 1.0, **other}
        )

    def layer(self, **other: Any) -> NicLayer:
        return NicLayer(self.options(**other))

    def patch(self) -> None:
        """In the module's process: this node instead of the machine."""
        made = functools.partial(
            NicOptions, runner=lambda *words, **more: self.run(*words, **more), ethtool=FakeEthtool(self)
        )
        setattr(asked, "NicOptions", made)  # noqa: B010
        setattr(confirming, "NicOptions", made)  # noqa: B010
        setattr(guard_process, "spawn", self.fork_guard)  # noqa: B010

    def fork_guard(self, argv: Sequence[str]) -> None:
        """The guard as a process of its own, which a killed module does not take along."""
        if os.fork() == 0:
            code = 70
            try:
                if os.fork() == 0:
                    os.setsid()
                    quiet = os.open(os.devnull, os.O_RDWR)
                    for number in (0, 1, 2):
                        os.dup2(quiet, number)
                    os.closerange(3, 256)
                    code = watching.guard_it(self.layer().guard, lambda: self.layer().parts, pauses=(0.2,))
                else:
                    code = 0
            finally:
                os._exit(code)
        os.wait()

    def parameters(self, **options: Any) -> dict[str, Any]:
        check = options.pop("check", False)
        places = {
            "root": str(self.root),
            "state_dir": str(self.base / "state"),
            "run_dir": str(self.base / "run"),
        }
        defaults = {"confirm_seconds": 0, "max_disruption": "peer_jobs", "link_timeout": 1}
        return {"_ansible_check_mode": check, **places, **defaults, **options}

    def apply(self, before: Callable[[], None] | None = None, **options: Any) -> dict[str, Any]:
        """The module's answer. `before` runs in its process first; raises Killed."""

        def prepare() -> None:
            self.patch()
            if before:
                before()

        return run_forked("nic", self.parameters(**options), prepare)

    def boot(self) -> list[Reapplied]:
        """What the boot unit does."""
        return reapply(self.options())

    def record(self) -> dict[str, Any] | None:
        path = self.base / "state/nic.json"
        return json.loads(path.read_text())["claims"] if path.exists() else None

    def armed(self) -> bool:
        return (self.base / "state/nic/armed.json").exists()

    def wait(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.05)


def _plain(path: Path) -> str:
    """A file's value; of a mask the way the kernel always writes it."""
    text = path.read_text().strip()
    return f"{int(text, 16):08x}" if path.name.endswith("_cpus") else text


def differences(one: dict[str, Any], other: dict[str, Any], name: str = "") -> list[str]:
    """`eth0 rings now rx: 512, 1024` …, of two answers of `live`."""
    found: list[str] = []
    for key in sorted({*one, *other}):
        mine, theirs = one.get(key), other.get(key)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            found += differences(mine, theirs, f"{name} {key}".strip())
        elif mine != theirs:
            found.append(f"{name} {key}: {mine}, {theirs}")
    return found


def labels(answer: Mapping[str, Any]) -> dict[str, Any]:
    """`rings.rx eth0` → after, of an answer's changes of settings."""
    return {
        f"{change['key'][4:]} {change['target']}": change["after"]
        for change in answer["changes"]
        if change["key"].startswith("nic.") and change["key"] not in ("nic.guard", "nic.boot")
    }


__all__ = ["Change", "FakeEthtool", "NicNode", "device", "differences", "labels", "touch"]


WISH: dict[str, Any] = {
    "all": {
        "rings": {"rx": "max", "tx": 1024},
        "channels": {"combined": "max"},
        "coalesce": {"rx-usecs": 50},
        "features": {"gro": False, "rx-gro-list": True},
        "rps": "local",
        "xps": "local",
        "irq_affinity": "local",
        "txqueuelen": 10000,
        "napi_defer_hard_irqs": 2,
        "qdisc": "mq+fq",
    }
}
FILES = [
    "etc/systemd/system/multi-user.target.wants/swarm-node-nic.service",
    "etc/systemd/system/swarm-node-nic.service",
    "etc/udev/rules.d/90-swarm-node-nic.rules",
    "usr/local/lib/swarm_node/swarm_node_nic.pyz",
]
