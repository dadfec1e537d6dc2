# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds Python modules without importing them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder


def find_module(name: str, extra: Iterable[str] = ()) -> str | None:
    """Where this interpreter would import `name` from (`extra` directories first), or None.

    A directory that only happens to have the name (no `__init__.py`) is no module.
    """
    importlib.invalidate_caches()
    path: list[str] | None = [*extra, *sys.path]
    spec = None
    for part in name.split("."):
        spec = PathFinder.find_spec(part, path)
        if spec is None:
            break
        path = list(spec.submodule_search_locations or [])
    if spec is not None and spec.origin:
        return spec.origin
    return "built in" if name in sys.builtin_module_names else None
