"""EX_TIMER objects: timers that the system allocates, with a callback instead of a DPC.

An EX_TIMER is opaque to drivers, who may wait for it: it begins with a KTIMER, and the KDPC that
its callback runs from follows. WDK: "ExXxxTimer Routines and EX_TIMER Objects", "Deleting a
System-Allocated Timer Object".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck
from .dispatcher import Kind
from .dpc import DPC_OBJECT
from .structs import Struct, size_of
from .thread import Dpc

if TYPE_CHECKING:
    from .kernel import Kernel

_TIMER: Final = size_of("KTIMER")
_DPC: Final = size_of("KDPC")


@dataclass(slots=True)
class ExTimer:
    """One timer; deleted when nothing of it can run any more."""

    address: int
    callback: int
    owner: str
    attributes: int = 0
    deleted: bool = False
    #: What is called when it is gone, and with what.
    delete_callback: int = 0
    delete_context: int = 0

    @property
    def dpc(self) -> int:
        """The address of its KDPC, 0 where it has no callback."""
        return self.address + _TIMER if self.callback else 0


class ExTimers:
    """All that are allocated, by address."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.timers: dict[int, ExTimer] = {}

    def allocate(self, callback: int, context: int, attributes: int, kind: Kind) -> int:
        """A timer that is not set."""
        k = self._k
        address = k.new_object(_TIMER + _DPC)
        k.timers.initialize(address, kind)
        dpc = Struct(k.memory, "KDPC", address + _TIMER)
        dpc["Type"] = DPC_OBJECT
        dpc["DeferredRoutine"], dpc["DeferredContext"] = callback, context
        timer = ExTimer(address, callback, k.caller(), attributes)
        self.timers[address] = timer
        k.tell("ex-timer-allocated", timer)
        return address

    def get(self, address: int) -> ExTimer:
        """The timer at an address. Bug check 0xC7 where none is, or a deleted one."""
        found = self.timers.get(address)
        if found is None or found.deleted:
            raise BugCheck(
                *("TIMER_OR_DPC_INVALID", 0, address),
                message=f"{address:#x} was used as a timer of ExAllocateTimer, and is none: it "
                "was deleted, or never was one.",
            )
        return found

    def busy(self, timer: ExTimer) -> bool:
        """Whether it is set, or its callback is queued or runs."""
        if timer.address in self._k.timers.set_timers:
            return True
        return any(dpc.object == timer.dpc for dpc in self._k.scheduler.dpcs.pending())

    def finish(self, timer: ExTimer) -> None:
        """Free a deleted timer."""
        k = self._k
        self.timers.pop(timer.address)
        k.pool.free(k.pool.live[timer.address])
        k.tell("ex-timer-deleted", timer)

    def finish_later(self, timer: ExTimer) -> None:
        """Free a deleted timer when its callback has run, and tell the driver then."""
        k = self._k
        if timer.address in k.timers.set_timers:
            due = k.timers.set_timers[timer.address].alarm
            assert due is not None
            # Its last expiry; the look after it comes right behind.
            k.scheduler.at(due.due, _Later(k, timer))
        elif not k.scheduler.dpcs.afterwards(_Finish(k, timer)):
            _Finish(k, timer)()


class _Later:
    """After a deleted timer's last expiry."""

    __slots__ = ("_k", "_timer")

    def __init__(self, k: Kernel, timer: ExTimer) -> None:
        self._k = k
        self._timer = timer

    def __call__(self) -> None:
        self._k.timers.cancel(self._timer.address)
        self._k.ex_timers.finish_later(self._timer)


class _Finish:
    """When nothing of a deleted timer runs any more."""

    __slots__ = ("_k", "_timer")

    def __init__(self, k: Kernel, timer: ExTimer) -> None:
        self._k = k
        self._timer = timer

    def __call__(self) -> None:
        timer = self._timer
        if timer.delete_callback:
            dpc = Dpc(
                timer.address + _TIMER, timer.delete_callback, (timer.delete_context, 0, 0, 0)
            )
            timer.delete_callback = 0
            self._k.scheduler.dpcs.queue(dpc)
            self._k.scheduler.dpcs.afterwards(self)
        else:
            self._k.ex_timers.finish(timer)
