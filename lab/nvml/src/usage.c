// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Memory, utilisation and the processes that use a GPU.
#include "sim.h"

#define MIB (1024ULL * 1024ULL)

// A MIG device has the memory of its GPU instance, which the compute instances in it share.
static int is_mig(const struct sim_call *call)
{
    return call->gpu_instance >= 0;
}

static unsigned long long total_bytes(const struct sim_call *call)
{
    return (is_mig(call) ? sim_mig_mib(call) : sim_board(call, "memory_mib")) * MIB;
}

static unsigned long long reserved_bytes(const struct sim_call *call)
{
    return is_mig(call) ? 0 : sim_board(call, "memory_reserved_mib") * MIB;
}

// What the processes hold, at most what the board has beside its reserve.
static unsigned long long process_bytes(const struct sim_call *call)
{
    unsigned long long sum = 0, room = total_bytes(call) - reserved_bytes(call);
    struct sim_process process;
    for (int i = 0; i < call->gpus[SIM_PROCESSES].count; i++) {
        sim_read_process(&call->gpus[SIM_PROCESSES].rows[i], &process);
        if (!is_mig(call) || process.gpu_instance == (unsigned int)call->gpu_instance)
            sum += process.mib * MIB;
    }
    return sum < room ? sum : room;
}

// The old call counts the reserve as used.
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_any(&call, "nvmlDeviceGetMemoryInfo", device);
    if (result == NVML_SUCCESS)
        result = sim_mig_may_sum(call);
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
    nvmlReturn_t result = sim_begin_any(&call, "nvmlDeviceGetMemoryInfo_v2", device);
    if (result == NVML_SUCCESS)
        result = sim_mig_may_sum(call);
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

static void fill_old(void *infos, unsigned int i, const struct sim_process *process)
{
    nvmlProcessInfo_v1_t *info = (nvmlProcessInfo_v1_t *)infos + i;
    info->pid = process->pid;
    info->usedGpuMemory = process->mib * MIB;
}

static void fill_new(void *infos, unsigned int i, const struct sim_process *process)
{
    nvmlProcessInfo_t *info = (nvmlProcessInfo_t *)infos + i;
    info->pid = process->pid;
    info->usedGpuMemory = process->mib * MIB;
    info->gpuInstanceId = process->gpu_instance;
    info->computeInstanceId = process->compute_instance;
}

typedef void filler(void *infos, unsigned int i, const struct sim_process *process);

// The processes of what the call is about: the GPU or the MIG device. Returns how many there are.
static unsigned int collect(const struct sim_call *call, struct sim_process *found)
{
    unsigned int count = 0;
    for (int i = 0; i < call->gpus[SIM_PROCESSES].count; i++) {
        sim_read_process(&call->gpus[SIM_PROCESSES].rows[i], &found[count]);
        count += !is_mig(call) || (found[count].gpu_instance == (unsigned int)call->gpu_instance &&
                                   found[count].compute_instance == (unsigned int)call->compute_instance);
    }
    return count;
}

// Hands the processes out; with `none` the GPU has no such processes at all.
static nvmlReturn_t list(const char *function, nvmlDevice_t device, unsigned int *count, void *infos, filler *fill,
                         int none)
{
    static struct sim_process found[SIM_MAX_ROWS];
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_any(&call, function, device);
    if (result == NVML_SUCCESS)
        result = sim_mig_may_sum(call);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        unsigned int size = none ? 0 : collect(call, found), room = *count;
        *count = size;
        if (room < size)
            result = NVML_ERROR_INSUFFICIENT_SIZE;
        else if (size > 0 && infos == NULL)
            result = NVML_ERROR_INVALID_ARGUMENT;
        for (unsigned int i = 0; result == NVML_SUCCESS && i < size; i++)
            fill(infos, i, &found[i]);
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
