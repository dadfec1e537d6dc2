# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For tests: stands still at one step of a run, so that it can be killed just there.

$STOP_AT is JSON: play, task, when (start, result: the first host's), nth (play of that name that has hosts).
$STOP_MARK is the file that says that the step is reached.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: stop_at
type: notification
short_description: Stands still at one step of a run, for tests
description: [Stands still at one step of a run.]
"""

PATIENCE = 120
"""s after which it goes on, as nobody has killed it."""


class CallbackModule(CallbackBase):
    """Workers go on meanwhile, with what they have been given."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "stop_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step = json.loads(os.environ["STOP_AT"])
        self.play = ""
        self.plays = 0
        self.counted = False

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self.play = play.get_name().strip()
        self.counted = False

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        if self.play == self.step["play"] and not self.counted:
            self.counted = True
            self.plays += 1
        self._look("start", task)

    def v2_runner_on_ok(self, result: Any, *args: Any, **kwargs: Any) -> None:
        self._look("result", result.task)

    v2_runner_on_failed = v2_runner_on_ok

    def _look(self, when: str, task: Any) -> None:
        here = (self.play, self.plays, when, task.name)
        if here == tuple(self.step[name] for name in ("play", "nth", "when", "task")):
            Path(os.environ["STOP_MARK"]).touch()
            time.sleep(PATIENCE)
