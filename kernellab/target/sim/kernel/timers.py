"""KTIMERs: set by drivers, signalled when virtual time has come.

WDK pages "Timer Objects and DPCs", "KeSetTimerEx function (wdm.h)".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .dispatcher import Kind
from .dpc import queue_dpc
from .structs import Struct, size_of

if TYPE_CHECKING:
    from .alarm import Alarm
    from .kernel import Kernel

UNITS_A_MS: Final = 10_000


@dataclass(slots=True)
class Timer:
    """A set timer. ``period`` in units, 0 for one shot; ``dpc`` the KDPC's address or 0."""

    object: int
    period: int
    dpc: int
    owner: str
    #: What its DPC's routine gets as the first argument instead of the KDPC (ExAllocateTimer).
    argument: int = 0
    alarm: Alarm | None = None


class Timers:
    """All timers that are set, by address."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.set_timers: dict[int, Timer] = {}

    def initialize(self, obj: int, kind: Kind) -> None:
        """Write a KTIMER that is not set."""
        self._k.memory.write(obj, bytes(size_of("KTIMER")))
        self._k.dispatcher.initialize(obj, kind, size_of("KTIMER"), 0)

    def set(self, obj: int, due: int, period: int, dpc: int, *, argument: int = 0) -> bool:
        """Set or set anew; whether it was set. ``due`` as in the WDK, ``period``: units."""
        k = self._k
        k.dispatcher.kind(obj)
        was = self.cancel(obj)
        k.dispatcher.set_state(obj, 0)
        timer = Timer(obj, period, dpc, k.caller(), argument)
        at = k.now - due if due < 0 else due - k.boot_time
        entry = Struct(k.memory, "KTIMER", obj)
        entry["DueTime"], entry["Period"], entry["Dpc"] = max(at, 0), period // UNITS_A_MS, dpc
        self.set_timers[obj] = timer
        k.tell("timer-set", timer)
        timer.alarm = k.scheduler.at(max(at, k.now), Ring(self, timer))
        return was

    def cancel(self, obj: int) -> bool:
        """Whether it was set; it is not any more."""
        timer = self.set_timers.pop(obj, None)
        if timer is None:
            return False
        if timer.alarm is not None:
            self._k.scheduler.cancel(timer.alarm)
        return True

    def ring(self, timer: Timer) -> None:
        """It is due: signal it, queue its DPC, and wind it up again where it is periodic."""
        k = self._k
        if timer.period and timer.alarm is not None:
            timer.alarm = k.scheduler.at(timer.alarm.due + timer.period, Ring(self, timer))
        else:
            del self.set_timers[timer.object]
        k.dispatcher.signal(timer.object, 1)
        if timer.dpc:
            # The two system arguments are the system time, as NT passes it.
            now = k.boot_time + k.now
            queue_dpc(k, timer.dpc, now & 0xFFFFFFFF, now >> 32, argument=timer.argument)


class Ring:
    """The alarm's action."""

    __slots__ = ("_timer", "_timers")

    def __init__(self, timers: Timers, timer: Timer) -> None:
        self._timers = timers
        self._timer = timer

    def __call__(self) -> None:
        self._timers.ring(self._timer)
