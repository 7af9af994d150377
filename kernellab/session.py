"""The client side of the protocol: requests, replies, events, time-outs, loss.

A :class:`Session` owns a pair of byte streams and one reader thread. It trusts nothing that
comes in: a line that is not of the vocabulary is counted and reported, a reply nobody waits
for is counted, a gap in the event numbers becomes a :class:`~kernellab.protocol.Dropped`
event, and the end of the stream wakes every waiter with :class:`~kernellab.errors.TargetLost`.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from . import prints, protocol
from .errors import TargetLost, TargetTimeout, UsageError
from .prints import Prints
from .protocol import Dropped, ErrorEvent, Event, Failure, ProtocolError
from .target.repeats import again

#: So many malformed lines in a row mean that the other side does not speak the protocol.
MAX_MALFORMED: Final = 100

_READ: Final = 1 << 16
_SLICE: Final = 0.05

Listener = Callable[[Sequence[Event]], None]


class RequestFailed(Exception):
    """The endpoint answered with a failure; :mod:`kernellab.lab` turns it into a typed error."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(slots=True)
class _Waiter:
    line: bytes = b""
    done: threading.Event = field(default_factory=threading.Event)
    reply: dict[str, Any] | None = None


class Pending:
    """A request that was sent. Call :meth:`forget` when its reply no longer matters."""

    def __init__(self, session: Session, command: str, number: int, waiter: _Waiter) -> None:
        self._session = session
        self._command = command
        self._number = number
        self._waiter = waiter

    def result(self, wait: float) -> dict[str, Any]:
        """The reply's fields, waiting up to ``wait`` seconds for them.

        Raises :class:`RequestFailed` with the endpoint's answer, :class:`TargetTimeout` when
        none came in time (it may be asked again), and :class:`TargetLost` when the stream
        ended.
        """
        end = time.monotonic() + wait
        # In slices: where a wait cannot be interrupted (Windows), ■ works between two of them.
        while not self._waiter.done.wait(max(0.0, min(_SLICE, end - time.monotonic()))):
            if time.monotonic() < end:
                continue
            raise TargetTimeout(f"the target did not answer {self._command!r} within {wait:g} s")
        reply = self._waiter.reply
        if reply is None:
            raise TargetLost(self._session.lost or "the target's endpoint ended")
        if reply.get("ok") is True:
            return reply
        try:
            failure = protocol.parse_failure(reply.get("error"))
        except ProtocolError as error:
            message = f"the target's answer to {self._command!r} is damaged: {error}"
            failure = Failure("internal", message)
        raise RequestFailed(failure)

    def forget(self) -> None:
        """A reply that still comes is counted as malformed and dropped."""
        self._session._forget(self._number)


class Session:
    """Requests to one endpoint and the events that come from it.

    ``listener`` gets batches of events, in order, on the reader thread, always before the
    reply that followed them. It must not raise and must not make requests. A run of prints may be
    one :class:`~kernellab.prints.Prints` among them. ``ended`` is called on that thread as well,
    where the stream ends by itself.
    """

    def __init__(
        self,
        reader: BinaryIO,
        writer: BinaryIO,
        listener: Listener,
        ended: Callable[[Session], None] = lambda _: None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._listener = listener
        self._ended = ended
        self._closing = False
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._waiters: dict[int, _Waiter] = {}
        #: Numbers of requests that were sent again: their replies may come twice.
        self._asked_again: set[int] = set()
        self._next_id = 1
        self._expected_seq = 1
        self._malformed_in_a_row = 0
        self._lost: str | None = None
        #: Lines that were not of the vocabulary, replies nobody waited for, repeated events.
        self.malformed = 0
        #: Events known to be missing, by gaps in their numbers or by the endpoint's own count.
        self.dropped = 0
        self._thread = threading.Thread(target=self._read, name="kernellab-session", daemon=True)
        self._thread.start()

    # -- requests ---------------------------------------------------------------------------

    def request(self, command: str, *, wait: float, **fields: Any) -> dict[str, Any]:
        """Send ``command`` and return its reply's fields: :meth:`start` and its ``result``."""
        pending = self.start(command, **fields)
        try:
            return pending.result(wait)
        finally:
            pending.forget()

    def start(self, command: str, **fields: Any) -> Pending:
        """Send ``command`` and return at once.

        Raises :class:`TargetLost` without a stream and :class:`UsageError` for a request that is
        too long.
        """
        waiter = _Waiter()
        with self._lock:
            if self._lost is not None:
                raise TargetLost(self._lost)
            number = self._next_id
            self._next_id += 1
            self._waiters[number] = waiter
        try:
            waiter.line = self._send({"id": number, "command": command, **_jsonable(fields)})
        except UsageError:
            self._forget(number)
            raise
        return Pending(self, command, number, waiter)

    def recount(self, wait: float) -> None:
        """Ask how many events there were: those at the end that got lost are counted.

        Raises what :meth:`request` does.
        """
        self.request("heartbeat", wait=wait)

    def ask_again(self) -> None:
        """Send all requests again that wait for replies, which may have got lost.

        Only to an endpoint with the feature ``again``, which does nothing twice.
        """
        with self._lock:
            waiting = {n: w.line for n, w in self._waiters.items() if w.line}
            self._asked_again |= set(waiting)
        for line in waiting.values():
            self._write(again(line))

    def _forget(self, number: int) -> None:
        with self._lock:
            self._waiters.pop(number, None)

    def _send(self, message: dict[str, Any]) -> bytes:
        line = protocol.encode_line(message)
        if len(line) > protocol.MAX_LINE:
            raise UsageError(
                f"{message['command']!r} has {len(line):,} bytes of data in a request, "
                f"more than the {protocol.MAX_LINE:,} that fit into one"
            )
        self._write(line)
        return line

    def _write(self, line: bytes) -> None:
        try:
            with self._write_lock:
                self._writer.write(line)
                self._writer.flush()
        except (OSError, ValueError) as error:
            self._end(f"the target's endpoint is gone ({error})")
            raise TargetLost(self._lost or str(error)) from None

    # -- the reader thread ------------------------------------------------------------------

    def _read(self) -> None:
        reason = "the target's endpoint ended"
        try:
            self._read_lines()
        except (OSError, ValueError) as error:
            reason = f"the target's stream broke ({error})"
        except _NotSpeakingError as error:
            reason = str(error)
        self._end(reason)
        if not self._closing:
            self._ended(self)

    def _read_lines(self) -> None:
        read = getattr(self._reader, "read1", self._reader.read)
        rest = b""
        skipping = False
        while chunk := read(_READ):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            if skipping and lines:
                lines.pop(0)  # the tail of a line that was too long
                skipping = False
            self._take(lines)
            if len(rest) > protocol.MAX_LINE:
                if not skipping:
                    self._deliver([self._bad("a line that never ends")])
                rest, skipping = b"", True
            elif skipping:
                rest = b""
        if rest.strip():
            self._deliver([self._bad("a truncated last line")])

    def _take(self, lines: list[bytes]) -> None:
        batch: list[Event] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                message = protocol.decode_line(line)
                if message.get("event") == Prints.kind:
                    self._take_event(prints.parse(message), batch)
                elif "event" in message:
                    self._take_event(protocol.parse_event(message), batch)
                elif "reply" in message:
                    self._deliver(batch)
                    batch = []
                    self._take_reply(message)
                else:
                    raise ProtocolError("neither an event nor a reply")
            except ProtocolError as error:
                batch.append(self._bad(str(error)))
            else:
                self._malformed_in_a_row = 0
        self._deliver(batch)

    def _take_event(self, event: Event, batch: list[Event]) -> None:
        if event.seq < self._expected_seq:
            raise ProtocolError(f"event {event.seq} came twice or late")
        gap = event.seq - self._expected_seq
        if gap:
            self.dropped += gap
            batch.append(Dropped(seq=event.seq - 1, count=gap))
        if isinstance(event, Dropped):
            self.dropped += event.count
        self._expected_seq = event.seq + (len(event) if isinstance(event, Prints) else 1)
        batch.append(event)

    def _take_reply(self, message: dict[str, Any]) -> None:
        with self._lock:
            number = message["reply"]
            waiter = self._waiters.pop(number, None) if isinstance(number, int) else None
        sent = message.get("events")
        if isinstance(sent, int) and sent >= self._expected_seq:
            lost = Dropped(seq=sent, count=sent - self._expected_seq + 1)
            self.dropped += lost.count
            self._expected_seq = sent + 1
            self._deliver([lost])
        if waiter is None:
            if not (isinstance(number, int) and number in self._asked_again):
                self.malformed += 1
            return
        waiter.reply = message
        waiter.done.set()

    def _bad(self, why: str) -> ErrorEvent:
        self.malformed += 1
        self._malformed_in_a_row += 1
        if self._malformed_in_a_row > MAX_MALFORMED:
            raise _NotSpeakingError("what answers is not a kernellab endpoint")
        return ErrorEvent(error="protocol", message=f"the target sent {why[:200]}")

    def _deliver(self, batch: Sequence[Event]) -> None:
        if batch:
            self._listener(batch)

    def _end(self, reason: str) -> None:
        with self._lock:
            if self._lost is None:
                self._lost = reason
            waiters = list(self._waiters.values())
            self._waiters.clear()
        for waiter in waiters:
            waiter.done.set()

    # -- life -------------------------------------------------------------------------------

    @property
    def lost(self) -> str | None:
        """Why the session ended, or None while it lives."""
        return self._lost

    def close(self) -> None:
        """Close both streams; waiters get :class:`TargetLost`. Safe to call twice."""
        self._closing = True
        self._end("the session was closed")
        try:
            self._writer.close()
        except OSError:
            pass  # the other side went first; there is nothing left to flush to
        if threading.current_thread() is not self._thread:
            self._thread.join(2)
        if not self._thread.is_alive():
            self._reader.close()


class _NotSpeakingError(Exception):
    """Too much that is not of the protocol."""


def _jsonable(fields: dict[str, Any]) -> dict[str, Any]:
    """Bytes become base64; what is None is left out."""
    return {
        key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for key, value in fields.items()
        if value is not None
    }


def reply_bytes(reply: dict[str, Any], key: str = "data") -> bytes:
    """The bytes in a reply's base64 field."""
    try:
        return base64.b64decode(reply[key], validate=True)
    except (KeyError, TypeError, ValueError):
        raise TargetLost(f"the target's reply has no usable {key!r}") from None
