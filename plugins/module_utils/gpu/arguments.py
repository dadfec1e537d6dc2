# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that the modules which set GPUs share; documented in the doc fragment `swarm.node.gpu`."""

from __future__ import annotations

from typing import Any

ARGUMENTS: dict[str, Any] = {
    "expect": {
        "type": "dict",
        "options": {
            "gpu": {"type": "str"},
            "count": {"type": "int"},
            "uniform": {"type": "bool", "default": False},
        },
    },
    "boot": {"type": "bool", "default": True},
    "pynvml_path": {"type": "path"},
    "nvml_library": {"type": "path"},
    "pynvml_pending": {"type": "bool", "default": False},
    "sys_root": {"type": "path", "default": "/"},
}
