"""Interrupts: which service routines are connected to a vector, and how one is delivered.

A device's interrupt is fired from Python. It is delivered on one of the processors that its
connection allows, as soon as that processor's IRQL is below the interrupt's, between two
instructions of whatever runs there. WDK pages: "Introduction to Interrupt Service Routines",
"InterruptService routine", "KeSynchronizeExecution function (wdm.h)".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .callbacks import Registration
from .driver import NtFailure
from .execution import Call, Flow, Spin, Steps
from .ipi import IPI_LEVEL, Broadcast, take_part

if TYPE_CHECKING:
    from .kernel import Kernel
    from .thread import Processor

KIND: Final = "IoConnectInterrupt"
_DISPATCH_LEVEL: Final = 2


@dataclass(frozen=True, slots=True)
class Interrupt:
    """A connected interrupt object: its lock's address, vector, IRQLs and processors."""

    object: int
    lock: int
    vector: int
    irql: int
    synchronize_irql: int
    affinity: int
    shared: bool


class LockFree:
    """Whether a spin lock can be taken."""

    __slots__ = ("_k", "_lock")

    def __init__(self, k: Kernel, lock: int) -> None:
        self._k, self._lock = k, lock

    def __call__(self) -> bool:
        return not self._k.memory.u64(self._lock)


class Fire:
    """The action of an interrupt that comes later."""

    __slots__ = ("_interrupts", "_vector")

    def __init__(self, interrupts: Interrupts, vector: int) -> None:
        self._interrupts, self._vector = interrupts, vector

    def __call__(self) -> None:
        if self._interrupts.connected(self._vector):
            self._interrupts.fire(self._vector)


class Interrupts:
    """What is connected, and what waits for a processor."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        count = len(k.scheduler.processors)
        self.pending: list[deque[int]] = [deque() for _ in range(count)]
        #: The KeIpiGenericCall that is under way, and the processors that have to take part yet.
        self.broadcast: Broadcast | None = None
        self.broadcasts: list[Broadcast | None] = [None] * count
        self._flows: list[Flow | None] = [None] * count
        #: The IRQL that each processor goes back to.
        self._before = [0] * count

    def connected(self, vector: int) -> list[Registration]:
        """The service routines of a vector, in the order they were connected."""
        return [r for r in self._k.callbacks.of(KIND) if r.detail.vector == vector]

    def fire(self, vector: int) -> None:
        """A device interrupts. NtFailure where nothing is connected to the vector."""
        k = self._k
        found = self.connected(vector)
        if not found:
            raise NtFailure(
                "STATUS_NOT_FOUND", f"no service routine is connected to vector {vector:#x}"
            )
        allowed = [p for p in k.scheduler.processors if found[0].detail.affinity >> p.number & 1]
        processor = k.scheduler.random.choice(allowed or k.scheduler.processors)
        self.pending[processor.number].append(vector)
        k.cpu.attention = True

    def wants(self, p: Processor) -> bool:
        """Whether an interrupt waits for a processor that is below its IRQL."""
        if self.broadcasts[p.number] is not None:
            return p.isr_flow is None and p.irql < IPI_LEVEL
        waiting = self.pending[p.number]
        return bool(waiting) and p.isr_flow is None and p.irql < self._level(waiting[0])

    def _level(self, vector: int) -> int:
        found = self.connected(vector)
        return max((r.detail.synchronize_irql for r in found), default=15)

    def begin(self, p: Processor) -> None:
        """Deliver the first that waits, at its IRQL."""
        k = self._k
        broadcast, self.broadcasts[p.number] = self.broadcasts[p.number], None
        if broadcast is not None:
            level, activity, name = IPI_LEVEL, take_part(k, broadcast), "KiIpiInterrupt"
        else:
            vector = self.pending[p.number].popleft()
            level, activity = self._level(vector), self._service(vector)
            name = "KiInterruptDispatch"
        flow = self._flows[p.number]
        if flow is None:
            flow = self._flows[p.number] = Flow(k, k.new_stack())
        self._before[p.number] = k.cpu.irql
        k.cpu.irql = p.irql = level
        flow.space = p.thread.space if p.thread is not None else k.memory.system
        flow.start(activity, name)
        p.isr_flow = flow

    def end(self, p: Processor) -> None:
        """The service routine is done: back to what it interrupted."""
        p.isr_flow = None
        self._k.cpu.irql = p.irql = self._before[p.number]
        self._k.cpu.attention = True

    def _service(self, vector: int) -> Steps:
        """Call the routines of a vector until one says that the interrupt was its device's."""
        k = self._k
        for registration in self.connected(vector):
            interrupt: Interrupt = registration.detail
            yield from acquire(k, interrupt.lock)
            arguments = interrupt.object, registration.context
            claimed = yield Call(registration.routine, arguments)
            k.cpu.irql = interrupt.synchronize_irql
            release(k, interrupt.lock)
            if claimed & 0xFF:
                break
        return 0


def acquire(k: Kernel, lock: int) -> Steps:
    """Take an interrupt's spin lock, at the IRQL that the caller has raised to."""
    if k.memory.u64(lock):
        yield Spin(LockFree(k, lock), f"the interrupt spin lock at {lock:#x}")
    k.memory.set_u64(lock, k.scheduler.current.number + 1)
    k.tell("lock-taken", "spin lock", lock)


def release(k: Kernel, lock: int) -> None:
    """Give it back."""
    k.tell("lock-released", "spin lock", lock)
    k.memory.set_u64(lock, 0)


def synchronize(k: Kernel, interrupt: Interrupt, routine: int, context: int) -> Steps:
    """Call ``routine`` as if it were the service routine: at its IRQL, with its lock."""
    before = k.cpu.irql
    k.scheduler.set_irql(interrupt.synchronize_irql)
    yield from acquire(k, interrupt.lock)
    result = yield Call(routine, (context,))
    k.cpu.irql = interrupt.synchronize_irql
    release(k, interrupt.lock)
    k.scheduler.set_irql(before)
    return result & 0xFF
