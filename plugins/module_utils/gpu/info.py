# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything an operator reads of GPUs, as plain data. Writes nothing; what is not supported is None."""

from __future__ import annotations

from typing import Any

from ..core.errors import LayerUnavailable, NodeError, TargetLost
from .nvml import NoPermission, Nvml, NvmlError, Unsupported
from .quantity import watts
from .reading import CLOCK_GRAPHICS, CLOCK_MEMORY, bus_id_of, supported_clocks
from .selectors import short_name

CLOCK_SM, CLOCK_VIDEO = 1, 3
VOLATILE, AGGREGATE = 0, 1
CORRECTED, UNCORRECTED = 0, 1
TEMPERATURE_GPU = 0

ARCHITECTURES = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper",
    10: "Blackwell", 13: "Rubin",
}  # fmt: skip
COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}
THROTTLE_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}
"""Bits of NVML's reasons for a lower clock."""


def collect(nvml: Nvml) -> dict[str, Any]:
    """Versions and one entry per GPU. Raises LayerUnavailable where NVML cannot be asked at all.

    A GPU that does not answer has an entry with `lost` (why) and nothing else but its index.
    """
    count = int(nvml.call("nvmlDeviceGetCount"))
    cuda = _node(nvml, "nvmlSystemGetCudaDriverVersion")
    return {
        "driver_version": _node(nvml, "nvmlSystemGetDriverVersion"),
        "nvml_version": _node(nvml, "nvmlSystemGetNVMLVersion"),
        "cuda_version": f"{cuda // 1000}.{cuda % 1000 // 10}" if cuda else None,
        "gpus": [_entry(nvml, index) for index in range(count)],
    }


def throttle_reasons(bits: int | None) -> list[str] | None:
    """Names of the reasons; a bit without a name keeps its number."""
    if bits is None:
        return None
    names = [name for bit, name in THROTTLE_REASONS.items() if bits & bit]
    rest = bits & ~sum(THROTTLE_REASONS)
    return names + ([hex(rest)] if rest else [])


def _entry(nvml: Nvml, index: int) -> dict[str, Any]:
    try:
        uuid = nvml.uuid(index)
        return {"index": index, "uuid": uuid, "lost": None, **_Reader(nvml, uuid).everything()}
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

    def pcie(self) -> dict[str, Any]:
        get = self.get
        return {
            "generation": get("nvmlDeviceGetCurrPcieLinkGeneration"),
            "max_generation": get("nvmlDeviceGetMaxPcieLinkGeneration"),
            "width": get("nvmlDeviceGetCurrPcieLinkWidth"),
            "max_width": get("nvmlDeviceGetMaxPcieLinkWidth"),
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
