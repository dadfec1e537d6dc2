# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests of several calls in one process."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.mesh import ping as module
from ansible_collections.swarm.node.plugins.module_utils.mesh.ping import Target


def test_an_answer_that_comes_late_is_none_to_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences: list[int] = []
    monkeypatch.setattr(module, "_opened", lambda *key: nullcontext())
    monkeypatch.setattr(module, "_send", lambda opened, family, target, sequence: sequences.append(sequence))
    monkeypatch.setattr(module, "_collected", lambda *more: {})
    targets: list[Any] = [Target("a", "192.0.2.1"), Target("b", "192.0.2.2")]
    module.ping(targets, 0.1)
    module.ping(targets, 0.1)
    assert len(set(sequences)) == 4
