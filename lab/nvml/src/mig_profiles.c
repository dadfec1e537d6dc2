// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The profiles of GPU instances a board offers, and where they may lie.
#include "mig.h"

#include <string.h>

#define NUMBERS 11  // before the name in a line "mig_gi_<constant> ..." of the board

// The text behind the first `count` words.
static const char *behind(const char *text, unsigned int count)
{
    for (; count > 0 && text != NULL; count--) {
        text = strchr(text, ' ');
        text = text == NULL ? NULL : text + 1;
    }
    return text;
}

// The profile of a constant NVML_GPU_INSTANCE_PROFILE_*; 0 if the board has none such.
int mig_profile_at(const struct sim_call *call, unsigned int constant, struct mig_profile *profile)
{
    char key[SIM_KEY_SIZE];
    unsigned int n[NUMBERS];
    const char *text, *name;
    size_t length;

    sim_format(key, sizeof(key), "mig_gi_%u", constant);
    text = sim_get(&call->gpus[SIM_BOARD], key, NULL);
    name = text == NULL ? NULL : behind(text, NUMBERS);
    if (name == NULL || sim_numbers(text, n, NUMBERS) != NUMBERS)
        return 0;
    *profile = (struct mig_profile){
        .constant = constant, .id = n[0], .slices = n[1], .span = n[2], .instances = n[3], .multiprocessors = n[4],
        .copy_engines = n[5], .decoders = n[6], .encoders = n[7], .jpegs = n[8], .ofas = n[9], .mib = n[10],
    };
    length = strcspn(name, " ");
    if (length >= sizeof(profile->name) || name[length] == '\0')
        return 0;
    memcpy(profile->name, name, length);
    profile->name[length] = '\0';
    profile->start_count = sim_numbers(name + length, profile->starts, MIG_SLICES);
    return 1;
}

int mig_profile_by_id(const struct sim_call *call, unsigned int id, struct mig_profile *profile)
{
    for (unsigned int constant = 0; constant < NVML_GPU_INSTANCE_PROFILE_COUNT; constant++)
        if (mig_profile_at(call, constant, profile) && profile->id == id)
            return 1;
    return 0;
}

// How many constants the driver knows: beyond them is an invalid argument, which ends an enumeration.
static unsigned int known(const struct sim_call *call)
{
    int branch = sim_driver_branch(call);
    if (branch < 570)
        return NVML_GPU_INSTANCE_PROFILE_1_SLICE_REV2 + 1;
    if (branch < 575)
        return NVML_GPU_INSTANCE_PROFILE_4_SLICE_GFX + 1;
    return branch < 610 ? NVML_GPU_INSTANCE_PROFILE_2_SLICE_ALL_ME + 1 : NVML_GPU_INSTANCE_PROFILE_COUNT;
}

static nvmlReturn_t look_up(const struct sim_call *call, unsigned int constant, struct mig_profile *profile)
{
    if (constant >= known(call))
        return NVML_ERROR_INVALID_ARGUMENT;
    return mig_profile_at(call, constant, profile) ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

#define FILL(info, profile)                                \
    do {                                                   \
        (info)->id = (profile)->id;                        \
        (info)->sliceCount = (profile)->slices;            \
        (info)->instanceCount = (profile)->instances;      \
        (info)->multiprocessorCount = (profile)->multiprocessors; \
        (info)->copyEngineCount = (profile)->copy_engines; \
        (info)->decoderCount = (profile)->decoders;        \
        (info)->encoderCount = (profile)->encoders;        \
        (info)->jpegCount = (profile)->jpegs;              \
        (info)->ofaCount = (profile)->ofas;                \
        (info)->memorySizeMB = (profile)->mib;             \
    } while (0)

// Fills the version of the struct the caller says it has.
static nvmlReturn_t fill(const struct mig_profile *profile, nvmlGpuInstanceProfileInfo_v2_t *info)
{
    nvmlGpuInstanceProfileInfo_v3_t *third = (nvmlGpuInstanceProfileInfo_v3_t *)(void *)info;
    if (info->version == nvmlGpuInstanceProfileInfo_v2) {
        FILL(info, profile);
        info->isP2pSupported = 0;
        sim_format(info->name, sizeof(info->name), "MIG %s", profile->name);
        return NVML_SUCCESS;
    }
    if (info->version == nvmlGpuInstanceProfileInfo_v3) {
        FILL(third, profile);
        third->capabilities = 0;
        sim_format(third->name, sizeof(third->name), "MIG %s", profile->name);
        return NVML_SUCCESS;
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

// The versioned queries want MIG on, unless the board answers in any mode (`mig_query_capable`).
static nvmlReturn_t may_query(const struct sim_call *call)
{
    return sim_mig_query_capable(call) ? NVML_SUCCESS : mig_must_be_on(call);
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfo(nvmlDevice_t device, unsigned int profile,
                                                 nvmlGpuInstanceProfileInfo_t *info)
{
    struct sim_call *call;
    struct mig_profile found;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGpuInstanceProfileInfo", device);
    SIM_NOTE(call, "%u", profile);
    if (result == NVML_SUCCESS && mig_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && info == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        result = look_up(call, profile, &found);
    if (result == NVML_SUCCESS) {
        FILL(info, &found);
        info->isP2pSupported = 0;
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoV(nvmlDevice_t device, unsigned int profile,
                                                  nvmlGpuInstanceProfileInfo_v2_t *info)
{
    struct sim_call *call;
    struct mig_profile found;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGpuInstanceProfileInfoV", device);
    SIM_NOTE(call, "%u", profile);
    if (result == NVML_SUCCESS)
        result = may_query(call);
    if (result == NVML_SUCCESS && info == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        result = look_up(call, profile, &found);
    if (result == NVML_SUCCESS)
        result = fill(&found, info);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetGpuInstanceProfileInfoByIdV(nvmlDevice_t device, unsigned int profileId,
                                                      nvmlGpuInstanceProfileInfo_v2_t *info)
{
    struct sim_call *call;
    struct mig_profile found;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGpuInstanceProfileInfoByIdV", device);
    SIM_NOTE(call, "%u", profileId);
    if (result == NVML_SUCCESS)
        result = may_query(call);
    if (result == NVML_SUCCESS && info == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_profile_by_id(call, profileId, &found))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = fill(&found, info);
    return sim_end(call, result);
}

// All places of a profile, lowest first, whether or not they are taken.
static unsigned int list_places(const struct mig_profile *profile, nvmlGpuInstancePlacement_t *placements)
{
    unsigned int count = 0;
    for (unsigned int start = 0; start < MIG_SLICES; start++)
        for (unsigned int i = 0; i < profile->start_count; i++)
            if (profile->starts[i] == start) {
                if (placements != NULL)
                    placements[count] = (nvmlGpuInstancePlacement_t){start, profile->span};
                count++;
            }
    return count;
}

static nvmlReturn_t possible_placements(const char *function, nvmlDevice_t device, unsigned int profile_id,
                                        nvmlGpuInstancePlacement_t *placements, unsigned int *count)
{
    struct sim_call *call;
    struct mig_profile found;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    SIM_NOTE(call, "%u", profile_id);
    if (result == NVML_SUCCESS && mig_absent(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && !mig_profile_by_id(call, profile_id, &found))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        *count = list_places(&found, placements);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements(nvmlDevice_t device, unsigned int profileId,
                                                        nvmlGpuInstancePlacement_t *placements, unsigned int *count)
{
    return possible_placements("nvmlDeviceGetGpuInstancePossiblePlacements", device, profileId, placements, count);
}

nvmlReturn_t nvmlDeviceGetGpuInstancePossiblePlacements_v2(nvmlDevice_t device, unsigned int profileId,
                                                           nvmlGpuInstancePlacement_t *placements,
                                                           unsigned int *count)
{
    return possible_placements("nvmlDeviceGetGpuInstancePossiblePlacements_v2", device, profileId, placements, count);
}
