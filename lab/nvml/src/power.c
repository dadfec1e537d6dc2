// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Power: usage, limits, temperature, fans.
#include "sim.h"

// The whole-module scope exists where a board carries more than the GPU (GB200).
static int has_module(const struct sim_call *call)
{
    return sim_board(call, "module_power_max_mw") > 0;
}

SIM_GETTER(nvmlDeviceGetPowerUsage, unsigned int, sim_power_usage(call))
SIM_GETTER(nvmlDeviceGetPowerManagementMode, nvmlEnableState_t, NVML_FEATURE_ENABLED)
SIM_GETTER(nvmlDeviceGetPowerManagementLimit, unsigned int, sim_power_limit(call))
SIM_GETTER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned int, sim_board(call, "power_default_mw"))
SIM_GETTER(nvmlDeviceGetEnforcedPowerLimit, unsigned int, sim_enforced_limit(call))

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t device, unsigned int *minLimit,
                                                          unsigned int *maxLimit)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetPowerManagementLimitConstraints", device);
    if (result == NVML_SUCCESS && (minLimit == NULL || maxLimit == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        *minLimit = sim_board(call, "power_min_mw");
        *maxLimit = sim_board(call, "power_max_mw");
    }
    return sim_end(call, result);
}

// Support first, then privilege, then the range. `kind` is "" or "module_".
static nvmlReturn_t set_limit(struct sim_call *call, const char *kind, unsigned int milliwatts)
{
    char key[SIM_KEY_SIZE];
    unsigned int low, high;
    nvmlReturn_t result;

    if (sim_get_number(&call->gpus[SIM_OUTSIDE], "power_settable",
                       sim_get_number(&call->gpus[SIM_BOARD], "power_settable", 1)) == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    result = sim_privileged(call);
    if (result != NVML_SUCCESS)
        return result;
    sim_format(key, sizeof(key), "%spower_min_mw", kind);
    low = sim_board(call, key);
    sim_format(key, sizeof(key), "%spower_max_mw", kind);
    high = sim_board(call, key);
    if (milliwatts < low || milliwatts > high)
        return NVML_ERROR_INVALID_ARGUMENT;
    sim_format(key, sizeof(key), "%spower_limit_mw", kind);
    return sim_set_number(&call->gpus[SIM_VOLATILE], key, milliwatts) ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

nvmlReturn_t nvmlDeviceSetPowerManagementLimit(nvmlDevice_t device, unsigned int limit)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetPowerManagementLimit", device);
    SIM_NOTE(call, "%u", limit);
    if (result == NVML_SUCCESS)
        result = set_limit(call, "", limit);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceSetPowerManagementLimit_v2(nvmlDevice_t device, nvmlPowerValue_v2_t *powerValue)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetPowerManagementLimit_v2", device);
    if (result == NVML_SUCCESS && powerValue == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && powerValue->version != nvmlPowerValue_v2)
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result == NVML_SUCCESS) {
        SIM_NOTE(call, "scope=%u %u", powerValue->powerScope, powerValue->powerValueMw);
        if (powerValue->powerScope == NVML_POWER_SCOPE_GPU)
            result = set_limit(call, "", powerValue->powerValueMw);
        else if (powerValue->powerScope == NVML_POWER_SCOPE_MODULE && has_module(call))
            result = set_limit(call, "module_", powerValue->powerValueMw);
        else
            result = powerValue->powerScope < NVML_POWER_SCOPE_COUNT ? NVML_ERROR_NOT_SUPPORTED
                                                                     : NVML_ERROR_INVALID_ARGUMENT;
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensorType, unsigned int *temp)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTemperature", device);
    if (result == NVML_SUCCESS && (temp == NULL || sensorType != NVML_TEMPERATURE_GPU))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *temp = sim_temperature(call);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_t *temperature)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTemperatureV", device);
    if (result == NVML_SUCCESS && temperature == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && temperature->version != nvmlTemperature_v1)
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result == NVML_SUCCESS && temperature->sensorType != NVML_TEMPERATURE_GPU)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        temperature->temperature = (int)sim_temperature(call);
    return sim_end(call, result);
}
