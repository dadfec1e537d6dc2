# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that re-applies settings of GPUs, as one file."""

from __future__ import annotations

from ..core.bundle import PACKAGE, imports
from ..core.bundle import bundle as _bundle

# These two so that Ansible ships them: it sends only what is imported.
from .program import main as _program
from .watch import main as _watch

__all__ = ["bundle", "imports"]

ROOTS = tuple(".".join(entry.__module__.split(".")[-2:]) for entry in (_program, _watch))
"""Where the program begins, by name below module_utils: boot.program, boot.watch."""

MAIN = f'''\
"""swarm.node's program on the node: re-applies the settings of GPUs after a boot or a load of the driver."""

import sys

if sys.argv[1:2] == ["watch"]:  # Every minute, so it loads little.
    from {PACKAGE}.boot.watch import main
else:
    from {PACKAGE}.boot.program import main

sys.exit(main(sys.argv[1:]))
'''


def bundle() -> str:
    """The file's text; bytes that are not UTF-8 stand in it as surrogates."""
    return _bundle(MAIN, ROOTS)
