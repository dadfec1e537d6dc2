# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a simulated driver and node: load, unload, update, reset, reboot."""

from __future__ import annotations

import nvml_boards
from nvml_node import Node
from nvml_state import SimError, number


def _refuse_if_busy(node: Node, what: str, force: bool) -> None:
    holders = node.holders()
    if holders and not force:
        raise SimError(f"{what}: the driver is in use by {', '.join(holders)} (--force does it all the same)")


def _unload(node: Node) -> None:
    keep_modes = not number(node.read("node"), "unload_resets_modes")
    for index in range(node.gpu_count()):
        for scope in ("volatile", "mig", "processes", "accounting"):
            node.write(f"gpu{index}.{scope}", {})
        if not keep_modes:
            node.write(f"gpu{index}.boot", {})
    node.change("node", loaded=0)
    node.update_module_tree()


def _restart_meters(node: Node) -> None:
    """Energy and throttled time count from the load of the driver on; the temperature is what it is."""
    for index in range(node.gpu_count()):
        node.settle(index)
        meter = node.gpu(index, "meter")
        node.write(f"gpu{index}.meter", {key: meter[key] for key in ("at_us", "milli_celsius")})


def _load(node: Node) -> None:
    _restart_meters(node)
    state = node.read("node")
    node.change("node", loaded=1, loads=number(state, "loads") + 1, driver_version=state["library_version"])
    node.update_module_tree(anew=True)


def unload(node: Node, force: bool = False) -> None:
    """Removes the driver. SimError if something uses it, as the kernel would refuse."""
    with node.locked():
        _refuse_if_busy(node, "driver unload", force)
        _unload(node)


def load(node: Node) -> None:
    """Loads the driver that is installed; does nothing if one is loaded, as modprobe would."""
    with node.locked():
        if not number(node.read("node"), "loaded"):
            _load(node)


def reload(node: Node, force: bool = False) -> None:
    """Unload and load: always another load of the driver."""
    with node.locked():
        _refuse_if_busy(node, "driver reload", force)
        _unload(node)
        _load(node)


def install(node: Node, version: str) -> None:
    """A new driver package: library and module on disk move, the loaded module stays the old one."""
    with node.locked():
        node.change("node", **nvml_boards.driver_versions(version))


# What a reset of the GPU recovers from; a boot recovers from everything (nvmlDeviceGpuRecoveryAction_t).
RESET_RECOVERS = (1, 4, 6)


def _repair(node: Node, index: int, recovers: tuple[int, ...] | None) -> None:
    """Rows are remapped, pages retired, and the recovery that was asked for is done (None: any)."""
    outside = node.gpu(index, "outside")
    done = ["remapping_pending", "retired_pending"]
    if recovers is None or number(outside, "recovery_action") in recovers:
        done.append("recovery_action")
    node.change(f"gpu{index}.outside", **dict.fromkeys(done))


def _take_pending(node: Node, index: int, done: tuple[int, ...] | None) -> None:
    persistent = node.gpu(index, "persistent")
    for mode in ("ecc", "mig"):
        if f"{mode}_pending" in persistent:
            persistent[f"{mode}_current"] = persistent[f"{mode}_pending"]
    node.write(f"gpu{index}.persistent", persistent)
    node.write(f"gpu{index}.volatile", {})
    _repair(node, index, done)
    node.write(f"gpu{index}.mig", {})


def reset_gpu(node: Node, gpu: str | int, force: bool = False) -> None:
    """Resets one GPU: pending modes take effect. SimError if something uses the driver."""
    with node.locked():
        index = node.check_gpu(gpu)
        _refuse_if_busy(node, f"reset of GPU {index}", force)
        _take_pending(node, index, RESET_RECOVERS)


def reboot(node: Node) -> None:
    """Boots the node: nobody runs, pending modes take effect, the installed driver is loaded."""
    with node.locked():
        node.write("clients", {})
        for index in range(node.gpu_count()):
            _take_pending(node, index, None)
            node.write(f"gpu{index}.boot", {})
            for scope in ("processes", "accounting"):
                node.write(f"gpu{index}.{scope}", {})
            node.change(f"gpu{index}.outside", utilization=None)
        node.change("node", boots=number(node.read("node"), "boots") + 1)
        _load(node)
