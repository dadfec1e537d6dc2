// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What counts up by itself: energy, throttled time, PCIe; and what the load makes of the engines.
#include "sim.h"

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)
#define ENGINE_PERIOD_US 167000

nvmlReturn_t sim_energy(const struct sim_call *call, unsigned long long *millijoules)
{
    if (sim_board(call, "architecture") < NVML_DEVICE_ARCH_VOLTA)
        return NVML_ERROR_NOT_SUPPORTED;
    *millijoules = (unsigned long long)(sim_meter(call, "energy_uj") / 1000);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *energy)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTotalEnergyConsumption", device);
    if (result == NVML_SUCCESS)
        result = energy == NULL ? NVML_ERROR_INVALID_ARGUMENT : sim_energy(call, energy);
    return sim_end(call, result);
}

// How long a policy held the clocks down, in ns.
unsigned long long sim_violation(const struct sim_call *call, nvmlPerfPolicyType_t policy)
{
    double us = 0;
    if (policy == NVML_PERF_POLICY_POWER)
        us = sim_meter(call, "power_us");
    else if (policy == NVML_PERF_POLICY_THERMAL)
        us = sim_meter(call, "thermal_us") + sim_meter(call, "hardware_thermal_us");
    else if (policy == NVML_PERF_POLICY_BOARD_LIMIT)
        us = sim_meter(call, "brake_us");
    else if (policy == NVML_PERF_POLICY_RELIABILITY)
        us = sim_meter(call, "reliability_us");
    return (unsigned long long)us * 1000;
}

nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t device, nvmlPerfPolicyType_t perfPolicyType,
                                          nvmlViolationTime_t *violTime)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetViolationStatus", device);
    SIM_NOTE(call, "%u", (unsigned int)perfPolicyType);
    if (result == NVML_SUCCESS && (violTime == NULL || (unsigned int)perfPolicyType >= NVML_PERF_POLICY_COUNT))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        violTime->referenceTime = sim_now(call);
        violTime->violationTime = sim_violation(call, perfPolicyType);
    }
    return sim_end(call, result);
}

SIM_GETTER(nvmlDeviceGetPcieReplayCounter, unsigned int, OUTSIDE(call, "pcie_replays", 0))

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t counter, unsigned int *value)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetPcieThroughput", device);
    SIM_NOTE(call, "%u", (unsigned int)counter);
    if (result == NVML_SUCCESS && sim_is_virtual_guest(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (value == NULL || (unsigned int)counter >= NVML_PCIE_UTIL_COUNT))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *value = (unsigned int)OUTSIDE(call, counter == NVML_PCIE_UTIL_TX_BYTES ? "pcie_tx_kbps" : "pcie_rx_kbps", 0);
    return sim_end(call, result);
}

static unsigned int pcie_mbps(unsigned long long generation)
{
    return generation < 3 ? (generation < 2 ? 2500 : 5000) : 8000U << (generation - 3);
}

SIM_GETTER(nvmlDeviceGetPcieSpeed, unsigned int,
           pcie_mbps(OUTSIDE(call, "pcie_generation", sim_board(call, "pcie_generation"))))
SIM_GETTER(nvmlDeviceGetPcieLinkMaxSpeed, unsigned int, sim_board(call, "pcie_generation"))

// Compute leaves the video engines idle.
static nvmlReturn_t idle_engine(const char *function, nvmlDevice_t device, unsigned int *utilization,
                                unsigned int *period)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    if (result == NVML_SUCCESS && sim_mig_enabled(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (utilization == NULL || period == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        *utilization = 0;
        *period = ENGINE_PERIOD_US;
    }
    return sim_end(call, result);
}

#define ENGINE(FUNCTION)                                                                                 \
    nvmlReturn_t FUNCTION(nvmlDevice_t device, unsigned int *utilization, unsigned int *samplingPeriodUs) \
    {                                                                                                    \
        return idle_engine(#FUNCTION, device, utilization, samplingPeriodUs);                            \
    }

ENGINE(nvmlDeviceGetEncoderUtilization)
ENGINE(nvmlDeviceGetDecoderUtilization)
ENGINE(nvmlDeviceGetJpgUtilization)
ENGINE(nvmlDeviceGetOfaUtilization)

nvmlReturn_t nvmlDeviceGetEncoderStats(nvmlDevice_t device, unsigned int *sessionCount, unsigned int *averageFps,
                                       unsigned int *averageLatency)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetEncoderStats", device);
    if (result == NVML_SUCCESS && (sessionCount == NULL || averageFps == NULL || averageLatency == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *sessionCount = *averageFps = *averageLatency = 0;
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetFBCStats(nvmlDevice_t device, nvmlFBCStats_t *fbcStats)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetFBCStats", device);
    if (result == NVML_SUCCESS && fbcStats == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *fbcStats = (nvmlFBCStats_t){0};
    return sim_end(call, result);
}
