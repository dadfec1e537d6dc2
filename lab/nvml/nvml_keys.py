# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys `nvml-sim set` takes, and the file each lives in."""

from __future__ import annotations

# Which file a settable key lives in. MIG's home depends on the board.
KEYS = {
    "outside": (
        "lost", "utilization", "temperature", "power_cap_mw", "power_settable", "persistence_hidden",
        "virtualization", "mig_auto_reset", "lock_min_override_mhz", "throttle_reasons", "ecc_corrected",
        "ecc_uncorrected", "remapped_corrected", "remapped_uncorrected", "remapping_pending",
        "remapping_failed", "pcie_generation", "pcie_width",
        "mig_query_capable", "mig_index_holes", "mig_halves_swapped", "mig_off_destroys",
        # NVLink and fabric
        "nvlink_down", "nvlink_error_link", "nvlink_replay_errors", "nvlink_recovery_errors",
        "nvlink_crc_flit_errors", "nvlink_crc_data_errors", "nvlink_ecc_data_errors",
        "fabric_state", "fabric_status", "fabric_cluster", "fabric_clique", "fabric_health_mask",
        "fabric_health_summary",
        # health
        "recovery_action", "retired_sbe", "retired_dbe", "retired_pending", "sram_corrected",
        "sram_uncorrected", "sram_threshold_exceeded", "ecc_aggregate_corrected",
        "ecc_aggregate_uncorrected", "sram_aggregate_corrected", "sram_aggregate_uncorrected",
        "remap_banks_high", "remap_banks_partial", "remap_banks_low", "remap_banks_none",
        "pcie_replays", "pcie_tx_kbps", "pcie_rx_kbps",
        # load
        "memory_bound", "cooling_percent", "inlet_celsius",
    ),
    "persistent": ("ecc_current", "ecc_pending"),
    "boot": ("persistence_mode", "compute_mode"),
    "volatile": (
        "power_limit_mw", "module_power_limit_mw", "lock_graphics_min_mhz", "lock_graphics_max_mhz",
        "lock_memory_min_mhz", "lock_memory_max_mhz", "application_graphics_mhz", "application_memory_mhz",
        "accounting_mode", "restrict_application_clocks",
    ),
    "mig": ("mig_current", "mig_pending"),
}  # fmt: skip
# Settable keys whose value is not a number: what it must look like, and in words.
TEXT_KEYS = {
    "nvlink_down": (r"\d+(-\d+)?(,\d+(-\d+)?)*", "a list of links such as 0-3,8"),
    "fabric_cluster": (r"[0-9a-fA-F-]{36}", "a UUID"),
}
NODE_KEYS = (
    "lock_policy",
    "unload_resets_modes",
    "cuda_version",
    "nvml_version",
    "driver_version",
    "library_version",
    "clock_us",
)
HOMES = {key: scope for scope, keys in KEYS.items() for key in keys}
MIG_HOMES = {"live": "mig", "reset": "persistent"}
