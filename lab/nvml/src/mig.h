// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What the MIG files share: profiles as the board has them, instances as the state has them.
#ifndef SIM_MIG_H
#define SIM_MIG_H

#include "sim.h"

#define MIG_SLICES 8         // memory slices of every board known
#define MIG_GPU_INSTANCES 15 // ids 0..14: the whole, two halves, four quarters, eight eighths
#define MIG_NONE 0xFFFFFFFFU

// One line of the board: what a GPU instance of this profile gets.
struct mig_profile {
    unsigned int constant;  // NVML_GPU_INSTANCE_PROFILE_*
    unsigned int id;        // the number nvidia-smi shows
    unsigned int slices;    // compute slices
    unsigned int span;      // memory slices
    unsigned int instances, multiprocessors, copy_engines, decoders, encoders, jpegs, ofas, mib;
    unsigned int starts[MIG_SLICES];  // where it may begin, in the order the driver tries
    unsigned int start_count;
    char name[32];
};

struct mig_gpu_instance {
    unsigned int id, profile_id, start, size, serial;
};

// What a compute instance of n slices within a GPU instance is.
struct mig_compute_profile {
    unsigned int constant;  // NVML_COMPUTE_INSTANCE_PROFILE_*, the id as well
    unsigned int slices, span, instances, multiprocessors;
    unsigned int starts[MIG_SLICES];
    unsigned int start_count;
    char name[40];
};

struct mig_compute_instance {
    unsigned int gpu_instance, id, profile_id, start, size, serial, index;
    char uuid[SIM_KEY_SIZE];
};

// The kinds of handles, in the upper 16 bits where no address of a process has any.
enum mig_handle {
    MIG_HANDLE_GPU_INSTANCE = 0x6D01,
    MIG_HANDLE_COMPUTE_INSTANCE = 0x6D02,
    MIG_HANDLE_DEVICE = 0x6D03,
};

// mig_profiles.c
int mig_profile_at(const struct sim_call *call, unsigned int constant, struct mig_profile *profile);
int mig_profile_by_id(const struct sim_call *call, unsigned int id, struct mig_profile *profile);

// mig_state.c
int mig_absent(const struct sim_call *call);
int mig_is_live(const struct sim_call *call);
enum sim_scope mig_home(const struct sim_call *call);
nvmlReturn_t mig_must_be_on(const struct sim_call *call);
int mig_find_gpu_instance(const struct sim_call *call, unsigned int id, struct mig_gpu_instance *instance);
int mig_find_compute_instance(const struct sim_call *call, unsigned int gpu_instance, unsigned int id,
                              struct mig_compute_instance *instance);
int mig_keep_gpu_instance(struct sim_call *call, struct mig_gpu_instance *instance);
int mig_keep_compute_instance(struct sim_call *call, struct mig_compute_instance *instance);
void mig_drop_gpu_instance(struct sim_call *call, unsigned int id);
void mig_drop_compute_instance(struct sim_call *call, unsigned int gpu_instance, unsigned int id);
int mig_is_used(const struct sim_call *call, unsigned int gpu_instance, unsigned int compute_instance);

// mig_handles.c
int mig_gpu_of(const struct sim_call *call, const void *handle, enum mig_handle kind);
unsigned int mig_gpu_instance_of(const void *handle);
unsigned int mig_compute_instance_of(const void *handle);
nvmlGpuInstance_t mig_gpu_handle(const struct sim_call *call, const struct mig_gpu_instance *instance);
nvmlComputeInstance_t mig_compute_handle(const struct sim_call *call, const struct mig_compute_instance *instance);
nvmlDevice_t mig_device_handle(const struct sim_call *call, const struct mig_compute_instance *instance);

// mig_call.c
nvmlReturn_t mig_begin_gpu_instance(struct sim_call **call, const char *function, nvmlGpuInstance_t handle,
                                    struct mig_gpu_instance *instance);
nvmlReturn_t mig_begin_compute_instance(struct sim_call **call, const char *function, nvmlComputeInstance_t handle,
                                        struct mig_compute_instance *instance);

// mig_compute_profiles.c
int mig_compute_profile_at(const struct sim_call *call, const struct mig_profile *parent, unsigned int constant,
                           struct mig_compute_profile *profile);

#endif
