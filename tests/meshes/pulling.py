# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that pulls: ansible-core, git and the collection in the node, beside it the operator's repository.

The console (podman) stands for somebody who sits at the node; no Ansible of the controller speaks to it.
"""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import yaml
from lab_runs import BIN, CHECKOUT

from .conftest import MeshLab

UNIT = "swarm-mesh-pull"
REPOSITORY = "/srv/inventory"
LIBRARIES = (
    *("ansible", "ansible_core-*", "cffi", "_cffi_backend*", "cryptography", "cryptography-*"),
    *("jinja2", "[Jj]inja2-*", "markupsafe", "[Mm]arkup[Ss]afe-*", "packaging", "packaging-*", "pycparser"),
    *("resolvelib", "resolvelib-*", "yaml", "_yaml", "[Pp]y[Yy][Aa][Mm][Ll]-*"),
)
PROGRAM = """#!/bin/sh
exec env PYTHONPATH=/opt/ansible python3 -m ansible {word} "$@"
"""


class Puller:
    """One node of the lab, with a console, and the repository that it pulls from."""

    def __init__(self, lab: MeshLab, name: str, work: Path) -> None:
        self.lab, self.name, self.work = lab, name, work
        self.repository = work / "inventory"
        self.wishes: dict[str, Any] = {"mesh_name": "wan", "mesh_region": "attic", "mesh_behind_nat": True,
                                       "mesh_pull": True, "mesh_confirm_seconds": 30}  # fmt: skip

    def sh(self, script: str, check: bool = True) -> str:
        return self.lab.sh(self.name, script, check=check)

    def unpack(self, data: bytes, place: str) -> None:
        line = [sys.executable, "-m", "lab", "exec", self.name, "tar", "-xz", "-C", place]
        subprocess.run(line, cwd=CHECKOUT, input=data, check=True, capture_output=True, timeout=300)

    # -- what the node needs

    def equip(self) -> None:
        """ansible-core out of the controller's own environment: no package of the release is new enough."""
        site = next(Path(BIN.parent, "lib").glob("python3*/site-packages"))
        found = [path for pattern in LIBRARIES for path in site.glob(pattern)]
        self.sh("mkdir -p /opt/ansible")
        self.unpack(archive({path: path.name for path in found}), "/opt/ansible")
        programs = {f"ansible-{word}": PROGRAM.format(word=word) for word in ("playbook", "galaxy")}
        for name, text in programs.items():
            (self.work / name).write_text(text, encoding="utf-8")
            (self.work / name).chmod(0o755)
        git = Path("/usr/bin/git").resolve()
        parts = {self.work / name: name for name in programs} | {git: "git"}
        self.unpack(archive(parts), "/usr/bin")
        self.sh("cd /usr/bin && ln -sf git git-upload-pack && git --version")
        self.install()

    def install(self) -> None:
        """The collection's archive, as `make build` makes it."""
        out = self.work / "built"
        line = [str(BIN / "ansible-galaxy"), "collection", "build", "--output-path", str(out)]
        subprocess.run(line, cwd=CHECKOUT, check=True, capture_output=True, timeout=120)
        (built,) = out.glob("swarm-node-*.tar.gz")
        self.unpack(archive({built: "swarm-node.tar.gz"}), "/root")
        place = "/usr/share/ansible/collections"
        self.sh(f"ansible-galaxy collection install /root/swarm-node.tar.gz -p {place} --offline --force")

    def install_timer(self) -> None:
        """The units as docs/mesh-pull.md has them."""
        text = (CHECKOUT / "docs" / "mesh-pull.md").read_text("utf-8")
        found = re.findall(r"`/etc/systemd/system/(\S+)`\n\n\s*```ini\n(.*?)```", text, re.S)
        assert [name for name, _unit in found] == [f"{UNIT}.service", f"{UNIT}.timer"]
        for name, unit in found:
            lines = "\n".join(line.strip() for line in unit.splitlines())
            coded = base64.b64encode(lines.encode()).decode()
            self.sh(f"echo {coded} | base64 -d >/etc/systemd/system/{name}")
        self.sh(f"systemctl daemon-reload && systemd-analyze verify {UNIT}.service {UNIT}.timer")

    # -- the operator's repository

    def publish(self, registry: str | None = None, **wishes: Any) -> None:
        """Pushes the inventory and the registry; another text of it, and more of the node's variables."""
        place = self.repository / "inventories"
        (place / "production").mkdir(parents=True, exist_ok=True)
        (place / "mesh").mkdir(exist_ok=True)
        hosts = {"all": {"hosts": {self.name: {**self.wishes, **wishes}}}}
        (place / "production" / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
        text = registry or (self.lab.registries / "wan.yml").read_text("utf-8")
        (place / "mesh" / "wan.yml").write_text(text, encoding="utf-8")
        new = not (self.repository / ".git").exists()
        if new:
            self._git("init", "--quiet", "--initial-branch=main")
        self._git("add", "--all")
        self._git("-c", "user.name=operator", "-c", "user.email=operator@example.org",
                  "commit", "--quiet", "--allow-empty", "--message=state")  # fmt: skip
        bundle = self.work / "bundle"
        self._git("bundle", "create", "--quiet", str(bundle), "main")
        self.unpack(archive({bundle: "bundle"}), "/root")
        if new:
            self.sh("git init --quiet --bare --initial-branch=main /srv/operator.git")
        self.sh("git -C /srv/operator.git fetch --quiet /root/bundle main:main")
        if new:
            self.sh(f"git clone --quiet /srv/operator.git {REPOSITORY}")

    def _git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.repository, check=True, capture_output=True, timeout=60)

    # -- the node's own runs

    def request(self, *words: str) -> Path:
        """What mesh_request writes, at the operator's."""
        self.sh("ansible-playbook -c local -i localhost, swarm.node.mesh_request -e mesh=wan "
                f"-e name={self.name} -e to=/root/request.yml {' '.join(words)}")  # fmt: skip
        return self._taken("/root/request.yml", "request.yml")

    def pull(self, check: bool = True) -> str:
        """One start of the service. Returns what that run said."""
        since = self.sh("date +%s.%N").strip()
        code = self.sh(f"systemctl start {UNIT}.service >/dev/null 2>&1; echo $?").strip()
        said = self.sh(f"journalctl -o cat -u {UNIT}.service --since @{since}")
        assert not check or code == "0", said
        assert check or code != "0", said
        return said

    def receipt(self) -> Path:
        """A pull that writes one."""
        self.sh(f"cd {REPOSITORY} && git pull --quiet --ff-only && ansible-playbook -e to=/root/receipt.yml "
                f"-i inventories/production --limit {self.name} swarm.node.mesh_pull")  # fmt: skip
        return self._taken("/root/receipt.yml", "receipt.yml")

    def _taken(self, source: str, name: str) -> Path:
        path = self.work / name
        path.write_text(self.sh(f"cat {source}"), encoding="utf-8")
        return path


def archive(parts: dict[Path, str]) -> bytes:
    """A tar.gz: path here → name in it."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1) as file:
        for path, name in parts.items():
            file.add(path, name, filter=_plain)
    return data.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    return None if "__pycache__" in member.name else member
