"""Threads, processors and DPCs: what :mod:`.scheduler` gives the CPU to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE
from .execution import Flow

if TYPE_CHECKING:
    from .kernel import Kernel
    from .process import Process

#: ETHREAD is opaque to drivers; its KTHREAD begins with a dispatcher header.
ETHREAD_SIZE: Final = 0x900
#: The processors' control regions (KPCR, at the base of gs), a page each.
KPCR_BASE: Final = 0xFFFF_F805_1300_0000
#: Where in it: the current thread, and the processor's number.
CURRENT_THREAD: Final = 0x188
_NUMBER: Final = (0x184, 0x1A4)

#: A thread gives way to others of its priority after so many slices (NT: two clock ticks).
QUANTUM: Final = 12


class Thread(Flow):
    """A kernel thread. ``object`` is the guest address of its ETHREAD."""

    def __init__(self, k: Kernel, tid: int, process: Process, obj: int, stack: int) -> None:
        super().__init__(k, stack)
        self.id = tid
        self.process = process
        self.object = obj
        self.space = process.space
        #: The process whose address space it has borrowed (KeStackAttachProcess).
        self.attached: Process | None = None
        self.owner = ""
        #: The driver or device object that IoCreateSystemThread keeps for it, 0 for none.
        self.io_object = 0
        self.priority = 8
        #: What :attr:`priority` is counted from: that of its process's class and an increment.
        self.base_priority = 8
        self.affinity = k.scheduler.all_processors
        #: What a driver set with KeSetSystemAffinityThread, 0 for nothing.
        self.system_affinity = 0
        #: The IRQL it has while it does not run: PASSIVE_LEVEL or APC_LEVEL.
        self.irql = 0
        self.quantum = QUANTUM
        #: How often normal and special kernel APCs were disabled: both are 0 outside of regions.
        self.apc_disable = 0
        self.special_apc_disable = 0
        #: The mutexes that it owns, in the order it took them.
        self.mutants: list[int] = []
        #: The IRQL for the wait that has to follow now (KeSetEvent with Wait), else None.
        self.wait_irql: int | None = None
        #: Whether it is a thread of the system rather than of a program.
        self.system = True
        #: Whether it lasts when nothing is left to run on it: a program's, until that ends.
        self.rests = False
        #: What IoSetTopLevelIrp set.
        self.top_level_irp = 0
        #: What the wait subsystem keeps while it waits.
        self.waiting_on: object = None
        self.processor: Processor | None = None

    @property
    def current_process(self) -> Process:
        """The process whose memory and handles it uses now: its own unless it is attached."""
        return self.attached or self.process


class Stuck(Exception):
    """Every thread waits, and no timer is set: nothing will ever happen by itself.

    ``thread`` is the one whose end was awaited, ``why`` what it waits for. ``rung``: timers are
    set, but have rung so often in vain.
    """

    def __init__(self, thread: Thread, why: str, *, rung: int = 0) -> None:
        super().__init__(f"waits for ever for {why}")
        self.thread = thread
        self.why = why
        self.rung = rung

    @property
    def left(self) -> str:
        """What is left to run, in words."""
        if self.rung:
            return f"timers rang {self.rung - 1:,} times without its being completed"
        return "nothing is left to run that could complete it"


@dataclass(slots=True)
class Dpc:
    """A queued deferred procedure call: its KDPC and the arguments it was queued with."""

    object: int
    routine: int
    arguments: tuple[int, int, int, int]
    #: Counts the DPCs of the machine in the order they were queued.
    number: int = 0


class Processor:
    """A simulated processor: its IRQL, the thread it runs, its DPCs."""

    def __init__(self, k: Kernel, number: int, stack: int) -> None:
        self.number = number
        self.irql = 0
        self.thread: Thread | None = None
        self.dpcs: deque[Dpc] = deque()
        #: What DPCs run on, and whether one does.
        self.dpc_flow = Flow(k, stack)
        self.in_dpc = False
        #: What an interrupt service routine runs on, while one does.
        self.isr_flow: Flow | None = None
        #: When its DPC began, and when its IRQL became DISPATCH_LEVEL.
        self.dpc_at = self.raised_at = 0
        self.dpc: Dpc | None = None
        #: Threaded DPCs, the one that runs, and the thread they run on.
        self.threaded: deque[Dpc] = deque()
        self.threaded_dpc: Dpc | None = None
        self.threaded_thread: Thread | None = None
        #: The ETHREAD of its idle thread.
        self.idle = k.new_object(ETHREAD_SIZE)
        self.kpcr = KPCR_BASE + number * PAGE
        k.memory.map(self.kpcr, 1)
        k.memory.set_u64(self.kpcr + CURRENT_THREAD, self.idle)
        for at in _NUMBER:
            k.memory.set_u8(self.kpcr + at, number)

    def may_run(self, thread: Thread) -> bool:
        """Whether the thread's affinity allows this processor."""
        return bool(thread.affinity >> self.number & 1)

    @property
    def flow(self) -> Flow | None:
        """What has the processor right now."""
        return self.isr_flow or (self.dpc_flow if self.in_dpc else self.thread)
