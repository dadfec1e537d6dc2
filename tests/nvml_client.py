# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of NVML in a process of its own: asked in JSON lines on stdin, answers on stdout.

A question is [function, arguments]; an argument {"gpu": N} stands for that GPU's handle, obtained once
and kept, {"handle": N} for another handle this client was given, {"placement": [start, size]} for that
struct. What pynvml hands out in an array is asked for with the handle and the profile id alone.
The answer is {"value": …} or {"error": <number>} as unmodified pynvml has it.
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
filled: list[ctypes.Structure] = []  # structs the call at hand fills for its caller
given: list[object] = []  # handles of MIG devices and instances, in the order they were handed out
# Functions that fill an array of these, with the number of items beside it.
ARRAYS = {
    "nvmlDeviceGetGpuInstancePossiblePlacements": pynvml.c_nvmlGpuInstancePlacement_t,
    "nvmlDeviceGetGpuInstances": pynvml.c_nvmlGpuInstance_t,
    "nvmlGpuInstanceGetComputeInstancePossiblePlacements": pynvml.c_nvmlComputeInstancePlacement_t,
    "nvmlGpuInstanceGetComputeInstances": pynvml.c_nvmlComputeInstance_t,
}


def argument(value):
    if not isinstance(value, dict):
        return value
    if "handle" in value:
        return given[value["handle"]]
    if "placement" in value:
        return ctypes.byref(pynvml.c_nvmlGpuInstancePlacement_t(*value["placement"]))
    if "struct" in value:
        filled.append(getattr(pynvml, value["struct"])())
        if "version" in value:
            filled[-1].version = value["version"]
        return ctypes.byref(filled[-1])
    index = value["gpu"]
    if index not in handles:
        handles[index] = pynvml.nvmlDeviceGetHandleByIndex(index)
    return handles[index]


def address(handle):
    return ctypes.cast(handle, ctypes.c_void_p).value


def reference(handle):
    """A handle as the argument that stands for it."""
    if isinstance(handle, pynvml.c_nvmlDevice_t) and not pynvml.nvmlDeviceIsMigDeviceHandle(handle).value:
        return {"gpu": pynvml.nvmlDeviceGetIndex(handle)}
    for index, known in enumerate(given):
        if (type(known), address(known)) == (type(handle), address(handle)):
            return {"handle": index}
    given.append(handle)
    return {"handle": len(given) - 1}


def call(function, arguments):
    if function not in ARRAYS or len(arguments) > 2:
        value = getattr(pynvml, function)(*arguments)
        return filled.pop() if filled else value
    items, count = (ARRAYS[function] * 16)(), ctypes.c_uint(16)
    getattr(pynvml, function)(*arguments, items, ctypes.byref(count))
    return items[: count.value]


def plain(value):
    """What JSON can carry: structures as dicts, arrays as lists, a handle as the argument that is it."""
    if isinstance(value, (ctypes.Structure, ctypes.Union)):
        return {field[0]: plain(getattr(value, field[0])) for field in value._fields_}
    if isinstance(value, (list, tuple, ctypes.Array)):
        return [plain(item) for item in value]
    if isinstance(value, ctypes._Pointer):
        return reference(value)
    if isinstance(value, ctypes._SimpleCData):
        return value.value
    if hasattr(value, "__dict__"):  # pynvml's "friendly objects"
        return {name: plain(item) for name, item in vars(value).items()}
    return value.decode() if isinstance(value, bytes) else value


for line in sys.stdin:
    function, arguments = json.loads(line)
    try:
        answer = {"value": plain(call(function, [argument(item) for item in arguments]))}
    except pynvml.NVMLError as error:
        answer = {"error": error.value}
    print(json.dumps(answer), flush=True)
