"""Windows' serial kernel debugging, for a log: prints at boot, and up to a bug check.

Packets are those of windbgkd.h (also in ReactOS's headers): a leader, type, size, id and checksum,
the data, and 0xAA. Whoever listens has to answer, or Windows takes it that nobody is there:
:class:`KdListener` says what to send. It only listens: it sets no breakpoint and lets the machine
go on at each stop. No port is opened here (:mod:`.kd_line` does): bytes in, events and bytes out.

Tried with packets made by the tests; not on real Windows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DATA_LEADER: Final = b"0000"
CONTROL_LEADER: Final = b"iiii"
TRAILER: Final = 0xAA

# PACKET_TYPE_KD_…
MANIPULATE, DEBUG_IO, ACKNOWLEDGE, RESEND, RESET, STATE_CHANGE64 = 2, 3, 4, 5, 6, 7
POLL_BREAKIN, TRACE_IO, CONTROL_REQUEST, FILE_IO = 8, 9, 10, 11
INITIAL_ID: Final = 0x80800000
SYNC: Final = 0x800

PRINT, PROMPT = 0x3230, 0x3231  # DbgKdPrintStringApi, DbgKdGetStringApi
EXCEPTION, LOAD_SYMBOLS = 0x3030, 0x3031
CONTINUE: Final = 0x3136  # DbgKdContinueApi
DBG_CONTINUE, DBG_EXCEPTION_NOT_HANDLED = 0x00010002, 0x80010001

#: PACKET_MAX_SIZE: a larger size is noise on the line.
MOST: Final = 4000
_HEADER: Final = struct.Struct("<4sHHII")


@dataclass(frozen=True, slots=True)
class Print:
    """One DbgPrint (or prompt), on ``processor``; bytes that are not UTF-8 as ``\\xNN``."""

    text: str
    processor: int = 0


@dataclass(frozen=True, slots=True)
class Image:
    """A module came or went: its path, base address, size in bytes."""

    path: str
    base: int
    size: int
    loaded: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """The machine stopped at an exception: NTSTATUS, address, whether it is the first chance."""

    code: int
    address: int
    parameters: tuple[int, ...]
    first_chance: bool
    processor: int = 0


@dataclass(frozen=True, slots=True)
class Restart:
    """The machine's side begins anew, as it does at boot."""


Heard = Print | Image | Stop | Restart


class KdListener:
    """The debugger's side of one serial line."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._last: int | None = None  # the id of the last data packet that was taken
        self._next = INITIAL_ID
        self._waiting = b""  # our data packet that has no acknowledgement yet
        self._out = bytearray()
        #: Bytes that were of no packet, packets that arrived damaged, and ones that came again.
        self.noise = self.damaged = self.repeated = 0

    def to_send(self) -> bytes:
        """What has to go to the machine now."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def feed(self, data: bytes) -> list[Heard]:
        """Take what came over the line, in pieces of any size; what it says."""
        self._buffer += data
        return list(self._packets())

    def _packets(self) -> Iterator[Heard]:
        while True:
            self._skip_noise()
            if len(self._buffer) < _HEADER.size:
                return
            leader, kind, size, number, checksum = _HEADER.unpack_from(self._buffer)
            if size > MOST:
                self._drop(1)
                continue
            if leader == CONTROL_LEADER:
                del self._buffer[: _HEADER.size]
                self._control(kind)
                if kind == RESET:
                    yield Restart()
                continue
            if len(self._buffer) < _HEADER.size + size + 1:
                return
            body = bytes(self._buffer[_HEADER.size : _HEADER.size + size])
            if sum(body) & 0xFFFFFFFF != checksum or self._buffer[_HEADER.size + size] != TRAILER:
                self.damaged += 1
                self._drop(len(DATA_LEADER))
                self._out += control(RESEND)
                continue
            del self._buffer[: _HEADER.size + size + 1]
            self._out += control(ACKNOWLEDGE, number & ~SYNC)
            if number & ~SYNC == self._last:
                self.repeated += 1  # our acknowledgement was lost
                continue
            self._last = number & ~SYNC
            yield from self._data(kind, body)

    def _skip_noise(self) -> None:
        """Up to where a leader begins, which may be cut off yet."""
        places = [self._buffer.find(leader) for leader in (DATA_LEADER, CONTROL_LEADER)]
        found = [at for at in places if at >= 0]
        if found:
            at = min(found)
            self.noise += at
            del self._buffer[:at]
        elif len(self._buffer) > 3:
            self.noise += len(self._buffer) - 3
            del self._buffer[:-3]

    def _drop(self, count: int) -> None:
        self.noise += count
        del self._buffer[:count]

    def _control(self, kind: int) -> None:
        if kind == RESET:
            self._last, self._next, self._waiting = None, INITIAL_ID, b""
            self._out += control(RESET)
        elif kind == ACKNOWLEDGE and self._waiting:
            self._waiting = b""
            self._next ^= 1
        elif kind == RESEND:
            self._out += self._waiting

    def _data(self, kind: int, body: bytes) -> Iterator[Heard]:
        try:
            if kind == DEBUG_IO:
                yield from self._debug_io(body)
            elif kind == STATE_CHANGE64:
                yield self._state_change(body)
        except struct.error:
            self.damaged += 1

    def _debug_io(self, body: bytes) -> Iterator[Heard]:
        api, _, processor, length = struct.unpack_from("<IHHI", body)
        text = body[16 : 16 + length].split(b"\0")[0].decode("utf-8", "backslashreplace")
        if api in (PRINT, PROMPT) and text:
            yield Print(text, processor)
        if api == PROMPT:  # somebody waits for an answer, as DbgPrompt's "(boipt)?": an empty one
            answer = struct.pack("<IHHII", PROMPT, 0, processor, 0, 0)
            self._send(DEBUG_IO, answer)

    def _state_change(self, body: bytes) -> Heard:
        state, _, processor = struct.unpack_from("<IHH", body)
        said: Heard
        status = DBG_CONTINUE
        if state == LOAD_SYMBOLS:
            length, base, _, _, size, unload = struct.unpack_from("<I4xQQIIB", body, 32)
            path = body[-length:].split(b"\0")[0] if 0 < length <= len(body) else b""
            said = Image(path.decode("utf-8", "backslashreplace"), base, size, not unload)
        else:
            code, _, _, address, count = struct.unpack_from("<IIQQI4x", body, 32)
            values = struct.unpack_from("<15Q", body, 64)
            (first,) = struct.unpack_from("<I", body, 64 + 120)
            said = Stop(code, address, values[: min(count, 15)], bool(first), processor)
            if code not in (0x80000003, 0x80000004):  # a breakpoint or a step is nobody's fault
                status = DBG_EXCEPTION_NOT_HANDLED
        go_on = struct.pack("<IHHI4xI", CONTINUE, 0, processor, 0, status)
        self._send(MANIPULATE, go_on.ljust(56, b"\0"))
        return said

    def _send(self, kind: int, body: bytes) -> None:
        self._waiting = packet(kind, body, self._next)
        self._out += self._waiting


def packet(kind: int, body: bytes, number: int) -> bytes:
    """A data packet as it goes over the line."""
    header = _HEADER.pack(DATA_LEADER, kind, len(body), number, sum(body) & 0xFFFFFFFF)
    return header + body + bytes([TRAILER])


def control(kind: int, number: int = 0) -> bytes:
    """A control packet."""
    return _HEADER.pack(CONTROL_LEADER, kind, 0, number, 0)
