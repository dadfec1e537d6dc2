// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the state says of the driver and of a GPU by itself: its board, its limits, how busy it is.
#include <string.h>

#include "sim.h"

#define SET(call, key, fallback) sim_get_number(&(call)->gpus[SIM_VOLATILE], key, fallback)
#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

// The branch of the driver: 550 of 550.163.01; 0 if it has none.
int sim_driver_branch(const struct sim_call *call)
{
    char text[8];
    unsigned long long branch = 0;
    const char *driver = sim_get(&call->node, "driver_version", "0");
    size_t size = strcspn(driver, ".");
    if (size >= sizeof(text))
        return 0;
    memcpy(text, driver, size);
    text[size] = '\0';
    return sim_number(text, &branch) ? (int)branch : 0;
}

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
