# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module mesh_keys does: a key where one is asked for, seals for others, and what it answers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..core.commands import Runner, execute_allowed
from ..core.errors import BindError, NodeError, Problem
from ..core.store import Store, now
from . import keys, keys_request, psk
from .keys import KeyStore, as_time
from .psk import PskStore
from .underlay import has_ipv6, read_udp_ports, read_underlay, which_wireguard

LAYER = "mesh_keys"


@dataclass(frozen=True)
class KeyOptions:
    """generation: None for the newest there is; new: make it where it is missing

    seal_for: each with `name` (of the preshared key) and `public_key` (of the other end)
    frozen: why nothing on this node may be changed, ""
    """

    mesh: str
    name: str
    generation: Optional[int] = None
    new: bool = False
    seal_for: Sequence[Mapping[str, Any]] = ()
    check: bool = False
    frozen: str = ""
    root: Path = Path("/")
    runner: Runner = execute_allowed
    run: Mapping[str, Any] = field(default_factory=dict)


class KeyWork:
    """One call of the module. `steps` says what was changed, or would be in check mode."""

    def __init__(self, options: KeyOptions, store: Store) -> None:
        self.options = options
        self.store = store
        self.keys = KeyStore(options.root, options.runner)
        self.psks = PskStore(options.root, options.runner)
        self.steps: list[str] = []
        self.before: list[str] = []
        self.after: list[str] = []

    def run(self) -> dict[str, Any]:
        """The module's result. Raises BindError before any change, NodeError, OSError."""
        self._check_options()
        if self.options.check:
            return self._answer(self._all())
        with self.store.lock():
            result = self._answer(self._all())
            if self.steps:
                self._log()
        return result

    def _check_options(self) -> None:
        options = self.options
        wanted = options.generation if options.generation is not None else 1
        problems = keys.mistakes(options.mesh, wanted)
        for item in options.seal_for:
            problems += psk.mistakes("any", item.get("name"))
            try:
                psk.check_public_key(item.get("public_key"))
            except BindError as error:
                problems += error.problems
        names = [item.get("name") for item in options.seal_for]
        for name in sorted({str(name) for name in names if names.count(name) > 1}):
            problems.append(Problem("seal_for", name, "each preshared key once: it has one other end"))
        if problems:
            raise BindError(problems)

    def _all(self) -> dict[str, Any]:
        mesh = self.options.mesh
        there = self.keys.generations(mesh)
        generation = self.options.generation or (there[-1] if there else 1)
        public = self._key(generation)
        return {
            "generation": generation,
            "public_key": public,
            "created": as_time(self.keys.created(mesh, generation)),
            "sealed": {
                str(item["name"]): sealed for item in self.options.seal_for if (sealed := self._seal(item))
            },
        }

    def _key(self, generation: int) -> Optional[str]:
        """The public key, None where there is none and none is to be made, or not in check mode."""
        mesh = self.options.mesh
        label = f"key of {mesh}, generation {generation}"
        public = self.keys.public_key(mesh, generation)
        if public is None:
            if not self.options.new:
                return None
            self._step(f"made the {label}", f"{label}: none")
            if self.options.check:
                self.after.append(f"{label}: a new one")
                return None
            public = self.keys.make(mesh, generation)
            self.after.append(f"{label}: {public}")
            return public
        loose = self.keys.loose(mesh, generation)
        if loose:
            self._step(f"closed the {label} to others", f"{label}: {public}, mode {loose}")
            self.after.append(f"{label}: {public}, mode 0600 in 0700")
            if not self.options.check:
                self.keys.tighten(mesh, generation)
        return public

    def _seal(self, item: Mapping[str, Any]) -> Optional[dict[str, str]]:
        """None in check mode for a preshared key that is still to be made."""
        mesh, name = self.options.mesh, str(item["name"])
        label = f"preshared key {name} of {mesh}"
        if not self.psks.has(mesh, name):
            self._step(f"made the {label}", f"{label}: none")
            self.after.append(f"{label}: made here")
            if self.options.check:
                return None
        loose = self.psks.loose(mesh, name)
        if loose:
            self._step(f"closed the {label} to others", f"{label}: mode {loose}")
            self.after.append(f"{label}: mode 0600 in 0700")
            if not self.options.check:
                self.psks.tighten(mesh, name)
        made = self.psks.make_sealed(mesh, name, item["public_key"])
        return {"sealed": made.sealed, "sender": made.sender}

    def _step(self, what: str, before: str) -> None:
        """Raises NodeError where nothing may be changed."""
        frozen = self.options.frozen
        if frozen:
            raise NodeError(f"this node is frozen ({frozen}); otherwise this run would have {what}")
        self.steps.append(what)
        self.before.append(before)

    def _answer(self, found: Mapping[str, Any]) -> dict[str, Any]:
        options, runner = self.options, self.options.runner
        result = {
            "changed": bool(self.steps),
            "mesh_name": options.mesh,
            **found,
            "generations": self.keys.generations(options.mesh),
            "steps": self.steps,
            "underlay": read_underlay(runner).as_data(),
            "wireguard": which_wireguard(runner, options.root),
            "ipv6": has_ipv6(options.root),
            "udp_ports": read_udp_ports(runner, options.root),
            "time": round(time.time(), 3),
            "time_utc": now(),
            "diff": _diff(self.before, self.after),
        }
        result["join_request"] = None
        if found["public_key"]:
            result["join_request"] = keys_request.render(keys_request.from_result(result, options.name))
        return result

    def _log(self) -> None:
        """Steps name keys; a secret is in none of them."""
        self.store.log(
            LAYER,
            {
                "applied": now(),
                "layer": LAYER,
                "owner": LAYER,
                "run": dict(self.options.run),
                "changes": [
                    {"key": "mesh.key", "target": self.options.mesh, "why": step} for step in self.steps
                ],
            },
        )


def _diff(before: Sequence[str], after: Sequence[str]) -> dict[str, str]:
    return {
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
        "before_header": LAYER,
        "after_header": LAYER,
    }
