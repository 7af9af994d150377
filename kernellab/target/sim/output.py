"""Lines from the endpoint to its client: events are gathered and written together."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from itertools import groupby
from json.encoder import encode_basestring_ascii as _quote
from operator import itemgetter
from typing import Any, BinaryIO, Final

from kernellab import protocol
from kernellab.prints import MOST, Prints, encode

#: Events gathered before they are written, and how long the first of them may wait, seconds.
_BATCH: Final = MOST // 2
_DELAY: Final = 0.005

_alike = itemgetter("driver", "level", "component", "irql", "thread")
_text, _time = itemgetter("text"), itemgetter("time")


class Output:
    """Lines to the client. Events get their numbers here, in the order they come."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()  # of what takes from the queue and writes
        # A print's fields, another event's kind and fields as JSON, or a whole line.
        self._queue: list[dict[str, Any] | tuple[str, str] | str] = []
        self._seq = 0
        #: Whether the client takes runs of prints: see :mod:`kernellab.prints`.
        self.columns = False
        self._wake = threading.Event()
        threading.Thread(target=self._flush_late, daemon=True).start()

    def event(self, kind: str, fields: dict[str, Any]) -> None:
        """Queue one event; a print's ``fields`` are kept, and must stay as they are."""
        queue = self._queue
        queue.append(fields if kind == "dbgprint" else (kind, json.dumps(fields)))
        count = len(queue)
        if count >= _BATCH:
            self.flush()
        elif count == 1:
            self._wake.set()

    def reply(self, message: dict[str, Any]) -> str:
        """Send a reply, after all events so far; one that is too long becomes an error.

        Returns it as it was sent.
        """
        line = json.dumps(message)
        if len(line) >= protocol.MAX_LINE:
            number = message["reply"] if isinstance(message["reply"], int) else 0
            why = f"the answer has {len(line)} bytes, more than a line may have"
            error = {"kind": "unsupported", "message": why}
            line = json.dumps({"reply": number, "ok": False, "error": error})
        self.again(line)
        return line

    def again(self, line: str) -> None:
        """Send a reply that was sent before."""
        self._queue.append(line)
        self.flush()

    def count(self) -> int:
        """How many events there were."""
        self.flush()
        return self._seq

    def flush(self) -> None:
        """Write what is queued. A client that is gone is noticed by the reader, not here."""
        with self._lock:
            while items := self._queue[:MOST]:
                del self._queue[: len(items)]
                data = "\n".join(self._lines(items)).encode() + b"\n"
                try:
                    self._stream.write(data)
                    self._stream.flush()
                except (OSError, ValueError):
                    os._exit(0)

    def _lines(self, items: list[Any]) -> Iterator[str]:
        for what, group in groupby(items, type):
            if what is str:
                yield from group
            elif what is dict:
                for alike, prints in groupby(group, _alike):
                    yield from self._prints(list(prints), *alike)
            else:
                for kind, fields in group:
                    self._seq += 1
                    yield f'{{"event": "{kind}", "seq": {self._seq}, {fields[1:]}'

    def _prints(self, run: list[dict[str, Any]], driver: str, *alike: int) -> Iterator[str]:
        first = self._seq + 1
        self._seq += len(run)
        if self.columns and len(run) > 1:
            texts, times = list(map(_text, run)), list(map(_time, run))
            yield encode(Prints(first, driver, texts, times, *alike))
        else:
            for seq, each in enumerate(run, first):
                yield _dbgprint(seq, each)

    def _flush_late(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            time.sleep(_DELAY)
            self.flush()


def _dbgprint(seq: int, f: dict[str, Any]) -> str:
    """What json.dumps makes of the event, in a third of the time."""
    return (
        f'{{"event":"dbgprint","seq":{seq},"driver":{_quote(f["driver"])},'
        f'"text":{_quote(f["text"])},"time":{f["time"]!r},"level":{f["level"]},'
        f'"component":{f["component"]},"irql":{f["irql"]},"thread":{f["thread"]}}}'
    )
