# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the modules gpu and gpu_mig that get a signal at one of their writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Optional, TypeVar

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core import files
from ansible_collections.swarm.node.plugins.module_utils.gpu.nvml import Nvml
from gpu_node import GpuNode
from module_runner import Killed
from stepping import Steps, kill

WRITES = (
    "nvmlDeviceSet",
    "nvmlDeviceReset",
    "nvmlDeviceCreate",
    "nvmlGpuInstanceCreate",
    "nvmlGpuInstanceDestroy",
    "nvmlComputeInstanceDestroy",
)
MAX_STEPS = 40
"""More writes than any run makes."""

AnyNode = TypeVar("AnyNode", bound=GpuNode)


def stop_at(step: int, number: int, after: bool) -> Callable[[], None]:
    """Sends signal `number` to the module at its step-th write (from 1), before or after it is made."""

    def patch() -> None:
        steps = Steps(step, kill(number), after)

        def writes(inner: Callable[..., Any], place: int) -> Callable[..., Any]:
            """`place`: which argument names the function."""
            noisy = steps.watched(inner)

            def call(*arguments: Any) -> Any:
                return (noisy if arguments[place].startswith(WRITES) else inner)(*arguments)

            return call

        Nvml.call_gpu = writes(Nvml.call_gpu, 2)
        Nvml.call = writes(Nvml.call, 1)
        steps.watch(files, "write_whole", "remove")

    return patch


def each_step(
    kind: type[AnyNode],
    number: int,
    after: bool,
    start: Callable[[AnyNode], Any],
    wish: dict[str, Any],
) -> Iterator[tuple[int, AnyNode, Optional[dict[str, Any]]]]:
    """Yields (step, node with one GPU, answer or None) for each write of a run, until one makes no more."""
    for step in range(1, MAX_STEPS):
        node = kind("h100:1")
        start(node)
        try:
            answer = node.run(before=stop_at(step, number, after), **wish)
        except Killed as death:
            assert death.args == (number,)
            yield step, node, None
            continue
        if not answer.get("failed"):
            assert step > 8, "the run was to be stopped"
            return
        yield step, node, answer
    pytest.fail(f"still writing at step {MAX_STEPS}")
