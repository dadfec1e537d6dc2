// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
#include "wires.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct packet {
    int64_t due;
    uint64_t number;
    struct end *from;
    size_t size;
    unsigned char data[];
};

// A binary heap, the earliest packet at its top.
static struct packet **heap;
static size_t used, room;
static uint64_t numbers;

static bool earlier(const struct packet *one, const struct packet *two) {
    return one->due != two->due ? one->due < two->due : one->number < two->number;
}

static void swap(size_t one, size_t two) {
    struct packet *kept = heap[one];
    heap[one] = heap[two];
    heap[two] = kept;
}

bool queue_put(struct end *from, int64_t due, const void *data, size_t size) {
    if (used == room) {
        size_t more = room ? 2 * room : 1024;
        struct packet **grown = realloc(heap, more * sizeof(*heap));
        if (!grown)
            return false;
        heap = grown;
        room = more;
    }
    struct packet *packet = malloc(sizeof(*packet) + size);
    if (!packet)
        return false;
    packet->due = due;
    packet->number = numbers++;
    packet->from = from;
    packet->size = size;
    memcpy(packet->data, data, size);
    size_t place = used++;
    heap[place] = packet;
    for (; place && earlier(heap[place], heap[(place - 1) / 2]); place = (place - 1) / 2)
        swap(place, (place - 1) / 2);
    return true;
}

static struct packet *take_first(void) {
    struct packet *first = heap[0];
    heap[0] = heap[--used];
    for (size_t place = 0;;) {
        size_t least = place, left = 2 * place + 1;
        for (size_t child = left; child <= left + 1; child++)
            if (child < used && earlier(heap[child], heap[least]))
                least = child;
        if (least == place)
            return first;
        swap(place, least);
        place = least;
    }
}

int64_t queue_next(void) {
    return used ? heap[0]->due : -1;
}

void queue_deliver(int64_t now) {
    while (used && heap[0]->due <= now) {
        struct packet *packet = take_first();
        struct counters *count = &packet->from->count;
        // A wire that was taken down meanwhile loses what is on it, as a cut cable does.
        if (!packet->from->shape.up)
            count->down++;
        else if (write(packet->from->other->device, packet->data, packet->size) == (ssize_t)packet->size)
            count->left++;
        else
            count->refused++;
        free(packet);
    }
}
