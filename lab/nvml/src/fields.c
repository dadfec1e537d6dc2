// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Field values: each answers for itself, NOT_SUPPORTED where the board or this simulator has none.
#include "sim.h"

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)
#define IN(id, first, last) ((id) >= (first) && (id) <= (last))

typedef nvmlReturn_t family(const struct sim_call *call, nvmlFieldValue_t *field);

static nvmlReturn_t small(nvmlFieldValue_t *field, unsigned long long value)
{
    field->valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
    field->value.uiVal = (unsigned int)value;
    return NVML_SUCCESS;
}

static nvmlReturn_t large(nvmlFieldValue_t *field, unsigned long long value)
{
    field->valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
    field->value.ullVal = value;
    return NVML_SUCCESS;
}

static nvmlReturn_t celsius(nvmlFieldValue_t *field, int value)
{
    field->valueType = NVML_VALUE_TYPE_SIGNED_INT;
    field->value.siVal = value;
    return NVML_SUCCESS;
}

static nvmlReturn_t ecc(const struct sim_call *call, nvmlFieldValue_t *field)
{
    unsigned int id = field->fieldId, by_default = sim_board(call, "ecc_default");
    const struct sim_table *persistent = &call->gpus[SIM_PERSISTENT];
    if (sim_get(&call->gpus[SIM_BOARD], "ecc_default", NULL) == NULL)
        return NVML_ERROR_NOT_SUPPORTED;
    if (id == NVML_FI_DEV_ECC_PENDING)
        return small(field, sim_get_number(persistent, "ecc_pending", by_default));
    if (id == NVML_FI_DEV_ECC_CURRENT)
        return small(field, sim_get_number(persistent, "ecc_current", by_default));
    if (sim_get_number(persistent, "ecc_current", by_default) == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    if (IN(id, NVML_FI_DEV_ECC_SBE_VOL_TOTAL, NVML_FI_DEV_ECC_DBE_AGG_TOTAL)) {
        int which = (int)(id - NVML_FI_DEV_ECC_SBE_VOL_TOTAL);
        return large(field, sim_ecc_errors(call, 0, which % 2, which / 2) +
                                sim_ecc_errors(call, 1, which % 2, which / 2));
    }
    if (IN(id, NVML_FI_DEV_ECC_SBE_VOL_DEV, NVML_FI_DEV_ECC_DBE_VOL_DEV))
        return large(field, sim_ecc_errors(call, 0, id == NVML_FI_DEV_ECC_DBE_VOL_DEV, 0));
    if (IN(id, NVML_FI_DEV_ECC_SBE_AGG_DEV, NVML_FI_DEV_ECC_DBE_AGG_DEV))
        return large(field, sim_ecc_errors(call, 0, id == NVML_FI_DEV_ECC_DBE_AGG_DEV, 1));
    return NVML_ERROR_NOT_SUPPORTED;
}

static nvmlReturn_t memory_repairs(const struct sim_call *call, nvmlFieldValue_t *field)
{
    switch (field->fieldId) {
    case NVML_FI_DEV_RETIRED_SBE:
        return sim_retires_pages(call) ? small(field, OUTSIDE(call, "retired_sbe", 0)) : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_RETIRED_DBE:
        return sim_retires_pages(call) ? small(field, OUTSIDE(call, "retired_dbe", 0)) : NVML_ERROR_NOT_SUPPORTED;
    case NVML_FI_DEV_RETIRED_PENDING:
        return sim_retires_pages(call) ? small(field, OUTSIDE(call, "retired_pending", 0) != 0)
                                       : NVML_ERROR_NOT_SUPPORTED;
    }
    if (!sim_remaps_rows(call))
        return NVML_ERROR_NOT_SUPPORTED;
    switch (field->fieldId) {
    case NVML_FI_DEV_REMAPPED_COR:
        return small(field, OUTSIDE(call, "remapped_corrected", 0));
    case NVML_FI_DEV_REMAPPED_UNC:
        return small(field, OUTSIDE(call, "remapped_uncorrected", 0));
    case NVML_FI_DEV_REMAPPED_PENDING:
        return small(field, OUTSIDE(call, "remapping_pending", 0) != 0);
    }
    return small(field, OUTSIDE(call, "remapping_failed", 0) != 0);
}

// The sum of an error counter over all links.
static nvmlReturn_t link_total(const struct sim_call *call, nvmlFieldValue_t *field, nvmlNvLinkErrorCounter_t counter)
{
    unsigned long long sum = 0, one = 0;
    for (unsigned int link = 0; link < sim_board(call, "nvlinks"); link++) {
        sim_nvlink_errors(call, link, counter, &one);
        sum += one;
    }
    return large(field, sum);
}

// Fields about one link, which scopeId names.
static nvmlReturn_t one_link(const struct sim_call *call, nvmlFieldValue_t *field)
{
    unsigned int link = field->scopeId;
    unsigned long long count = 0, more = 0;
    if (link >= sim_board(call, "nvlinks"))
        return NVML_ERROR_INVALID_ARGUMENT;
    switch (field->fieldId) {
    case NVML_FI_DEV_NVLINK_GET_SPEED:
        return small(field, sim_nvlink_active(call, link) ? sim_board(call, "nvlink_mbps") : 0);
    case NVML_FI_DEV_NVLINK_GET_STATE:
        return small(field, sim_nvlink_active(call, link) ? NVML_NVLINK_STATE_ACTIVE : NVML_NVLINK_STATE_INACTIVE);
    case NVML_FI_DEV_NVLINK_GET_VERSION:
        return small(field, sim_board(call, "nvlink_version"));
    case NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY:
        sim_nvlink_errors(call, link, NVML_NVLINK_ERROR_DL_REPLAY, &count);
        return large(field, count);
    case NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY:
        sim_nvlink_errors(call, link, NVML_NVLINK_ERROR_DL_RECOVERY, &count);
        return large(field, count);
    }
    sim_nvlink_errors(call, link, NVML_NVLINK_ERROR_DL_CRC_FLIT, &count);
    sim_nvlink_errors(call, link, NVML_NVLINK_ERROR_DL_CRC_DATA, &more);
    return large(field, count + more);
}

static nvmlReturn_t nvlink(const struct sim_call *call, nvmlFieldValue_t *field)
{
    unsigned int links = sim_board(call, "nvlinks"), switched = 0, active = 0;
    if (field->fieldId == NVML_FI_DEV_NVLINK_LINK_COUNT)
        return small(field, links);
    if (links == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    for (unsigned int link = 0; link < links; link++) {
        active += (unsigned int)sim_nvlink_active(call, link);
        switched += (unsigned int)(sim_nvlink_active(call, link) && sim_board(call, "nvlink_switched"));
    }
    switch (field->fieldId) {
    case NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL:
        return link_total(call, field, NVML_NVLINK_ERROR_DL_CRC_FLIT);
    case NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL:
        return link_total(call, field, NVML_NVLINK_ERROR_DL_CRC_DATA);
    case NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL:
        return link_total(call, field, NVML_NVLINK_ERROR_DL_REPLAY);
    case NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL:
        return link_total(call, field, NVML_NVLINK_ERROR_DL_RECOVERY);
    case NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL:
        return link_total(call, field, NVML_NVLINK_ERROR_DL_ECC_DATA);
    case NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON:
        return small(field, active > 0 ? sim_board(call, "nvlink_mbps") : 0);
    case NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT:
        return small(field, switched);
    }
    return one_link(call, field);
}

static nvmlReturn_t power(const struct sim_call *call, nvmlFieldValue_t *field)
{
    unsigned long long energy = 0;
    nvmlReturn_t result;
    switch (field->fieldId) {
    case NVML_FI_DEV_POWER_AVERAGE:
    case NVML_FI_DEV_POWER_INSTANT:
        return small(field, sim_power_usage(call));
    case NVML_FI_DEV_POWER_MIN_LIMIT:
        return small(field, sim_board(call, "power_min_mw"));
    case NVML_FI_DEV_POWER_MAX_LIMIT:
        return small(field, sim_board(call, "power_max_mw"));
    case NVML_FI_DEV_POWER_DEFAULT_LIMIT:
        return small(field, sim_board(call, "power_default_mw"));
    case NVML_FI_DEV_POWER_CURRENT_LIMIT:
        return small(field, sim_enforced_limit(call));
    case NVML_FI_DEV_POWER_REQUESTED_LIMIT:
        return small(field, sim_power_limit(call));
    }
    result = sim_energy(call, &energy);
    return result == NVML_SUCCESS ? large(field, energy) : result;
}

static nvmlReturn_t violations(const struct sim_call *call, nvmlFieldValue_t *field)
{
    if (field->fieldId == NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN)
        return large(field, (unsigned long long)sim_meter(call, "thermal_us") * 1000);
    if (field->fieldId == NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN)
        return large(field, (unsigned long long)sim_meter(call, "hardware_thermal_us") * 1000);
    if (field->fieldId == NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN)
        return large(field, (unsigned long long)sim_meter(call, "brake_us") * 1000);
    if (field->fieldId > NVML_FI_DEV_PERF_POLICY_RELIABILITY)
        return NVML_ERROR_NOT_SUPPORTED;
    return large(field, sim_violation(call, (nvmlPerfPolicyType_t)(field->fieldId - NVML_FI_DEV_PERF_POLICY_POWER)));
}

// T.Limit counts the degrees left below the GPU's maximum, from Ada on.
static nvmlReturn_t temperature(const struct sim_call *call, nvmlFieldValue_t *field)
{
    int most = (int)sim_board(call, "gpu_max_celsius"), memory = (int)sim_board(call, "memory_max_celsius");
    if (field->fieldId == NVML_FI_DEV_MEMORY_TEMP)
        return memory > 0 ? small(field, sim_temperature(call) + sim_board(call, "memory_warmer_celsius"))
                          : NVML_ERROR_NOT_SUPPORTED;
    if (sim_board(call, "architecture") < NVML_DEVICE_ARCH_ADA)
        return NVML_ERROR_NOT_SUPPORTED;
    switch (field->fieldId) {
    case NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT:
        return celsius(field, most - (int)sim_board(call, "shutdown_celsius"));
    case NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT:
        return celsius(field, most - (int)sim_board(call, "slowdown_celsius"));
    case NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT:
        return memory > 0 ? celsius(field, 0) : NVML_ERROR_NOT_SUPPORTED;
    }
    return celsius(field, 0);
}

static nvmlReturn_t pcie(const struct sim_call *call, nvmlFieldValue_t *field)
{
    return small(field, field->fieldId == NVML_FI_DEV_PCIE_REPLAY_COUNTER ? OUTSIDE(call, "pcie_replays", 0) : 0);
}

// Told from outside, else a reset where a repair of the memory waits for one.
static nvmlReturn_t recovery(const struct sim_call *call, nvmlFieldValue_t *field)
{
    int waits = OUTSIDE(call, "remapping_pending", 0) != 0 || OUTSIDE(call, "retired_pending", 0) != 0;
    return small(field, OUTSIDE(call, "recovery_action",
                                waits ? NVML_GPU_RECOVERY_ACTION_GPU_RESET : NVML_GPU_RECOVERY_ACTION_NONE));
}

static nvmlReturn_t mig(const struct sim_call *call, nvmlFieldValue_t *field)
{
    return small(field, field->fieldId == NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED ? sim_mig_resetless(call)
                                                                                 : sim_mig_query_capable(call));
}

static const struct {
    unsigned int first, last;
    int branch;  // drivers before it do not know the field
    family *read;
} families[] = {
    {NVML_FI_DEV_ECC_CURRENT, NVML_FI_DEV_ECC_DBE_AGG_CBU, 0, ecc},
    {NVML_FI_DEV_RETIRED_SBE, NVML_FI_DEV_RETIRED_PENDING, 0, memory_repairs},
    {NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, 0, nvlink},
    {NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, 0, nvlink},
    {NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL, NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL, 0, nvlink},
    {NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL, NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL, 0, nvlink},
    {NVML_FI_DEV_PERF_POLICY_POWER, NVML_FI_DEV_PERF_POLICY_TOTAL_BASE_CLOCKS, 0, violations},
    {NVML_FI_DEV_MEMORY_TEMP, NVML_FI_DEV_MEMORY_TEMP, 0, temperature},
    {NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 0, power},
    {NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON, NVML_FI_DEV_NVLINK_LINK_COUNT, 0, nvlink},
    {NVML_FI_DEV_PCIE_REPLAY_COUNTER, NVML_FI_DEV_PCIE_REPLAY_ROLLOVER_COUNTER, 0, pcie},
    {NVML_FI_DEV_REMAPPED_COR, NVML_FI_DEV_REMAPPED_FAILURE, 0, memory_repairs},
    {NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT, NVML_FI_DEV_NVSWITCH_CONNECTED_LINK_COUNT, 0, nvlink},
    {NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL, NVML_FI_DEV_NVLINK_GET_VERSION, 0, nvlink},
    {NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED, NVML_FI_DEV_IS_RESETLESS_MIG_SUPPORTED, 535, mig},
    {NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_POWER_REQUESTED_LIMIT, 0, power},
    {NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE, NVML_FI_DEV_IS_MIG_MODE_INDEPENDENT_MIG_QUERY_CAPABLE,
     550, mig},
    {NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT, NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT, 0, temperature},
    {NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, 570, recovery},
    {NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN, NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
     570, violations},
};

static nvmlReturn_t read_field(const struct sim_call *call, nvmlFieldValue_t *field)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (IN(field->fieldId, families[i].first, families[i].last) && sim_driver_branch(call) >= families[i].branch)
            return families[i].read(call, field);
    return NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int valuesCount, nvmlFieldValue_t *values)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetFieldValues", device);
    SIM_NOTE(call, "%d", valuesCount);
    if (result == NVML_SUCCESS && (values == NULL || valuesCount < 1))
        result = NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; result == NVML_SUCCESS && i < valuesCount; i++) {
        values[i].timestamp = (long long)sim_now(call);
        values[i].latencyUsec = 0;
        values[i].nvmlReturn = read_field(call, &values[i]);
    }
    return sim_end(call, result);
}
