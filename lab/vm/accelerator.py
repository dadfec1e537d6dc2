# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast guests can run here: KVM where a guest has really booted on it, else translation (TCG)."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import images
from lab.shell import run, say
from lab.vm import initrd
from lab.vm.images import busybox

KVM = Path("/dev/kvm")
PROBE_SECONDS = 20
_WORD = b"swarm-lab-probe-ok"
_PROBE = b"""#!/bin/busybox sh
busybox mount -t devtmpfs dev /dev
echo %s >/dev/console
busybox sleep 1
busybox reboot -f
"""


@dataclass(frozen=True)
class Accelerator:
    """`why` says why it is not KVM; `tsc_khz` is the rate of the host's time stamp counter, 0 if unknown."""

    kvm: bool
    why: str
    tsc_khz: int

    @property
    def name(self) -> str:
        return "kvm" if self.kvm else "tcg"


def find(kernel: Path) -> Accelerator:
    """The accelerator of this host; asked once per boot of the host, version of QEMU and kernel."""
    version = run(["qemu-system-x86_64", "--version"]).splitlines()[0]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8")
    usable = os.access(KVM, os.R_OK | os.W_OK)
    key = images.digest(word.encode() for word in (version, boot, kernel.name, str(usable)))

    def ask(output: Path) -> None:
        why = _probe(kernel) if usable else f"no access to {KVM}"
        found = Accelerator(kvm=not why, why=why, tsc_khz=tsc_khz())
        output.write_text(json.dumps(asdict(found)), encoding="utf-8")

    return Accelerator(**json.loads(images.cached("vm-host", key, ".json", ask).read_text(encoding="utf-8")))


def _probe(kernel: Path) -> str:
    """Empty when a guest has booted on KVM, else the reason: a device that opens proves nothing."""
    say("trying a guest on KVM")
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder) / "probe.cpio"
        disk.write_bytes(initrd.shared(busybox(), _PROBE % _WORD, {}))
        command = [
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-M", "q35"),
            *("-accel", "kvm", "-cpu", "host", "-m", "256", "-no-reboot", "-serial", "stdio"),
            *("-kernel", str(kernel), "-initrd", str(disk)),
            *("-append", "console=ttyS0 quiet reboot=t panic=-1"),
        ]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            return "" if _WORD in (error.stdout or b"") else f"no guest boots within {PROBE_SECONDS} s"
    if _WORD in done.stdout:
        return ""
    lines = (done.stdout + done.stderr).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "the guest ends without a word")


def tsc_khz() -> int:
    """The rate of the time stamp counter, measured; 0 where it cannot be.

    A translated guest sees the host's counter, but has no good way to learn its rate: with a wrong one
    all its timers are wrong, those of netem too.
    """
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return 0
    # rdtsc; shl rdx, 32; or rax, rdx; ret
    page.write(bytes.fromhex("0f3148c1e2204809d0c3"))
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return round(statistics.median(_rate(read) for _ in range(7)))


def _rate(read: ctypes._CFunctionType) -> float:
    """Ticks per millisecond over a twentieth of a second."""
    started, first = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), read()
    time.sleep(0.05)
    ended, last = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW), read()
    return (last - first) * 1e6 / (ended - started)
