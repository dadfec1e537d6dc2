# Copyright (c) 2026 swarm.node contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces of our own: they last as long as a process that does nothing, and we end that."""

from __future__ import annotations

import ctypes
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from lab.errors import LabError
from lab.shell import run

# Whatever is started here must not outlive us, however we end.
_TIED = ("setpriv", "--pdeathsig", "KILL", "--")
_CLONE_NEWNET = 0x40000000


class Space:
    """A network namespace with its loopback device up. Needs root; call it in the main thread.

    private: directories that are empty and its own, beside what others see there.
    The kernel ends what was started inside when the *thread* that started it ends.
    """

    def __init__(self, name: str, private: Sequence[str] = ()) -> None:
        self.name = name
        self._mounts = ["--mount"] if private else []
        self._children: list[subprocess.Popen[bytes]] = []
        # Said, so that the id of this process is that of the one that is in the namespace.
        self._holder = subprocess.Popen(
            [*_TIED, "unshare", "--net", *self._mounts, "--", "sleep", "infinity"]
        )
        home = Path("/proc/self/ns/net").readlink()
        until = time.monotonic() + 10
        while self._namespace() in (None, home):
            if self._holder.poll() is not None or time.monotonic() > until:
                self.close()
                raise LabError(f"no network namespace for {name}: unshare --net needs root")
            time.sleep(0.002)
        self.run(["ip", "link", "set", "lo", "up"])
        for directory in private:
            self.run(["mkdir", "-p", directory])
            self.run(["mount", "-t", "tmpfs", "private", directory])

    def _namespace(self) -> Path | None:
        try:
            return Path(self.path).readlink()
        except OSError:
            return None

    @property
    def process_path(self) -> str:
        """Where /proc shows a process that is in the namespace."""
        return f"/proc/{self._holder.pid}"

    @property
    def path(self) -> str:
        """What stands for the namespace in the file system."""
        return f"{self.process_path}/ns/net"

    def _inside(self, command: Sequence[str]) -> list[str]:
        mounts = [f"--mount={self.process_path}/ns/mnt"] if self._mounts else []
        return [*_TIED, "nsenter", f"--net={self.path}", *mounts, "--", *command]

    def run(self, command: Sequence[str], *, data: bytes | None = None, timeout: float = 30) -> str:
        """Runs to the end, returns standard output. Raises LabError."""
        return run(self._inside(command), data=data, timeout=timeout)

    def start(
        self, command: Sequence[str], output: IO[Any] | int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Starts a program; its process id is that of the program itself."""
        child = subprocess.Popen(
            self._inside(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        self._children.append(child)
        return child

    def set(self, key: str, value: str | int) -> None:
        """A net.* setting of this namespace: `net/ipv4/ip_forward`."""
        self.run(["tee", f"/proc/sys/{key}"], data=str(value).encode())

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that is in this namespace, whoever uses it."""
        made: list[socket.socket] = []
        errors: list[OSError] = []

        # In a thread of its own, as only that thread changes its namespace.
        def make() -> None:
            try:
                with Path(self.path).open("rb") as there:
                    if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"setns {self.path}")
                made.append(socket.socket(family, kind, protocol))
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if errors:
            raise LabError(f"no socket in {self.name}: {errors[0]}")
        return made[0]

    def close(self) -> None:
        """Ends all that was started here, then the namespace."""
        for child in [*self._children, self._holder]:
            if child.poll() is None:
                child.kill()
            child.wait()
        self._children.clear()
