# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How MIG instances and layouts are written. Pure; also used on the controller.

One GPU instance is `3g.40gb`: compute slices and memory. `+me`, `+gfx`, `-me` are attributes of a profile,
`:4` is the memory slice it begins at (as `nvidia-smi mig -cgi` writes it), `(2c, 1c)` are its compute
instances; without them it has one that fills it. `1c.3g.40gb` is a compute instance of one slice in a
`3g.40gb`. Some boards have two kinds of compute instances of one size: `1c/7` is the one that the driver
numbers 7, where `1c` is not it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

DISABLED, ENABLED, EXACT, ALL, BALANCED = "disabled", "enabled", "exact", "all", "balanced"

OFF_WORDS = ("disabled", "all-disabled", "off", "false", "no")
ON_WORDS = ("enabled", "all-enabled", "on", "true", "yes")
BALANCED_WORDS = ("balanced", "all-balanced")
WORDS = (*OFF_WORDS, *ON_WORDS, *BALANCED_WORDS)

MOST = 64
"""More instances of one profile than any board has; a larger count is a mistake in writing."""

FORMS = (
    "'disabled', 'enabled' (instances left alone), 'balanced', 'all-' and a profile such as all-1g.10gb, "
    "a list such as [3g.40gb, 3g.40gb], a map from profile to count such as {1g.10gb: 7}, "
    "or a name from gpu_mig_layouts"
)
PROFILE_FORM = "a profile such as 1g.10gb, 3g.40gb, 1g.10gb+me or, for a compute instance, 1c.3g.40gb"

_INSTANCE = re.compile(
    r"(?:(?P<c>[1-9])c\.)?(?P<name>(?P<g>[1-9])g\.[1-9][0-9]*gb(?:[+-][a-z][a-z.,]*)*)"
    r"(?::(?P<start>[0-9]{1,2}))?(?:\s*\((?P<compute>[^()]*)\))?",
    re.IGNORECASE,
)
_COMPUTE = re.compile(r"(?P<c>[1-9])c(?:/(?P<number>[0-9]{1,2}))?(?:\.(?P<name>\S+))?", re.IGNORECASE)
_NONE = "none"
_VARIANT = 10


class Refusal(ValueError):
    """Something written that is no layout. `value` is the part at fault, the text what is allowed."""

    def __init__(self, value: Any, allowed: str) -> None:
        self.value = value
        super().__init__(allowed)


@dataclass(frozen=True)
class Wanted:
    """One GPU instance. `compute`: kinds of its compute instances, largest first; `start` None: anywhere."""

    profile: str
    compute: tuple[int, ...]
    start: Optional[int] = None

    def __str__(self) -> str:
        where = "" if self.start is None else f":{self.start}"
        if self.compute == (slices_of(self.profile),):
            return f"{self.profile}{where}"
        inside = ", ".join(kind_text(kind) for kind in self.compute) or _NONE
        return f"{self.profile}{where} ({inside})"


@dataclass(frozen=True)
class Layout:
    """What one GPU is asked to be. `profile` belongs to `all`, `instances` to `exact`."""

    kind: str
    instances: tuple[Wanted, ...] = ()
    profile: str = ""


def slices_of(profile: str) -> int:
    """Compute slices of a GPU instance profile by its name: `3g.40gb` → 3."""
    return int(profile.partition("g.")[0])


def compute_kind(slices: int, number: Optional[int] = None) -> int:
    """A kind of compute instance: its slices, with the driver's number if it is a second kind."""
    return slices if number is None else (number + 1) * _VARIANT + slices


def kind_text(kind: int) -> str:
    """`2c`, or `1c/7` for a second kind."""
    variant, slices = divmod(kind, _VARIANT)
    return f"{slices}c/{variant - 1}" if variant else f"{slices}c"


def largest_first(kinds: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(kinds, key=lambda kind: (-(kind % _VARIANT), kind)))


def is_instance(raw: Any) -> bool:
    """Whether this is how a profile is written: what tells a layout's keys from selectors."""
    return isinstance(raw, str) and _INSTANCE.fullmatch(raw.strip()) is not None


def parse_layout(raw: Any, layouts: Optional[Mapping[Any, Any]] = None) -> Layout:
    """One GPU's layout. Raises Refusal."""
    if isinstance(raw, bool):
        return Layout(ENABLED if raw else DISABLED)
    if isinstance(raw, str):
        return _parse_text(raw, layouts or {})
    if isinstance(raw, Mapping):
        return _exact(raw, [_entry(name, value) for name, value in raw.items()])
    if isinstance(raw, Sequence):
        return _exact(raw, [_entry(item, 1) for item in raw])
    hint = "; a profile is named, not numbered" if isinstance(raw, (int, float)) else ""
    raise Refusal(raw, FORMS + hint)


def instance(text: str) -> Wanted:
    """One GPU instance from its text, as results and records have it. Raises Refusal."""
    found = _match(text)
    if found["c"]:
        raise Refusal(text, "a GPU instance such as 3g.40gb:0")
    return _wanted(text, found)


def texts(instances: Sequence[Wanted]) -> list[str]:
    """A layout as results and records have it: one text an instance, in the order of their places."""
    return [str(item) for item in sorted(instances, key=_order)]


def from_texts(values: Sequence[str]) -> tuple[Wanted, ...]:
    """The reverse of `texts`. Raises Refusal."""
    return tuple(instance(value) for value in values)


def _order(item: Wanted) -> tuple[int, str, tuple[int, ...]]:
    return (-1 if item.start is None else item.start, item.profile, item.compute)


def _parse_text(raw: str, layouts: Mapping[Any, Any]) -> Layout:
    word = raw.strip().lower()
    if word in OFF_WORDS:
        return Layout(DISABLED)
    if word in ON_WORDS:
        return Layout(ENABLED)
    if word in BALANCED_WORDS:
        return Layout(BALANCED)
    if raw.strip() in layouts:
        return _named(raw.strip(), layouts)
    if word.startswith("all-"):
        found = _INSTANCE.fullmatch(word[4:])
        if found is None or found["c"] or found["start"] or found["compute"] is not None:
            raise Refusal(raw, "'all-' and a GPU instance profile, such as all-1g.10gb")
        return Layout(ALL, profile=found["name"])
    if is_instance(raw):
        return _exact(raw, [_entry(raw, 1)])
    known = f" ({', '.join(map(str, layouts))})" if layouts else " (there is none)"
    raise Refusal(raw, FORMS + known)


def _named(name: str, layouts: Mapping[Any, Any]) -> Layout:
    try:
        return parse_layout(layouts[name])
    except Refusal as error:
        raise Refusal(error.value, f"in the layout {name!r}: {error}") from None


# -- lists and maps


@dataclass(frozen=True)
class _Entry:
    """`count` times this; `part`: slices of a compute instance that stands for itself, else 0."""

    item: Wanted
    count: int
    part: int = 0


def _exact(raw: Any, entries: Sequence[_Entry]) -> Layout:
    found = [entry.item for entry in entries if not entry.part for _number in range(entry.count)]
    parts: dict[str, list[int]] = {}
    for entry in entries:
        if entry.part:
            parts.setdefault(entry.item.profile, []).extend([entry.part] * entry.count)
    for profile, sizes in parts.items():
        found += [Wanted(profile, compute) for compute in _packed(sizes, slices_of(profile))]
    if not found:
        raise Refusal(
            raw, "at least one instance; 'enabled' leaves instances alone, 'disabled' turns MIG off"
        )
    return Layout(EXACT, tuple(sorted(found, key=_order)))


def _packed(sizes: Sequence[int], capacity: int) -> list[tuple[int, ...]]:
    """Compute instances put into as few GPU instances as first fit, largest first, needs."""
    bins: list[list[int]] = []
    for size in sorted(sizes, reverse=True):
        place = next((item for item in bins if sum(item) + size <= capacity), None)
        if place is None:
            bins.append(place := [])
        place.append(size)
    return [tuple(item) for item in bins]


def _entry(name: Any, value: Any) -> _Entry:
    """One key of a map with its value, or one item of a list."""
    found = _match(name)
    item = _wanted(name, found)
    part = int(found["c"]) if found["c"] else 0
    count = value
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in ("count", "compute")]
        if unknown:
            raise Refusal(unknown[0], "count and compute")
        count = value.get("count", 1)
        if value.get("compute") is not None:
            if part or found["compute"] is not None:
                raise Refusal(value, f"compute instances of {name} once")
            item = Wanted(item.profile, _compute(value["compute"], item.profile), item.start)
    return _Entry(item, _count(name, count), part)


def _match(raw: Any) -> re.Match[str]:
    found = _INSTANCE.fullmatch(raw.strip()) if isinstance(raw, str) else None
    if found is None:
        quote = "; put it in quotes if YAML read it as a number" if isinstance(raw, (int, float)) else ""
        raise Refusal(raw, PROFILE_FORM + quote)
    return found


def _wanted(raw: Any, found: re.Match[str]) -> Wanted:
    profile = found["name"].lower()
    start = int(found["start"]) if found["start"] else None
    if found["c"]:
        if start is not None or found["compute"] is not None:
            raise Refusal(raw, "a compute instance such as 1c.3g.40gb, without a place")
        _compute([f"{found['c']}c"], profile)
    if found["compute"] is None:
        return Wanted(profile, (slices_of(profile),), start)
    inside = found["compute"].strip()
    parts = [] if inside == _NONE else [part.strip() for part in inside.split(",")]
    return Wanted(profile, _compute(parts, profile), start)


def _compute(raw: Any, profile: str) -> tuple[int, ...]:
    """Kinds of the compute instances of one GPU instance, largest first."""
    slices = slices_of(profile)
    allowed = f"compute instances such as 1c.{profile}, of together at most {slices} slices"
    if isinstance(raw, str) or not isinstance(raw, Sequence):
        raise Refusal(raw, f"a list of {allowed}")
    kinds = []
    for item in raw:
        text = item.strip().lower() if isinstance(item, str) else ""
        found = _COMPUTE.fullmatch(text)
        if text == profile:
            kinds.append(slices)
        elif found and found["name"] in (None, profile):
            number = None if found["number"] is None else int(found["number"])
            kinds.append(compute_kind(int(found["c"]), number))
        else:
            raise Refusal(item, allowed)
    if sum(kind % _VARIANT for kind in kinds) > slices:
        raise Refusal(raw, allowed)
    return largest_first(kinds)


def _count(name: Any, raw: Any) -> int:
    allowed = f"how many of {name}: a whole number from 1 to {MOST}, or {{count: 1, compute: [1c, 1c]}}"
    text = str(raw).strip()
    if isinstance(raw, bool) or not isinstance(raw, (int, str)) or not re.fullmatch(r"[0-9]{1,3}", text):
        raise Refusal(raw, allowed)
    if not 1 <= int(text) <= MOST:
        raise Refusal(raw, allowed)
    return int(text)
