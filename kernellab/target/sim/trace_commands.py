"""The command ``trace``: a recorder that comes, is read, and goes again."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final

from kernellab.tracefile import MOST, SIZE

from .fields import Usage, integer, text
from .kernel.kernel import Kernel
from .kernel.snapshot import Snapshot
from .recorder import Recorder

#: The file that ``get`` gives a trace by.
_FILE: Final = "TRACE.KLT"


class TraceCommands:
    """One trace at a time, of one machine. ``files`` is where ``get`` looks."""

    def __init__(self, kernel: Callable[[], Kernel], files: MutableMapping[str, bytearray]) -> None:
        self._kernel = kernel
        self._files = files
        self._recorder: Recorder | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """``start`` (``size``: records that are kept), ``state``, ``read`` or ``stop``."""
        action = text(request, "action")
        if action == "start":
            return self._start(integer(request, "size", SIZE))
        if action not in ("state", "read", "stop"):
            raise Usage(f"a trace has no action {action!r}")
        recorder = self._recorder
        if recorder is None:
            raise Usage("no trace is being recorded")
        if action == "state":
            return {"total": recorder.total}
        content = recorder.read()
        self._files[_FILE] = bytearray(content)
        if action == "stop":
            self.end()
        return {"file": _FILE, "size": len(content), "total": recorder.total}

    def _start(self, size: int) -> dict[str, Any]:
        if not 1 <= size <= MOST:
            raise Usage(f"a trace has from 1 to {MOST:,} events, not {size:,}")
        if self._recorder is not None:
            raise Usage("a trace is being recorded already: stop it first")
        self._recorder = Recorder(self._kernel(), size)
        return {}

    def restore(self, snapshot: Snapshot) -> None:
        """Take the machine back to a snapshot; the trace's time goes on."""
        recorder = self._recorder
        before = recorder.now if recorder is not None else 0
        snapshot.restore(self._kernel())
        if recorder is not None:
            recorder.restored(before)

    def end(self) -> None:
        """The machine goes away, or nobody wants to know any more."""
        if self._recorder is not None:
            self._recorder.stop()
            self._recorder = None
