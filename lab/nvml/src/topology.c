// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Where a GPU sits: NUMA node, CPUs, and how it reaches the others. Link details are guesses.
#include <limits.h>
#include <string.h>

#include "sim.h"

#define WORD_BITS (sizeof(unsigned long) * CHAR_BIT)

// What two GPUs are to each other.
struct pair {
    int same;       // one and the same
    int same_node;  // on one NUMA node
    int same_kind;  // of one model
    int nvlink;     // both have NVLink
};

static void put_bits(unsigned long *set, unsigned int words, const char *list)
{
    memset(set, 0, words * sizeof(*set));
    for (unsigned int bit = 0; bit < words * WORD_BITS; bit++)
        if (sim_in_list(list, bit))
            set[bit / WORD_BITS] |= 1UL << (bit % WORD_BITS);
}

static nvmlReturn_t give_set(const char *function, nvmlDevice_t device, const char *key, unsigned int words,
                             unsigned long *set)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    if (result == NVML_SUCCESS && (set == NULL || words == 0))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        put_bits(set, words, sim_get(&call->gpus[SIM_BOARD], key, ""));
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetCpuAffinity(nvmlDevice_t device, unsigned int cpuSetSize, unsigned long *cpuSet)
{
    return give_set("nvmlDeviceGetCpuAffinity", device, "cpus", cpuSetSize, cpuSet);
}

nvmlReturn_t nvmlDeviceGetCpuAffinityWithinScope(nvmlDevice_t device, unsigned int cpuSetSize, unsigned long *cpuSet,
                                                 nvmlAffinityScope_t scope)
{
    (void)scope;  // a socket has one NUMA node here
    return give_set("nvmlDeviceGetCpuAffinityWithinScope", device, "cpus", cpuSetSize, cpuSet);
}

nvmlReturn_t nvmlDeviceGetMemoryAffinity(nvmlDevice_t device, unsigned int nodeSetSize, unsigned long *nodeSet,
                                         nvmlAffinityScope_t scope)
{
    (void)scope;
    return give_set("nvmlDeviceGetMemoryAffinity", device, "numa_node", nodeSetSize, nodeSet);
}

// The NUMA node the GPU itself is, which only coherent platforms have; not the one it hangs on.
nvmlReturn_t nvmlDeviceGetNumaNodeId(nvmlDevice_t device, unsigned int *node)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetNumaNodeId", device);
    if (result == NVML_SUCCESS && sim_get(&call->gpus[SIM_BOARD], "own_numa_node", NULL) == NULL)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && node == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *node = sim_board(call, "own_numa_node");
    return sim_end(call, result);
}

// Looks at the second GPU after the first; the call then has the second one's state.
static nvmlReturn_t compare(struct sim_call *call, nvmlDevice_t other, struct pair *pair)
{
    char name[SIM_VALUE_SIZE];
    unsigned int numa = sim_board(call, "numa_node"), nvlink = sim_board(call, "nvlinks");
    int first = call->gpu, second = sim_index(call, other);
    nvmlReturn_t result;

    if (second < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    sim_format(name, sizeof(name), "%s", sim_get(&call->gpus[SIM_BOARD], "name", ""));
    result = sim_select(call, second);
    pair->same = first == second;
    pair->same_node = numa == sim_board(call, "numa_node");
    pair->same_kind = strcmp(name, sim_get(&call->gpus[SIM_BOARD], "name", "")) == 0;
    pair->nvlink = nvlink > 0 && sim_board(call, "nvlinks") > 0;
    return result;
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t device1, nvmlDevice_t device2,
                                                 nvmlGpuTopologyLevel_t *pathInfo)
{
    struct sim_call *call;
    struct pair pair;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTopologyCommonAncestor", device1);
    if (result == NVML_SUCCESS)
        result = pathInfo == NULL ? NVML_ERROR_INVALID_ARGUMENT : compare(call, device2, &pair);
    if (result == NVML_SUCCESS && pair.same)
        *pathInfo = NVML_TOPOLOGY_INTERNAL;
    else if (result == NVML_SUCCESS)
        *pathInfo = pair.same_node ? NVML_TOPOLOGY_NODE : NVML_TOPOLOGY_SYSTEM;
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceOnSameBoard(nvmlDevice_t device1, nvmlDevice_t device2, int *onSameBoard)
{
    struct sim_call *call;
    struct pair pair;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceOnSameBoard", device1);
    if (result == NVML_SUCCESS)
        result = onSameBoard == NULL ? NVML_ERROR_INVALID_ARGUMENT : compare(call, device2, &pair);
    if (result == NVML_SUCCESS)
        *onSameBoard = pair.same;
    return sim_end(call, result);
}

static nvmlGpuP2PStatus_t peer_status(const struct pair *pair, nvmlGpuP2PCapsIndex_t index)
{
    if (index == NVML_P2P_CAPS_INDEX_NVLINK || index == NVML_P2P_CAPS_INDEX_ATOMICS)
        return pair->nvlink && pair->same_kind ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_NOT_SUPPORTED;
    return pair->same_kind ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_GPU_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetP2PStatus(nvmlDevice_t device1, nvmlDevice_t device2, nvmlGpuP2PCapsIndex_t p2pIndex,
                                    nvmlGpuP2PStatus_t *p2pStatus)
{
    struct sim_call *call;
    struct pair pair;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetP2PStatus", device1);
    SIM_NOTE(call, "%u", (unsigned int)p2pIndex);
    if (result == NVML_SUCCESS && (p2pStatus == NULL || (unsigned int)p2pIndex >= NVML_P2P_CAPS_INDEX_UNKNOWN))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        result = compare(call, device2, &pair);
    if (result == NVML_SUCCESS)
        *p2pStatus = peer_status(&pair, p2pIndex);
    return sim_end(call, result);
}
