// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The instances as the state keeps them, and their handles. A row is
//     gi<id> <profile id> <start> <size> <serial>
//     ci<gpu instance>.<id> <profile id> <start> <size> <serial> <index> <uuid>
// The serial number tells an instance from an earlier one of the same id: a handle holds it, so that
// a handle goes stale with its instance and stays so.
#include "mig.h"

#include <stdint.h>
#include <string.h>

_Static_assert(sizeof(void *) == 8, "a handle holds 64 bits");

// The kinds of handles, in the upper 16 bits where no address of a process has any.
enum kind { GPU_INSTANCE = 0x6D01, COMPUTE_INSTANCE = 0x6D02, MIG_DEVICE = 0x6D03 };

static uintptr_t encode(const struct sim_call *call, enum kind kind, unsigned int serial, unsigned int gpu_instance,
                        unsigned int compute_instance)
{
    return (uintptr_t)kind << 48 | (uintptr_t)(serial & 0xFFFFFF) << 24 | (uintptr_t)(unsigned int)call->gpu << 16 |
           (uintptr_t)gpu_instance << 8 | compute_instance;
}

// The GPU of a handle of this kind; -1 if it is none.
static int gpu_of(const struct sim_call *call, uintptr_t handle, enum kind kind)
{
    unsigned int gpu = handle >> 16 & 0xFF;
    if (handle >> 48 != (uintptr_t)kind || gpu >= sim_get_number(&call->node, "gpu_count", 0))
        return -1;
    return (int)gpu;
}

nvmlGpuInstance_t mig_gpu_handle(const struct sim_call *call, const struct mig_gpu_instance *instance)
{
    return (nvmlGpuInstance_t)encode(call, GPU_INSTANCE, instance->serial, instance->id, 0);
}

nvmlComputeInstance_t mig_compute_handle(const struct sim_call *call, const struct mig_compute_instance *instance)
{
    return (nvmlComputeInstance_t)encode(call, COMPUTE_INSTANCE, instance->serial, instance->gpu_instance,
                                         instance->id);
}

nvmlDevice_t mig_device_handle(const struct sim_call *call, const struct mig_compute_instance *instance)
{
    return (nvmlDevice_t)encode(call, MIG_DEVICE, instance->serial, instance->gpu_instance, instance->id);
}

static void gpu_key(char *key, unsigned int id)
{
    sim_format(key, SIM_KEY_SIZE, "gi%u", id);
}

static void compute_key(char *key, unsigned int gpu_instance, unsigned int id)
{
    sim_format(key, SIM_KEY_SIZE, "ci%u.%u", gpu_instance, id);
}

int mig_find_gpu_instance(const struct sim_call *call, unsigned int id, struct mig_gpu_instance *instance)
{
    char key[SIM_KEY_SIZE];
    unsigned int n[4];
    gpu_key(key, id);
    if (sim_numbers(sim_get(&call->gpus[SIM_MIG], key, ""), n, 4) != 4)
        return 0;
    *instance = (struct mig_gpu_instance){.id = id, .profile_id = n[0], .start = n[1], .size = n[2], .serial = n[3]};
    return 1;
}

int mig_find_compute_instance(const struct sim_call *call, unsigned int gpu_instance, unsigned int id,
                              struct mig_compute_instance *instance)
{
    char key[SIM_KEY_SIZE];
    unsigned int n[5];
    const char *text, *uuid;
    compute_key(key, gpu_instance, id);
    text = sim_get(&call->gpus[SIM_MIG], key, "");
    uuid = strstr(text, "MIG-");
    if (uuid == NULL || sim_numbers(text, n, 5) != 5)
        return 0;
    *instance = (struct mig_compute_instance){
        .gpu_instance = gpu_instance, .id = id, .profile_id = n[0], .start = n[1], .size = n[2], .serial = n[3],
        .index = n[4],
    };
    sim_format(instance->uuid, sizeof(instance->uuid), "%s", uuid);
    return 1;
}

// Counted where it outlives every instance, so that no number comes twice.
static int next_serial(struct sim_call *call, unsigned int *serial)
{
    *serial = (unsigned int)sim_get_number(&call->gpus[SIM_PERSISTENT], "mig_created", 0) + 1;
    return sim_set_number(&call->gpus[SIM_PERSISTENT], "mig_created", *serial);
}

// Writes a new instance down and numbers it; 0 if there is no room.
int mig_keep_gpu_instance(struct sim_call *call, struct mig_gpu_instance *instance)
{
    char key[SIM_KEY_SIZE], text[SIM_VALUE_SIZE];
    if (!next_serial(call, &instance->serial))
        return 0;
    gpu_key(key, instance->id);
    sim_format(text, sizeof(text), "%u %u %u %u", instance->profile_id, instance->start, instance->size,
               instance->serial);
    return sim_set(&call->gpus[SIM_MIG], key, text);
}

int mig_keep_compute_instance(struct sim_call *call, struct mig_compute_instance *instance)
{
    char key[SIM_KEY_SIZE], text[SIM_VALUE_SIZE];
    if (!next_serial(call, &instance->serial))
        return 0;
    compute_key(key, instance->gpu_instance, instance->id);
    sim_format(text, sizeof(text), "%u %u %u %u %u %s", instance->profile_id, instance->start, instance->size,
               instance->serial, instance->index, instance->uuid);
    return sim_set(&call->gpus[SIM_MIG], key, text);
}

void mig_drop_gpu_instance(struct sim_call *call, unsigned int id)
{
    char key[SIM_KEY_SIZE];
    gpu_key(key, id);
    sim_unset(&call->gpus[SIM_MIG], key);
}

void mig_drop_compute_instance(struct sim_call *call, unsigned int gpu_instance, unsigned int id)
{
    char key[SIM_KEY_SIZE];
    compute_key(key, gpu_instance, id);
    sim_unset(&call->gpus[SIM_MIG], key);
    sim_format(key, sizeof(key), "mode%u.%u", gpu_instance, id);
    sim_unset(&call->gpus[SIM_MIG], key);
}

// Does a process run on the instance? MIG_NONE for the compute instance means any of the GPU instance.
int mig_is_used(const struct sim_call *call, unsigned int gpu_instance, unsigned int compute_instance)
{
    struct sim_process process;
    for (int i = 0; i < call->gpus[SIM_PROCESSES].count; i++) {
        sim_read_process(&call->gpus[SIM_PROCESSES].rows[i], &process);
        if (process.gpu_instance == gpu_instance &&
            (compute_instance == MIG_NONE || process.compute_instance == compute_instance))
            return 1;
    }
    return 0;
}

// Begins a call about an instance, up to the state of its GPU.
static nvmlReturn_t begin(struct sim_call **call, const char *function, uintptr_t handle, enum kind kind)
{
    nvmlReturn_t injected, result = sim_begin_search(call, function);
    if (result != NVML_SUCCESS)
        return result;
    (*call)->gpu = gpu_of(*call, handle, kind);
    if (sim_fault(function, (*call)->gpu, &injected))
        return injected;
    if ((*call)->gpu < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    return sim_select(*call, (*call)->gpu);
}

nvmlReturn_t mig_begin_gpu_instance(struct sim_call **call, const char *function, nvmlGpuInstance_t handle,
                                    struct mig_gpu_instance *instance)
{
    uintptr_t bits = (uintptr_t)handle;
    nvmlReturn_t result = begin(call, function, bits, GPU_INSTANCE);
    SIM_NOTE(*call, "gi=%u", (unsigned int)(bits >> 8 & 0xFF));
    if (result == NVML_SUCCESS && (!mig_find_gpu_instance(*call, bits >> 8 & 0xFF, instance) ||
                                   mig_gpu_handle(*call, instance) != handle))
        result = NVML_ERROR_INVALID_ARGUMENT;
    return result;
}

nvmlReturn_t mig_begin_compute_instance(struct sim_call **call, const char *function, nvmlComputeInstance_t handle,
                                        struct mig_compute_instance *instance)
{
    uintptr_t bits = (uintptr_t)handle;
    nvmlReturn_t result = begin(call, function, bits, COMPUTE_INSTANCE);
    SIM_NOTE(*call, "gi=%u ci=%u", (unsigned int)(bits >> 8 & 0xFF), (unsigned int)(bits & 0xFF));
    if (result == NVML_SUCCESS &&
        (!mig_find_compute_instance(*call, bits >> 8 & 0xFF, bits & 0xFF, instance) ||
         mig_compute_handle(*call, instance) != handle))
        result = NVML_ERROR_INVALID_ARGUMENT;
    return result;
}

int sim_mig_gpu(const struct sim_call *call, nvmlDevice_t device)
{
    return gpu_of(call, (uintptr_t)device, MIG_DEVICE);
}

// Makes the call one about the MIG device behind the handle, whose GPU is selected already.
nvmlReturn_t sim_mig_attach(struct sim_call *call, nvmlDevice_t device)
{
    struct mig_compute_instance instance;
    uintptr_t bits = (uintptr_t)device;
    if (sim_mig_gpu(call, device) < 0)
        return NVML_SUCCESS;
    if (!mig_find_compute_instance(call, bits >> 8 & 0xFF, bits & 0xFF, &instance) ||
        mig_device_handle(call, &instance) != device)
        return NVML_ERROR_INVALID_ARGUMENT;
    call->gpu_instance = (int)instance.gpu_instance;
    call->compute_instance = (int)instance.id;
    return NVML_SUCCESS;
}
