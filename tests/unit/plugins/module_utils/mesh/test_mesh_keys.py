# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys: made once, whole, for root alone; what is wrong with a key's file is said without the key."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.swarm.node.plugins.module_utils.core.commands import Done, execute_allowed
from ansible_collections.swarm.node.plugins.module_utils.core.errors import BindError, NodeError
from ansible_collections.swarm.node.plugins.module_utils.mesh import keys_file
from ansible_collections.swarm.node.plugins.module_utils.mesh.keys import KeyStore, as_time
from mesh_keys_wg import RecordingRunner, public_of


@pytest.fixture
def runner(tmp_path: Path) -> RecordingRunner:
    return RecordingRunner(tmp_path / "bin")


@pytest.fixture
def store(tmp_path: Path, runner: RecordingRunner) -> KeyStore:
    return KeyStore(tmp_path / "node", runner)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_for_root_alone_whatever_the_umask(store: KeyStore) -> None:
    old = os.umask(0)
    try:
        public = store.make("wan", 1)
    finally:
        os.umask(old)
    path = store.path("wan", 1)
    assert public == public_of(path.read_text().strip())
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert [found.name for found in path.parent.iterdir()] == ["1.key"]


def test_a_key_that_is_there_stays(store: KeyStore) -> None:
    first = store.make("wan", 1)
    text = store.path("wan", 1).read_text()
    assert store.make("wan", 1) == first == store.public_key("wan", 1)
    assert store.path("wan", 1).read_text() == text
    assert store.make("wan", 2) != first
    assert store.generations("wan") == [1, 2]
    assert sorted(store.created_all("wan")) == [1, 2]


def test_no_key(store: KeyStore) -> None:
    assert store.public_key("wan", 1) is None
    assert store.created("wan", 1) is None
    assert store.generations("wan") == []
    assert store.loose("wan", 1) == ""
    store.remove("wan", 1)


def test_the_private_key_is_in_no_argument(store: KeyStore, runner: RecordingRunner) -> None:
    store.make("wan", 1)
    store.public_key("wan", 1)
    secret = store.path("wan", 1).read_text().strip()
    assert runner.argv
    assert not [word for argv in runner.argv for word in argv if secret in word]


@pytest.mark.parametrize("text", ["", "short\n", "x" * 44 + "\n", "A" * 42 + "E", "\x00" * 45, "é" * 44])
def test_a_damaged_key_is_named_and_not_shown(store: KeyStore, text: str) -> None:
    path = store.path("wan", 1)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)
    for attempt in (store.public_key, store.make):
        with pytest.raises(NodeError) as raised:
            attempt("wan", 1)
        assert str(path) in str(raised.value)
        assert not text.strip() or text.strip() not in str(raised.value)
    assert path.read_text() == text


def test_a_link_or_a_directory_is_no_key(store: KeyStore, tmp_path: Path) -> None:
    path = store.path("wan", 1)
    path.mkdir(parents=True)
    with pytest.raises(NodeError, match="no regular file"):
        store.make("wan", 1)
    path.rmdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NodeError, match="no regular file"):
        store.make("wan", 1)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_foreign_key_is_refused(store: KeyStore) -> None:
    store.make("wan", 1)
    os.chown(store.path("wan", 1), 12345, 0)
    with pytest.raises(NodeError, match="belongs to user 12345"):
        store.public_key("wan", 1)


def test_a_loose_mode_is_seen_and_mended(store: KeyStore) -> None:
    store.make("wan", 1)
    path = store.path("wan", 1)
    text = path.read_text()
    assert store.loose("wan", 1) == ""
    path.chmod(0o644)
    assert store.loose("wan", 1) == "0644"
    store.tighten("wan", 1)
    path.parent.chmod(0o755)
    assert store.loose("wan", 1) == "0755"
    store.tighten("wan", 1)
    assert (store.loose("wan", 1), mode(path), mode(path.parent)) == ("", 0o600, 0o700)
    assert path.read_text() == text


@pytest.mark.parametrize("mesh", ["", "Wan", "a/b", "..", "toolongname", "9a", None, 3])
def test_names_of_meshes(store: KeyStore, mesh: str) -> None:
    with pytest.raises(BindError, match="mesh: "):
        store.public_key(mesh, 1)


@pytest.mark.parametrize("generation", [0, -1, True, "1", 10**9, None])
def test_generations_are_checked(store: KeyStore, generation: int) -> None:
    with pytest.raises(BindError, match="generation: "):
        store.make("wan", generation)


class Failing(RecordingRunner):
    """Its `wg genkey` writes `text` and returns `code`."""

    def __init__(self, programs: Path, code: int, text: str, err: str = "") -> None:
        super().__init__(programs)
        self.code, self.text, self.err = code, text, err

    def __call__(self, argv: Sequence[str], data: str = "", timeout: float = 60.0) -> Done:
        if "genkey" not in argv:
            return super().__call__(argv, data, timeout)
        Path(argv[-1]).write_text(self.text)
        return Done(self.code, "", self.err)


@pytest.mark.parametrize(
    ("code", "text", "err", "says"),
    [
        (0, "", "", "disk full"),
        (0, "cut", "", "disk full"),
        (1, "", "wg: no entropy\n", "no entropy"),
        (127, "", "sh: 1: exec: wg: not found", "install wireguard-tools"),
    ],
)
def test_nothing_is_left_of_a_key_that_could_not_be_made(
    tmp_path: Path, code: int, text: str, err: str, says: str
) -> None:
    store = KeyStore(tmp_path / "node", Failing(tmp_path / "bin", code, text, err))
    with pytest.raises(NodeError, match=says):
        store.make("wan", 1)
    assert list(store.path("wan", 1).parent.iterdir()) == []


def test_what_a_killed_run_left_is_swept(store: KeyStore) -> None:
    store.make("wan", 2)
    half = store.path("wan", 1).with_name(".1.key.abcdefgh")
    half.write_text("half")
    assert store.generations("wan") == [2]
    store.make("wan", 1)
    assert not half.exists()


def test_removed(store: KeyStore) -> None:
    store.make("wan", 1)
    store.remove("wan", 1)
    assert store.public_key("wan", 1) is None


def test_created_is_the_time_of_the_file(store: KeyStore) -> None:
    store.make("wan", 1)
    os.utime(store.path("wan", 1), (0, 1_700_000_000))
    assert as_time(store.created("wan", 1)) == "2023-11-14T22:13:20Z"
    assert as_time(None) is None


def test_without_wireguard_tools(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "node", RecordingRunner(tmp_path / "bin", missing=["wg"]))
    with pytest.raises(NodeError, match="install wireguard-tools"):
        store.make("wan", 1)


def test_a_secret_that_is_written_again_is_closed_first(tmp_path: Path) -> None:
    path = tmp_path / "psk" / "a.key"
    keys_file.write(path, "old")
    path.chmod(0o644)
    keys_file.write(path, "new")
    assert (path.read_text(), mode(path), mode(path.parent)) == ("new\n", 0o600, 0o700)


@pytest.mark.skipif(shutil.which("wg") is None, reason="wireguard-tools are not here")
def test_with_the_real_wg(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, execute_allowed)
    public = store.make("wan", 1)
    assert public == public_of(store.path("wan", 1).read_text().strip())
