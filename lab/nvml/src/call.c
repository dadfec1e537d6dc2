// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The way in and out of every call: lock, state, injected failures, lost GPUs, log.
//
// Order of the checks: initialised, driver loaded, function known to the driver, injected failure,
// handle, GPU lost; the function itself then checks arguments, support and privilege.
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct sim_call the_call;
static char handles[SIM_MAX_GPUS];  // only their addresses matter
static int started;                 // nvmlInit without its nvmlShutdown

void sim_enter(void)
{
    pthread_mutex_lock(&mutex);
}

void sim_leave(void)
{
    pthread_mutex_unlock(&mutex);
}

int sim_started(void)
{
    return started;
}

void sim_start_count(int step)
{
    started += step;
}

nvmlDevice_t sim_handle(int index)
{
    return (nvmlDevice_t)(void *)&handles[index];
}

// The index behind a handle; -1 if it is none of ours.
int sim_index(const struct sim_call *call, nvmlDevice_t device)
{
    unsigned long long count = sim_get_number(&call->node, "gpu_count", 0);
    for (int i = 0; i < SIM_MAX_GPUS && (unsigned long long)i < count; i++)
        if (sim_handle(i) == device)
            return i;
    return -1;
}

// Takes the locks and reads the node's state, whether or not the library is initialised.
nvmlReturn_t sim_open(struct sim_call **call, const char *function)
{
    sim_enter();
    *call = &the_call;
    the_call.function = function;
    the_call.arguments[0] = '\0';
    the_call.gpu = -1;
    the_call.gpu_instance = the_call.compute_instance = -1;
    the_call.node.count = 0;
    the_call.node.changed = 0;
    for (int scope = 0; scope < SIM_SCOPES; scope++) {
        the_call.gpus[scope].count = 0;
        the_call.gpus[scope].changed = 0;
    }
    the_call.lock = sim_lock();
    if (the_call.lock < 0)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    if (sim_load(&the_call.node, "node") <= 0 || sim_get_number(&the_call.node, "loaded", 0) == 0)
        return NVML_ERROR_DRIVER_NOT_LOADED;
    return NVML_SUCCESS;
}

// Begins a call without looking for injected failures: for a search, which does not know its GPU yet.
nvmlReturn_t sim_begin_search(struct sim_call **call, const char *function)
{
    nvmlReturn_t result;
    if (!started) {
        sim_enter();
        *call = &the_call;
        the_call.function = function;
        the_call.lock = -1;
        return NVML_ERROR_UNINITIALIZED;
    }
    result = sim_open(call, function);
    if (result == NVML_SUCCESS && sim_missing(function, sim_get(&the_call.node, "driver_version", "")))
        result = NVML_ERROR_FUNCTION_NOT_FOUND;
    return result;
}

// Begins a call that is not about one GPU. Must be followed by sim_end, whatever it returns.
nvmlReturn_t sim_begin(struct sim_call **call, const char *function)
{
    nvmlReturn_t result = sim_begin_search(call, function);
    nvmlReturn_t injected;
    if (result == NVML_SUCCESS && sim_fault(function, -1, &injected))
        result = injected;
    return result;
}

// Begins a call about one GPU or one MIG device. Must be followed by sim_end, whatever it returns.
nvmlReturn_t sim_begin_any(struct sim_call **call, const char *function, nvmlDevice_t device)
{
    nvmlReturn_t injected, result = sim_begin_search(call, function);
    if (result != NVML_SUCCESS)
        return result;
    (*call)->gpu = sim_index(*call, device);
    if ((*call)->gpu < 0)
        (*call)->gpu = sim_mig_gpu(*call, device);
    if (sim_fault(function, (*call)->gpu, &injected))
        return injected;
    if ((*call)->gpu < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    result = sim_select(*call, (*call)->gpu);
    return result == NVML_SUCCESS ? sim_mig_attach(*call, device) : result;
}

// The same for what only a whole GPU has.
nvmlReturn_t sim_begin_device(struct sim_call **call, const char *function, nvmlDevice_t device)
{
    nvmlReturn_t result = sim_begin_any(call, function, device);
    return result == NVML_SUCCESS && (*call)->compute_instance >= 0 ? NVML_ERROR_NOT_SUPPORTED : result;
}

// Saves what a successful call changed, logs it, gives the locks back. Returns the call's result.
nvmlReturn_t sim_end(struct sim_call *call, nvmlReturn_t result)
{
    if (call->lock >= 0) {
        if (result == NVML_SUCCESS) {
            // What was drawn before this change was worked out with the settings before it.
            for (int scope = SIM_OUTSIDE; scope < SIM_SCOPES; scope++)
                call->gpus[SIM_METER].changed |= call->gpus[scope].changed;
            for (int scope = SIM_OUTSIDE; scope < SIM_SCOPES; scope++)
                if (!sim_save(&call->gpus[scope]))
                    result = NVML_ERROR_UNKNOWN;
        }
        sim_log(call, result);
        sim_unlock(call->lock);
    }
    sim_leave();
    return result;
}

nvmlReturn_t sim_stub(const char *function)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin(&call, function);
    return sim_end(call, result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result);
}

nvmlReturn_t sim_stub_device(const char *function, nvmlDevice_t device)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    return sim_end(call, result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result);
}

// May the caller give device commands? NVML_SIM_PRIVILEGED=1 or 0 answers for the user id, so that
// tests can play root or not. A virtual guest may give none.
nvmlReturn_t sim_privileged(const struct sim_call *call)
{
    const char *said = getenv("NVML_SIM_PRIVILEGED");
    int root = said != NULL && said[0] != '\0' ? said[0] == '1' : geteuid() == 0;
    if (sim_is_virtual_guest(call))
        return NVML_ERROR_NOT_SUPPORTED;
    return root ? NVML_SUCCESS : NVML_ERROR_NO_PERMISSION;
}
