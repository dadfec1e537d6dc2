# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything an operator reads of GPUs, as plain data. Writes nothing; what is not supported is None."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.errors import LayerUnavailable, NodeError, TargetLost
from ..gpu_topology.details import details, pcie_traffic
from .health import Health, attention_of, most_links, throttle_reasons
from .health_reading import read_health
from .memory import LockMemory, Refusals
from .nvml import NoPermission, Nvml, NvmlError, Unsupported
from .presence import driver_load
from .quantity import watts
from .reading import CLOCK_GRAPHICS, CLOCK_MEMORY, bus_id_of, supported_clocks
from .selectors import short_name
from .support import read_support

CLOCK_SM, CLOCK_VIDEO = 1, 3
VOLATILE, AGGREGATE = 0, 1
CORRECTED, UNCORRECTED = 0, 1
TEMPERATURE_GPU = 0

ARCHITECTURES = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper",
    10: "Blackwell", 13: "Rubin",
}  # fmt: skip
COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}


def collect(nvml: Nvml, root: Path = Path("/")) -> dict[str, Any]:
    """Versions and one entry per GPU. Raises LayerUnavailable where NVML cannot be asked at all.

    A GPU that does not answer has an entry with `lost` (why) and nothing else but its index.
    root: where /proc, /sys and /run are
    """
    count = int(nvml.call("nvmlDeviceGetCount"))
    refusals = LockMemory(str(root / "run" / "swarm_node"), driver_load(root)).refusals()
    entries = [_entry(nvml, index, root, refusals) for index in range(count)]
    _add_attention(entries)
    cuda = _node(nvml, "nvmlSystemGetCudaDriverVersion")
    return {
        "driver_version": _node(nvml, "nvmlSystemGetDriverVersion"),
        "nvml_version": _node(nvml, "nvmlSystemGetNVMLVersion"),
        "cuda_version": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        "gpus": entries,
    }


def _add_attention(entries: list[dict[str, Any]]) -> None:
    """`health.attention`, which takes a look at all GPUs of a model."""
    models: dict[str, list[Health]] = {}
    for entry in entries:
        if not entry["lost"]:
            models.setdefault(entry["model"], []).append(entry["health"])
    for entry in entries:
        if entry["lost"]:
            continue
        health, label = entry["health"], f"gpu {entry['index']} ({entry['model']})"
        found = attention_of(health, entry["uuid"], label, most_links(models[entry["model"]]))
        told = [{name: item[name] for name in ("severity", "what", "detail")} for item in found]
        entry["health"] = {**health.as_result(), "attention": told}


def _entry(nvml: Nvml, index: int, root: Path, refusals: Refusals) -> dict[str, Any]:
    try:
        uuid = nvml.uuid(index)
        found = _Reader(nvml, uuid).everything()
        found["support"] = read_support(nvml, index, uuid, root, refusals)
        return {"index": index, "uuid": uuid, "lost": None, **found}
    except TargetLost as error:
        return {"index": index, "uuid": None, "lost": str(error)}
    except LayerUnavailable:
        raise
    except NodeError as error:
        return {"index": index, "uuid": None, "lost": f"does not answer: {error}"}


def _node(nvml: Nvml, function: str) -> Any:
    try:
        return nvml.call(function)
    except NvmlError:
        return None


class _Reader:
    """Reads one GPU, group by group."""

    def __init__(self, nvml: Nvml, uuid: str) -> None:
        self.nvml = nvml
        self.uuid = uuid

    def get(self, function: str, *arguments: Any) -> Any:
        """None where it is not supported, or not for this user."""
        try:
            return self.nvml.call_gpu(self.uuid, function, *arguments)
        except (Unsupported, NoPermission):
            return None

    def everything(self) -> dict[str, Any]:
        get = self.get
        persistence, temperature = get("nvmlDeviceGetPersistenceMode"), self.temperature()
        return {
            **self.identity(),
            "power": self.power(),
            "clocks": self.clocks(),
            "persistence_mode": None if persistence is None else bool(persistence),
            "compute_mode": COMPUTE_MODES.get(get("nvmlDeviceGetComputeMode")),
            "performance_state": self.performance_state(),
            "ecc": self.ecc(),
            "mig": self.pair("nvmlDeviceGetMigMode"),
            "memory": self.memory(),
            "utilization": self.utilization(),
            "temperature": temperature,
            "throttle_reasons": throttle_reasons(self.reasons()),
            "pcie": self.pcie(),
            "processes": self.processes(),
            "health": self.health(),
            **details(self.nvml, self.uuid),
        }

    def identity(self) -> dict[str, Any]:
        get = self.get
        name, architecture = get("nvmlDeviceGetName"), get("nvmlDeviceGetArchitecture")
        return {
            "name": name,
            "model": short_name(name) if name else None,
            "architecture": ARCHITECTURES.get(architecture),
            "serial": get("nvmlDeviceGetSerial"),
            "vbios_version": get("nvmlDeviceGetVbiosVersion"),
            "minor": get("nvmlDeviceGetMinorNumber"),
            "pci_bus_id": bus_id_of(self.nvml, self.uuid) or None,
        }

    def power(self) -> dict[str, Any]:
        """In W."""
        limits = self.get("nvmlDeviceGetPowerManagementLimitConstraints") or (None, None)
        values = {
            "draw": self.get("nvmlDeviceGetPowerUsage"),
            "limit": self.get("nvmlDeviceGetPowerManagementLimit"),
            "enforced": self.get("nvmlDeviceGetEnforcedPowerLimit"),
            "default": self.get("nvmlDeviceGetPowerManagementDefaultLimit"),
            "min": limits[0],
            "max": limits[1],
        }
        return {name: None if value is None else watts(value) for name, value in values.items()}

    def clocks(self) -> dict[str, Any]:
        """In MHz. `supported` is lowest and highest: drivers list hundreds of steps."""
        kinds = {"graphics": CLOCK_GRAPHICS, "sm": CLOCK_SM, "memory": CLOCK_MEMORY, "video": CLOCK_VIDEO}
        found: dict[str, Any] = {
            name: {
                "current": self.get("nvmlDeviceGetClockInfo", kind),
                "max": self.get("nvmlDeviceGetMaxClockInfo", kind),
            }
            for name, kind in kinds.items()
        }
        graphics, memory = supported_clocks(self.nvml, self.uuid)
        found["graphics"]["supported"] = [graphics[0], graphics[-1]] if graphics else None
        found["memory"]["supported"] = list(memory) or None
        return found

    def performance_state(self) -> str | None:
        state = self.get("nvmlDeviceGetPerformanceState")
        return f"P{state}" if state is not None and state < 16 else None

    def ecc(self) -> dict[str, Any] | None:
        found = self.pair("nvmlDeviceGetEccMode")
        if found is None:
            return None
        for name, kind in (("corrected", CORRECTED), ("uncorrected", UNCORRECTED)):
            found[name] = {
                "since_reboot": self.get("nvmlDeviceGetTotalEccErrors", kind, VOLATILE),
                "lifetime": self.get("nvmlDeviceGetTotalEccErrors", kind, AGGREGATE),
            }
        return found

    def pair(self, function: str) -> dict[str, Any] | None:
        """A mode with what it will be after the next reset or reboot."""
        found = self.get(function)
        return None if found is None else {"current": bool(found[0]), "pending": bool(found[1])}

    def memory(self) -> dict[str, Any] | None:
        """In bytes."""
        found = self.get("nvmlDeviceGetMemoryInfo")
        return None if found is None else {"total": found.total, "used": found.used, "free": found.free}

    def utilization(self) -> dict[str, Any] | None:
        """In percent of the last sample period."""
        found = self.get("nvmlDeviceGetUtilizationRates")
        return None if found is None else {"gpu": found.gpu, "memory": found.memory}

    def temperature(self) -> int | None:
        """In °C. Newer drivers deprecate the old function, older ones lack the new one."""
        found = self.get("nvmlDeviceGetTemperatureV", TEMPERATURE_GPU)
        return found if found is not None else self.get("nvmlDeviceGetTemperature", TEMPERATURE_GPU)

    def reasons(self) -> int | None:
        found = self.get("nvmlDeviceGetCurrentClocksEventReasons")
        return found if found is not None else self.get("nvmlDeviceGetCurrentClocksThrottleReasons")

    def health(self) -> Health:
        limit = self.get("nvmlDeviceGetPowerManagementLimit")
        enforced = self.get("nvmlDeviceGetEnforcedPowerLimit")
        return read_health(self.nvml, self.uuid, limit, enforced, full=True)

    def pcie(self) -> dict[str, Any]:
        get = self.get
        return {
            "generation": get("nvmlDeviceGetCurrPcieLinkGeneration"),
            "max_generation": get("nvmlDeviceGetMaxPcieLinkGeneration"),
            "width": get("nvmlDeviceGetCurrPcieLinkWidth"),
            "max_width": get("nvmlDeviceGetMaxPcieLinkWidth"),
            **pcie_traffic(self.nvml, self.uuid),
        }

    def processes(self) -> list[dict[str, Any]]:
        """Compute and graphics processes; one that is both is listed once, as compute."""
        found: dict[int, dict[str, Any]] = {}
        for kind in ("compute", "graphics"):
            for item in self.get(f"nvmlDeviceGet{kind.capitalize()}RunningProcesses") or ():
                entry = {
                    "pid": item.pid,
                    "kind": kind,
                    "memory": item.usedGpuMemory,
                    "name": _name_of(item.pid),
                }
                found.setdefault(item.pid, entry)
        return [found[pid] for pid in sorted(found)]


def _name_of(pid: int) -> str | None:
    try:
        import psutil
    except ImportError:
        return None
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return None
