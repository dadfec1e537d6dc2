# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which functions a driver branch has, and what has been taken away again."""

from __future__ import annotations

from functools import cache

import pytest
from nvml_sim import Simulator, gpu, nvml_build

BRANCHES = (535, 550, 570, 595)
DRIVERS = {535: "535.261.03", 550: "550.163.01", 570: "570.172.08", 595: "595.45.04"}


@cache
def first_branches() -> dict[str, int]:
    """{function: the branch it came with} of functions.conf."""
    text = (nvml_build.HERE / "functions.conf").read_text()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return {function: int(branch) for branch, function in rows}


def missing(branch: int) -> set[str]:
    return {function for function, first in first_branches().items() if first > branch}


def test_every_branch_lacks_something_and_ever_less() -> None:
    sets = [missing(branch) for branch in BRANCHES]
    assert all(sets)
    for older, newer in zip(sets, sets[1:]):
        assert newer < older


@pytest.mark.parametrize(("branch", "count"), [(535, 99), (550, 81)])
def test_as_many_are_missing_as_in_real_libraries(branch: int, count: int) -> None:
    """Of those the binding looks up, which has none newer than branch 615."""
    assert len([name for name in missing(branch) if first_branches()[name] <= 615]) == count


def test_functions_conf_names_only_functions_there_are() -> None:
    header = (nvml_build.find_header(None) / "nvml.h").read_text()
    assert set(first_branches()) <= set(nvml_build.parse_header(header))


# One function that came with each branch, and what it wants beside the handle.
NEWCOMERS: dict[int, tuple] = {
    535: ("nvmlDeviceGetModuleId",),
    550: ("nvmlDeviceGetNumaNodeId",),
    570: ("nvmlDeviceGetMarginTemperature",),
    595: ("nvmlDeviceGetDriverModel_v2",),
    610: ("nvmlDeviceGetRemappedRows_v2", {"struct": "c_nvmlRemappedRowsInfo_v2_t"}),
}


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_missing_function_is_not_found(simulator: Simulator, branch: int) -> None:
    simulator.init("h100:1", driver=DRIVERS[branch])
    with simulator.client() as nvml:
        for first, (function, *more) in NEWCOMERS.items():
            absent = nvml.error(function, gpu(0), *more) == "FUNCTION_NOT_FOUND"
            assert absent == (first > branch), function


@pytest.mark.parametrize("branch", BRANCHES)
def test_application_clocks_are_deprecated_from_595_on(simulator: Simulator, branch: int) -> None:
    simulator.init("h100:1", driver=DRIVERS[branch])
    expected = "DEPRECATED" if branch >= 595 else "SUCCESS"
    with simulator.client() as nvml:
        assert nvml.error("nvmlDeviceGetApplicationsClock", gpu(0), 0) == expected
        assert nvml.error("nvmlDeviceGetDefaultApplicationsClock", gpu(0), 2) == expected
        assert nvml.error("nvmlDeviceSetApplicationsClocks", gpu(0), 2619, 1500) == expected
        assert nvml.error("nvmlDeviceResetApplicationsClocks", gpu(0)) == expected
        assert nvml("nvmlDeviceGetClock", gpu(0), 0, 0) == 345
