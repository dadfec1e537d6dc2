// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// MIG devices: a compute instance seen as a device of its own, with a name, a UUID and a handle.
#include "mig.h"

#include <string.h>

static int is_mig(const struct sim_call *call)
{
    return call->compute_instance >= 0;
}

// The instance the call is about, with the profiles of both levels. Only for a call about a MIG device.
static int current(const struct sim_call *call, struct mig_compute_instance *instance, struct mig_profile *parent,
                   struct mig_compute_profile *profile)
{
    struct mig_gpu_instance within;
    return mig_find_compute_instance(call, (unsigned int)call->gpu_instance, (unsigned int)call->compute_instance,
                                     instance) &&
           mig_find_gpu_instance(call, instance->gpu_instance, &within) &&
           mig_profile_by_id(call, within.profile_id, parent) &&
           mig_compute_profile_at(call, parent, instance->profile_id, profile);
}

// The name or UUID of the MIG device the call is about; NULL for anything else it has not of its own.
const char *sim_mig_text(const struct sim_call *call, const char *key)
{
    static char text[SIM_VALUE_SIZE];
    struct mig_compute_instance instance;
    struct mig_profile parent;
    struct mig_compute_profile profile;
    if (!current(call, &instance, &parent, &profile))
        return NULL;
    if (strcmp(key, "uuid") == 0)
        sim_format(text, sizeof(text), "%s", instance.uuid);
    else if (strcmp(key, "name") == 0)
        sim_format(text, sizeof(text), "%.150s %s", sim_get(&call->gpus[SIM_BOARD], "name", ""), profile.name);
    else
        return NULL;
    return text;
}

unsigned long long sim_mig_mib(const struct sim_call *call)
{
    struct mig_compute_instance instance;
    struct mig_profile parent;
    struct mig_compute_profile profile;
    return current(call, &instance, &parent, &profile) ? parent.mib : 0;
}

// With MIG on, only the privileged get what adds up over all instances of a GPU.
nvmlReturn_t sim_mig_may_sum(const struct sim_call *call)
{
    if (is_mig(call) || !sim_mig_enabled(call))
        return NVML_SUCCESS;
    return sim_privileged(call);
}

// Indices follow the ids without a gap, unless `mig_index_holes` says that each keeps its own.
static unsigned int index_of(const struct sim_call *call, const struct mig_compute_instance *wanted)
{
    struct mig_compute_instance instance;
    unsigned int before = 0;
    if (sim_get_number(&call->gpus[SIM_OUTSIDE], "mig_index_holes", 0) != 0)
        return wanted->index;
    for (unsigned int parent = 0; parent <= wanted->gpu_instance; parent++)
        for (unsigned int id = 0; id < MIG_SLICES && (parent < wanted->gpu_instance || id < wanted->id); id++)
            before += (unsigned int)mig_find_compute_instance(call, parent, id, &instance);
    return before;
}

// The first MIG device of the GPU with this index or, if `uuid` is given, this UUID.
static int find(const struct sim_call *call, unsigned int index, const char *uuid, struct mig_compute_instance *found)
{
    for (unsigned int parent = 0; parent < MIG_GPU_INSTANCES; parent++)
        for (unsigned int id = 0; id < MIG_SLICES; id++)
            if (mig_find_compute_instance(call, parent, id, found) &&
                (uuid == NULL ? index_of(call, found) == index : strcmp(found->uuid, uuid) == 0))
                return 1;
    return 0;
}

unsigned int sim_mig_index(const struct sim_call *call)
{
    struct mig_compute_instance instance;
    if (!mig_find_compute_instance(call, (unsigned int)call->gpu_instance, (unsigned int)call->compute_instance,
                                   &instance))
        return 0;
    return index_of(call, &instance);
}

SIM_MIG_GETTER(nvmlDeviceIsMigDeviceHandle, unsigned int, is_mig(call))
SIM_GETTER(nvmlDeviceGetMaxMigDeviceCount, unsigned int, sim_mig_enabled(call) ? sim_board(call, "mig_devices") : 0)

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index, nvmlDevice_t *migDevice)
{
    struct sim_call *call;
    struct mig_compute_instance instance;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetMigDeviceHandleByIndex", device);
    SIM_NOTE(call, "%u", index);
    if (result == NVML_SUCCESS && mig_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (migDevice == NULL || index >= sim_board(call, "mig_devices")))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !find(call, index, NULL, &instance))
        result = NVML_ERROR_NOT_FOUND;
    if (result == NVML_SUCCESS)
        *migDevice = mig_device_handle(call, &instance);
    return sim_end(call, result);
}

// nvmlDeviceGetHandleByUUID for a text that begins with "MIG-".
nvmlReturn_t sim_mig_by_uuid(const char *function, const char *uuid, nvmlDevice_t *device)
{
    struct sim_call *call;
    struct mig_compute_instance instance;
    nvmlReturn_t injected, result = sim_begin_search(&call, function);
    int found = -1, count;
    SIM_NOTE(call, "%s", uuid);
    if (result != NVML_SUCCESS)
        return sim_end(call, result);
    count = (int)sim_get_number(&call->node, "gpu_count", 0);
    for (int gpu = 0; gpu < count && found < 0; gpu++) {
        result = sim_select(call, gpu);
        if (find(call, 0, uuid, &instance))
            found = gpu;
    }
    call->gpu = found;
    if (sim_fault(function, found, &injected))
        return sim_end(call, injected);
    if (found < 0)
        return sim_end(call, NVML_ERROR_NOT_FOUND);
    if (device == NULL)
        return sim_end(call, NVML_ERROR_INVALID_ARGUMENT);
    if (result == NVML_SUCCESS)
        *device = mig_device_handle(call, &instance);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t migDevice, nvmlDevice_t *device)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_any(&call, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", migDevice);
    if (result == NVML_SUCCESS && (!is_mig(call) || device == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *device = sim_handle(call->gpu);
    return sim_end(call, result);
}

static nvmlReturn_t instance_id(const char *function, nvmlDevice_t device, int compute, unsigned int *id)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_any(&call, function, device);
    if (result == NVML_SUCCESS && mig_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (!is_mig(call) || id == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *id = (unsigned int)(compute ? call->compute_instance : call->gpu_instance);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned int *id)
{
    return instance_id("nvmlDeviceGetGpuInstanceId", device, 0, id);
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned int *id)
{
    return instance_id("nvmlDeviceGetComputeInstanceId", device, 1, id);
}

static nvmlReturn_t attributes_of(const char *function, nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    struct sim_call *call;
    struct mig_compute_instance instance;
    struct mig_profile parent;
    struct mig_compute_profile profile;
    nvmlReturn_t result = sim_begin_any(&call, function, device);
    if (result == NVML_SUCCESS && !is_mig(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && attributes == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !current(call, &instance, &parent, &profile))
        result = NVML_ERROR_UNKNOWN;
    if (result == NVML_SUCCESS)
        *attributes = (nvmlDeviceAttributes_t){
            .multiprocessorCount = profile.multiprocessors, .sharedCopyEngineCount = parent.copy_engines,
            .sharedDecoderCount = parent.decoders, .sharedEncoderCount = parent.encoders,
            .sharedJpegCount = parent.jpegs, .sharedOfaCount = parent.ofas, .gpuInstanceSliceCount = parent.slices,
            .computeInstanceSliceCount = profile.slices, .memorySizeMB = parent.mib};
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetAttributes(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    return attributes_of("nvmlDeviceGetAttributes", device, attributes);
}

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    return attributes_of("nvmlDeviceGetAttributes_v2", device, attributes);
}

static nvmlReturn_t compute_info(const char *function, nvmlComputeInstance_t handle, nvmlComputeInstanceInfo_t *info)
{
    struct sim_call *call;
    struct mig_compute_instance instance;
    struct mig_gpu_instance parent;
    nvmlReturn_t result = mig_begin_compute_instance(&call, function, handle, &instance);
    if (result == NVML_SUCCESS && info == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_find_gpu_instance(call, instance.gpu_instance, &parent))
        result = NVML_ERROR_UNKNOWN;
    if (result == NVML_SUCCESS)
        *info = (nvmlComputeInstanceInfo_t){
            .device = sim_handle(call->gpu), .gpuInstance = mig_gpu_handle(call, &parent), .id = instance.id,
            .profileId = instance.profile_id, .placement = {instance.start, instance.size}};
    return sim_end(call, result);
}

nvmlReturn_t nvmlComputeInstanceGetInfo(nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_t *info)
{
    return compute_info("nvmlComputeInstanceGetInfo", computeInstance, info);
}

nvmlReturn_t nvmlComputeInstanceGetInfo_v2(nvmlComputeInstance_t computeInstance, nvmlComputeInstanceInfo_t *info)
{
    return compute_info("nvmlComputeInstanceGetInfo_v2", computeInstance, info);
}
