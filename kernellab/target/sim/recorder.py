"""The recorder of a trace: what ran on the machine, and when, in virtual time.

It listens to the kernel's events and stands in front of each export's handler; the processor's
IRQL is watched (:mod:`.machine.watched`). All of that is there only while a trace is recorded, so
that none costs nothing. What is recorded goes into a :class:`~.recording.Recording`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kernellab import ntdata
from kernellab.tracefile import Flag, IrpStep, Kind

from .kernel.execution import Deferred
from .kernel.thread import Thread
from .machine.watched import unwatch, watch
from .recording import Recording
from .verify.listening import listens, subscribe, unsubscribe

if TYPE_CHECKING:
    from .exports.registry import Export
    from .kernel.bugcheck import BugCheck
    from .kernel.execution import Flow
    from .kernel.irp import Irp
    from .kernel.kernel import Kernel
    from .kernel.pool import Allocation
    from .kernel.thread import Dpc, Processor

#: How much of a printed text is kept, characters; the log has all of it.
_TEXT: Final = 120
#: What is known of routines' results: an NTSTATUS, or nothing.
_RETURNS: Final = {
    **dict.fromkeys(("DriverEntry", "AddDevice", "a dispatch routine"), int(Flag.STATUS)),
    **dict.fromkeys(("a completion routine", "a registry query routine"), int(Flag.STATUS)),
    **dict.fromkeys(("DriverUnload", "a DPC", "a thread's routine"), int(Flag.VOID)),
    **dict.fromkeys(("StartIo", "a cancel routine"), int(Flag.VOID)),
}
_SYSTEM_THREAD: Final = "PspSystemThreadStartup"


class Recorder(Recording):
    """Records one machine from its making until :meth:`stop`; ``size`` records are kept."""

    #: It is not a part of the machine: snapshots leave it alone.
    outside = True

    def __init__(self, k: Kernel, size: int) -> None:
        super().__init__(k, size)
        self._pool: dict[str, int] = {}
        self._callback = ("", 0)
        self._majors = {v: n for n, v in ntdata.constants("IRP_MJ_").items() if "MAXIMUM" not in n}
        self._attach()

    # -- on and off -----------------------------------------------------------------------------

    def _attach(self) -> None:
        k = self._k
        subscribe(k, self)
        self._handlers, self._emit = list(k.cpu.handlers), k.emit
        by_name = k.exports
        for index, name in enumerate(k._names):
            if index:  # 0 is where calls of the host return to
                k.cpu.handlers[index] = self._traced(by_name[name], k.cpu.handlers[index])
        k.emit = self._told
        for module in [*k.modules, *k.unloaded]:
            self._note_module(module.name, module.base, module.size)
        for allocation in k.pool.live.values():
            if allocation.owner:
                self._count(allocation, 1)
        watch(k.cpu, self._level)
        for p in k.scheduler.processors:
            current = p is k.scheduler.current
            self._level(k.cpu.irql if current else p.irql, p.number)
            if p.thread is not None:
                self._runs(p, p.thread)

    def stop(self) -> None:
        """Take it all away again."""
        k = self._k
        unsubscribe(k, self)
        k.cpu.handlers[:] = self._handlers
        k.emit = self._emit
        unwatch(k.cpu)

    def restored(self, end: int) -> None:
        """The machine went back to a snapshot at ``end``: from there the trace's time goes on."""
        self._shift = end - self._k.now
        for flow in list(self._open):
            self._close_above(flow, 0, None)
        for number in list(self._running):
            self._end_run(number, end)
        self._open.clear()
        self._numbers.clear()
        self._stacks.forget_code()
        self._pool.clear()
        for allocation in self._k.pool.live.values():
            if allocation.owner:
                self._count(allocation, 1)
        self._mark("restored to a snapshot")
        for p in self._k.scheduler.processors:
            current = p is self._k.scheduler.current
            self._level(self._k.cpu.irql if current else p.irql, p.number)

    # -- calls of drivers into the kernel -------------------------------------------------------

    def _traced(self, export: Export, handler: Callable[..., Any]) -> Callable[..., Any]:
        """The export's handler, and a record of each call."""
        k, add, name = self._k, self._add, export.name
        open_spans, track, scheduler = self._open, self._track, self._k.scheduler
        callers, call = self._stacks.of, int(Kind.CALL)
        returns = export.signature.split()[0]
        flags = int({"NTSTATUS": Flag.STATUS, "VOID": Flag.VOID, "void": Flag.VOID}.get(returns, 0))

        def traced(a: int, b: int, c: int, d: int, rsp: int) -> Any:
            begin, flow, number = k.now + self._shift, k.flow, scheduler.current.number
            spans = open_spans.get(flow)
            depth = len(spans) if spans else 0
            came_from = callers(rsp)
            try:
                value = handler(a, b, c, d, rsp)
            except BaseException:
                end = k.now + self._shift
                head = (begin, end - begin, 0, came_from, name, track(flow))
                add((*head, depth, number, call, flags | Flag.GIVEN_UP))
                raise
            if value.__class__ is Deferred:
                self._begin(flow, call, name, came_from, len(flow.levels) + 1, flags, begin)
                return value
            head = (begin, k.now + self._shift - begin, value, came_from, name, track(flow))
            add((*head, depth, number, call, flags))
            return value

        return traced

    # -- activities and routines ----------------------------------------------------------------

    @listens("activity-started")
    def _activity_started(self, flow: Flow) -> None:
        self._close_above(flow, 0, None)
        if not isinstance(flow, Thread):
            self._numbers.pop(flow, None)
        self._begin(flow, Kind.SERVICE, flow.name, 0, 1)
        track = self._tracks[self._track(flow)]
        track["name"] = track["name"] or flow.name

    @listens("activity-ended")
    def _activity_ended(self, flow: Flow, value: Any) -> None:
        plain = value if isinstance(value, int) else None if value is None else 0
        if value is None and flow.ended:
            plain = 0  # the outermost one has no result
        self._close_above(flow, len(flow.levels), plain)

    @listens("callback-entered")
    def _callback_entered(self, what: str, routine: int, _irql: int) -> None:
        self._callback = what, routine

    @listens("routine-called")
    def _routine_called(self, flow: Flow, address: int) -> None:
        what, routine = self._callback
        if routine != address:
            what = "a routine"
            if flow.name == _SYSTEM_THREAD and len(flow.levels) == 1:
                what = "a thread's routine"
        track = self._track(flow)
        if what == "a thread's routine" and not self._tracks[track]["start"]:
            self._tracks[track]["start"] = address
        self._callback = "", 0
        flags = _RETURNS.get(what, 0)
        self._begin(flow, Kind.ROUTINE, what, address, len(flow.levels), flags)

    @listens("routine-returned")
    def _routine_returned(self, flow: Flow, value: int) -> None:
        spans = self._open.get(flow)
        if spans and spans[-1].kind == Kind.ROUTINE and spans[-1].depth == len(flow.levels):
            self._end(spans, value)

    # -- processors -----------------------------------------------------------------------------

    @listens("thread-runs")
    def _runs(self, p: Processor, thread: Thread) -> None:
        self._running[p.number] = self._track(thread), self.now

    @listens("thread-leaves")
    def _leaves(self, p: Processor, _thread: Thread) -> None:
        self._end_run(p.number, self.now)

    @listens("dpc-queued")
    def _dpc_queued(self, dpc: Dpc) -> None:
        k = self._k
        # A timer's DPC is queued by no call of a driver.
        track = self._track(k.flow) if k.cpu.trapping else 0
        head = (self.now, 0, dpc.routine, dpc.object, "", track)
        self._add((*head, 0, k.scheduler.current.number, Kind.QUEUED, 0))

    @listens("dpc-start")
    def _dpc_start(self, dpc: Dpc) -> None:
        self._callback = "a DPC", dpc.routine

    # -- moments --------------------------------------------------------------------------------

    def _told(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "dbgprint":
            text = fields["text"][:_TEXT].rstrip("\n")
            self._moment(Kind.PRINT, f"{fields['driver']}\n{text}", fields["level"])
        elif kind == "violation":
            self._moment(Kind.VIOLATION, f"{fields['driver']}\n{fields['rule']}")
        self._emit(kind, fields)

    @listens("bug-check")
    def _bug_check(self, check: BugCheck) -> None:
        self._moment(Kind.BUGCHECK, check.name, check.code)

    @listens("driver-loaded")
    def _driver_loaded(self, driver: Any) -> None:
        self._note_module(driver.name, driver.base, driver.size)
        self._mark(f"{driver.name} was loaded")

    @listens("driver-unloaded")
    def _driver_unloaded(self, driver: Any) -> None:
        self._mark(f"{driver.name} was unloaded")

    @listens("pool-allocated")
    def _allocated(self, allocation: Allocation) -> None:
        if allocation.owner:
            self._count(allocation, 1)

    @listens("pool-freeing")
    def _freeing(self, allocation: Allocation) -> None:
        if allocation.owner:
            self._count(allocation, -1)

    def _count(self, allocation: Allocation, sign: int) -> None:
        tag = allocation.tag_text
        now = self._pool[tag] = max(0, self._pool.get(tag, 0) + sign * allocation.size)
        self._moment(Kind.POOL, tag, now)

    # -- IRPs -----------------------------------------------------------------------------------

    def _irp(self, record: Irp, step: IrpStep, status: int = 0) -> None:
        name = self._majors.get(record.major, f"IRP_MJ {record.major:#x}")
        if step is IrpStep.MADE:
            name = ""
        self._moment(Kind.IRP, name, step | (status & 0xFFFF_FFFF) << 8, record.address)

    @listens("irp-made")
    def _irp_made(self, record: Irp) -> None:
        self._irp(record, IrpStep.MADE)

    @listens("irp-sent")
    def _irp_sent(self, record: Irp) -> None:
        self._irp(record, IrpStep.SENT)

    @listens("dispatch-returned")
    def _dispatch_returned(
        self, _driver: str, record: Irp, _routine: int, status: int, _marked: bool
    ) -> None:
        if status == 0x103:  # STATUS_PENDING
            self._irp(record, IrpStep.PENDING, status)

    @listens("irp-completed")
    def _irp_completed(self, record: Irp, status: int, _cancel: int) -> None:
        self._irp(record, IrpStep.COMPLETED, status)

    @listens("irp-cancelled")
    def _irp_cancelled(self, record: Irp, _routine: int) -> None:
        self._irp(record, IrpStep.CANCELLED)

    @listens("irp-freed")
    def _irp_freed(self, record: Irp) -> None:
        self._irp(record, IrpStep.FREED)
