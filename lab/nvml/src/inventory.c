// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What `nvidia-smi -q` also shows: thresholds, fans, firmware, BAR1, restrictions.
#include "sim.h"

static unsigned int zero(const struct sim_call *call)
{
    (void)call;
    return 0;
}

SIM_GETTER(nvmlDeviceGetBoardId, unsigned int, sim_board(call, "pci_domain") << 16 | sim_board(call, "pci_bus") << 8)
SIM_GETTER(nvmlDeviceGetMultiGpuBoard, unsigned int, zero(call))
SIM_GETTER(nvmlDeviceGetDisplayMode, nvmlEnableState_t, sim_board(call, "display"))
SIM_GETTER(nvmlDeviceGetDisplayActive, nvmlEnableState_t, zero(call))
SIM_GETTER(nvmlDeviceGetBusType, nvmlBusType_t, NVML_BUS_TYPE_PCIE)
SIM_GETTER(nvmlDeviceGetPowerSource, nvmlPowerSource_t, NVML_POWER_SOURCE_AC)
SIM_GETTER(nvmlDeviceGetAdaptiveClockInfoStatus, unsigned int, NVML_ADAPTIVE_CLOCKING_INFO_STATUS_ENABLED)

static nvmlReturn_t threshold(const struct sim_call *call, nvmlTemperatureThresholds_t type, unsigned int *celsius)
{
    static const char *const keys[] = {"shutdown_celsius", "slowdown_celsius", "memory_max_celsius", "gpu_max_celsius"};
    if ((unsigned int)type >= NVML_TEMPERATURE_THRESHOLD_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *celsius = (unsigned int)type < sizeof(keys) / sizeof(keys[0]) ? sim_board(call, keys[type]) : 0;
    return *celsius > 0 ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t device, nvmlTemperatureThresholds_t thresholdType,
                                               unsigned int *temp)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTemperatureThreshold", device);
    SIM_NOTE(call, "%u", (unsigned int)thresholdType);
    if (result == NVML_SUCCESS)
        result = temp == NULL ? NVML_ERROR_INVALID_ARGUMENT : threshold(call, thresholdType, temp);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetMarginTemperature(nvmlDevice_t device, nvmlMarginTemperature_t *marginTempInfo)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetMarginTemperature", device);
    if (result == NVML_SUCCESS && marginTempInfo == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && marginTempInfo->version != nvmlMarginTemperature_v1)
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result == NVML_SUCCESS && sim_board(call, "architecture") < NVML_DEVICE_ARCH_ADA)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        marginTempInfo->marginTemperature = (int)sim_board(call, "gpu_max_celsius") - (int)sim_temperature(call);
    return sim_end(call, result);
}

SIM_GETTER(nvmlDeviceGetNumFans, unsigned int, sim_board(call, "fans"))

// A fan follows the temperature: 30 % up to 40 degrees, then 1.5 % a degree.
static unsigned int fan_percent(const struct sim_call *call)
{
    unsigned int celsius = sim_temperature(call), percent = 30 + (celsius > 40 ? (celsius - 40) * 3 / 2 : 0);
    return percent > 100 ? 100 : percent;
}

static nvmlReturn_t fan(const char *function, nvmlDevice_t device, unsigned int index, unsigned int *speed)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    SIM_NOTE(call, "%u", index);
    if (result == NVML_SUCCESS && sim_board(call, "fans") == 0)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (speed == NULL || index >= sim_board(call, "fans")))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *speed = fan_percent(call);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned int *speed)
{
    return fan("nvmlDeviceGetFanSpeed", device, 0, speed);
}

nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned int index, unsigned int *speed)
{
    return fan("nvmlDeviceGetFanSpeed_v2", device, index, speed);
}

// The GPU's own processor came with Turing; its firmware is that of the driver.
static int has_gsp(const struct sim_call *call)
{
    return sim_board(call, "architecture") >= NVML_DEVICE_ARCH_TURING && !sim_is_virtual_guest(call);
}

nvmlReturn_t nvmlDeviceGetGspFirmwareVersion(nvmlDevice_t device, char *version)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGspFirmwareVersion", device);
    if (result == NVML_SUCCESS && !has_gsp(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = sim_copy(sim_get(&call->node, "driver_version", ""), version, NVML_GSP_FIRMWARE_VERSION_BUF_SIZE);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetGspFirmwareMode(nvmlDevice_t device, unsigned int *isEnabled, unsigned int *defaultMode)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGspFirmwareMode", device);
    if (result == NVML_SUCCESS && !has_gsp(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (isEnabled == NULL || defaultMode == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *isEnabled = *defaultMode = 1;
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *bar1Memory)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetBAR1MemoryInfo", device);
    if (result == NVML_SUCCESS && bar1Memory == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        bar1Memory->bar1Total = (unsigned long long)sim_board(call, "bar1_mib") << 20;
        bar1Memory->bar1Used = bar1Memory->bar1Total > 0 ? 1ULL << 20 : 0;
        bar1Memory->bar1Free = bar1Memory->bar1Total - bar1Memory->bar1Used;
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetC2cModeInfoV(nvmlDevice_t device, nvmlC2cModeInfo_v1_t *c2cModeInfo)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetC2cModeInfoV", device);
    if (result == NVML_SUCCESS && sim_board(call, "coherent") == 0)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && c2cModeInfo == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        c2cModeInfo->isC2cEnabled = 1;
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetSupportedPerformanceStates(nvmlDevice_t device, nvmlPstates_t *pstates, unsigned int size)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetSupportedPerformanceStates", device);
    if (result == NVML_SUCCESS && pstates == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        unsigned int rest = sim_board(call, "idle_pstate"), room = size / sizeof(*pstates);
        if (room < (rest > 0 ? 2U : 1U))
            result = NVML_ERROR_INSUFFICIENT_SIZE;
        for (unsigned int i = 0; result == NVML_SUCCESS && i < room; i++)
            pstates[i] = i == 0 ? NVML_PSTATE_0 : i == 1 && rest > 0 ? (nvmlPstates_t)rest : NVML_PSTATE_UNKNOWN;
    }
    return sim_end(call, result);
}

// Only application clocks can be opened to everybody; auto boost has none of its own on these boards.
static nvmlReturn_t may_restrict(const struct sim_call *call, nvmlRestrictedAPI_t api)
{
    if ((unsigned int)api >= NVML_RESTRICTED_API_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (api == NVML_RESTRICTED_API_SET_APPLICATION_CLOCKS && sim_has_application_clocks(call) == NVML_SUCCESS)
        return NVML_SUCCESS;
    return NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetAPIRestriction(nvmlDevice_t device, nvmlRestrictedAPI_t apiType,
                                         nvmlEnableState_t *isRestricted)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetAPIRestriction", device);
    SIM_NOTE(call, "%u", (unsigned int)apiType);
    if (result == NVML_SUCCESS)
        result = isRestricted == NULL ? NVML_ERROR_INVALID_ARGUMENT : may_restrict(call, apiType);
    if (result == NVML_SUCCESS)
        *isRestricted = (nvmlEnableState_t)sim_get_number(&call->gpus[SIM_VOLATILE], "restrict_application_clocks", 1);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceSetAPIRestriction(nvmlDevice_t device, nvmlRestrictedAPI_t apiType,
                                         nvmlEnableState_t isRestricted)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetAPIRestriction", device);
    SIM_NOTE(call, "%u %u", (unsigned int)apiType, (unsigned int)isRestricted);
    if (result == NVML_SUCCESS)
        result = may_restrict(call, apiType);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && (unsigned int)isRestricted > NVML_FEATURE_ENABLED)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        sim_set_number(&call->gpus[SIM_VOLATILE], "restrict_application_clocks", isRestricted);
    return sim_end(call, result);
}
