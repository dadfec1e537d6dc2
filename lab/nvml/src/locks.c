// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Clock locks. They have no getter: only the clock that runs shows them.
#include <string.h>

#include "sim.h"

static nvmlReturn_t may_lock(const struct sim_call *call, unsigned int first_architecture)
{
    if (sim_board(call, "architecture") < first_architecture)
        return NVML_ERROR_NOT_SUPPORTED;
    return sim_privileged(call);
}

static nvmlReturn_t store(struct sim_call *call, const char *domain, unsigned int low, unsigned int high)
{
    char low_key[SIM_KEY_SIZE], high_key[SIM_KEY_SIZE];
    sim_format(low_key, sizeof(low_key), "lock_%s_min_mhz", domain);
    sim_format(high_key, sizeof(high_key), "lock_%s_max_mhz", domain);
    if (sim_set_number(&call->gpus[SIM_VOLATILE], low_key, low) &&
        sim_set_number(&call->gpus[SIM_VOLATILE], high_key, high))
        return NVML_SUCCESS;
    return NVML_ERROR_UNKNOWN;
}

static void forget(struct sim_call *call, const char *domain)
{
    char key[SIM_KEY_SIZE];
    sim_format(key, sizeof(key), "lock_%s_min_mhz", domain);
    sim_unset(&call->gpus[SIM_VOLATILE], key);
    sim_format(key, sizeof(key), "lock_%s_max_mhz", domain);
    sim_unset(&call->gpus[SIM_VOLATILE], key);
}

static int refuses_unsupported(const struct sim_call *call)
{
    return strcmp(sim_get(&call->node, "lock_policy", "round"), "refuse") == 0;
}

// A number of MHz as the board takes it: rounded down to a step, or refused (0), by lock_policy.
static unsigned int take_graphics(const struct sim_call *call, unsigned int wanted)
{
    unsigned int taken = sim_clock_step(call, wanted);
    return taken != wanted && refuses_unsupported(call) ? 0 : taken;
}

// The pair given by name: tdp or unlimited on either side.
static nvmlReturn_t lock_by_name(struct sim_call *call, unsigned int low, unsigned int high)
{
    unsigned int tdp = sim_board(call, "graphics_tdp_mhz");
    if (low > NVML_CLOCK_LIMIT_ID_UNLIMITED || high > NVML_CLOCK_LIMIT_ID_UNLIMITED ||
        low <= NVML_CLOCK_LIMIT_ID_RANGE_START || high <= NVML_CLOCK_LIMIT_ID_RANGE_START)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (low == NVML_CLOCK_LIMIT_ID_UNLIMITED && high == NVML_CLOCK_LIMIT_ID_UNLIMITED) {
        forget(call, "graphics");
        return NVML_SUCCESS;
    }
    return store(call, "graphics", low == NVML_CLOCK_LIMIT_ID_TDP ? tdp : sim_board(call, "graphics_min_mhz"),
                 high == NVML_CLOCK_LIMIT_ID_TDP ? tdp : sim_board(call, "graphics_max_mhz"));
}

static nvmlReturn_t lock_graphics(struct sim_call *call, unsigned int low, unsigned int high)
{
    unsigned long long forced;
    if (low >= NVML_CLOCK_LIMIT_ID_RANGE_START || high >= NVML_CLOCK_LIMIT_ID_RANGE_START)
        return lock_by_name(call, low, high);
    if (low > high)
        return NVML_ERROR_INVALID_ARGUMENT;
    low = take_graphics(call, low);
    high = take_graphics(call, high);
    if (low == 0 || high == 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    // Some boards say SUCCESS and run another minimum.
    forced = sim_get_number(&call->gpus[SIM_OUTSIDE], "lock_min_override_mhz", low);
    low = forced < high ? (unsigned int)forced : high;
    return store(call, "graphics", low, high);
}

nvmlReturn_t nvmlDeviceSetGpuLockedClocks(nvmlDevice_t device, unsigned int minGpuClockMHz, unsigned int maxGpuClockMHz)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetGpuLockedClocks", device);
    SIM_NOTE(call, "%u %u", minGpuClockMHz, maxGpuClockMHz);
    if (result == NVML_SUCCESS)
        result = may_lock(call, NVML_DEVICE_ARCH_VOLTA);
    if (result == NVML_SUCCESS)
        result = lock_graphics(call, minGpuClockMHz, maxGpuClockMHz);
    return sim_end(call, result);
}

// A memory clock as the board takes it: the next supported one downwards, or refused (0).
static unsigned int take_memory(const struct sim_call *call, unsigned int wanted)
{
    unsigned int clocks[16], count = sim_memory_clocks(call, clocks, 16), taken = 0;
    for (unsigned int i = 0; i < count && taken == 0; i++)
        if (clocks[i] <= wanted)
            taken = clocks[i];
    if (taken == 0 && count > 0)
        taken = clocks[count - 1];
    return taken != wanted && refuses_unsupported(call) ? 0 : taken;
}

nvmlReturn_t nvmlDeviceSetMemoryLockedClocks(nvmlDevice_t device, unsigned int minMemClockMHz,
                                             unsigned int maxMemClockMHz)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetMemoryLockedClocks", device);
    SIM_NOTE(call, "%u %u", minMemClockMHz, maxMemClockMHz);
    if (result == NVML_SUCCESS)
        result = may_lock(call, NVML_DEVICE_ARCH_AMPERE);
    if (result == NVML_SUCCESS) {
        unsigned int low = take_memory(call, minMemClockMHz), high = take_memory(call, maxMemClockMHz);
        int good = minMemClockMHz <= maxMemClockMHz && low > 0 && high > 0;
        result = good ? store(call, "memory", low, high) : NVML_ERROR_INVALID_ARGUMENT;
    }
    return sim_end(call, result);
}

static nvmlReturn_t unlock(const char *function, nvmlDevice_t device, const char *domain, unsigned int first)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    if (result == NVML_SUCCESS)
        result = may_lock(call, first);
    if (result == NVML_SUCCESS)
        forget(call, domain);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceResetGpuLockedClocks(nvmlDevice_t device)
{
    return unlock("nvmlDeviceResetGpuLockedClocks", device, "graphics", NVML_DEVICE_ARCH_VOLTA);
}

nvmlReturn_t nvmlDeviceResetMemoryLockedClocks(nvmlDevice_t device)
{
    return unlock("nvmlDeviceResetMemoryLockedClocks", device, "memory", NVML_DEVICE_ARCH_AMPERE);
}
