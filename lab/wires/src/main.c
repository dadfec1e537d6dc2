// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// wires [SEED]: commands on standard input, one a line, answers on standard output; ends with its input.
#include "wires.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LINE_ROOM 4096
#define BURST 64

static int events, timer;

static bool watch(struct end *end) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};
    return epoll_ctl(events, EPOLL_CTL_ADD, end->device, &event) == 0;
}

static void read_device(struct end *end) {
    static unsigned char packet[MAX_PACKET];
    for (int i = 0; i < BURST; i++) {
        ssize_t size = read(end->device, packet, sizeof(packet));
        if (size <= 0)
            return;
        int64_t due = shape_packet(end, (size_t)size, now_ns());
        if (due >= 0 && !queue_put(end, due, packet, (size_t)size))
            end->count.refused++;
    }
}

static void answer_line(char *line) {
    char *answer = NULL;
    size_t length = 0;
    control_line(line, watch, &answer, &length);
    for (size_t sent = 0; sent < length;) {
        ssize_t more = write(STDOUT_FILENO, answer + sent, length - sent);
        if (more < 0 && errno != EINTR)
            exit(1);
        if (more > 0)
            sent += (size_t)more;
    }
    free(answer);
}

// False at the end of the input.
static bool read_commands(void) {
    static char lines[LINE_ROOM];
    static size_t used;
    ssize_t size = read(STDIN_FILENO, lines + used, sizeof(lines) - used);
    if (size <= 0)
        return size < 0 && errno == EINTR;
    used += (size_t)size;
    for (char *end; (end = memchr(lines, '\n', used));) {
        *end = 0;
        answer_line(lines);
        used -= (size_t)(end + 1 - lines);
        memmove(lines, end + 1, used);
    }
    return used < sizeof(lines);
}

static void set_timer(void) {
    int64_t due = queue_next();
    struct itimerspec when = {0};
    if (due >= 0) {
        when.it_value.tv_sec = due / 1000000000;
        // A time of nothing at all would disarm it.
        when.it_value.tv_nsec = due % 1000000000 | 1;
    }
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

int main(int count, char **words) {
    prctl(PR_SET_TIMERSLACK, 1);
    shape_seed(count > 1 ? strtoull(words[1], NULL, 10) : 1);
    events = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = &events};
    struct epoll_event ticks = {.events = EPOLLIN, .data.ptr = &timer};
    if (events < 0 || timer < 0 || epoll_ctl(events, EPOLL_CTL_ADD, STDIN_FILENO, &input) ||
        epoll_ctl(events, EPOLL_CTL_ADD, timer, &ticks)) {
        perror("wires");
        return 1;
    }
    for (;;) {
        struct epoll_event ready[BURST];
        int found = epoll_wait(events, ready, BURST, -1);
        for (int i = 0; i < found; i++) {
            if (ready[i].data.ptr == &events) {
                if (!read_commands())
                    return 0;
            } else if (ready[i].data.ptr == &timer) {
                uint64_t ticked;
                if (read(timer, &ticked, sizeof(ticked)) < 0 && errno != EAGAIN)
                    return 1;
            } else {
                read_device(ready[i].data.ptr);
            }
        }
        queue_deliver(now_ns());
        set_timer();
    }
}
