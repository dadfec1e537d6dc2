# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PID 1 of the lab's namespaces: reaps what podman leaves behind; when it ends, the kernel ends the lab.

Started by lab.namespaces as a plain script; it imports nothing of the lab.
"""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Says "ready" on standard output, then waits for SIGTERM."""
    signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    os.write(1, b"ready\n")
    while signal.sigwait(signals) == signal.SIGCHLD:
        reap()


def reap() -> None:
    """Collects every child that has ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    main()
