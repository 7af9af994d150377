"""Lines from the endpoint to its client: events are gathered and written together."""

from __future__ import annotations

import json
import os
import threading
import time
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, BinaryIO, Final

from kernellab import protocol
from kernellab.prints import MOST, Prints, encode

#: Events gathered before they are written, and how long the first of them may wait, seconds.
_BATCH: Final = MOST // 2
_DELAY: Final = 0.005


class Output:
    """Lines to the client. Events get their numbers here."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._seq = 0
        self._count = 0  # events gathered
        # The run of prints that goes on: what they have in common, the first one's number.
        self._alike: tuple[Any, ...] = ()
        self._first = 0
        self._texts: list[str] = []
        self._times: list[float] = []
        #: Whether the client takes runs of prints: see :mod:`kernellab.prints`.
        self.columns = False
        self._wake = threading.Event()
        threading.Thread(target=self._flush_late, daemon=True).start()

    def event(self, kind: str, fields: dict[str, Any]) -> None:
        """Queue one event."""
        with self._lock:
            self._seq += 1
            if kind == "dbgprint":
                self._print(fields)
            else:
                self._end_run()
                self._lines.append(json.dumps({"event": kind, "seq": self._seq, **fields}))
            self._count += 1
            count = self._count
        if count >= _BATCH:
            self.flush()
        elif count == 1:
            self._wake.set()

    def _print(self, f: dict[str, Any]) -> None:
        alike = f["driver"], f["level"], f["component"], f["irql"], f["thread"]
        if alike != self._alike or not self._texts or not self.columns:
            self._end_run()
            self._alike, self._first = alike, self._seq
        self._texts.append(f["text"])
        self._times.append(f["time"])

    def _end_run(self) -> None:
        if not self._texts:
            return
        driver, *alike = self._alike
        if len(self._texts) == 1:
            self._lines.append(
                _dbgprint(self._first, driver, self._texts[0], self._times[0], *alike)
            )
        else:
            run = Prints(self._first, driver, self._texts, self._times, *alike)
            self._lines.append(encode(run))
        self._texts.clear()
        self._times.clear()

    def reply(self, message: dict[str, Any]) -> None:
        """Send a reply, after all events so far; one that is too long becomes an error."""
        line = json.dumps(message)
        if len(line) >= protocol.MAX_LINE:
            number = message["reply"] if isinstance(message["reply"], int) else 0
            why = f"the answer has {len(line)} bytes, more than a line may have"
            error = {"kind": "unsupported", "message": why}
            line = json.dumps({"reply": number, "ok": False, "error": error})
        with self._lock:
            self._end_run()
            self._lines.append(line)
        self.flush()

    def flush(self) -> None:
        """Write what is queued. A client that is gone is noticed by the reader, not here."""
        with self._lock:
            self._end_run()
            self._count = 0
            if not self._lines:
                return
            data = "\n".join(self._lines).encode() + b"\n"
            self._lines.clear()
            try:
                self._stream.write(data)
                self._stream.flush()
            except (OSError, ValueError):
                os._exit(0)

    def _flush_late(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            time.sleep(_DELAY)
            self.flush()


def _dbgprint(
    seq: int, driver: str, text: str, at: float, level: int, component: int, irql: int, thread: int
) -> str:
    """What json.dumps makes of the event, in a third of the time: most events are these."""
    return (
        f'{{"event":"dbgprint","seq":{seq},"driver":{_quote(driver)},'
        f'"text":{_quote(text)},"time":{at!r},"level":{level},'
        f'"component":{component},"irql":{irql},"thread":{thread}}}'
    )
