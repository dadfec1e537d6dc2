# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of ours has to go: tunnels, their files and routes, meshes, keys. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Optional

from ..core.managed_files import file_change
from ..core.marking import is_untouched
from ..core.model import Change
from ..core.store import Record
from .paths import conf_path, quick_unit, routes_path, share_path
from .render import is_ours
from .routing import LAST
from .share import INTERFACE, Share
from .state import MeshState
from .tunnel import KEY, PSK, TUNNEL, UP, unit_link

GONE = "no longer asked for"

THERE = "there"
"""All that is said of a key file."""


def leftovers(shares: Mapping[str, Share], state: MeshState) -> list[str]:
    """Tunnels of ours that no share has, sorted."""
    wanted = {tunnel.interface for share in shares.values() for tunnel in share.tunnels}
    stored = {tunnel.interface for share in state.stored.values() for tunnel in share.tunnels}
    confs = {_interface(path): text for path, text in state.files.items() if _is_conf(path) and text}
    ours = {name for name, text in confs.items() if is_ours(text)}
    return sorted(((stored - set(confs)) | ours) - wanted)


def remove_tunnel(interface: str, shares: Mapping[str, Share], state: MeshState, asked: bool) -> list[Change]:
    """The tunnel goes, then its files. asked: by state: absent, so it may disturb.

    A tunnel without routes disturbs nobody; where each of its destinations has another tunnel, packets under
    way may be lost; else its peer and whoever is behind it are cut off.
    """
    changes = []
    link, unit = state.links.get(interface), quick_unit(interface)
    running = state.active.get(unit, "") not in ("", "inactive")
    if link is not None or running or state.links_on.get(unit):
        before = UP if link is not None else "down"
        changes.append(
            Change(
                TUNNEL,
                before,
                None,
                target=interface,
                disruption=_disruption(interface, shares, state, asked),
                why=GONE,
                data={
                    "how": "stop",
                    "unit": unit,
                    "link": unit_link(interface),
                    "linked": bool(state.links_on.get(unit)),
                    "group": [interface],
                },
            )
        )
    mesh = interface.partition("-")[0]
    for path in (conf_path(interface), routes_path(mesh, interface)):
        change = removed_file(path, state)
        if change:
            change.relies_on = tuple(one.name for one in changes if one.key == TUNNEL)
            changes.append(change)
    return changes


def removed_file(path: str, state: MeshState) -> Optional[Change]:
    live = state.files.get(path)
    edited = live is not None and not path.endswith(".json") and not is_untouched(live)
    return file_change(path, live, None, edited, GONE)


def remove_mesh(mesh: str, state: MeshState, tunnels: Iterable[Change]) -> list[Change]:
    """What is left once the tunnels are gone."""
    relies = tuple(change.name for change in tunnels if change.key == TUNNEL)
    found = []
    for path in (routes_path(mesh, LAST), share_path(mesh)):
        change = removed_file(path, state)
        if change:
            change.relies_on = relies
            found.append(change)
    return found


def remove_secrets(
    shares: Mapping[str, Share], state: MeshState, record: Record, everything: bool
) -> list[Change]:
    """Keys that a share of ours had and none has now: what is gone cannot come back.

    everything: also keys that no share ever had (state: absent)
    """
    lost = _lost(shares, state, record)
    there = {f"{mesh}/{number}" for mesh, found in state.generations.items() for number in found}
    keys = there if everything else there & set(_gone(KEY, record, _keys(shares), lost))
    here = {f"{mesh}/{name}" for mesh, name in state.psks}
    psks = here if everything else here & set(_gone(PSK, record, _psks(shares), lost))
    return [_removed_secret(KEY, name) for name in sorted(keys)] + [
        _removed_secret(PSK, name) for name in sorted(psks)
    ]


def _removed_secret(key: str, target: str) -> Change:
    mesh, _slash, name = target.partition("/")
    return Change(
        key,
        THERE,
        None,
        target=target,
        undo="none",
        claim=f"{key} {target}",
        why="no tunnel needs it any more",
        data={"secret": name, "mesh": mesh},
    )


def secret_claims(shares: Mapping[str, Share]) -> dict[str, str]:
    """Claim name → what of it may be said, of every key that the shares need."""
    found = {f"{KEY} {name}": value for name, value in _keys(shares).items()}
    found.update({f"{PSK} {name}": "installed" for name in _psks(shares)})
    return found


def _keys(shares: Mapping[str, Share]) -> dict[str, str]:
    return {
        f"{share.mesh}/{generation}": public
        for share in shares.values()
        for generation, public in share.keys.items()
    }


def _psks(shares: Mapping[str, Share]) -> dict[str, str]:
    return {
        f"{share.mesh}/{tunnel.psk.name}": ""
        for share in shares.values()
        for tunnel in share.tunnels
        if tunnel.psk
    }


def _lost(shares: Mapping[str, Share], state: MeshState, record: Record) -> list[str]:
    """Claims of keys that a lost record had: of the shares before, and of generations that newer ones of the
    registry have replaced. A key that is newer than all of them waits to be registered."""
    if any(name.startswith((f"{KEY} ", f"{PSK} ")) for name in record.claims):
        return []
    found = list(secret_claims(state.stored))
    for mesh, numbers in state.generations.items():
        share = shares.get(mesh) or state.stored.get(mesh)
        newest = max(share.keys, default=0) if share else 0
        found += [f"{KEY} {mesh}/{number}" for number in numbers if number < newest]
    return found


def _gone(key: str, record: Record, needed: Collection[str], lost: Collection[str]) -> list[str]:
    held = [name.partition(" ")[2] for name in (*record.claims, *lost) if name.startswith(f"{key} ")]
    return sorted(name for name in held if name not in needed)


def _disruption(interface: str, shares: Mapping[str, Share], state: MeshState, asked: bool) -> str:
    carried = [route.destination for route in state.via(interface)]
    if not carried:
        return "none"
    elsewhere = {one for share in shares.values() for found in share.routes.values() for one in found}
    return "perf" if asked or all(one in elsewhere for one in carried) else "peer_jobs"


def _is_conf(path: str) -> bool:
    return path.endswith(".conf") and INTERFACE.fullmatch(_interface(path)) is not None


def _interface(path: str) -> str:
    return path.rpartition("/")[2].partition(".conf")[0]
