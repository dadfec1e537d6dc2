# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a GPU's health in few calls. No call of it may fail a run, whatever NVML answers to it.

Most of it is one `nvmlDeviceGetFieldValues`; what a driver does not give that way is asked for by the
function of its own, where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import NodeError, TargetLost
from .health import IDLE, RECOVERY_ACTIONS, THERMAL, UNKNOWN, Health, throttle_reasons
from .nvml import LOST_CODES, Nvml

FIELDS = {
    "ecc_uncorrected": 4,
    "ecc_uncorrected_lifetime": 6,
    "retired_single": 29,
    "retired_double": 30,
    "retirement_pending": 31,
    "nvlinks": 91,
    "pcie_replays": 94,
    "remapped_rows": 143,
    "remap_pending": 144,
    "remap_failed": 145,
    "recovery_action": 230,
}
"""What is asked for → NVML_FI_DEV_*."""

NVLINK_STATE = 165
MOST_NVLINKS = 36
VALUE_OF_TYPE = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
UNCORRECTED, VOLATILE, AGGREGATE = 1, 0, 1
TEMPERATURE_GPU, THRESHOLD_SLOWDOWN = 0, 1
RETIRED_SINGLE, RETIRED_DOUBLE = 0, 1
HIGHEST_PERFORMANCE = 0


def read_health(
    nvml: Nvml,
    uuid: str,
    power_limit: int | None = None,
    power_enforced: int | None = None,
    full: bool = False,
) -> Health:
    """Raises TargetLost; everything else that goes wrong is a None in the answer.

    power_limit, power_enforced: mW, as they have been read already
    full: also what costs more calls and leads to no entry by itself (temperatures, the PCIe generation of an
        idle GPU); otherwise it is read where it explains something
    """
    return _Reader(nvml, uuid, full).health(power_limit, power_enforced)


class _Reader:
    def __init__(self, nvml: Nvml, uuid: str, full: bool) -> None:
        self.nvml = nvml
        self.uuid = uuid
        self.full = full

    def health(self, power_limit: int | None, power_enforced: int | None) -> Health:
        fields = self.fields(list(FIELDS.values()))
        known = {name: fields.get((field, 0)) for name, field in FIELDS.items()}
        reasons = throttle_reasons(self.throttle_bits())
        return Health(
            recovery_action=_recovery_action(known["recovery_action"]),
            throttle_reasons=None if reasons is None else tuple(reasons),
            power_limit=power_limit,
            power_enforced=power_enforced,
            pcie_replays=self.either(known["pcie_replays"], "nvmlDeviceGetPcieReplayCounter"),
            **self.ecc(known),
            **self.memory_repair(known),
            **self.temperatures(reasons),
            **self.pcie(reasons),
            **self.nvlinks(known["nvlinks"]),
        )

    # -- parts

    def ecc(self, known: Mapping[str, int | None]) -> dict[str, Any]:
        function = "nvmlDeviceGetTotalEccErrors"
        return {
            "ecc_uncorrected": self.either(known["ecc_uncorrected"], function, UNCORRECTED, VOLATILE),
            "ecc_uncorrected_lifetime": self.either(
                known["ecc_uncorrected_lifetime"], function, UNCORRECTED, AGGREGATE
            ),
        }

    def memory_repair(self, known: Mapping[str, int | None]) -> dict[str, Any]:
        """Rows are remapped from Ampere on, pages retired before; no GPU does both."""
        rows, pending, failed = (known[name] for name in ("remapped_rows", "remap_pending", "remap_failed"))
        if rows is None and pending is None and failed is None:
            listed = self.ask("nvmlDeviceGetRemappedRows")
            _corrected, rows, pending, failed = listed if listed else (None, None, None, None)
        found: dict[str, Any] = {
            "remapped_rows": rows,
            "remap_pending": _flag(pending),
            "remap_failed": _flag(failed),
        }
        if rows is None:
            found.update(self.retirement(known))
        return found

    def retirement(self, known: Mapping[str, int | None]) -> dict[str, Any]:
        pending = self.either(known["retirement_pending"], "nvmlDeviceGetRetiredPagesPendingStatus")
        pages = [known["retired_single"], known["retired_double"]]
        if self.full and pages == [None, None]:
            lists = [self.ask("nvmlDeviceGetRetiredPages", kind) for kind in (RETIRED_SINGLE, RETIRED_DOUBLE)]
            pages = [None if listed is None else len(listed) for listed in lists]
        counted = [number for number in pages if number is not None]
        return {"retired_pages": sum(counted) if counted else None, "retirement_pending": _flag(pending)}

    def temperatures(self, reasons: list[str] | None) -> dict[str, Any]:
        if not self.full and not any(name in THERMAL for name in reasons or ()):
            return {}
        now = self.ask("nvmlDeviceGetTemperatureV", TEMPERATURE_GPU)
        return {
            "temperature": self.either(now, "nvmlDeviceGetTemperature", TEMPERATURE_GPU),
            "slowdown_temperature": self.ask("nvmlDeviceGetTemperatureThreshold", THRESHOLD_SLOWDOWN),
        }

    def pcie(self, reasons: list[str] | None) -> dict[str, Any]:
        """An idle GPU runs its link at a lower generation on purpose, so that says nothing then."""
        found = {
            "pcie_width": self.ask("nvmlDeviceGetCurrPcieLinkWidth"),
            "pcie_max_width": self.ask("nvmlDeviceGetMaxPcieLinkWidth"),
        }
        if reasons is None or IDLE in reasons:
            return found
        if self.ask("nvmlDeviceGetPerformanceState") == HIGHEST_PERFORMANCE:
            found["pcie_generation"] = self.ask("nvmlDeviceGetCurrPcieLinkGeneration")
            found["pcie_max_generation"] = self.ask("nvmlDeviceGetMaxPcieLinkGeneration")
        return found

    def nvlinks(self, count: int | None) -> dict[str, Any]:
        """How many there are, and how many are up; both unknown without fields, unless read in full."""
        known: list[int] = []
        if count:
            known = list(
                self.fields([(NVLINK_STATE, link) for link in range(min(count, MOST_NVLINKS))]).values()
            )
        if self.full and not known and count != 0:
            known = self.link_states(count or MOST_NVLINKS)
        return {
            "nvlinks": len(known) or None if count is None else count,
            "nvlinks_active": sum(1 for state in known if state) if known else None,
        }

    def link_states(self, count: int) -> list[int]:
        """One call per link, for drivers that do not give them as fields."""
        found = []
        for link in range(min(count, MOST_NVLINKS)):
            state = self.ask("nvmlDeviceGetNvLinkState", link)
            if state is None:
                break
            found.append(int(state))
        return found

    def throttle_bits(self) -> int | None:
        return self.either(
            self.ask("nvmlDeviceGetCurrentClocksEventReasons"), "nvmlDeviceGetCurrentClocksThrottleReasons"
        )

    # -- calls

    def ask(self, function: str, *arguments: Any) -> Any:
        """None for every error but a lost GPU: a failed look must not keep settings from being set."""
        try:
            return self.nvml.call_gpu(self.uuid, function, *arguments)
        except TargetLost:
            raise
        except NodeError:
            return None

    def either(self, known: Any, function: str, *arguments: Any) -> Any:
        return self.ask(function, *arguments) if known is None else known

    def fields(self, wanted: list[Any]) -> dict[tuple[int, int], int]:
        """(field, scope) → value, of those the GPU has. Raises TargetLost also where only a field says so."""
        found = {}
        for item in self.ask("nvmlDeviceGetFieldValues", wanted) or ():
            if item.nvmlReturn in LOST_CODES:
                raise TargetLost(self.uuid, f"{self.uuid} no longer answers: field {item.fieldId}")
            if item.nvmlReturn == 0 and 0 <= item.valueType < len(VALUE_OF_TYPE):
                found[item.fieldId, item.scopeId] = int(getattr(item.value, VALUE_OF_TYPE[item.valueType], 0))
        return found


def _recovery_action(number: int | None) -> str:
    return UNKNOWN if number is None else RECOVERY_ACTIONS.get(number, f"action {number}")


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)
