# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one self-contained HTML page: no script, no outside resource."""

from __future__ import annotations

from typing import Any

from ansible_collections.swarm.node.plugins.plugin_utils.report import fold
from ansible_collections.swarm.node.plugins.plugin_utils.report.mesh_view import mesh_views
from ansible_collections.swarm.node.plugins.plugin_utils.report.pages import templates
from ansible_collections.swarm.node.plugins.plugin_utils.report.text import totals_line
from ansible_collections.swarm.node.plugins.plugin_utils.report.values import clean, plural, show, span
from ansible_collections.swarm.node.plugins.plugin_utils.report.view import STATE_WORDS, View, left_over


def render(view: View, hosts: dict[str, Any]) -> str:
    """The page; `hosts` is the report's part of that name, for the table of all nodes."""
    environment = templates()
    environment.filters.update(show=_show, clean=clean, plural=plural, kind=fold.kind)
    environment.globals.update(
        span=_span, state_words=STATE_WORDS, totals_line=totals_line, left_over=left_over
    )
    group_of = {host: group.label for group in view.groups for host in group.hosts}
    template = environment.get_template("report.html.j2")
    return template.render(view=view, hosts=hosts, group_of=group_of, meshes=mesh_views(view.meshes))


def _show(value: Any, none: str = "unknown") -> str:
    return show(value, none, limit=300)


def _span(entry: dict[str, Any]) -> str:
    return span(entry, limit=300).replace(" -> ", " → ", 1)
