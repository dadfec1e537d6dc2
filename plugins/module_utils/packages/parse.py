# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what dpkg-query, apt-cache and apt-get print under LC_ALL=C. Pure."""

from __future__ import annotations

import re

from ..core.errors import NodeError
from .model import BROKEN, Package, Step

DPKG_FORMAT = (
    r"${Package}\t${Architecture}\t${db:Status-Status}\t${db:Status-Eflag}\t${Version}\t${Provides}\n"
)

_INST = re.compile(r"Inst (?P<name>\S+)(?: \[(?P<old>[^\]]*)\])? \((?P<new>\S+)[^)]*\)")
_REMV = re.compile(r"(?:Remv|Purg) (?P<name>\S+)(?: \[(?P<old>[^\]]*)\])?")
_STEP = re.compile(r"(?:Inst|Remv|Purg) ")


def parse_dpkg(text: str) -> dict[str, Package]:
    """Lines of DPKG_FORMAT -> name (`name:arch` for foreign architectures) -> Package."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 5]
    # dpkg itself is always of the node's own architecture.
    native = next((row[1] for row in rows if row[0] == "dpkg"), "")
    found = {}
    for name, arch, status, flag, version, provides in rows:
        own = not native or arch in (native, "all")
        virtual = tuple(re.split(r"[ (:]", part.strip())[0] for part in provides.split(",") if part.strip())
        broken = status in BROKEN or flag == "reinstreq"
        found[name if own else f"{name}:{arch}"] = Package(version, status, broken, virtual)
    return found


def parse_policy(text: str) -> dict[str, str]:
    """`apt-cache policy` -> name -> version apt would install; what it cannot install is left out."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line and not line[0].isspace():
            name = line.rstrip().rstrip(":")
        elif line.startswith("  Candidate:"):
            version = line.split(":", 1)[1].strip()
            if version != "(none)":
                found[name] = version
    return found


def parse_simulation(text: str) -> tuple[Step, ...]:
    """`apt-get -s` -> steps in apt's order; Conf lines repeat them and are passed over.

    Raises NodeError for a step that cannot be read: a guard rail must not overlook one.
    """
    steps = []
    for line in text.splitlines():
        if not _STEP.match(line):
            continue
        match = _INST.match(line)
        if match:
            action = "install" if match["old"] is None else "upgrade"
            steps.append(Step(action, match["name"], match["old"], match["new"]))
            continue
        match = _REMV.match(line)
        if line.startswith("Inst ") or not match:
            raise NodeError(f"cannot read what apt-get would do: {line!r}")
        steps.append(Step("remove", match["name"], match["old"], None))
    return tuple(steps)


def is_locked(err: str) -> bool:
    """Whether another process held one of the locks of apt or dpkg; nothing was done then."""
    return "Could not get lock" in err or "Unable to acquire the dpkg frontend lock" in err


def is_broken(err: str) -> bool:
    """Whether the node's packages were broken before anything was asked for."""
    return "E: dpkg was interrupted" in err or "E: Unmet dependencies. Try" in err


def complaint(out: str, err: str) -> str:
    """The reason of a failure in one line: what to do where that is known, else apt's own words."""
    errors = [line[2:].strip() for line in err.splitlines() if line.startswith("E:")]
    if "dpkg was interrupted" in err:
        return (
            "dpkg was interrupted on this node earlier: run 'dpkg --configure -a' there and look at what "
            "it says, then run this again"
        )
    if "Unmet dependencies. Try" in err:
        return (
            "installed packages of this node lack their dependencies: run 'apt-get --fix-broken install' "
            "there and look at what it would do, then run this again"
        )
    if is_locked(err):
        return f"another process is using apt or dpkg: {errors[0] if errors else err.strip()}"
    errors = [text for text in errors if not text.startswith("Can not write log")]
    # dpkg gives its reason in the line after.
    dpkg = [
        " ".join(found).strip() for found in re.findall(r"^(dpkg: error.*)\n?(?: (.*))?", err, re.MULTILINE)
    ]
    unmet = re.findall(r"^ \S+ : .*$", out, re.MULTILINE)
    words = [*dpkg, *errors, *(line.strip() for line in unmet)] or (err or out).strip().splitlines()[-3:]
    return "; ".join(words) or "no message"
