# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a run as one self-contained HTML page, in the style of the other reports."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..report.pages import templates
from ..report.values import clean, hosts_text, plural
from . import heat_map, table
from .settings import METRICS, UNITS
from .summary import by_badness

HERE = Path(__file__).resolve().parent

MOST_ROWS = 500


def render(report: Mapping[str, Any]) -> str:
    """Everything a node said is escaped by the environment, or by the heat map itself."""
    environment = templates(HERE)
    environment.filters.update(clean=clean, plural=plural, hosts=hosts_text)
    environment.globals.update(words=table.WORDS, value_text=table.value_text, pairs_text=table.pairs_text)
    ordered = by_badness(report["pairs"])
    return environment.get_template("verify.html.j2").render(
        report=report,
        window=table.window_text(report),
        pairs=ordered[:MOST_ROWS],
        more=max(0, len(ordered) - MOST_ROWS),
        metrics=METRICS,
        units=UNITS,
        maps={metric: heat_map.draw(metric, report) for metric in METRICS},
        by_region=len(report["members"]) > heat_map.MOST,
    )
