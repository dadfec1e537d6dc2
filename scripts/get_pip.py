# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the get-pip.py that ansible-test would download: pip comes from Python's own ensurepip.

scripts/sanity copies it to where ansible-test looks first. Arguments are those of `pip install`,
besides get-pip's own --no-setuptools and --no-wheel.
"""

from __future__ import annotations

import ensurepip
import os
import subprocess
import sys


def main() -> int:
    """Installs pip, then whatever the arguments name; returns pip's return code."""
    # ansible-test points pip back at this very script.
    os.environ.pop("GET_PIP", None)
    ensurepip.bootstrap(default_pip=True)
    arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
    return subprocess.call([sys.executable, "-m", "pip", "install", *arguments])


if __name__ == "__main__":
    sys.exit(main())
