# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML with the two things a hand-edited file needs: keys that stand twice are refused, values have lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from ansible.module_utils.common.yaml import SafeLoader

from ...module_utils.core.errors import BindError, Problem


class _Loader(SafeLoader):
    """Refuses a key that stands twice in one mapping, where YAML silently takes the later."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            names = [key.value for key, _value in node.value]
            at = next((at for at, name in enumerate(names) if name in names[:at]), len(names) - 1)
            problem = f"the key {names[at]!r} stands here twice"
            raise yaml.constructor.ConstructorError(None, None, problem, node.value[at][0].start_mark)
        return found


def load(text: str, path: str) -> Any:
    """Plain data. Raises BindError with the line, as far as there is one."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else path
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise BindError([Problem("registry", reason, "YAML that can be read", where)]) from error
    except ValueError as error:  # such as a date with 32 days
        raise BindError([Problem("registry", str(error), "YAML that can be read", path)]) from error


def header(text: str) -> str:
    """Comments and empty lines before the first value."""
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.strip() not in ("", "---") and not line.lstrip().startswith("#"):
            break
        lines.append(line)
    comments = "".join(lines).strip("\n")
    return f"{comments}\n" if comments else ""


def lines_of(text: str) -> Callable[[tuple[Any, ...]], int]:
    """Gives for the place of a value the line it begins in; the nearest there is where it has none."""
    root = yaml.compose(text, Loader=SafeLoader)

    def line(where: tuple[Any, ...]) -> int:
        node, found = root, 0
        for step in where:
            child = _child(node, step)
            if child is None:
                break
            found, node = child[0].start_mark.line, child[1]
        return found + 1

    return line


def _child(node: Any, step: Any) -> tuple[Any, Any] | None:
    """(node that has the line, node to go on from)"""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(step)), None)
    if not isinstance(node, yaml.SequenceNode):
        return None
    if isinstance(step, int):
        return (node.value[step], node.value[step]) if step < len(node.value) else None
    for item in node.value:  # a link, by its ends
        ends = _child(item, "ends")
        if ends is not None and {end.value for end in ends[1].value} == set(step):
            return item, item
    return None
