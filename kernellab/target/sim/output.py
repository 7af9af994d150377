"""Lines from the endpoint to its client: events are gathered and written together."""

from __future__ import annotations

import json
import os
import threading
import time
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, BinaryIO, Final

from kernellab import protocol

#: Events gathered before they are written, and how long the first of them may wait, seconds.
_BATCH: Final = 256
_DELAY: Final = 0.005


class Output:
    """Lines to the client. Events get their numbers here."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._seq = 0
        self._wake = threading.Event()
        threading.Thread(target=self._flush_late, daemon=True).start()

    def event(self, kind: str, fields: dict[str, Any]) -> None:
        """Queue one event."""
        lines = self._lines
        with self._lock:
            self._seq += 1
            if kind == "dbgprint":
                lines.append(_dbgprint(self._seq, fields))
            else:
                lines.append(json.dumps({"event": kind, "seq": self._seq, **fields}))
            count = len(lines)
        if count >= _BATCH:
            self.flush()
        elif count == 1:
            self._wake.set()

    def reply(self, message: dict[str, Any]) -> None:
        """Send a reply, after all events so far; one that is too long becomes an error."""
        line = json.dumps(message)
        if len(line) >= protocol.MAX_LINE:
            number = message["reply"] if isinstance(message["reply"], int) else 0
            why = f"the answer has {len(line)} bytes, more than a line may have"
            error = {"kind": "unsupported", "message": why}
            line = json.dumps({"reply": number, "ok": False, "error": error})
        with self._lock:
            self._lines.append(line)
        self.flush()

    def flush(self) -> None:
        """Write what is queued. A client that is gone is noticed by the reader, not here."""
        with self._lock:
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


def _dbgprint(seq: int, f: dict[str, Any]) -> str:
    """What json.dumps makes of the event, in a third of the time: most events are these."""
    return (
        f'{{"event":"dbgprint","seq":{seq},"driver":{_quote(f["driver"])},'
        f'"text":{_quote(f["text"])},"time":{f["time"]!r},"level":{f["level"]},'
        f'"component":{f["component"]},"irql":{f["irql"]},"thread":{f["thread"]}}}'
    )
