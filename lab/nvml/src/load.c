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

unsigned int sim_board(const struct sim_call *call, const char *key)
{
    return (unsigned int)sim_get_number(&call->gpus[SIM_BOARD], key, 0);
}

int sim_is_virtual_guest(const struct sim_call *call)
{
    return OUTSIDE(call, "virtualization", NVML_GPU_VIRTUALIZATION_MODE_NONE) == NVML_GPU_VIRTUALIZATION_MODE_VGPU;
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

static void model(const struct sim_call *call, struct sim_load *load)
{
    sim_model(call, sim_meter(call, "milli_celsius") / 1000, load);
}

unsigned int sim_power_usage(const struct sim_call *call)
{
    struct sim_load load;
    model(call, &load);
    return (unsigned int)(load.milliwatts + 0.5);
}

unsigned int sim_temperature(const struct sim_call *call)
{
    return (unsigned int)(sim_meter(call, "milli_celsius") / 1000);
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

// The clock of a domain now, in MHz.
unsigned int sim_clock(const struct sim_call *call, nvmlClockType_t type)
{
    struct sim_load load;
    if (type == NVML_CLOCK_VIDEO)
        return sim_utilization(call) == 0 ? sim_board(call, "video_min_mhz") : sim_board(call, "video_max_mhz");
    model(call, &load);
    return type == NVML_CLOCK_MEM ? load.memory_mhz : load.graphics_mhz;
}

unsigned long long sim_throttle_reasons(const struct sim_call *call)
{
    struct sim_load load;
    unsigned long long reasons = OUTSIDE(call, "throttle_reasons", 0);
    if (sim_enforced_limit(call) < sim_power_limit(call))
        reasons |= nvmlClocksThrottleReasonHwPowerBrakeSlowdown;
    if (sim_utilization(call) == 0)
        return reasons | nvmlClocksEventReasonGpuIdle;
    model(call, &load);
    if (SET(call, "application_graphics_mhz", 0) != 0)
        reasons |= nvmlClocksEventReasonApplicationsClocksSetting;
    return reasons | load.throttled;
}
