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
    int same;                      // one and the same
    int same_kind;                 // of one model
    int links;                     // NVLinks between them
    int peers;                     // both boards allow P2P
    nvmlGpuTopologyLevel_t level;  // how far apart on PCI
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

// A path such as "pci0000:16 0000:16:01.0 0000:17:00.0 0000:18:00.0" (host bridge, root port, then an
// upstream and a downstream port of each switch): how many ports two of them share, and how many more each has.
static int shared_ports(const char *a, const char *b, int *rest)
{
    int shared = 0, same = 1;
    rest[0] = rest[1] = 0;
    while (*a != '\0' || *b != '\0') {
        size_t length_a = strcspn(a, " "), length_b = strcspn(b, " ");
        same = same && length_a > 0 && length_a == length_b && strncmp(a, b, length_a) == 0;
        shared += same;
        rest[0] += !same && length_a > 0;
        rest[1] += !same && length_b > 0;
        a += length_a + (a[length_a] == ' ');
        b += length_b + (b[length_b] == ' ');
    }
    return shared;
}

// nvidia-smi calls the levels PIX (one switch), PXB (several), PHB (host bridge), NODE and SYS.
static nvmlGpuTopologyLevel_t level_of(const char *a, const char *b, int same_node)
{
    int rest[2], shared = shared_ports(a, b, rest);
    if (shared == 0)
        return same_node ? NVML_TOPOLOGY_NODE : NVML_TOPOLOGY_SYSTEM;
    if (shared < 3)
        return NVML_TOPOLOGY_HOSTBRIDGE;
    return rest[0] <= 1 && rest[1] <= 1 ? NVML_TOPOLOGY_SINGLE : NVML_TOPOLOGY_MULTIPLE;
}

static void compare_boards(const struct sim_call *call, const struct sim_table *other, int second, struct pair *pair)
{
    const struct sim_table *board = &call->gpus[SIM_BOARD];
    int same_node = sim_get_number(board, "numa_node", 0) == sim_get_number(other, "numa_node", 0);
    pair->same = call->gpu == second;
    pair->same_kind = strcmp(sim_get(board, "name", ""), sim_get(other, "name", "")) == 0;
    pair->links = sim_nvlink_between(call, other, second);
    pair->peers = sim_get_number(board, "p2p", 1) && sim_get_number(other, "p2p", 1);
    pair->level = pair->same ? NVML_TOPOLOGY_INTERNAL
                             : level_of(sim_get(board, "pci_path", ""), sim_get(other, "pci_path", ""), same_node);
}

static struct sim_table other_board;

// Compares the call's GPU with another one; its board is then in other_board.
static nvmlReturn_t compare_index(const struct sim_call *call, int second, struct pair *pair)
{
    char file[SIM_KEY_SIZE];
    sim_format(file, sizeof(file), "gpu%d.board", second);
    if (sim_load(&other_board, file) <= 0)
        return NVML_ERROR_UNKNOWN;
    compare_boards(call, &other_board, second, pair);
    return NVML_SUCCESS;
}

// The same for a handle. A second GPU that is lost makes the call fail as a first one does.
static nvmlReturn_t compare(const struct sim_call *call, nvmlDevice_t other, struct pair *pair)
{
    static struct sim_table outside;
    int second = sim_index(call, other);
    char file[SIM_KEY_SIZE];
    if (second < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    sim_format(file, sizeof(file), "gpu%d.outside", second);
    if (sim_load(&outside, file) < 0)
        return NVML_ERROR_UNKNOWN;
    if (sim_get_number(&outside, "lost", 0))
        return NVML_ERROR_GPU_IS_LOST;
    return compare_index(call, second, pair);
}

nvmlReturn_t nvmlDeviceGetTopologyCommonAncestor(nvmlDevice_t device1, nvmlDevice_t device2,
                                                 nvmlGpuTopologyLevel_t *pathInfo)
{
    struct sim_call *call;
    struct pair pair;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTopologyCommonAncestor", device1);
    if (result == NVML_SUCCESS)
        result = pathInfo == NULL ? NVML_ERROR_INVALID_ARGUMENT : compare(call, device2, &pair);
    if (result == NVML_SUCCESS)
        *pathInfo = pair.level;
    return sim_end(call, result);
}

// Hands handles out: *count 0 asks how many there are, else at most *count are stored.
static nvmlReturn_t give_handles(const int *found, unsigned int size, unsigned int *count, nvmlDevice_t *devices)
{
    if (*count > 0 && devices == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (*count == 0) {
        *count = size;
        return NVML_SUCCESS;
    }
    *count = *count < size ? *count : size;
    for (unsigned int i = 0; i < *count; i++)
        devices[i] = sim_handle(found[i]);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTopologyNearestGpus(nvmlDevice_t device, nvmlGpuTopologyLevel_t level, unsigned int *count,
                                              nvmlDevice_t *deviceArray)
{
    struct sim_call *call;
    struct pair pair;
    int found[SIM_MAX_GPUS];
    unsigned int size = 0;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTopologyNearestGpus", device);
    SIM_NOTE(call, "%u", (unsigned int)level);
    if (result == NVML_SUCCESS && (count == NULL || level % 10 != 0 || level > NVML_TOPOLOGY_SYSTEM))
        result = NVML_ERROR_INVALID_ARGUMENT;
    for (int gpu = 0; result == NVML_SUCCESS && gpu < (int)sim_get_number(&call->node, "gpu_count", 0); gpu++) {
        result = compare_index(call, gpu, &pair);
        if (result == NVML_SUCCESS && !pair.same && pair.level == level)
            found[size++] = gpu;
    }
    if (result == NVML_SUCCESS)
        result = give_handles(found, size, count, deviceArray);
    return sim_end(call, result);
}

nvmlReturn_t nvmlSystemGetTopologyGpuSet(unsigned int cpuNumber, unsigned int *count, nvmlDevice_t *deviceArray)
{
    struct sim_call *call;
    int found[SIM_MAX_GPUS];
    unsigned int size = 0;
    char file[SIM_KEY_SIZE];
    nvmlReturn_t result = sim_begin(&call, "nvmlSystemGetTopologyGpuSet");
    SIM_NOTE(call, "%u", cpuNumber);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    for (int gpu = 0; result == NVML_SUCCESS && gpu < (int)sim_get_number(&call->node, "gpu_count", 0); gpu++) {
        sim_format(file, sizeof(file), "gpu%d.board", gpu);
        if (sim_load(&other_board, file) > 0 && sim_in_list(sim_get(&other_board, "cpus", ""), cpuNumber))
            found[size++] = gpu;
    }
    if (result == NVML_SUCCESS)
        result = give_handles(found, size, count, deviceArray);
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

// Over PCI only boards of one model that allow it are peers; NVLink makes peers by itself.
static nvmlGpuP2PStatus_t peer_status(const struct pair *pair, nvmlGpuP2PCapsIndex_t index)
{
    if (index == NVML_P2P_CAPS_INDEX_NVLINK || index == NVML_P2P_CAPS_INDEX_ATOMICS)
        return pair->links > 0 ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_NOT_SUPPORTED;
    if (pair->links > 0 && index != NVML_P2P_CAPS_INDEX_PCI)
        return NVML_P2P_STATUS_OK;
    return pair->same_kind && pair->peers ? NVML_P2P_STATUS_OK : NVML_P2P_STATUS_GPU_NOT_SUPPORTED;
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
