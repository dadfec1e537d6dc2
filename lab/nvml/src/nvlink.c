// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// NVLink: what is at the other end of each link, whether it is up, its error counters.
//
// The board's `nvlink_remotes` has one word a link: "3" is GPU 3, "s0" NVSwitch 0 of this node, "s" a
// switch that is no PCI device of this node, "-" nothing.
#include <string.h>

#include "sim.h"

#define OUTSIDE(call, key, fallback) sim_get_number(&(call)->gpus[SIM_OUTSIDE], key, fallback)

enum remote_kind { NOTHING, GPU, SWITCH, FAR_SWITCH };

struct remote {
    enum remote_kind kind;
    unsigned long long index;
};

static struct remote remote_of(const struct sim_table *board, unsigned int link)
{
    struct remote remote = {NOTHING, 0};
    char word[16];
    sim_word(sim_get(board, "nvlink_remotes", ""), link, word, sizeof(word));
    if (sim_number(word, &remote.index))
        remote.kind = GPU;
    else if (word[0] == 's')
        remote.kind = sim_number(word + 1, &remote.index) ? SWITCH : FAR_SWITCH;
    return remote;
}

static unsigned int links(const struct sim_table *board)
{
    return (unsigned int)sim_get_number(board, "nvlinks", 0);
}

int sim_nvlink_active(const struct sim_call *call, unsigned int link)
{
    if (link >= links(&call->gpus[SIM_BOARD]) || remote_of(&call->gpus[SIM_BOARD], link).kind == NOTHING)
        return 0;
    return !sim_in_list(sim_get(&call->gpus[SIM_OUTSIDE], "nvlink_down", ""), link);
}

// Over how many active links this GPU reaches another: directly, or as both hang on switches.
int sim_nvlink_between(const struct sim_call *call, const struct sim_table *other_board, int other)
{
    int count = 0, other_switched = 0;
    for (unsigned int link = 0; link < links(other_board); link++)
        other_switched = other_switched || remote_of(other_board, link).kind >= SWITCH;
    for (unsigned int link = 0; link < links(&call->gpus[SIM_BOARD]); link++) {
        struct remote remote = remote_of(&call->gpus[SIM_BOARD], link);
        if (sim_nvlink_active(call, link))
            count += remote.kind == GPU ? (int)remote.index == other : other_switched;
    }
    return count;
}

// Begins a call about one link.
static nvmlReturn_t begin_link(struct sim_call **call, const char *function, nvmlDevice_t device, unsigned int link,
                               const void *out)
{
    nvmlReturn_t result = sim_begin_device(call, function, device);
    SIM_NOTE(*call, "%u", link);
    if (result == NVML_SUCCESS && links(&(*call)->gpus[SIM_BOARD]) == 0)
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && (out == NULL || link >= links(&(*call)->gpus[SIM_BOARD])))
        result = NVML_ERROR_INVALID_ARGUMENT;
    return result;
}

nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int link, nvmlEnableState_t *isActive)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_link(&call, "nvmlDeviceGetNvLinkState", device, link, isActive);
    if (result == NVML_SUCCESS)
        *isActive = sim_nvlink_active(call, link) ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned int link, unsigned int *version)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_link(&call, "nvmlDeviceGetNvLinkVersion", device, link, version);
    if (result == NVML_SUCCESS)
        *version = sim_board(call, "nvlink_version");
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetNvLinkCapability(nvmlDevice_t device, unsigned int link, nvmlNvLinkCapability_t capability,
                                           unsigned int *capResult)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_link(&call, "nvmlDeviceGetNvLinkCapability", device, link, capResult);
    if (result == NVML_SUCCESS && (unsigned int)capability >= NVML_NVLINK_CAP_COUNT)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *capResult = capability != NVML_NVLINK_CAP_SLI_BRIDGE;
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t device, unsigned int link,
                                                 nvmlIntNvLinkDeviceType_t *pNvLinkDeviceType)
{
    static const nvmlIntNvLinkDeviceType_t types[] = {
        NVML_NVLINK_DEVICE_TYPE_UNKNOWN,
        NVML_NVLINK_DEVICE_TYPE_GPU,
        NVML_NVLINK_DEVICE_TYPE_SWITCH,
        NVML_NVLINK_DEVICE_TYPE_SWITCH,
    };
    struct sim_call *call;
    nvmlReturn_t result = begin_link(&call, "nvmlDeviceGetNvLinkRemoteDeviceType", device, link, pNvLinkDeviceType);
    if (result == NVML_SUCCESS)
        *pNvLinkDeviceType = types[remote_of(&call->gpus[SIM_BOARD], link).kind];
    return sim_end(call, result);
}

static nvmlReturn_t gpu_place(unsigned long long index, nvmlPciInfo_t *pci)
{
    static struct sim_table board;
    char file[SIM_KEY_SIZE];
    sim_format(file, sizeof(file), "gpu%llu.board", index);
    if (sim_load(&board, file) <= 0)
        return NVML_ERROR_UNKNOWN;
    return sim_pci_place(&board, pci);
}

static void switch_place(const struct sim_call *call, unsigned long long index, nvmlPciInfo_t *pci)
{
    memset(pci, 0, sizeof(*pci));
    pci->bus = sim_board(call, "nvswitch_bus") + (unsigned int)index;
    pci->pciDeviceId = sim_board(call, "nvswitch_device") << 16 | sim_board(call, "pci_vendor");
    sim_format(pci->busIdLegacy, sizeof(pci->busIdLegacy), "0000:%02X:00.0", pci->bus & 0xff);
    sim_format(pci->busId, sizeof(pci->busId), "00000000:%02X:00.0", pci->bus & 0xff);
}

static nvmlReturn_t remote_place(const char *function, nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_link(&call, function, device, link, pci);
    if (result == NVML_SUCCESS) {
        struct remote remote = remote_of(&call->gpus[SIM_BOARD], link);
        if (remote.kind == GPU)
            result = gpu_place(remote.index, pci);
        else if (remote.kind == SWITCH)
            switch_place(call, remote.index, pci);
        else
            result = NVML_ERROR_NOT_SUPPORTED;
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo(nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci)
{
    return remote_place("nvmlDeviceGetNvLinkRemotePciInfo", device, link, pci);
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t device, unsigned int link, nvmlPciInfo_t *pci)
{
    return remote_place("nvmlDeviceGetNvLinkRemotePciInfo_v2", device, link, pci);
}

static const char *const error_keys[NVML_NVLINK_ERROR_COUNT] = {
    "nvlink_replay_errors",   "nvlink_recovery_errors", "nvlink_crc_flit_errors",
    "nvlink_crc_data_errors", "nvlink_ecc_data_errors",
};

// All errors of a GPU are on the one link that `nvlink_error_link` names.
nvmlReturn_t sim_nvlink_errors(const struct sim_call *call, unsigned int link, unsigned int counter,
                               unsigned long long *value)
{
    *value = 0;
    if (counter >= NVML_NVLINK_ERROR_COUNT)
        return NVML_ERROR_INVALID_ARGUMENT;
    *value = link == OUTSIDE(call, "nvlink_error_link", 0) ? OUTSIDE(call, error_keys[counter], 0) : 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t device, unsigned int link,
                                             nvmlNvLinkErrorCounter_t counter, unsigned long long *counterValue)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_link(&call, "nvmlDeviceGetNvLinkErrorCounter", device, link, counterValue);
    if (result == NVML_SUCCESS)
        result = sim_nvlink_errors(call, link, (unsigned int)counter, counterValue);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceResetNvLinkErrorCounters(nvmlDevice_t device, unsigned int link)
{
    struct sim_call *call;
    nvmlReturn_t result = begin_link(&call, "nvmlDeviceResetNvLinkErrorCounters", device, link, &link);
    if (result == NVML_SUCCESS)
        result = sim_privileged(call);
    if (result == NVML_SUCCESS && link == OUTSIDE(call, "nvlink_error_link", 0))
        for (int counter = 0; counter < NVML_NVLINK_ERROR_COUNT; counter++)
            sim_unset(&call->gpus[SIM_OUTSIDE], error_keys[counter]);
    return sim_end(call, result);
}
