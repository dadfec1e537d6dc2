// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The NVLink fabric a GPU registers with (Hopper and newer on NVSwitches): state, cluster, clique, health.
#include <string.h>

#include "sim.h"

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)
#define HEALTHY_BITS(what) (NVML_GPU_FABRIC_HEALTH_MASK_##what##_FALSE << NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_##what)

struct fabric {
    unsigned char cluster[NVML_GPU_FABRIC_UUID_LEN];
    nvmlReturn_t status;
    unsigned int clique, mask;
    unsigned char state, summary;
};

// The 16 bytes of a UUID as text; what is no hexadecimal digit is passed over.
static void read_uuid(const char *text, unsigned char *bytes)
{
    unsigned int digits = 0;
    memset(bytes, 0, NVML_GPU_FABRIC_UUID_LEN);
    for (; *text != '\0' && digits < 2 * NVML_GPU_FABRIC_UUID_LEN; text++) {
        char digit[2] = {*text, '\0'};
        const char *cursor = digit;
        unsigned long long value;
        if (!sim_hexadecimal(&cursor, &value))
            continue;
        bytes[digits / 2] = (unsigned char)(bytes[digits / 2] << 4 | value);
        digits++;
    }
}

// Bandwidth whole, no recovery running, the route healthy, nothing wrong in the configuration.
static unsigned int healthy_mask(void)
{
    return HEALTHY_BITS(DEGRADED_BW) | HEALTHY_BITS(ROUTE_RECOVERY) | HEALTHY_BITS(ROUTE_UNHEALTHY) |
           HEALTHY_BITS(ACCESS_TIMEOUT_RECOVERY) |
           NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_NONE
               << NVML_GPU_FABRIC_HEALTH_MASK_SHIFT_INCORRECT_CONFIGURATION;
}

// The summary that fits a mask: bandwidth degraded alone is limited capacity, anything else unhealthy.
static unsigned char summary_of(unsigned int mask)
{
    unsigned int wrong = NVML_GPU_FABRIC_HEALTH_GET(mask, _INCORRECT_CONFIGURATION);
    if (NVML_GPU_FABRIC_HEALTH_TEST(mask, _ROUTE_UNHEALTHY, _TRUE) ||
        NVML_GPU_FABRIC_HEALTH_TEST(mask, _ROUTE_RECOVERY, _TRUE) ||
        NVML_GPU_FABRIC_HEALTH_TEST(mask, _ACCESS_TIMEOUT_RECOVERY, _TRUE) ||
        wrong > NVML_GPU_FABRIC_HEALTH_MASK_INCORRECT_CONFIGURATION_NONE)
        return NVML_GPU_FABRIC_HEALTH_SUMMARY_UNHEALTHY;
    if (NVML_GPU_FABRIC_HEALTH_TEST(mask, _DEGRADED_BW, _TRUE))
        return NVML_GPU_FABRIC_HEALTH_SUMMARY_LIMITED_CAPACITY;
    return NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY;
}

// Hopper is where a GPU starts to have a fabric; a board without NVSwitches has none.
static nvmlReturn_t read_fabric(const struct sim_call *call, struct fabric *fabric)
{
    if (sim_board(call, "architecture") < NVML_DEVICE_ARCH_HOPPER || !sim_board(call, "nvlink_switched"))
        return NVML_ERROR_NOT_SUPPORTED;
    memset(fabric, 0, sizeof(*fabric));
    fabric->state = (unsigned char)OUTSIDE(call, "fabric_state", NVML_GPU_FABRIC_STATE_COMPLETED);
    if (fabric->state != NVML_GPU_FABRIC_STATE_COMPLETED)
        return NVML_SUCCESS;
    fabric->status = (nvmlReturn_t)OUTSIDE(call, "fabric_status", NVML_SUCCESS);
    fabric->clique = (unsigned int)OUTSIDE(call, "fabric_clique", sim_board(call, "fabric_clique_id"));
    fabric->mask = (unsigned int)OUTSIDE(call, "fabric_health_mask", healthy_mask());
    fabric->summary = (unsigned char)OUTSIDE(call, "fabric_health_summary", summary_of(fabric->mask));
    read_uuid(sim_get(&call->gpus[SIM_OUTSIDE], "fabric_cluster",
                      sim_get(&call->gpus[SIM_BOARD], "fabric_cluster_uuid", "")),
              fabric->cluster);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfo(nvmlDevice_t device, nvmlGpuFabricInfo_t *gpuFabricInfo)
{
    struct sim_call *call;
    struct fabric fabric;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGpuFabricInfo", device);
    if (result == NVML_SUCCESS)
        result = gpuFabricInfo == NULL ? NVML_ERROR_INVALID_ARGUMENT : read_fabric(call, &fabric);
    if (result == NVML_SUCCESS) {
        memcpy(gpuFabricInfo->clusterUuid, fabric.cluster, sizeof(fabric.cluster));
        gpuFabricInfo->status = fabric.status;
        gpuFabricInfo->cliqueId = fabric.clique;
        gpuFabricInfo->state = fabric.state;
    }
    return sim_end(call, result);
}

// Versions 2 and 3 begin alike; only version 3 has the summary behind them.
nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t device, nvmlGpuFabricInfoV_t *gpuFabricInfo)
{
    struct sim_call *call;
    struct fabric fabric;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGpuFabricInfoV", device);
    if (result == NVML_SUCCESS && gpuFabricInfo == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && gpuFabricInfo->version != nvmlGpuFabricInfo_v2 &&
        gpuFabricInfo->version != nvmlGpuFabricInfo_v3)
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result == NVML_SUCCESS)
        result = read_fabric(call, &fabric);
    if (result == NVML_SUCCESS) {
        memcpy(gpuFabricInfo->clusterUuid, fabric.cluster, sizeof(fabric.cluster));
        gpuFabricInfo->status = fabric.status;
        gpuFabricInfo->cliqueId = fabric.clique;
        gpuFabricInfo->state = fabric.state;
        gpuFabricInfo->healthMask = fabric.mask;
        if (gpuFabricInfo->version == nvmlGpuFabricInfo_v3)
            gpuFabricInfo->healthSummary = fabric.summary;
    }
    return sim_end(call, result);
}

// Version 4 lists the cliques; here the GPU is in one, of unicast pointers.
nvmlReturn_t nvmlDeviceGetGpuFabricInfo_v4(nvmlDevice_t device, nvmlGpuFabricInfo_v4_t *gpuFabricInfo)
{
    struct sim_call *call;
    struct fabric fabric;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetGpuFabricInfo_v4", device);
    if (result == NVML_SUCCESS)
        result = gpuFabricInfo == NULL ? NVML_ERROR_INVALID_ARGUMENT : read_fabric(call, &fabric);
    if (result == NVML_SUCCESS) {
        memset(gpuFabricInfo, 0, sizeof(*gpuFabricInfo));
        memcpy(gpuFabricInfo->clusterUuid, fabric.cluster, sizeof(fabric.cluster));
        gpuFabricInfo->status = fabric.status;
        gpuFabricInfo->numCliques = fabric.state == NVML_GPU_FABRIC_STATE_COMPLETED;
        gpuFabricInfo->cliques[0].type = NVML_GPU_FABRIC_CLIQUE_TYPE_UNICAST_POINTER;
        gpuFabricInfo->cliques[0].id = fabric.clique;
        gpuFabricInfo->state = fabric.state;
        gpuFabricInfo->healthMask = fabric.mask;
        gpuFabricInfo->healthSummary = fabric.summary;
    }
    return sim_end(call, result);
}
