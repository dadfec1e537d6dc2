// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// GPU instances: made, found, destroyed. Each occupies memory slices no other one has.
#include "mig.h"

static int is_free(const struct sim_call *call, unsigned int start, unsigned int size)
{
    struct mig_gpu_instance other;
    for (unsigned int id = 0; id < MIG_GPU_INSTANCES; id++)
        if (mig_find_gpu_instance(call, id, &other) && start < other.start + other.size &&
            other.start < start + size)
            return 0;
    return 1;
}

static unsigned int count_of(const struct sim_call *call, unsigned int profile_id)
{
    struct mig_gpu_instance instance;
    unsigned int count = 0;
    for (unsigned int id = 0; id < MIG_GPU_INSTANCES; id++)
        count += mig_find_gpu_instance(call, id, &instance) && instance.profile_id == profile_id;
    return count;
}

// How many more of a profile fit.
static unsigned int capacity(const struct sim_call *call, const struct mig_profile *profile)
{
    unsigned int places = 0, made = count_of(call, profile->id);
    unsigned int left = made < profile->instances ? profile->instances - made : 0;
    for (unsigned int i = 0; i < profile->start_count; i++)
        places += (unsigned int)is_free(call, profile->starts[i], profile->span);
    return places < left ? places : left;
}

// The id follows from the place: 0 is the whole, 1 and 2 the halves, 3 to 6 the quarters, 7 to 14 the eighths.
// Some GPUs number the upper half first.
static unsigned int id_at(const struct sim_call *call, unsigned int start, unsigned int size)
{
    if (sim_get_number(&call->gpus[SIM_OUTSIDE], "mig_halves_swapped", 0) != 0 && size < MIG_SLICES)
        start = (start + MIG_SLICES / 2) % MIG_SLICES;
    return MIG_SLICES / size - 1 + start / size;
}

// Begins a call about the instances of a GPU: MIG is on, the caller may, and the profile is one of the board's.
static nvmlReturn_t begin_profile(struct sim_call **call, const char *function, nvmlDevice_t device,
                                  unsigned int profile_id, const void *needed, struct mig_profile *profile,
                                  nvmlReturn_t unknown)
{
    nvmlReturn_t result = sim_begin_device(call, function, device);
    SIM_NOTE(*call, "%u", profile_id);
    if (result == NVML_SUCCESS)
        result = mig_must_be_on(*call);
    if (result == NVML_SUCCESS)
        result = sim_privileged(*call);
    if (result == NVML_SUCCESS && needed == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_profile_by_id(*call, profile_id, profile))
        result = unknown;
    return result;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceRemainingCapacity(nvmlDevice_t device, unsigned int profileId,
                                                       unsigned int *count)
{
    struct sim_call *call;
    struct mig_profile profile;
    nvmlReturn_t result = begin_profile(&call, "nvmlDeviceGetGpuInstanceRemainingCapacity", device, profileId, count,
                                        &profile, NVML_ERROR_NOT_SUPPORTED);
    if (result == NVML_SUCCESS)
        *count = capacity(call, &profile);
    return sim_end(call, result);
}

static nvmlReturn_t create_at(struct sim_call *call, const struct mig_profile *profile, unsigned int start,
                              nvmlGpuInstance_t *handle)
{
    struct mig_gpu_instance made = {
        .id = id_at(call, start, profile->span), .profile_id = profile->id, .start = start, .size = profile->span};
    if (!mig_keep_gpu_instance(call, &made))
        return NVML_ERROR_UNKNOWN;
    *handle = mig_gpu_handle(call, &made);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceCreateGpuInstance(nvmlDevice_t device, unsigned int profileId, nvmlGpuInstance_t *gpuInstance)
{
    struct sim_call *call;
    struct mig_profile profile;
    nvmlReturn_t result = begin_profile(&call, "nvmlDeviceCreateGpuInstance", device, profileId, gpuInstance,
                                        &profile, NVML_ERROR_INVALID_ARGUMENT);
    if (result == NVML_SUCCESS && capacity(call, &profile) == 0)
        result = NVML_ERROR_INSUFFICIENT_RESOURCES;
    if (result == NVML_SUCCESS) {
        unsigned int i = 0;
        while (!is_free(call, profile.starts[i], profile.span))
            i++;
        result = create_at(call, &profile, profile.starts[i], gpuInstance);
    }
    return sim_end(call, result);
}

static int offers(const struct mig_profile *profile, const nvmlGpuInstancePlacement_t *placement)
{
    for (unsigned int i = 0; i < profile->start_count; i++)
        if (profile->starts[i] == placement->start && profile->span == placement->size)
            return 1;
    return 0;
}

nvmlReturn_t nvmlDeviceCreateGpuInstanceWithPlacement(nvmlDevice_t device, unsigned int profileId,
                                                      const nvmlGpuInstancePlacement_t *placement,
                                                      nvmlGpuInstance_t *gpuInstance)
{
    struct sim_call *call;
    struct mig_profile profile;
    nvmlReturn_t result = begin_profile(&call, "nvmlDeviceCreateGpuInstanceWithPlacement", device, profileId,
                                        gpuInstance, &profile, NVML_ERROR_INVALID_ARGUMENT);
    if (placement != NULL)
        SIM_NOTE(call, "%u %u:%u", profileId, placement->start, placement->size);
    if (result == NVML_SUCCESS && (placement == NULL || !offers(&profile, placement)))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS &&
        (capacity(call, &profile) == 0 || !is_free(call, placement->start, placement->size)))
        result = NVML_ERROR_INSUFFICIENT_RESOURCES;
    if (result == NVML_SUCCESS)
        result = create_at(call, &profile, placement->start, gpuInstance);
    return sim_end(call, result);
}

nvmlReturn_t nvmlGpuInstanceDestroy(nvmlGpuInstance_t gpuInstance)
{
    struct sim_call *call;
    struct mig_gpu_instance instance;
    struct mig_compute_instance inside;
    nvmlReturn_t result = mig_begin_gpu_instance(&call, "nvmlGpuInstanceDestroy", gpuInstance, &instance);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && mig_is_used(call, instance.id, MIG_NONE))
        result = NVML_ERROR_IN_USE;
    for (unsigned int id = 0; result == NVML_SUCCESS && id < MIG_SLICES; id++)
        if (mig_find_compute_instance(call, instance.id, id, &inside))
            result = NVML_ERROR_IN_USE;
    if (result == NVML_SUCCESS)
        mig_drop_gpu_instance(call, instance.id);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetGpuInstances(nvmlDevice_t device, unsigned int profileId, nvmlGpuInstance_t *gpuInstances,
                                       unsigned int *count)
{
    struct sim_call *call;
    struct mig_profile profile;
    struct mig_gpu_instance instance;
    nvmlReturn_t result = begin_profile(&call, "nvmlDeviceGetGpuInstances", device, profileId, gpuInstances, &profile,
                                        NVML_ERROR_INVALID_ARGUMENT);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *count = 0;
    for (unsigned int id = 0; result == NVML_SUCCESS && id < MIG_GPU_INSTANCES; id++)
        if (mig_find_gpu_instance(call, id, &instance) && instance.profile_id == profileId)
            gpuInstances[(*count)++] = mig_gpu_handle(call, &instance);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetGpuInstanceById(nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *gpuInstance)
{
    struct sim_call *call;
    struct mig_gpu_instance instance;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGpuInstanceById", device);
    SIM_NOTE(call, "gi=%u", id);
    if (result == NVML_SUCCESS)
        result = mig_must_be_on(call);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && gpuInstance == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_find_gpu_instance(call, id, &instance))
        result = NVML_ERROR_NOT_FOUND;
    if (result == NVML_SUCCESS)
        *gpuInstance = mig_gpu_handle(call, &instance);
    return sim_end(call, result);
}

nvmlReturn_t nvmlGpuInstanceGetInfo(nvmlGpuInstance_t gpuInstance, nvmlGpuInstanceInfo_t *info)
{
    struct sim_call *call;
    struct mig_gpu_instance instance;
    nvmlReturn_t result = mig_begin_gpu_instance(&call, "nvmlGpuInstanceGetInfo", gpuInstance, &instance);
    if (result == NVML_SUCCESS && info == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *info = (nvmlGpuInstanceInfo_t){
            .device = sim_handle(call->gpu), .id = instance.id, .profileId = instance.profile_id,
            .placement = {instance.start, instance.size}};
    return sim_end(call, result);
}
