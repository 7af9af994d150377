"""An endpoint that is a local subprocess speaking the protocol on its standard streams."""

from __future__ import annotations

import os
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import BinaryIO, cast

from ..errors import TargetLost
from .base import Endpoint


class ProcessEndpoint(Endpoint):
    """Start ``command`` in a session of its own, so that ■ in a notebook does not reach it.

    The process is expected to end by itself when its standard input closes: then nothing is
    left behind even when this Python is killed.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        try:
            if os.name == "nt":
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=None if env is None else dict(env),
                    creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                    | getattr(subprocess, "CREATE_NO_WINDOW", 0),
                )
            else:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=None if env is None else dict(env),
                    start_new_session=True,
                )
        except OSError as error:
            raise TargetLost(f"cannot start {command[0]}: {error}") from error
        self._process = process
        self.reader = cast(BinaryIO, process.stdout)
        self.writer = cast(BinaryIO, process.stdin)
        self._errors: deque[str] = deque(maxlen=40)
        self._drain = threading.Thread(target=self._drain_errors, daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self, grace: float = 0.5) -> None:
        try:
            self.writer.close()
        except OSError:
            pass  # it ended before us
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._drain.join(1)

    def last_words(self) -> str:
        if not self.alive:
            self._drain.join(0.2)
        return "\n".join(self._errors)

    def _drain_errors(self) -> None:
        stream = cast(BinaryIO, self._process.stderr)
        with stream:
            for line in stream:
                self._errors.append(line[:500].decode("utf-8", "backslashreplace").rstrip())
