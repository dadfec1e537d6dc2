// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The way into a call about an instance; sim_end leads out of it.
#include "mig.h"

// Begins a call about an instance, up to the state of its GPU.
static nvmlReturn_t begin(struct sim_call **call, const char *function, const void *handle, enum mig_handle kind)
{
    nvmlReturn_t injected, result = sim_begin_search(call, function);
    if (result != NVML_SUCCESS)
        return result;
    (*call)->gpu = mig_gpu_of(*call, handle, kind);
    if (sim_fault(function, (*call)->gpu, &injected))
        return injected;
    if ((*call)->gpu < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    return sim_select(*call, (*call)->gpu);
}

nvmlReturn_t mig_begin_gpu_instance(struct sim_call **call, const char *function, nvmlGpuInstance_t handle,
                                    struct mig_gpu_instance *instance)
{
    nvmlReturn_t result = begin(call, function, handle, MIG_HANDLE_GPU_INSTANCE);
    SIM_NOTE(*call, "gi=%u", mig_gpu_instance_of(handle));
    if (result == NVML_SUCCESS && (!mig_find_gpu_instance(*call, mig_gpu_instance_of(handle), instance) ||
                                   mig_gpu_handle(*call, instance) != handle))
        result = NVML_ERROR_INVALID_ARGUMENT;
    return result;
}

nvmlReturn_t mig_begin_compute_instance(struct sim_call **call, const char *function, nvmlComputeInstance_t handle,
                                        struct mig_compute_instance *instance)
{
    nvmlReturn_t result = begin(call, function, handle, MIG_HANDLE_COMPUTE_INSTANCE);
    SIM_NOTE(*call, "gi=%u ci=%u", mig_gpu_instance_of(handle), mig_compute_instance_of(handle));
    if (result == NVML_SUCCESS &&
        (!mig_find_compute_instance(*call, mig_gpu_instance_of(handle), mig_compute_instance_of(handle), instance) ||
         mig_compute_handle(*call, instance) != handle))
        result = NVML_ERROR_INVALID_ARGUMENT;
    return result;
}
