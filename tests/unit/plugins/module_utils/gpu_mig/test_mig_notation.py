# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How layouts are written, and what is refused with which words."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError
from ansible_collections.swarm.node.plugins.module_utils.core.model import Claim
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.notation import (
    ALL,
    BALANCED,
    DISABLED,
    ENABLED,
    Layout,
    from_texts,
    instance,
    parse_layout,
    texts,
)
from ansible_collections.swarm.node.plugins.module_utils.gpu_mig.wishes import (
    mistakes_in_layout,
    mistakes_in_layouts,
    parse_wish,
    wishes_from_claims,
)


def written(raw: Any, layouts: Any = None) -> list[str]:
    return texts(parse_layout(raw, layouts).instances)


@pytest.mark.parametrize(
    ("raw", "layout"),
    [
        (False, Layout(DISABLED)),
        ("disabled", Layout(DISABLED)),
        ("all-disabled", Layout(DISABLED)),
        (True, Layout(ENABLED)),
        ("Enabled", Layout(ENABLED)),
        ("balanced", Layout(BALANCED)),
        ("all-balanced", Layout(BALANCED)),
        ("all-1g.10gb", Layout(ALL, profile="1g.10gb")),
        ("all-1g.10gb+me", Layout(ALL, profile="1g.10gb+me")),
    ],
)
def test_words(raw: Any, layout: Layout) -> None:
    assert parse_layout(raw) == layout


@pytest.mark.parametrize(
    ("raw", "instances"),
    [
        ("7g.80gb", ["7g.80gb"]),
        (["3g.40gb", "3G.40GB"], ["3g.40gb", "3g.40gb"]),
        ({"1g.10gb": 2, "3g.40gb": "1"}, ["1g.10gb", "1g.10gb", "3g.40gb"]),
        (["3g.40gb+me", "1g.24gb-me", "1g.24gb+me.all"], ["1g.24gb+me.all", "1g.24gb-me", "3g.40gb+me"]),
        (["3g.40gb:4", "3g.40gb:0"], ["3g.40gb:0", "3g.40gb:4"]),
        ({"3g.40gb": {"compute": ["1c.3g.40gb", "2c.3g.40gb"]}}, ["3g.40gb (2c, 1c)"]),
        ({"3g.40gb": {"count": 2, "compute": ["1c"]}}, ["3g.40gb (1c)", "3g.40gb (1c)"]),
        ({"3g.40gb": {"compute": []}}, ["3g.40gb (none)"]),
        ({"3g.40gb": {"compute": ["3g.40gb"]}}, ["3g.40gb"]),
        # Compute instances by themselves are put into as few GPU instances as they need.
        ({"1c.3g.40gb": 3}, ["3g.40gb (1c, 1c, 1c)"]),
        ({"1c.3g.40gb": 4}, ["3g.40gb (1c)", "3g.40gb (1c, 1c, 1c)"]),
        (["1c.3g.40gb", "2c.3g.40gb", "3g.40gb"], ["3g.40gb (2c, 1c)", "3g.40gb"]),
        ("3g.40gb:4 (2c, 1c)", ["3g.40gb:4 (2c, 1c)"]),
        ("3g.40gb:4 (none)", ["3g.40gb:4 (none)"]),
        # The second kind of a size, by the driver's number.
        ({"3g.40gb": {"compute": ["1c", "1c/7.3g.40gb"]}}, ["3g.40gb (1c, 1c/7)"]),
        ("1g.20gb:6 (1c/0)", ["1g.20gb:6 (1c/0)"]),
    ],
)
def test_instances(raw: Any, instances: list[str]) -> None:
    assert sorted(written(raw)) == sorted(instances)
    assert texts(from_texts(instances)) == texts(parse_layout(raw).instances)


def test_equal_layouts_written_differently_are_equal() -> None:
    assert parse_layout({"3g.40gb": 2}) == parse_layout(["3g.40gb", "3g.40gb"])


def test_a_layout_by_name() -> None:
    layouts = {"two halves": ["3g.40gb", "3g.40gb"], "off": "all-1g.10gb"}
    assert written("two halves", layouts) == ["3g.40gb", "3g.40gb"]
    assert parse_layout("off", layouts) == Layout(DISABLED)


@pytest.mark.parametrize(
    ("raw", "value", "words"),
    [
        (7, 7, "a profile is named, not numbered"),
        (1e3, 1e3, "a profile is named, not numbered"),
        ("1g10gb", "1g10gb", "or a name from gpu_mig_layouts (there is none)"),
        ("0g.10gb", "0g.10gb", "all-1g.10gb"),
        ("halves", "halves", "gpu_mig_layouts"),
        ("all-halves", "all-halves", "'all-' and a GPU instance profile"),
        ("all-1c.3g.40gb", "all-1c.3g.40gb", "'all-' and a GPU instance profile"),
        ([], [], "at least one instance; 'enabled' leaves instances alone"),
        ([19, 9], 19, "put it in quotes if YAML read it as a number"),
        (["3g.40gb", 1000.0], 1000.0, "put it in quotes if YAML read it as a number"),
        ({"1g.10gb": True}, True, "a whole number from 1 to 64"),
        ({"1g.10gb": 0}, 0, "a whole number from 1 to 64"),
        ({"1g.10gb": 2.0}, 2.0, "a whole number from 1 to 64"),
        ({"1g.10gb": "1e3"}, "1e3", "a whole number from 1 to 64"),
        ({"1g.10gb": 65}, 65, "a whole number from 1 to 64"),
        ({"1g.10gb": None}, None, "a whole number from 1 to 64"),
        ({"3g.40gb": {"compte": []}}, "compte", "count and compute"),
        ({"3g.40gb": {"compute": "1c"}}, "1c", "a list of compute instances such as 1c.3g.40gb"),
        ({"3g.40gb": {"compute": ["1c.2g.20gb"]}}, "1c.2g.20gb", "such as 1c.3g.40gb"),
        ({"3g.40gb": {"compute": ["2c", "2c"]}}, ["2c", "2c"], "of together at most 3 slices"),
        ("4c.3g.40gb", ["4c"], "of together at most 3 slices"),
        ("1c.3g.40gb:4", "1c.3g.40gb:4", "without a place"),
        ({"1c.3g.40gb": {"compute": ["1c"]}}, {"compute": ["1c"]}, "once"),
    ],
)
def test_refusals(raw: Any, value: Any, words: str) -> None:
    ((found, allowed),) = mistakes_in_layout(raw)
    assert found == value and words in allowed


def test_selectors() -> None:
    raw = {"all": "all-1g.10gb", "0": None, "0000:5d:00.0": {"3g.40gb": 2}, "L40S": "disabled"}
    assert mistakes_in_layout(raw) == []
    wish = parse_wish(raw, None, {"mig": "group train"}, [])
    assert wish is not None and [str(rule.selector) for rule in wish.rules] == [
        "all",
        "0",
        "0000:5d:00.0",
        "L40S",
    ]
    assert wish.origin == "group train" and not wish.required


@pytest.mark.parametrize(
    ("raw", "value", "words"),
    [
        ({}, {}, "that is not empty"),
        ({7.0: "disabled"}, 7.0, "put it in quotes"),
        ({"MIG-aaaa": "disabled"}, "MIG-aaaa", "as a selector"),
        ({"all": "1g10gb"}, "1g10gb", "all-1g.10gb"),
        ({"0": {"0": "disabled"}}, "0", "a profile such as 1g.10gb"),
        # A map is one of profiles or one of selectors, never both.
        ({"1g.10gb": 7, "all": "disabled"}, "all", "a profile such as 1g.10gb"),
    ],
)
def test_refused_selectors(raw: Any, value: Any, words: str) -> None:
    assert any(found == value and words in allowed for found, allowed in mistakes_in_layout(raw))


def test_every_mistake_of_a_map_is_named() -> None:
    found = mistakes_in_layout({"0": "halves", "1": ["9g"], "2": "all-1g.10gb"})
    assert [value for value, _allowed in found] == ["halves", "9g"]


@pytest.mark.parametrize(
    ("raw", "value", "words"),
    [
        (["a"], ["a"], "a map from name to layout"),
        ({"enabled": ["1g.10gb"]}, "enabled", "a name that is neither"),
        ({"1g.10gb": ["1g.10gb"]}, "1g.10gb", "a name that is neither"),
        ({"all-big": ["1g.10gb"]}, "all-big", "nor begins with 'all-'"),
        ({3: ["1g.10gb"]}, 3, "a name that is neither"),
        ({"small": ["1g"]}, "1g", "in the layout 'small': a profile"),
        ({"small": "other", "other": ["1g.10gb"]}, "other", "in the layout 'small'"),
    ],
)
def test_mistakes_in_named_layouts(raw: Any, value: Any, words: str) -> None:
    assert any(found == value and words in allowed for found, allowed in mistakes_in_layouts(raw))


def test_no_wish_no_mistake() -> None:
    assert mistakes_in_layout(None) == mistakes_in_layouts(None) == []
    assert parse_wish(None, None, {}, []) is None


def test_refusals_of_a_wish_name_variable_and_origin() -> None:
    with pytest.raises(BindError) as refused:
        parse_wish("halves", {}, {"mig": "host gpu1"}, [])
    assert str(refused.value).startswith("gpu_mig: 'halves' is refused (from host gpu1); allowed: 'disabled'")
    with pytest.raises(
        BindError, match=r"gpu_mig_layouts: '9g' is refused .from group all.; allowed: in the layout"
    ):
        parse_wish("small", {"small": ["9g"]}, {"mig_layouts": "group all"}, [])
    with pytest.raises(BindError, match=r"required: 'gpu_mig\.layuot' is refused; allowed: gpu_mig\.mode"):
        parse_wish("disabled", {}, {}, ["gpu_mig.layuot"])


def test_wishes_from_claims() -> None:
    """What a boot unit makes again; other layers' claims and modes without instances included."""
    claims = {
        "gpu_mig.mode GPU-a": Claim("disabled", "enabled"),
        "gpu_mig.layout GPU-a": Claim([], ["3g.40gb:0 (2c, 1c)", "3g.40gb:4"]),
        "gpu_mig.layout GPU-b": Claim(["1g.10gb:0"], []),
        "gpu_mig.mode GPU-b": Claim("enabled", "disabled"),
        "gpu_mig.mode GPU-c": Claim("disabled", "enabled"),
        "gpu.power_limit GPU-a": Claim(700, 630),
    }
    wishes = wishes_from_claims(claims)
    assert wishes == {
        "GPU-a": ["3g.40gb:0 (2c, 1c)", "3g.40gb:4"],
        "GPU-b": "disabled",
        "GPU-c": "enabled",
    }
    assert mistakes_in_layout(wishes) == [] and wishes_from_claims({}) == {}
    assert str(instance("3g.40gb:0 (2c, 1c)")) == wishes["GPU-a"][0]
