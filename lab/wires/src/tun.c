// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
#include "wires.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEVICE_QUEUE 4000

// In the present namespace: the device with its MTU, or -1 with errno.
static int make_device(const char *name, int mtu) {
    struct ifreq request = {0};
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0)
        return -1;
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    int asked = ioctl(device, TUNSETIFF, &request);
    int names = asked < 0 ? -1 : socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_mtu = mtu;
    bool ready = names >= 0 && ioctl(names, SIOCSIFMTU, &request) == 0;
    // Room for what comes while we wait for a processor; drops are to be ours alone.
    request.ifr_qlen = DEVICE_QUEUE;
    if (!ready || ioctl(names, SIOCSIFTXQLEN, &request) < 0) {
        int why = errno;
        if (names >= 0)
            close(names);
        close(device);
        errno = why;
        return -1;
    }
    close(names);
    return device;
}

int tun_open(const char *space, const char *device, int mtu, char *why, size_t room) {
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int there = open(space, O_RDONLY | O_CLOEXEC);
    int made = -1;
    if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) {
        snprintf(why, room, "%s: %s", space, strerror(errno));
    } else {
        made = make_device(device, mtu);
        if (made < 0)
            snprintf(why, room, "%s: %s", device, strerror(errno));
        if (setns(home, CLONE_NEWNET) < 0) {
            snprintf(why, room, "no way back from %s: %s", space, strerror(errno));
            if (made >= 0)
                close(made);
            made = -1;
        }
    }
    if (home >= 0)
        close(home);
    if (there >= 0)
        close(there);
    return made;
}
