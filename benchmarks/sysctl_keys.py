# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The 40 sysctls of the kernel benchmark.

Each belongs to a network namespace, takes one number, is older than Linux 5.15, reads back as written
whatever the length of a jiffy, and changes nothing that an ssh session in the lab depends on. The values
differ from the kernel's defaults; the benchmark checks that.
"""

from __future__ import annotations

WISHES: dict[str, str] = {
    "net.core.somaxconn": "8192",
    "net.ipv4.icmp_errors_use_inbound_ifaddr": "1",
    "net.ipv4.icmp_ratelimit": "500",
    "net.ipv4.igmp_max_memberships": "64",
    "net.ipv4.igmp_qrv": "3",
    "net.ipv4.ip_default_ttl": "128",
    "net.ipv4.ipfrag_time": "20",
    "net.ipv4.tcp_autocorking": "0",
    "net.ipv4.tcp_base_mss": "1200",
    "net.ipv4.tcp_comp_sack_nr": "30",
    "net.ipv4.tcp_ecn": "1",
    "net.ipv4.tcp_fastopen": "3",
    "net.ipv4.tcp_fin_timeout": "30",
    "net.ipv4.tcp_keepalive_intvl": "30",
    "net.ipv4.tcp_keepalive_probes": "5",
    "net.ipv4.tcp_keepalive_time": "600",
    "net.ipv4.tcp_limit_output_bytes": "2097152",
    "net.ipv4.tcp_max_syn_backlog": "16384",
    "net.ipv4.tcp_min_tso_segs": "4",
    "net.ipv4.tcp_mtu_probing": "1",
    "net.ipv4.tcp_no_metrics_save": "1",
    "net.ipv4.tcp_notsent_lowat": "131072",
    "net.ipv4.tcp_orphan_retries": "3",
    "net.ipv4.tcp_pacing_ca_ratio": "110",
    "net.ipv4.tcp_pacing_ss_ratio": "150",
    "net.ipv4.tcp_probe_interval": "300",
    "net.ipv4.tcp_probe_threshold": "16",
    "net.ipv4.tcp_reordering": "6",
    "net.ipv4.tcp_retries1": "4",
    "net.ipv4.tcp_retries2": "12",
    "net.ipv4.tcp_rfc1337": "1",
    "net.ipv4.tcp_slow_start_after_idle": "0",
    "net.ipv4.tcp_syn_retries": "4",
    "net.ipv4.tcp_synack_retries": "4",
    "net.ipv4.tcp_thin_linear_timeouts": "1",
    "net.ipv4.tcp_timestamps": "2",
    "net.ipv4.tcp_tw_reuse": "1",
    "net.ipv4.udp_rmem_min": "8192",
    "net.ipv6.auto_flowlabels": "2",
    "net.ipv6.conf.default.hop_limit": "128",
}
