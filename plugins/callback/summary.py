# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums up a run and writes its report; Ansible's side of plugin_utils/report."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Says what became of every node and writes an HTML and a JSON report
version_added: 0.1.0
author:
  - swarm.node contributors (@swarm-node)
description:
  - Prints at the end of a run what changed on which nodes and why, what could not be applied, and what
    failed. Nodes with the same outcome are shown together.
  - Writes the same as a self-contained HTML page and as JSON, also when every host failed or was unreachable.
  - Says and writes nothing for a run in which no module of this collection had a part and every host was
    reached and did well.
  - Never fails a run. An error of its own becomes a warning.
requirements:
  - enabled by C(callbacks_enabled = swarm.node.summary) in C([defaults]) of C(ansible.cfg)
options:
  report:
    description: Whether to write the report files. The summary is printed either way.
    type: bool
    default: true
    env:
      - name: SWARM_NODE_REPORT
    ini:
      - section: callback_swarm_node_summary
        key: report
  report_dir:
    description:
      - The directory to write reports to. It is made if it is missing.
      - A relative path is taken from the current directory.
    type: str
    default: reports
    env:
      - name: SWARM_NODE_REPORT_DIR
    ini:
      - section: callback_swarm_node_summary
        key: report_dir
  keep:
    description:
      - How many older reports to keep beside the new one. Only files named as this plugin names them are
        removed.
      - A negative number keeps all.
    type: int
    default: 20
    env:
      - name: SWARM_NODE_REPORT_KEEP
    ini:
      - section: callback_swarm_node_summary
        key: keep
"""

import functools
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.callback import CallbackBase
from ansible_collections.swarm.node.plugins.plugin_utils.report import html, store, text
from ansible_collections.swarm.node.plugins.plugin_utils.report.collector import Collector
from ansible_collections.swarm.node.plugins.plugin_utils.report.results import Event
from ansible_collections.swarm.node.plugins.plugin_utils.report.view import View, make_view

COLOURS = {
    "good": "COLOR_OK",
    "changed": "COLOR_CHANGED",
    "bad": "COLOR_ERROR",
    "dim": "COLOR_VERBOSE",
}


def guarded(method: Callable[..., None]) -> Callable[..., None]:
    """Turns any error of the callback into one warning per method: a report must not cost a run."""

    @functools.wraps(method)
    def call(self: CallbackModule, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001
            if method.__name__ not in self.broken:
                self.broken.add(method.__name__)
                self._display.warning(
                    f"swarm.node.summary: {method.__name__} failed, the summary may be incomplete: "
                    f"{type(error).__name__}: {error}"
                )

    return call


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "swarm.node.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.broken: set[str] = set()
        self._looped: set[tuple[str, str]] = set()
        self._start("ad hoc")

    def _start(self, playbook: str) -> None:
        check = bool((context.CLIARGS or {}).get("check"))
        self._collector = Collector(playbook, check=check, started=datetime.now(timezone.utc))
        self._looped.clear()

    @guarded
    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._start(Path(str(getattr(playbook, "_file_name", None) or "playbook")).name)

    @guarded
    def v2_playbook_on_play_start(self, play: Any) -> None:
        manager = play.get_variable_manager()
        variables = manager.get_vars(play=play, include_hostvars=False)
        self._collector.expect(str(name) for name in variables.get("ansible_play_hosts_all", []))

    @guarded
    def v2_runner_on_ok(self, result: Any) -> None:
        self._task(result, "ok")

    @guarded
    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        # Ansible hands on the keyword as it stands: it may be None.
        self._task(result, "failed", ignored=bool(ignore_errors))

    @guarded
    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._task(result, "unreachable")

    @guarded
    def v2_runner_on_skipped(self, result: Any) -> None:
        self._task(result, "skipped")

    @guarded
    def v2_runner_retry(self, result: Any) -> None:
        self._collector.add(_event(result, "retry"))

    @guarded
    def v2_runner_on_async_poll(self, result: Any) -> None:
        self._collector.count_round_trip(result.host.get_name())

    @guarded
    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._item(result, "ok")

    @guarded
    def v2_runner_item_on_failed(self, result: Any) -> None:
        # Ansible has no event of its own for an item whose host cannot be reached.
        self._item(result, "unreachable" if result.result.get("unreachable") else "failed")

    @guarded
    def v2_runner_item_on_skipped(self, result: Any) -> None:
        self._item(result, "skipped")

    def _item(self, result: Any, outcome: str) -> None:
        self._looped.add(_identity(result))
        self._collector.add(
            _event(result, outcome, ignored=bool(result.task.ignore_errors), item=_label(result))
        )

    def _task(self, result: Any, outcome: str, ignored: bool = False) -> None:
        identity = _identity(result)
        if identity in self._looped:
            # The items have been counted one by one; this is only their sum.
            self._looped.discard(identity)
            return
        self._collector.add(_event(result, outcome, ignored=ignored))

    @guarded
    def v2_playbook_on_stats(self, stats: Any) -> None:
        finished = datetime.now(timezone.utc)
        recap = {host: stats.summarize(host) for host in stats.processed}
        report = self._collector.report(finished, recap)
        states = report["totals"]["states"]
        if not (self._collector.relevant or states["failed"] or states["unreachable"]):
            return
        view = make_view(report)
        path = self._write(report, view, finished) if self.get_option("report") else ""
        self._display.display("")
        for line, tone in text.render(view, path):
            colour = COLOURS.get(tone)
            self._display.display(line, color=getattr(constants, colour) if colour else None)

    def _write(self, report: dict[str, Any], view: View, finished: datetime) -> str:
        """The HTML file's path as the operator would type it, "" if it could not be written."""
        directory = Path(self.get_option("report_dir")).expanduser()
        try:
            page = html.render(view, report["hosts"])
            return str(store.write(directory, report, page, finished, self.get_option("keep")))
        except Exception as error:  # noqa: BLE001
            # The printed summary must not depend on a page or a disk.
            self._display.warning(
                f"swarm.node.summary: no report could be written to {os.fspath(directory)!r} (report_dir): "
                f"{type(error).__name__}: {error}"
            )
            return ""


def _identity(result: Any) -> tuple[str, str]:
    return result.host.get_name(), str(result.task._uuid)


def _label(result: Any) -> str:
    """Tells the items of a loop apart. Never shown."""
    found = result.result
    return repr(found.get("_ansible_item_label", found.get(found.get("ansible_loop_var", "item"))))


def _event(result: Any, outcome: str, ignored: bool = False, item: str = "") -> Event:
    task = result.task
    host = result.host.get_name()
    return Event(
        host=host,
        action=_action(task),
        task=task.get_name(),
        outcome=outcome,
        result=result.result,
        check=bool(task.check_mode),
        ignored=ignored,
        delegated=bool(task.delegate_to) and task.delegate_to != host,
        item=item,
    )


def _action(task: Any) -> str:
    """The full name of the action where it is known (`collections:` allows short ones)."""
    return str(getattr(task, "_resolved_action", None) or task.action)
