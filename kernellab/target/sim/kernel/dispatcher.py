"""Dispatcher objects: what threads wait for, and what wakes them.

The state of an event, mutex, semaphore, timer, thread or process is in its DISPATCHER_HEADER in
guest memory, as in NT, so that a driver may embed one anywhere; who waits for it is kept here, by
the object's address, in the order of arrival. WDK pages: "Introduction to Kernel Dispatcher
Objects", "KeWaitForMultipleObjects function (wdm.h)".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from .bugcheck import BugCheck
from .execution import RaisedStatus, Wait
from .structs import Struct, const, place

if TYPE_CHECKING:
    from .alarm import Alarm
    from .kernel import Kernel
    from .thread import Thread


class Kind(IntEnum):
    """KOBJECTS: the type byte of a dispatcher header."""

    NOTIFICATION_EVENT = 0
    SYNCHRONIZATION_EVENT = 1
    MUTANT = 2
    PROCESS = 3
    QUEUE = 4
    SEMAPHORE = 5
    THREAD = 6
    NOTIFICATION_TIMER = 8
    SYNCHRONIZATION_TIMER = 9


_KINDS: Final = {int(kind): kind for kind in Kind}
# Looking a member up in its class, or in a set, takes longer than the rest of what is done here.
_MUTANT, _SEMAPHORE = Kind.MUTANT, Kind.SEMAPHORE
#: Waiting for these two takes their signal away.
_EVENT, _TIMER = Kind.SYNCHRONIZATION_EVENT, Kind.SYNCHRONIZATION_TIMER
#: What a message calls them, by the type byte.
_WORDS: Final = [
    _KINDS[n].name.lower().replace("_", " ") if n in _KINDS else "" for n in range(max(Kind) + 1)
]
_STATE: Final = place("DISPATCHER_HEADER", "SignalState")[0]
_WAIT_LIST: Final = place("DISPATCHER_HEADER", "WaitListHead")[0]
_MUTANT_OWNER: Final = place("KMUTANT", "OwnerThread")[0]
#: How often one thread may own a mutex ("KeWaitForSingleObject function (wdm.h)").
_MUTANT_DEEPEST: Final = -(1 << 31)

#: In KMUTANT.MutantFlags: its owner ended without releasing it.
_ABANDONED: Final = 1

WAIT_ALL, WAIT_ANY = 0, 1


@dataclass(slots=True, eq=False)
class Waiting:
    """A thread's wait: for all of its objects, or for the first of them."""

    thread: Thread
    objects: tuple[int, ...]
    every: bool
    alertable: bool = False
    alarm: Alarm | None = None


class Dispatcher:
    """Waits and signals. State values are signed 32-bit numbers, greater than 0 for signalled."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        #: Who waits for an object, by its address, first come first.
        self.waiters: dict[int, list[Waiting]] = {}
        #: Whether the wait that takes objects right now has a time-out.
        self._bounded = False

    # -- objects --------------------------------------------------------------------------------

    def initialize(self, obj: int, kind: Kind, size: int, state: int) -> None:
        """Write a dispatcher header; ``size`` is the whole object's, bytes."""
        m = self._k.memory
        header = Struct(m, "DISPATCHER_HEADER", obj)
        header["Lock"] = 0
        header["Type"] = kind
        header["Size"] = size // 4
        m.set_u32(obj + _STATE, state)
        m.set_u64(obj + _WAIT_LIST, obj + _WAIT_LIST)
        m.set_u64(obj + _WAIT_LIST + 8, obj + _WAIT_LIST)

    def kind(self, obj: int) -> Kind:
        """What kind of object it is. Bug check where it is none, as after its memory was reused."""
        return self._look(obj)[0]

    def _look(self, obj: int) -> tuple[Kind, int]:
        """Kind and SignalState by one read: the type is the first byte, the state follows at 4."""
        header = self._k.memory.u64(obj)
        kind = _KINDS.get(header & 0x7F)
        if kind is None:
            raise BugCheck(
                *("KERNEL_SECURITY_CHECK_FAILURE", 0x3, obj),
                message=f"{obj:#x} was used as an event, mutex, semaphore, timer or thread, but "
                f"its type byte is {header & 0x7F}: it was not initialized, or was overwritten.",
            )
        state = header >> 32
        return kind, state - (1 << 32) if state >> 31 else state

    def state(self, obj: int) -> int:
        """Its SignalState."""
        value = self._k.memory.u32(obj + _STATE)
        return value - (1 << 32) if value >> 31 else value

    def set_state(self, obj: int, state: int) -> None:
        """Change its SignalState; nobody is woken."""
        self._k.memory.set_u32(obj + _STATE, state)

    def signal(self, obj: int, state: int) -> int:
        """Change its SignalState, and wake whom that satisfies; the state before."""
        m = self._k.memory
        old = m.u32(obj + _STATE)
        m.set_u32(obj + _STATE, state)
        if obj in self.waiters:
            self.satisfy(obj)
        return old - (1 << 32) if old >> 31 else old

    def pulse(self, obj: int) -> int:
        """Signal an event for those only who wait for it now; the state before."""
        old = self.signal(obj, 1)
        self.set_state(obj, 0)
        return old

    def keep_irql(self, wait: int) -> None:
        """``Wait`` of KeSetEvent and its kind: nothing gets in between it and the wait after it."""
        k = self._k
        if wait and not k.scheduler.current.in_dpc:
            k.ps.current.wait_irql = k.cpu.irql
            k.scheduler.set_irql(max(k.cpu.irql, 2))

    def release_mutant(self, obj: int) -> int:
        """Give up one acquisition of a mutex by the current thread; the state before."""
        thread = self._k.ps.current
        if self.owner(obj) != thread.object:
            raise RaisedStatus(
                const("STATUS_MUTANT_NOT_OWNED"),
                "A mutex was released by a thread that does not own it.",
            )
        old = self.state(obj)
        self.set_state(obj, old + 1)
        if old == 0:
            self._give_up(obj, thread)
        return old

    def abandon(self, thread: Thread) -> None:
        """A thread ends: who waits for its mutexes gets STATUS_ABANDONED.

        Bug check 0x4000008A for one that KeInitializeMutex made: drivers have to release those.
        """
        for obj in list(thread.mutants):
            mutant = Struct(self._k.memory, "KMUTANT", obj)
            if mutant["ApcDisable"]:
                raise BugCheck(
                    *("THREAD_TERMINATE_HELD_MUTEX", thread.object, obj),
                    message=f"A thread ended while it owned the mutex at {obj:#x}.",
                )
            mutant["MutantFlags"] |= _ABANDONED
            self.set_state(obj, 1)
            self._give_up(obj, thread)

    def _give_up(self, obj: int, thread: Thread) -> None:
        mutant = Struct(self._k.memory, "KMUTANT", obj)
        mutant["OwnerThread"] = 0
        thread.mutants.remove(obj)
        thread.apc_disable -= mutant["ApcDisable"]
        self._k.tell("lock-released", "mutex", obj)
        self.satisfy(obj)

    # -- waiting --------------------------------------------------------------------------------

    def wait(
        self,
        objects: tuple[int, ...],
        *,
        every: bool = False,
        timeout: int | None = None,
        alertable: bool = False,
        why: str = "",
    ) -> int | Wait:
        """Wait on behalf of the current thread.

        The NTSTATUS where the wait is over at once, else what the activity or handler gives
        back to be blocked. ``timeout`` is in units of 100 ns as the WDK has it: negative is
        relative, 0 only tests, None waits without end. ``why`` says what is waited for; by
        default it is the one object.
        """
        k = self._k
        thread = k.ps.current
        if thread.wait_irql is not None:
            k.scheduler.set_irql(thread.wait_irql)
            thread.wait_irql = None
        if len(objects) == 1:
            (obj,) = objects
            kind, state = self._look(obj)
            if state > 0 or (kind is _MUTANT and self.owner(obj) == thread.object):
                self._bounded = timeout is not None
                return self._take(obj, kind, state, thread)
            why = why or f"the {_WORDS[kind]} at {obj:#x}"
            return self._block(thread, objects, every, timeout, alertable, why)
        ready = [i for i, obj in enumerate(objects) if self._available(obj, thread)]
        if ready and (not every or len(ready) == len(objects)):
            taken = objects if every else (objects[ready[0]],)
            status = 0 if every else ready[0]
            self._bounded = timeout is not None
            for obj in taken:
                status |= self._take(obj, *self._look(obj), thread)
            return status
        return self._block(thread, objects, every, timeout, alertable, why)

    def _block(
        self,
        thread: Thread,
        objects: tuple[int, ...],
        every: bool,
        timeout: int | None,
        alertable: bool,
        why: str,
    ) -> int | Wait:
        k = self._k
        if timeout == 0:
            return const("STATUS_TIMEOUT")
        if k.cpu.irql >= 2 or k.scheduler.current.in_dpc:
            raise self._must_not_block(why)
        waiting = Waiting(thread, objects, every, alertable)
        for obj in objects:
            self.waiters.setdefault(obj, []).append(waiting)
        if timeout is not None:
            due = k.now - timeout if timeout < 0 else timeout - k.boot_time
            waiting.alarm = k.scheduler.at(max(due, k.now + 1), Expire(self, waiting))
        thread.waiting_on = waiting
        return Wait(why)

    def sleep(self, interval: int, *, alertable: bool = False) -> int | Wait:
        """Give the processor up for an interval, as KeDelayExecutionThread has it."""
        result = self.wait((), timeout=interval or -1, alertable=alertable, why="a delay")
        return result

    def satisfy(self, obj: int) -> None:
        """Wake whom the object's state satisfies, first come first."""
        for waiting in tuple(self.waiters.get(obj, ())):
            thread = waiting.thread
            self._bounded = waiting.alarm is not None
            if waiting.every:
                if not all(self._available(o, thread) for o in waiting.objects):
                    continue
                status = 0
                for each in waiting.objects:
                    status |= self._take(each, *self._look(each), thread)
            else:
                kind, state = self._look(obj)
                if state <= 0 and not (kind is _MUTANT and self.owner(obj) == thread.object):
                    break
                status = waiting.objects.index(obj) | self._take(obj, kind, state, thread)
            self.end(waiting, status)

    def end(self, waiting: Waiting, status: int) -> None:
        """The wait is over, whatever it was for."""
        objects = waiting.objects
        for obj in objects if len(objects) < 2 else set(objects):
            queue = self.waiters.get(obj)
            if queue is not None and waiting in queue:
                queue.remove(waiting)
                if not queue:
                    del self.waiters[obj]
        if waiting.alarm is not None:
            self._k.scheduler.cancel(waiting.alarm)
        self._k.scheduler.wake(waiting.thread, status)

    def _must_not_block(self, why: str) -> BugCheck:
        k = self._k
        if k.scheduler.current.in_dpc:
            return BugCheck(
                *("ATTEMPTED_SWITCH_FROM_DPC", k.ps.current.object),
                message=f"A DPC waited for {why}: DPCs must not wait.",
            )
        return BugCheck(
            *("IRQL_NOT_LESS_OR_EQUAL", 0, k.cpu.irql, 0, k.memory.u64(k.flow.trap_rsp)),
            message=f"The driver waited for {why} at IRQL {k.cpu.irql}: at DISPATCH_LEVEL "
            "and above nothing can run that would end the wait.",
        )

    def _available(self, obj: int, thread: Thread) -> bool:
        kind, state = self._look(obj)
        if kind is _MUTANT and self.owner(obj) == thread.object:
            return True
        return state > 0

    def owner(self, mutant: int) -> int:
        """The ETHREAD of the thread that owns a mutex, 0 where none does."""
        return self._k.memory.u64(mutant + _MUTANT_OWNER)

    def _take(self, obj: int, kind: Kind, state: int, thread: Thread) -> int:
        """What a satisfied wait does to an object; flags for the wait's status."""
        if kind is _EVENT or kind is _TIMER:
            self.set_state(obj, 0)
        elif kind is _SEMAPHORE:
            self.set_state(obj, state - 1)
        elif kind is _MUTANT:
            return self._take_mutant(obj, state, thread)
        return 0

    def _take_mutant(self, obj: int, state: int, thread: Thread) -> int:
        if state <= _MUTANT_DEEPEST:
            raise RaisedStatus(const("STATUS_MUTANT_LIMIT_EXCEEDED"), "a mutex is owned too often")
        self.set_state(obj, state - 1)
        if state == 1:
            mutant = Struct(self._k.memory, "KMUTANT", obj)
            mutant["OwnerThread"] = thread.object
            thread.mutants.append(obj)
            thread.apc_disable += mutant["ApcDisable"]
            self._k.tell("lock-taken", "mutex", obj, thread, self._bounded)
            if mutant["MutantFlags"] & _ABANDONED:
                mutant["MutantFlags"] &= ~_ABANDONED
                return const("STATUS_ABANDONED")
        return 0


class Expire:
    """The action of a wait's time-out."""

    __slots__ = ("_dispatcher", "_waiting")

    def __init__(self, dispatcher: Dispatcher, waiting: Waiting) -> None:
        self._dispatcher = dispatcher
        self._waiting = waiting

    def __call__(self) -> None:
        w = self._waiting
        if w.thread.waiting_on is w:
            status = 0 if not w.objects else const("STATUS_TIMEOUT")
            self._dispatcher.end(w, status)
