# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection remembers on a node: owner records, the journal, the log of changes, the lock.

<state>/<owner>.json            first-seen and applied values, one file per owner
<state>/journal/<owner>.json    there only while a transaction runs
<state>/changes/<time>-<owner>.json   what was applied, newest KEEP_CHANGES kept
<state>/freeze                  while it is there, nothing on this node is changed; its text says why
<run>/lock                      one run at a time
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import files
from .errors import LockTimeout, NodeError, RecordTooNew
from .model import Claim

SCHEMA = 1
KEEP_CHANGES = 50
STATE_DIR = "/var/lib/swarm_node"
RUN_DIR = "/run/swarm_node"


def now() -> str:
    """UTC, to the second, as it stands in records."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Record:
    """One owner's record: claim name → Claim. `damaged` says what was wrong with the file.

    `layer` is whose record the file says it is, "" where there is no file yet.
    """

    def __init__(self, owner: str, claims: dict[str, Claim] | None = None, damaged: str = "") -> None:
        self.owner = owner
        self.claims = claims or {}
        self.damaged = damaged
        self.layer = ""

    def to_text(self, layer: str) -> str:
        body = {
            "schema": SCHEMA,
            "owner": self.owner,
            "layer": layer,
            "claims": {name: vars(claim) for name, claim in sorted(self.claims.items())},
        }
        return json.dumps(body, indent=1) + "\n"


def parse_record(owner: str, text: str) -> Record:
    """Reads a record. A damaged one comes back empty with the reason. Raises RecordTooNew."""
    try:
        body = json.loads(text)
        schema = body["schema"]
        if not isinstance(schema, int):
            raise TypeError("schema is not a number")
        if schema > SCHEMA:
            raise RecordTooNew(
                f"the record of owner {owner!r} has schema {schema}, this version knows {SCHEMA}: "
                "it was written by a newer swarm.node; run that version, or one that is newer still"
            )
        claims = {
            str(name): Claim(claim["first_seen"], claim["applied"]) for name, claim in body["claims"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Record(owner, damaged=f"{type(error).__name__}: {error}")
    record = Record(owner, claims)
    record.layer = str(body.get("layer", ""))
    return record


class Store:
    """The files above. `writes` counts every one written, moved or removed."""

    def __init__(self, state_dir: str = STATE_DIR, run_dir: str = RUN_DIR) -> None:
        self.state = Path(state_dir)
        self.run = Path(run_dir)
        self.writes = 0
        self._aside: list[Path] = []
        self._logged: Path | None = None

    def frozen(self) -> str:
        """Why nothing on this node may be changed, or "". Raises OSError."""
        path = self.state / "freeze"
        text = files.read_text(path)
        if text is None:
            return ""
        return f"{path}: {' '.join(text.split()) or 'no reason given'}"

    # -- owner records

    def record_path(self, owner: str) -> Path:
        return self.state / f"{owner}.json"

    def load(self, owner: str) -> Record:
        """The owner's record, empty if there is none. Raises RecordTooNew, OSError."""
        text = files.read_text(self.record_path(owner))
        return Record(owner) if text is None else parse_record(owner, text)

    def save(self, record: Record, layer: str) -> None:
        """Writes the record; one without claims is removed. A damaged file is kept beside it."""
        path = self.record_path(record.owner)
        if record.damaged:
            self._set_aside(path)
        if record.claims:
            self._write(path, record.to_text(layer))
        else:
            self._remove(path)

    def other_claims(self, owner: str) -> dict[str, str]:
        """Claim name → owner, for every other owner on this node. Damaged records claim nothing.

        Raises RecordTooNew: what such a record holds cannot be known, so any key may be taken.
        """
        found: dict[str, str] = {}
        for path in sorted(self.state.glob("*.json")):
            if path.stem == owner:
                continue
            claims = parse_record(path.stem, files.read_text(path) or "").claims
            found.update(dict.fromkeys(claims, path.stem))
        return found

    # -- journal

    def journal_path(self, owner: str) -> Path:
        return self.state / "journal" / f"{owner}.json"

    def unfinished(self, owner: str) -> dict[str, Any] | None:
        """What the journal says of a run that never finished, or None."""
        text = files.read_text(self.journal_path(owner))
        if text is None:
            return None
        try:
            body = json.loads(text)
        except ValueError:
            body = {"started": "unknown", "changes": [], "note": "the journal itself is unreadable"}
        return body if isinstance(body, dict) else {"started": "unknown", "changes": []}

    def begin(self, owner: str, entry: dict[str, Any]) -> None:
        self._write(self.journal_path(owner), json.dumps(entry, indent=1, default=str) + "\n", 0o600)

    def end(self, owner: str) -> None:
        self._remove(self.journal_path(owner))

    # -- log of changes

    def log(self, owner: str, entry: dict[str, Any]) -> None:
        """Leaves a record of an applied plan and forgets the oldest ones."""
        folder = self.state / "changes"
        self._logged = folder / f"{time.time_ns()}-{owner}.json"
        self._write(self._logged, json.dumps(entry, indent=1, default=str) + "\n")
        with contextlib.suppress(OSError):  # An old entry too many is no reason to undo a run.
            for old in [*sorted(folder.glob("[0-9]*.json"))[:-KEEP_CHANGES], *folder.glob(".*")]:
                self._remove(old)

    def unlog(self) -> None:
        """Takes back what this run logged: it was undone. Raises OSError."""
        if self._logged:
            self._remove(self._logged)

    # -- lock

    @contextlib.contextmanager
    def lock(self, timeout: float = 60.0) -> Iterator[None]:
        """One transaction at a time on this node. `timeout` in seconds; raises LockTimeout."""
        self.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = self.run / "lock"
        # Whoever can open the file can lock it, and so keep every run from this node: root alone.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+") as stream:
            os.fchmod(stream.fileno(), 0o600)
            deadline = time.monotonic() + timeout
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        stream.seek(0)
                        holder = stream.read().strip() or "unknown"
                        raise LockTimeout(
                            f"another run of swarm.node (process {holder}) has held {path} for more than "
                            f"{timeout:g} s; wait for it, or stop it"
                        ) from error
                    time.sleep(0.05)
            stream.truncate(0)
            stream.write(str(os.getpid()))
            stream.flush()
            yield

    # -- all writing goes through here

    def _write(self, path: Path, text: str, mode: int = 0o644) -> None:
        files.write_whole(path, text, mode)
        self.writes += 1

    def _remove(self, path: Path) -> None:
        if path.exists():
            files.remove(path)
            self.writes += 1

    def put_back_damaged(self, owner: str) -> None:
        """Makes a damaged record that `save` set aside the owner's record again. Raises OSError."""
        path = self.record_path(owner)
        if path in self._aside:
            self._aside.remove(path)
            path.with_name(f"{path.name}.damaged").replace(path)
            self.writes += 1

    def _set_aside(self, path: Path) -> None:
        try:
            path.replace(path.with_name(f"{path.name}.damaged"))
        except FileNotFoundError:
            return
        except OSError as error:
            raise NodeError(f"{path} is damaged and cannot be set aside: {error}") from error
        self._aside.append(path)
        self.writes += 1
