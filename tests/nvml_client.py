# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of NVML in a process of its own: asked in JSON lines on stdin, answers on stdout.

A question is [function, arguments]; an argument {"gpu": N} stands for that GPU's handle, obtained once
and kept. The answer is {"value": …} or {"error": <number>} as unmodified pynvml has it.
NVML_SIM_LIBRARY names the library to load before pynvml looks for its own; NVML_CLIENT_USER, if set, is
the user id to run as.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

ctypes.CDLL(os.environ["NVML_SIM_LIBRARY"], mode=ctypes.RTLD_GLOBAL)

import pynvml  # noqa: E402  (the library above must come first)

# Becoming another user only now lets that user be one who cannot reach this Python.
if os.environ.get("NVML_CLIENT_USER"):
    os.setuid(int(os.environ["NVML_CLIENT_USER"]))

handles: dict[int, object] = {}


def argument(value):
    if not isinstance(value, dict):
        return value
    index = value["gpu"]
    if index not in handles:
        handles[index] = pynvml.nvmlDeviceGetHandleByIndex(index)
    return handles[index]


def plain(value):
    """What JSON can carry: structures as dicts, arrays as lists; a handle as its GPU's index."""
    if isinstance(value, ctypes.Structure):
        return {field[0]: plain(getattr(value, field[0])) for field in value._fields_}
    if isinstance(value, (list, tuple, ctypes.Array)):
        return [plain(item) for item in value]
    if isinstance(value, ctypes._Pointer):
        return {"gpu": pynvml.nvmlDeviceGetIndex(value)}
    if hasattr(value, "__dict__"):  # pynvml's "friendly objects"
        return {name: plain(item) for name, item in vars(value).items()}
    return value.decode() if isinstance(value, bytes) else value


for line in sys.stdin:
    function, arguments = json.loads(line)
    try:
        answer = {"value": plain(getattr(pynvml, function)(*[argument(item) for item in arguments]))}
    except pynvml.NVMLError as error:
        answer = {"error": error.value}
    print(json.dumps(answer), flush=True)
