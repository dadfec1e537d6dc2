# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to stop as an exception, so that a transaction undoes itself."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

from .errors import Interrupted

STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextlib.contextmanager
def signals_as_errors() -> Iterator[list[int]]:
    """SIGTERM, SIGHUP and SIGINT become one Interrupted; gives the list that the signal's number is put into.

    Only the first counts: a second one must not cut the undoing short.
    """
    caught: list[int] = []

    def raise_once(number: int, frame: Any) -> None:
        if not caught:
            caught.append(number)
            raise Interrupted(f"stopped by {signal.Signals(number).name}")

    old = {number: signal.signal(number, raise_once) for number in STOPS}
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
