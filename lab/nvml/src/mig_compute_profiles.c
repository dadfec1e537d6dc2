// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The profiles of compute instances within a GPU instance. They follow from the number of its compute
// slices: parts share its memory and engines and have multiprocessors of their own.
#include "mig.h"

#define CONSTANTS 5  // 1, 2, 3, 4 and 7 slices: no board here has another

// One slice with the multiprocessors of a 1g profile of twice the memory, where that has more than a plain
// one (Hopper and newer); it takes the place of two.
static int wide_slice(const struct mig_profile *parent, const struct mig_profile *wide,
                      struct mig_compute_profile *profile)
{
    if (parent->span < 2)
        return 0;
    *profile = (struct mig_compute_profile){.constant = NVML_COMPUTE_INSTANCE_PROFILE_1_SLICE_REV1, .slices = 1,
                                            .span = 2, .multiprocessors = wide->multiprocessors};
    for (unsigned int start = 0; start + 2 <= parent->span; start += 2)
        profile->starts[profile->start_count++] = start;
    return 1;
}

static int plain_slices(const struct sim_call *call, const struct mig_profile *parent, unsigned int slices, int whole,
                        unsigned int each, struct mig_compute_profile *profile)
{
    if (slices == 0 || slices > parent->slices || (slices == 3 && parent->slices == 4))
        return 0;
    profile->slices = profile->span = slices;
    profile->multiprocessors = whole ? parent->multiprocessors : slices * each;
    if (slices == 3 && sim_board(call, "mig_three_span") != 0)
        profile->span = sim_board(call, "mig_three_span");
    for (unsigned int start = 0; start + slices <= parent->slices; start += slices == 3 ? 4 : slices)
        profile->starts[profile->start_count++] = start;
    return 1;
}

// The profile of a constant NVML_COMPUTE_INSTANCE_PROFILE_*; 0 if such a one does not fit.
int mig_compute_profile_at(const struct sim_call *call, const struct mig_profile *parent, unsigned int constant,
                           struct mig_compute_profile *profile)
{
    static const unsigned int slices_of[CONSTANTS] = {1, 2, 3, 4, 7};
    struct mig_profile narrow, wide;
    unsigned int slices = constant < CONSTANTS ? slices_of[constant] : 0;
    int has_wide, whole;

    if (!mig_profile_at(call, NVML_GPU_INSTANCE_PROFILE_1_SLICE, &narrow))
        return 0;
    has_wide = mig_profile_at(call, NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV2, &wide) &&
               wide.multiprocessors > narrow.multiprocessors;
    *profile = (struct mig_compute_profile){.constant = constant};
    if (constant == NVML_COMPUTE_INSTANCE_PROFILE_1_SLICE_REV1) {
        whole = parent->slices == 1;
        if (!has_wide || !wide_slice(parent, &wide, profile))
            return 0;
    } else {
        whole = slices == parent->slices && (slices > 1 || parent->multiprocessors == narrow.multiprocessors);
        if (!plain_slices(call, parent, slices, whole, narrow.multiprocessors, profile))
            return 0;
    }
    profile->instances = profile->start_count;
    if (whole)
        sim_format(profile->name, sizeof(profile->name), "MIG %s", parent->name);
    else
        sim_format(profile->name, sizeof(profile->name), "MIG %uc.%s", profile->slices, parent->name);
    return 1;
}

// How many constants the driver knows.
static unsigned int known(const struct sim_call *call)
{
    return sim_driver_branch(call) < 610 ? NVML_COMPUTE_INSTANCE_PROFILE_7_SLICE_NVL
                                         : NVML_COMPUTE_INSTANCE_PROFILE_COUNT;
}

// Begins a query: the profile of the GPU instance and that of the compute instance asked for.
static nvmlReturn_t begin(struct sim_call **call, const char *function, nvmlGpuInstance_t handle,
                          unsigned int constant, unsigned int engines, const void *info, struct mig_profile *parent,
                          struct mig_compute_profile *profile)
{
    struct mig_gpu_instance instance;
    nvmlReturn_t result = mig_begin_gpu_instance(call, function, handle, &instance);
    if (result == NVML_SUCCESS && (info == NULL || constant >= known(*call) ||
                                   engines >= NVML_COMPUTE_INSTANCE_ENGINE_PROFILE_COUNT))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_profile_by_id(*call, instance.profile_id, parent))
        result = NVML_ERROR_UNKNOWN;
    if (result == NVML_SUCCESS && !mig_compute_profile_at(*call, parent, constant, profile))
        result = NVML_ERROR_NOT_SUPPORTED;
    return result;
}

#define FILL(info, parent, profile)                               \
    do {                                                          \
        (info)->id = (profile)->constant;                         \
        (info)->sliceCount = (profile)->slices;                   \
        (info)->instanceCount = (profile)->instances;             \
        (info)->multiprocessorCount = (profile)->multiprocessors; \
        (info)->sharedCopyEngineCount = (parent)->copy_engines;   \
        (info)->sharedDecoderCount = (parent)->decoders;          \
        (info)->sharedEncoderCount = (parent)->encoders;          \
        (info)->sharedJpegCount = (parent)->jpegs;                \
        (info)->sharedOfaCount = (parent)->ofas;                  \
    } while (0)

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfo(nvmlGpuInstance_t gpuInstance, unsigned int profile,
                                                          unsigned int engProfile,
                                                          nvmlComputeInstanceProfileInfo_t *info)
{
    struct sim_call *call;
    struct mig_profile parent;
    struct mig_compute_profile found;
    nvmlReturn_t result = begin(&call, "nvmlGpuInstanceGetComputeInstanceProfileInfo", gpuInstance, profile,
                                engProfile, info, &parent, &found);
    if (result == NVML_SUCCESS)
        FILL(info, &parent, &found);
    return sim_end(call, result);
}

nvmlReturn_t nvmlGpuInstanceGetComputeInstanceProfileInfoV(nvmlGpuInstance_t gpuInstance, unsigned int profile,
                                                           unsigned int engProfile,
                                                           nvmlComputeInstanceProfileInfo_v2_t *info)
{
    struct sim_call *call;
    struct mig_profile parent;
    struct mig_compute_profile found;
    nvmlComputeInstanceProfileInfo_v3_t *third = (nvmlComputeInstanceProfileInfo_v3_t *)(void *)info;
    nvmlReturn_t result = begin(&call, "nvmlGpuInstanceGetComputeInstanceProfileInfoV", gpuInstance, profile,
                                engProfile, info, &parent, &found);
    if (result == NVML_SUCCESS && info->version == nvmlComputeInstanceProfileInfo_v2) {
        FILL(info, &parent, &found);
        sim_format(info->name, sizeof(info->name), "%s", found.name);
    } else if (result == NVML_SUCCESS && info->version == nvmlComputeInstanceProfileInfo_v3) {
        FILL(third, &parent, &found);
        sim_format(third->name, sizeof(third->name), "%s", found.name);
        third->capabilities = 0;
    } else if (result == NVML_SUCCESS) {
        result = NVML_ERROR_INVALID_ARGUMENT;
    }
    return sim_end(call, result);
}
