// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Clocks: what is supported, what runs, locks and application clocks.
#include "sim.h"

#define MAX_STEPS 512

static int known_type(nvmlClockType_t type)
{
    return (unsigned int)type < NVML_CLOCK_COUNT;
}

// Hands a list out in the way of NVML: *count is the room, then what there is.
static nvmlReturn_t give_list(const unsigned int *values, unsigned int size, unsigned int *count, unsigned int *out)
{
    unsigned int room = *count;
    *count = size;
    if (room < size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (unsigned int i = 0; i < size; i++)
        out[i] = values[i];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetSupportedMemoryClocks(nvmlDevice_t device, unsigned int *count, unsigned int *clocksMHz)
{
    struct sim_call *call;
    unsigned int clocks[16];
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetSupportedMemoryClocks", device);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        result = give_list(clocks, sim_memory_clocks(call, clocks, 16), count, clocksMHz);
    return sim_end(call, result);
}

static int is_memory_clock(const struct sim_call *call, unsigned int wanted)
{
    unsigned int clocks[16], count = sim_memory_clocks(call, clocks, 16);
    for (unsigned int i = 0; i < count; i++)
        if (clocks[i] == wanted)
            return 1;
    return 0;
}

// The graphics clocks, highest first: the board's maximum, then every step above its minimum.
static unsigned int graphics_clocks(const struct sim_call *call, unsigned int *values)
{
    unsigned int low = sim_board(call, "graphics_min_mhz"), step = sim_board(call, "graphics_step_mhz");
    unsigned int clock = sim_board(call, "graphics_max_mhz"), count = 0;
    values[count++] = clock;
    while (step > 0 && clock > low && count < MAX_STEPS) {
        clock = sim_clock_step(call, clock - 1);
        values[count++] = clock;
    }
    return count;
}

nvmlReturn_t nvmlDeviceGetSupportedGraphicsClocks(nvmlDevice_t device, unsigned int memoryClockMHz,
                                                  unsigned int *count, unsigned int *clocksMHz)
{
    struct sim_call *call;
    unsigned int clocks[MAX_STEPS];
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetSupportedGraphicsClocks", device);
    SIM_NOTE(call, "%u", memoryClockMHz);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !is_memory_clock(call, memoryClockMHz))
        result = NVML_ERROR_NOT_FOUND;
    if (result == NVML_SUCCESS)
        result = give_list(clocks, graphics_clocks(call, clocks), count, clocksMHz);
    return sim_end(call, result);
}

static unsigned int max_clock(const struct sim_call *call, nvmlClockType_t type)
{
    unsigned int clocks[16];
    if (type == NVML_CLOCK_MEM)
        return sim_memory_clocks(call, clocks, 16) > 0 ? clocks[0] : 0;
    return sim_board(call, type == NVML_CLOCK_VIDEO ? "video_max_mhz" : "graphics_max_mhz");
}

// The application clock set, or the default: the maximum.
static unsigned int application_clock(const struct sim_call *call, nvmlClockType_t type)
{
    const char *key = type == NVML_CLOCK_MEM ? "application_memory_mhz" : "application_graphics_mhz";
    return (unsigned int)sim_get_number(&call->gpus[SIM_VOLATILE], key, max_clock(call, type));
}

typedef unsigned int reader(const struct sim_call *call, nvmlClockType_t type);

// Application clocks answer up to branch 590 and are "deprecated" from 595 on; GeForce never had them.
nvmlReturn_t sim_has_application_clocks(const struct sim_call *call)
{
    if (sim_get_number(&call->gpus[SIM_BOARD], "application_clocks", 1) == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    return sim_driver_branch(call) >= 595 ? NVML_ERROR_DEPRECATED : NVML_SUCCESS;
}

// Root opens them to everybody with nvmlDeviceSetAPIRestriction.
static nvmlReturn_t may_set_applications(const struct sim_call *call)
{
    nvmlReturn_t result = sim_has_application_clocks(call);
    if (result == NVML_SUCCESS && (sim_get_number(&call->gpus[SIM_VOLATILE], "restrict_application_clocks", 1) ||
                                   sim_is_virtual_guest(call)))
        result = sim_privileged(call);
    return result;
}

static nvmlReturn_t read_clock(const char *function, nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock,
                               reader *read, int is_application)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    SIM_NOTE(call, "%u", (unsigned int)type);
    if (result == NVML_SUCCESS && is_application)
        result = sim_has_application_clocks(call);
    if (result == NVML_SUCCESS && (clock == NULL || !known_type(type)))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && is_application && type == NVML_CLOCK_VIDEO)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        *clock = read(call, type);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock)
{
    return read_clock("nvmlDeviceGetClockInfo", device, type, clock, sim_clock, 0);
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *clock)
{
    return read_clock("nvmlDeviceGetMaxClockInfo", device, type, clock, max_clock, 0);
}

nvmlReturn_t nvmlDeviceGetMaxCustomerBoostClock(nvmlDevice_t device, nvmlClockType_t clockType, unsigned int *clockMHz)
{
    return read_clock("nvmlDeviceGetMaxCustomerBoostClock", device, clockType, clockMHz, max_clock, 0);
}

nvmlReturn_t nvmlDeviceGetApplicationsClock(nvmlDevice_t device, nvmlClockType_t clockType, unsigned int *clockMHz)
{
    return read_clock("nvmlDeviceGetApplicationsClock", device, clockType, clockMHz, application_clock, 1);
}

nvmlReturn_t nvmlDeviceGetDefaultApplicationsClock(nvmlDevice_t device, nvmlClockType_t clockType,
                                                   unsigned int *clockMHz)
{
    return read_clock("nvmlDeviceGetDefaultApplicationsClock", device, clockType, clockMHz, max_clock, 1);
}

nvmlReturn_t nvmlDeviceGetClock(nvmlDevice_t device, nvmlClockType_t clockType, nvmlClockId_t clockId,
                                unsigned int *clockMHz)
{
    static reader *const readers[NVML_CLOCK_ID_COUNT] = {sim_clock, application_clock, max_clock, max_clock};
    int known = (unsigned int)clockId < NVML_CLOCK_ID_COUNT;
    int is_application = clockId == NVML_CLOCK_ID_APP_CLOCK_TARGET || clockId == NVML_CLOCK_ID_APP_CLOCK_DEFAULT;
    return read_clock("nvmlDeviceGetClock", device, known ? clockType : NVML_CLOCK_COUNT, clockMHz,
                      readers[known ? clockId : 0], is_application);
}

nvmlReturn_t nvmlDeviceSetApplicationsClocks(nvmlDevice_t device, unsigned int memClockMHz,
                                             unsigned int graphicsClockMHz)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetApplicationsClocks", device);
    SIM_NOTE(call, "%u %u", memClockMHz, graphicsClockMHz);
    if (result == NVML_SUCCESS)
        result = may_set_applications(call);
    if (result == NVML_SUCCESS && (!is_memory_clock(call, memClockMHz) ||
                                   graphicsClockMHz < sim_board(call, "graphics_min_mhz") ||
                                   sim_clock_step(call, graphicsClockMHz) != graphicsClockMHz))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS &&
        !(sim_set_number(&call->gpus[SIM_VOLATILE], "application_memory_mhz", memClockMHz) &&
          sim_set_number(&call->gpus[SIM_VOLATILE], "application_graphics_mhz", graphicsClockMHz)))
        result = NVML_ERROR_UNKNOWN;
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceResetApplicationsClocks(nvmlDevice_t device)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceResetApplicationsClocks", device);
    if (result == NVML_SUCCESS)
        result = may_set_applications(call);
    if (result == NVML_SUCCESS) {
        sim_unset(&call->gpus[SIM_VOLATILE], "application_memory_mhz");
        sim_unset(&call->gpus[SIM_VOLATILE], "application_graphics_mhz");
    }
    return sim_end(call, result);
}

SIM_GETTER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, sim_throttle_reasons(call))
SIM_GETTER(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, sim_throttle_reasons(call))
SIM_GETTER(nvmlDeviceGetSupportedClocksEventReasons, unsigned long long, nvmlClocksEventReasonAll)
SIM_GETTER(nvmlDeviceGetSupportedClocksThrottleReasons, unsigned long long, nvmlClocksEventReasonAll)
SIM_GETTER(nvmlDeviceGetPerformanceState, nvmlPstates_t,
           sim_utilization(call) == 0 ? sim_board(call, "idle_pstate") : NVML_PSTATE_0)
SIM_GETTER(nvmlDeviceGetPowerState, nvmlPstates_t,
           sim_utilization(call) == 0 ? sim_board(call, "idle_pstate") : NVML_PSTATE_0)
