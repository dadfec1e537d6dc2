// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Modes: persistence, compute, ECC, accounting.
#include "sim.h"

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

// Begins a device command that sets a mode of 0..last; support is the caller's test.
static nvmlReturn_t begin_set(struct sim_call **call, const char *function, nvmlDevice_t device, unsigned int value,
                              unsigned int last)
{
    nvmlReturn_t result = sim_begin_device(call, function, device);
    SIM_NOTE(*call, "%u", value);
    if (result == NVML_SUCCESS)
        result = sim_privileged(*call);
    if (result == NVML_SUCCESS && value > last)
        result = NVML_ERROR_INVALID_ARGUMENT;
    return result;
}

static nvmlReturn_t keep(struct sim_call *call, enum sim_scope scope, const char *key, unsigned int value)
{
    return sim_set_number(&call->gpus[scope], key, value) ? NVML_SUCCESS : NVML_ERROR_UNKNOWN;
}

// A driver may report 0 although something holds the GPU.
SIM_GETTER(nvmlDeviceGetPersistenceMode, nvmlEnableState_t,
           OUTSIDE(call, "persistence_hidden", 0) ? 0 : sim_get_number(&call->gpus[SIM_BOOT], "persistence_mode", 0))

nvmlReturn_t nvmlDeviceSetPersistenceMode(nvmlDevice_t device, nvmlEnableState_t mode)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_set(&call, "nvmlDeviceSetPersistenceMode", device, mode, NVML_FEATURE_ENABLED);
    if (result == NVML_SUCCESS)
        result = keep(call, SIM_BOOT, "persistence_mode", mode);
    return sim_end(call, result);
}

// With MIG on, the mode that can be set is that of a MIG device, not that of the whole GPU.
static const char *compute_mode_key(const struct sim_call *call, enum sim_scope *scope)
{
    static char key[SIM_KEY_SIZE];
    *scope = call->compute_instance >= 0 ? SIM_MIG : SIM_BOOT;
    if (*scope == SIM_BOOT)
        return "compute_mode";
    sim_format(key, sizeof(key), "mode%d.%d", call->gpu_instance, call->compute_instance);
    return key;
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t device, nvmlComputeMode_t *mode)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_any(&call, "nvmlDeviceGetComputeMode", device);
    if (result == NVML_SUCCESS && mode == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        enum sim_scope scope;
        const char *key = compute_mode_key(call, &scope);
        *mode = (nvmlComputeMode_t)sim_get_number(&call->gpus[scope], key, 0);
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceSetComputeMode(nvmlDevice_t device, nvmlComputeMode_t mode)
{
    struct sim_call *call;
    enum sim_scope scope;
    nvmlReturn_t result = sim_begin_any(&call, "nvmlDeviceSetComputeMode", device);
    SIM_NOTE(call, "%u", (unsigned int)mode);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && (unsigned int)mode > NVML_COMPUTEMODE_COUNT - 1)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && call->compute_instance < 0 && sim_mig_enabled(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (mode == NVML_COMPUTEMODE_EXCLUSIVE_THREAD ||
                                   !sim_in_list(sim_get(&call->gpus[SIM_BOARD], "compute_modes", "0-3"), mode)))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS) {
        const char *key = compute_mode_key(call, &scope);
        result = keep(call, scope, key, mode);
    }
    return sim_end(call, result);
}

SIM_GETTER(nvmlDeviceGetAccountingMode, nvmlEnableState_t,
           sim_get_number(&call->gpus[SIM_VOLATILE], "accounting_mode", 0))

nvmlReturn_t nvmlDeviceSetAccountingMode(nvmlDevice_t device, nvmlEnableState_t mode)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_set(&call, "nvmlDeviceSetAccountingMode", device, mode, NVML_FEATURE_ENABLED);
    if (result == NVML_SUCCESS && sim_mig_enabled(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = keep(call, SIM_VOLATILE, "accounting_mode", mode);
    return sim_end(call, result);
}

static int has_ecc(const struct sim_call *call)
{
    return sim_get(&call->gpus[SIM_BOARD], "ecc_default", NULL) != NULL;
}

static unsigned int ecc(const struct sim_call *call, const char *key)
{
    return (unsigned int)sim_get_number(&call->gpus[SIM_PERSISTENT], key, sim_board(call, "ecc_default"));
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t *current, nvmlEnableState_t *pending)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetEccMode", device);
    if (result == NVML_SUCCESS && !has_ecc(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (current == NULL || pending == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        *current = ecc(call, "ecc_current");
        *pending = ecc(call, "ecc_pending");
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetDefaultEccMode(nvmlDevice_t device, nvmlEnableState_t *defaultMode)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetDefaultEccMode", device);
    if (result == NVML_SUCCESS && !has_ecc(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && defaultMode == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *defaultMode = sim_board(call, "ecc_default");
    return sim_end(call, result);
}

// Only the pending mode changes; a reboot or a reset of the GPU makes it the current one.
nvmlReturn_t nvmlDeviceSetEccMode(nvmlDevice_t device, nvmlEnableState_t mode)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_set(&call, "nvmlDeviceSetEccMode", device, mode, NVML_FEATURE_ENABLED);
    if (result == NVML_SUCCESS && !has_ecc(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = keep(call, SIM_PERSISTENT, "ecc_pending", mode);
    return sim_end(call, result);
}
