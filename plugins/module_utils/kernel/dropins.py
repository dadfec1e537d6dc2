# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own files of an owner: where they are and what is to stand in them. Pure."""

from __future__ import annotations

from ..core.managed_files import file_change
from ..core.model import Change
from .boot import render_tmpfiles
from .model import EXCLUSIVE, Knob
from .sysctl_conf import canonical, render


def sysctl_file(owner: str) -> str:
    """Our drop-in for an owner; sorts before the 99- files in which administrators have the last word."""
    return f"/etc/sysctl.d/90-swarm-node-{owner}.conf"


def tmpfiles_file(owner: str) -> str:
    return f"/etc/tmpfiles.d/90-swarm-node-{owner}.conf"


def file_changes(
    owner: str, files: dict[str, str | None], values: dict[str, str], held: dict[str, str]
) -> list[Change]:
    """The changes that make the owner's files hold `values`, by key.

    files: path → text as it is; held: what the record says stands in them. A file that has other
    content than `held` gives was edited by hand, which `data["edited"]` says.
    """
    changes = []
    for path, wanted, expected in zip(
        (sysctl_file(owner), tmpfiles_file(owner)), _texts(owner, values), _texts(owner, held)
    ):
        live = files.get(path)
        if (live or "") == wanted:
            continue
        edited = live is not None and live != expected
        change = file_change(path, live, wanted or None, edited, "so that the settings survive a reboot")
        if change:
            changes.append(change)
    return changes


def _texts(owner: str, values: dict[str, str]) -> tuple[str, str]:
    """The text of the sysctl.d file and of the tmpfiles.d file.

    A 0 that the kernel sets by itself, when the other key of the pair is written, is left out.
    """
    own = {key: value for key, value in values.items() if value != "0" or EXCLUSIVE.get(key) not in values}
    sysctls = {canonical(key): value for key, value in own.items() if Knob(key).is_sysctl}
    sysfs = {Knob(key).path: value for key, value in own.items() if not Knob(key).is_sysctl}
    return render(owner, sysctls), render_tmpfiles(owner, sysfs)
