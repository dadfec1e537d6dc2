// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
#include "wires.h"

#include <string.h>
#include <time.h>

static uint64_t random_state = 0x9E3779B97F4A7C15ull;

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

void shape_seed(uint64_t seed) {
    random_state = seed * 0x9E3779B97F4A7C15ull + 0xD1B54A32D192ED03ull;
}

// splitmix64, as a number in [0, 1)
static double random_unit(void) {
    uint64_t mixed = (random_state += 0x9E3779B97F4A7C15ull);
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ull;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBull;
    return (double)((mixed ^ (mixed >> 31)) >> 11) / 9007199254740992.0;
}

void shape_defaults(struct shape *shape) {
    memset(shape, 0, sizeof(*shape));
    shape->queue = 100000000;
    shape->keeps_order = shape->up = true;
}

// The time at which the packet has left the bottleneck, -1 if its queue is full.
static int64_t through_bottleneck(struct end *end, size_t size, int64_t now) {
    if (end->shape.rate <= 0)
        return now;
    int64_t start = end->busy_until > now ? end->busy_until : now;
    if (start - now > end->shape.queue)
        return -1;
    end->busy_until = start + (int64_t)(size * 8e9 / end->shape.rate);
    return end->busy_until;
}

int64_t shape_packet(struct end *end, size_t size, int64_t now) {
    end->count.came++;
    end->count.bytes += size;
    if (!end->shape.up) {
        end->count.down++;
        return -1;
    }
    int64_t due = through_bottleneck(end, size, now);
    if (due < 0) {
        end->count.overflowed++;
        return -1;
    }
    // Behind the bottleneck: what is lost on the way has taken its share of the rate.
    if (end->shape.loss > 0 && random_unit() * 100 < end->shape.loss) {
        end->count.lost++;
        return -1;
    }
    int64_t delay = end->shape.delay;
    if (end->shape.jitter > 0)
        delay += (int64_t)((2 * random_unit() - 1) * (double)end->shape.jitter);
    due += delay > 0 ? delay : 0;
    if (end->shape.keeps_order && due < end->last_due)
        due = end->last_due;
    end->last_due = due;
    return due;
}
