// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Memory, utilisation and the processes that use a GPU.
#include "sim.h"

#define MIB (1024ULL * 1024ULL)
#define NO_INSTANCE 0xFFFFFFFFU

static unsigned long long total_bytes(const struct sim_call *call)
{
    return sim_board(call, "memory_mib") * MIB;
}

static unsigned long long reserved_bytes(const struct sim_call *call)
{
    return sim_board(call, "memory_reserved_mib") * MIB;
}

// What the processes hold, at most what the board has beside its reserve.
static unsigned long long process_bytes(const struct sim_call *call)
{
    unsigned long long sum = 0, room = total_bytes(call) - reserved_bytes(call), mib;
    for (int i = 0; i < call->gpus[SIM_PROCESSES].count; i++)
        if (sim_number(call->gpus[SIM_PROCESSES].rows[i].value, &mib))
            sum += mib * MIB;
    return sum < room ? sum : room;
}

// The old call counts the reserve as used.
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetMemoryInfo", device);
    if (result == NVML_SUCCESS && memory == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        memory->total = total_bytes(call);
        memory->used = process_bytes(call) + reserved_bytes(call);
        memory->free = memory->total - memory->used;
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetMemoryInfo_v2", device);
    if (result == NVML_SUCCESS && memory == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && memory->version != nvmlMemory_v2)
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result == NVML_SUCCESS) {
        memory->total = total_bytes(call);
        memory->reserved = reserved_bytes(call);
        memory->used = process_bytes(call);
        memory->free = memory->total - memory->reserved - memory->used;
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetUtilizationRates", device);
    if (result == NVML_SUCCESS && sim_mig_enabled(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && utilization == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        utilization->gpu = sim_utilization(call);
        utilization->memory = sim_utilization(call) / 2;
    }
    return sim_end(call, result);
}

static void fill_old(void *infos, unsigned int i, unsigned int pid, unsigned long long bytes)
{
    nvmlProcessInfo_v1_t *info = (nvmlProcessInfo_v1_t *)infos + i;
    info->pid = pid;
    info->usedGpuMemory = bytes;
}

static void fill_new(void *infos, unsigned int i, unsigned int pid, unsigned long long bytes)
{
    nvmlProcessInfo_t *info = (nvmlProcessInfo_t *)infos + i;
    info->pid = pid;
    info->usedGpuMemory = bytes;
    info->gpuInstanceId = NO_INSTANCE;
    info->computeInstanceId = NO_INSTANCE;
}

typedef void filler(void *infos, unsigned int i, unsigned int pid, unsigned long long bytes);

// Hands the processes out; with `none` the GPU has no such processes at all.
static nvmlReturn_t list(const char *function, nvmlDevice_t device, unsigned int *count, void *infos, filler *fill,
                         int none)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        const struct sim_table *table = &call->gpus[SIM_PROCESSES];
        unsigned int size = none ? 0 : (unsigned int)table->count, room = *count;
        *count = size;
        if (room < size)
            result = NVML_ERROR_INSUFFICIENT_SIZE;
        else if (size > 0 && infos == NULL)
            result = NVML_ERROR_INVALID_ARGUMENT;
        for (unsigned int i = 0; result == NVML_SUCCESS && i < size; i++) {
            unsigned long long pid = 0, mib = 0;
            sim_number(table->rows[i].key, &pid);
            sim_number(table->rows[i].value, &mib);
            fill(infos, i, (unsigned int)pid, mib * MIB);
        }
    }
    return sim_end(call, result);
}

#define LIST(FUNCTION, TYPE, FILL, NONE)                                                          \
    nvmlReturn_t FUNCTION(nvmlDevice_t device, unsigned int *infoCount, TYPE *infos)              \
    {                                                                                             \
        return list(#FUNCTION, device, infoCount, infos, FILL, NONE);                             \
    }

LIST(nvmlDeviceGetComputeRunningProcesses, nvmlProcessInfo_v1_t, fill_old, 0)
LIST(nvmlDeviceGetComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, fill_new, 0)
LIST(nvmlDeviceGetComputeRunningProcesses_v3, nvmlProcessInfo_t, fill_new, 0)
LIST(nvmlDeviceGetGraphicsRunningProcesses, nvmlProcessInfo_v1_t, fill_old, 1)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlProcessInfo_v2_t, fill_new, 1)
LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, nvmlProcessInfo_t, fill_new, 1)
LIST(nvmlDeviceGetMPSComputeRunningProcesses, nvmlProcessInfo_v1_t, fill_old, 1)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlProcessInfo_v2_t, fill_new, 1)
LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, nvmlProcessInfo_t, fill_new, 1)
