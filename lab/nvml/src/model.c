// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// A GPU under load: which clock it runs, what it draws, how fast it works, what holds it back.
// All of it is a guess (docs/simulator.md has the formulas). nvml_model.py computes the same; a test compares.
#include "sim.h"

#define SET(call, key, fallback) sim_get_number(&(call)->gpus[SIM_VOLATILE], key, fallback)
#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

#define SW_THERMAL_CLOCK 0.75  // of the maximum, when too hot
#define HW_THERMAL_CLOCK 0.5   // of the maximum, when near the shutdown
#define MEMORY_LOCK_SPEED 0.84 // what a locked memory clock leaves of the speed, on Blackwell
#define USUAL_INLET 25

// What the power and the speed at a clock depend on, read once.
struct inputs {
    double busy, memory_bound;  // 0..1
    double idle, full;          // mW: at rest, and at full load and clocks
    double fastest, memory;     // MHz; share of the memory clock's maximum
};

static double at_most(double value, double limit)
{
    return value < limit ? value : limit;
}

static void read_inputs(const struct sim_call *call, struct inputs *in, unsigned int memory_mhz)
{
    unsigned int clocks[16];
    unsigned int fastest_memory = sim_memory_clocks(call, clocks, 16) > 0 ? clocks[0] : 1;
    in->busy = sim_utilization(call) / 100.0;
    in->memory_bound = at_most((double)OUTSIDE(call, "memory_bound", 30), 100) / 100.0;
    in->idle = sim_board(call, "idle_power_mw");
    in->full = (double)sim_get_number(&call->gpus[SIM_BOARD], "load_power_mw", sim_board(call, "power_default_mw"));
    in->fastest = sim_board(call, "graphics_max_mhz");
    in->memory = (double)memory_mhz / fastest_memory;
}

static double power_at(const struct inputs *in, double mhz)
{
    double clock = mhz / in->fastest, voltage = 0.6 + 0.4 * clock, share = 0.2 + 0.3 * in->memory_bound;
    double activity = (1 - share) * clock * voltage * voltage + share * in->memory;
    return in->idle + in->busy * (in->full - in->idle) * activity;
}

static double speed_at(const struct inputs *in, double mhz)
{
    double clock = mhz / in->fastest;
    return 1 / ((1 - in->memory_bound) / clock + in->memory_bound / at_most(in->memory, 2 * clock));
}

static unsigned int wanted_clock(const struct sim_call *call)
{
    unsigned int low = sim_board(call, "graphics_min_mhz"), high = sim_board(call, "graphics_max_mhz");
    unsigned int clock = (unsigned int)SET(call, "application_graphics_mhz", high);
    unsigned int lowest = (unsigned int)SET(call, "lock_graphics_min_mhz", low);
    unsigned int highest = (unsigned int)SET(call, "lock_graphics_max_mhz", high);
    if (sim_utilization(call) == 0)
        return low;
    clock = clock < lowest ? lowest : clock;
    return clock > highest ? highest : clock;
}

static unsigned int running_memory_clock(const struct sim_call *call)
{
    unsigned int clocks[16];
    unsigned int count = sim_memory_clocks(call, clocks, 16), low = (unsigned int)SET(call, "lock_memory_min_mhz", 0);
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

// What heat leaves of a clock.
static unsigned int cooled(const struct sim_call *call, double celsius, unsigned int mhz, unsigned long long *reasons)
{
    double most = sim_board(call, "graphics_max_mhz");
    if (celsius >= sim_board(call, "slowdown_celsius")) {
        *reasons |= nvmlClocksThrottleReasonHwSlowdown | nvmlClocksThrottleReasonHwThermalSlowdown;
        most *= HW_THERMAL_CLOCK;
    } else if (celsius >= sim_board(call, "gpu_max_celsius")) {
        *reasons |= nvmlClocksEventReasonSwThermalSlowdown;
        most *= SW_THERMAL_CLOCK;
    }
    return mhz > most ? sim_clock_step(call, (unsigned int)most) : mhz;
}

void sim_model(const struct sim_call *call, double celsius, struct sim_load *load)
{
    unsigned int limit = sim_enforced_limit(call), lowest = sim_board(call, "graphics_min_mhz"), free_mhz;
    struct inputs in;
    double duty = 1;

    load->throttled = OUTSIDE(call, "throttle_reasons", 0);
    load->memory_mhz = running_memory_clock(call);
    load->graphics_mhz = wanted_clock(call);
    read_inputs(call, &in, load->memory_mhz);
    if (in.busy > 0)
        load->graphics_mhz = cooled(call, celsius, load->graphics_mhz, &load->throttled);
    free_mhz = load->graphics_mhz;
    while (load->graphics_mhz > lowest && power_at(&in, load->graphics_mhz) > limit)
        load->graphics_mhz = sim_clock_step(call, load->graphics_mhz - 1);
    load->milliwatts = power_at(&in, load->graphics_mhz);
    if (load->milliwatts > limit) {
        duty = limit > in.idle ? (limit - in.idle) / (load->milliwatts - in.idle) : 0;
        load->milliwatts = limit;
    }
    if (load->graphics_mhz < free_mhz || duty < 1)
        load->throttled |= limit < sim_power_limit(call)
                               ? nvmlClocksThrottleReasonHwPowerBrakeSlowdown | nvmlClocksThrottleReasonHwSlowdown
                               : nvmlClocksEventReasonSwPowerCap;
    load->throughput = in.busy * duty * speed_at(&in, load->graphics_mhz);
    if (sim_board(call, "architecture") >= NVML_DEVICE_ARCH_BLACKWELL && SET(call, "lock_memory_max_mhz", 0) > 0)
        load->throughput *= MEMORY_LOCK_SPEED;
}

// The temperature a GPU settles at with this power.
double sim_celsius_at(const struct sim_call *call, double milliwatts)
{
    double idle = sim_board(call, "idle_power_mw"), full = sim_board(call, "power_default_mw");
    double rise = (double)sim_board(call, "load_celsius") - sim_board(call, "idle_celsius");
    double cooling = (double)OUTSIDE(call, "cooling_percent", 100);
    double warmer = (double)OUTSIDE(call, "inlet_celsius", USUAL_INLET) - USUAL_INLET;
    double celsius = sim_board(call, "idle_celsius") + warmer;
    celsius += rise * (milliwatts - idle) / (full - idle) * 100 / (cooling > 1 ? cooling : 1);
    return celsius > 0 ? celsius : 0;
}
