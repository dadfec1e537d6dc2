# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupts of PCI devices, with their names. Reads files only."""

from __future__ import annotations

from pathlib import Path

from . import sysfs
from .model import Irq


class IrqReader:
    """Reads /proc/interrupts once for all devices."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = names_of(sysfs.text(root / "proc/interrupts"))

    def of(self, device: Path) -> tuple[Irq, ...]:
        """Those of one PCI device, by number: its MSI vectors, or its one wired interrupt."""
        numbers = sorted(int(name) for name in sysfs.names(device / "msi_irqs") if name.isdigit())
        if not numbers:
            wired = sysfs.number(device / "irq")
            numbers = [wired] if wired else []
        return tuple(Irq(number, self.names.get(number, ""), self._cpus(number)) for number in numbers)

    def _cpus(self, number: int) -> str | None:
        return sysfs.text(self.root / f"proc/irq/{number}/smp_affinity_list") or None


def names_of(interrupts: str) -> dict[int, str]:
    """IRQ number → name of its user, from the text of /proc/interrupts.

    A line is number, a count per CPU, chip, hardware number with trigger, and the names of the users.
    """
    lines = interrupts.splitlines()
    processors = len(lines[0].split()) if lines else 0
    found = {}
    for line in lines[1:]:
        number, colon, rest = line.partition(":")
        words = rest.split()[processors:]
        if colon and number.strip().isdigit() and words:
            found[int(number)] = _users(words)
    return found


def _users(words: list[str]) -> str:
    """The words after the trigger (`524288-edge`, `Edge`); "" where no driver has asked for it."""
    for at, word in enumerate(words):
        if word.lower().endswith(("edge", "level", "fasteoi", "none")):
            return " ".join(words[at + 1 :])
    return words[-1]
