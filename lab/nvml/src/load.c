// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the GPU does at this moment, as the model and the meter have it.
#include "sim.h"

#define SET(call, key, fallback) sim_get_number(&(call)->gpus[SIM_VOLATILE], key, fallback)
#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

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
