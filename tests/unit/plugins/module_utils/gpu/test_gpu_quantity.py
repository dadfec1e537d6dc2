# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How powers and clocks are written and bound to a board."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.gpu.quantity import (
    Clocks,
    PowerRange,
    parse_clocks,
    parse_power,
    parse_switch,
    watts,
)
from hypothesis import given
from hypothesis import strategies as st

H100 = PowerRange(200_000, 700_000, 700_000)
RAISED = PowerRange(100_000, 300_000, 350_000)
ODD = PowerRange(38_280, 70_000, 70_500)
STEPS = tuple(range(345, 1981, 15))


@pytest.mark.parametrize(
    ("raw", "board", "expected"),
    [
        (630, H100, 630_000),
        ("630", H100, 630_000),
        ("630W", H100, 630_000),
        ("630 W", H100, 630_000),
        (630.0, H100, 630_000),
        ("90%default", H100, 630_000),
        ("87.5%default", H100, 612_000),
        ("110%default", RAISED, 330_000),
        ("80%max", RAISED, 280_000),
        ("80%range", H100, 600_000),
        ("0%range", H100, 200_000),
        ("100%range", H100, 700_000),
        ("default", RAISED, 300_000),
        ("max", RAISED, 350_000),
        ("min", ODD, 38_280),
        ("0%range", ODD, 38_280),
        ("max", ODD, 70_500),
    ],
)
def test_power(raw: object, board: PowerRange, expected: int) -> None:
    assert parse_power(raw).bind(board) == expected


@pytest.mark.parametrize(
    "raw",
    ["80%", "80 %", "80%typical", "630kW", "", "-5", "-5W", "6e2", "0x10", "630.5W", 630.5, True, None, [630],
     "110%max", "101%range", "80%min", "٦٣٠", "default max", "1234567"],
)  # fmt: skip
def test_power_refused(raw: object) -> None:
    with pytest.raises(ValueError, match=r"watts such as 630|at most 100%|whole numbers"):
        parse_power(raw)


def test_a_bare_percent_is_explained() -> None:
    with pytest.raises(ValueError, match="a bare '%' does not say of what"):
        parse_power("80%")


@pytest.mark.parametrize("raw", [199, 701, "20%default", "10%max"])
def test_power_out_of_range_names_the_range(raw: object) -> None:
    with pytest.raises(ValueError, match=r"^200-700 W \(board default 700 W\)$"):
        parse_power(raw).bind(H100)


@pytest.mark.parametrize(
    ("raw", "expected", "moved"),
    [
        ("unlocked", "unlocked", ""),
        ("default", "unlocked", ""),
        (1980, [345, 1980], ""),
        ("1980MHz", [345, 1980], ""),
        ("1200-1980", [1200, 1980], ""),
        ("1200 MHz - 1980 MHz", [1200, 1980], ""),
        (1990 - 20, [345, 1965], "1970 to 1965 MHz"),
        ("1201-1979", [1200, 1965], "1201 to 1200, 1979 to 1965 MHz"),
        ("80%max", [345, 1575], "1584 to 1575 MHz"),
        ("60%max-90%max", [1185, 1770], "1188 to 1185, 1782 to 1770 MHz"),
        ("0%range-100%range", [345, 1980], ""),
        ("50%range", [345, 1155], "1162 to 1155 MHz"),
        ("1200-90%max", [1200, 1770], "1782 to 1770 MHz"),
        ("max", [1980, 1980], ""),
        ("min", [345, 345], ""),
        ("1200-max", [1200, 1980], ""),
        ("min-80%max", [345, 1575], "1584 to 1575 MHz"),
        ("100%max", [345, 1980], ""),
    ],
)
def test_clocks(raw: object, expected: object, moved: str) -> None:
    value, note = parse_clocks(raw).bind(STEPS)
    assert value == expected
    assert note.startswith(moved) and bool(note) == bool(moved)


@pytest.mark.parametrize(
    "raw",
    [
        "80%",
        "1980-1200",
        "1-2-3",
        "-1980",
        "1980-",
        "fast",
        True,
        None,
        {},
        "80%default",
        "150%max",
        "",
        "max-min",
        "max MHz",
        "unlocked-max",
    ],
)
def test_clocks_refused(raw: object) -> None:
    with pytest.raises(ValueError, match=r"unlocked|at most 100%"):
        parse_clocks(raw)


def test_percent_of_default_clocks_is_explained() -> None:
    with pytest.raises(ValueError, match="application clocks, which are deprecated"):
        parse_clocks("80%default")


@pytest.mark.parametrize(
    "raw", [300, 1981, "300-1500", "1500-2000", "10%max", "90%max-60%range", "1900-60%max"]
)
def test_clocks_out_of_range(raw: object) -> None:
    with pytest.raises(ValueError, match="345-1980 MHz"):
        parse_clocks(raw).bind(STEPS)


@pytest.mark.parametrize(
    ("raw", "expected"), [(True, True), ("yes", True), ("On", True), (1, True), (False, False), ("0", False)]
)
def test_switch(raw: object, expected: bool) -> None:
    assert parse_switch(raw) is expected


@pytest.mark.parametrize("raw", [2, "maybe", None, [], 1.0, ""])
def test_switch_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="true or false"):
        parse_switch(raw)


def test_watts_keep_what_is_not_whole() -> None:
    assert (watts(700_000), watts(38_280)) == (700, 38.28)


@given(st.one_of(st.text(max_size=12), st.integers(), st.floats(), st.booleans(), st.none()))
def test_parsers_refuse_with_value_error_only(raw: object) -> None:
    for parse in (parse_power, parse_clocks, parse_switch):
        try:
            parse(raw)
        except ValueError as error:
            assert str(error)


POWERS = st.one_of(
    st.integers(0, 2000),
    st.tuples(st.integers(0, 100), st.sampled_from(["default", "max", "range"])).map(
        lambda x: f"{x[0]}%{x[1]}"
    ),
    st.sampled_from(["default", "min", "max"]),
)


@given(POWERS, st.lists(st.integers(1, 2_000_000), min_size=3, max_size=3).map(sorted))
def test_a_bound_power_is_in_range(raw: object, limits: list[int]) -> None:
    board = PowerRange(*limits)
    try:
        assert board.minimum <= parse_power(raw).bind(board) <= board.maximum
    except ValueError as error:
        assert str(error) == str(board)


@given(st.integers(0, 100), st.integers(0, 100), st.sets(st.integers(1, 3000), min_size=1))
def test_bound_clocks_are_supported_and_never_above_the_wish(
    low: int, high: int, supported: set[int]
) -> None:
    try:
        value, _note = parse_clocks(f"{min(low, high)}%range-{max(low, high)}%range").bind(sorted(supported))
    except ValueError:
        pytest.fail("a share of the range is always in range")
    lowest, highest = min(supported), max(supported)
    assert set(value) <= supported and value[0] <= value[1]
    assert value[1] <= lowest + (highest - lowest) * max(low, high) / 100


def test_unlocked_needs_no_clocks_to_compare() -> None:
    assert parse_clocks("unlocked") == Clocks()
