# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible action: what swarm.node.mesh does on the controller for a host, without its module."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.swarm.node.plugins.plugin_utils.mesh.cache import cached_share


class ActionModule(ActionBase):
    """Fails unless the host's share has its name and tunnels."""

    _requires_connection = False
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        start = time.monotonic()
        host = str((task_vars or {})["inventory_hostname"])
        share = cached_share(Path(self._task.args["registry"]), host, Path(C.DEFAULT_LOCAL_TMP))["share"]
        if share["member"] != host or len(share["tunnels"]) < 2 or not share["routes"]:
            raise AnsibleActionFail(f"{host}: a share of {share['member']}, {len(share['tunnels'])} tunnels")
        return {"changed": False, "bench_seconds": time.monotonic() - start}
