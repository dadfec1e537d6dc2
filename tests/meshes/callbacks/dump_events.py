# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For tests: writes every event with its whole result to the file $DUMP_EVENTS, one JSON text per line.

A job's events in a controller with a database hold the same.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: dump_events
type: notification
short_description: Writes every event with its whole result, for tests
description: [Writes every event with its whole result.]
"""


class CallbackModule(CallbackBase):
    """Nothing is left out or hidden, apart from what Ansible itself hides."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "dump_events"
    CALLBACK_NEEDS_ENABLED = True

    def v2_on_any(self, *args: Any, **kwargs: Any) -> None:
        for item in args:
            result = getattr(item, "_result", None)
            task = getattr(item, "_task", None) or item
            event = {"event": type(item).__name__, "name": str(task), "result": result}
            attributes = getattr(task, "args", None)
            if isinstance(attributes, dict):
                event["args"] = attributes
            with Path(os.environ["DUMP_EVENTS"]).open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(event, default=repr) + "\n")
