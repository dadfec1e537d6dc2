# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GPU a wish is for."""

from __future__ import annotations

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.gpu.selectors import (
    Contradiction,
    Rule,
    Selector,
    choose,
    missing,
    parse_selector,
    short_name,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu.settings import mistakes_in, parse_wishes
from hypothesis import given
from hypothesis import strategies as st

UUID = "GPU-6f3aaaaa-0000-1111-2222-333344445555"
GPU = (0, UUID, "NVIDIA H100 80GB HBM3", "0000:5d:00.0")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("all", Selector("all")),
        (0, Selector("index", "0")),
        ("07", Selector("index", "7")),
        (UUID.upper().replace("GPU", "GPU"), Selector("uuid", UUID.lower())),
        ("NVIDIA H100 80GB HBM3", Selector("model", "H100 80GB HBM3")),
        ("H100 80GB HBM3", Selector("model", "H100 80GB HBM3")),
        ("Tesla T4", Selector("model", "T4")),
        ("NVIDIA Tesla T4", Selector("model", "T4")),
        ("0000:5d:00.0", Selector("pci", "0000:5d:00.0")),
        ("5D:00.0", Selector("pci", "0000:5d:00.0")),
        ("00000000:5D:00.0", Selector("pci", "0000:5d:00.0")),
    ],
)
def test_selector(raw: object, expected: Selector) -> None:
    assert parse_selector(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "-1",
        "GPU-",
        "GPU-xyz",
        "MIG-1234",
        "5d:00",
        "0000:5d:00",
        "0:5d:00.0",
        "5d:00.9",
        600.0,
        True,
        None,
        1.5,
        ["all"],
    ],
)
def test_selector_refused(raw: object) -> None:
    with pytest.raises(ValueError, match="'all', an index"):
        parse_selector(raw)


def rules(*entries: tuple[object, object]) -> list[Rule]:
    return [Rule(parse_selector(name), value, value) for name, value in entries]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("all", 1)], 1),
        ([("all", 1), ("H100 80GB HBM3", 2)], 2),
        ([("H100 80GB HBM3", 2), ("all", 1)], 2),
        ([("0", 3), ("H100 80GB HBM3", 2)], 3),
        ([(UUID, 4), ("0", 3), ("H100 80GB HBM3", 2), ("all", 1)], 4),
        ([("5d:00.0", 6), ("0", 3), ("all", 1)], 6),
        ([("5d:00.0", 6), (UUID, 4)], 4),
        ([("5e:00.0", 6), ("0", 3)], 3),
        ([("5d:00.0", None), ("0", 3)], None),
        ([("0000:5d:00.0", 6), ("5D:00.0", 6)], 6),
        ([("1", 3), ("all", 1)], 1),
        ([("0", None), ("all", 1)], None),
        ([("0", 5), (0, 5)], 5),
    ],
)
def test_the_most_specific_counts(entries: list[tuple[object, object]], expected: object) -> None:
    chosen = choose(rules(*entries), *GPU)
    assert chosen is not None and chosen.quantity == expected


def test_no_rule_for_another_model() -> None:
    assert choose(rules(("L40S", 1)), *GPU) is None


def test_equally_specific_and_different_is_a_contradiction() -> None:
    with pytest.raises(Contradiction, match=r"equally specific \(model\) say 600 and 650"):
        choose(rules(("H100 80GB HBM3", 600), ("NVIDIA H100 80GB HBM3", 650)), *GPU)


def test_a_contradiction_that_does_not_count_is_none() -> None:
    entries = rules(("H100 80GB HBM3", 600), ("NVIDIA H100 80GB HBM3", 650), ("0", 630))
    chosen = choose(entries, *GPU)
    # The model rules disagree before the index is seen, yet the index decides.
    assert chosen is not None and chosen.quantity == 630


def test_missing_names_indexes_addresses_and_uuids_only() -> None:
    entries = rules(
        ("7", 1), ("GPU-0000", 2), ("L40S", 3), ("all", 4), ("0", 5), ("5d:00.0", 6), ("5e:00.0", 7)
    )
    assert [str(selector) for selector in missing(entries, [GPU])] == ["7", "gpu-0000", "0000:5e:00.0"]


def test_a_gpu_whose_address_is_unknown_is_found_by_the_others() -> None:
    chosen = choose(rules(("5d:00.0", 6), ("0", 3)), *GPU[:3])
    assert chosen is not None and chosen.quantity == 3


def test_short_name_is_stable() -> None:
    assert short_name(short_name("NVIDIA Tesla  T4")) == "T4"


@given(st.one_of(st.text(max_size=20), st.integers(), st.booleans(), st.none(), st.floats()))
def test_selectors_refuse_with_value_error_only(raw: object) -> None:
    try:
        selector = parse_selector(raw)
    except ValueError as error:
        assert str(error)
    else:
        assert parse_selector(str(raw)) == selector


@given(
    st.from_regex(r"(0000:|00000000:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]", fullmatch=True),
    st.integers(0, 255),
)
def test_an_address_means_one_slot_however_it_is_written(raw: str, bus: int) -> None:
    selector = parse_selector(raw)
    address = f"0000:{raw.lower()[-7:]}"
    assert selector == Selector("pci", address) == parse_selector(f"0000{address}")
    other = f"0000:{bus:02x}:{raw.lower()[-4:]}"
    assert selector.matches(0, UUID, "T4", other) is (other == address)


def test_wishes_collect_every_mistake_with_key_and_origin() -> None:
    options = {"power_limit": {"all": "80%", "MIG-1": 600}, "graphics_clocks": "80%default"}
    with pytest.raises(BindError) as caught:
        parse_wishes(options, {"power_limit": "group train"}, ["gpu.power_limits"])
    problems = caught.value.problems
    assert [(item.key, item.value) for item in problems] == [
        ("required", "gpu.power_limits"),
        ("gpu_power_limit", "80%"),
        ("gpu_power_limit", "MIG-1"),
        ("gpu_graphics_clocks", "80%default"),
    ]
    assert problems[1].origin == "group train"


@pytest.mark.parametrize("name", ["gpu.power_limit", "gpu_power_limit", "power_limit"])
def test_required_by_any_of_its_names(name: str) -> None:
    wishes = parse_wishes({"power_limit": 600, "memory_clocks": 1593}, {}, [name])
    assert [key for key, wish in wishes.items() if wish.required] == ["gpu.power_limit"]


def test_syntax_alone_can_be_checked() -> None:
    assert mistakes_in("power_limit", {"all": "90%default", 0: None}) == []
    assert mistakes_in("persistence_mode", "perhaps") == [("perhaps", "true or false, or 'default'")]
    assert mistakes_in("power_limit", {}) == [({}, "one value, or a map that is not empty")]
