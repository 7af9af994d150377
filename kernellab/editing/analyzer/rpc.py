"""JSON-RPC over two pipes, as the Language Server Protocol frames it.

(Language Server Protocol Specification 3.17, "Base Protocol".)
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import IO, Any, Final

#: Longest message that is taken from the server, bytes. Its answers are far below one megabyte
#: but for the completion of all names of the bindings, which is about four.
_LONGEST: Final = 64 << 20
_LONGEST_HEADER: Final = 4096

METHOD_NOT_FOUND: Final = -32601


class Closed(Exception):
    """The connection is no more: the server has ended, or what it wrote was no message."""


class Refused(Exception):
    """The server answered with an error; ``code`` is JSON-RPC's or the protocol's own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Connection:
    """One conversation. Two threads of its own read and write, so that an interrupt of the
    caller cannot leave half a message in the pipe.

    ``on_notification`` gets method and parameters of what the server tells, in the reading
    thread; ``on_request`` answers what it asks (raise Refused to say no); ``on_close`` is
    called once.
    """

    def __init__(
        self,
        reader: IO[bytes],
        writer: IO[bytes],
        *,
        on_notification: Callable[[str, Any], None],
        on_request: Callable[[str, Any], Any],
        on_close: Callable[[], None],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._on_notification, self._on_request = on_notification, on_request
        self._on_close = on_close
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for work in (self._read, self._write):
            threading.Thread(target=work, name="kernellab-analyzer", daemon=True).start()

    def request(self, method: str, params: Any) -> tuple[int, Future[Any]]:
        """Ask; the number of the request, and its answer to come (or Refused, or Closed)."""
        number = next(self._numbers)
        answer: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise Closed
            self._waiting[number] = answer
        self._send({"id": number, "method": method, "params": params})
        return number, answer

    def give_up(self, number: int) -> None:
        """The answer is no longer wanted."""
        with self._lock:
            known = self._waiting.pop(number, None)
        if known is not None:
            self.notify("$/cancelRequest", {"id": number})

    def notify(self, method: str, params: Any) -> None:
        """Tell; no answer comes."""
        self._send({"method": method, "params": params})

    def close(self) -> None:
        """Send no more, wait for nothing more."""
        with self._lock:
            first, self._closed = not self._closed, True
            left, self._waiting = list(self._waiting.values()), {}
        if not first:
            return
        self._outgoing.put(None)
        for answer in left:
            answer.set_exception(Closed())
        self._on_close()

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._outgoing.put(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def _write(self) -> None:
        try:
            while (data := self._outgoing.get()) is not None:
                self._writer.write(data)
                self._writer.flush()
        except (OSError, ValueError):
            self.close()
        with contextlib.suppress(OSError, ValueError):
            self._writer.close()

    def _read(self) -> None:
        # The server's words are not trusted: whatever is wrong with them ends the conversation.
        with contextlib.suppress(OSError, ValueError, RecursionError, Closed):
            while True:
                self._take(self._message())
        self.close()
        with contextlib.suppress(OSError, ValueError):
            self._reader.close()

    def _message(self) -> dict[str, Any]:
        length = -1
        while line := self._reader.readline(_LONGEST_HEADER):
            if line == b"\r\n":
                break
            name, colon, value = line.partition(b":")
            if not colon:
                raise Closed
            if name.strip().lower() == b"content-length":
                length = int(value)
        if not 0 <= length <= _LONGEST:
            raise Closed
        body = self._reader.read(length)
        if len(body) < length:
            raise Closed
        message = json.loads(body)
        if not isinstance(message, dict):
            raise Closed
        return message

    def _take(self, message: dict[str, Any]) -> None:
        number, method = message.get("id"), message.get("method")
        if isinstance(method, str):
            if number is None:
                self._on_notification(method, message.get("params"))
            else:
                self._answer(number, method, message.get("params"))
            return
        with self._lock:
            waiting = self._waiting.pop(number, None) if isinstance(number, int) else None
        if waiting is None:
            return  # an answer that nobody waits for any more
        error = message.get("error")
        if isinstance(error, dict):
            code = error.get("code")
            words = str(error.get("message", ""))
            waiting.set_exception(Refused(code if isinstance(code, int) else 0, words))
        else:
            waiting.set_result(message.get("result"))

    def _answer(self, number: Any, method: str, params: Any) -> None:
        try:
            self._send({"id": number, "result": self._on_request(method, params)})
        except Refused as refused:
            error = {"code": refused.code, "message": str(refused)}
            self._send({"id": number, "error": error})
