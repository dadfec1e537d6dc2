# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons of Debian 12 and 13, whichever of them this machine is.

They are fetched as the machine's apt is configured, unpacked below a directory of ours with what they need,
and run by their own dynamic loader. Nothing is installed, so no service of theirs starts here.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab import apt
from lab.shell import run

RELEASES = ("bookworm", "trixie")
PACKAGES = ("babeld", "bird2")


@dataclass(frozen=True)
class Programs:
    """A release's daemons, below `root`."""

    release: str
    root: Path

    def command(self, name: str) -> list[str]:
        """How to call a program of /usr/sbin."""
        library = self.root / "usr/lib/x86_64-linux-gnu"
        loader = [str(library / "ld-linux-x86-64.so.2")]
        if not Path(loader[0]).exists():
            # Debian 12 has it below /lib yet.
            loader = [str(self.root / "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")]
        libraries = f"{library}:{self.root}/lib/x86_64-linux-gnu"
        return [*loader, "--library-path", libraries, str(self.root / "usr/sbin" / name)]

    def version(self, package: str) -> str:
        return (self.root / f"{package}.version").read_text(encoding="utf-8")


def cached(release: str) -> Programs:
    """Where they are, or would be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "swarm.node"
    return Programs(release, cache / f"routing-{release}")


def provide(release: str) -> Programs:
    """The daemons of that release, fetched once. Raises LabError."""
    made = cached(release)
    if not made.root.is_dir():
        made.root.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.root.parent) as name:
            _unpack(release, Path(name), Path(name) / "root")
            (Path(name) / "root").rename(made.root)
    return made


def _unpack(release: str, work: Path, root: Path) -> None:
    for part in ("lists/partial", "cache/archives/partial"):
        (work / part).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(apt.source_line(release) + "\n")
    # With no package installed, apt fetches all that these need, the C library included.
    own = f'Dir::Etc::sourcelist "{work}/sources.list"; Dir::Etc::sourceparts "/dev/null";'
    own += (
        f' Dir::State::lists "{work}/lists"; Dir::State::status "{work}/status"; Dir::Cache "{work}/cache";'
    )
    (work / "apt.conf").write_text(f'{apt.configuration()}\n{own}\nAPT::Sandbox::User "root";\n')
    env = {**os.environ, "APT_CONFIG": str(work / "apt.conf")}
    run(["apt-get", "--quiet", "update"], env=env, timeout=300)
    quiet = ["apt-get", "--quiet", "--yes", "--no-install-recommends", "--download-only", "install"]
    run([*quiet, *PACKAGES], env=env, timeout=600)
    for deb in sorted((work / "cache/archives").glob("*.deb")):
        run(["dpkg-deb", "--extract", str(deb), str(root)])
        if deb.name.partition("_")[0] in PACKAGES:
            version = run(["dpkg-deb", "--field", str(deb), "Version"]).strip()
            (root / f"{deb.name.partition('_')[0]}.version").write_text(version)


if __name__ == "__main__":
    for name in RELEASES:
        provide(name)
