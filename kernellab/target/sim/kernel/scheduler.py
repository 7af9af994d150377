"""Processors, threads and virtual time: which flow of execution runs next.

One host CPU plays all simulated processors in turn. While one thing only can run, it runs at full
speed from one wait to the next. As soon as a second could run at the same time (a thread on
another processor, a timer that is due), each runs in *slices* of a few hundred instructions whose
lengths, and whose order among processors, a random generator decides that is seeded: the same seed
gives the same interleaving. On each processor the rules are NT's: the highest priority of 32 runs,
equal ones share by quantum, nothing preempts at DISPATCH_LEVEL and above, and DPCs run before any
thread as soon as the IRQL is below DISPATCH_LEVEL (WDK pages "Managing Hardware Priorities",
"Introduction to DPC Objects", "Thread Scheduling").

Time is virtual, in units of 100 ns. A call into the kernel takes 1 us; an instruction 1 ns, counted
only while slices are; when every thread waits, time jumps to the next timer. While several
processors are busy each step counts a part only, since the others do theirs in the same time.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from . import watchdog
from .alarm import Alarm
from .bugcheck import BugCheck
from .dpc_queues import DpcQueues
from .execution import Flow, Outcome, Stopped
from .structs import Struct
from .thread import CURRENT_THREAD, QUANTUM, Processor, Thread
from .thread import Stuck as Stuck

if TYPE_CHECKING:
    from .kernel import Kernel

DISPATCH_LEVEL: Final = 2
PRIORITIES: Final = 32
#: As many as one processor group has.
MAX_PROCESSORS: Final = 64

#: Instructions of one slice, and of one while a single flow waits for time to pass.
_SLICE: Final = (40, 2500)
_SLICE_SPAN: Final = _SLICE[1] - _SLICE[0]
_SLICE_BITS: Final = _SLICE_SPAN.bit_length()
_TIME_SLICE: Final = 20_000
#: How many steps slices go on after they were needed last: changing over is not free.
_LINGER: Final = 200

_INSTRUCTIONS_A_UNIT: Final = 100
#: Virtual time of a call into the kernel while one processor is busy.
CALL_UNITS: Final = 10
#: How long :meth:`Scheduler.settle` lets what can run go on, units: 1 ms.
_SETTLE: Final = 10_000
NEVER: Final = 1 << 62
#: How many alarms may ring while the client waits for a request, unless it says how long.
PATIENCE: Final = 50_000


class Scheduler:
    """Decides what runs; see the module's description."""

    def __init__(self, k: Kernel, processors: int, seed: int) -> None:
        self._k = k
        self.random = random.Random(seed)  # noqa: S311 - interleavings, not secrets
        self.all_processors = (1 << processors) - 1
        self.ready: list[deque[Thread]] = [deque() for _ in range(PRIORITIES)]
        self.alarms: list[Alarm] = []
        #: A bit for each priority that has ready threads.
        self._ready_levels = 0
        self._numbers = 0
        self._linger = 0
        #: How many alarms have rung; after how many more a call is given up: see :meth:`run`.
        self.rung, self.patience = 0, PATIENCE
        #: On how many processors something runs now.
        self.busy = 1
        #: Whether what runs now is stopped after some instructions by itself.
        self._slicing = False
        self.processors = [Processor(k, n, k.new_stack()) for n in range(processors)]
        self.dpcs = DpcQueues(k, self)
        #: The processor whose code runs, or ran last.
        self.current = self.processors[0]
        self._gs: Processor | None = None

    # -- what wants to run ----------------------------------------------------------------------

    def make_ready(self, thread: Thread, *, first: bool = False) -> None:
        """``thread`` can run from now on."""
        self._ready_levels |= 1 << thread.priority
        queue = self.ready[thread.priority]
        if first:
            queue.appendleft(thread)
        else:
            queue.append(thread)
        if not self._slicing or self._can_start(thread):
            self._k.cpu.attention = True

    def _can_start(self, thread: Thread) -> bool:
        """Whether some processor would leave what it does for the thread, or is idle."""
        for p in self.processors:
            if p.thread is None or (
                p.irql < DISPATCH_LEVEL and p.thread.priority < thread.priority
            ):
                return True
        return False

    def _take(self, thread: Thread, priority: int) -> None:
        queue = self.ready[priority]
        queue.remove(thread)
        if not queue:
            self._ready_levels ^= 1 << priority

    def wake(self, thread: Thread, value: int) -> None:
        """End the wait of ``thread``, which gets ``value``."""
        thread.wake(value)
        thread.waiting_on = None
        self.make_ready(thread)

    def at(self, due: int, action: Callable[[], object]) -> Alarm:
        """Call ``action`` when virtual time has come to ``due``."""
        self._numbers += 1
        alarm = Alarm(due, self._numbers, action)
        heapq.heappush(self.alarms, alarm)
        self._set_alarm()
        # From now on time has to be counted: see _once.
        self._k.cpu.attention = True
        return alarm

    def cancel(self, alarm: Alarm) -> None:
        """Do not call its action any more."""
        alarm.cancelled = True
        self._set_alarm()

    def set_priority(self, thread: Thread, priority: int) -> int:
        """Change a thread's priority; the old one."""
        old, thread.priority = thread.priority, priority
        if thread in self.ready[old]:
            self._take(thread, old)
            self.make_ready(thread)
        self._k.cpu.attention = True
        return old

    def _set_alarm(self) -> None:
        while self.alarms and self.alarms[0].cancelled:
            heapq.heappop(self.alarms)
        self._k.alarm = min(self.alarms[0].due if self.alarms else NEVER, self._k.clock.due)

    def _ring(self) -> None:
        k = self._k
        if k.now >= k.clock.due:
            k.clock.tick()
        while self.alarms and (self.alarms[0].cancelled or self.alarms[0].due <= k.now):
            alarm = heapq.heappop(self.alarms)
            if not alarm.cancelled:
                self.rung += 1
                alarm.action()
        self._set_alarm()

    # -- IRQL -----------------------------------------------------------------------------------

    def set_irql(self, level: int) -> None:
        """Change the current processor's IRQL; what was held back runs as soon as it may."""
        cpu = self._k.cpu
        old, cpu.irql = cpu.irql, level
        if level < DISPATCH_LEVEL <= old:
            self._k.tell("irql-lowered")
            p = self.current
            if p.dpcs or self._ready_levels or (p.thread is not None and not p.may_run(p.thread)):
                cpu.attention = True
        elif old < DISPATCH_LEVEL <= level:
            self.current.raised_at = self._k.now
            self._k.tell("irql-raised")

    # -- running --------------------------------------------------------------------------------

    def run(self, thread: Thread) -> None:
        """Run the machine until ``thread`` has ended. Raises :class:`Stuck` where it cannot.

        Also where it waits for a request of the client while alarms ring :attr:`patience` times.
        """
        asked, waited, since = self._k.cpu.asked, thread.waiting_on, self.rung
        while thread.levels:
            if not self._once() and not self._pass_time():
                raise Stuck(thread, thread.wait.why if thread.wait else "something")
            if thread.waiting_on is not waited:
                waited, since = thread.waiting_on, self.rung
            elif self.rung - since > self.patience and getattr(waited, "can_give_up", False):
                raise Stuck(thread, "a request", rung=self.rung - since)
            if asked():
                raise Stopped("asked")

    def settle(self) -> None:
        """Let what can run now go on until it waits, or for 1 ms; timers wait their time."""
        end = self._k.now + _SETTLE
        while self._k.now < end and self._once(bounded=True):
            self._check_asked()

    def pass_time(self, units: int) -> None:
        """Let ``units`` of virtual time pass, and what is due in it happen."""
        end = self._k.now + units
        while self._k.now < end:
            if not self._once(bounded=True) and not self._pass_time(end):
                self._k.now = end
            self._check_asked()
        self.settle()

    def _once(self, *, bounded: bool = False) -> bool:
        """One step of one processor, a slice where ``bounded``; False when nothing can run."""
        k = self._k
        if k.now >= k.alarm:
            self._ring()
        able = self._able()
        if not able:
            spinning = [p for p in self.processors if p.flow is not None and p.flow.spin]
            if spinning and not self.alarms:
                raise self._deadlock(spinning)
            return False
        if len(able) != self.busy:
            self._set_busy(len(able))
        processor, first = able[0] if len(able) == 1 else self.random.choice(able)
        if len(able) > 1 or self._contended(processor, first):
            self._linger = _LINGER
        count = 0
        if self._linger:
            self._linger -= 1
            count = self._slice()
        elif self.alarms or bounded or k.clock.watched:
            count = _TIME_SLICE
        self._step(processor, first, count)
        return True

    def _slice(self) -> int:
        """What ``random.randrange(*_SLICE)`` gives, in a third of the time."""
        bits = self.random.getrandbits
        while (number := bits(_SLICE_BITS)) >= _SLICE_SPAN:
            pass
        return _SLICE[0] + number

    def _set_busy(self, count: int) -> None:
        self.busy = count
        self._k.call_units = max(1, CALL_UNITS // count)

    def _check_asked(self) -> None:
        if self._k.cpu.asked():
            raise Stopped("asked")

    def _able(self) -> list[tuple[Processor, Thread | None]]:
        """The processors on which something can run now; each ready thread counts once.

        With an idle one its first ready thread, unless another processor may take that.
        """
        able: list[tuple[Processor, Thread | None]] = []
        taken: list[Thread] = []
        for p in self.processors:
            flow = p.isr_flow or (p.dpc_flow if p.in_dpc else p.thread)
            if flow is not None:
                if flow.spin is None or flow.spin.ready() or self._k.interrupts.wants(p):
                    able.append((p, None))
            elif p.dpcs or self._k.interrupts.wants(p):
                able.append((p, None))
            elif (thread := self._next(p, but=taken)) is not None:
                able.append((p, None if taken else thread))
                taken.append(thread)
        return able

    def _contended(self, p: Processor, first: Thread | None) -> bool:
        """Whether what runs there next has to share the processor with its equals."""
        current = p.thread
        best = first or self._next(p, -1 if current is None else current.priority)
        if best is not None:
            return len(self.ready[best.priority]) > 1
        return current is not None and bool(self.ready[current.priority])

    def _next(self, p: Processor, above: int = -1, but: Sequence[Thread] = ()) -> Thread | None:
        """The first ready thread of the highest priority that may run there."""
        levels = self._ready_levels >> (above + 1)
        bit = 1 << p.number
        while levels:
            priority = levels.bit_length() + above
            for thread in self.ready[priority]:
                if thread.affinity & bit and thread not in but:
                    return thread
            levels ^= 1 << (priority - above - 1)
        return None

    def _step(self, p: Processor, first: Thread | None, count: int) -> None:
        k = self._k
        self._switch_processor(p)
        k.cpu.attention = False
        if k.interrupts.wants(p):
            k.interrupts.begin(p)
        if not p.in_dpc and p.dpcs and p.irql < DISPATCH_LEVEL:
            self._begin_dpc(p)
        if not p.in_dpc and p.irql < DISPATCH_LEVEL:
            self._choose_thread(p, first)
        flow = p.flow
        if flow is None:
            return
        self._give_cpu(flow, p)
        flow.spin = None
        self._slicing = count > 0
        outcome = flow.step(count)
        if count and outcome is Outcome.YIELDED:
            k.now += count // (_INSTRUCTIONS_A_UNIT * self.busy)
            self.check_watchdog()
        p.irql = k.cpu.irql
        if flow is p.isr_flow:
            if outcome is Outcome.ENDED:
                k.interrupts.end(p)
        elif flow is p.dpc_flow:
            if outcome is Outcome.ENDED:
                self._end_dpc(p)
            elif outcome is Outcome.BLOCKED:
                raise BugCheck(
                    *("ATTEMPTED_SWITCH_FROM_DPC", p.thread.object if p.thread else 0),
                    message=f"A DPC waited for {flow.wait.why if flow.wait else 'something'}: "
                    "DPCs must not wait.",
                )
        elif outcome in (Outcome.ENDED, Outcome.BLOCKED):
            self._leave(p)
            if outcome is Outcome.ENDED:
                k.ps.thread_ended(flow)

    def _switch_processor(self, p: Processor) -> None:
        if p is not self.current:
            self.current.irql = self._k.cpu.irql
            self.current = p
        self._k.cpu.irql = p.irql

    def _give_cpu(self, flow: Flow, p: Processor) -> None:
        """Put the flow's registers into the CPU."""
        k = self._k
        last = k.flow
        if last is flow and flow.current:
            if k.memory.space is not flow.space:
                k.memory.use(flow.space)
                k.cpu.set_root(flow.space.root)
            if self._gs is not p:
                self._gs = p
                k.cpu.set_gs(p.kpcr)
            return
        if last.current:
            if not last.ended:
                last.saved = k.cpu.save(last.saved)
            last.current = False
        k.memory.use(flow.space)
        self._gs = p
        k.cpu.load(flow.saved or k.fresh_context, flow.space.root, p.kpcr)
        flow.current = True
        k.flow = flow

    def _choose_thread(self, p: Processor, first: Thread | None) -> None:
        """Preempt the processor's thread for one of higher priority, or at its quantum's end.

        ``first`` is the one that is ready for an idle processor, where that is known.
        """
        current = p.thread
        if current is None:
            best = first or self._next(p)
        elif current.spin is not None:
            return
        elif not p.may_run(current):  # its affinity was changed
            self._leave(p)
            self.make_ready(current, first=True)
            best = self._next(p)
        else:
            current.quantum -= 1
            best = self._next(p, current.priority)
            if best is None and current.quantum <= 0:
                current.quantum = QUANTUM
                best = self._next(p, current.priority - 1)
            if best is not None:
                self._leave(p)
                self.make_ready(current, first=best.priority > current.priority)
        if best is None:
            return
        self._take(best, best.priority)
        p.thread, best.processor = best, p
        self._k.cpu.irql = p.irql = best.irql
        self._k.memory.set_u64(p.kpcr + CURRENT_THREAD, best.object)
        self._k.cpu.attention = False
        self._k.tell("thread-runs", p, best)

    def _leave(self, p: Processor) -> None:
        """The processor's thread stops running there."""
        thread = p.thread
        assert thread is not None
        thread.irql, thread.processor = self._k.cpu.irql, None
        p.thread = None
        self._k.tell("thread-leaves", p, thread)
        self._k.cpu.irql = p.irql = 0
        self._k.memory.set_u64(p.kpcr + CURRENT_THREAD, p.idle)

    def _pass_time(self, end: int = NEVER) -> bool:
        """Nothing can run: go to the next alarm, if it comes before ``end``."""
        self._set_alarm()
        due = self.alarms[0].due if self.alarms else NEVER
        if due >= end:
            return False
        self._k.now = max(self._k.now, due)
        self._ring()
        return True

    def _deadlock(self, spinning: list[Processor]) -> BugCheck:
        flow = spinning[0].flow
        assert flow is not None and flow.spin is not None
        self._switch_processor(spinning[0])
        self._give_cpu(flow, spinning[0])
        # Parameters as in "Bug Check 0x133: DPC_WATCHDOG_VIOLATION", 1: all time at DISPATCH_LEVEL.
        return BugCheck(
            *("DPC_WATCHDOG_VIOLATION", 1, watchdog.RAISED_TICKS),
            message=f"The processor waits for ever for {flow.spin.why}.",
        )

    def take_over(self, flow: Flow, irql: int) -> None:
        """Give the current processor to ``flow`` for good: the machine has stopped."""
        self._set_busy(1)
        self._give_cpu(flow, self.current)
        self._k.cpu.irql = self.current.irql = irql
        self._k.cpu.attention = False

    def check_watchdog(self) -> None:
        """Bug check 0x133 where a DPC, or a raised IRQL, lasts as long as Windows allows."""
        watchdog.check(self._k)

    # -- DPCs -----------------------------------------------------------------------------------

    def _begin_dpc(self, p: Processor) -> None:
        p.dpc = dpc = p.dpcs.popleft()
        # From here on it may be queued again, or be freed by its own routine.
        Struct(self._k.memory, "KDPC", dpc.object)["DpcData"] = 0
        self._k.tell("dpc-start", dpc)
        p.in_dpc, p.dpc_at = True, self._k.now
        # The interrupted thread's IRQL, which comes back when the DPCs are done.
        if p.thread is not None:
            p.thread.irql = self._k.cpu.irql
        self._k.cpu.irql = p.irql = DISPATCH_LEVEL
        p.dpc_flow.space = p.thread.space if p.thread is not None else self._k.memory.system
        p.dpc_flow.start(self._k.dpc_activity(dpc), "KiRetireDpcList")

    def _end_dpc(self, p: Processor) -> None:
        p.in_dpc = False
        p.dpc = None
        self._k.cpu.irql = p.irql = p.thread.irql if p.thread is not None else 0
        self.dpcs.done()
