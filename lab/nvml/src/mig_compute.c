// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Compute instances: made, found, destroyed within a GPU instance. Each is a MIG device.
#include "mig.h"

static int is_free(const struct sim_call *call, unsigned int gpu_instance, unsigned int start, unsigned int size)
{
    struct mig_compute_instance other;
    for (unsigned int id = 0; id < MIG_SLICES; id++)
        if (mig_find_compute_instance(call, gpu_instance, id, &other) && start < other.start + other.size &&
            other.start < start + size)
            return 0;
    return 1;
}

static unsigned int capacity(const struct sim_call *call, unsigned int gpu_instance,
                             const struct mig_compute_profile *profile)
{
    unsigned int places = 0;
    for (unsigned int i = 0; i < profile->start_count; i++)
        places += (unsigned int)is_free(call, gpu_instance, profile->starts[i], profile->span);
    return places;
}

// Begins a call about the compute instances of a profile: the caller may, and the profile fits.
static nvmlReturn_t begin_profile(struct sim_call **call, const char *function, nvmlGpuInstance_t handle,
                                  unsigned int profile_id, const void *needed, struct mig_gpu_instance *parent,
                                  struct mig_compute_profile *profile)
{
    struct mig_profile whole;
    nvmlReturn_t result = mig_begin_gpu_instance(call, function, handle, parent);
    if (result == NVML_SUCCESS)
        SIM_NOTE(*call, "gi=%u %u", parent->id, profile_id);
    if (result == NVML_SUCCESS)
        result = sim_privileged(*call);
    if (result == NVML_SUCCESS && needed == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_profile_by_id(*call, parent->profile_id, &whole))
        result = NVML_ERROR_UNKNOWN;
    if (result == NVML_SUCCESS && !mig_compute_profile_at(*call, &whole, profile_id, profile))
        result = NVML_ERROR_NOT_SUPPORTED;
    return result;
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceRemainingCapacity(nvmlGpuInstance_t gpuInstance,
                                                                unsigned int profileId, unsigned int *count)
{
    struct sim_call *call;
    struct mig_gpu_instance parent;
    struct mig_compute_profile profile;
    nvmlReturn_t result = begin_profile(&call, "nvmlGpuInstanceGetComputeInstanceRemainingCapacity", gpuInstance,
                                        profileId, count, &parent, &profile);
    if (result == NVML_SUCCESS)
        *count = capacity(call, parent.id, &profile);
    return sim_end(call, result);
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstancePossiblePlacements(nvmlGpuInstance_t gpuInstance,
                                                                 unsigned int profileId,
                                                                 nvmlComputeInstancePlacement_t *placements,
                                                                 unsigned int *count)
{
    struct sim_call *call;
    struct mig_gpu_instance parent;
    struct mig_compute_profile profile;
    nvmlReturn_t result = begin_profile(&call, "nvmlGpuInstanceGetComputeInstancePossiblePlacements", gpuInstance,
                                        profileId, count, &parent, &profile);
    if (result == NVML_SUCCESS)
        *count = profile.start_count;
    for (unsigned int i = 0; result == NVML_SUCCESS && placements != NULL && i < profile.start_count; i++)
        placements[i] = (nvmlComputeInstancePlacement_t){profile.starts[i], profile.span};
    return sim_end(call, result);
}

static unsigned long long mix(unsigned long long hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001B3ULL;
    return hash;
}

// A name-based UUID (version 5) of the GPU and both ids: a MIG device made again in the same place has
// the same one. The driver hashes other bytes; only the stability is modelled.
static void name_it(const struct sim_call *call, struct mig_compute_instance *instance)
{
    char text[SIM_KEY_SIZE * 2];
    unsigned long long high, low;
    sim_format(text, sizeof(text), "%s/%u/%u", sim_get(&call->gpus[SIM_BOARD], "uuid", ""), instance->gpu_instance,
               instance->id);
    high = mix(0xCBF29CE484222325ULL, text);
    low = mix(high ^ 0x9E3779B97F4A7C15ULL, text);
    sim_format(instance->uuid, sizeof(instance->uuid), "MIG-%08llx-%04llx-5%03llx-%04llx-%012llx", high >> 32,
               high >> 16 & 0xFFFF, high & 0xFFF, (low >> 48 & 0x3FFF) | 0x8000, low & 0xFFFFFFFFFFFFULL);
}

// The lowest id free within the GPU instance, the lowest index free within the GPU.
static void number_it(const struct sim_call *call, struct mig_compute_instance *made)
{
    struct mig_compute_instance other;
    unsigned long long taken = 0;
    while (mig_find_compute_instance(call, made->gpu_instance, made->id, &other))
        made->id++;
    for (unsigned int parent = 0; parent < MIG_GPU_INSTANCES; parent++)
        for (unsigned int id = 0; id < MIG_SLICES; id++)
            if (mig_find_compute_instance(call, parent, id, &other))
                taken |= 1ULL << other.index;
    while (taken & 1ULL << made->index)
        made->index++;
}

static nvmlReturn_t create_at(struct sim_call *call, unsigned int gpu_instance,
                              const struct mig_compute_profile *profile, unsigned int start,
                              nvmlComputeInstance_t *handle)
{
    struct mig_compute_instance made = {
        .gpu_instance = gpu_instance, .profile_id = profile->constant, .start = start, .size = profile->span};
    number_it(call, &made);
    name_it(call, &made);
    if (!mig_keep_compute_instance(call, &made))
        return NVML_ERROR_UNKNOWN;
    *handle = mig_compute_handle(call, &made);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpuInstanceCreateComputeInstance(nvmlGpuInstance_t gpuInstance, unsigned int profileId,
                                                  nvmlComputeInstance_t *computeInstance)
{
    struct sim_call *call;
    struct mig_gpu_instance parent;
    struct mig_compute_profile profile;
    nvmlReturn_t result = begin_profile(&call, "nvmlGpuInstanceCreateComputeInstance", gpuInstance, profileId,
                                        computeInstance, &parent, &profile);
    if (result == NVML_SUCCESS && capacity(call, parent.id, &profile) == 0)
        result = NVML_ERROR_INSUFFICIENT_RESOURCES;
    if (result == NVML_SUCCESS) {
        unsigned int i = 0;
        while (!is_free(call, parent.id, profile.starts[i], profile.span))
            i++;
        result = create_at(call, parent.id, &profile, profile.starts[i], computeInstance);
    }
    return sim_end(call, result);
}

static int offers(const struct mig_compute_profile *profile, const nvmlComputeInstancePlacement_t *placement)
{
    for (unsigned int i = 0; i < profile->start_count; i++)
        if (profile->starts[i] == placement->start && profile->span == placement->size)
            return 1;
    return 0;
}

nvmlReturn_t nvmlGpuInstanceCreateComputeInstanceWithPlacement(nvmlGpuInstance_t gpuInstance, unsigned int profileId,
                                                               const nvmlComputeInstancePlacement_t *placement,
                                                               nvmlComputeInstance_t *computeInstance)
{
    struct sim_call *call;
    struct mig_gpu_instance parent;
    struct mig_compute_profile profile;
    nvmlReturn_t result = begin_profile(&call, "nvmlGpuInstanceCreateComputeInstanceWithPlacement", gpuInstance,
                                        profileId, computeInstance, &parent, &profile);
    if (result == NVML_SUCCESS && (placement == NULL || !offers(&profile, placement)))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        SIM_NOTE(call, "gi=%u %u %u:%u", parent.id, profileId, placement->start, placement->size);
    if (result == NVML_SUCCESS && !is_free(call, parent.id, placement->start, placement->size))
        result = NVML_ERROR_INSUFFICIENT_RESOURCES;
    if (result == NVML_SUCCESS)
        result = create_at(call, parent.id, &profile, placement->start, computeInstance);
    return sim_end(call, result);
}

nvmlReturn_t nvmlComputeInstanceDestroy(nvmlComputeInstance_t computeInstance)
{
    struct sim_call *call;
    struct mig_compute_instance instance;
    nvmlReturn_t result = mig_begin_compute_instance(&call, "nvmlComputeInstanceDestroy", computeInstance, &instance);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && mig_is_used(call, instance.gpu_instance, instance.id))
        result = NVML_ERROR_IN_USE;
    if (result == NVML_SUCCESS)
        mig_drop_compute_instance(call, instance.gpu_instance, instance.id);
    return sim_end(call, result);
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstances(nvmlGpuInstance_t gpuInstance, unsigned int profileId,
                                                nvmlComputeInstance_t *computeInstances, unsigned int *count)
{
    struct sim_call *call;
    struct mig_gpu_instance parent;
    struct mig_compute_profile profile;
    struct mig_compute_instance instance;
    nvmlReturn_t result = begin_profile(&call, "nvmlGpuInstanceGetComputeInstances", gpuInstance, profileId,
                                        computeInstances, &parent, &profile);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *count = 0;
    for (unsigned int id = 0; result == NVML_SUCCESS && id < MIG_SLICES; id++)
        if (mig_find_compute_instance(call, parent.id, id, &instance) && instance.profile_id == profileId)
            computeInstances[(*count)++] = mig_compute_handle(call, &instance);
    return sim_end(call, result);
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceById(nvmlGpuInstance_t gpuInstance, unsigned int id,
                                                   nvmlComputeInstance_t *computeInstance)
{
    struct sim_call *call;
    struct mig_gpu_instance parent;
    struct mig_compute_instance instance;
    nvmlReturn_t result = mig_begin_gpu_instance(&call, "nvmlGpuInstanceGetComputeInstanceById", gpuInstance, &parent);
    if (result == NVML_SUCCESS)
        SIM_NOTE(call, "gi=%u ci=%u", parent.id, id);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && computeInstance == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_find_compute_instance(call, parent.id, id, &instance))
        result = NVML_ERROR_NOT_FOUND;
    if (result == NVML_SUCCESS)
        *computeInstance = mig_compute_handle(call, &instance);
    return sim_end(call, result);
}
