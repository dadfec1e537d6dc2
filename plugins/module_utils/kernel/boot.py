# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file decides a setting at the next boot. Pure; the port lists and reads the files."""

from __future__ import annotations

from dataclasses import dataclass, field

from .sysctl_conf import Entry

SYSCTL_DIRS = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
TMPFILES_DIRS = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d")


@dataclass(frozen=True)
class BootFile:
    """A file that is read at boot: its path and its entries in order."""

    path: str
    entries: tuple[Entry, ...] = ()

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass
class BootFiles:
    """Every file read at boot but our own, in the order in which they are read.

    first_wins: as tmpfiles.d does, the first line for a path counts, and a glob is a path like any other;
        else as sysctl.d does, the last line for a key counts, and a line for the key itself beats every glob.
    """

    files: list[BootFile] = field(default_factory=list)
    first_wins: bool = False

    def winner(self, key: str, ours: str = "", value: str | None = None) -> tuple[str, str] | None:
        """(path, value) of the assignment that is in force after boot, or None.

        With `ours` and `value`, as if our file `ours` assigned `value` to the key.
        """
        ruling = self.ruling(key, ours, value)
        return None if ruling is None or ruling[1] is None else (ruling[0], ruling[1])

    def ruling(self, key: str, ours: str = "", value: str | None = None) -> tuple[str, str | None] | None:
        """As `winner`; (path, None) where the line in force is `-key`, which takes the key out."""
        files = list(self.files)
        if ours and value is not None:
            files.append(BootFile(ours, (Entry(key, value, 0),)))
            files.sort(key=lambda item: item.name)
        lines: dict[str, tuple[str, str | None]] = {}
        for file in files:
            for entry in file.entries:
                if entry.matches(key):
                    self._take(lines, entry, file.path)
        if key in lines and not self.first_wins:
            return lines[key]
        return next((line for line in reversed(list(lines.values())) if line[1] is not None), None)

    def _take(self, lines: dict[str, tuple[str, str | None]], entry: Entry, path: str) -> None:
        """Keeps `lines` as the boot services do: one line per key or pattern, in order of application."""
        known = lines.get(entry.key)
        if known is not None:
            if self.first_wins:
                return
            if known[1] != entry.value:  # An equal line keeps its place (systemd's sysctl.c).
                del lines[entry.key]
        lines[entry.key] = (path, entry.value)


def reading_order(listing: dict[str, list[str]], directories: tuple[str, ...]) -> list[str]:
    """Paths in the order they are read: by file name, a name in an earlier directory hiding later ones.

    listing: directory → names of the `*.conf` files in it.
    """
    chosen: dict[str, str] = {}
    for directory in directories:
        for name in listing.get(directory, []):
            chosen.setdefault(name, f"{directory}/{name}")
    return [chosen[name] for name in sorted(chosen)]


def parse_tmpfiles(text: str) -> list[Entry]:
    """The `w` lines of a tmpfiles.d file as entries: key = path to write to, value = what is written."""
    entries = []
    for number, raw in enumerate(text.splitlines(), 1):
        parts = raw.split(None, 6)
        if len(parts) == 7 and parts[0].rstrip("!+-^=~$") == "w":
            entries.append(Entry(parts[1], parts[6].strip().strip('"'), number))
    return entries


def render_tmpfiles(owner: str, values: dict[str, str]) -> str:
    """The text of our own tmpfiles.d file for path → value; "" when there is nothing to keep."""
    if not values:
        return ""
    lines = [f"w {path} - - - - {value}\n" for path, value in sorted(values.items())]
    return (
        f'# Written by swarm.node for owner "{owner}". It is replaced whole by the next run:\n'
        "# change the inventory, not this file.\n" + "".join(lines)
    )
