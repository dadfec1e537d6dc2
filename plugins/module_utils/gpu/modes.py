# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modes: how they are written, what NVML calls them, and what waits until a reset. Pure.

Switches (persistence, accounting, ECC):  true, false, `default`
Compute mode:                             `default`, `exclusive_process`, `prohibited`
"""

from __future__ import annotations

from typing import Any

from .quantity import parse_switch

DEFAULT = "default"

COMPUTE_NUMBERS = {DEFAULT: 0, "prohibited": 2, "exclusive_process": 3}
"""As NVML numbers them; 1 was exclusive_thread."""

COMPUTE_FORMS = "'default', 'exclusive_process' or 'prohibited'"
TOGGLE_FORMS = "true or false, or 'default'"

WAITS = "it takes effect at the next reset of the GPU (nvidia-smi --gpu-reset, with the GPU idle) or reboot"


def parse_compute_mode(raw: Any) -> str:
    """Raises ValueError saying what is allowed."""
    text = raw.strip().lower() if isinstance(raw, str) else ""
    if text == "exclusive_thread":
        raise ValueError(f"{COMPUTE_FORMS}; NVIDIA has deprecated exclusive_thread, use exclusive_process")
    if text not in COMPUTE_NUMBERS:
        raise ValueError(COMPUTE_FORMS)
    return text


def parse_toggle(raw: Any) -> Any:
    """True, False or DEFAULT (what the board has by itself). Raises ValueError."""
    if isinstance(raw, str) and raw.strip().lower() == DEFAULT:
        return DEFAULT
    try:
        return parse_switch(raw)
    except ValueError:
        raise ValueError(TOGGLE_FORMS) from None


def compute_name(number: int | None) -> str | None:
    """NVML's number as results show it; one without a name keeps its number."""
    if number is None:
        return None
    names = {value: name for name, value in COMPUTE_NUMBERS.items()}
    return names.get(number, f"mode {number}")


def compute_number(name: str) -> int:
    """What `compute_name` was given. Raises KeyError for what never was a mode."""
    if name.startswith("mode ") and name[5:].isdecimal():
        return int(name[5:])
    return COMPUTE_NUMBERS[name]


def refusal_name(key: str, value: Any) -> str:
    """Under which a refusal is remembered: boards may take one compute mode and not another."""
    return f"{key}={value}" if isinstance(value, str) and value in COMPUTE_NUMBERS else key


def waiting(key: str, uuid: str, label: str, live: Any, after: Any) -> dict[str, Any]:
    """An entry of `Plan.pending`: the mode is set and not yet in force."""
    return {
        "key": key,
        "target": uuid,
        "target_name": label,
        "live": live,
        "after": after,
        "when": "reboot",
        "detail": WAITS,
    }
