// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Health of the memory: ECC counters, retired pages (before Ampere), remapped rows (from Ampere on).
#include "sim.h"

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)
#define FIRST_RETIRED_PAGE 0x22a000ULL

static int has_ecc(const struct sim_call *call)
{
    return sim_get(&call->gpus[SIM_BOARD], "ecc_default", NULL) != NULL;
}

static int ecc_on(const struct sim_call *call)
{
    return has_ecc(call) && sim_get_number(&call->gpus[SIM_PERSISTENT], "ecc_current", sim_board(call, "ecc_default"));
}

static const char *const counters[2][2] = {{"ecc_corrected", "ecc_uncorrected"},
                                           {"sram_corrected", "sram_uncorrected"}};
static const char *const totals[2][2] = {{"ecc_aggregate_corrected", "ecc_aggregate_uncorrected"},
                                         {"sram_aggregate_corrected", "sram_aggregate_uncorrected"}};

// `sram` 0: device memory. The aggregate counts all errors ever, at least those since the load.
unsigned long long sim_ecc_errors(const struct sim_call *call, int sram, int uncorrected, int aggregate)
{
    unsigned long long count = OUTSIDE(call, counters[sram][uncorrected], 0);
    return aggregate ? count + OUTSIDE(call, totals[sram][uncorrected], 0) : count;
}

static int known_counter(nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter)
{
    return (unsigned int)type < NVML_MEMORY_ERROR_TYPE_COUNT && (unsigned int)counter < NVML_ECC_COUNTER_TYPE_COUNT;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                         nvmlEccCounterType_t counterType, unsigned long long *eccCounts)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetTotalEccErrors", device);
    SIM_NOTE(call, "%u %u", (unsigned int)errorType, (unsigned int)counterType);
    if (result == NVML_SUCCESS && !ecc_on(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (eccCounts == NULL || !known_counter(errorType, counterType)))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *eccCounts = sim_ecc_errors(call, 0, (int)errorType, (int)counterType) +
                     sim_ecc_errors(call, 1, (int)errorType, (int)counterType);
    return sim_end(call, result);
}

// Before Turing the places have names of their own; there the errors of all caches are the L2 cache's.
static int sram_of(const struct sim_call *call, nvmlMemoryLocation_t location)
{
    int old = sim_board(call, "architecture") < NVML_DEVICE_ARCH_TURING;
    if (location == NVML_MEMORY_LOCATION_DEVICE_MEMORY)
        return 0;
    return location == (old ? NVML_MEMORY_LOCATION_L2_CACHE : NVML_MEMORY_LOCATION_SRAM) ? 1 : -1;
}

nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                             nvmlEccCounterType_t counterType, nvmlMemoryLocation_t locationType,
                                             unsigned long long *count)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetMemoryErrorCounter", device);
    SIM_NOTE(call, "%u %u %u", (unsigned int)errorType, (unsigned int)counterType, (unsigned int)locationType);
    if (result == NVML_SUCCESS && !ecc_on(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (count == NULL || !known_counter(errorType, counterType) ||
                                   (unsigned int)locationType >= NVML_MEMORY_LOCATION_COUNT))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && sram_of(call, locationType) < 0)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        *count = sim_ecc_errors(call, sram_of(call, locationType), (int)errorType, (int)counterType);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetSramEccErrorStatus(nvmlDevice_t device, nvmlEccSramErrorStatus_t *status)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetSramEccErrorStatus", device);
    if (result == NVML_SUCCESS && status == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS && (sim_board(call, "architecture") < NVML_DEVICE_ARCH_AMPERE || !ecc_on(call)))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && status->version != nvmlEccSramErrorStatus_v1)
        result = NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS) {
        *status = (nvmlEccSramErrorStatus_t){.version = status->version};
        status->volatileCor = sim_ecc_errors(call, 1, 0, 0);
        status->aggregateCor = sim_ecc_errors(call, 1, 0, 1);
        status->volatileUncParity = sim_ecc_errors(call, 1, 1, 0);
        status->aggregateUncParity = sim_ecc_errors(call, 1, 1, 1);
        status->aggregateUncBucketSm = status->aggregateUncParity;
        status->bThresholdExceeded = OUTSIDE(call, "sram_threshold_exceeded", 0) != 0;
    }
    return sim_end(call, result);
}

// What was counted since the load goes into the aggregate, or the aggregate goes too.
static void clear_counters(struct sim_call *call, int aggregate)
{
    struct sim_table *outside = &call->gpus[SIM_OUTSIDE];
    for (int place = 0; place < 4; place++) {
        int sram = place / 2, uncorrected = place % 2;
        unsigned long long all = sim_ecc_errors(call, sram, uncorrected, 1);
        sim_unset(outside, counters[sram][uncorrected]);
        if (aggregate)
            sim_unset(outside, totals[sram][uncorrected]);
        else if (all > 0)
            sim_set_number(outside, totals[sram][uncorrected], all);
    }
}

nvmlReturn_t nvmlDeviceClearEccErrorCounts(nvmlDevice_t device, nvmlEccCounterType_t counterType)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceClearEccErrorCounts", device);
    SIM_NOTE(call, "%u", (unsigned int)counterType);
    if (result == NVML_SUCCESS && !ecc_on(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && (unsigned int)counterType >= NVML_ECC_COUNTER_TYPE_COUNT)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        clear_counters(call, counterType == NVML_AGGREGATE_ECC);
    return sim_end(call, result);
}

int sim_retires_pages(const struct sim_call *call)
{
    return has_ecc(call) && sim_board(call, "architecture") < NVML_DEVICE_ARCH_AMPERE;
}

// Addresses are made up; a page's time is that of the call, for nobody kept it.
static nvmlReturn_t retired(const char *function, nvmlDevice_t device, nvmlPageRetirementCause_t cause,
                            unsigned int *count, unsigned long long *addresses, unsigned long long *times)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    SIM_NOTE(call, "%u", (unsigned int)cause);
    if (result == NVML_SUCCESS && !sim_retires_pages(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (count == NULL || (unsigned int)cause >= NVML_PAGE_RETIREMENT_CAUSE_COUNT))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        int single = cause == NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS;
        unsigned int room = *count, size = (unsigned int)OUTSIDE(call, single ? "retired_sbe" : "retired_dbe", 0);
        *count = size;
        if (room < size)
            result = room == 0 && addresses == NULL ? NVML_SUCCESS : NVML_ERROR_INSUFFICIENT_SIZE;
        else if (size > 0 && addresses == NULL)
            result = NVML_ERROR_INVALID_ARGUMENT;
        for (unsigned int i = 0; addresses != NULL && room >= size && i < size; i++) {
            addresses[i] = FIRST_RETIRED_PAGE + 0x1000ULL * (2 * i + (unsigned int)single);
            if (times != NULL)
                times[i] = sim_now(call);
        }
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, nvmlPageRetirementCause_t cause, unsigned int *pageCount,
                                       unsigned long long *addresses)
{
    return retired("nvmlDeviceGetRetiredPages", device, cause, pageCount, addresses, NULL);
}

nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, nvmlPageRetirementCause_t cause,
                                          unsigned int *pageCount, unsigned long long *addresses,
                                          unsigned long long *timestamps)
{
    return retired("nvmlDeviceGetRetiredPages_v2", device, cause, pageCount, addresses, timestamps);
}

nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(nvmlDevice_t device, nvmlEnableState_t *isPending)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetRetiredPagesPendingStatus", device);
    if (result == NVML_SUCCESS && !sim_retires_pages(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && isPending == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *isPending = OUTSIDE(call, "retired_pending", 0) ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
    return sim_end(call, result);
}

int sim_remaps_rows(const struct sim_call *call)
{
    return has_ecc(call) && sim_board(call, "architecture") >= NVML_DEVICE_ARCH_AMPERE;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int *corrRows, unsigned int *uncRows,
                                       unsigned int *isPending, unsigned int *failureOccurred)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetRemappedRows", device);
    if (result == NVML_SUCCESS && (!sim_remaps_rows(call) || sim_mig_enabled(call)))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS &&
        (corrRows == NULL || uncRows == NULL || isPending == NULL || failureOccurred == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        *corrRows = (unsigned int)OUTSIDE(call, "remapped_corrected", 0);
        *uncRows = (unsigned int)OUTSIDE(call, "remapped_uncorrected", 0);
        *isPending = OUTSIDE(call, "remapping_pending", 0) != 0;
        *failureOccurred = OUTSIDE(call, "remapping_failed", 0) != 0;
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetRowRemapperHistogram(nvmlDevice_t device, nvmlRowRemapperHistogramValues_t *values)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetRowRemapperHistogram", device);
    if (result == NVML_SUCCESS && !sim_remaps_rows(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && values == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        unsigned int banks = sim_board(call, "remap_banks"), used;
        values->high = (unsigned int)OUTSIDE(call, "remap_banks_high", 0);
        values->partial = (unsigned int)OUTSIDE(call, "remap_banks_partial", 0);
        values->low = (unsigned int)OUTSIDE(call, "remap_banks_low", 0);
        values->none = (unsigned int)OUTSIDE(call, "remap_banks_none", 0);
        used = values->high + values->partial + values->low + values->none;
        values->max = used < banks ? banks - used : 0;
    }
    return sim_end(call, result);
}
