# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out what the plan must know: what is there, what apt has, and what installing it would do."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Protocol

from ..core.errors import NodeError
from .model import Package, PackagesState, Refusal, Settings, Simulation, Step, Wish, met


class Reader(Protocol):
    """What the survey needs of the port."""

    def has_apt(self) -> bool: ...
    def packages(self) -> dict[str, Package]: ...
    def modules(self, names: Iterable[str], paths: Iterable[str]) -> dict[str, str]: ...
    def candidates(self, names: Iterable[str]) -> dict[str, str]: ...
    def simulate(self, names: Iterable[str]) -> Simulation: ...
    def is_fresh(self) -> bool: ...
    def refresh(self) -> str: ...
    def download(self, names: Iterable[str]) -> str: ...


def survey(wishes: list[Wish], settings: Settings, port: Reader) -> PackagesState:
    """The state for these wishes. Only a run that may change the node updates lists and loads packages.

    Loading them belongs here, not to the transaction: the plan then has the versions that will be
    installed, and a mirror that fails fails the run before anything is changed. Raises NodeError.
    """
    return _Survey(wishes, settings, port).run()


class _Survey:
    def __init__(self, wishes: list[Wish], settings: Settings, port: Reader) -> None:
        self.wishes = wishes
        self.settings = settings
        self.port = port
        self.state = PackagesState(has_apt=port.has_apt())
        self.refreshed = False
        self.fresh = False
        self.refresh_problem = ""

    def run(self) -> PackagesState:
        state = self.state
        if state.has_apt:
            state.packages = self.port.packages()
        state.modules = self.port.modules(self.settings.provides.values(), self.settings.paths)
        missing = [wish for wish in self.wishes if met(wish, state, self.settings.provides) is None]
        if missing and state.has_apt:
            self._check_dpkg()
            self._look_up(missing)
            if self.settings.mode == "apply":
                self._load(missing)
        return state

    def _check_dpkg(self) -> None:
        """apt would finish other packages' interrupted installation along with ours: not our business."""
        broken = [f"{name} ({item.status})" for name, item in self.state.packages.items() if item.broken]
        if broken:
            raise NodeError(
                "nothing was changed: dpkg was interrupted on this node, or a package's script failed: "
                f"{', '.join(broken)}; run 'dpkg --configure -a' there, then run this again"
            )

    # -- package lists

    def _look_up(self, missing: list[Wish]) -> None:
        names = list(dict.fromkeys(name for wish in missing for name in wish.names))
        may = self.settings.mode == "apply"
        if may and self.settings.update_cache == "always" and not self.refreshed:
            self._refresh()
        known = self.port.candidates(names)
        unknown = any(not set(wish.names) & set(known) for wish in missing)
        if unknown and may and self.settings.update_cache == "auto" and not self.refreshed:
            # A package that stays unknown must not make every run load all lists again.
            self.fresh = self.port.is_fresh()
            if not self.fresh:
                self._refresh()
                known = self.port.candidates(names)
        self._choose(missing, known)

    def _refresh(self) -> None:
        self.refreshed = True
        self.refresh_problem = self.port.refresh()
        note = "the package lists were updated"
        if self.refresh_problem:
            note = f"the package lists could not all be updated: {self.refresh_problem}"
        self.state.notes.append(note)

    def _unknown(self, wish: Wish) -> Refusal:
        words = f"unknown package: apt has nothing to install for {' or '.join(wish.names)}"
        if self.refreshed:
            problem = self.refresh_problem
            failed = f", and updating the lists failed: {problem}" if problem else ""
            return Refusal(f"{words}, also after an update of its lists{failed}")
        if self.settings.update_cache == "never":
            return Refusal(f"{words}, and its lists may not be updated (update_cache: never)")
        if self.fresh:
            return Refusal(
                f"{words}; its lists are less than an hour old (update_cache: always updates them)"
            )
        old = "its lists may be old, and only a run that changes the node updates them"
        return Refusal(f"{words}; {old}", undecided=True)

    # -- what apt would do

    def _choose(self, missing: list[Wish], known: dict[str, str]) -> None:
        """Picks alternatives and finds the largest transaction, in the order asked for, that is allowed."""
        state = self.state
        state.chosen, state.refused, state.transaction = {}, {}, None
        for wish in missing:
            name = next((name for name in wish.names if name in known), "")
            if name:
                state.chosen[wish.text] = name
            else:
                state.refused[wish.text] = self._unknown(wish)
        names = list(dict.fromkeys(state.chosen.values()))
        if not names:
            return
        together = self.port.simulate(names)
        problem = objection(together, self.settings.forbid)
        if not problem:
            state.transaction = together
        elif len(names) == 1:
            self._refuse(names[0], problem)
        else:
            self._choose_one_by_one(names)

    def _choose_one_by_one(self, names: list[str]) -> None:
        accepted: list[str] = []
        for name in names:
            attempt = self.port.simulate([*accepted, name])
            problem = objection(attempt, self.settings.forbid)
            if problem:
                self._refuse(name, problem)
            else:
                accepted.append(name)
                self.state.transaction = attempt

    def _refuse(self, name: str, problem: str) -> None:
        for text in [text for text, chosen in self.state.chosen.items() if chosen == name]:
            del self.state.chosen[text]
            self.state.refused[text] = Refusal(f"{name}: {problem}")

    # -- loading

    def _load(self, missing: list[Wish]) -> None:
        """Raises NodeError if a package cannot be loaded, also after an update of old lists."""
        if any(wish.required and wish.text in self.state.refused for wish in missing):
            return  # The run stops before the first change: nothing to load.
        problem = self._download()
        if problem and self.settings.update_cache == "auto" and not self.refreshed:
            self._refresh()
            self._look_up(missing)
            problem = self._download()
        if problem:
            raise NodeError(f"nothing was changed: a package cannot be downloaded: {problem}")

    def _download(self) -> str:
        return self.port.download(self.state.transaction.names) if self.state.transaction else ""


def objection(simulation: Simulation, forbid: tuple[str, ...]) -> str:
    """Why a transaction is not allowed, or "". Pure."""
    if simulation.error:
        return f"apt cannot install it: {simulation.error}"
    removed = [step for step in simulation.steps if step.action == "remove"]
    if removed:
        return f"apt would {', '.join(map(str, removed))}, and nothing may be removed for it"
    touched = [(step, _pattern(step, forbid)) for step in simulation.steps]
    bad = [f"{step} (forbidden by {pattern})" for step, pattern in touched if pattern]
    if bad:
        return f"apt would {', '.join(bad)}"
    coming = {step.name for step in simulation.steps}
    absent = [name for name in simulation.names if name not in coming]
    return f"apt would not install {', '.join(absent)}" if absent else ""


def _pattern(step: Step, forbid: tuple[str, ...]) -> str:
    name = step.name.split(":")[0]
    return next((pattern for pattern in forbid if fnmatchcase(name, pattern)), "")
