# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wishes, settings and the state of the packages layer. Pure data, and the check of what was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import BindError, Problem

NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.]")
"""A package name. One that ends in '-' is left out: apt-get would read it as a wish to remove."""

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

WORKING = ("installed", "triggers-awaited", "triggers-pending")
"""dpkg states in which a package can be used."""

BROKEN = ("half-installed", "unpacked", "half-configured")
"""dpkg states that an interrupted or failed dpkg leaves behind."""


@dataclass(frozen=True)
class Wish:
    """One package asked for; of several `names` any will do, the first that apt has is installed."""

    text: str
    names: tuple[str, ...]
    required: bool = False
    origin: str = ""


@dataclass(frozen=True)
class Settings:
    """How wishes are met.

    forbid: fnmatch patterns of packages that no transaction may touch
    provides: package -> Python module that makes the package unnecessary
    paths: directories searched for Python modules besides this interpreter's own
    update_cache: auto, always, never
    mode: apply, check (say what would be done), report (somebody else manages packages)
    """

    forbid: tuple[str, ...] = ()
    provides: dict[str, str] = field(default_factory=dict)
    paths: tuple[str, ...] = ()
    update_cache: str = "auto"
    mode: str = "apply"


@dataclass(frozen=True)
class Package:
    """A package as dpkg has it. `provides`: the virtual packages it stands for."""

    version: str
    status: str = "installed"
    broken: bool = False
    provides: tuple[str, ...] = ()

    @property
    def works(self) -> bool:
        return self.status in WORKING


@dataclass(frozen=True)
class Step:
    """One package of an apt transaction. action: install, upgrade, remove; versions or None."""

    action: str
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        version = self.after or self.before
        return f"{self.action} {self.name} {version}" if version else f"{self.action} {self.name}"


@dataclass(frozen=True)
class Simulation:
    """What apt would do to install `names`; `error` is why it would not, or ""."""

    names: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a wish is not met. `undecided`: only a run that may update the package lists can tell."""

    detail: str
    undecided: bool = False


@dataclass
class PackagesState:
    """Everything the plan looks at.

    has_apt: whether this node has apt-get and dpkg-query
    packages: name -> Package, `name:arch` for foreign architectures
    modules: Python module -> where it was found, for every module asked about
    chosen: wish text -> package to install; refused: wish text -> why not
    transaction: what installing all chosen packages at once does
    """

    has_apt: bool = True
    packages: dict[str, Package] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    chosen: dict[str, str] = field(default_factory=dict)
    refused: dict[str, Refusal] = field(default_factory=dict)
    transaction: Simulation | None = None
    notes: list[str] = field(default_factory=list)

    def provider(self, virtual: str) -> str:
        """An installed package that stands for the virtual one, or ""."""
        return next(
            (name for name, item in self.packages.items() if item.works and virtual in item.provides), ""
        )


@dataclass(frozen=True)
class Met:
    """How a wish is met already. by: package, provided, module; `where`: provider or file."""

    by: str
    name: str
    where: str = ""


def met(wish: Wish, state: PackagesState, provides: dict[str, str]) -> Met | None:
    """How the node meets the wish as it is, or None. An installed package comes before a module."""
    for name in wish.names:
        if name in state.packages and state.packages[name].works:
            return Met("package", name)
    for name in wish.names:
        if state.provider(name):
            return Met("provided", name, state.provider(name))
    for name in wish.names:
        where = state.modules.get(provides.get(name, ""))
        if where:
            return Met("module", name, where)
    return None


def wishes_from(names: list[Any], required: list[str], origins: dict[str, str]) -> list[Wish]:
    """Wishes from a module's options; the same text twice is one wish. Raises BindError.

    required, origins: by a wish's text, by one of its names, or `package` for all.
    """
    problems: list[Problem] = []
    found: dict[str, Wish] = {}
    for raw in names:
        text = "|".join(part.strip() for part in str(raw).split("|"))
        parts = tuple(dict.fromkeys(text.split("|")))
        keys = (str(raw), text, *parts, "package")
        origin = next((origins[key] for key in keys if key in origins), "task")
        if not all(NAME.fullmatch(part) for part in parts):
            allowed = (
                "a package name (small letters, digits, + . -) without a version, or several with | between"
            )
            problems.append(Problem("name", raw, allowed, origin))
            continue
        found[text] = Wish(text, parts, any(key in required for key in keys), origin)
    if problems:
        raise BindError(problems)
    return list(found.values())


def settings_from(params: dict[str, Any], mode: str) -> Settings:
    """Settings from a module's options. Raises BindError."""
    problems = []
    for package, module in params["provides"].items():
        if not NAME.fullmatch(str(package)) or not isinstance(module, str) or not MODULE.fullmatch(module):
            allowed = "package name: name of a Python module (python3-psutil: psutil)"
            problems.append(Problem("provides", {package: module}, allowed, "task"))
    for pattern in params["forbid"]:
        if not pattern.strip():
            problems.append(Problem("forbid", pattern, "a pattern that is not empty (libnvidia-*)", "task"))
    for path in params["extra_import_paths"]:
        if not path.startswith("/"):
            problems.append(Problem("extra_import_paths", path, "an absolute path", "task"))
    if params["lock_timeout"] < 0:
        problems.append(Problem("lock_timeout", params["lock_timeout"], "0 or more seconds", "task"))
    if problems:
        raise BindError(problems)
    return Settings(
        forbid=tuple(params["forbid"]),
        provides=dict(params["provides"]),
        paths=tuple(params["extra_import_paths"]),
        update_cache=params["update_cache"],
        mode=mode,
    )
