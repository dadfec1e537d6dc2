# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for secrets that the tests of whole meshes rely on finds one wherever it is put."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from meshes.leaks import Entry, Leak, Search, Secret, files_below, files_in

RAW = bytes(range(200, 232))
SECRET = Secret.from_text("fra-1 wan 1", base64.b64encode(RAW).decode() + "\n")
OTHER = Secret("ams-1 wan 1", bytes(range(100, 132)))
TEXT = base64.b64encode(RAW)


def archive(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("arguments.json", content + b" " * 500)
    return out.getvalue()


HIDDEN: dict[str, Callable[[], bytes]] = {
    "base64": lambda: b"private key = " + TEXT + b"\n",
    "without padding": lambda: TEXT.rstrip(b"="),
    "for URLs": lambda: base64.urlsafe_b64encode(RAW),
    "JSON": lambda: json.dumps({"key": TEXT.decode()}).encode(),
    "JSON with escaped slashes": lambda: json.dumps(TEXT.decode()).replace("/", "\\/").encode(),
    "hex": lambda: RAW.hex().encode(),
    "HEX": lambda: RAW.hex().upper().encode(),
    "bytes": lambda: b"\0\0" + RAW + b"\0",
    "a file in base64": lambda: base64.b64encode(TEXT + b"\n"),
    "one byte into a file in base64": lambda: base64.b64encode(b"=" + TEXT + b"\n"),
    "two bytes into a file in base64": lambda: base64.b64encode(b"= " + TEXT + b"\n"),
    "bytes one into base64": lambda: base64.b64encode(b"k" + RAW + b"tail"),
    "a module that Ansible packed": lambda: b'ZIPDATA = "' + base64.b64encode(archive(TEXT)) + b'"',
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_secret_is_found_however_it_is_written(how: str) -> None:
    content = b"something before\n" + HIDDEN[how]() + b"\nsomething behind"
    assert Search([OTHER, SECRET]).leaks([Entry("job.json", content)]) == [Leak("fra-1 wan 1", "job.json")]


def test_a_file_name_may_be_one() -> None:
    assert Search([SECRET]).leaks([Entry(f"/tmp/{RAW.hex()}", b"")]) != []


def test_what_holds_none_has_none() -> None:
    entries = [Entry("public", base64.b64encode(bytes(range(32)))), Entry("half", TEXT[:30])]
    assert Search([SECRET, OTHER]).leaks(entries) == []


def test_a_planted_key_is_found_in_a_directory_and_in_an_archive(tmp_path: Path) -> None:
    planted = tmp_path / "facts" / "fra-1"
    planted.parent.mkdir()
    planted.write_text(json.dumps({"ansible_facts": {"wg": TEXT.decode()}}), encoding="utf-8")
    (tmp_path / "facts" / "ams-1").write_text("{}", encoding="utf-8")
    assert Search([SECRET]).leaks(files_below(tmp_path)) == [Leak("fra-1 wan 1", str(planted))]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        packed.add(tmp_path, "var/tmp")
    found = Search([SECRET]).leaks(files_in(out.getvalue(), "fra-1"))
    assert found == [Leak("fra-1 wan 1", "fra-1:/var/tmp/facts/fra-1")]


def test_nothing_to_look_for_is_no_proof() -> None:
    with pytest.raises(ValueError, match="no secret"):
        Search([]).leaks([Entry("job.json", b"")])
    with pytest.raises(ValueError, match="no key"):
        Secret.from_text("damaged", "c2hvcnQ=")
