# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's apt configuration: which mirror, which way to fetch."""

from __future__ import annotations

import pytest

from lab import apt
from lab.errors import LabError

TARGETS = """\
Packages|main|bookworm-security|Debian|https://archive.example/debian-security/
Packages|stable|bookworm|Docker|https://docker.example/linux/debian/
Packages|main|bookworm|Vendor|https://vendor.example/debian/
Packages|main|bookworm|Debian|https://archive.example/debian/
Packages|contrib|bookworm|Debian|https://archive.example/debian/
Translations|main|bookworm|Debian|https://other.example/debian/
"""


def test_debians_own_source_wins_over_a_vendors_of_the_same_name() -> None:
    assert apt.choose_mirror(apt.parse_targets(TARGETS), "bookworm") == "https://archive.example/debian"


def test_before_the_first_update_the_uri_decides() -> None:
    text = (
        "Packages|main|trixie|$(ORIGIN)|https://vendor.example/tool/\n"
        "Packages|main|trixie|$(ORIGIN)|https://archive.example/debian/\n"
    )
    assert apt.choose_mirror(apt.parse_targets(text), "trixie") == "https://archive.example/debian"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Packages|main|noble|Ubuntu|https://archive.example/ubuntu/\n",
        "Packages|main|bookworm|Vendor|https://vendor.example/debian/\n",
        "Packages|main|bookworm-updates|Debian|https://archive.example/debian/\n",
    ],
)
def test_no_debian_archive_names_the_variable_that_helps(text: str) -> None:
    with pytest.raises(LabError, match=apt.MIRROR_VARIABLE):
        apt.choose_mirror(apt.parse_targets(text), "noble")


def test_only_ways_to_fetch_are_carried_over() -> None:
    dump = """\
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::Verify-Peer "true";
Acquire::httpsomething "x";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
Acquire::IndexTargets::deb::Packages::MetaKey "x";
Acquire::AllowInsecureRepositories "1";
APT::Install-Recommends "1";
"""
    assert apt.fetch_options(dump).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::https::Verify-Peer "true";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Retries "3";',
    ]


def test_a_mirror_named_by_hand_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(apt.MIRROR_VARIABLE, "https://mine.example/debian/")
    monkeypatch.setattr(apt, "KEYRINGS", (apt.Path("/"),))
    line = apt.source_line("trixie")
    assert line == "deb [signed-by=/] https://mine.example/debian trixie main contrib non-free"
