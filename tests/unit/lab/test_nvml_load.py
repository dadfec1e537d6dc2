# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A GPU under load: clock, power, temperature, what holds it back, how fast it works."""

from __future__ import annotations

import itertools
import random

import nvml_model
import pytest
from nvml_sim import Simulator, gpu

GRAPHICS, MEMORY = 0, 2
POWER_POLICY, THERMAL_POLICY, BOARD_LIMIT_POLICY, RELIABILITY_POLICY = 0, 1, 3, 5
LONG = 600


def load(simulator: Simulator, index: int = 0) -> dict:
    return simulator.gpu(index)["load"]


def stop_clock(simulator: Simulator) -> None:
    """From here on only `advance` lets time pass; the counters begin at 0."""
    simulator.node.set_node("clock_us", "1700000000000000")
    simulator.reload()


def energy_of(nvml) -> int:
    return nvml("nvmlDeviceGetTotalEnergyConsumption", gpu(0))


def test_full_speed_at_the_default_limit(simulator: Simulator) -> None:
    simulator.set(0, "utilization", 100)
    found = load(simulator)
    assert (found["graphics_mhz"], found["memory_mhz"], found["power_mw"]) == (1980, 2619, 700_000)
    assert (found["throughput"], found["throttle_reasons"]) == (1.0, 0)


def test_rest(simulator: Simulator) -> None:
    found = load(simulator)
    assert (found["graphics_mhz"], found["power_mw"], found["throughput"]) == (345, 70_000, 0)


def test_a_limit_binds_and_a_lower_one_more(simulator: Simulator) -> None:
    simulator.set(0, "utilization", 100)
    previous = load(simulator)
    for limit in (600_000, 500_000, 400_000, 300_000, 200_000):
        simulator.set(0, "power_limit_mw", limit)
        found = load(simulator)
        assert found["power_mw"] <= limit
        assert found["graphics_mhz"] < previous["graphics_mhz"]
        assert found["throughput"] < previous["throughput"]
        assert found["throttle_reasons"] == nvml_model.SW_POWER_CAP
        previous = found


def test_a_limit_that_does_not_bind_is_no_reason(simulator: Simulator) -> None:
    simulator.set(0, "utilization", 30)
    simulator.set(0, "power_limit_mw", 500_000)
    assert load(simulator)["throttle_reasons"] == 0


def test_work_per_joule_has_its_best_limit_between_the_ends(simulator: Simulator) -> None:
    simulator.set(0, "utilization", 100)
    per_watt = {}
    for limit in range(200_000, 700_001, 25_000):
        simulator.set(0, "power_limit_mw", limit)
        found = load(simulator)
        per_watt[limit] = found["throughput"] / found["power_mw"]
    best = max(per_watt, key=lambda limit: per_watt[limit])
    assert 200_000 < best < 700_000


@pytest.mark.parametrize(("bound", "least", "most"), [(0, 0.0, 0.8), (100, 0.999, 1.0)])
def test_memory_bound_work_hardly_needs_the_graphics_clock(
    simulator: Simulator, bound: int, least: float, most: float
) -> None:
    simulator.set(0, "utilization", 100)
    simulator.set(0, "memory_bound", bound)
    simulator.set(0, "lock_graphics_max_mhz", 1485)
    assert least <= load(simulator)["throughput"] <= most


def test_a_lower_memory_clock_slows_memory_bound_work(simulator: Simulator) -> None:
    simulator.set(0, "utilization", 100)
    simulator.set(0, "lock_memory_min_mhz", 1593)
    simulator.set(0, "lock_memory_max_mhz", 1593)
    speeds = []
    for bound in (0, 50, 100):
        simulator.set(0, "memory_bound", bound)
        speeds.append(load(simulator)["throughput"])
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] == 1.0


def test_a_locked_memory_clock_costs_speed_on_blackwell(simulator: Simulator) -> None:
    simulator.init("b200:1,h100:1")
    for index, clock in ((0, 3996), (1, 2619)):
        simulator.set(index, "utilization", 100)
        simulator.set(index, "lock_memory_min_mhz", clock)
        simulator.set(index, "lock_memory_max_mhz", clock)
    assert (load(simulator, 0)["throughput"], load(simulator, 1)["throughput"]) == (0.84, 1.0)


def test_another_hand_brakes(simulator: Simulator) -> None:
    simulator.set(0, "utilization", 100)
    simulator.set(0, "power_cap_mw", 400_000)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetPowerUsage", gpu(0)) <= 400_000
        assert nvml("nvmlDeviceGetCurrentClocksEventReasons", gpu(0)) == 0x80 | 0x08


def test_a_limit_below_the_lowest_clock_holds_all_the_same(simulator: Simulator) -> None:
    simulator.set(0, "utilization", 100)
    simulator.set(0, "power_cap_mw", 100_000)
    found = load(simulator)
    assert (found["graphics_mhz"], found["power_mw"]) == (345, 100_000)
    simulator.set(0, "power_cap_mw", 50_000)
    assert load(simulator)["throughput"] == 0


def test_temperature_follows_with_a_lag(simulator: Simulator) -> None:
    stop_clock(simulator)
    simulator.set(0, "utilization", 100)
    seen = [load(simulator)["temperature"]]
    for _ in range(4):
        simulator.node.advance(10)
        seen.append(load(simulator)["temperature"])
    assert seen == sorted(set(seen))
    simulator.node.advance(LONG)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetTemperature", gpu(0), 0) == 64
    simulator.set(0, "utilization", 0)
    simulator.node.advance(LONG)
    assert (seen[0], load(simulator)["temperature"]) == (30, 30)


def test_heat_throttles(simulator: Simulator) -> None:
    stop_clock(simulator)
    simulator.set(0, "utilization", 100)
    simulator.set(0, "temperature", 88)
    warm = load(simulator)
    assert (warm["throttle_reasons"], warm["graphics_mhz"]) == (nvml_model.SW_THERMAL, 1485)
    simulator.set(0, "temperature", 93)
    hot = load(simulator)
    assert hot["throttle_reasons"] == nvml_model.HW_THERMAL | nvml_model.HW_SLOWDOWN
    assert hot["graphics_mhz"] < warm["graphics_mhz"]
    simulator.node.advance(3)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetViolationStatus", gpu(0), THERMAL_POLICY)["violationTime"] == 3 * 10**9


def test_bad_cooling_ends_in_heat(simulator: Simulator) -> None:
    stop_clock(simulator)
    simulator.set(0, "utilization", 100)
    simulator.set(0, "cooling_percent", 50)
    simulator.node.advance(LONG)
    with simulator.client() as nvml:
        assert 85 <= nvml("nvmlDeviceGetTemperature", gpu(0), 0) <= 92
        assert nvml("nvmlDeviceGetViolationStatus", gpu(0), THERMAL_POLICY)["violationTime"] > 10**9
    simulator.set(1, "inlet_celsius", 45)
    simulator.node.advance(LONG)
    assert load(simulator, 1)["temperature"] == 50


def test_energy_is_power_over_time(simulator: Simulator) -> None:
    stop_clock(simulator)
    with simulator.client() as nvml:
        assert energy_of(nvml) == 0
        simulator.node.advance(10)
        assert energy_of(nvml) == 10 * 70_000
        simulator.set(0, "utilization", 100)
        simulator.node.advance(10)
        assert energy_of(nvml) == 10 * 70_000 + 10 * 700_000
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), 400_000)
        drawn = nvml("nvmlDeviceGetPowerUsage", gpu(0))
        simulator.node.advance(10)
        assert abs(energy_of(nvml) - (10 * 70_000 + 10 * 700_000 + 10 * drawn)) <= 10
        assert nvml("nvmlDeviceGetViolationStatus", gpu(0), POWER_POLICY)["violationTime"] == 10 * 10**9
        assert nvml("nvmlDeviceGetViolationStatus", gpu(0), BOARD_LIMIT_POLICY)["violationTime"] == 0
    simulator.reload(force=True)
    with simulator.client() as nvml:
        assert energy_of(nvml) == 0


def test_what_the_last_client_leaves_counts_with_its_own_limit(simulator: Simulator) -> None:
    """Its limit goes with it, but what was drawn until then was drawn under it."""
    stop_clock(simulator)
    simulator.set(0, "utilization", 100)
    with simulator.client() as nvml:
        nvml("nvmlDeviceSetPowerManagementLimit", gpu(0), 300_000)
        drawn = nvml("nvmlDeviceGetPowerUsage", gpu(0))
        simulator.node.advance(100)
    simulator.node.advance(1)
    with simulator.client() as nvml:
        assert abs(energy_of(nvml) - (100 * drawn + 700_000)) <= 100


def test_a_policy_told_from_outside_counts_too(simulator: Simulator) -> None:
    stop_clock(simulator)
    simulator.set(0, "throttle_reasons", "0x400")
    simulator.node.advance(5)
    with simulator.client() as nvml:
        assert nvml("nvmlDeviceGetViolationStatus", gpu(0), RELIABILITY_POLICY)["violationTime"] == 5 * 10**9


def test_pascal_has_no_energy_counter(simulator: Simulator) -> None:
    simulator.init("p40:1")
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetTotalEnergyConsumption", gpu(0)) == "NOT_SUPPORTED"


def test_time_goes_on_by_itself(simulator: Simulator) -> None:
    with simulator.client() as nvml:
        first = energy_of(nvml)
        while energy_of(nvml) == first:
            pass
        simulator.node.advance(1)
        assert energy_of(nvml) >= first + 70_000


CONDITIONS = {
    "utilization": (0, 35, 100),
    "memory_bound": (0, 30, 100),
    "power_limit_mw": (None, 250_000, 450_000),
    "power_cap_mw": (None, 180_000, 350_000),
    "lock_graphics_max_mhz": (None, 1200),
    "application_graphics_mhz": (None, 900),
    "cooling_percent": (None, 45),
    "throttle_reasons": (None, 0x10),
}


@pytest.mark.parametrize("board", ["h100", "b200", "t4", "rtx4090"])
def test_library_and_command_compute_the_same(simulator: Simulator, board: str) -> None:
    simulator.init(f"{board}:1")
    stop_clock(simulator)
    grid = list(itertools.product(*CONDITIONS.values()))
    with simulator.client() as nvml:
        for values in random.Random(board).sample(grid, 40):
            for key, value in zip(CONDITIONS, values):
                simulator.set(0, key, value)
            simulator.node.advance(30)
            ours = load(simulator)
            reasons = ours["throttle_reasons"]
            theirs = nvml("nvmlDeviceGetCurrentClocksEventReasons", gpu(0))
            assert nvml("nvmlDeviceGetClockInfo", gpu(0), GRAPHICS) == ours["graphics_mhz"], values
            assert nvml("nvmlDeviceGetClockInfo", gpu(0), MEMORY) == ours["memory_mhz"], values
            assert nvml("nvmlDeviceGetPowerUsage", gpu(0)) == pytest.approx(ours["power_mw"], abs=1), values
            assert nvml("nvmlDeviceGetTemperature", gpu(0), 0) == ours["temperature"], values
            assert theirs & reasons == reasons, values
            before = energy_of(nvml)
            simulator.node.settle(0)
            assert energy_of(nvml) == pytest.approx(before, abs=2), values
