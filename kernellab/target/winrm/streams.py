"""The two ends of a program's streams that are carried by requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ...errors import TargetTimeout


class Inbox:
    """What has been received, to be read by the session: the reading end of a stream."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._data = bytearray()
        self._over = False

    def feed(self, data: bytes) -> None:
        with self._changed:
            self._data += data
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def take_line(self, seconds: float) -> bytes:
        """The first line that is no event; nothing where the stream ended before there was one.

        Events before it stay: lines that were printed before the agent was there, say.
        """
        end = time.monotonic() + seconds
        with self._changed:
            while (at := self._reply()) is None and not self._over:
                if (left := end - time.monotonic()) <= 0:
                    raise TargetTimeout(f"the agent did not answer within {seconds:g} s")
                self._changed.wait(left)
            if at is None:
                return b""
            line = bytes(self._data[slice(*at)])
            del self._data[slice(*at)]
            return line

    def _reply(self) -> tuple[int, int] | None:
        """Where the first whole line is that is no event."""
        start = 0
        while (end := self._data.find(b"\n", start)) >= 0:
            if not self._data.startswith(b'{"event"', start):
                return start, end + 1
            start = end + 1
        return None

    def read1(self, size: int = -1) -> bytes:
        with self._changed:
            while not self._data and not self._over:
                self._changed.wait()
            taken = bytes(self._data if size < 0 else self._data[:size])
            del self._data[: len(taken)]
            return taken

    read = read1

    def close(self) -> None:
        self.end()


class Outbox:
    """The writing end of a stream; what is written goes with ``flush``."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def flush(self) -> None:
        data = bytes(self._data)
        self._data.clear()
        self._send(data)

    def close(self) -> None:
        """The program's input is closed by the endpoint's ``stop``."""
