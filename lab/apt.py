# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own apt configuration, as far as building a root file system needs it.

`apt-get indextargets` and `apt-config dump` have read every source form (one-line, deb822) already.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.shell import run

COMPONENTS = ("main", "contrib", "non-free")
KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
MIRROR_VARIABLE = "SWARM_NODE_LAB_MIRROR"

_FORMAT = "$(CREATED_BY)|$(COMPONENT)|$(RELEASE)|$(ORIGIN)|$(REPO_URI)"
# How to fetch, never what: proxies, timeouts, retries and the dates of snapshot mirrors.
_FETCH_OPTION = re.compile(
    r"Acquire::(?:https?(?:::\S+)?|Retries|Check-Valid-Until|Check-Date|ForceIPv[46]|Max-ValidTime)\s"
)


@dataclass(frozen=True)
class Target:
    """One index of the host's sources; `origin` is empty before the first `apt-get update`."""

    component: str
    release: str
    origin: str
    uri: str


def parse_targets(text: str) -> list[Target]:
    """The Packages indexes in the output of `apt-get indextargets --format …`."""
    targets = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) == 5 and fields[0] == "Packages":
            origin = "" if fields[3].startswith("$(") else fields[3]
            targets.append(Target(fields[1], fields[2], origin, fields[4].rstrip("/")))
    return targets


def choose_mirror(targets: list[Target], codename: str) -> str:
    """The URI of the Debian archive among the host's sources, without a trailing slash.

    A third party's source may bear the same release name: Debian's origin wins, then a URI that
    ends in /debian. Updates, backports and security live elsewhere or add nothing here.
    """
    names = {codename, "stable", "oldstable", "testing", "unstable", "sid", "bookworm", "trixie"}
    known = [t for t in targets if t.component == "main" and t.release in names]
    ranked = sorted(known, key=lambda t: (t.origin != "Debian", not t.uri.endswith("/debian")))
    if not ranked or ranked[0].origin not in ("", "Debian"):
        raise LabError(
            "the host's apt sources name no Debian archive (component main of a Debian release); "
            f"set {MIRROR_VARIABLE} to the URI of one"
        )
    return ranked[0].uri


def fetch_options(dump: str) -> str:
    """The lines of `apt-config dump` on how to fetch, as an apt.conf text (may be empty)."""
    lines = [line for line in dump.splitlines() if _FETCH_OPTION.match(line) and not line.endswith(' "";')]
    return "".join(line + "\n" for line in lines)


def _host_codename() -> str:
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    return ""


def source_line(suite: str) -> str:
    """The apt source for `suite`, from the same archive as the host's."""
    mirror = os.environ.get(MIRROR_VARIABLE, "").rstrip("/")
    if not mirror:
        targets = parse_targets(run(["apt-get", "indextargets", "--format", _FORMAT]))
        mirror = choose_mirror(targets, _host_codename())
    keyring = next((path for path in KEYRINGS if path.exists()), None)
    if keyring is None:
        raise LabError("no Debian archive keyring; install the package debian-archive-keyring")
    return f"deb [signed-by={keyring}] {mirror} {suite} {' '.join(COMPONENTS)}"


def configuration() -> str:
    """An apt.conf text with the host's fetch options and its file of logins, if it has one."""
    text = fetch_options(run(["apt-config", "dump"]))
    if Path("/etc/apt/auth.conf").exists():
        text += 'Dir::Etc::netrc "/etc/apt/auth.conf";\n'
    if Path("/etc/apt/auth.conf.d").is_dir():
        text += 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d/";\n'
    return text
