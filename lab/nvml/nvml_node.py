# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to a simulated node from outside: `Node` holds every command of the CLI."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nvml_boards
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

# Which file a settable key lives in. MIG's home depends on the board.
KEYS = {
    "outside": (
        "lost", "utilization", "temperature", "power_cap_mw", "power_settable", "persistence_hidden",
        "virtualization", "mig_auto_reset", "lock_min_override_mhz", "throttle_reasons", "ecc_corrected",
        "ecc_uncorrected", "remapped_corrected", "remapped_uncorrected", "remapping_pending",
        "remapping_failed", "pcie_generation", "pcie_width",
    ),
    "persistent": ("ecc_current", "ecc_pending"),
    "boot": ("persistence_mode", "compute_mode"),
    "volatile": (
        "power_limit_mw", "module_power_limit_mw", "lock_graphics_min_mhz", "lock_graphics_max_mhz",
        "lock_memory_min_mhz", "lock_memory_max_mhz", "application_graphics_mhz", "application_memory_mhz",
        "accounting_mode",
    ),
    "mig": ("mig_current", "mig_pending"),
}  # fmt: skip
NODE_KEYS = (
    "lock_policy",
    "unload_resets_modes",
    "cuda_version",
    "nvml_version",
    "driver_version",
    "library_version",
)
HOMES = {key: scope for scope, keys in KEYS.items() for key in keys}
MIG_HOMES = {"live": "volatile", "reset": "persistent"}


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
        self, boards: str, driver: str = "550.163.01", numa_nodes: int | None = None, seed: str | None = None
    ) -> None:
        """Makes the node anew. `boards`: 'h100:8' or 'l40s:4,t4:2'; `seed` makes the UUIDs repeatable."""
        nodes = nvml_boards.host_nodes() if numa_nodes is None else numa_nodes
        if nodes < 1:
            raise SimError(f"numa nodes {numa_nodes}: expected 1 or more")
        tables = nvml_boards.make_boards(nvml_boards.parse_boards(boards), nodes, seed)
        node = {
            "driver_version": driver,
            **nvml_boards.driver_versions(driver),
            "gpu_count": str(len(tables)),
        }
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
            self.change("node", **{key: value})

    def set_value(self, gpu: str | int, key: str, value: str | None) -> None:
        """Changes a value behind everybody's back, unchecked against the board; None: back to the default."""
        with self.locked():
            index = self.check_gpu(gpu)
            board = self.gpu(index, "board")
            scope = "board" if key in board else HOMES.get(key)
            if scope == "mig":
                scope = MIG_HOMES.get(board["mig"])
            if scope is None:
                raise SimError(
                    f"key {key!r} of GPU {index} ({board['name']}): not one of {', '.join(sorted(HOMES))}"
                )
            if scope == "board" and value is None:
                raise SimError(f"key {key!r} of GPU {index}: what the board is has no default to return to")
            if scope != "board" and value is not None and not re.fullmatch(r"\d+|0x[0-9a-fA-F]+", value):
                raise SimError(f"key {key!r} of GPU {index}: {value!r} is not a number")
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

    def process(self, gpu: str | int, pid: int, mib: int | None) -> None:
        """Lets a process hold `mib` of a GPU's memory; None: it is gone."""
        with self.locked():
            index = self.check_gpu(gpu)
            self.change(f"gpu{index}.processes", **{str(pid): mib})
            if mib is None and not self.clients():
                self.tear_down()
            self.update_module_tree()

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

    def pci_tree(self, root: Path) -> list[str]:
        with self.locked():
            return nvml_boards.write_pci_tree(self, root)

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

    def gpu_status(self, index: int) -> dict[str, Any]:
        """One GPU: what is in force now, and under "files" what each file says."""
        tables = {scope: self.gpu(index, scope) for scope in SCOPES}
        board, volatile = tables["board"], tables["volatile"]
        ecc = number(tables["persistent"], "ecc_current", number(board, "ecc_default"))
        mig_home = tables[MIG_HOMES.get(board["mig"], "volatile")]
        mig = number(mig_home, "mig_current")
        ecc_next, mig_next = (
            number(tables["persistent"], "ecc_pending", ecc),
            number(mig_home, "mig_pending", mig),
        )
        return {
            "index": index,
            "name": board["name"],
            "uuid": board["uuid"],
            "pci": nvml_boards.pci_address(board),
            "lost": bool(number(tables["outside"], "lost")),
            "power_limit_mw": number(volatile, "power_limit_mw", number(board, "power_default_mw")),
            "persistence_mode": number(tables["boot"], "persistence_mode"),
            "compute_mode": number(tables["boot"], "compute_mode"),
            "accounting_mode": number(volatile, "accounting_mode"),
            "lock_graphics_mhz": lock_of(volatile, "graphics"),
            "lock_memory_mhz": lock_of(volatile, "memory"),
            "ecc": [ecc, ecc_next] if "ecc_default" in board else None,
            "mig": [mig, mig_next] if board["mig"] in MIG_HOMES else None,
            "processes": {int(pid): int(mib) for pid, mib in tables["processes"].items()},
            "files": tables,
        }


def lock_of(volatile: Table, domain: str) -> list[int] | None:
    """[min, max] in MHz of a clock lock; None if there is none."""
    low, high = f"lock_{domain}_min_mhz", f"lock_{domain}_max_mhz"
    return [number(volatile, low), number(volatile, high)] if high in volatile else None
