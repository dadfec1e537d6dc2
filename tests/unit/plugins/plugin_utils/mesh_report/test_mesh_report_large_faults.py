# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh of a thousand: everything from what the nodes say to the page, with its size and its time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report import page
from ansible_collections.swarm.node.plugins.plugin_utils.mesh_report.body import (
    Known,
    mesh_report,
    run_report,
)

sys.path.insert(0, str(Path(__file__).parent))

from mesh_report_cases import MESH, large


def test_a_thousand_members_stay_readable_and_quick() -> None:
    world = large()
    began = time.process_time()
    answers = world.answers()
    read = time.process_time() - began
    del answers["gpu7.r03"]
    known = Known(members={name: {"number": one, "region": name[-3:]} for name, one in world.numbers.items()})
    began = time.process_time()
    body = mesh_report(MESH, answers, known)
    made = run_report({MESH: body}, {"playbook": "mesh_report", "finished": "", "seconds": 0.0})
    joined = time.process_time() - began
    began = time.process_time()
    text, data = page.render(made), json.dumps(made)
    written = time.process_time() - began
    print(
        f"read {read:.1f} s, put together {joined:.1f} s, written {written:.1f} s; "
        f"page {len(text)} bytes, JSON {len(data)} bytes, an answer {len(json.dumps(world.said['gpu3.r00']))}"
    )
    assert len(body["members"]) == 1000 and body["paths"] == []
    (absent,) = [one for one in body["problems"] if one["what"] == "not asked"]
    assert absent["where"] == ["gpu7.r03: no host of this run"]
    counts = [one["ways"] for one in body["members"].values() if one["ways"]]
    assert len(counts) == 999 and all(sum(one.values()) == 999 for one in counts)
    # Drawn by regions: a dot each, not a thousand.
    assert text[text.index("<svg") : text.index("</svg>")].count("<g>") == 20
    assert len(text) < 2_500_000 and len(data) < 6_000_000
    # docs/mesh-report.md has what was measured. A busy machine takes longer.
    assert read + joined + written < 90
