# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is to open the ports: what was asked for, or what `auto` finds on the node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.commands import Runner
from ..core.files import read_text
from .firewall_match import Packet
from .firewall_ranges import Opening
from .firewall_ruleset import Blocker, blockers, parse_ruleset
from .firewall_wish import Wish

LEGACY = "/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"
"""Tables of the old iptables that are loaded: the command that shows them would load them itself."""

TABLES = {
    "": (),
    # With its back end iptables, firewalld's rules are in the tables of iptables.
    "firewalld": (
        ("inet", "firewalld"),
        ("ip", "firewalld"),
        ("ip6", "firewalld"),
        ("ip", "filter"),
        ("ip6", "filter"),
    ),
    "ufw": (("ip", "filter"), ("ip6", "filter")),
}
"""Manager → tables (family, name) that are its own."""


BOTH = (
    "firewalld and ufw, both of them active",
    "one of the two: `ufw disable`, or `systemctl disable --now firewalld` and `ufw reload` (firewalld "
    "deletes ufw's rules when it starts); or none, where you open the ports in both",
)

ENABLED = "/etc/ufw/ufw.conf"
"""Says whether ufw is switched on: its command takes long."""


@dataclass(frozen=True)
class Choice:
    """manager: as in `Wish.manager`, "" for nobody; refusal: (what was found, what to do)"""

    manager: str = ""
    refusal: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)


def choose(wish: Wish, openings: Sequence[Opening], root: Path, runner: Runner) -> Choice:
    """Raises NodeError."""
    if wish.kind == "none":
        return Choice()
    if wish.kind != "auto":
        return Choice(wish.manager)
    manager = _running(runner)
    if manager == "firewalld" and _ufw_too(root, runner):
        return Choice(refusal=(BOTH,))
    refusal, notes = _dropping(manager, openings, runner)
    if manager != "ufw":
        refusal += _legacy(root, runner)
    return Choice(manager, tuple(refusal), tuple(notes))


def packets_of(openings: Sequence[Opening]) -> list[Packet]:
    """The first packets of tunnels, by IP version; from anywhere: of both."""
    found = []
    for opening in openings:
        for version in (4, 6):
            sources = opening.of_version(version)
            if sources or not opening.sources:
                found.append(Packet(version, (opening.first, opening.last), sources))
    return found


def legacy_drops(saved: str) -> str:
    """Why the INPUT chain of `iptables-legacy-save` keeps tunnels out, or "". Pure."""
    table = ""
    for line in saved.splitlines():
        words = line.split()
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter" and words[:2] == [":INPUT", "DROP"]:
            return "the policy of INPUT is DROP"
        elif (
            table == "filter" and words[:3] == ["-A", "INPUT", "-j"] and words[3:4] in (["DROP"], ["REJECT"])
        ):
            return f"INPUT ends with {words[3]}"
    return ""


# -- inside


def _running(runner: Runner) -> str:
    state = runner(["firewall-cmd", "--state"])
    if state.good and state.out.strip() == "running":
        return "firewalld"
    status = runner(["ufw", "status"])
    return "ufw" if status.good and "Status: active" in status.out else ""


def _ufw_too(root: Path, runner: Runner) -> bool:
    if "ENABLED=yes" not in (read_text(root / ENABLED.lstrip("/")) or "").split():
        return False
    status = runner(["ufw", "status"])
    return status.good and "Status: active" in status.out


def _dropping(
    manager: str, openings: Sequence[Opening], runner: Runner
) -> tuple[list[tuple[str, str]], list[str]]:
    listed = runner(["nft", "-j", "list", "ruleset"])
    if listed.code == 127:
        return [], []
    try:
        ruleset = parse_ruleset(json.loads(listed.out)) if listed.good else None
    except (ValueError, KeyError, TypeError, AttributeError):
        ruleset = None
    if ruleset is None:
        said = " ".join(listed.err.split()) or "an answer that is not understood"
        return [], [f"mesh.firewall: whether nftables keeps tunnels out is not known: nft says {said}"]
    found = blockers(ruleset, packets_of(openings), TABLES[manager])
    return [_refused(blocker, openings) for blocker in found], []


def _refused(blocker: Blocker, openings: Sequence[Opening]) -> tuple[str, str]:
    chain = blocker.chain
    ports = ", ".join(f"{one.first}-{one.last}" for one in openings)
    if chain.table == "firewalld":
        return (
            f"the rules of firewalld, which does not answer, and which keep out UDP {ports}",
            "a firewalld that answers (`firewall-cmd --state`): start it again; or none",
        )
    why = "its policy is drop" if chain.policy == "drop" else "a rule of it drops or rejects them, or may"
    return (
        f"the nftables chain {blocker.place}, which keeps out UDP {ports} by IPv{blocker.version}: {why}",
        f"'nft chain {blocker.place}' (a rule for these ports at its head), 'nft set FAMILY TABLE SET' "
        "(they are put into a set that its rules accept), or none where you open them yourself, or where "
        "nobody calls this node",
    )


def _legacy(root: Path, runner: Runner) -> list[tuple[str, str]]:
    found = []
    for names, command in zip(LEGACY, ("iptables-legacy-save", "ip6tables-legacy-save")):
        if "filter" not in (read_text(root / names.lstrip("/")) or "").split():
            continue
        saved = runner([command])
        why = legacy_drops(saved.out) if saved.good else ""
        if why:
            found.append(
                (
                    f"the old iptables ({command}): {why}",
                    "none, with a rule of yours for these ports: rules of the old iptables are not changed",
                )
            )
    return found
