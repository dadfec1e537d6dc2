# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of an apply fails once, and the process is killed at each: what the node is like then."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core import files
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done
from ansible_collections.swarm.node.plugins.module_utils.core.contract import Outcome, Request
from ansible_collections.swarm.node.plugins.module_utils.core.engine import reconcile
from ansible_collections.swarm.node.plugins.module_utils.core.errors import TransactionFailed
from ansible_collections.swarm.node.plugins.module_utils.core.store import Store
from ansible_collections.swarm.node.plugins.module_utils.mesh.layer import MeshLayer, MeshOptions
from ansible_collections.swarm.node.plugins.module_utils.mesh.share import Share
from mesh_cases import key, share, tunnel
from mesh_fake_node import PRIVATE, FakeNode, public_of

KEYS = {int(number): public_of(private) for number, private in PRIVATE.items()}
OLD = share(tunnel(2), tunnel(3), tunnel(4), keys={1: KEYS[1]})
NEW = share(
    tunnel(2, mtu=1400, keepalive=25, endpoint="192.0.2.99:51820"),
    tunnel(3),
    tunnel(3, interface="wan-3b", listen_port=51827, public_key=key("y"), generation=2),
    tunnel(5),
    keys=KEYS,
    transit=True,
    routes={
        "wan-2": (*OLD.routes["wan-2"], *OLD.routes["wan-4"]),
        "wan-3b": OLD.routes["wan-3"],
        "wan-5": ("10.99.0.5/32", "fd12:3456:789a::5/128"),
    },
)


def made(tmp_path: Path) -> FakeNode:
    """A node with the programs, its keys and the sysctls of a kernel."""
    root = tmp_path / "node"
    for name in ("wg", "wg-quick", "ip", "systemctl", "wireguard-go"):
        program = root / "usr/bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(0o755)
    for name in ("all", "default", "eth0"):
        for setting, value in (("disable_ipv6", "0"), ("forwarding", "0"), ("accept_ra", "1")):
            path = root / "proc/sys/net/ipv6/conf" / name / setting
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{value}\n")
    node = FakeNode(root)
    restore_keys(node)
    return node


def restore_keys(node: FakeNode) -> None:
    keys = node.root / "etc/swarm_node/mesh/wan/keys"
    keys.mkdir(parents=True, mode=0o700, exist_ok=True)
    for number, private in PRIVATE.items():
        (keys / f"{number}.key").write_text(f"{private}\n")
        (keys / f"{number}.key").chmod(0o600)


def apply(node: FakeNode, *shares: Share, absent: bool = False, disruption: str = "perf") -> Outcome:
    state, run = str(node.root / "var"), str(node.root / "run")
    options = MeshOptions(
        {one.mesh: one for one in shares},
        firewall="none",
        root=node.root,
        state_dir=state,
        run_dir=run,
        runner=node,
        absent=absent,
    )
    return reconcile(MeshLayer(options), Store(state, run), Request("mesh", max_disruption=disruption))


def picture(node: FakeNode) -> dict[str, Any]:
    """All that counts on the node: the kernel, and every file but the log of changes."""
    files = {}
    for path in sorted(node.root.rglob("*")):
        name = str(path.relative_to(node.root))
        if path.is_symlink():
            files[name] = str(path.readlink())
        elif path.is_file() and not name.startswith(("var/changes", "run/", "kernel.json")):
            files[name] = path.read_text()
    kernel = node.load()
    for link in kernel["links"].values():
        link["addresses"].sort()
    kernel["units"].sort()
    return {"files": files, "kernel": kernel}


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """Sysctls of interfaces that are gone again stay behind in this fake, not in a kernel."""
    links = found["kernel"]["links"]
    files = {
        name: text
        for name, text in found["files"].items()
        if not name.startswith("proc/sys/net/ipv4/conf/") or name.split("/")[5] in links
    }
    return {"files": files, "kernel": found["kernel"]}


STEPS = [
    pytest.param((), (OLD,), False, id="new mesh"),
    pytest.param((OLD,), (NEW,), False, id="many changes"),
    pytest.param((NEW,), (OLD,), False, id="and back"),
    pytest.param((NEW,), (), True, id="state absent"),
]


@pytest.mark.parametrize(("first", "then", "absent"), STEPS)
def test_it_gets_there_and_stays_there(
    tmp_path: Path, first: tuple[Share, ...], then: tuple[Share, ...], absent: bool
) -> None:
    node = made(tmp_path)
    if first:
        apply(node, *first, disruption="peer_jobs")
        assert not apply(node, *first).changed
    assert apply(node, *then, absent=absent, disruption="peer_jobs").changed
    again = apply(node, *then, absent=absent, disruption="peer_jobs")
    assert (again.changed, again.writes) == (False, 0)
    if absent:
        left = picture(node)
        assert left["kernel"] == {"links": {}, "routes": {}, "units": [], "wg": {}}
        assert not [name for name in left["files"] if name.startswith("etc/")]
        assert not (node.root / "etc/swarm_node/mesh").exists()


@pytest.mark.parametrize(("first", "then", "absent"), STEPS)
def test_any_command_that_fails_leaves_the_node_as_it_was(
    tmp_path: Path, first: tuple[Share, ...], then: tuple[Share, ...], absent: bool
) -> None:
    failures = number = 0
    while True:
        node = made(tmp_path / str(number))
        if first:
            apply(node, *first, disruption="peer_jobs")
        old = comparable(picture(node))
        node.changes = 0
        node.before = failing(number)
        try:
            apply(node, *then, absent=absent, disruption="peer_jobs")
        except TransactionFailed as error:
            assert error.not_undone == [], number
            assert comparable(picture(node)) == old, number
            failures += 1
        else:
            # It did without that command, or there was none.
            assert not apply(node, *then, absent=absent, disruption="peer_jobs").changed
            if node.changes <= number:
                break
        number += 1
    assert failures >= 1


def failing(which: int) -> Any:
    def before(number: int, argv: Sequence[str]) -> Optional[Done]:
        # A tunnel that stops badly is taken away all the same.
        if number == which and list(argv[:2]) != ["systemctl", "stop"]:
            return Done(1, "", "it failed on purpose")
        return None

    return before


@pytest.mark.parametrize(("first", "then", "absent"), STEPS[:3])
def test_any_file_that_cannot_be_written_leaves_the_node_as_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: tuple[Share, ...],
    then: tuple[Share, ...],
    absent: bool,
) -> None:
    real, failures, number = files.write_whole, 0, 0
    while True:
        node = made(tmp_path / str(number))
        if first:
            apply(node, *first, disruption="peer_jobs")
        old, written = comparable(picture(node)), [0]

        def write(
            path: Path, text: str, mode: int = 0o644, which: int = number, count: Any = written
        ) -> None:
            count[0] += 1
            if count[0] - 1 == which and "etc/" in str(path):
                raise OSError(28, "No space left on device", str(path))
            real(path, text, mode)

        monkeypatch.setattr(files, "write_whole", write)
        try:
            apply(node, *then, absent=absent, disruption="peer_jobs")
        except TransactionFailed as error:
            assert error.not_undone == [], number
            assert comparable(picture(node)) == old, number
            failures += 1
        finally:
            monkeypatch.setattr(files, "write_whole", real)
        if written[0] <= number:
            break
        number += 1
    assert failures >= 5


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("first", "then", "absent"), STEPS)
def test_killed_at_any_command_the_next_run_gets_there(
    tmp_path: Path, first: tuple[Share, ...], then: tuple[Share, ...], absent: bool, moment: str
) -> None:
    goal = made(tmp_path / "goal")
    if first:
        apply(goal, *first, disruption="peer_jobs")
    apply(goal, *then, absent=absent, disruption="peer_jobs")
    number, killed = 0, True
    while killed:
        node = made(tmp_path / str(number))
        if first:
            apply(node, *first, disruption="peer_jobs")
        killed = run_killed(node, number, moment, then, absent)
        for path in (node.root / "etc").rglob("*.conf"):
            assert path.read_text().startswith("# swarm.node"), path
        node = FakeNode(node.root)
        apply(node, *then, absent=absent, disruption="peer_jobs")
        assert not apply(node, *then, absent=absent, disruption="peer_jobs").changed, number
        assert comparable(picture(node)) == comparable(picture(goal)), number
        number += 1
    assert number >= 3


def run_killed(node: FakeNode, which: int, moment: str, shares: tuple[Share, ...], absent: bool) -> bool:
    """Applies in a process that ends at once at a command; whether it came to that."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

    def stop(number: int, argv: Sequence[str]) -> None:
        if number == which:
            os._exit(9)

    if moment == "before":
        node.before = stop
    else:
        node.after = stop
    node.changes = 0
    try:
        apply(node, *shares, absent=absent, disruption="peer_jobs")
    finally:
        os._exit(0)


def test_no_secret_is_in_journal_records_or_results(tmp_path: Path) -> None:
    node = made(tmp_path)
    seen: list[str] = []

    def look(number: int, argv: Sequence[str]) -> None:
        seen.extend(path.read_text() for path in (node.root / "var").rglob("*") if path.is_file())

    node.after = look
    outcome = apply(node, OLD)
    seen.append(json.dumps(outcome.as_result()))
    seen.extend(path.read_text() for path in (node.root / "etc/wireguard").iterdir())
    assert len(seen) > 5
    assert not [text for text in seen for secret in PRIVATE.values() if secret in text]


def test_drift_by_hand_is_put_right(tmp_path: Path) -> None:
    node = made(tmp_path)
    apply(node, OLD)
    right = picture(node)
    state = node.load()
    state["wg"]["wan-2"]["peers"] = {}
    state["links"]["wan-3"]["mtu"] = 1300
    state["links"]["wan-3"]["addresses"].remove("10.99.0.1/32")
    del state["routes"]["10.99.0.4/32 4000"]
    node.save(state)
    assert apply(node, OLD, disruption="none").changed
    assert picture(node) == right


def test_a_change_that_is_left_out_is_left_out_whole(tmp_path: Path) -> None:
    node = made(tmp_path)
    apply(node, OLD)
    moved = replace(OLD, tunnels=(replace(OLD.tunnels[0], listen_port=51899), *OLD.tunnels[1:]))
    before = picture(node)
    outcome = apply(node, moved)
    assert {wish.reason for wish in outcome.plan.unapplied} >= {"needs_more_disruption"}
    assert picture(node) == before
