// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Accounting: what processes used, kept after they are gone. nvml-sim writes a row for each that starts
// while accounting is on: pid -> "start end MiB", the times in microseconds, end 0 while it runs.
#include <string.h>

#include "sim.h"

#define BUFFER_SIZE 4000
#define MIB (1024ULL * 1024ULL)

static struct sim_table kept;

// Reads the rows of the call's GPU.
static nvmlReturn_t read_rows(const struct sim_call *call)
{
    char file[SIM_KEY_SIZE];
    if (sim_is_virtual_guest(call))
        return NVML_ERROR_NOT_SUPPORTED;
    sim_format(file, sizeof(file), "gpu%d.accounting", call->gpu);
    return sim_load(&kept, file) < 0 ? NVML_ERROR_UNKNOWN : NVML_SUCCESS;
}

static nvmlReturn_t read_while_on(const struct sim_call *call)
{
    if (!sim_get_number(&call->gpus[SIM_VOLATILE], "accounting_mode", 0))
        return NVML_ERROR_NOT_SUPPORTED;
    return read_rows(call);
}

static unsigned long long part(const struct sim_row *row, unsigned int number)
{
    char word[24];
    unsigned long long value;
    sim_word(row->value, number, word, sizeof(word));
    return sim_number(word, &value) ? value : 0;
}

SIM_GETTER(nvmlDeviceGetAccountingBufferSize, unsigned int, BUFFER_SIZE)

nvmlReturn_t nvmlDeviceGetAccountingPids(nvmlDevice_t device, unsigned int *count, unsigned int *pids)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetAccountingPids", device);
    if (result == NVML_SUCCESS)
        result = count == NULL ? NVML_ERROR_INVALID_ARGUMENT : read_while_on(call);
    if (result == NVML_SUCCESS) {
        unsigned int room = *count;
        *count = (unsigned int)kept.count;
        if (room < *count)
            result = NVML_ERROR_INSUFFICIENT_SIZE;
        else if (*count > 0 && pids == NULL)
            result = NVML_ERROR_INVALID_ARGUMENT;
    }
    for (int i = 0; result == NVML_SUCCESS && i < kept.count; i++) {
        unsigned long long pid = 0;
        sim_number(kept.rows[i].key, &pid);
        pids[i] = (unsigned int)pid;
    }
    return sim_end(call, result);
}

static void fill(const struct sim_call *call, const struct sim_row *row, nvmlAccountingStats_t *stats)
{
    unsigned long long started = part(row, 0), ended = part(row, 1);
    memset(stats, 0, sizeof(*stats));
    stats->startTime = started;
    stats->isRunning = ended == 0;
    stats->time = ended == 0 ? 0 : (ended - started) / 1000;
    stats->maxMemoryUsage = part(row, 2) * MIB;
    stats->gpuUtilization = ended == 0 ? sim_utilization(call) : (unsigned int)part(row, 3);
    stats->memoryUtilization = stats->gpuUtilization / 2;
}

nvmlReturn_t nvmlDeviceGetAccountingStats(nvmlDevice_t device, unsigned int pid, nvmlAccountingStats_t *stats)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetAccountingStats", device);
    SIM_NOTE(call, "%u", pid);
    if (result == NVML_SUCCESS)
        result = stats == NULL ? NVML_ERROR_INVALID_ARGUMENT : read_while_on(call);
    if (result == NVML_SUCCESS) {
        unsigned long long known;
        result = NVML_ERROR_NOT_FOUND;
        for (int i = 0; i < kept.count && result != NVML_SUCCESS; i++)
            if (sim_number(kept.rows[i].key, &known) && known == pid) {
                fill(call, &kept.rows[i], stats);
                result = NVML_SUCCESS;
            }
    }
    return sim_end(call, result);
}

// Forgets the processes that are gone.
nvmlReturn_t nvmlDeviceClearAccountingPids(nvmlDevice_t device)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceClearAccountingPids", device);
    if (result == NVML_SUCCESS)
        result = read_rows(call);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS) {
        for (int i = kept.count - 1; i >= 0; i--)
            if (part(&kept.rows[i], 1) > 0)
                sim_unset(&kept, kept.rows[i].key);
        result = sim_save(&kept) ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
    }
    return sim_end(call, result);
}
