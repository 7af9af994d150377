"""The process that looks after one Wine session: it starts the agent in it and, when the agent or
who uses it has ended in whatever way, ends what runs in the session and deletes its folder.

It is run as a file by its path and imports nothing of kernellab: it starts in a few milliseconds.
Its standard input and output are the agent's; it never reads or writes them, and only notices that
the other side of its input is closed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

#: Seconds that the agent gets to take its drivers away when its input has ended.
PATIENCE = 1.5

LOCK = "lock"
PREFIX = "prefix"


def processes(prefix: Path) -> Iterator[int]:
    """The processes of this user that have ``prefix`` as their WINEPREFIX."""
    wanted = f"WINEPREFIX={prefix}".encode()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
            if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def sweep(session: Path) -> None:
    """End what runs in a session, delete its server's folder and its own."""
    prefix = session / PREFIX
    end = time.monotonic() + 5
    while (left := list(processes(prefix))) and time.monotonic() < end:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    with contextlib.suppress(OSError):
        stat = prefix.stat()
        # Wine's server makes it, named after the prefix's device and inode.
        name = f".wine-{os.getuid()}/server-{stat.st_dev:x}-{stat.st_ino:x}"
        place = Path("/tmp") / name  # noqa: S108 - it is Wine that chose that
        shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(session, ignore_errors=True)


def main(session: Path, command: list[str]) -> int:
    """Run ``command`` in the session until it ends or nobody listens."""
    lock = os.open(session / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    try:
        agent = subprocess.Popen(command, cwd=session / PREFIX / "drive_c")
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)  # the agent's alone: its end is the end of the stream
        poller = select.poll()
        poller.register(0, 0)
        gone = os.pidfd_open(agent.pid)
        poller.register(gone, select.POLLIN)
        ready = [number for number, _ in poller.poll()]
        if gone not in ready:
            with contextlib.suppress(subprocess.TimeoutExpired):
                agent.wait(PATIENCE)
        if agent.poll() is None:
            agent.kill()
        return agent.wait()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sweep(session)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
