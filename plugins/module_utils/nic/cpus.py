# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of CPUs as the kernel writes them, and how they are handed out to queues. Pure.

A setting that has a value per queue is one text: the parts of the queues in order with ";" between them, as
short as possible: a text is repeated over the queues, so `0-3` means the same for all, and `0;1` in turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WORD = 32
OFF = "off"
"""No CPU at all: of RPS and XPS, that it is not used."""


def parse(text: str) -> tuple[int, ...]:
    """`0-3,8` → (0, 1, 2, 3, 8), lowest first. Raises ValueError."""
    found: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = part.partition("-")
        if not (first.isascii() and first.isdigit()) or (dash and not (last.isascii() and last.isdigit())):
            raise ValueError(f"{part!r} is no CPU and no range of CPUs")
        low, high = int(first), int(last or first)
        if high < low or high > 65535:
            raise ValueError(f"{part!r} is no range of CPUs")
        found.update(range(low, high + 1))
    return tuple(sorted(found))


def text(numbers: Iterable[int]) -> str:
    """(0, 1, 2, 3, 8) → `0-3,8`; "off" for none."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts) or OFF


def from_mask(mask: str) -> tuple[int, ...]:
    """`00000001,0000000f` → (0, 1, 2, 3, 32). Raises ValueError."""
    words = [int(word, 16) for word in mask.strip().split(",")]
    return tuple(
        index * WORD + bit
        for index, word in enumerate(reversed(words))
        for bit in range(WORD)
        if word >> bit & 1
    )


def to_mask(numbers: Iterable[int]) -> str:
    """The inverse: hexadecimal words of 32 bits, highest first."""
    value = 0
    for number in numbers:
        value |= 1 << number
    words: list[str] = []
    while value or not words:
        words.append(f"{value & 0xFFFFFFFF:08x}")
        value >>= WORD
    return ",".join(reversed(words))


def spread(numbers: Sequence[int], count: int) -> str:
    """The CPUs over `count` queues, every CPU with one queue; one each in turn where queues are more."""
    if not numbers or count < 1:
        return OFF
    if count >= len(numbers):
        return joined([text([number]) for number in numbers][:count])
    return joined([text(numbers[index::count]) for index in range(count)])


def one_each(numbers: Sequence[int]) -> str:
    """One CPU for each interrupt, in turn, however many there are: queues that are added bring more."""
    return joined([text([number]) for number in numbers])


def joined(parts: Sequence[str]) -> str:
    """The shortest text that, repeated, gives these parts; "off" for none."""
    for length in range(1, len(parts) + 1):
        if all(part == parts[index % length] for index, part in enumerate(parts)):
            return ";".join(parts[:length])
    return OFF


def expand(value: str, count: int) -> list[str]:
    """The parts of `count` queues."""
    parts = value.split(";")
    return [parts[index % len(parts)] for index in range(count)]


def cpus_of(part: str) -> tuple[int, ...]:
    """The CPUs of one part. Raises ValueError."""
    return () if part == OFF else parse(part)
