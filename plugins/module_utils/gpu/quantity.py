# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How powers and clocks are written, and what they come to on a board. Pure.

Power:  `630`, `630W`, `90%default`, `80%max`, `80%range`, `default`, `min`, `max`
Clocks: `unlocked`, `1980` (board's lowest to 1980), `1200-1980`, `80%max`, `60%max-90%max`, `50%range`,
        `max` (held at the highest), `min` (held at the lowest), `1200-max`

A `%range` is the minimum plus that share of the way to the maximum.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

UNLOCKED = "unlocked"

POWER_FORMS = "watts such as 630 or '630W', '90%default', '80%max', '80%range', 'default', 'min' or 'max'"
CLOCK_FORMS = (
    "'unlocked', MHz such as 1980 or '1200-1980', '80%max', '60%max-90%max', '50%range', 'min', 'max' "
    "or '1200-max'"
)
SWITCH_FORMS = "true or false"

_WATTS = re.compile(r"(\d{1,6})\s*[wW]?")
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)\s*%\s*([A-Za-z]*)")
_MHZ = re.compile(r"(\d{1,6})\s*(?:[mM][hH][zZ])?")

WHOLE = 10_000
"""Shares are counted in hundredths of a percent, so that no float rounding gets in."""


@dataclass(frozen=True)
class PowerRange:
    """What a board allows, in mW."""

    minimum: int
    default: int
    maximum: int

    def __str__(self) -> str:
        return f"{watts(self.minimum)}-{watts(self.maximum)} W (board default {watts(self.default)} W)"


@dataclass(frozen=True)
class Power:
    """A wished power limit.

    of: `W`, `mW` or what the share is of (`default`, `min`, `max`, `range`)
    amount: W, mW, or hundredths of a percent; None is the base itself
    """

    of: str
    amount: int | None = None

    def bind(self, board: PowerRange) -> int:
        """mW on this board; shares are rounded down to whole W. Raises ValueError with the allowed range."""
        value = self._milliwatts(board)
        if not board.minimum <= value <= board.maximum:
            raise ValueError(str(board))
        return value

    def _milliwatts(self, board: PowerRange) -> int:
        if self.of == "W":
            return (self.amount or 0) * 1000
        if self.of == "mW":
            return self.amount or 0
        if self.amount is None:
            return {"default": board.default, "min": board.minimum, "max": board.maximum}[self.of]
        if self.of == "range":
            exact = board.minimum + (board.maximum - board.minimum) * self.amount // WHOLE
        else:
            exact = (board.default if self.of == "default" else board.maximum) * self.amount // WHOLE
        down = exact // 1000 * 1000
        # A board's own minimum need not be whole watts; rounding must not fall below it.
        return down if down >= board.minimum else max(exact, down)


@dataclass(frozen=True)
class Bound:
    """One end of a clock lock: MHz, or hundredths of a percent of `max` or `range`."""

    of: str
    amount: int

    def megahertz(self, lowest: int, highest: int) -> int:
        if self.of == "MHz":
            return self.amount
        if self.of == "max":
            return highest * self.amount // WHOLE
        return lowest + (highest - lowest) * self.amount // WHOLE


ENDS = {"min": Bound("range", 0), "max": Bound("range", WHOLE)}
"""The board's lowest and highest clock by name."""


@dataclass(frozen=True)
class Clocks:
    """A wished clock lock. `high` None: unlocked. `low` None: from the board's lowest clock."""

    low: Bound | None = None
    high: Bound | None = None

    def bind(self, supported: Sequence[int]) -> tuple[Any, str]:
        """([min, max] in MHz or "unlocked", a note if a value was moved to a supported clock).

        `supported`: the board's clocks in MHz, not empty. Raises ValueError with the allowed range.
        """
        if self.high is None:
            return UNLOCKED, ""
        lowest, highest = min(supported), max(supported)
        asked = [
            lowest if self.low is None else self.low.megahertz(lowest, highest),
            self.high.megahertz(lowest, highest),
        ]
        if asked[0] > asked[1] or not all(lowest <= value <= highest for value in asked):
            raise ValueError(f"{lowest}-{highest} MHz, the lower clock first")
        bound = [max(clock for clock in supported if clock <= value) for value in asked]
        moved = [f"{old} to {new}" for old, new in zip(asked, bound) if old != new]
        note = f"{', '.join(moved)} MHz: the next lower clock this board supports" if moved else ""
        return bound, note


def watts(milliwatts: int) -> int | float:
    """W as results show them: whole where they are whole."""
    return milliwatts // 1000 if milliwatts % 1000 == 0 else milliwatts / 1000


def parse_power(raw: Any) -> Power:
    """Raises ValueError saying what is allowed."""
    text = _text(raw, POWER_FORMS)
    if text.lower() in ("default", "min", "max"):
        return Power(text.lower())
    match = _WATTS.fullmatch(text)
    if match:
        return Power("W", int(match[1]))
    match = _SHARE.fullmatch(text)
    if match:
        return Power(*_share(match, ("default", "max", "range"), POWER_FORMS))
    raise ValueError(POWER_FORMS)


def parse_clocks(raw: Any) -> Clocks:
    """Raises ValueError saying what is allowed."""
    text = _text(raw, CLOCK_FORMS)
    if text.lower() in (UNLOCKED, "default"):
        return Clocks()
    ends = [_bound(part.strip()) for part in text.split("-")]
    if len(ends) == 1:
        return Clocks(ends[0] if text.lower() in ENDS else None, ends[0])
    if len(ends) != 2:
        raise ValueError(CLOCK_FORMS)
    low, high = ends
    if low.of == high.of and low.amount > high.amount:
        raise ValueError(f"the lower clock first; {CLOCK_FORMS}")
    return Clocks(low, high)


def parse_switch(raw: Any) -> bool:
    """true or false as YAML, command lines and JSON write them. Raises ValueError."""
    if isinstance(raw, bool):
        return raw
    known = {"true": True, "yes": True, "on": True, "1": True}
    known.update({"false": False, "no": False, "off": False, "0": False})
    text = str(raw).strip().lower() if isinstance(raw, (str, int)) else ""
    if text not in known:
        raise ValueError(SWITCH_FORMS)
    return known[text]


def _text(raw: Any, forms: str) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        raise ValueError(forms)
    if isinstance(raw, float):
        if not raw.is_integer():
            raise ValueError(f"whole numbers; {forms}")
        raw = int(raw)
    text = str(raw).strip()
    # isdecimal() and \d also take digits of other scripts, which no operator means.
    if not text or not text.isascii():
        raise ValueError(forms)
    return text


def _bound(text: str) -> Bound:
    if text.lower() in ENDS:
        return ENDS[text.lower()]
    match = _MHZ.fullmatch(text)
    if match:
        return Bound("MHz", int(match[1]))
    match = _SHARE.fullmatch(text)
    if match:
        if match[2].lower() == "default":
            raise ValueError(
                f"{CLOCK_FORMS}; '%default' means nothing for clocks: the only default clocks NVIDIA had "
                "are application clocks, which are deprecated"
            )
        return Bound(*_share(match, ("max", "range"), CLOCK_FORMS))
    raise ValueError(CLOCK_FORMS)


def _share(match: re.Match[str], bases: tuple[str, ...], forms: str) -> tuple[str, int]:
    base = match[2].lower()
    if not base:
        raise ValueError(f"{forms}; a bare '%' does not say of what")
    if base not in bases:
        raise ValueError(forms)
    whole, _dot, part = match[1].partition(".")
    amount = int(whole) * 100 + int(part.ljust(2, "0") or 0)
    if base != "default" and amount > WHOLE:
        raise ValueError(f"at most 100%{base}")
    return base, amount
