// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// "key value" files: read whole, written whole (temporary file and rename), under one flock.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"

#define FILE_SIZE (SIM_MAX_ROWS * (SIM_KEY_SIZE + SIM_VALUE_SIZE))

static char directory[SIM_PATH_SIZE - SIM_KEY_SIZE - 8];
static char content[FILE_SIZE + 1];

// Names the state directory; 0 if the path is too long.
int sim_directory(const char *path)
{
    if (strlen(path) >= sizeof(directory))
        return 0;
    memcpy(directory, path, strlen(path) + 1);
    return 1;
}

// The full path of a file of the state directory; the buffer holds SIM_PATH_SIZE bytes.
void sim_path(char *buffer, const char *file)
{
    sim_format(buffer, SIM_PATH_SIZE, "%s/%s", directory, file);
}

static long read_whole(int file)
{
    long size = 0;
    while (size < FILE_SIZE) {
        long got = read(file, content + size, (size_t)(FILE_SIZE - size));
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        size += got;
    }
    content[size] = '\0';
    return size == FILE_SIZE ? -1 : size;
}

// Takes one line, without its end, into the table; 0 if it does not fit.
static int take_line(struct sim_table *table, char *line)
{
    char *value = strchr(line, ' ');
    if (line[0] == '#' || line[0] == '\0')
        return 1;
    if (value == NULL)
        value = line + strlen(line);
    else
        *value++ = '\0';
    if (table->count == SIM_MAX_ROWS || strlen(line) >= SIM_KEY_SIZE || strlen(value) >= SIM_VALUE_SIZE)
        return 0;
    strcpy(table->rows[table->count].key, line);
    strcpy(table->rows[table->count].value, value);
    table->count++;
    return 1;
}

// Reads a file of the state directory. A file that does not exist is an empty table.
// Returns 1 if read, 0 if absent, -1 if unreadable or not of this shape.
int sim_load(struct sim_table *table, const char *file)
{
    char path[SIM_PATH_SIZE];
    char *line = content;
    int handle;
    long size;

    table->count = 0;
    table->changed = 0;
    sim_format(table->file, sizeof(table->file), "%s", file);
    sim_path(path, file);
    handle = open(path, O_RDONLY | O_CLOEXEC);
    if (handle < 0)
        return access(path, F_OK) == 0 ? -1 : 0;
    size = read_whole(handle);
    close(handle);
    if (size < 0)
        return -1;
    while (line != NULL && *line != '\0') {
        char *next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (!take_line(table, line))
            return -1;
        line = next;
    }
    return 1;
}

static int write_whole(int file, const char *text, size_t size)
{
    while (size > 0) {
        long put = write(file, text, size);
        if (put < 0)
            return 0;
        text += put;
        size -= (size_t)put;
    }
    return 1;
}

// Writes the table if it changed; 0 if that failed, the old file is then still whole.
int sim_save(struct sim_table *table)
{
    char path[SIM_PATH_SIZE], temporary[SIM_PATH_SIZE + 8];
    size_t size = 0;
    int handle, good;

    if (!table->changed)
        return 1;
    sim_path(path, table->file);
    sim_format(temporary, sizeof(temporary), "%s.new", path);
    for (int i = 0; i < table->count; i++) {
        sim_format(content + size, sizeof(content) - size, "%s %s\n", table->rows[i].key, table->rows[i].value);
        size += strlen(content + size);
    }
    handle = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (handle < 0)
        return 0;
    // Any user may be a client, as on a real node: the umask must not lock the others out.
    // Only the owner may do this; a file left by another user already has the mode.
    (void)!fchmod(handle, 0666);
    good = write_whole(handle, content, size);
    good = close(handle) == 0 && good;
    if (!good || rename(temporary, path) != 0) {
        unlink(temporary);
        return 0;
    }
    table->changed = 0;
    return 1;
}

static int find(const struct sim_table *table, const char *key)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].key, key) == 0)
            return i;
    return -1;
}

const char *sim_get(const struct sim_table *table, const char *key, const char *fallback)
{
    int row = find(table, key);
    return row < 0 ? fallback : table->rows[row].value;
}

unsigned long long sim_get_number(const struct sim_table *table, const char *key, unsigned long long fallback)
{
    unsigned long long value;
    const char *text = sim_get(table, key, NULL);
    return text != NULL && sim_number(text, &value) ? value : fallback;
}

// Sets one key; 0 if the table is full or the text too long.
int sim_set(struct sim_table *table, const char *key, const char *value)
{
    int row = find(table, key);
    if (strlen(key) >= SIM_KEY_SIZE || strlen(value) >= SIM_VALUE_SIZE)
        return 0;
    if (row < 0) {
        if (table->count == SIM_MAX_ROWS)
            return 0;
        row = table->count++;
        strcpy(table->rows[row].key, key);
    }
    strcpy(table->rows[row].value, value);
    table->changed = 1;
    return 1;
}

int sim_set_number(struct sim_table *table, const char *key, unsigned long long value)
{
    char text[24];
    sim_format(text, sizeof(text), "%llu", value);
    return sim_set(table, key, text);
}

void sim_unset(struct sim_table *table, const char *key)
{
    int row = find(table, key);
    if (row < 0)
        return;
    memmove(&table->rows[row], &table->rows[row + 1],
            (size_t)(table->count - row - 1) * sizeof(table->rows[0]));
    table->count--;
    table->changed = 1;
}

void sim_clear(struct sim_table *table)
{
    table->changed = table->changed || table->count > 0;
    table->count = 0;
}

// Takes the lock of the state directory; -1 if there is none.
int sim_lock(void)
{
    char path[SIM_PATH_SIZE];
    int handle;
    sim_path(path, "lock");
    handle = open(path, O_RDONLY | O_CLOEXEC);
    if (handle < 0)
        return -1;
    if (flock(handle, LOCK_EX) != 0) {
        close(handle);
        return -1;
    }
    return handle;
}

void sim_unlock(int lock)
{
    close(lock);
}
