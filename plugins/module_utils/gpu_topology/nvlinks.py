# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the NVLinks of one GPU."""

from __future__ import annotations

from typing import Any

from .ask import Asker, address_in
from .fields import LINK_COUNT, read_fields
from .model import NvLink

MOST_LINKS = 36
"""NVML_NVLINK_MAX_LINKS of the newest header; a GPU with fewer refuses the first number beyond its own."""

REMOTES = {0: "gpu", 1: "npu", 2: "switch"}
ERRORS = {"replay": 0, "recovery": 1, "crc_flit": 2, "crc_data": 3, "ecc_data": 4}
"""nvmlNvLinkErrorCounter_t. Newer GPUs give only some of them."""


def read_links(ask: Asker, switches: tuple[str, ...] = ()) -> tuple[NvLink, ...]:
    """By number. The first link that the driver does not know ends the search where it gives no count.

    switches: addresses of the NVSwitches, which old bindings and drivers do not tell from other ends
    """
    count = read_fields(ask, (LINK_COUNT,)).get(LINK_COUNT)
    found = []
    for link in range(MOST_LINKS if count is None else min(int(count), MOST_LINKS)):
        state = ask("nvmlDeviceGetNvLinkState", link)
        if state is None and count is None:
            break
        found.append(_link(ask, link, state, switches))
    return tuple(found)


def _link(ask: Asker, link: int, state: Any, switches: tuple[str, ...]) -> NvLink:
    if not state:
        return NvLink(link, None if state is None else False)
    address = address_in(ask("nvmlDeviceGetNvLinkRemotePciInfo", link))
    return NvLink(
        link,
        True,
        ask.number("nvmlDeviceGetNvLinkVersion", link),
        "switch" if address in switches else _remote(ask, link),
        address,
        {name: ask.number("nvmlDeviceGetNvLinkErrorCounter", link, kind) for name, kind in ERRORS.items()},
    )


def _remote(ask: Asker, link: int) -> str | None:
    kind = ask("nvmlDeviceGetNvLinkRemoteDeviceType", link)
    return None if kind is None else REMOTES.get(kind, "unknown")
