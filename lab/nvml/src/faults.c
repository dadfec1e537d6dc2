// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Failures on demand, functions a driver does not have yet, and the log of calls.
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "since.h"
#include "sim.h"

// Does a rule's name mean this function? "nvmlX" means all its versions, "nvmlX_v2" that one,
// "nvmlInit" every way to initialise.
static int means(const char *rule, const char *function)
{
    size_t length = strlen(rule);
    if (strcmp(rule, "nvmlInit") == 0 && strcmp(function, "nvmlInitWithFlags") == 0)
        return 1;
    if (strncmp(rule, function, length) != 0)
        return 0;
    if (function[length] == '\0')
        return 1;
    return function[length] == '_' && function[length + 1] == 'v' && function[length + 2] >= '0' &&
           function[length + 2] <= '9';
}

// The word of a rule such as "code=999 gpu=all skip=0 times=2", as a number; `all` for no number.
static unsigned long long word(const char *rule, const char *name, unsigned long long all)
{
    char text[24];
    size_t length = strlen(name);
    unsigned long long value;
    for (const char *cursor = rule; cursor != NULL; cursor = strchr(cursor, ' ')) {
        size_t size;
        cursor += *cursor == ' ';
        if (strncmp(cursor, name, length) != 0 || cursor[length] != '=')
            continue;
        cursor += length + 1;
        size = strcspn(cursor, " ");
        if (size >= sizeof(text))
            return all;
        memcpy(text, cursor, size);
        text[size] = '\0';
        return sim_number(text, &value) ? value : all;
    }
    return all;
}

#define ALWAYS (~0ULL)

static void number_or(char *buffer, size_t size, unsigned long long value, const char *always)
{
    if (value == ALWAYS)
        sim_format(buffer, size, "%s", always);
    else
        sim_format(buffer, size, "%llu", value);
}

// Is this call told to fail? Counts the rule down and saves it. A row of the file is
// "<number> function=<name> code=<n> gpu=<n|all> skip=<n> times=<n|always>".
int sim_fault(const char *function, int gpu, nvmlReturn_t *result)
{
    static struct sim_table faults;
    if (sim_load(&faults, "faults") <= 0)
        return 0;
    for (int i = 0; i < faults.count; i++) {
        const char *rule = faults.rows[i].value;
        unsigned long long code = word(rule, "code", NVML_ERROR_UNKNOWN), only = word(rule, "gpu", ALWAYS);
        unsigned long long skip = word(rule, "skip", 0), times = word(rule, "times", ALWAYS);
        char name[SIM_KEY_SIZE], target[24], left[24], text[SIM_VALUE_SIZE];
        size_t size = strcspn(rule, " ");

        if (strncmp(rule, "function=", 9) != 0 || size - 9 >= sizeof(name))
            continue;
        memcpy(name, rule + 9, size - 9);
        name[size - 9] = '\0';
        if (!means(name, function) || (only != ALWAYS && (long long)only != gpu) || times == 0)
            continue;
        number_or(target, sizeof(target), only, "all");
        if (skip == 0 && times == ALWAYS) {
            *result = (nvmlReturn_t)code;
            return 1;
        }
        if (skip == 0)
            times--;
        number_or(left, sizeof(left), times, "always");
        sim_format(text, sizeof(text), "function=%s code=%llu gpu=%s skip=%llu times=%s", name, code, target,
                   skip > 0 ? skip - 1 : 0, left);
        sim_set(&faults, faults.rows[i].key, text);
        sim_save(&faults);
        if (skip > 0)
            continue;
        *result = (nvmlReturn_t)code;
        return 1;
    }
    return 0;
}

// Does the given driver lack this function altogether?
int sim_missing(const char *function, const char *driver)
{
    char text[8];
    unsigned long long branch;
    size_t size = strcspn(driver, ".");
    if (size >= sizeof(text))
        return 0;
    memcpy(text, driver, size);
    text[size] = '\0';
    if (!sim_number(text, &branch))
        return 0;
    for (size_t i = 0; i < sizeof(since) / sizeof(since[0]); i++)
        if (strcmp(since[i].function, function) == 0)
            return branch < since[i].branch;
    return 0;
}

// Adds "pid function gpu result arguments" to the log, one line a call.
void sim_log(const struct sim_call *call, nvmlReturn_t result)
{
    char path[SIM_PATH_SIZE], line[512], gpu[16];
    int file;
    if (sim_get_number(&call->node, "log", 0) == 0)
        return;
    number_or(gpu, sizeof(gpu), call->gpu < 0 ? ALWAYS : (unsigned long long)call->gpu, "-");
    sim_format(line, sizeof(line), "%ld %s %s %u %s\n", (long)getpid(), call->function, gpu, (unsigned int)result,
               call->arguments);
    sim_path(path, "calls");
    file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return;
    (void)!fchmod(file, 0666);
    (void)!write(file, line, strlen(line));
    close(file);
}
