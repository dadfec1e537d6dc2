// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// MIG mode. Ampere keeps it in the InfoROM and needs a reset of the GPU, which the call attempts;
// from Hopper on it takes effect at once and is gone when the driver unloads.
#include "mig.h"

#include <unistd.h>

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *currentMode, unsigned int *pendingMode)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetMigMode", device);
    if (result == NVML_SUCCESS && mig_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (currentMode == NULL || pendingMode == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        *currentMode = (unsigned int)sim_mig_enabled(call);
        *pendingMode = (unsigned int)sim_get_number(&call->gpus[mig_home(call)], "mig_pending", *currentMode);
    }
    return sim_end(call, result);
}

// A reset forgets what the driver held and takes the pending ECC mode.
static void reset(struct sim_call *call)
{
    sim_clear(&call->gpus[SIM_VOLATILE]);
    sim_clear(&call->gpus[SIM_MIG]);
    sim_set_number(&call->gpus[SIM_PERSISTENT], "ecc_current",
                   sim_get_number(&call->gpus[SIM_PERSISTENT], "ecc_pending", sim_board(call, "ecc_default")));
}

static int has_instances(const struct sim_call *call)
{
    struct mig_gpu_instance instance;
    for (unsigned int id = 0; id < MIG_GPU_INSTANCES; id++)
        if (mig_find_gpu_instance(call, id, &instance))
            return 1;
    return 0;
}

static void drop_instances(struct sim_call *call)
{
    for (unsigned int id = 0; id < MIG_GPU_INSTANCES; id++) {
        for (unsigned int inside = 0; inside < MIG_SLICES; inside++)
            mig_drop_compute_instance(call, id, inside);
        mig_drop_gpu_instance(call, id);
    }
}

// What comes of making the pending mode the current one.
static nvmlReturn_t activate(struct sim_call *call, unsigned int mode)
{
    if ((unsigned int)sim_mig_enabled(call) == mode)
        return NVML_SUCCESS;
    if (call->gpus[SIM_PROCESSES].count > 0)
        return NVML_ERROR_IN_USE;
    if (has_instances(call) && OUTSIDE(call, "mig_off_destroys", 0) == 0)
        return NVML_ERROR_IN_USE;
    if (!mig_is_live(call)) {
        if (OUTSIDE(call, "virtualization", 0) == NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH ||
            OUTSIDE(call, "mig_auto_reset", 1) == 0)
            return NVML_ERROR_RESET_REQUIRED;
        if (sim_clients_besides((long)getpid()) > 0)
            return NVML_ERROR_IN_USE;
        reset(call);
    }
    drop_instances(call);
    // With MIG on there is no accounting, and it does not come back by itself.
    sim_unset(&call->gpus[SIM_VOLATILE], "accounting_mode");
    return sim_set_number(&call->gpus[mig_home(call)], "mig_current", mode) ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

nvmlReturn_t nvmlDeviceSetMigMode(nvmlDevice_t device, unsigned int mode, nvmlReturn_t *activationStatus)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceSetMigMode", device);
    SIM_NOTE(call, "%u", mode);
    if (result == NVML_SUCCESS && mig_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && (mode > NVML_DEVICE_MIG_ENABLE || activationStatus == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !sim_set_number(&call->gpus[mig_home(call)], "mig_pending", mode))
        result = NVML_ERROR_UNKNOWN;
    if (result == NVML_SUCCESS)
        *activationStatus = activate(call, mode);
    return sim_end(call, result);
}
