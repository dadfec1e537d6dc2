# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of a guest: pure data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab import network
from lab.paths import LabPaths
from lab.spec import Node
from lab.vm.accelerator import Accelerator

MEMORY_MB = 384
# For translated code. A guest that has booted and run Ansible has more of it than 128 MB; when there is no
# room, QEMU drops all of it and translates anew. What is not used takes no memory.
TRANSLATIONS_MB = 512
# Below the lab's own /run: they go with the lab, and no other lab sees them.
RUN = "/run/lab-vm"


@dataclass(frozen=True)
class GuestPaths:
    """The files of one guest in the lab's state; kernel and base stay even when the cache is dropped."""

    folder: Path
    node: Node

    @classmethod
    def of(cls, paths: LabPaths, node: Node) -> GuestPaths:
        return cls(paths.state / "machines", node)

    def shared(self, cached: Path) -> Path:
        """Where the lab keeps a file of the cache."""
        return self.folder / cached.name

    @property
    def disk(self) -> Path:
        return self.folder / f"{self.node.name}.qcow2"

    @property
    def initrd(self) -> Path:
        return self.folder / f"{self.node.name}.cpio"

    @property
    def console(self) -> Path:
        """What the guest's kernel says; the end of it is shown when a guest does not come up."""
        return self.folder / f"{self.node.name}.console"

    @property
    def command(self) -> Path:
        """The command line that starts the guest, as a list in JSON, and what it was made of."""
        return self.folder / f"{self.node.name}.json"

    @property
    def pid(self) -> str:
        return f"{RUN}/{self.node.name}.pid"


def kernel_words(accelerator: Accelerator) -> str:
    """The kernel's command line.

    A triple fault is the quickest way to reboot, a panic reboots at once as on a server with a watchdog.
    """
    words = ["console=ttyS0", "quiet", "loglevel=4", "net.ifnames=0", "mitigations=off"]
    words += ["reboot=t", "panic=-1"]
    # On a busy host a unit needs long, and is no less sound for it.
    words += ["systemd.default_timeout_start_sec=300"]
    if not accelerator.kvm and accelerator.tsc_khz:
        words += ["tsc=reliable", f"tsc_early_khz={accelerator.tsc_khz}"]
    return " ".join(words)


def machine(accelerator: Accelerator) -> list[str]:
    """The options on the processor.

    Without the constantly running timer (arat) ticks are 4 ms coarse. QEMU 7.2 at times leaves a wrong
    flags register behind cmpxchg16b (cx16) when it translates, and the kernel ends in a double fault;
    without the feature the kernel does not use the instruction.
    """
    if accelerator.kvm:
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", f"tcg,thread=multi,tb-size={TRANSLATIONS_MB}", "-cpu", "qemu64,+arat,-cx16"]


def interface(number: int, address: str, port: str) -> list[str]:
    """Interface eth<number>, on a tap that is plugged into a bridge already."""
    backend = f"tap,id=net{number},ifname={port},script=no,downscript=no"
    mac = network.hardware_address(address)
    return ["-netdev", backend, "-device", f"virtio-net-pci,netdev=net{number},mac={mac}"]


def _value(path: Path) -> str:
    """A path inside an option: QEMU reads two commas as one."""
    return str(path).replace(",", ",,")


def command(files: GuestPaths, kernel: Path, accelerator: Accelerator) -> list[str]:
    """The command line that starts the guest in the background."""
    node = files.node
    # The lab's disks go with the lab: nothing has to reach the host's disk.
    console = f"file,id=console,path={_value(files.console)},append=on"
    disk = f"file={_value(files.disk)},if=none,id=root,format=qcow2,cache=unsafe"
    return [
        "qemu-system-x86_64",
        *("-name", node.name, "-nodefaults", "-no-user-config", "-display", "none"),
        # No disk controller beside the one in use: a guest would load a driver and look at its six ports.
        *("-M", "q35,sata=off", *machine(accelerator), "-m", str(MEMORY_MB), "-smp", "1"),
        *("-kernel", str(files.shared(kernel)), "-initrd", str(files.initrd)),
        *("-append", kernel_words(accelerator)),
        *("-chardev", console, "-serial", "chardev:console"),
        *("-drive", disk, "-device", "virtio-blk-pci,drive=root"),
        *interface(0, node.login, network.management_link(node)),
        *interface(1, node.address, network.uplink(node)),
        *("-device", "virtio-rng-pci", "-pidfile", files.pid, "-daemonize"),
    ]
