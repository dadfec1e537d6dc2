# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of CPUs and nodes as the kernel writes them (`0-3,8`) and as NVML gives them (words of bits). Pure."""

from __future__ import annotations

from collections.abc import Iterable

WORD_BITS = 64


def parse(text: str) -> tuple[int, ...]:
    """`0-3,8` → (0, 1, 2, 3, 8), lowest first. What makes no sense is nothing."""
    found: set[int] = set()
    for part in text.split(","):
        first, _dash, last = part.strip().partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(found))


def text(numbers: Iterable[int]) -> str:
    """(0, 1, 2, 3, 8) → `0-3,8`."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and parts[-1][-1] == number - 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def from_words(words: Iterable[int]) -> tuple[int, ...]:
    """The numbers of the bits that are set; the lowest word comes first."""
    return tuple(
        index * WORD_BITS + bit
        for index, word in enumerate(words)
        for bit in range(WORD_BITS)
        if word >> bit & 1
    )


def words_for(count: int) -> int:
    """How many words hold that many bits."""
    return max(1, -(-count // WORD_BITS))
