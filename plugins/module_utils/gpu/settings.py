# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of the gpu layer and the wishes for them. Pure; also used on the controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import BindError, Problem
from .modes import DEFAULT, parse_compute_mode, parse_toggle
from .quantity import Clocks, Power, parse_clocks, parse_power
from .selectors import ALL, Rule, Selector, parse_selector, short_name

POWER = "gpu.power_limit"
GRAPHICS = "gpu.graphics_clocks"
MEMORY = "gpu.memory_clocks"
PERSISTENCE = "gpu.persistence_mode"
COMPUTE = "gpu.compute_mode"
ACCOUNTING = "gpu.accounting_mode"
ECC = "gpu.ecc"
LOCKS = (GRAPHICS, MEMORY)
VOLATILE = (POWER, *LOCKS, ACCOUNTING)
"""Keys that the GPU loses, unless persistence is on, as soon as nothing uses it."""

RESET, RESET_VARIABLE = "reset", "gpu_reset"
"""The option that asks for defaults, and its variable; no key of its own."""

RESET_FORMS = "true, 'all', false, or a list of selectors such as [0, 'GPU-6f3a…']"
RESET_WORDS = {"all": True, "true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Setting:
    """One key: how it is asked for and how much changing it disturbs (`modes` may disturb more).

    default: the parsed form of "what the board has by itself"
    """

    key: str
    unit: str
    disruption: str
    parse: Callable[[Any], Any]
    default: Any = DEFAULT

    @property
    def option(self) -> str:
        """The module's option, `power_limit`."""
        return self.key.partition(".")[2]

    @property
    def variable(self) -> str:
        """The role's variable, `gpu_power_limit`: what operators write and messages name."""
        return f"gpu_{self.option}"


SETTINGS = {
    setting.key: setting
    for setting in (
        Setting(PERSISTENCE, "", "none", parse_toggle),
        Setting(POWER, "W", "perf", parse_power, Power("default")),
        Setting(GRAPHICS, "MHz", "perf", parse_clocks, Clocks()),
        Setting(MEMORY, "MHz", "perf", parse_clocks, Clocks()),
        Setting(ACCOUNTING, "", "none", parse_toggle),
        Setting(COMPUTE, "", "none", parse_compute_mode),
        Setting(ECC, "", "reboot", parse_toggle),
    )
}
"""In the order of application: without persistence the others would not last."""

OPTIONS = (*(setting.option for setting in SETTINGS.values()), RESET)
"""What `mistakes_in` knows how to check."""


@dataclass(frozen=True)
class Wish:
    """What is asked for of one key.

    reset: GPUs that are to have the default where no rule is about them; reset_origin: who asks for that
    recorded: it is the owner record's, so that a GPU that is away is no mistake
    """

    setting: Setting
    rules: tuple[Rule, ...]
    raw: Any
    origin: str = ""
    required: bool = False
    reset: tuple[Rule, ...] = ()
    reset_origin: str = ""
    recorded: bool = False

    def problem(self, allowed: str, value: Any, target: str = "") -> Problem:
        return Problem(self.setting.variable, value, allowed, self.origin, target)


@dataclass(frozen=True)
class Expect:
    """The GPUs a node must have. `count` None: any number but none."""

    gpu: str = ""
    count: int | None = None
    uniform: bool = False
    origin: str = ""

    def __str__(self) -> str:
        count = "at least one" if self.count is None else str(self.count)
        return f"{count} × {short_name(self.gpu) or 'GPU'}"


def parse_rules(setting: Setting, raw: Any) -> tuple[tuple[Rule, ...], list[tuple[Any, str]]]:
    """(rules, mistakes). A mistake is the (value, what is allowed); `null` leaves GPUs alone."""
    if not isinstance(raw, Mapping):
        raw = {ALL: raw}
    if not raw:
        return (), [(raw, "one value, or a map that is not empty")]
    rules: list[Rule] = []
    mistakes: list[tuple[Any, str]] = []
    for name, value in raw.items():
        selector = Selector(ALL)
        try:
            selector = parse_selector(name)
        except ValueError as error:
            mistakes.append((name, f"as a selector {error}"))
        try:
            rules.append(Rule(selector, value, None if value is None else setting.parse(value)))
        except ValueError as error:
            mistakes.append((value, str(error)))
    return tuple(rules), mistakes


def parse_reset(raw: Any) -> tuple[tuple[Rule, ...], list[tuple[Any, str]]]:
    """(rules, mistakes) of the option `reset`: true, "all", or a list of selectors. False is none."""
    if isinstance(raw, str) and raw.strip().lower() in RESET_WORDS:
        raw = RESET_WORDS[raw.strip().lower()]
    if isinstance(raw, bool):
        return ((Rule(Selector(ALL), DEFAULT, DEFAULT),) if raw else ()), []
    if not isinstance(raw, (list, tuple)):
        return (), [(raw, RESET_FORMS)]
    rules: list[Rule] = []
    mistakes: list[tuple[Any, str]] = []
    for name in raw:
        try:
            rules.append(Rule(parse_selector(name), DEFAULT, DEFAULT))
        except ValueError as error:
            mistakes.append((name, f"as a selector {error}"))
    return tuple(rules), mistakes


def mistakes_in(option: str, raw: Any) -> list[tuple[Any, str]]:
    """What is wrong with the writing of an option (`power_limit`, `reset`), as (value, what is allowed)."""
    if option == RESET:
        return parse_reset(raw)[1]
    return parse_rules(SETTINGS[f"gpu.{option}"], raw)[1]


def parse_wishes(
    options: Mapping[str, Any], origins: Mapping[str, str], required: Sequence[str]
) -> dict[str, Wish]:
    """Wishes by key from a module's options; an option that is None is no wish. Raises BindError."""
    problems = _unknown_required(required, origins)
    asked = options.get(RESET)
    reset, mistakes = ((), []) if asked is None else parse_reset(asked)
    problems += [Problem(RESET_VARIABLE, value, forms, origins.get(RESET, "")) for value, forms in mistakes]
    wishes: dict[str, Wish] = {}
    for key, setting in SETTINGS.items():
        raw = options.get(setting.option)
        if raw is None and not reset:
            continue
        rules, mistakes = ((), []) if raw is None else parse_rules(setting, raw)
        needed = any(name in (key, setting.variable, setting.option) for name in required)
        origin = origins.get(setting.option, "")
        wish = Wish(setting, rules, raw, origin, needed, reset, origins.get(RESET, ""))
        problems += [wish.problem(allowed, value) for value, allowed in mistakes]
        wishes[key] = wish
    if problems:
        raise BindError(problems)
    return wishes


def _unknown_required(required: Sequence[str], origins: Mapping[str, str]) -> list[Problem]:
    """A misspelt key would silently require nothing."""
    allowed = ", ".join(SETTINGS)
    return [
        Problem("required", name, allowed, origins.get("required", ""))
        for name in required
        if not any(name in (key, setting.variable, setting.option) for key, setting in SETTINGS.items())
    ]
