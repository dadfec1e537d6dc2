# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a GPU says of its own health, and what of it a person must look at.

Xid errors are not here: NVML only announces them to a process that waits for them, they are in the kernel's
log. What they lead to is: a lost GPU, a recovery action, counted memory errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .quantity import watts

WARNING, CRITICAL = "warning", "critical"

UNKNOWN = "unknown"
RECOVERY_ACTIONS = {
    0: "none",
    1: "gpu_reset",
    2: "node_reboot",
    3: "drain_p2p",
    4: "drain_and_reset",
    5: "recover_imex_domain",
    6: "bus_reset",
    7: "system_reboot",
}
"""NVML's numbers (NVML_GPU_RECOVERY_ACTION_*)."""

LEFT_OUT = ("gpu_reset", "node_reboot", "drain_and_reset", "bus_reset", "system_reboot")
"""Actions that take the GPU's settings with them, or that it cannot be trusted before: nothing is set on it.

With drain_p2p and recover_imex_domain the GPU itself works, only its traffic with others has to stop: it is
set like any other, and named.
"""

THROTTLE_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}
"""Bits of NVML's reasons for a lower clock."""

POWER_BRAKE = "hw_power_brake_slowdown"
THERMAL = ("sw_thermal_slowdown", "hw_thermal_slowdown")
HW_SLOWDOWN = "hw_slowdown"
IDLE = "gpu_idle"

Entry = dict[str, str]
"""{target, target_name, what, detail, severity}; see `Plan.attention`."""


@dataclass(frozen=True)
class Health:
    """One GPU's health. None: the GPU, the driver or the binding does not say.

    recovery_action: of RECOVERY_ACTIONS, `action N` for a number not in it, or `unknown`
    throttle_reasons: names of THROTTLE_REASONS
    power_limit, power_enforced: mW, asked for and in force
    ecc_uncorrected: memory errors since the driver was loaded; ecc_uncorrected_lifetime: ever
    remapped_rows: rows replaced after uncorrectable errors; retired_pages: the same before Ampere
    temperature, slowdown_temperature: °C
    pcie_*: the link now and at most, for this GPU in this slot; the generation only while the GPU is at work
    nvlinks, nvlinks_active: how many the GPU has, how many are up
    pcie_replays: repeated packets since the driver was loaded
    """

    recovery_action: str = UNKNOWN
    throttle_reasons: tuple[str, ...] | None = None
    power_limit: int | None = None
    power_enforced: int | None = None
    ecc_uncorrected: int | None = None
    ecc_uncorrected_lifetime: int | None = None
    remapped_rows: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    retired_pages: int | None = None
    retirement_pending: bool | None = None
    temperature: int | None = None
    slowdown_temperature: int | None = None
    pcie_width: int | None = None
    pcie_max_width: int | None = None
    pcie_generation: int | None = None
    pcie_max_generation: int | None = None
    nvlinks: int | None = None
    nvlinks_active: int | None = None
    pcie_replays: int | None = None

    @property
    def left_out(self) -> str:
        """Why nothing may be set on this GPU, or ""."""
        if self.recovery_action not in LEFT_OUT:
            return ""
        return f"the driver asks for {_action(self.recovery_action)} before it can be used again"

    def as_result(self) -> dict[str, Any]:
        """For `gpu_info`: plain data, powers left out as they are under `power`."""
        found = {name: value for name, value in vars(self).items() if not name.startswith("power_")}
        if self.throttle_reasons is not None:
            found["throttle_reasons"] = list(self.throttle_reasons)
        return found


def throttle_reasons(bits: int | None) -> list[str] | None:
    """Names of the reasons; a bit without a name keeps its number."""
    if bits is None:
        return None
    names = [name for bit, name in THROTTLE_REASONS.items() if bits & bit]
    rest = bits & ~sum(THROTTLE_REASONS)
    return names + ([hex(rest)] if rest else [])


def attention_of(health: Health, target: str, target_name: str, most_links: int = 0) -> list[Entry]:
    """What a person must look at, the critical first.

    most_links: the most active NVLinks any GPU of this model has on this node. Only against it a link counts
    as down: boards may be built with links that lead nowhere.
    """
    found = [
        *((CRITICAL, what, detail) for what, detail in _critical(health)),
        *((WARNING, what, detail) for what, detail in _throttled(health)),
        *((WARNING, what, detail) for what, detail in _waiting(health)),
        *((WARNING, what, detail) for what, detail in _links(health, most_links)),
    ]
    return [entry(target, target_name, what, detail, severity) for severity, what, detail in found]


def entry(target: str, target_name: str, what: str, detail: str, severity: str = CRITICAL) -> Entry:
    """One entry of `Plan.attention`."""
    return {
        "target": target,
        "target_name": target_name,
        "what": what,
        "detail": detail,
        "severity": severity,
    }


def most_links(healths: Sequence[Health]) -> int:
    """For `attention_of`, from all GPUs of one model on a node."""
    return max((health.nvlinks_active or 0 for health in healths), default=0)


Finding = tuple[str, str]
"""(what, detail)"""


def _critical(health: Health) -> list[Finding]:
    found = []
    action = health.recovery_action
    if action not in ("none", UNKNOWN):
        found.append(("recovery_action", f"the driver asks for {_action(action)}"))
    if health.ecc_uncorrected:
        ever = health.ecc_uncorrected_lifetime
        found.append(
            (
                "ecc_uncorrected",
                f"{_count(health.ecc_uncorrected, 'uncorrectable memory error')} since the driver was loaded"
                + (f", {ever} ever" if ever else ""),
            )
        )
    if health.remap_failed:
        found.append(("row_remap_failure", "a faulty memory row could not be replaced: exchange the board"))
    return found


def _throttled(health: Health) -> list[Finding]:
    reasons = health.throttle_reasons or ()
    found = []
    if POWER_BRAKE in reasons:
        found.append(("power_brake", "an external power brake slows it down (power supply, BMC)"))
    hot = [name for name in THERMAL if name in reasons]
    if hot:
        found.append(("thermal_throttle", f"too hot, slowed down ({', '.join(hot)}){_degrees(health)}"))
    elif HW_SLOWDOWN in reasons and POWER_BRAKE not in reasons:
        found.append(("hw_slowdown", "the board slows itself down (heat, power brake or power draw)"))
    limit, enforced = health.power_limit, health.power_enforced
    if limit is not None and enforced is not None and enforced < limit:
        found.append(
            (
                "power_capped",
                f"another hand caps its power: enforced are {watts(enforced)} W, the limit is "
                f"{watts(limit)} W (a cap of the BMC, or a power brake)",
            )
        )
    return found


def _waiting(health: Health) -> list[Finding]:
    found = []
    if health.remap_pending:
        found.append(("row_remap_pending", "a faulty memory row is replaced at the next reset of the GPU"))
    if health.retirement_pending:
        found.append(("retired_pages_pending", "faulty memory pages are retired at the next reboot"))
    return found


def _links(health: Health, most: int) -> list[Finding]:
    found = []
    if _below(health.pcie_width, health.pcie_max_width):
        found.append(
            (
                "pcie_width",
                f"its PCIe link has {health.pcie_width} lanes of {health.pcie_max_width}: reseat it",
            )
        )
    if _below(health.pcie_generation, health.pcie_max_generation):
        found.append(
            (
                "pcie_generation",
                f"its PCIe link runs at generation {health.pcie_generation} of "
                f"{health.pcie_max_generation} under load",
            )
        )
    active = health.nvlinks_active
    if active is not None and active < most:
        found.append(
            ("nvlink_down", f"{active} NVLinks are up, {most} are on another GPU of this model in this node")
        )
    return found


def _below(now: int | None, most: int | None) -> bool:
    """0 is no link at all, which NVML says of GPUs that hang on something else than PCIe."""
    return bool(now) and most is not None and now is not None and now < most


def _degrees(health: Health) -> str:
    if health.temperature is None:
        return ""
    limit = health.slowdown_temperature
    return f": {health.temperature} °C" + (f", slowdown at {limit} °C" if limit else "")


def _action(action: str) -> str:
    return {
        "gpu_reset": "a reset of the GPU",
        "node_reboot": "a reboot of the node",
        "drain_p2p": "peer-to-peer traffic with this GPU to be drained",
        "drain_and_reset": "this GPU to be drained and reset",
        "recover_imex_domain": "the recovery of its IMEX domain",
        "bus_reset": "a reset of its PCIe bus",
        "system_reboot": "a reboot of the whole system",
    }.get(action, action)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
