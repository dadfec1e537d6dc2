# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After a run with a lost GPU: the others have their new limits."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import boards

WATTS = {
    "NVIDIA H100 80GB HBM3": 560,
    "NVIDIA A100-SXM4-40GB": 320,
    "NVIDIA B200": 800,
    "NVIDIA L40S": 280,
    "Tesla T4": 68,
}


@pytest.mark.parametrize("name", ["h100-1", "mixed-1"])
def test_the_others_have_their_new_limit(nodes: dict[str, Any], name: str) -> None:
    for board in boards(nodes[name]):
        if board["index"] == 3:
            assert board["lost"]
        else:
            assert board["power_limit_mw"] == WATTS[board["name"]] * 1000, board["name"]
