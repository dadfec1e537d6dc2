// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Shared declarations of the NVML simulator: one state directory, one lock, one call at a time.
#ifndef SIM_H
#define SIM_H

#include <stddef.h>

// The library is built with -fvisibility=hidden: only what NVIDIA's header declares is exported.
#define NVML_NO_UNVERSIONED_FUNC_DEFS
#pragma GCC visibility push(default)
#include <nvml.h>
#pragma GCC visibility pop

#define SIM_MAX_GPUS 64
#define SIM_KEY_SIZE 64
#define SIM_VALUE_SIZE 256
#define SIM_MAX_ROWS 256
#define SIM_PATH_SIZE 512

struct sim_row {
    char key[SIM_KEY_SIZE];
    char value[SIM_VALUE_SIZE];
};

// One "key value" file in memory.
struct sim_table {
    char file[SIM_KEY_SIZE];
    int count;
    int changed;
    struct sim_row rows[SIM_MAX_ROWS];
};

// What is known of one GPU, one file each, parted by how long it lives.
enum sim_scope {
    SIM_BOARD,       // what the board is; never changes
    SIM_OUTSIDE,     // conditions no NVML call sets: lost, load, a cap of the BMC
    SIM_PERSISTENT,  // survives a reboot (ECC; MIG on Ampere)
    SIM_BOOT,        // until the reboot (persistence and compute mode)
    SIM_VOLATILE,    // until the GPU is torn down (power limit, clock locks, accounting)
    SIM_PROCESSES,   // pid -> MiB
    SIM_METER,       // energy, temperature and throttled time up to a moment
    SIM_MIG,         // until the driver goes or the GPU is reset (MIG mode from Hopper on, MIG instances)
    SIM_SCOPES
};

// One call into the library, from taking the lock to giving it back.
struct sim_call {
    const char *function;
    char arguments[128];
    int gpu;  // -1: not about one GPU
    int gpu_instance, compute_instance;  // of the MIG device the call is about; -1: about none
    int lock;
    struct sim_table node;
    struct sim_table gpus[SIM_SCOPES];
};

// text.c
int sim_number(const char *text, unsigned long long *value);
int sim_hexadecimal(const char **text, unsigned long long *value);
int sim_in_list(const char *list, unsigned long long wanted);
unsigned int sim_numbers(const char *text, unsigned int *values, unsigned int room);
void sim_word(const char *text, unsigned int number, char *word, size_t size);
nvmlReturn_t sim_copy(const char *text, char *buffer, unsigned int length);
void sim_format(char *buffer, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

// table.c
int sim_directory(const char *path);
void sim_path(char *buffer, const char *file);
int sim_load(struct sim_table *table, const char *file);
int sim_save(struct sim_table *table);
const char *sim_get(const struct sim_table *table, const char *key, const char *fallback);
unsigned long long sim_get_number(const struct sim_table *table, const char *key, unsigned long long fallback);
int sim_set(struct sim_table *table, const char *key, const char *value);
int sim_set_number(struct sim_table *table, const char *key, unsigned long long value);
void sim_unset(struct sim_table *table, const char *key);
void sim_clear(struct sim_table *table);
int sim_lock(void);
void sim_unlock(int lock);

// board.c: what the state says of the driver and of a GPU by itself
int sim_driver_branch(const struct sim_call *call);
unsigned int sim_board(const struct sim_call *call, const char *key);
int sim_is_virtual_guest(const struct sim_call *call);
unsigned int sim_utilization(const struct sim_call *call);
unsigned int sim_power_limit(const struct sim_call *call);
unsigned int sim_enforced_limit(const struct sim_call *call);
unsigned int sim_memory_clocks(const struct sim_call *call, unsigned int *values, unsigned int room);
unsigned int sim_clock_step(const struct sim_call *call, unsigned int wanted);

// model.c: power, clock and speed under load; meter.c: what adds up over time
struct sim_load {
    unsigned int graphics_mhz, memory_mhz;
    double milliwatts;
    double throughput;             // 1: the board's full speed
    unsigned long long throttled;  // clock event reasons that come from the load
};
void sim_model(const struct sim_call *call, double celsius, struct sim_load *load);
double sim_celsius_at(const struct sim_call *call, double milliwatts);
unsigned long long sim_now(const struct sim_call *call);
void sim_meter_advance(struct sim_call *call);
double sim_meter(const struct sim_call *call, const char *key);

// load.c: what the GPU does at this moment
unsigned int sim_power_usage(const struct sim_call *call);
unsigned int sim_temperature(const struct sim_call *call);
unsigned int sim_clock(const struct sim_call *call, nvmlClockType_t type);
unsigned long long sim_throttle_reasons(const struct sim_call *call);

// select.c: the state of one GPU, up to now
nvmlReturn_t sim_select(struct sim_call *call, int gpu);
int sim_meter_settle(int gpu);

// clients.c
int sim_client_add(int gpus);
int sim_client_remove(int gpus);
int sim_clients_besides(long pid);

// faults.c
int sim_fault(const char *function, int gpu, nvmlReturn_t *result);
int sim_missing(const char *function, const char *driver);
void sim_log(const struct sim_call *call, nvmlReturn_t result);

// mig_state.c: MIG as the state keeps it
struct sim_process {
    unsigned int pid;
    unsigned long long mib;
    unsigned int gpu_instance, compute_instance;  // 0xFFFFFFFF: none
};
int sim_mig_enabled(const struct sim_call *call);
unsigned int sim_mig_resetless(const struct sim_call *call);
unsigned int sim_mig_query_capable(const struct sim_call *call);
void sim_read_process(const struct sim_row *row, struct sim_process *process);

// mig_handles.c
int sim_mig_gpu(const struct sim_call *call, nvmlDevice_t device);
nvmlReturn_t sim_mig_attach(struct sim_call *call, nvmlDevice_t device);

// call.c: sim_begin_any takes the handles of MIG devices as well as those of GPUs
void sim_enter(void);
void sim_leave(void);
int sim_started(void);
void sim_start_count(int step);
nvmlReturn_t sim_begin_search(struct sim_call **call, const char *function);
nvmlReturn_t sim_begin(struct sim_call **call, const char *function);
nvmlReturn_t sim_begin_any(struct sim_call **call, const char *function, nvmlDevice_t device);
nvmlReturn_t sim_begin_device(struct sim_call **call, const char *function, nvmlDevice_t device);
nvmlReturn_t sim_open(struct sim_call **call, const char *function);
nvmlReturn_t sim_end(struct sim_call *call, nvmlReturn_t result);
nvmlReturn_t sim_stub(const char *function);
nvmlReturn_t sim_stub_device(const char *function, nvmlDevice_t device);
nvmlReturn_t sim_privileged(const struct sim_call *call);
int sim_index(const struct sim_call *call, nvmlDevice_t device);
nvmlDevice_t sim_handle(int index);

// nvlink.c
int sim_nvlink_between(const struct sim_call *call, const struct sim_table *other_board, int other);
nvmlReturn_t sim_nvlink_errors(const struct sim_call *call, unsigned int link, unsigned int counter,
                               unsigned long long *value);
int sim_nvlink_active(const struct sim_call *call, unsigned int link);

// health.c, counters.c, clocks.c
unsigned long long sim_ecc_errors(const struct sim_call *call, int sram, int uncorrected, int aggregate);
int sim_retires_pages(const struct sim_call *call);
int sim_remaps_rows(const struct sim_call *call);
nvmlReturn_t sim_energy(const struct sim_call *call, unsigned long long *millijoules);
unsigned long long sim_violation(const struct sim_call *call, nvmlPerfPolicyType_t policy);
nvmlReturn_t sim_has_application_clocks(const struct sim_call *call);

// device.c
nvmlReturn_t sim_pci_place(const struct sim_table *board, nvmlPciInfo_t *pci);

// mig_devices.c
nvmlReturn_t sim_mig_by_uuid(const char *function, const char *uuid, nvmlDevice_t *device);
const char *sim_mig_text(const struct sim_call *call, const char *key);
unsigned int sim_mig_index(const struct sim_call *call);
unsigned long long sim_mig_mib(const struct sim_call *call);
nvmlReturn_t sim_mig_may_sum(const struct sim_call *call);

#define SIM_NOTE(call, ...) sim_format((call)->arguments, sizeof((call)->arguments), __VA_ARGS__)

// A call of the shape "one value of one device": TYPE *out = EXPRESSION, with `call` in scope.
#define SIM_GETTER_BY(BEGIN, FUNCTION, TYPE, EXPRESSION)                           \
    nvmlReturn_t FUNCTION(nvmlDevice_t device, TYPE *out)                          \
    {                                                                              \
        struct sim_call *call;                                                     \
        nvmlReturn_t result = BEGIN(&call, #FUNCTION, device);                     \
        if (result == NVML_SUCCESS && out == NULL)                                 \
            result = NVML_ERROR_INVALID_ARGUMENT;                                  \
        if (result == NVML_SUCCESS)                                                \
            *out = (TYPE)(EXPRESSION);                                             \
        return sim_end(call, result);                                              \
    }
#define SIM_GETTER(FUNCTION, TYPE, EXPRESSION) SIM_GETTER_BY(sim_begin_device, FUNCTION, TYPE, EXPRESSION)
#define SIM_MIG_GETTER(FUNCTION, TYPE, EXPRESSION) SIM_GETTER_BY(sim_begin_any, FUNCTION, TYPE, EXPRESSION)

#endif
