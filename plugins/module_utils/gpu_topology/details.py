# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rest of what `nvidia-smi -q` shows of one GPU. Reads only; what the driver does not give is None."""

from __future__ import annotations

from typing import Any

from ..gpu.nvml import Nvml
from .ask import Asker
from .fields import MEMORY_TEMPERATURE, POWER_AVERAGE, POWER_INSTANT, REPLAY_ROLLOVERS, Number, read_fields

CLOCKS = {"graphics": 0, "sm": 1, "memory": 2, "video": 3}
THRESHOLDS = {"shutdown": 0, "slowdown": 1, "memory_max": 2, "gpu_max": 3}
INFOROM = {"oem": 0, "ecc": 1, "power": 2}
VIOLATIONS = {
    "power": 0,
    "thermal": 1,
    "sync_boost": 2,
    "board_limit": 3,
    "low_utilization": 4,
    "reliability": 5,
}
TRANSMIT, RECEIVE = 0, 1
MEMORY_V2 = 0x02000028
BRANDS = {
    1: "Quadro", 2: "Tesla", 3: "NVS", 4: "GRID", 5: "GeForce", 6: "Titan", 12: "Quadro RTX", 13: "RTX",
    14: "NVIDIA", 15: "GeForce RTX", 16: "Titan RTX",
}  # fmt: skip
VIRTUALIZATION = {0: "none", 1: "passthrough", 2: "vgpu_guest", 3: "host_vgpu", 4: "host_vsga"}
POWER_SOURCES = {0: "ac", 1: "battery", 2: "undersized"}


def details(nvml: Nvml, uuid: str) -> dict[str, Any]:
    """Entries of `gpus`. Raises TargetLost, LayerUnavailable."""
    ask = Asker(nvml, uuid).must
    numbers = read_fields(ask, (MEMORY_TEMPERATURE, POWER_AVERAGE, POWER_INSTANT))
    return {
        **_board(ask),
        "firmware": _firmware(ask),
        "bar1": _bar1(ask),
        "memory_reserved": getattr(ask("nvmlDeviceGetMemoryInfo", MEMORY_V2), "reserved", None),
        "fans": _fans(ask),
        "temperature_thresholds": _each(ask, "nvmlDeviceGetTemperatureThreshold", THRESHOLDS),
        "memory_temperature": numbers.get(MEMORY_TEMPERATURE),
        "power_draw": {
            "average": _watts(numbers.get(POWER_AVERAGE)),
            "instant": _watts(numbers.get(POWER_INSTANT)),
        },
        "energy": _joules(ask("nvmlDeviceGetTotalEnergyConsumption")),
        "application_clocks": {
            name: ask("nvmlDeviceGetApplicationsClock", CLOCKS[name]) for name in ("graphics", "memory")
        },
        "boost_clocks": {name: ask("nvmlDeviceGetMaxCustomerBoostClock", CLOCKS[name]) for name in CLOCKS},
        "media": _media(ask),
        "violations": {name: _violation(ask, policy) for name, policy in VIOLATIONS.items()},
        "accounting": _accounting(ask),
        "display": {
            "connected": _flag(ask("nvmlDeviceGetDisplayMode")),
            "active": _flag(ask("nvmlDeviceGetDisplayActive")),
        },
        "virtualization": VIRTUALIZATION.get(ask("nvmlDeviceGetVirtualizationMode")),
    }


def pcie_traffic(nvml: Nvml, uuid: str) -> dict[str, Any]:
    """Entries of `pcie`. Throughput in KB/s over the last 20 ms. Raises TargetLost, LayerUnavailable."""
    ask = Asker(nvml, uuid).must
    return {
        "replays": ask("nvmlDeviceGetPcieReplayCounter"),
        "replay_rollovers": read_fields(ask, (REPLAY_ROLLOVERS,)).get(REPLAY_ROLLOVERS),
        "tx": ask("nvmlDeviceGetPcieThroughput", TRANSMIT),
        "rx": ask("nvmlDeviceGetPcieThroughput", RECEIVE),
    }


def _board(ask: Any) -> dict[str, Any]:
    capability = ask("nvmlDeviceGetCudaComputeCapability")
    pci = ask("nvmlDeviceGetPciInfo")
    return {
        "brand": BRANDS.get(ask("nvmlDeviceGetBrand")),
        "board_id": ask("nvmlDeviceGetBoardId"),
        "board_part_number": ask("nvmlDeviceGetBoardPartNumber"),
        "multi_gpu_board": _flag(ask("nvmlDeviceGetMultiGpuBoard")),
        "module_id": ask("nvmlDeviceGetModuleId"),
        "compute_capability": ".".join(str(part) for part in capability) if capability else None,
        "cuda_cores": ask("nvmlDeviceGetNumGpuCores"),
        "memory_bus_width": ask("nvmlDeviceGetMemoryBusWidth"),
        "power_source": POWER_SOURCES.get(ask("nvmlDeviceGetPowerSource")),
        "pci_device_id": _hex(getattr(pci, "pciDeviceId", None)),
        "pci_subsystem_id": _hex(getattr(pci, "pciSubSystemId", None)),
    }


def _firmware(ask: Any) -> dict[str, Any]:
    mode = ask("nvmlDeviceGetGspFirmwareMode")
    return {
        "gsp_version": _text(ask("nvmlDeviceGetGspFirmwareVersion")),
        "gsp_enabled": None if mode is None else bool(mode[0]),
        "inforom_image": ask("nvmlDeviceGetInforomImageVersion"),
        **{f"inforom_{name}": ask("nvmlDeviceGetInforomVersion", kind) for name, kind in INFOROM.items()},
    }


def _bar1(ask: Any) -> dict[str, int] | None:
    found = ask("nvmlDeviceGetBAR1MemoryInfo")
    if found is None:
        return None
    return {"total": found.bar1Total, "used": found.bar1Used, "free": found.bar1Free}


def _fans(ask: Any) -> list[dict[str, Any]] | None:
    """In percent of the fan's full speed; an empty list is a board cooled from outside."""
    count = ask("nvmlDeviceGetNumFans")
    if count is None:
        return None
    return [
        {"speed": ask("nvmlDeviceGetFanSpeed_v2", fan), "target": ask("nvmlDeviceGetTargetFanSpeed", fan)}
        for fan in range(count)
    ]


def _media(ask: Any) -> dict[str, Any]:
    """Utilization in percent; sessions with frames per second and latency in µs."""
    engines = {"encoder": "Encoder", "decoder": "Decoder", "jpeg": "Jpg", "ofa": "Ofa"}
    busy = {name: ask(f"nvmlDeviceGet{word}Utilization") for name, word in engines.items()}
    encoding, capture = ask("nvmlDeviceGetEncoderStats"), ask("nvmlDeviceGetFBCStats")
    return {
        **{name: None if found is None else found[0] for name, found in busy.items()},
        "encoder_sessions": _sessions(*encoding) if encoding else None,
        "capture_sessions": _sessions(capture.sessionsCount, capture.averageFPS, capture.averageLatency)
        if capture
        else None,
    }


def _sessions(number: int, frames: int, latency: int) -> dict[str, int]:
    return {"count": number, "average_fps": frames, "average_latency": latency}


def _accounting(ask: Any) -> dict[str, Any]:
    return {
        "mode": _flag(ask("nvmlDeviceGetAccountingMode")),
        "buffer_size": ask("nvmlDeviceGetAccountingBufferSize"),
        "pids": ask("nvmlDeviceGetAccountingPids"),
    }


def _violation(ask: Any, policy: int) -> int | None:
    """For how long clocks were held down, in ns since the driver was loaded."""
    return getattr(ask("nvmlDeviceGetViolationStatus", policy), "violationTime", None)


def _each(ask: Any, function: str, kinds: dict[str, int]) -> dict[str, Any]:
    return {name: ask(function, kind) for name, kind in kinds.items()}


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _hex(number: int | None) -> str | None:
    return f"0x{number:08x}" if number else None


def _text(value: Any) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _watts(milliwatts: Number | None) -> float | None:
    return None if milliwatts is None else round(milliwatts / 1000, 1)


def _joules(millijoules: int | None) -> float | None:
    return None if millijoules is None else millijoules / 1000
