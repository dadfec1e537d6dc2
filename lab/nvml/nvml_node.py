# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to a simulated node from outside: `Node` holds every command of the CLI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nvml_boards
import nvml_mig
import nvml_model
import nvml_pci
import nvml_processes
from nvml_keys import HOMES, MIG_HOMES, NODE_KEYS, TEXT_KEYS
from nvml_state import SCOPES, SimError, Store, Table, number

ERRORS = {
    "SUCCESS": 0, "UNINITIALIZED": 1, "INVALID_ARGUMENT": 2, "NOT_SUPPORTED": 3, "NO_PERMISSION": 4,
    "ALREADY_INITIALIZED": 5, "NOT_FOUND": 6, "INSUFFICIENT_SIZE": 7, "INSUFFICIENT_POWER": 8,
    "DRIVER_NOT_LOADED": 9, "TIMEOUT": 10, "IRQ_ISSUE": 11, "LIBRARY_NOT_FOUND": 12, "FUNCTION_NOT_FOUND": 13,
    "CORRUPTED_INFOROM": 14, "GPU_IS_LOST": 15, "RESET_REQUIRED": 16, "OPERATING_SYSTEM": 17,
    "LIB_RM_VERSION_MISMATCH": 18, "IN_USE": 19, "MEMORY": 20, "NO_DATA": 21, "VGPU_ECC_NOT_SUPPORTED": 22,
    "INSUFFICIENT_RESOURCES": 23, "FREQ_NOT_SUPPORTED": 24, "ARGUMENT_VERSION_MISMATCH": 25, "DEPRECATED": 26,
    "NOT_READY": 27, "GPU_NOT_FOUND": 28, "INVALID_STATE": 29, "UNKNOWN": 999,
}  # fmt: skip
ERROR_NAMES = {code: name for name, code in ERRORS.items()}


def error_code(name: str) -> int:
    """'GPU_IS_LOST', 'NVML_ERROR_GPU_IS_LOST' or '15' -> 15."""
    short = name.upper().removeprefix("NVML_ERROR_").removeprefix("NVML_")
    if short in ERRORS:
        return ERRORS[short]
    if name.isdigit():
        return int(name)
    raise SimError(f"error {name!r}: not an NVML error; there are: {', '.join(ERRORS)} or a number")


class Node(Store):
    """A simulated node. Every method takes the lock itself.

    `functions`: a file naming the functions of the library as built; without it any name may be injected.
    """

    def __init__(self, directory: Path | str, functions: Path | None = None) -> None:
        super().__init__(directory)
        self.functions = functions or Path(__file__).resolve().parent / "functions.txt"

    def init(
        self,
        boards: str,
        driver: str = "550.163.01",
        numa_nodes: int | None = None,
        seed: str | None = None,
        topology: str = "node",
        nvlink: str = "auto",
        nics: int = 0,
    ) -> None:
        """Makes the node anew. `boards`: 'h100:8' or 'l40s:4,t4:2'; `seed` makes the UUIDs repeatable.

        `topology` and `nvlink` as nvml_topology has them; `nics`: network cards, spread over the GPUs.
        """
        nodes = nvml_boards.host_nodes() if numa_nodes is None else numa_nodes
        if nodes < 1:
            raise SimError(f"numa nodes {numa_nodes}: expected 1 or more")
        if nics < 0:
            raise SimError(f"nics {nics}: expected 0 or more")
        tables = nvml_boards.make_boards(nvml_boards.parse_boards(boards), nodes, seed, topology, nvlink)
        node = {
            "driver_version": driver,
            **nvml_boards.driver_versions(driver),
            "gpu_count": str(len(tables)),
        }
        node["nics"] = str(nics)
        self.create({**node, "loaded": "1", "loads": "1", "boots": "1", "log": "0"}, tables)

    def check_gpu(self, gpu: str | int) -> int:
        """The index of a GPU given as index or UUID."""
        count = self.gpu_count()
        if str(gpu).isdigit() and int(gpu) < count:
            return int(gpu)
        for index in range(count):
            if self.gpu(index, "board")["uuid"] == gpu:
                return index
        raise SimError(f"GPU {gpu!r}: no such GPU, the node has 0 to {count - 1}")

    def set_node(self, key: str, value: str | None) -> None:
        with self.locked():
            if key not in NODE_KEYS:
                raise SimError(f"key {key!r} of the node: not one of {', '.join(NODE_KEYS)}")
            moments = range(self.gpu_count()) if key == "clock_us" else ()
            for index in moments:
                self.settle(index)
            self.change("node", **{key: value})
            for index in moments:
                self.settle(index)

    def set_value(self, gpu: str | int, key: str, value: str | None) -> None:
        """Changes a value behind everybody's back, unchecked against the board; None: back to the default."""
        with self.locked():
            index = self.check_gpu(gpu)
            board = self.gpu(index, "board")
            scope = HOMES.get(key, "board" if key in board else None)
            if scope == "mig":
                scope = MIG_HOMES.get(board["mig"])
            if scope is None:
                raise SimError(
                    f"key {key!r} of GPU {index} ({board['name']}): not one of {', '.join(sorted(HOMES))}"
                )
            if scope == "board" and value is None:
                raise SimError(f"key {key!r} of GPU {index}: what the board is has no default to return to")
            pattern, words = TEXT_KEYS.get(key, (r"\d+|0x[0-9a-fA-F]+", "a number"))
            if scope != "board" and value is not None and not re.fullmatch(pattern, value):
                raise SimError(f"key {key!r} of GPU {index}: {value!r} is not {words}")
            self.change(f"gpu{index}.{scope}", **{key: value})

    def inject(
        self, function: str, error: str, gpu: str | int | None = None, skip: int = 0, times: int | None = None
    ) -> None:
        """Lets a function fail: after `skip` good calls, `times` times (None: always), on one GPU or all."""
        if self.functions.is_file() and function not in self.functions.read_text().split():
            raise SimError(f"function {function!r}: the library exports no such function")
        if not re.fullmatch(r"nvml\w{1,50}", function):
            raise SimError(f"function {function!r}: not the name of an NVML function")
        if skip < 0 or (times is not None and times < 1):
            raise SimError(f"skip {skip}, times {times}: expected skip >= 0 and times >= 1")
        code = error_code(error)
        with self.locked():
            target = "all" if gpu is None else self.check_gpu(gpu)
            faults = self.read("faults")
            row = str(max((int(known) for known in faults), default=0) + 1)
            left = "always" if times is None else times
            faults[row] = f"function={function} code={code} gpu={target} skip={skip} times={left}"
            self.write("faults", faults)

    def clear(self) -> None:
        """Forgets all injected failures."""
        with self.locked():
            self.write("faults", {})

    def process(self, gpu: str | int, pid: int, mib: int | None, force: bool = False) -> None:
        """Lets a process hold `mib` of a GPU's memory; None: it is gone.

        `gpu` may also be a MIG device, as nvml_mig.place has it. SimError if the compute mode lets it
        not in, unless `force`.
        """
        with self.locked():
            whole, instance = nvml_mig.place(self, str(gpu))
            index = self.check_gpu(whole)
            held = None if mib is None else f"{mib} {instance}".strip()
            tables = {scope: self.gpu(index, scope) for scope in SCOPES}
            boot, mig, running = (tables[scope] for scope in ("boot", "mig", "processes"))
            why = "" if mib is None else nvml_processes.refusal(boot, mig, running, pid, instance)
            if why and not force:
                raise SimError(f"process {pid} on GPU {gpu}: {why} (--force does it all the same)")
            self.change(f"gpu{index}.processes", **{str(pid): held})
            self.account(index, pid, mib)
            if mib is None and not self.clients():
                self.tear_down()
            self.update_module_tree()

    def account(self, index: int, pid: int, mib: int | None) -> None:
        tables = {scope: self.gpu(index, scope) for scope in SCOPES}
        rows = self.read(f"gpu{index}.accounting")
        on = bool(number(tables["volatile"], "accounting_mode"))
        now = nvml_model.now_us(self.read("node"))
        new = nvml_processes.accounted(rows, on, pid, mib, now, nvml_model.utilization(tables))
        if new != rows:
            self.write(f"gpu{index}.accounting", new)

    def log(self, on: bool) -> None:
        with self.locked():
            self.change("node", log=int(on))

    def calls(self, clear: bool = False) -> list[dict[str, Any]]:
        """The logged calls, oldest first: pid, function, gpu (or None), result (name), arguments."""
        with self.locked():
            lines = self.log_path().read_text().splitlines() if self.log_path().exists() else []
            if clear:
                self.log_path().unlink(missing_ok=True)
        calls = []
        for line in lines:
            pid, function, gpu, result, arguments = line.split(" ", 4)
            name = ERROR_NAMES.get(int(result), result)
            calls.append({"pid": int(pid), "function": function, "gpu": None if gpu == "-" else int(gpu),
                          "result": name, "arguments": arguments.split()})  # fmt: skip
        return calls

    def pci_tree(
        self, root: Path, devices: Path | None = None, nics: int | None = None, link: str = "infiniband"
    ) -> list[str]:
        """Writes the tree of nvml_pci.write_pci_tree; `nics` in place of the node's own number of cards."""
        with self.locked():
            boards = [self.gpu(index, "board") for index in range(self.gpu_count())]
            count = number(self.read("node"), "nics") if nics is None else nics
            return nvml_pci.write_pci_tree(boards, root, nics=count, link=link, devices=devices)

    def module_tree(self, root: Path) -> None:
        """Writes the tree and remembers it: the driver's loads and unloads show there from now on."""
        with self.locked():
            self.change("node", module_tree=root.resolve())
            self.update_module_tree(anew=True)

    def update_module_tree(self, anew: bool = False) -> None:
        node = self.read("node")
        if "module_tree" in node:
            nvml_boards.write_module_tree(Path(node["module_tree"]), node, len(self.holders()), anew=anew)

    def status(self) -> dict[str, Any]:
        """Everything, locks included; numbers are int."""
        with self.locked():
            node = {key: int(text) if text.isdigit() else text for key, text in self.read("node").items()}
            return {
                "directory": str(self.directory),
                "node": node,
                "clients": [int(pid) for pid in self.clients()],
                "faults": list(self.read("faults").values()),
                "gpus": [self.gpu_status(index) for index in range(self.gpu_count())],
            }

    def load_of(self, tables: dict[str, Table]) -> dict[str, Any]:
        """What a GPU does at this moment; throughput 1 is the board's full speed."""
        meter = nvml_model.advanced(tables, nvml_model.now_us(self.read("node")))
        celsius = number(meter, "milli_celsius") / 1000
        load = nvml_model.load(tables, celsius)
        return {
            "utilization": nvml_model.utilization(tables),
            "graphics_mhz": load.graphics_mhz,
            "memory_mhz": load.memory_mhz,
            "power_mw": round(load.milliwatts),
            "temperature": int(celsius),
            "throttle_reasons": load.throttled,
            "throughput": round(load.throughput, 4),
        }

    def advance(self, seconds: float) -> None:
        """Lets time pass for energy, temperature and throttled time, without waiting."""
        if seconds <= 0:
            raise SimError(f"advance {seconds:g}: expected a number of seconds above 0")
        with self.locked():
            node = self.read("node")
            key = "clock_us" if number(node, "clock_us") else "clock_offset_us"
            self.change("node", **{key: number(node, key) + round(seconds * 1_000_000)})

    def gpu_status(self, index: int) -> dict[str, Any]:
        """One GPU: what is in force now, and under "files" what each file says."""
        tables = {scope: self.gpu(index, scope) for scope in SCOPES}
        board, volatile = tables["board"], tables["volatile"]
        ecc = number(tables["persistent"], "ecc_current", number(board, "ecc_default"))
        processes = nvml_mig.processes(tables["processes"])
        mig_home = tables[MIG_HOMES.get(board["mig"], "mig")]
        mig = number(mig_home, "mig_current")
        ecc_next, mig_next = (
            number(tables["persistent"], "ecc_pending", ecc),
            number(mig_home, "mig_pending", mig),
        )
        return {
            "index": index,
            "name": board["name"],
            "uuid": board["uuid"],
            "pci": nvml_pci.pci_address(board),
            "lost": bool(number(tables["outside"], "lost")),
            "power_limit_mw": number(volatile, "power_limit_mw", number(board, "power_default_mw")),
            "persistence_mode": number(tables["boot"], "persistence_mode"),
            "compute_mode": number(tables["boot"], "compute_mode"),
            "accounting_mode": number(volatile, "accounting_mode"),
            "lock_graphics_mhz": lock_of(volatile, "graphics"),
            "lock_memory_mhz": lock_of(volatile, "memory"),
            "ecc": [ecc, ecc_next] if "ecc_default" in board else None,
            "mig": [mig, mig_next] if board["mig"] in MIG_HOMES else None,
            "mig_instances": nvml_mig.instances(board, tables["mig"]),
            "processes": {pid: mib for pid, (mib, _where) in processes.items()},
            "process_instances": {pid: where for pid, (_mib, where) in processes.items() if where},
            "load": self.load_of(tables),
            "files": tables,
        }


def lock_of(volatile: Table, domain: str) -> list[int] | None:
    """[min, max] in MHz of a clock lock; None if there is none."""
    low, high = f"lock_{domain}_min_mhz", f"lock_{domain}_max_mhz"
    return [number(volatile, low), number(volatile, high)] if high in volatile else None
