// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Handles of instances and of MIG devices. A handle holds the serial number of its instance, so that it
// goes stale with the instance and stays so.
#include "mig.h"

#include <stdint.h>

_Static_assert(sizeof(void *) == 8, "a handle holds 64 bits");

static uintptr_t encode(const struct sim_call *call, enum mig_handle kind, unsigned int serial,
                        unsigned int gpu_instance, unsigned int compute_instance)
{
    return (uintptr_t)kind << 48 | (uintptr_t)(serial & 0xFFFFFF) << 24 | (uintptr_t)(unsigned int)call->gpu << 16 |
           (uintptr_t)gpu_instance << 8 | compute_instance;
}

// The GPU of a handle of this kind; -1 if it is none.
int mig_gpu_of(const struct sim_call *call, const void *handle, enum mig_handle kind)
{
    uintptr_t bits = (uintptr_t)handle;
    unsigned int gpu = bits >> 16 & 0xFF;
    if (bits >> 48 != (uintptr_t)kind || gpu >= sim_get_number(&call->node, "gpu_count", 0))
        return -1;
    return (int)gpu;
}

// The ids of the instances in a handle, whether or not they exist.
unsigned int mig_gpu_instance_of(const void *handle)
{
    return (uintptr_t)handle >> 8 & 0xFF;
}

unsigned int mig_compute_instance_of(const void *handle)
{
    return (uintptr_t)handle & 0xFF;
}

nvmlGpuInstance_t mig_gpu_handle(const struct sim_call *call, const struct mig_gpu_instance *instance)
{
    return (nvmlGpuInstance_t)encode(call, MIG_HANDLE_GPU_INSTANCE, instance->serial, instance->id, 0);
}

nvmlComputeInstance_t mig_compute_handle(const struct sim_call *call, const struct mig_compute_instance *instance)
{
    return (nvmlComputeInstance_t)encode(call, MIG_HANDLE_COMPUTE_INSTANCE, instance->serial, instance->gpu_instance,
                                         instance->id);
}

nvmlDevice_t mig_device_handle(const struct sim_call *call, const struct mig_compute_instance *instance)
{
    return (nvmlDevice_t)encode(call, MIG_HANDLE_DEVICE, instance->serial, instance->gpu_instance, instance->id);
}

int sim_mig_gpu(const struct sim_call *call, nvmlDevice_t device)
{
    return mig_gpu_of(call, device, MIG_HANDLE_DEVICE);
}

// Makes the call one about the MIG device behind the handle, whose GPU is selected already.
nvmlReturn_t sim_mig_attach(struct sim_call *call, nvmlDevice_t device)
{
    struct mig_compute_instance instance;
    if (sim_mig_gpu(call, device) < 0)
        return NVML_SUCCESS;
    if (!mig_find_compute_instance(call, mig_gpu_instance_of(device), mig_compute_instance_of(device), &instance) ||
        mig_device_handle(call, &instance) != device)
        return NVML_ERROR_INVALID_ARGUMENT;
    call->gpu_instance = (int)instance.gpu_instance;
    call->compute_instance = (int)instance.id;
    return NVML_SUCCESS;
}
