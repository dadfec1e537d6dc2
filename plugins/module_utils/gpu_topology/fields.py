# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVML's field values: many small numbers in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Union

MEMORY_TEMPERATURE = 82
LINK_COUNT = 91
REPLAY_ROLLOVERS = 95
POWER_AVERAGE, POWER_INSTANT = 185, 186
"""NVML_FI_DEV_…"""

MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""Of the union that holds a value, by nvmlValueType_t."""

Number = Union[int, float]


def read_fields(ask: Callable[..., Any], wanted: tuple[int, ...]) -> dict[int, Number]:
    """Field → value; a field the driver or the GPU does not have is left out. Raises LayerUnavailable."""
    found = {}
    for item in ask("nvmlDeviceGetFieldValues", list(wanted)) or ():
        if item.nvmlReturn == 0 and 0 <= item.valueType < len(MEMBERS) and item.fieldId in wanted:
            value = getattr(item.value, MEMBERS[item.valueType], None)
            if value is not None:
                found[int(item.fieldId)] = value
    return found
