# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw: rules with our comment. ufw keeps them over a boot by itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Optional

from ..core.commands import Runner, must
from ..core.errors import NodeError
from .firewall_ranges import Opening, Step, comment_of, step_marked

_ADDED = re.compile(r"ufw ((?:route )?[a-z]+) (.*?)(?: comment '([^']*)')?")
"""A line of `ufw show added`."""

ALLOWS = {"allow": "", "route allow": "route "}
"""Action of a rule → how its item begins."""


@dataclass(frozen=True)
class UfwSurvey:
    """program: whether there is one; rules: (action, rule, comment)"""

    program: bool = False
    active: bool = False
    rules: tuple[tuple[str, str, str], ...] = ()


class Ufw:
    """A `firewall_managers.Manager`. Items: rules as `ufw show added` has them, without `allow`."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner

    def survey(self) -> UfwSurvey:
        """Raises NodeError."""
        status = self.runner(["ufw", "status"])
        if status.code == 127:
            return UfwSurvey()
        # `show added` reads files: it answers also while ufw is not active.
        added = must(self.runner, ["ufw", "show", "added"])
        active = status.good and "Status: active" in status.out
        return UfwSurvey(True, active, parse_added(added))

    def absent(self, survey: UfwSurvey) -> str:
        return "" if survey.program else "ufw is not on this node"

    def unusable(self, survey: UfwSurvey) -> str:
        return ""

    def asleep(self, survey: UfwSurvey) -> str:
        if survey.active:
            return ""
        return "ufw is not active: what was opened in it is there when it is switched on again"

    def refusal(self, survey: UfwSurvey, opening: Opening) -> str:
        if survey.active:
            return ""
        return "a firewall that is active here: ufw is not (`ufw status`)"

    def notes(self, survey: UfwSurvey, opening: Opening) -> list[str]:
        return []

    def step(self, survey: UfwSurvey, mesh: str, opening: Optional[Opening], applied: list[str]) -> Step:
        ours = self.live(survey, mesh, [])
        comment = comment_of(mesh)
        # The same rule of somebody else: ufw would only give it our comment.
        theirs = {
            f"{ALLOWS[action]}{rule}"
            for action, rule, said in survey.rules
            if action in ALLOWS and said != comment
        }
        wanted = _rules(opening) if opening else []
        return step_marked([rule for rule in wanted if rule not in theirs], ours)

    def live(self, survey: UfwSurvey, mesh: str, watch: list[str]) -> list[str]:
        comment = comment_of(mesh)
        return sorted(
            {
                f"{ALLOWS[action]}{rule}"
                for action, rule, said in survey.rules
                if action in ALLOWS and said == comment
            }
        )

    def change(self, mesh: str, add: list[str], remove: list[str]) -> None:
        """The new before the old goes. Raises NodeError."""
        for rule in add:
            self._ask([*_route(rule), *_allow(rule), "comment", comment_of(mesh)])
        for rule in remove:
            self._ask([*_route(rule), "delete", *_allow(rule)])

    def _ask(self, words: list[str]) -> None:
        try:
            must(self.runner, ["ufw", *words])
        except NodeError as error:
            # firewalld, when it starts, deletes ufw's chains, and ufw does not say so.
            hint = "; is its ruleset loaded? `ufw reload` loads it" if "problem running" in str(error) else ""
            raise NodeError(f"{error}{hint}") from error


def parse_added(text: str) -> tuple[tuple[str, str, str], ...]:
    """What `ufw show added` says, as (action, rule, comment)."""
    found = [_ADDED.fullmatch(line.strip()) for line in text.splitlines()]
    return tuple((match[1], match[2], match[3] or "") for match in found if match)


def _rules(opening: Opening) -> list[str]:
    ports = f"{opening.first}:{opening.last}"
    # ufw forwards nothing by itself, but echo requests.
    routed = [f"route from {one} to {one}" for one in opening.prefixes if opening.transit]
    if not opening.sources:
        return [f"{ports}/udp", *routed]
    return [*(f"from {source} to any port {ports} proto udp" for source in opening.sources), *routed]


def _route(item: str) -> list[str]:
    return ["route"] if item.startswith("route ") else []


def _allow(item: str) -> list[str]:
    return ["allow", *item.removeprefix("route ").split()]
