// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
#include "wires.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct wire *wires[MAX_WIRES];
static size_t wire_count;

static struct wire *find(const char *name) {
    for (size_t i = 0; i < wire_count; i++)
        if (!strcmp(wires[i]->name, name))
            return wires[i];
    return NULL;
}

// add NAME SPACE DEVICE SPACE DEVICE MTU
static void add(char *words, add_device *watch, FILE *answer) {
    char name[NAME_SIZE], spaces[2][256], devices[2][16], why[512] = "";
    int mtu, used = 0;
    if (sscanf(words, "%31s %255s %15s %255s %15s %d %n", name, spaces[0], devices[0], spaces[1], devices[1], &mtu,
               &used) != 6 || words[used] || mtu < 576 || mtu > MAX_PACKET) {
        fprintf(answer, "error: add NAME SPACE DEVICE SPACE DEVICE MTU\n");
        return;
    }
    if (find(name) || wire_count == MAX_WIRES) {
        fprintf(answer, "error: %s: %s\n", name, find(name) ? "is there already" : "too many wires");
        return;
    }
    struct wire *wire = calloc(1, sizeof(*wire));
    if (!wire) {
        fprintf(answer, "error: no memory\n");
        return;
    }
    strcpy(wire->name, name);
    for (int i = 0; i < 2; i++) {
        wire->ends[i].other = &wire->ends[!i];
        shape_defaults(&wire->ends[i].shape);
        wire->ends[i].device = tun_open(spaces[i], devices[i], mtu, why, sizeof(why));
        if (wire->ends[i].device < 0 || !watch(&wire->ends[i])) {
            fprintf(answer, "error: %s\n", *why ? why : "cannot be watched");
            for (int made = 0; made <= i; made++)
                if (wire->ends[made].device >= 0)
                    close(wire->ends[made].device);
            // Kept, not freed: the event loop may still hold an event of it.
            return;
        }
    }
    wires[wire_count++] = wire;
    fprintf(answer, "ok\n");
}

// One KEY=VALUE into the shape: milliseconds, percent, Mbit/s, 0 or 1. False: not understood.
static bool set_value(struct shape *shape, const char *word) {
    char key[16], rest;
    double value;
    if (sscanf(word, "%15[a-z]=%lf%c", key, &value, &rest) != 2 || !(value >= 0))
        return false;
    bool is_flag = value == 0 || value == 1;
    if (!strcmp(key, "delay") && value <= 60000)
        shape->delay = (int64_t)(value * 1e6);
    else if (!strcmp(key, "jitter") && value <= 60000)
        shape->jitter = (int64_t)(value * 1e6);
    else if (!strcmp(key, "queue") && value <= 60000)
        shape->queue = (int64_t)(value * 1e6);
    else if (!strcmp(key, "loss") && value <= 100)
        shape->loss = value;
    else if (!strcmp(key, "rate") && value <= 1e6)
        shape->rate = value * 1e6;
    else if (!strcmp(key, "order") && is_flag)
        shape->keeps_order = value == 1;
    else if (!strcmp(key, "up") && is_flag)
        shape->up = value == 1;
    else
        return false;
    return true;
}

// set NAME 0|1|both KEY=VALUE…; 0: from the first end to the second. All or nothing.
static void set(char *words, FILE *answer) {
    char *rest = NULL, *name = strtok_r(words, " ", &rest), *which = strtok_r(NULL, " ", &rest);
    struct wire *wire = name ? find(name) : NULL;
    bool both = which && !strcmp(which, "both");
    if (!wire || !which || (!both && strcmp(which, "0") && strcmp(which, "1"))) {
        fprintf(answer, "error: set NAME 0|1|both KEY=VALUE…, of a wire that was added\n");
        return;
    }
    struct shape shapes[2] = {wire->ends[0].shape, wire->ends[1].shape};
    for (char *word = strtok_r(NULL, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        for (int i = 0; i < 2; i++) {
            if (!both && which[0] != '0' + i)
                continue;
            if (!set_value(&shapes[i], word)) {
                fprintf(answer, "error: %s: delay, jitter, queue in ms up to 60000, loss in %%, rate in Mbit/s, "
                                "order and up 0 or 1\n", word);
                return;
            }
        }
    }
    for (int i = 0; i < 2; i++)
        wire->ends[i].shape = shapes[i];
    fprintf(answer, "ok\n");
}

// One line of JSON per direction.
static void show(FILE *answer) {
    for (size_t i = 0; i < wire_count; i++) {
        for (int j = 0; j < 2; j++) {
            const struct counters *count = &wires[i]->ends[j].count;
            fprintf(answer,
                    "{\"wire\": \"%s\", \"from\": %d, \"came\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"left\": %" PRIu64
                    ", \"lost\": %" PRIu64 ", \"overflowed\": %" PRIu64 ", \"down\": %" PRIu64 ", \"refused\": %" PRIu64
                    "}\n",
                    wires[i]->name, j, count->came, count->bytes, count->left, count->lost, count->overflowed,
                    count->down, count->refused);
        }
    }
    fprintf(answer, "ok\n");
}

void control_line(char *line, add_device *watch, char **answer, size_t *length) {
    FILE *out = open_memstream(answer, length);
    if (!out)
        return;
    if (!strncmp(line, "add ", 4))
        add(line + 4, watch, out);
    else if (!strncmp(line, "set ", 4))
        set(line + 4, out);
    else if (!strcmp(line, "show"))
        show(out);
    else
        fprintf(out, "error: add, set or show\n");
    fclose(out);
}
