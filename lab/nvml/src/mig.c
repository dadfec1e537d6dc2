// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// MIG mode. Ampere keeps it in the InfoROM and needs a reset of the GPU, which the call attempts;
// from Hopper on it takes effect at once and is gone when the driver unloads.
#include <string.h>
#include <unistd.h>

#include "sim.h"

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

// How the board does MIG: "none", "reset" or "live".
static const char *kind(const struct sim_call *call)
{
    return sim_get(&call->gpus[SIM_BOARD], "mig", "none");
}

static int is_live(const struct sim_call *call)
{
    return strcmp(kind(call), "live") == 0;
}

static int is_absent(const struct sim_call *call)
{
    return strcmp(kind(call), "none") == 0 || sim_is_virtual_guest(call);
}

static struct sim_table *home(struct sim_call *call)
{
    return &call->gpus[is_live(call) ? SIM_VOLATILE : SIM_PERSISTENT];
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *currentMode, unsigned int *pendingMode)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetMigMode", device);
    if (result == NVML_SUCCESS && is_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (currentMode == NULL || pendingMode == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        *currentMode = (unsigned int)sim_get_number(home(call), "mig_current", 0);
        *pendingMode = (unsigned int)sim_get_number(home(call), "mig_pending", *currentMode);
    }
    return sim_end(call, result);
}

// What comes of making the pending mode the current one.
static nvmlReturn_t activate(struct sim_call *call, unsigned int mode)
{
    if (sim_get_number(home(call), "mig_current", 0) == mode)
        return NVML_SUCCESS;
    if (call->gpus[SIM_PROCESSES].count > 0)
        return NVML_ERROR_IN_USE;
    if (!is_live(call)) {
        if (OUTSIDE(call, "virtualization", 0) == NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH ||
            OUTSIDE(call, "mig_auto_reset", 1) == 0)
            return NVML_ERROR_RESET_REQUIRED;
        if (sim_clients_besides((long)getpid()) > 0)
            return NVML_ERROR_IN_USE;
        sim_clear(&call->gpus[SIM_VOLATILE]);  // the reset forgets what the driver held
        sim_set_number(&call->gpus[SIM_PERSISTENT], "ecc_current",
                       sim_get_number(&call->gpus[SIM_PERSISTENT], "ecc_pending", sim_board(call, "ecc_default")));
    }
    return sim_set_number(home(call), "mig_current", mode) ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

nvmlReturn_t nvmlDeviceSetMigMode(nvmlDevice_t device, unsigned int mode, nvmlReturn_t *activationStatus)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetMigMode", device);
    SIM_NOTE(call, "%u", mode);
    if (result == NVML_SUCCESS && is_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && (mode > NVML_DEVICE_MIG_ENABLE || activationStatus == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !sim_set_number(home(call), "mig_pending", mode))
        result = NVML_ERROR_UNKNOWN;
    if (result == NVML_SUCCESS)
        *activationStatus = activate(call, mode);
    return sim_end(call, result);
}

SIM_GETTER(nvmlDeviceGetMaxMigDeviceCount, unsigned int, is_absent(call) ? 0 : sim_board(call, "mig_devices"))
