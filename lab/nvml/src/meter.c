// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What adds up over time: energy, temperature (it follows the power with a lag), throttled time.
//
// The meter's file holds the sums at a moment. Every call works them out up to now in memory, before it
// changes anything; only a call that changes something writes them, for the past must not be worked out
// with the new settings. nvml_model.py does the same for what nvml-sim changes.
#include <math.h>
#include <time.h>

#include "sim.h"

#define LAG_SECONDS 20.0
#define STEP_SECONDS 1.0
#define MOST_STEPS 600

struct sums {
    double celsius, energy_uj, power_us, thermal_us, hardware_thermal_us, brake_us, reliability_us;
};

// Microseconds since 1970: the machine's clock, moved or stopped by nvml-sim.
unsigned long long sim_now(const struct sim_call *call)
{
    struct timespec now;
    unsigned long long stopped = sim_get_number(&call->node, "clock_us", 0);
    if (stopped > 0)
        return stopped;
    clock_gettime(CLOCK_REALTIME, &now);
    return (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000 +
           sim_get_number(&call->node, "clock_offset_us", 0);
}

double sim_meter(const struct sim_call *call, const char *key)
{
    return (double)sim_get_number(&call->gpus[SIM_METER], key, 0);
}

static void add(struct sums *sums, const struct sim_load *load, double seconds)
{
    double us = seconds * 1e6;
    sums->energy_uj += load->milliwatts * seconds * 1000;
    if (load->throttled & nvmlClocksEventReasonSwPowerCap)
        sums->power_us += us;
    if (load->throttled & nvmlClocksEventReasonSwThermalSlowdown)
        sums->thermal_us += us;
    if (load->throttled & nvmlClocksThrottleReasonHwThermalSlowdown)
        sums->hardware_thermal_us += us;
    if (load->throttled & nvmlClocksThrottleReasonHwPowerBrakeSlowdown)
        sums->brake_us += us;
    if (load->throttled & nvmlClocksEventReasonReliability)
        sums->reliability_us += us;
}

// Lets the seconds pass. One step is exact as long as no heat changes the clock; else short ones.
static void pass(const struct sim_call *call, struct sums *sums, double left)
{
    double hot = sim_board(call, "gpu_max_celsius");
    const char *fixed = sim_get(&call->gpus[SIM_OUTSIDE], "temperature", NULL);
    for (int step = 0; left > 0; step++) {
        struct sim_load load;
        double target, seconds = left;
        sim_model(call, sums->celsius, &load);
        target = sim_celsius_at(call, load.milliwatts);
        if (fixed == NULL && (sums->celsius >= hot || target >= hot) && step < MOST_STEPS && left > STEP_SECONDS)
            seconds = STEP_SECONDS;
        add(sums, &load, seconds);
        if (fixed == NULL)
            sums->celsius = target + (sums->celsius - target) * exp(-seconds / LAG_SECONDS);
        left -= seconds;
    }
}

static void put(struct sim_table *meter, const char *key, double value)
{
    sim_set_number(meter, key, (unsigned long long)(value + 0.5));
}

// Works the meter out up to now, in memory. A meter that never ran starts now, at rest; one from
// the future (the clock was set back) goes on from now.
void sim_meter_advance(struct sim_call *call)
{
    struct sim_table *meter = &call->gpus[SIM_METER];
    unsigned long long now = sim_now(call), since = sim_get_number(meter, "at_us", now);
    int set_back = now < since, fresh = sim_get(meter, "at_us", NULL) == NULL;
    struct sums sums;

    if (sim_get(&call->gpus[SIM_OUTSIDE], "temperature", NULL) != NULL)
        sums.celsius = (double)sim_get_number(&call->gpus[SIM_OUTSIDE], "temperature", 0);
    else if (sim_get(meter, "milli_celsius", NULL) != NULL)
        sums.celsius = sim_meter(call, "milli_celsius") / 1000;
    else
        sums.celsius = sim_celsius_at(call, sim_board(call, "idle_power_mw"));
    sums.energy_uj = sim_meter(call, "energy_uj");
    sums.power_us = sim_meter(call, "power_us");
    sums.thermal_us = sim_meter(call, "thermal_us");
    sums.hardware_thermal_us = sim_meter(call, "hardware_thermal_us");
    sums.brake_us = sim_meter(call, "brake_us");
    sums.reliability_us = sim_meter(call, "reliability_us");
    if (now > since)
        pass(call, &sums, (double)(now - since) / 1e6);
    sim_set_number(meter, "at_us", now);
    put(meter, "milli_celsius", sums.celsius * 1000);
    put(meter, "energy_uj", sums.energy_uj);
    put(meter, "power_us", sums.power_us);
    put(meter, "thermal_us", sums.thermal_us);
    put(meter, "hardware_thermal_us", sums.hardware_thermal_us);
    put(meter, "brake_us", sums.brake_us);
    put(meter, "reliability_us", sums.reliability_us);
    meter->changed = fresh || set_back;
}
