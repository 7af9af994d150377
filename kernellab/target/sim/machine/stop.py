"""Why guest code came to a stop, and stopping it from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

#: How long between attempts to stop code that runs, seconds.
_NUDGE: Final = 0.01


class Stop(Enum):
    """Why :meth:`.Cpu.run` came back."""

    RETURNED = auto()  # a call made by the host has returned; ``value`` is rax
    DEFERRED = auto()  # a handler answered with something else than a number
    FAULT = auto()  # an exception in guest code
    ASKED = auto()  # :meth:`.Cpu.ask` was called: time ran out, or an interrupt
    HALTED = auto()  # the guest executed hlt
    BUDGET = auto()  # the instruction budget is used up
    YIELDED = auto()  # a handler answered with a number, and the kernel wants the processor
    SLICE = auto()  # as many instructions as were asked for have run, or the IRQL was lowered


@dataclass(frozen=True, slots=True)
class Fault:
    """An exception: its vector, where, and for page faults what was accessed and how."""

    vector: int
    rip: int
    address: int = 0
    access: str = ""


class Asked:
    """Whether guest code is to stop: asked from another thread, again and again until it does."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self._stop = stop
        self._event = threading.Event()
        self.is_set: Callable[[], bool] = self._event.is_set
        #: Whether guest code runs now.
        self.running = False
        #: Held to stop it, and by :meth:`clear`: nothing is stopped for a reason that is over.
        self._lock = threading.Lock()

    def ask(self) -> None:
        """Stop guest code soon; stays asked until :meth:`clear`."""
        self._event.set()
        # One attempt can come just before the engine starts and be lost: repeat it until it worked.
        threading.Thread(target=self._nudge, daemon=True).start()

    def _nudge(self) -> None:
        while True:
            with self._lock:
                if not self._event.is_set():
                    return
                if self.running:
                    self._stop()
            time.sleep(_NUDGE)

    def clear(self) -> None:
        """Forget that :meth:`ask` was called. No later run is stopped by that call."""
        with self._lock:
            self._event.clear()
