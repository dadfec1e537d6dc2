# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A GPU under load, as src/model.c and src/meter.c have it; a test compares the two.

Tables of one GPU go in as {scope: table}; nothing here reads or writes a file.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

Tables = dict[str, dict[str, str]]

SW_POWER_CAP, SW_THERMAL, RELIABILITY = 0x4, 0x20, 0x400
HW_SLOWDOWN, HW_THERMAL, HW_POWER_BRAKE = 0x8, 0x40, 0x80
SW_THERMAL_CLOCK, HW_THERMAL_CLOCK, MEMORY_LOCK_SPEED = 0.75, 0.5, 0.84
USUAL_INLET = 25
BLACKWELL = 10
LAG_SECONDS, STEP_SECONDS, MOST_STEPS = 20.0, 1.0, 600


def _number(table: dict[str, str], key: str, fallback: int = 0) -> int:
    return int(table[key], 0) if key in table else fallback


@dataclass(frozen=True)
class Load:
    """Clocks in MHz, power in mW, speed (1: the board's full), clock event reasons the load brings."""

    graphics_mhz: int
    memory_mhz: int
    milliwatts: float
    throughput: float
    throttled: int


@dataclass(frozen=True)
class Curve:
    """Power and speed over the graphics clock, all else given."""

    busy: float
    memory_bound: float
    idle: int
    full: int
    fastest: int
    memory: float

    def power(self, mhz: int) -> float:
        clock = mhz / self.fastest
        voltage, share = 0.6 + 0.4 * clock, 0.2 + 0.3 * self.memory_bound
        activity = (1 - share) * clock * voltage * voltage + share * self.memory
        return self.idle + self.busy * (self.full - self.idle) * activity

    def speed(self, mhz: int) -> float:
        clock = mhz / self.fastest
        return 1 / ((1 - self.memory_bound) / clock + self.memory_bound / min(self.memory, 2 * clock))


def utilization(gpu: Tables) -> int:
    return min(100, _number(gpu["outside"], "utilization", 100 if gpu["processes"] else 0))


def clock_step(board: dict[str, str], wanted: int) -> int:
    """The clock of the board next to the wanted one, downwards."""
    low, high = _number(board, "graphics_min_mhz"), _number(board, "graphics_max_mhz")
    step = _number(board, "graphics_step_mhz")
    if wanted >= high or step == 0:
        return min(wanted, high)
    return low if wanted <= low else low + (wanted - low) // step * step


def limits(gpu: Tables) -> tuple[int, int]:
    """(limit set, limit in force) in mW."""
    limit = _number(gpu["volatile"], "power_limit_mw", _number(gpu["board"], "power_default_mw"))
    return limit, min(limit, _number(gpu["outside"], "power_cap_mw", limit))


def _memory_clock(gpu: Tables) -> int:
    clocks = [int(text) for text in gpu["board"]["memory_mhz"].split()]
    held = gpu["volatile"]
    if utilization(gpu) == 0:
        return _number(gpu["board"], "idle_memory_mhz")
    if "lock_memory_max_mhz" not in held:
        return _number(held, "application_memory_mhz", clocks[0])
    low, high = _number(held, "lock_memory_min_mhz"), _number(held, "lock_memory_max_mhz")
    return next((clock for clock in clocks if low <= clock <= high), clocks[-1])


def _wanted_clock(gpu: Tables) -> int:
    board, held = gpu["board"], gpu["volatile"]
    low, high = _number(board, "graphics_min_mhz"), _number(board, "graphics_max_mhz")
    if utilization(gpu) == 0:
        return low
    clock = max(_number(held, "application_graphics_mhz", high), _number(held, "lock_graphics_min_mhz", low))
    return min(clock, _number(held, "lock_graphics_max_mhz", high))


def _cooled(gpu: Tables, celsius: float, mhz: int) -> tuple[int, int]:
    """(what heat leaves of a clock, the reasons)."""
    board = gpu["board"]
    most, reasons = float(_number(board, "graphics_max_mhz")), 0
    if celsius >= _number(board, "slowdown_celsius"):
        most, reasons = most * HW_THERMAL_CLOCK, HW_SLOWDOWN | HW_THERMAL
    elif celsius >= _number(board, "gpu_max_celsius"):
        most, reasons = most * SW_THERMAL_CLOCK, SW_THERMAL
    return (clock_step(board, int(most)) if mhz > most else mhz), reasons


def load(gpu: Tables, celsius: float) -> Load:
    """What the GPU does at this temperature."""
    board, outside = gpu["board"], gpu["outside"]
    memory = _memory_clock(gpu)
    curve = Curve(
        busy=utilization(gpu) / 100.0,
        memory_bound=min(_number(outside, "memory_bound", 30), 100) / 100.0,
        idle=_number(board, "idle_power_mw"),
        full=_number(board, "load_power_mw", _number(board, "power_default_mw")),
        fastest=_number(board, "graphics_max_mhz"),
        memory=memory / int(board["memory_mhz"].split()[0]),
    )
    requested, limit = limits(gpu)
    mhz, reasons = _wanted_clock(gpu), _number(outside, "throttle_reasons")
    if curve.busy > 0:
        mhz, hot = _cooled(gpu, celsius, mhz)
        reasons |= hot
    free, lowest, duty = mhz, _number(board, "graphics_min_mhz"), 1.0
    while mhz > lowest and curve.power(mhz) > limit:
        mhz = clock_step(board, mhz - 1)
    power = curve.power(mhz)
    if power > limit:
        duty = (limit - curve.idle) / (power - curve.idle) if limit > curve.idle else 0.0
        power = limit
    if mhz < free or duty < 1:
        reasons |= HW_POWER_BRAKE | HW_SLOWDOWN if limit < requested else SW_POWER_CAP
    throughput = curve.busy * duty * curve.speed(mhz)
    if _number(board, "architecture") >= BLACKWELL and _number(gpu["volatile"], "lock_memory_max_mhz"):
        throughput *= MEMORY_LOCK_SPEED
    return Load(mhz, memory, power, throughput, reasons)


def celsius_at(gpu: Tables, milliwatts: float) -> float:
    """The temperature a GPU settles at with this power."""
    board, outside = gpu["board"], gpu["outside"]
    idle, full = _number(board, "idle_power_mw"), _number(board, "power_default_mw")
    rest = _number(board, "idle_celsius")
    cooling = max(1, _number(outside, "cooling_percent", 100))
    rise = (_number(board, "load_celsius") - rest) * (milliwatts - idle) / (full - idle) * 100 / cooling
    return max(0.0, rest + _number(outside, "inlet_celsius", USUAL_INLET) - USUAL_INLET + rise)


def now_us(node: dict[str, str]) -> int:
    """Microseconds since 1970, as moved or stopped by nvml-sim."""
    return _number(node, "clock_us") or time.time_ns() // 1000 + _number(node, "clock_offset_us")


@dataclass(frozen=True)
class Sums:
    """What a meter holds beside its moment; times in microseconds."""

    celsius: float
    energy_uj: float = 0
    power_us: float = 0
    thermal_us: float = 0
    hardware_thermal_us: float = 0
    brake_us: float = 0
    reliability_us: float = 0


COUNTED = ("energy_uj", "power_us", "thermal_us", "hardware_thermal_us", "brake_us", "reliability_us")


def read_sums(gpu: Tables) -> Sums:
    meter = gpu["meter"]
    if "temperature" in gpu["outside"]:
        celsius = float(_number(gpu["outside"], "temperature"))
    elif "milli_celsius" in meter:
        celsius = _number(meter, "milli_celsius") / 1000
    else:
        celsius = celsius_at(gpu, _number(gpu["board"], "idle_power_mw"))
    return Sums(celsius, *(float(_number(meter, name)) for name in COUNTED))


def _step(gpu: Tables, sums: Sums, now: Load, target: float, seconds: float) -> Sums:
    us = seconds * 1e6
    celsius = target + (sums.celsius - target) * math.exp(-seconds / LAG_SECONDS)
    return replace(
        sums,
        celsius=sums.celsius if "temperature" in gpu["outside"] else celsius,
        energy_uj=sums.energy_uj + now.milliwatts * seconds * 1000,
        power_us=sums.power_us + (us if now.throttled & SW_POWER_CAP else 0),
        thermal_us=sums.thermal_us + (us if now.throttled & SW_THERMAL else 0),
        hardware_thermal_us=sums.hardware_thermal_us + (us if now.throttled & HW_THERMAL else 0),
        brake_us=sums.brake_us + (us if now.throttled & HW_POWER_BRAKE else 0),
        reliability_us=sums.reliability_us + (us if now.throttled & RELIABILITY else 0),
    )


def passed(gpu: Tables, left: float) -> Sums:
    """The sums after so many seconds. One step is exact unless heat changes the clock."""
    sums, hot = read_sums(gpu), _number(gpu["board"], "gpu_max_celsius")
    step = 0
    while left > 0:
        now = load(gpu, sums.celsius)
        target = celsius_at(gpu, now.milliwatts)
        short = "temperature" not in gpu["outside"] and max(sums.celsius, target) >= hot and step < MOST_STEPS
        seconds = min(left, STEP_SECONDS) if short else left
        sums = _step(gpu, sums, now, target, seconds)
        left -= seconds
        step += 1
    return sums


def advanced(gpu: Tables, now: int, running: bool = True) -> dict[str, str]:
    """The meter's table at the moment `now`; without a driver (`running` false) nothing adds up."""
    since = _number(gpu["meter"], "at_us", now)
    sums = passed(gpu, (now - since) / 1e6) if running and now > since else read_sums(gpu)
    values = {"milli_celsius": sums.celsius * 1000, **{name: getattr(sums, name) for name in COUNTED}}
    return {"at_us": str(now), **{key: str(int(value + 0.5)) for key, value in values.items()}}
