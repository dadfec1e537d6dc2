# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides what the packages layer changes. Pure: wishes, state and record in, plan out."""

from __future__ import annotations

import sys

from ..core.model import Change, Claim, Plan, Unapplied
from ..core.store import Record
from .model import Met, PackagesState, Refusal, Settings, Step, Wish, met

PREFIX = "package "
"""Claim names are `package <name>`: every layer's owner records share one space of names."""


def plan_packages(wishes: list[Wish], settings: Settings, state: PackagesState, record: Record) -> Plan:
    """One apt transaction for all wishes.

    Presence is the wish: whatever version is installed is right, and two owners may want one package.
    """
    planner = _Planner(settings, state, record)
    for wish in wishes:
        planner.wish(wish)
    planner.transaction(wishes)
    planner.claims(wishes)
    planner.plan.notes.extend(state.notes)
    return planner.plan


class _Planner:
    def __init__(self, settings: Settings, state: PackagesState, record: Record) -> None:
        self.settings = settings
        self.state = state
        self.record = record
        self.plan = Plan()
        steps = state.transaction.steps if state.transaction else ()
        self.steps = {step.name: step for step in steps}

    def wish(self, wish: Wish) -> None:
        """Live value, outcome and details of one wish."""
        how = met(wish, self.state, self.settings.provides)
        target = how.name if how else self.state.chosen.get(wish.text, wish.text)
        version = self._version(target)
        step = None if how else self.steps.get(target)
        refusal = None if how or step else self._refusal(wish)
        self.plan.before[PREFIX + target] = version
        self.plan.after[PREFIX + target] = step.after if step else version
        if how:
            self._note(how)
        if refusal:
            # What cannot be known here must not fail a check: the real run decides it.
            required = wish.required and not refusal.undecided
            self.plan.unapplied.append(
                Unapplied(
                    "package", "present", "unsupported", refusal.detail, version, target,
                    required=required, origin=wish.origin,
                )
            )  # fmt: skip
        self._detail(wish, target, how, step, refusal)

    def _version(self, name: str) -> str | None:
        package = self.state.packages.get(name)
        return package.version if package and package.works else None

    def _refusal(self, wish: Wish) -> Refusal:
        """Why nothing is done. A Python module can be had in other ways: it says so."""
        modules = [self.settings.provides[name] for name in wish.names if name in self.settings.provides]
        other = ""
        if modules:
            option = "extra_import_paths (gpu_pynvml_path)" if "pynvml" in modules else "extra_import_paths"
            other = f"or give a directory with the Python module {modules[0]} in {option}"
        if not self.state.has_apt:
            words = f"needs apt; install {wish.text} with this distribution's package manager"
            return Refusal(f"{words}, {other}" if other else words)
        found = self.state.refused.get(wish.text, Refusal("apt does not install it"))
        return Refusal(f"{found.detail}; install it yourself, {other}", found.undecided) if other else found

    def _note(self, how: Met) -> None:
        module = self.settings.provides.get(how.name, "")
        if how.by == "module":
            self.plan.notes.append(
                f"{how.name} is not installed; its Python module {module} is found at {how.where}, "
                "which is enough"
            )
        elif how.by == "provided":
            self.plan.notes.append(f"{how.name} is provided by the installed package {how.where}")
        elif module and module not in self.state.modules:
            self.plan.notes.append(
                f"{how.name} is installed, but {sys.executable} does not find its Python module {module}: "
                "that interpreter is not the distribution's own"
            )

    def _detail(
        self, wish: Wish, target: str, how: Met | None, step: Step | None, refusal: Refusal | None
    ) -> None:
        module = self.settings.provides.get(target)
        live = self._version(target)
        held = PREFIX + target in self.record.claims or step is not None
        self.plan.details.append(
            {
                "key": "package",
                "target": target,
                "wanted": "present",
                "live": live,
                "met_by": how.by if how else None,
                "python_module": module,
                "found_at": self.state.modules.get(module or ""),
                "pending": step is not None and self.settings.mode == "check",
                "undecided": refusal is not None and refusal.undecided,
                "persistent": "dpkg" if live or step else None,
                "after_reboot": step.after if step else live,
                "owner": self.record.owner if held else None,
                "origin": wish.origin,
            }
        )

    # -- the one apt call

    def transaction(self, wishes: list[Wish]) -> None:
        """One change per package. The last one carries the call: a failure then undoes all of them."""
        if not self.state.transaction:
            return
        asked = {self.state.chosen[wish.text]: wish for wish in wishes if wish.text in self.state.chosen}
        names = list(self.state.transaction.names)
        along = [step for step in self.state.transaction.steps if step.name not in asked]
        for step in [*along, *(self.steps[name] for name in names)]:
            self.plan.changes.append(self._change(step, asked.get(step.name), names))
        carrier = self.plan.changes[-1]
        carrier.implied = False
        carrier.data = {
            "names": names,
            "steps": [str(step) for step in self.state.transaction.steps],
            "new": [step.name for step in self.state.transaction.steps if step.before is None],
        }

    def _change(self, step: Step, wish: Wish | None, names: list[str]) -> Change:
        new = step.before is None
        return Change(
            "package", step.before, step.after, target=step.name, implied=True,
            undo="exact" if new else "none",
            origin=wish.origin if wish else "",
            why="as asked for" if wish else f"comes along with {', '.join(names)}",
            claim=PREFIX + step.name if wish else "",
        )  # fmt: skip

    # -- the owner record

    def claims(self, wishes: list[Wish]) -> None:
        """Keeps what we installed on record while it is asked for; never removes a package."""
        for change in self.plan.changes:
            if change.claim:
                self.plan.claims[change.claim] = Claim(None, change.after)
        wanted = {PREFIX + name for wish in wishes for name in wish.names}
        for claim_name, claim in sorted(self.record.claims.items()):
            if claim_name in self.plan.claims:
                continue
            if not claim_name.startswith(PREFIX):
                self.plan.claims[claim_name] = claim  # Another layer's, under the same owner.
                continue
            name = claim_name[len(PREFIX) :]
            live = self._version(name)
            # Without apt there is no telling what is installed, and no reason to forget.
            if claim_name in wanted and (live is not None or not self.state.has_apt):
                self.plan.claims[claim_name] = claim
            else:
                self._release(name, claim, live, claim_name in wanted)

    def _release(self, name: str, claim: Claim, live: str | None, wanted: bool) -> None:
        if wanted:
            why = f"{name} is no longer installed: it is not ours any more"
        elif live is None:
            why = f"{name} is no longer asked for, nor installed"
        else:
            why = (
                f"{name} is no longer asked for; it stays installed, because other software may use it "
                f"by now (apt-get remove {name} removes it)"
            )
        self.plan.notes.append(why)
        # `record` is the engine's bookkeeping: nothing is applied, but the record is written.
        self.plan.changes.append(
            Change("record", claim.applied, None, target=PREFIX + name, undo="none", why=why)
        )
