# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mesh with preshared keys lives its life as loudly as Ansible can; no key is seen but in its file.

It is a second mesh, `sec`, on four nodes; two of them are in the lab's first mesh as well.
The tests of this file follow on each other.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab_runs import Run

from lab.faults import Background

from .conftest import MeshLab
from .leaks import Entry, Search, Secret, files_below, files_in
from .test_life import lost
from .traffic import Probes

pytestmark = pytest.mark.long

CAST = ("fra-3", "home-1", "spare-1", "spare-2")
SETTINGS = {
    "prefixes": ["10.98.0.0/16", "fd5e:7a11:9c3e::/48"],
    "port": 53000,
    "preshared_keys": True,
}
KEYS = "/etc/swarm_node/mesh"
ARGV = "/run/argv.log"
TOOLS = ("wg", "openssl", "ip")
PLACES = "root home tmp dev/shm etc run var/tmp var/lib/swarm_node var/log var/cache var/spool"
CALLBACKS = Path(__file__).with_name("callbacks")


class Evidence:
    """Everything that runs leave behind, and the secrets that must not be in it."""

    def __init__(self, lab: MeshLab, base: Path) -> None:
        self.lab = lab
        self.base = base
        self.secrets: dict[str, Secret] = {}
        self.homes: dict[str, set[str]] = {}
        self.entries: list[Entry] = []
        self.temporary = base / "local_tmp"
        self.inventory = base / "members.yml"
        self.listings: dict[str, Background] = {}
        for name in ("facts", "local_tmp"):
            (base / name).mkdir()
        hosts = {name: {"mesh_name": ["wan", "sec"] if name[:5] != "spare" else "sec"} for name in CAST}
        everybody = {"hosts": {name: {**item, "mesh_settings": SETTINGS} for name, item in hosts.items()}}
        self.inventory.write_text(yaml.safe_dump({"all": everybody}), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        return {
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "swarm.node.summary,dump_events",
            "DUMP_EVENTS": str(self.base / "events.jsonl"),
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(self.base / "facts"),
            "ANSIBLE_LOCAL_TEMP": str(self.temporary),
            "ANSIBLE_LOG_PATH": str(self.base / "ansible.log"),
        }

    def mesh(self, playbook: str, *arguments: str, **extra: Any) -> Run:
        """Runs a playbook on the cast and keeps what it says; keys that it makes are noted."""
        before = {name: os.environ.get(name) for name in self.environment()}
        os.environ.update(self.environment())
        self.note_secrets()
        stop = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(stop,))
        watcher.start()
        try:
            run = self.lab.play(
                f"swarm.node.mesh_{playbook}",
                *("-i", str(self.inventory), *arguments),
                mesh_registry_dir=str(self.lab.registries),
                node_hosts=",".join(CAST),
                node_batches=["100%"],
                **extra,
            )
        finally:
            stop.set()
            watcher.join()
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        self.note_secrets()
        self.entries.append(Entry(f"output of mesh_{playbook} {arguments}", run.output.encode()))
        return run

    def note_secrets(self) -> None:
        """Reads all keys that are on the nodes now."""
        script = f"for file in $(find {KEYS} -name '*.key' 2>/dev/null); do echo $file $(cat $file); done"
        for node in CAST:
            for line in self.lab.sh(node, script).splitlines():
                path, text = line.split()
                secret = Secret.from_text(f"{node}:{path}", text)
                self.secrets.setdefault(text, secret)
                self.homes.setdefault(self.secrets[text].name, set()).add(f"{node}:{path}")

    def node_entries(self, node: str) -> list[Entry]:
        """Its files, journal, and the command lines and environments of its processes."""
        script = f"cd / && tar -cf - --exclude=run/user $(ls -d {PLACES} 2>/dev/null) 2>/dev/null; true"
        found = list(files_in(self._bytes(node, script), node))
        journal = self._bytes(node, "journalctl --all --no-pager -o export")
        assert b"sshd" in journal and b"wg-quick" in journal  # it is the journal, and that of these runs
        processes = self._bytes(node, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; true")
        return [*found, Entry(f"{node} journal", journal), Entry(f"{node} processes", processes)]

    def controller_entries(self) -> Iterator[Entry]:
        yield from files_below(self.base)
        yield from files_below(self.lab.reports)
        yield from files_below(self.lab.registries)
        yield from files_below(Path.home() / ".ansible" / "tmp")

    def _bytes(self, node: str, script: str) -> bytes:
        line = self.lab.faults.command("exec", node, "sh", "-c", script)
        done = subprocess.run(line, cwd=self.lab.inventory.parents[1], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _watch(self, stop: threading.Event) -> None:
        """Ansible removes its own temporary files at the end, so they are read meanwhile."""
        seen: dict[str, bytes] = {}
        while not stop.wait(0.5):
            for entry in files_below(self.temporary):
                if seen.get(entry.place) != entry.content:
                    seen[entry.place] = entry.content
                    self.entries.append(entry)


@pytest.fixture(scope="module")
def evidence(mesh: MeshLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    """All commands that are run by name are logged with their words; processes are listed all the time."""
    found = Evidence(mesh, tmp_path_factory.mktemp("evidence"))
    for node in CAST:
        for tool in TOOLS:
            lines = f"""'#!/bin/sh' 'echo {tool} "$@" >>{ARGV}' "exec $(command -v {tool}) \\"\\$@\\"" """
            script = f"PATH=/usr/sbin:/usr/bin:/sbin:/bin; printf '%s\\n' {lines} >/run/shim"
            mesh.sh(node, f"{script}; install /run/shim /usr/local/sbin/{tool}")
    loop = ("sh", "-c", "while :; do ps -eo args; sleep 0.2; done")
    found.listings = {node: mesh.faults.background(node, *loop) for node in CAST}
    run = found.mesh("join", "-vvv", "--diff")
    assert run.code == 0, run.output[-8000:]
    yield found
    rest = [name for name in CAST if name in mesh.registry("sec")["members"]]
    done = found.mesh("leave", member=",".join(rest), mesh="sec")
    assert done.code == 0, done.output[-8000:]
    for node in CAST:
        found.listings[node].stop()
        mesh.sh(node, "cd /usr/local/sbin && rm -f " + " ".join(TOOLS))
    mesh.registries.joinpath("sec.yml").unlink()


def ends(lab: MeshLab) -> Iterator[tuple[str, str, str]]:
    """(node, its peer, interface) of each tunnel of the mesh."""
    registry = lab.registry("sec")
    for link in registry["links"]:
        for node, peer in (link["ends"], link["ends"][::-1]):
            side = "b" if link.get("side") else ""
            yield node, peer, f"sec-{registry['members'][peer]['number']}{side}"


def preshared(lab: MeshLab) -> dict[frozenset[str], set[str]]:
    """Link → the preshared keys that its two ends have in force, as `wg` says."""
    found: dict[frozenset[str], set[str]] = {}
    for node, peer, interface in ends(lab):
        shown = lab.run(node, "wg", "show", interface, "preshared-keys").split()
        found.setdefault(frozenset((node, peer)), set()).add(shown[1])
    return found


def all_of(keys: dict[frozenset[str], set[str]]) -> set[str]:
    return {key for shown in keys.values() for key in shown}


def everybody_answers(lab: MeshLab) -> None:
    members = lab.registry("sec")["members"]
    for node in members:
        others = [f"10.98.0.{item['number']}" for name, item in members.items() if name != node]
        assert lab.silent(node, others) == [], node


def probes_of(lab: MeshLab) -> Probes:
    members = lab.registry("sec")["members"]
    pairs = (("spare-1", "fra-3"), ("fra-3", "home-1"), ("home-1", "spare-1"))
    return Probes(lab.faults, [(one, f"10.98.0.{members[other]['number']}") for one, other in pairs])


def without_loss(lab: MeshLab, work: Callable[[], Run]) -> Run:
    probes = probes_of(lab)
    try:
        run = work()
    finally:
        counts = probes.stop()
    assert run.code == 0, run.output[-8000:]
    assert lost(counts) == {}
    everybody_answers(lab)
    return run


def test_every_tunnel_has_a_preshared_key_at_both_ends_and_answers(mesh: MeshLab, evidence: Evidence) -> None:
    keys = preshared(mesh)
    assert len(keys) == 6
    for link, shown in keys.items():
        assert len(shown) == 1 and shown != {"(none)"}, link
    assert len(all_of(keys)) == 6  # each link has one of its own
    everybody_answers(mesh)


def test_they_are_taken_away_and_put_there_again_by_tunnels_beside(mesh: MeshLab, evidence: Evidence) -> None:
    before = preshared(mesh)
    for wished in (False, True):
        mesh.edit(lambda data, wished=wished: data["settings"].update(preshared_keys=wished), "sec")
        run = without_loss(mesh, lambda: evidence.mesh("replan", "-vvv", "--diff", mesh="sec", measure=False))
        now = preshared(mesh)
        assert all((shown == {"(none)"}) is not wished and len(shown) == 1 for shown in now.values()), now
        assert mesh.registry("sec")["settings"].get("preshared_keys", False) is wished
        assert all("next" not in link and "old" not in link for link in mesh.registry("sec")["links"]), run
    assert not all_of(before) & all_of(now)
    again = evidence.mesh("replan", mesh="sec", measure=False)
    assert again.code == 0 and again.report["totals"]["writes"] == 0, again.output[-8000:]


def test_keys_are_replaced_while_a_debugger_looks_on(
    mesh: MeshLab, evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = preshared(mesh)
    for name in ("ANSIBLE_DEBUG", "ANSIBLE_KEEP_REMOTE_FILES"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("ANSIBLE_PIPELINING", "0")
    without_loss(mesh, lambda: evidence.mesh("rotate", "-vvvvv", "--diff", mesh="sec"))
    now = preshared(mesh)
    assert all(len(shown) == 1 and shown != {"(none)"} for shown in now.values())
    assert not all_of(before) & all_of(now)


def test_a_member_leaves(mesh: MeshLab, evidence: Evidence) -> None:
    run = without_loss(mesh, lambda: evidence.mesh("leave", "-vvv", "--diff", member="spare-2", mesh="sec"))
    assert "spare-2" not in mesh.registry("sec")["members"], run.output
    assert mesh.sh("spare-2", f"find {KEYS} -type f 2>/dev/null; true") == ""


def test_no_key_is_anywhere_but_in_its_file(mesh: MeshLab, evidence: Evidence) -> None:
    entries = [*evidence.entries, *evidence.controller_entries()]
    for node in CAST:
        entries += evidence.node_entries(node)
        listing = evidence.listings[node].output()
        assert "AnsiballZ" in listing or "python3" in listing
        entries.append(Entry(f"{node} command lines", listing.encode()))
    # Of each member two keys, those of two in the first mesh, and three times a key for each link.
    assert len(evidence.secrets) >= 2 * 4 + 2 + 3 * 6
    search = Search(evidence.secrets.values())
    found = search.leaks(entries)
    at = {entry.place: entry for entry in entries}
    in_files = {(leak.secret, leak.place) for leak in found if _is_key_file(at[leak.place])}
    homes = {(name, place) for name, places in evidence.homes.items() for place in places}
    assert in_files <= homes
    assert {leak for leak in found if (leak.secret, leak.place) not in in_files} == set()
    # The search does find them where they are.
    still = {(name, place) for name, place in homes if place in at}
    assert still and still == in_files
    _has_looked_everywhere(mesh, entries)


def test_a_key_that_is_anywhere_else_is_found(mesh: MeshLab, evidence: Evidence) -> None:
    """The control of the test before: the same search finds a key wherever none may be."""
    node = "spare-1"
    key = next(path for path in mesh.sh(node, f"find {KEYS} -name '*.key'").split())
    text = mesh.run(node, "cat", key).strip()
    name = evidence.secrets[text].name
    mesh.sh(node, f"cp {key} /var/tmp/planted; logger -t planted $(cat {key})")
    mesh.sh(node, f"base64 -d {key} | od -An -tx1 | tr -d ' \\n' >/run/planted-hex")
    mesh.sh(node, f"base64 {key} >/run/planted-twice")
    mesh.sh(node, f"install -m 0644 {key} {KEYS}/planted.key")
    shown = mesh.faults.background(node, "sh", "-c", "sleep 300; :", "planted", text)
    (evidence.base / "planted.jsonl").write_text(f'{{"key": "{text}"}}', encoding="utf-8")
    try:
        entries = [*evidence.controller_entries(), *evidence.node_entries(node)]
    finally:
        shown.stop()
        mesh.sh(node, f"rm /var/tmp/planted /run/planted-hex /run/planted-twice {KEYS}/planted.key")
    at = {entry.place: entry for entry in entries}
    leaks = Search(evidence.secrets.values()).leaks(entries)
    found = {(leak.secret, leak.place) for leak in leaks if not _is_key_file(at[leak.place])}
    files = [f"{node}:{path}" for path in ("/var/tmp/planted", "/run/planted-hex", "/run/planted-twice")]
    places = [*files, f"{node}:{KEYS}/planted.key", str(evidence.base / "planted.jsonl")]
    places += [f"{node} journal", f"{node} processes"]
    assert {(name, place) for place in places} <= found


def _is_key_file(entry: Entry) -> bool:
    return f":{KEYS}/" in entry.place and entry.mode == 0o600 and entry.user == 0


def _has_looked_everywhere(mesh: MeshLab, entries: list[Entry]) -> None:
    """What is no secret is found where results, arguments and command lines go, so those were looked at."""
    public = mesh.registry("sec")["members"]["fra-3"]["keys"][2].encode()
    sealed = next(
        copy["sealed"].encode()
        for link in mesh.registry("sec")["links"]
        for copy in link["psk"]["sealed"].values()
    )

    def seen(word: bytes, *places: str) -> None:
        found = [entry.place for entry in entries if word in entry.content]
        for place in places:
            assert any(place in item for item in found), f"{place}: {found}"

    seen(
        public,
        "output of mesh_rotate",
        "events.jsonl",
        "sec.yml",
        "fra-3:/etc/swarm_node/mesh/sec/share.json",
    )
    seen(public, "/.ansible/tmp/", "local_tmp")
    seen(sealed, "events.jsonl", "output of mesh_rotate", "/.ansible/tmp/")
    seen(b"wg genpsk", f":{ARGV}")
    seen(b"openssl pkeyutl", f":{ARGV}")
    for node in CAST:
        seen(b"wg set", f"{node} journal")
