# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program of the node as one file that Python runs: a zip of this collection's own sources.

It is made on the node from the very modules that run there, so it needs no copy of the collection, and
equal sources make equal bytes: no compression, no times, sorted names.
"""

from __future__ import annotations

import importlib.util
import io
import re
import zipfile
from collections.abc import Mapping, Sequence

from .marking import marked

PACKAGE = "swarm_node"
"""What the collection's module_utils are called inside."""

FIRST_LINE = "#!/usr/bin/python3 -I"

_MAIN = '''\
"""swarm.node's program {what}"""

import sys

from {package}.{module} import main

sys.exit(main(sys.argv[1:]))
'''

_IMPORT = re.compile(r"^[ \t]*from (\.+)([\w.]*) import (\([^)]*\)|[^\n]*)", re.MULTILINE)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def program(what: str, module: str) -> str:
    """The text of a program that runs `main` of a module, with its arguments: that file and what it needs.

    what: it is for, and does; module: its `__name__`, whatever the collection is called where this runs
    """
    name = ".".join(module.split(".")[-2:])
    return bundle(_MAIN.format(what=what, package=PACKAGE, module=name), [name])


def bundle(main: str, roots: Sequence[str]) -> str:
    """The file's text; bytes that are not UTF-8 stand in it as surrogates.

    main: text of its `__main__`; roots: where it begins, by name below module_utils ("boot.program")
    """
    return pack(main, collect(_home(), roots))


def collect(home: str, roots: Sequence[str]) -> dict[str, str]:
    """Sources by name below the package `home` ("core.files"): the roots and whatever they import of it."""
    seen: dict[str, str | None] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        source = seen[name] = _source(f"{home}.{name}")
        if source is not None:
            waiting += imports(name, source)
        elif name in roots:
            raise ImportError(f"{home}.{name} has no source to be copied")
    return {name: source for name, source in seen.items() if source is not None}


def imports(name: str, source: str) -> list[str]:
    """Names that a module's relative imports may mean; those of functions and classes are among them."""
    package = name.split(".")[:-1]
    names = []
    for dots, module, imported in _IMPORT.findall(re.sub(r"#[^\n]*", "", source)):
        base = package[: len(package) - len(dots) + 1] + [part for part in module.split(".") if part]
        if module:
            names.append(".".join(base))
        for item in imported.strip("()").split(","):
            alias = item.split()
            if alias:
                names.append(".".join([*base, alias[0]]))
    return names


def pack(main: str, sources: Mapping[str, str]) -> str:
    """The zip of these modules with a `__main__`, below the line that says whose it is."""
    members = {"__main__.py": main, f"{PACKAGE}/__init__.py": ""}
    for name, source in sources.items():
        members[f"{PACKAGE}/{name.replace('.', '/')}.py"] = source
        parts = name.split(".")[:-1]
        for depth in range(len(parts)):
            members["/".join([PACKAGE, *parts[: depth + 1], "__init__.py"])] = ""
    head = marked("", FIRST_LINE)
    stream = io.BytesIO(head.encode())
    stream.seek(0, io.SEEK_END)  # Offsets count from the start of the file, head included.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, source in sorted(members.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, source.encode("utf-8"))
    body = stream.getvalue()[len(head) :].decode("utf-8", "surrogateescape")
    return marked(body, FIRST_LINE)


def _home() -> str:
    """The package that holds core and all layers, whatever it is called where this runs."""
    return __name__.rsplit(".", 2)[0]


def _source(name: str) -> str | None:
    """The source of a module; None for a package, and for what is no module."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    if spec is None or spec.submodule_search_locations is not None:
        return None
    reader = getattr(spec.loader, "get_source", None)
    return None if reader is None else reader(name)
