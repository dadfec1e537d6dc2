// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Handles, and what a board is: names, ids, PCI, PCIe.
#include <string.h>

#include "sim.h"

// Ends a search: the handle of the GPU found (-1: none, then the error given is the answer), unless
// the GPU is lost or told to fail.
static nvmlReturn_t hand_out(struct sim_call *call, int gpu, nvmlReturn_t none, nvmlDevice_t *device)
{
    nvmlReturn_t injected, result;
    call->gpu = gpu;
    if (sim_fault(call->function, gpu, &injected))
        return injected;
    if (gpu < 0)
        return none;
    if (device == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    result = sim_select(call, gpu);
    if (result == NVML_SUCCESS)
        *device = sim_handle(gpu);
    return result;
}

static nvmlReturn_t by_index(const char *function, unsigned int index, nvmlDevice_t *device)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_search(&call, function);
    SIM_NOTE(call, "%u", index);
    if (result == NVML_SUCCESS) {
        int gpu = index < sim_get_number(&call->node, "gpu_count", 0) ? (int)index : -1;
        result = hand_out(call, gpu, NVML_ERROR_INVALID_ARGUMENT, device);
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *device)
{
    return by_index("nvmlDeviceGetHandleByIndex", index, device);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    return by_index("nvmlDeviceGetHandleByIndex_v2", index, device);
}

static int find_text(struct sim_call *call, const char *key, const char *text)
{
    int count = (int)sim_get_number(&call->node, "gpu_count", 0);
    for (int gpu = 0; gpu < count; gpu++) {
        sim_select(call, gpu);
        if (strcmp(sim_get(&call->gpus[SIM_BOARD], key, ""), text) == 0)
            return gpu;
    }
    return -1;
}

static nvmlReturn_t by_text(const char *function, const char *key, const char *text, nvmlDevice_t *device)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_search(&call, function);
    SIM_NOTE(call, "%s", text == NULL ? "" : text);
    if (result == NVML_SUCCESS) {
        int gpu = text == NULL ? -1 : find_text(call, key, text);
        result = hand_out(call, gpu, text == NULL ? NVML_ERROR_INVALID_ARGUMENT : NVML_ERROR_NOT_FOUND, device);
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    if (uuid != NULL && strncmp(uuid, "MIG-", 4) == 0)
        return sim_mig_by_uuid("nvmlDeviceGetHandleByUUID", uuid, device);
    return by_text("nvmlDeviceGetHandleByUUID", "uuid", uuid, device);
}

nvmlReturn_t nvmlDeviceGetHandleBySerial(const char *serial, nvmlDevice_t *device)
{
    return by_text("nvmlDeviceGetHandleBySerial", "serial", serial, device);
}

// Reads domain:bus:device.function, domain:bus:device or bus:device.function into three numbers.
static int read_bus_id(const char *text, unsigned long long *place)
{
    unsigned long long part[3], function;
    int parts = 0;
    while (parts < 3 && sim_hexadecimal(&text, &part[parts])) {
        parts++;
        if (*text != ':')
            break;
        text++;
    }
    if (parts < 2 || (*text != '.' && *text != '\0') || (parts == 2 && *text != '.'))
        return 0;
    if (*text == '.') {
        text++;
        if (!sim_hexadecimal(&text, &function) || *text != '\0')
            return 0;
    }
    place[0] = parts == 3 ? part[0] : 0;
    place[1] = part[parts - 2];
    place[2] = part[parts - 1];
    return 1;
}

static int find_place(struct sim_call *call, const unsigned long long *place)
{
    int count = (int)sim_get_number(&call->node, "gpu_count", 0);
    for (int gpu = 0; gpu < count; gpu++) {
        sim_select(call, gpu);
        if (sim_board(call, "pci_domain") == place[0] && sim_board(call, "pci_bus") == place[1] &&
            sim_board(call, "pci_slot") == place[2])
            return gpu;
    }
    return -1;
}

static nvmlReturn_t by_bus_id(const char *function, const char *text, nvmlDevice_t *device)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_search(&call, function);
    SIM_NOTE(call, "%s", text == NULL ? "" : text);
    if (result == NVML_SUCCESS) {
        unsigned long long place[3];
        int good = text != NULL && read_bus_id(text, place);
        result = hand_out(call, good ? find_place(call, place) : -1,
                          good ? NVML_ERROR_NOT_FOUND : NVML_ERROR_INVALID_ARGUMENT, device);
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *pciBusId, nvmlDevice_t *device)
{
    return by_bus_id("nvmlDeviceGetHandleByPciBusId", pciBusId, device);
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *pciBusId, nvmlDevice_t *device)
{
    return by_bus_id("nvmlDeviceGetHandleByPciBusId_v2", pciBusId, device);
}

static nvmlReturn_t board_text(const char *function, nvmlDevice_t device, const char *key, char *buffer,
                               unsigned int length)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_any(&call, function, device);
    if (result == NVML_SUCCESS) {
        const char *text = call->compute_instance >= 0 ? sim_mig_text(call, key)
                                                       : sim_get(&call->gpus[SIM_BOARD], key, NULL);
        result = text == NULL ? NVML_ERROR_NOT_SUPPORTED : sim_copy(text, buffer, length);
    }
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length)
{
    return board_text("nvmlDeviceGetName", device, "name", name, length);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned int length)
{
    return board_text("nvmlDeviceGetUUID", device, "uuid", uuid, length);
}

nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned int length)
{
    return board_text("nvmlDeviceGetSerial", device, "serial", serial, length);
}

nvmlReturn_t nvmlDeviceGetVbiosVersion(nvmlDevice_t device, char *version, unsigned int length)
{
    return board_text("nvmlDeviceGetVbiosVersion", device, "vbios", version, length);
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetCudaComputeCapability", device);
    if (result == NVML_SUCCESS && (major == NULL || minor == NULL))
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS) {
        *major = (int)sim_board(call, "compute_major");
        *minor = (int)sim_board(call, "compute_minor");
    }
    return sim_end(call, result);
}

SIM_MIG_GETTER(nvmlDeviceGetIndex, unsigned int,
               call->compute_instance >= 0 ? sim_mig_index(call) : (unsigned int)call->gpu)
SIM_GETTER(nvmlDeviceGetMinorNumber, unsigned int, sim_board(call, "minor"))
SIM_GETTER(nvmlDeviceGetModuleId, unsigned int, call->gpu)
SIM_GETTER(nvmlDeviceGetBrand, nvmlBrandType_t, sim_board(call, "brand"))
SIM_GETTER(nvmlDeviceGetArchitecture, nvmlDeviceArchitecture_t, sim_board(call, "architecture"))
SIM_GETTER(nvmlDeviceGetMemoryBusWidth, unsigned int, sim_board(call, "memory_bus_bits"))
SIM_GETTER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned int, sim_board(call, "pcie_generation"))
SIM_GETTER(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned int, sim_board(call, "pcie_generation"))
SIM_GETTER(nvmlDeviceGetMaxPcieLinkWidth, unsigned int, sim_board(call, "pcie_width"))
SIM_GETTER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned int,
           sim_get_number(&call->gpus[SIM_OUTSIDE], "pcie_generation", sim_board(call, "pcie_generation")))
SIM_GETTER(nvmlDeviceGetCurrPcieLinkWidth, unsigned int,
           sim_get_number(&call->gpus[SIM_OUTSIDE], "pcie_width", sim_board(call, "pcie_width")))
SIM_GETTER(nvmlDeviceGetVirtualizationMode, nvmlGpuVirtualizationMode_t,
           sim_get_number(&call->gpus[SIM_OUTSIDE], "virtualization", 0))

nvmlReturn_t sim_pci_place(const struct sim_table *board, nvmlPciInfo_t *pci)
{
    unsigned int vendor = (unsigned int)sim_get_number(board, "pci_vendor", 0);
    memset(pci, 0, sizeof(*pci));
    pci->domain = (unsigned int)sim_get_number(board, "pci_domain", 0);
    pci->bus = (unsigned int)sim_get_number(board, "pci_bus", 0);
    pci->device = (unsigned int)sim_get_number(board, "pci_slot", 0);
    pci->pciDeviceId = (unsigned int)sim_get_number(board, "pci_device", 0) << 16 | vendor;
    pci->pciSubSystemId = (unsigned int)sim_get_number(board, "pci_subsystem", 0) << 16 | vendor;
    sim_format(pci->busIdLegacy, sizeof(pci->busIdLegacy), "%04X:%02X:%02X.0", pci->domain & 0xffff, pci->bus & 0xff,
               pci->device & 0xff);
    sim_format(pci->busId, sizeof(pci->busId), "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
    return NVML_SUCCESS;
}

// With MIG on, the profiles of GPU instances say how many multiprocessors each has.
nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t device, unsigned int *numCores)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, "nvmlDeviceGetNumGpuCores", device);
    if (result == NVML_SUCCESS && sim_mig_enabled(call))
        result = NVML_ERROR_NOT_SUPPORTED;
    if (result == NVML_SUCCESS && numCores == NULL)
        result = NVML_ERROR_INVALID_ARGUMENT;
    if (result == NVML_SUCCESS)
        *numCores = sim_board(call, "cores");
    return sim_end(call, result);
}

static nvmlReturn_t pci_info(const char *function, nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    struct sim_call *call;
    nvmlReturn_t result = sim_begin_device(&call, function, device);
    if (result == NVML_SUCCESS)
        result = pci == NULL ? NVML_ERROR_INVALID_ARGUMENT : sim_pci_place(&call->gpus[SIM_BOARD], pci);
    return sim_end(call, result);
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    return pci_info("nvmlDeviceGetPciInfo", device, pci);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    return pci_info("nvmlDeviceGetPciInfo_v2", device, pci);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    return pci_info("nvmlDeviceGetPciInfo_v3", device, pci);
}
