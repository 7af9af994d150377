"""A machine's serial line of kernel debugging, listened to: what it prints that no agent told of.

A virtual machine's serial port is a socket on this computer. One thread a line connects to it, and
again after the machine was off; it goes on while sessions come and go, since what is printed at
boot is printed when there is none.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ConfigError
from .base import Witness
from .kd import Heard, KdListener, Print, Restart, Stop

#: What stands before the text of each line that came this way only.
MARK: Final = "[kd] "

#: Lines that are kept at most; of more the oldest go, and are counted.
KEPT: Final = 5000

#: Seconds between two tries to connect, and of one.
_AGAIN, _PATIENCE = 0.2, 5.0

#: Exceptions that are nobody's fault: breakpoint, single step.
_HARMLESS: Final = (0x80000003, 0x80000004)

Where = str | tuple[str, int]


def where(text: str, folder: Path) -> Where:
    """``HOST:PORT``, or the path of a Unix socket relative to ``folder``."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdigit() and 0 < int(port) < 65536:
        return (host.strip("[]") or "localhost", int(port))
    return str(folder / text)


@dataclass(slots=True)
class _Line:
    text: str
    boot: int


class KdLine(Witness):
    """Listens to one serial line until :meth:`close`."""

    def __init__(self, place: Where) -> None:
        if isinstance(place, str) and not hasattr(socket, "AF_UNIX"):
            raise ConfigError(f"kd: Python has no Unix sockets here: use HOST:PORT, not {place}")
        self._place = place
        self._lock = threading.Lock()
        self._closing = threading.Event()
        #: Whether the machine's port is open, and how often it has begun anew.
        self.connected, self.boots = False, 0
        #: Lines that were dropped since nobody asked for them.
        self.dropped = 0
        self._alone: deque[_Line] = deque()
        self._alone_of: Counter[str] = Counter()
        self._ahead: deque[str] = deque(maxlen=KEPT)
        self._ahead_of: Counter[str] = Counter()
        self._before = 0  # how many of _alone are from before the session
        self._boot = 0  # in which the session began
        self._live = False
        threading.Thread(target=self._run, name="kernellab-kd", daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._closing.set()

    def began(self, *, only: bool) -> None:
        """A session began; ``only``: nobody but this line hears prints."""
        with self._lock:
            self._before, self._boot, self._live = len(self._alone), self.boots, only

    # -- what the session asks --------------------------------------------------------------

    def told(self, text: str) -> None:
        with self._lock:
            if self._alone_of[text]:
                at = next(n for n, line in enumerate(self._alone) if line.text == text)
                self._taken(self._alone[at])
                del self._alone[at]
                self._before -= at < self._before
                return
            if self.connected:
                if len(self._ahead) == KEPT:
                    self._forget(self._ahead[0])
                self._ahead.append(text)
                self._ahead_of[text] += 1

    def alone(self, *, lost: bool = False) -> list[str]:
        with self._lock:
            if lost:
                count = sum(line.boot <= self._boot for line in self._alone)
            else:
                count = len(self._alone) if self._live else self._before
            self._before = max(0, self._before - count)
            taken = [MARK + self._taken(self._alone.popleft()) for _ in range(count)]
            if taken and self.dropped:
                taken.insert(0, f"{MARK}{self.dropped:,} lines before these were dropped\n")
                self.dropped = 0
            return taken

    # -- the line ---------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._connect() as port:
                    self.connected = True
                    self._listen(port)
            except OSError:
                pass  # the machine is off, or not there yet
            self.connected = False
            self._closing.wait(_AGAIN)

    def _connect(self) -> socket.socket:
        if isinstance(self._place, tuple):
            return socket.create_connection(self._place, _PATIENCE)
        port = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            port.settimeout(_PATIENCE)
            port.connect(self._place)
        except BaseException:
            port.close()
            raise
        return port

    def _listen(self, port: socket.socket) -> None:
        kd = KdListener()
        port.settimeout(0.5)
        while not self._closing.is_set():
            try:
                data = port.recv(1 << 14)
            except TimeoutError:
                continue
            if not data:
                return
            heard = kd.feed(data)
            if answer := kd.to_send():
                port.sendall(answer)
            with self._lock:
                for each in heard:
                    self._hear(each)

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, Restart):
            self.boots += 1
        for text in _texts(heard):
            if self._ahead_of[text]:
                self._forget(text)
                continue
            self._alone.append(_Line(text, self.boots))
            self._alone_of[text] += 1
            if len(self._alone) > KEPT:
                self._taken(self._alone.popleft())
                self._before = max(0, self._before - 1)
                self.dropped += 1

    def _taken(self, line: _Line) -> str:
        self._alone_of[line.text] -= 1
        if not self._alone_of[line.text]:
            del self._alone_of[line.text]
        return line.text

    def _forget(self, text: str) -> None:
        self._ahead.remove(text)
        self._ahead_of[text] -= 1
        if not self._ahead_of[text]:
            del self._ahead_of[text]


def _texts(heard: Heard) -> Iterator[str]:
    if isinstance(heard, Print):
        yield heard.text
    elif isinstance(heard, Stop) and heard.code not in _HARMLESS:
        chance = "first" if heard.first_chance else "second"
        yield f"exception {heard.code:#010x} at {heard.address:#x}, {chance} chance\n"


_lines: dict[Where, KdLine] = {}


def line(place: Where) -> KdLine:
    """The listener of a line, which is one for this whole process: a port has one other end."""
    found = _lines.get(place)
    if found is None:
        found = _lines[place] = KdLine(place)
    return found


def close_all() -> None:
    """End all listeners."""
    while _lines:
        _lines.popitem()[1].close()
