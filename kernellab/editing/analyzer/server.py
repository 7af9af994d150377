"""rust-analyzer's process: its own group, low priority, limited in memory, ended with us."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from ...build import process

#: Resident memory at which it is ended, bytes. The framework and ``core`` take about a fifth.
MEMORY: Final = 1200 << 20

#: Address space it can have where the system counts that (Linux): threads' stacks are in it.
_ADDRESS_SPACE: Final = 4 << 30

#: Seconds between two looks at its memory.
_LOOK: Final = 2.0


class Server:
    """A running rust-analyzer. Raises OSError where it cannot be started."""

    def __init__(self, command: Sequence[str], folder: Path, memory: int = MEMORY) -> None:
        nice = shutil.which("nice") if os.name == "posix" else None
        words = [*((nice, "-n", "5") if nice else ()), *command]
        self._memory = memory
        self._looked = time.monotonic()
        self.over_limit = False
        self._process = subprocess.Popen(
            words,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
            | getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0),
        )
        # It ends at the end of its standard input, when this Python is killed, but for a moment
        # while it starts: there it waits for itself.
        self._watch = process.watch_group(self._process.pid)
        if sys.platform == "linux":
            import resource

            with contextlib.suppress(OSError, ValueError):
                resource.prlimit(
                    self._process.pid, resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE)
                )

    @property
    def pid(self) -> int:
        """Its process id, which is its group's as well."""
        return self._process.pid

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """Where its words are read, and where it is told."""
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        return self._process.stdout, self._process.stdin

    def memory(self) -> int:
        """Its resident memory in bytes; 0 where that cannot be known."""
        try:
            import psutil

            return int(psutil.Process(self.pid).memory_info().rss)
        except Exception:  # gone, not permitted, or no psutil here
            return 0

    def watch(self) -> None:
        """End it when it has more memory than it may; looks every few seconds at most."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            if self.memory() > self._memory:
                self.over_limit = True
                self.end()

    def end(self) -> None:
        """Kill it with all that it started."""
        watch, self._watch = self._watch, None
        process.dismiss(watch)
        if self._process.poll() is not None:
            return
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)


def _environment() -> Mapping[str, str]:
    unwanted = ("RUSTFLAGS", "RUSTC_WRAPPER", "RA_LOG", "RUST_LOG", "RUST_BACKTRACE")
    env = {key: value for key, value in os.environ.items() if key not in unwanted}
    return {**env, "CARGO_NET_OFFLINE": "true"}
