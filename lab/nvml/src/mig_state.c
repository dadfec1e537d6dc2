// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// MIG as the state keeps it: the mode, the instances, the processes on them. A row of an instance is
//     gi<id> <profile id> <start> <size> <serial>
//     ci<gpu instance>.<id> <profile id> <start> <size> <serial> <index> <uuid>
// The serial number tells an instance from an earlier one of the same id.
#include "mig.h"

#include <string.h>

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

// How the board does MIG: "none", "reset" or "live".
static const char *kind(const struct sim_call *call)
{
    return sim_get(&call->gpus[SIM_BOARD], "mig", "none");
}

int mig_is_live(const struct sim_call *call)
{
    return strcmp(kind(call), "live") == 0;
}

int mig_absent(const struct sim_call *call)
{
    return strcmp(kind(call), "none") == 0 || sim_is_virtual_guest(call);
}

// The file that holds the mode.
enum sim_scope mig_home(const struct sim_call *call)
{
    return mig_is_live(call) ? SIM_MIG : SIM_PERSISTENT;
}

// The two fields of nvmlDeviceGetFieldValues about MIG.
unsigned int sim_mig_resetless(const struct sim_call *call)
{
    return !mig_absent(call) && mig_is_live(call);
}

unsigned int sim_mig_query_capable(const struct sim_call *call)
{
    return !mig_absent(call) && OUTSIDE(call, "mig_query_capable", 0) != 0;
}

int sim_mig_enabled(const struct sim_call *call)
{
    return !mig_absent(call) && sim_get_number(&call->gpus[mig_home(call)], "mig_current", 0) != 0;
}

nvmlReturn_t mig_must_be_on(const struct sim_call *call)
{
    return sim_mig_enabled(call) ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
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

// A row "<pid> <MiB> [<GPU instance> [<compute instance>]]" of a GPU's processes.
void sim_read_process(const struct sim_row *row, struct sim_process *process)
{
    unsigned int n[3] = {0, MIG_NONE, MIG_NONE};
    unsigned long long pid = 0;
    sim_number(row->key, &pid);
    sim_numbers(row->value, n, 3);
    *process = (struct sim_process){
        .pid = (unsigned int)pid, .mib = n[0], .gpu_instance = n[1], .compute_instance = n[2]};
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
