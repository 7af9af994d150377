"""Recording traces, as a part of :class:`~kernellab.lab.Target`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import KernelLabError, TargetLost, UsageError
from ..session import reply_bytes
from ..tracefile import SIZE
from .data import Symbolized, Trace

if TYPE_CHECKING:
    from ..driver import Driver


class Traces:
    """A target's commands about its trace: one at a time, of everything on the machine."""

    drivers: Mapping[str, Driver]
    name: str
    _busy: threading.RLock
    #: The trace that is recorded now.
    _recorded: Trace | None = None

    def call(self, command: str, *, timeout: float | None = None, **fields: Any) -> dict[str, Any]:
        """See :meth:`kernellab.lab.Target.call`."""
        raise NotImplementedError

    def _ready(self) -> None:
        raise NotImplementedError

    def start_trace(self, size: int = SIZE) -> Trace:
        """Begin to record what runs; ``driver.trace`` and the result show it at any time.

        ``size`` is how many events are kept: the oldest are let go, and counted. Recording slows
        the machine down, but changes neither its virtual time nor what happens. It ends with
        :meth:`stop_trace`, or with the machine; one that has stopped is rebooted first. Raises
        UsageError where one is recorded already, and where the target cannot.
        """
        if isinstance(size, bool) or not isinstance(size, int):
            raise UsageError(f"size={size!r} is not a number of events")
        if self._recorded is not None:
            raise UsageError(
                f"a trace of {self.name!r} is being recorded already: stop_trace() ends it"
            )
        self._ready()
        self.call("trace", action="start", size=size)
        trace = self._recorded = Trace(self._read_trace, self._images)
        for driver in self.drivers.values():
            if driver.loaded:
                driver._trace = trace
        return trace

    def restart_trace(self, size: int = SIZE) -> Trace:
        """Begin anew, as :meth:`start_trace`: the one that is recorded ends, and stays."""
        self._end_trace()
        return self.start_trace(size)

    def stop_trace(self) -> Trace:
        """End the recording; the trace stays. Raises UsageError where none is recorded."""
        trace = self._recorded
        if trace is None:
            raise UsageError("no trace is being recorded: start_trace() begins one")
        self._recorded = None
        try:
            data = self._fetch_trace("stop")
        except TargetLost:
            data = None  # what was read before stays
        trace._finish(data)
        return trace

    @contextmanager
    def trace(self, size: int = SIZE) -> Iterator[Trace]:
        """Record what runs inside of the block: ``with target.trace() as trace: …``.

        As :meth:`start_trace` and :meth:`stop_trace`; also where the block ends by an error.
        """
        trace = self.start_trace(size)
        try:
            yield trace
        finally:
            if self._recorded is trace:
                self.stop_trace()

    def _end_trace(self) -> None:
        """The machine goes away: keep what was recorded, unless another thread's call is there."""
        if self._recorded is None or not self._busy.acquire(blocking=False):
            return
        try:
            self.stop_trace()
        except KernelLabError:
            pass  # it goes anyway, and says so itself
        finally:
            self._busy.release()

    def _read_trace(self, total: int) -> bytes | None:
        if self.call("trace", action="state").get("total") == total:
            return None
        return self._fetch_trace("read")

    def _fetch_trace(self, action: str) -> bytes:
        reply = self.call("trace", action=action)
        file, size = str(reply.get("file")), int(reply.get("size", 0))
        data = bytearray()
        while len(data) < size:
            chunk = reply_bytes(self.call("get", file=file, offset=len(data)))
            if not chunk:
                raise TargetLost("the trace ended early")
            data += chunk
        return bytes(data)

    def _images(self) -> Symbolized:
        known = {name: driver._symbols for name, driver in self.drivers.items()}
        return {name: symbols for name, symbols in known.items() if symbols is not None}
