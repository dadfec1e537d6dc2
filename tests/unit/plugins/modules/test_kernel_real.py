# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel module on the real kernel, in a network and mount namespace of its own.

Only keys that belong to the network namespace are written, and /etc/sysctl.d and /etc/tmpfiles.d
are temporary directories there: the host sees nothing of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import module_runner
import pytest

RANGE = "net.ipv4.ip_local_port_range"
CONGESTION = "net.ipv4.tcp_congestion_control"
KEEPALIVE = "net.ipv4.tcp_keepalive_time"
NAMES = (RANGE, CONGESTION, KEEPALIVE)
KEYS = [Path("/proc/sys") / key.replace(".", "/") for key in NAMES]
DROPINS = [Path("/etc/sysctl.d"), Path("/etc/tmpfiles.d")]
READ_ONLY = "mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && "


def _refusal() -> str:
    """Why namespaces cannot be made here, or ""."""
    if not shutil.which("unshare"):
        return "there is no unshare"
    done = subprocess.run(
        ["unshare", "-n", "-m", "true"], capture_output=True, text=True, check=False, timeout=10
    )
    return done.stderr.strip() or ("" if done.returncode == 0 else f"unshare ends with {done.returncode}")


REFUSAL = _refusal()
pytestmark = pytest.mark.skipif(bool(REFUSAL), reason=f"no namespaces here: {REFUSAL}")


class Namespace:
    """`run` runs the module once per set of options, all in one namespace."""

    def __init__(self, base: Path, collections: Path) -> None:
        self.base = base
        self.collections = collections
        for name in ("etc", "sysctl.d", "tmpfiles.d", "state", "run"):
            (base / name).mkdir()

    def run(self, *calls: dict[str, Any], prepare: str = "") -> list[tuple[dict[str, Any], dict[str, str]]]:
        """Per call: the module's answer, and the live values of KEYS after it."""
        # A small Debian has neither directory: an overlay, in memory, lets them be made, and not on the host.
        script = (
            f"set -e; mount -t tmpfs etc {self.base}/etc; cd {self.base}/etc; mkdir upper work; "
            f"mount -t overlay -o lowerdir=/etc,upperdir=$PWD/upper,workdir=$PWD/work etc /etc; "
            f"mkdir -p /etc/sysctl.d /etc/tmpfiles.d; mount --bind {self.base}/sysctl.d /etc/sysctl.d; "
            f"mount --bind {self.base}/tmpfiles.d /etc/tmpfiles.d; {prepare} "
            'for call in "$@"; do "$PYTHON" "$RUNNER" kernel "$call" || true; '
            f"cat {' '.join(map(str, KEYS))}; done"
        )
        common = {"state_dir": str(self.base / "state"), "run_dir": str(self.base / "run"), "owner": "real"}
        done = subprocess.run(
            [
                "unshare",
                "-n",
                "-m",
                "sh",
                "-c",
                script,
                "sh",
                *(json.dumps({**common, **call}) for call in calls),
            ],
            env={
                **os.environ,
                "PYTHONPATH": str(self.collections),
                "PYTHON": sys.executable,
                "RUNNER": str(module_runner.__file__),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        size = 1 + len(NAMES)
        assert len(lines) == size * len(calls), done.stdout + done.stderr
        return [
            (
                json.loads(lines[start]),
                {key: " ".join(text.split()) for key, text in zip(NAMES, lines[start + 1 :])},
            )
            for start in range(0, len(lines), size)
        ]

    def file(self) -> str | None:
        path = self.base / "sysctl.d/90-swarm-node-real.conf"
        return path.read_text() if path.exists() else None


@pytest.fixture
def namespace(tmp_path, collections_path):
    """A namespace, and the proof that the host kept its values and files."""
    before = _host()
    yield Namespace(tmp_path, collections_path)
    assert _host() == before


def _host() -> list[str | list[Path] | None]:
    """The live values of KEYS, then what is in each directory of DROPINS (None: there is none)."""
    found = [sorted(path.iterdir()) if path.is_dir() else None for path in DROPINS]
    return [path.read_text() for path in KEYS] + found


def test_the_life_of_a_setting_on_a_real_kernel(namespace):
    wish = {"sysctl": {RANGE: [20000, 30000], CONGESTION: "reno"}}
    check, done, again, gone = namespace.run(
        {**wish, "_ansible_check_mode": True}, wish, wish, {"state": "absent"}
    )
    first = check[1]
    assert check[0]["changed"] and first[RANGE] != "20000 30000"
    assert done[0]["changed"] and done[1] == {**first, RANGE: "20000 30000", CONGESTION: "reno"}
    assert (again[0]["changed"], again[0]["writes"]) == (False, 0)
    assert gone[0]["changed"] and gone[1] == first
    assert namespace.file() is None


def test_what_the_real_kernel_rejects_is_undone_and_in_no_file(namespace):
    good = {"sysctl": {CONGESTION: "reno", KEEPALIVE: 600}}
    bad = {"sysctl": {CONGESTION: "reno", KEEPALIVE: 700, RANGE: "70000 80000"}}
    first, failed = namespace.run(good, bad)
    assert first[0]["changed"]
    result, live = failed
    assert result["failed"] and f"{RANGE}: the kernel rejects '70000 80000'" in result["msg"]
    assert "Invalid argument" in result["msg"]
    assert (result["not_undone"], live) == ([], first[1])
    assert f"{KEEPALIVE} = 600\n" in namespace.file()
    assert "70000" not in namespace.file()


def test_a_congestion_control_nobody_has(namespace):
    ((result, _live),) = namespace.run({"sysctl": {CONGESTION: "nonsense"}})
    assert [wish["reason"] for wish in result["unapplied"]] == ["unsupported"]
    assert not result["changed"]


def test_a_congestion_control_that_is_not_for_namespaces(namespace):
    """The kernel lets a namespace take only those the machine underneath allows: known before writing."""
    names = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text().split()
    found = namespace.run(*({"sysctl": {CONGESTION: name}} for name in names))
    for name, (result, live) in zip(names, found):
        assert not result.get("failed"), result
        reasons = [wish["reason"] for wish in result["unapplied"]]
        assert reasons == ([] if name in allowed else ["unsupported"])
        assert (live[CONGESTION] == name) or name not in allowed


def test_a_read_only_proc_is_reported(namespace):
    ((result, live),) = namespace.run({"sysctl": {RANGE: "20000 30000"}}, prepare=READ_ONLY + "true;")
    assert [(wish["key"], wish["reason"]) for wish in result["unapplied"]] == [(RANGE, "readonly")]
    assert not result.get("failed") and not result["changed"]
    assert live[RANGE] != "20000 30000" and namespace.file() is None


def test_a_required_key_on_a_read_only_proc_fails(namespace):
    ((result, _live),) = namespace.run(
        {"sysctl": {RANGE: "20000 30000"}, "required": [RANGE]}, prepare=READ_ONLY + "true;"
    )
    assert result["failed"] and "readonly" in result["msg"]


def test_keys_that_a_network_namespace_does_not_have_or_let_write(namespace):
    ((result, _live),) = namespace.run(
        {"sysctl": {"net.core.rmem_max": 123456, "net.core.default_qdisc": "fq"}}
    )
    assert [wish["reason"] for wish in result["unapplied"]] == ["readonly", "unsupported"]


def test_a_trigger_is_refused_and_not_pulled(namespace):
    ((result, _live),) = namespace.run({"sysctl": {"net.ipv4.route.flush": 1}})
    assert result["failed"] and "this one is a trigger" in result["msg"]
