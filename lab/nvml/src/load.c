// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the GPU does at this moment, worked out from its board, its limits and its load.
#include "sim.h"

#define SET(call, key, fallback) sim_get_number(&(call)->gpus[SIM_VOLATILE], key, fallback)
#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

static unsigned int least(unsigned int a, unsigned int b)
{
    return a < b ? a : b;
}

static unsigned int between(unsigned int value, unsigned int low, unsigned int high)
{
    value = value < low ? low : value;
    return value > high ? high : value;
}

unsigned int sim_board(const struct sim_call *call, const char *key)
{
    return (unsigned int)sim_get_number(&call->gpus[SIM_BOARD], key, 0);
}

int sim_is_virtual_guest(const struct sim_call *call)
{
    return OUTSIDE(call, "virtualization", NVML_GPU_VIRTUALIZATION_MODE_NONE) == NVML_GPU_VIRTUALIZATION_MODE_VGPU;
}

// MIG is a thing of the InfoROM on Ampere and of the driver's memory from Hopper on.
int sim_mig_enabled(const struct sim_call *call)
{
    return sim_get_number(&call->gpus[SIM_PERSISTENT], "mig_current", 0) || SET(call, "mig_current", 0);
}

// In percent: as told from outside, else 100 while a process runs.
unsigned int sim_utilization(const struct sim_call *call)
{
    unsigned int busy = call->gpus[SIM_PROCESSES].count > 0 ? 100 : 0;
    return least(100, (unsigned int)OUTSIDE(call, "utilization", busy));
}

unsigned int sim_power_limit(const struct sim_call *call)
{
    return (unsigned int)SET(call, "power_limit_mw", sim_board(call, "power_default_mw"));
}

// The limit in force: another hand (a BMC, a power brake) may have set a lower one.
unsigned int sim_enforced_limit(const struct sim_call *call)
{
    unsigned int limit = sim_power_limit(call);
    return least(limit, (unsigned int)OUTSIDE(call, "power_cap_mw", limit));
}

unsigned int sim_power_usage(const struct sim_call *call)
{
    unsigned int idle = sim_board(call, "idle_power_mw"), limit = sim_enforced_limit(call);
    if (limit <= idle)
        return limit;
    return idle + (unsigned int)((unsigned long long)(limit - idle) * sim_utilization(call) / 100);
}

unsigned int sim_temperature(const struct sim_call *call)
{
    unsigned int idle = sim_board(call, "idle_celsius"), load = sim_board(call, "load_celsius");
    return (unsigned int)OUTSIDE(call, "temperature", idle + (load - idle) * sim_utilization(call) / 100);
}

// The memory clocks in MHz, highest first; returns how many were stored.
unsigned int sim_memory_clocks(const struct sim_call *call, unsigned int *values, unsigned int room)
{
    return sim_numbers(sim_get(&call->gpus[SIM_BOARD], "memory_mhz", ""), values, room);
}

// The clock of the board next to the wanted one, downwards; the board's ends at either side.
unsigned int sim_clock_step(const struct sim_call *call, unsigned int wanted)
{
    unsigned int low = sim_board(call, "graphics_min_mhz"), high = sim_board(call, "graphics_max_mhz");
    unsigned int step = sim_board(call, "graphics_step_mhz");
    if (wanted >= high || step == 0)
        return least(wanted, high);
    return wanted <= low ? low : low + (wanted - low) / step * step;
}

static unsigned int graphics_clock(const struct sim_call *call)
{
    unsigned int low = sim_board(call, "graphics_min_mhz"), high = sim_board(call, "graphics_max_mhz");
    unsigned int target = (unsigned int)SET(call, "application_graphics_mhz", high);
    if (sim_utilization(call) == 0)
        return low;
    return between(target, (unsigned int)SET(call, "lock_graphics_min_mhz", low),
                   (unsigned int)SET(call, "lock_graphics_max_mhz", high));
}

static unsigned int memory_clock(const struct sim_call *call)
{
    unsigned int clocks[16];
    unsigned int count = sim_memory_clocks(call, clocks, 16), low = SET(call, "lock_memory_min_mhz", 0);
    unsigned int high = (unsigned int)SET(call, "lock_memory_max_mhz", ~0U);
    if (count == 0)
        return 0;
    if (sim_utilization(call) == 0)
        return sim_board(call, "idle_memory_mhz");
    if (high == ~0U)
        return (unsigned int)SET(call, "application_memory_mhz", clocks[0]);
    for (unsigned int i = 0; i < count; i++)
        if (clocks[i] <= high && clocks[i] >= low)
            return clocks[i];
    return clocks[count - 1];
}

// The clock of a domain now, in MHz.
unsigned int sim_clock(const struct sim_call *call, nvmlClockType_t type)
{
    if (type == NVML_CLOCK_MEM)
        return memory_clock(call);
    if (type == NVML_CLOCK_VIDEO)
        return sim_utilization(call) == 0 ? sim_board(call, "video_min_mhz") : sim_board(call, "video_max_mhz");
    return graphics_clock(call);
}

unsigned long long sim_throttle_reasons(const struct sim_call *call)
{
    unsigned int limit = sim_power_limit(call);
    unsigned long long reasons = OUTSIDE(call, "throttle_reasons", 0);
    if (sim_enforced_limit(call) < limit)
        reasons |= nvmlClocksThrottleReasonHwPowerBrakeSlowdown;
    if (sim_utilization(call) == 0)
        return reasons | nvmlClocksEventReasonGpuIdle;
    if (limit < sim_board(call, "power_default_mw"))
        reasons |= nvmlClocksEventReasonSwPowerCap;
    if (SET(call, "application_graphics_mhz", 0) != 0)
        reasons |= nvmlClocksEventReasonApplicationsClocksSetting;
    return reasons;
}
