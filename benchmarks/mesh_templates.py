# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh as a template over all hosts' variables, as roles for WireGuard have it: the peer of mesh_delivery.

One file per host, which says of every other host what that host's variables say. What it costs is looking up
`hostvars`: Ansible puts all variables of a host together anew for each look-up, facts included.
"""

from __future__ import annotations

SPARSE = """\
[Interface]
Address = {{ wireguard_address }}/32
ListenPort = 51820
{% for peer in groups['all'] if peer != inventory_hostname %}
[Peer]
# {{ peer }}
PublicKey = {{ hostvars[peer].wireguard_public_key }}
AllowedIPs = {{ hostvars[peer].wireguard_address }}/32
{% if hostvars[peer].wireguard_endpoint is defined %}
Endpoint = {{ hostvars[peer].wireguard_endpoint }}:51820
{% endif %}
{% endfor %}
"""
"""The least that a full mesh needs: three to four look-ups per pair of hosts."""

ROLE = """\
[Interface]
Address = {{ wireguard_address }}/32
ListenPort = {{ wireguard_port | default(51820) }}
{% for peer in groups['all'] %}
{% if peer != inventory_hostname and (wireguard_endpoint is defined
      or hostvars[peer].wireguard_endpoint is defined and hostvars[peer].wireguard_endpoint != '') %}
[Peer]
# {{ peer }}
PublicKey = {{ hostvars[peer].wireguard_public_key }}
{% if hostvars[peer].wireguard_allowed_ips is defined %}
AllowedIPs = {{ hostvars[peer].wireguard_allowed_ips }}
{% else %}
AllowedIPs = {{ hostvars[peer].wireguard_address.split('/')[0] }}/32
{% endif %}
{% if hostvars[peer].wireguard_keepalive is defined %}
PersistentKeepalive = {{ hostvars[peer].wireguard_keepalive }}
{% endif %}
{% if hostvars[peer].wireguard_site is defined and hostvars[peer].wireguard_site != wireguard_site %}
# another site
{% endif %}
{% if hostvars[peer].wireguard_endpoint is defined and hostvars[peer].wireguard_endpoint != '' %}
Endpoint = {{ hostvars[peer].wireguard_endpoint }}:{{ hostvars[peer].wireguard_port | default(51820) }}
{% endif %}
{% endif %}
{% endfor %}
"""
"""With as many look-ups per pair (9 to 12) as the template of a widely used role has, in words of our own."""
