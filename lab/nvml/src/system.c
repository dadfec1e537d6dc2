// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Init, shutdown, versions, error strings.
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static const char *const error_strings[] = {
    "Success",
    "Uninitialized",
    "Invalid Argument",
    "Not Supported",
    "Insufficient Permissions",
    "Already Initialized",
    "Not Found",
    "Insufficient Size",
    "Insufficient External Power",
    "Driver Not Loaded",
    "Timeout",
    "Interrupt Request Issue",
    "NVML Shared Library Not Found",
    "Function Not Found",
    "Corrupted infoROM",
    "GPU is lost",
    "GPU requires reset",
    "The operating system has blocked the request.",
    "Driver/library version mismatch",
    "In use by another client",
    "Insufficient Memory",
    "No data",
    "The requested vgpu operation is not available on target device because ECC is enabled",
    "Insufficient Resources",
    "Frequency Not Supported",
    "Argument Version Mismatch",
    "Deprecated",
    "Not Ready",
    "GPU Not Found",
    "Invalid State",
};

const char *nvmlErrorString(nvmlReturn_t result)
{
    if ((unsigned int)result < sizeof(error_strings) / sizeof(error_strings[0]))
        return error_strings[result];
    return "Unknown Error";
}

static nvmlReturn_t check_driver(const struct sim_call *call)
{
    const char *driver = sim_get(&call->node, "driver_version", "");
    if (strcmp(driver, sim_get(&call->node, "library_version", driver)) != 0)
        return NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    return NVML_SUCCESS;
}

static nvmlReturn_t start(const char *function)
{
    const char *directory = getenv("NVML_SIM_DIR");
    struct sim_call *call;
    nvmlReturn_t result, injected;

    sim_enter();
    if (!sim_started() && !sim_directory(directory != NULL && directory[0] != '\0' ? directory : "/var/lib/nvml-sim")) {
        sim_leave();
        return NVML_ERROR_INVALID_ARGUMENT;
    }
    sim_leave();
    result = sim_open(&call, function);
    if (result == NVML_SUCCESS && sim_fault(function, -1, &injected))
        result = injected;
    if (result == NVML_SUCCESS)
        result = check_driver(call);
    if (result == NVML_SUCCESS && !sim_started() && !sim_client_add((int)sim_get_number(&call->node, "gpu_count", 0)))
        result = NVML_ERROR_UNKNOWN;
    if (result == NVML_SUCCESS)
        sim_start_count(1);
    return sim_end(call, result);
}

nvmlReturn_t nvmlInit(void)
{
    return start("nvmlInit");
}

nvmlReturn_t nvmlInit_v2(void)
{
    return start("nvmlInit_v2");
}

// The flags only soften failures that do not occur here (no GPU, GPU not attached).
nvmlReturn_t nvmlInitWithFlags(unsigned int flags)
{
    (void)flags;
    return start("nvmlInitWithFlags");
}

// Works also while the driver is unloaded: the client is then gone anyway.
nvmlReturn_t nvmlShutdown(void)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin(&call, "nvmlShutdown");
    if (result != NVML_SUCCESS && result != NVML_ERROR_DRIVER_NOT_LOADED)
        return sim_end(call, result);
    sim_start_count(-1);
    if (!sim_started() && call->lock >= 0 && !sim_client_remove((int)sim_get_number(&call->node, "gpu_count", 0)))
        return sim_end(call, NVML_ERROR_UNKNOWN);
    return sim_end(call, NVML_SUCCESS);
}

static nvmlReturn_t node_text(const char *function, const char *key, char *buffer, unsigned int length)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin(&call, function);
    if (result == NVML_SUCCESS)
        result = sim_copy(sim_get(&call->node, key, ""), buffer, length);
    return sim_end(call, result);
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    return node_text("nvmlSystemGetDriverVersion", "driver_version", version, length);
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    return node_text("nvmlSystemGetNVMLVersion", "nvml_version", version, length);
}

static nvmlReturn_t cuda_version(const char *function, int *version)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin(&call, function);
    if (result == NVML_SUCCESS && version == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *version = (int)sim_get_number(&call->node, "cuda_version", 0);
    return sim_end(call, result);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *cudaDriverVersion)
{
    return cuda_version("nvmlSystemGetCudaDriverVersion", cudaDriverVersion);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *cudaDriverVersion)
{
    return cuda_version("nvmlSystemGetCudaDriverVersion_v2", cudaDriverVersion);
}

static nvmlReturn_t count_gpus(const char *function, unsigned int *count)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin(&call, function);
    if (result == NVML_SUCCESS && count == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *count = (unsigned int)sim_get_number(&call->node, "gpu_count", 0);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *deviceCount)
{
    return count_gpus("nvmlDeviceGetCount", deviceCount);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *deviceCount)
{
    return count_gpus("nvmlDeviceGetCount_v2", deviceCount);
}
