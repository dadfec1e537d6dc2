# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sysctl.d language and the plan, on what nobody thought of."""

from __future__ import annotations

import string
from typing import Any

from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.kernel.boot import (
    BootFile,
    BootFiles,
    parse_tmpfiles,
    reading_order,
)
from ansible_collections.swarm.node.plugins.module_utils.kernel.sysctl_conf import (
    Entry,
    at_least,
    canonical,
    display,
    normalise,
    numbers,
    parse,
    render,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_cases import OURS, applied, claims_of, plan, state, undone, values

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

part = st.text(string.ascii_letters + string.digits + "._-@:", min_size=1, max_size=8)
path = st.lists(part, min_size=1, max_size=5).map("/".join).filter(lambda item: item[0] not in "-#;")
value = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=12)
texts = st.lists(value, min_size=1, max_size=3).map(" ".join).map(normalise).filter(bool)
ints = st.integers(-(2**63), 2**64)
triples = st.lists(ints, min_size=1, max_size=3).map(lambda items: " ".join(map(str, items)))


@quick
@given(path)
def test_display_and_canonical_are_inverse(name):
    assert canonical(display(name)) == name


@quick
@given(st.dictionaries(path, texts, max_size=6), part)
def test_what_is_rendered_parses_to_the_same(values_, owner):
    assert {entry.key: entry.value for entry in parse(render(owner, values_))} == values_


@quick
@given(st.text())
def test_no_text_makes_the_parsers_raise(text):
    for entry in parse(text) + parse_tmpfiles(text):
        assert entry.key
        entry.matches("net/core/rmem_max")
    canonical(text)
    display(canonical(text))


@quick
@given(triples, triples)
def test_at_least_never_lowers_and_is_idempotent(live, wanted):
    result = at_least(live, wanted)
    assert at_least(result, wanted) == result
    have, got, want = numbers(live), numbers(result), numbers(wanted)
    assert all(high >= low for high, low in zip(got, want))
    if len(have) == len(want):
        assert all(high >= low for high, low in zip(got, have))
        assert all(high in pair for high, *pair in zip(got, have, want))


@quick
@given(st.text(max_size=8), st.text(max_size=8))
def test_at_least_of_anything_is_one_of_both_or_their_maximum(live, wanted):
    if numbers(live) is None or numbers(wanted) is None:
        assert at_least(live, wanted) == wanted


KEYS = ["net/a/x", "net/b/x", "net/a/y", "vm/x"]
PATTERNS = [*KEYS, "net/*/x", "net/a/*", "net/?/x", "*/x", "net/*"]
entries = st.builds(Entry, st.sampled_from(PATTERNS), st.sampled_from(["1", "2", "3", None]), st.just(0))
boot_files = st.lists(st.lists(entries, max_size=4).map(tuple), max_size=4)


def glob_matches(pattern: str, key: str) -> bool:
    """glob(7): part by part, `*` for any text and `?` for one sign."""
    mine, theirs = pattern.split("/"), key.split("/")
    if len(mine) != len(theirs):
        return False
    return all(a in ("*", b) or (a == "?" and len(b) == 1) for a, b in zip(mine, theirs))


def boot(files: list[tuple[Entry, ...]]) -> dict[str, str]:
    """What systemd-sysctl does: collects options in a map by name, then carries them out in order."""
    options: dict[str, str | None] = {}
    for entry in [entry for file in files for entry in file]:
        if entry.key in options and options[entry.key] == entry.value:
            continue
        options.pop(entry.key, None)
        options[entry.key] = entry.value
    kernel: dict[str, str] = {}
    for name, text in options.items():
        if text is None:
            continue
        if not any(mark in name for mark in "*?["):
            kernel[name] = text
            continue
        for key in KEYS:
            if glob_matches(name, key) and key not in options:
                kernel[key] = text
    return kernel


@settings(max_examples=300, deadline=None)
@given(boot_files)
def test_the_winner_is_what_the_boot_leaves_in_the_kernel(files):
    found = BootFiles(
        [BootFile(f"/etc/sysctl.d/{number}0.conf", items) for number, items in enumerate(files)]
    )
    left = boot(files)
    for key in KEYS:
        winner = found.winner(key)
        assert (winner[1] if winner else None) == left.get(key)


@quick
@given(boot_files, st.integers(0, 4), st.sampled_from(KEYS))
def test_the_winner_with_our_file_among_the_others(files, place, key):
    place = min(place, len(files))
    named = [BootFile(f"/etc/sysctl.d/{number}5.conf", items) for number, items in enumerate(files)]
    left = boot([*files[:place], (Entry(key, "9", 0),), *files[place:]])
    winner = BootFiles(named).winner(key, f"/etc/sysctl.d/{place}0.conf", "9")
    assert (winner[1] if winner else None) == left.get(key)


def test_order_of_reading_hides_files_of_the_same_name():
    listing = {"/etc/s": ["b.conf", "z.conf"], "/usr/s": ["a.conf", "b.conf"]}
    assert reading_order(listing, ("/etc/s", "/run/s", "/usr/s")) == [
        "/usr/s/a.conf",
        "/etc/s/b.conf",
        "/etc/s/z.conf",
    ]


number = st.integers(1, 200).map(str)
some_wishes = st.fixed_dictionaries(
    {},
    optional={
        "vm.swappiness": number,
        "vm.max_map_count": number.map(lambda text: f">={text}"),
        "net.ipv4.tcp_rmem": st.lists(st.integers(1, 10**7), min_size=3, max_size=3),
        "net/ipv4/conf/eth0.100/rp_filter": st.sampled_from([0, 1, ">=1"]),
        "net.ipv4.tcp_congestion_control": st.sampled_from(["bbr", "reno", "nonsense"]),
        "kernel.absent": number,
    },
)
dirty = st.sampled_from([{}, {"vm.dirty_ratio": 10}, {"vm.dirty_bytes": 8192}, {"vm.dirty_bytes": ">=16384"}])
wishes = st.builds(lambda one, two: {**one, **two}, some_wishes, dirty)
others = st.dictionaries(
    st.sampled_from(["/usr/lib/sysctl.d/10-x.conf", "/etc/sysctl.d/99-x.conf"]),
    st.sampled_from(["vm.swappiness=60", "vm.max_map_count=150", "vm.*=7", "-vm.swappiness", "net.ipv4.*=1"]),
)
thp = st.sampled_from([None, "always", "never"])
live = st.fixed_dictionaries({"vm.max_map_count": number, "vm.swappiness": number})


@quick
@given(live, others, st.lists(st.tuples(wishes, thp), min_size=1, max_size=4))
def test_every_plan_converges_can_be_undone_and_given_back(
    first_live, boot_text, rounds: list[tuple[Any, Any]]
):
    first = state(first_live, boot_text)
    node = first
    claims: dict[str, Claim] = {}
    for wish, word in rounds:
        found = plan(wish, node, claims, thp=word)
        after = applied(node, found)
        for key, text in found.after.items():
            assert text == (after.live[key].value if key in after.live else None)
        assert values(undone(after, found)) == values(node)
        node, claims = after, claims_of(found)
        again = plan(wish, node, claims, thp=word)
        assert (again.changes, claims_of(again)) == ([], claims)
    end = plan({}, node, claims)
    node = applied(node, end)
    assert values(node) == values(first)
    assert (claims_of(end), node.files[OURS]) == ({}, None)
