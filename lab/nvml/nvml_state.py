# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state directory of the NVML simulator: "key value" files, one lock, who is alive.

The C library (src/table.c, src/clients.c) reads and writes the same files under the same lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

import nvml_model

DEFAULT_DIRECTORY = Path("/var/lib/nvml-sim")
SCOPES = ("board", "outside", "persistent", "boot", "volatile", "processes", "meter", "mig")

Table = dict[str, str]


class SimError(Exception):
    """A request the simulator cannot follow; the text says why."""


def parse_table(text: str) -> Table:
    """{key: value} of a text with one "key value" a line; '#' starts a comment line."""
    table = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            key, _space, value = line.partition(" ")
            table[key] = value
    return table


def number(table: Table, key: str, fallback: int = 0) -> int:
    """A value as int (decimal or 0x…), or the fallback if the key is absent."""
    return int(table[key], 0) if key in table else fallback


def start_time(pid: str) -> int:
    """Start time of a living process in clock ticks since boot; 0 if it is dead or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


class Store:
    """Reads and writes the files of one state directory. All but `read` wants the lock held."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def exists(self) -> bool:
        return (self.directory / "node").is_file()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the lock; the dead clients are swept out first. SimError if there is no state."""
        if not self.exists():
            raise SimError(f"{self.directory} holds no simulator state: run `nvml-sim init --boards …` first")
        with (self.directory / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.sweep()
            yield

    def read(self, name: str) -> Table:
        try:
            return parse_table((self.directory / name).read_text())
        except FileNotFoundError:
            return {}

    def write(self, name: str, table: Table) -> None:
        """Writes a file whole. Any user may be a client, so the umask must not lock others out.

        What a GPU drew until now is worked out before anything about it changes.
        """
        changed = re.fullmatch(r"gpu(\d+)\.(?!meter)\w+", name)
        if changed and self.exists():
            self.settle(int(changed[1]))
        path = self.directory / name
        temporary = path.with_name(f"{name}.new")
        temporary.write_text("".join(f"{key} {value}\n" for key, value in table.items()))
        with contextlib.suppress(PermissionError):
            temporary.chmod(0o666)
        temporary.replace(path)

    def change(self, name: str, **values: object) -> None:
        """Sets keys of a file; None removes a key."""
        table = self.read(name)
        for key, value in values.items():
            if value is None:
                table.pop(key, None)
            else:
                table[key] = str(value)
        self.write(name, table)

    def settle(self, index: int) -> None:
        """Brings a GPU's meter up to this moment."""
        node = self.read("node")
        tables = {scope: self.gpu(index, scope) for scope in SCOPES}
        running = bool(number(node, "loaded"))
        meter = nvml_model.advanced(tables, nvml_model.now_us(node), running)
        self.write(f"gpu{index}.meter", {**tables["meter"], **meter})

    def gpu_count(self) -> int:
        return number(self.read("node"), "gpu_count")

    def gpu(self, index: int, scope: str) -> Table:
        return self.read(f"gpu{index}.{scope}")

    def clients(self) -> list[str]:
        """The pids of the living clients."""
        table = self.read("clients")
        return [pid for pid, started in table.items() if started != "0" and start_time(pid) == int(started)]

    def sweep(self) -> None:
        """Removes dead clients; if that were the last ones, the GPUs are torn down."""
        known, alive = self.read("clients"), self.clients()
        if len(known) == len(alive):
            return
        self.write("clients", {pid: known[pid] for pid in alive})
        if not alive:
            self.tear_down()

    def tear_down(self) -> None:
        """What happens when nobody uses a GPU: without persistence mode it forgets what is volatile."""
        for index in range(self.gpu_count()):
            held = number(self.gpu(index, "boot"), "persistence_mode") or self.gpu(index, "processes")
            if not held:
                self.write(f"gpu{index}.volatile", {})

    def holders(self) -> list[str]:
        """Everybody who keeps the driver busy: living clients and simulated processes."""
        busy = [pid for index in range(self.gpu_count()) for pid in self.gpu(index, "processes")]
        return sorted({*self.clients(), *busy}, key=int)

    def create(self, node: Table, boards: list[Table]) -> None:
        """Makes the directory anew with this node and these boards; what was there is removed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):
            self.directory.chmod(0o777)
        lock_path = self.directory / "lock"
        lock_path.touch()
        with lock_path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for path in self.directory.iterdir():
                if path.name.startswith("gpu") or path.name in ("node", "clients", "faults", "calls"):
                    path.unlink()
            for index, board in enumerate(boards):
                start = {"at_us": str(nvml_model.now_us(node))}
                for scope in SCOPES:
                    table = {"board": board, "meter": start}.get(scope, {})
                    self.write(f"gpu{index}.{scope}", table)
            self.write("clients", {})
            self.write("faults", {})
            self.write("node", node)

    def log_path(self) -> Path:
        return self.directory / "calls"


def default_directory() -> Path:
    return Path(os.environ.get("NVML_SIM_DIR") or DEFAULT_DIRECTORY)
