# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drivers make anew when a device is opened, set again once it is open.

The boot unit comes before the network: by then most drivers have asked for no interrupt, and they hand out
the CPUs of XPS when the device is opened, over what stands there. Only settings that no driver has a part in
are set here, so no link goes down for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

from ..core.commands import Runner
from ..core.interpreter import interpreter
from ..core.recorded import BootStore
from .layer import NAME, NicOptions
from .reapply import Done, reapply
from .settings import IRQ, PREFIX, RPS, XPS
from .sysfs import Sysfs
from .units import OPENED, PROGRAM, SYSTEMD, places

LONGEST = 900.0
"""Seconds that a device may take to be opened: some boots wait for networks for minutes."""

PAUSE = 1.0
MADE_ANEW = (RPS, XPS, IRQ)


def closed(options: NicOptions) -> list[str]:
    """Devices that are in the node and not up, of which the records hold what is made anew."""
    store, sysfs = BootStore(options.state_dir, options.run_dir), Sysfs(options.root)
    names = [name for owner in store.owners(NAME) for name in store.load(owner).claims]
    held = {name.partition(" ")[2] for name in names if name.partition(" ")[0][len(PREFIX) :] in MADE_ANEW}
    return sorted(name for name in held if sysfs.exists(name) and not sysfs.is_up(name))


def postpone(done: Done, devices: Collection[str]) -> None:
    """What a device that is down does not have yet is no failure: it is set once the device is opened."""
    late = [
        wish
        for wish in done.unapplied
        if wish["target"] in devices and wish["key"][len(PREFIX) :] in MADE_ANEW
    ]
    done.unapplied = [wish for wish in done.unapplied if wish not in late]
    done.notes += [f"{wish['key']} of {wish['target']} waits for the device to be opened" for wish in late]


def wait_in_background(options: NicOptions, runner: Runner) -> bool:
    """Starts `until_open` as a unit of its own. False where that failed, and none is at work either."""
    if not (options.root / SYSTEMD).is_dir():
        return True
    command = [interpreter(), "-I", PROGRAM, "opened", *places(options.state_dir, options.run_dir)]
    words = ["--quiet", "--collect", "--no-block", f"--unit={OPENED}"]
    done = runner(["systemd-run", *words, "--property=SyslogIdentifier=swarm-node-nic", *command])
    return done.good or runner(["systemctl", "is-active", "--quiet", f"{OPENED}.service"]).good


def until_open(
    options: NicOptions,
    stopped: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[list[Done]]:
    """What came of the records at once and each time devices were opened, until all are or `LONGEST` is over.

    At once, as they may have been opened while this was being started.
    """
    end, waiting = clock() + LONGEST, closed(options)
    yield reapply(options, stopped=stopped, harmless=True)
    while waiting and clock() < end and not stopped():
        sleep(PAUSE)
        before, waiting = waiting, closed(options)
        if set(before) - set(waiting):
            yield reapply(options, stopped=stopped, harmless=True)
