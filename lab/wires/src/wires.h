// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// A wire: two TUN devices, each in a network namespace, joined with delay, jitter, loss and rate.
#ifndef WIRES_H
#define WIRES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_WIRES 1024
#define MAX_PACKET 9216
#define NAME_SIZE 32

// What happens to packets of one direction. Times in ns, the rate in bits a second, 0: as fast as they come.
struct shape {
    int64_t delay, jitter, queue;
    double loss, rate;
    bool keeps_order, up;
};

// Packets of one direction since the start; each that came is in exactly one of the others, or still under way.
struct counters {
    uint64_t came, bytes, left, lost, overflowed, down, refused;
};

// One end: what is read from its device goes to the other end's.
struct end {
    int device;
    struct end *other;
    struct shape shape;
    struct counters count;
    int64_t busy_until, last_due;
};

struct wire {
    char name[NAME_SIZE];
    struct end ends[2];
};

int64_t now_ns(void);

// shape.c
void shape_defaults(struct shape *shape);
// Takes a packet that came into the end at `now`: when it is due at the other, or -1 if it is dropped (and counted).
int64_t shape_packet(struct end *end, size_t size, int64_t now);
void shape_seed(uint64_t seed);

// queue.c: packets under way, the earliest first; equal times leave in the order they came.
bool queue_put(struct end *from, int64_t due, const void *data, size_t size);
int64_t queue_next(void); // when the first is due, -1: none
void queue_deliver(int64_t now);

// tun.c
// Opens a TUN device in the namespace of that path; -1 and a reason in `why`.
int tun_open(const char *space, const char *device, int mtu, char *why, size_t room);

// control.c: carries out one line, writes the answer (with its last line "ok" or "error: …").
typedef bool add_device(struct end *end);
void control_line(char *line, add_device *watch, char **answer, size_t *length);

#endif
