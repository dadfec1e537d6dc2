// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who uses the driver: processes by pid and start time, so that a reused pid is not mistaken for a
// client and one that was killed is noticed. When the last one is gone, the GPUs whose persistence
// mode is off are torn down and forget what is volatile.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

static struct sim_table clients;

// The start time of a living process in clock ticks since boot; 0 if it is dead or a zombie.
static unsigned long long start_time(unsigned long long pid)
{
    char path[64], text[1024];
    unsigned long long value = 0;
    char *cursor;
    long size;
    int file;

    sim_format(path, sizeof(path), "/proc/%llu/stat", pid);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return 0;
    size = read(file, text, sizeof(text) - 1);
    close(file);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    // The name of the process may hold anything, so count from its closing bracket: state is the
    // first field after it, the start time the twentieth.
    cursor = strrchr(text, ')');
    if (cursor == NULL || cursor[1] == '\0' || cursor[2] == 'Z' || cursor[2] == 'X')
        return 0;
    cursor++;
    for (int field = 0; field < 20 && cursor != NULL; field++) {
        cursor = strchr(cursor, ' ');
        cursor = cursor == NULL ? NULL : cursor + 1;
    }
    if (cursor == NULL)
        return 0;
    cursor[strcspn(cursor, " \n")] = '\0';
    return sim_number(cursor, &value) ? value : 0;
}

static int alive(const struct sim_row *row)
{
    unsigned long long pid, started;
    return sim_number(row->key, &pid) && sim_number(row->value, &started) && started != 0 &&
           start_time(pid) == started;
}

static int remove_dead(void)
{
    int removed = 0;
    for (int i = clients.count - 1; i >= 0; i--) {
        if (alive(&clients.rows[i]))
            continue;
        sim_unset(&clients, clients.rows[i].key);
        removed++;
    }
    return removed;
}

static int tear_down_one(int gpu)
{
    static struct sim_table table;
    char file[SIM_KEY_SIZE];

    sim_format(file, sizeof(file), "gpu%d.boot", gpu);
    if (sim_load(&table, file) < 0)
        return 0;
    if (sim_get_number(&table, "persistence_mode", 0) != 0)
        return 1;
    sim_format(file, sizeof(file), "gpu%d.processes", gpu);
    if (sim_load(&table, file) < 0)
        return 0;
    if (table.count > 0)
        return 1;
    sim_format(file, sizeof(file), "gpu%d.volatile", gpu);
    if (sim_load(&table, file) < 0)
        return 0;
    sim_clear(&table);
    return (!table.changed || sim_meter_settle(gpu)) && sim_save(&table);
}

static int tear_down(int gpus)
{
    int good = 1;
    for (int gpu = 0; gpu < gpus; gpu++)
        good = tear_down_one(gpu) && good;
    return good;
}

// Counts this process in; 0 if the state could not be read or written.
int sim_client_add(int gpus)
{
    unsigned long long pid = (unsigned long long)getpid();
    char key[24];
    if (sim_load(&clients, "clients") < 0)
        return 0;
    if (remove_dead() > 0 && clients.count == 0 && !tear_down(gpus))
        return 0;
    sim_format(key, sizeof(key), "%llu", pid);
    return sim_set_number(&clients, key, start_time(pid)) && sim_save(&clients);
}

// Counts this process out.
int sim_client_remove(int gpus)
{
    char key[24];
    if (sim_load(&clients, "clients") < 0)
        return 0;
    sim_format(key, sizeof(key), "%llu", (unsigned long long)getpid());
    sim_unset(&clients, key);
    remove_dead();
    if (clients.changed && clients.count == 0 && !tear_down(gpus))
        return 0;
    return sim_save(&clients);
}

// How many living clients there are besides the given process.
int sim_clients_besides(long pid)
{
    int others = 0;
    unsigned long long value;
    if (sim_load(&clients, "clients") < 0)
        return 0;
    for (int i = 0; i < clients.count; i++)
        if (alive(&clients.rows[i]) && sim_number(clients.rows[i].key, &value) && (long)value != pid)
            others++;
    return others;
}
