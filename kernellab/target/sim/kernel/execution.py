"""Running guest code: flows of execution, nested calls between host and guest, call stacks.

What the kernel does on a thread's behalf is an *activity*: a generator that yields

* :class:`Call` to have guest code called, and gets its rax back,
* :class:`Wait` to give up the processor until :meth:`Flow.wake`, and gets what wakes it,
* :class:`Spin` to keep the processor busy at its IRQL until a condition holds.

Loading a driver is one (it calls DriverEntry), and so is an export that calls the driver back
(IofCallDriver calls a dispatch routine) or waits. Activities and guest frames nest on the guest
stack of one :class:`Flow`; the CPU itself is never entered recursively. Threads are flows, and
so is what runs DPCs on a processor: :mod:`.scheduler` decides which one runs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from ..machine.cpu import Fault, Stop
from ..machine.memory import PAGE, AddressSpace, MemoryFault
from ..machine.registers import PRESERVED, REGISTERS
from ..machine.unwind import NAMES, RawFrame, unwind
from .requests import Activity as Activity
from .requests import Call as Call
from .requests import Exit as Exit
from .requests import Request as Request
from .requests import Rethrow as Rethrow
from .requests import Spin as Spin
from .requests import Steps as Steps
from .requests import Unwind as Unwind
from .requests import Wait as Wait
from .requests import WaitOnce as WaitOnce

if TYPE_CHECKING:
    from .kernel import Kernel

#: Windows gives a thread on x64 a kernel stack of 24 KiB (Windows Internals, "Kernel stacks").
STACK_SIZE: Final = 0x6000

#: How much of the stack a saved context keeps for a later walk, bytes.
_KEPT: Final = 2048
_MASK: Final = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(slots=True)
class Deferred:
    """An export that goes on as an activity: its trap's rsp, and whose result it is."""

    export: Any
    activity: Activity
    rsp: int


class GuestFault(Exception):
    """An exception in guest code that nothing handled."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class RaisedStatus(Exception):
    """A routine raises an exception in the driver: ExRaiseStatus, ProbeForRead and their kind.

    ``flags`` and ``parameters`` are ExceptionFlags and ExceptionInformation of its record; by
    default the driver cannot continue where it was raised.
    """

    def __init__(
        self, status: int, message: str, *, flags: int = 1, parameters: tuple[int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status & 0xFFFFFFFF
        self.flags = flags
        self.parameters = parameters


class Stopped(Exception):
    """Guest code was stopped from outside; ``why`` is ``asked``, ``budget`` or ``halted``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Outcome(Enum):
    """Why :meth:`Flow.step` came back."""

    ENDED = auto()
    BLOCKED = auto()  # it waits: :meth:`Flow.wake` makes it go on
    SPINNING = auto()  # it spins: see :attr:`Flow.spin`
    YIELDED = auto()  # it could go on at once


@dataclass(slots=True)
class Context:
    """Registers and the top of the stack at one moment: enough to walk the stack later."""

    registers: dict[str, int]
    start: int
    stack: bytes
    #: For each activity in between, innermost first, what a walk goes on with: its trap's stub
    #: and rsp, or all registers of the place where an exception happened.
    outer: tuple[dict[str, int], ...]
    name: str
    #: Where ``registers`` has rip and rsp only: the others that a walk needs, as the CPU has them.
    preserved: bytes = b""

    def all_registers(self) -> dict[str, int]:
        """The registers, 0 for those that are not known."""
        if not self.preserved:
            return self.registers
        known = dict(zip(PRESERVED, struct.unpack("<8Q", self.preserved), strict=True))
        return {**dict.fromkeys(REGISTERS, 0), **self.registers, **known}

    def read(self, address: int, size: int) -> bytes | None:
        """Stack memory as it was then."""
        offset = address - self.start
        if offset >= 0 and offset + size <= len(self.stack):
            return self.stack[offset : offset + size]
        return None


@dataclass(slots=True)
class Place:
    """Where the walk of an exception's dispatch or of an unwind is.

    ``registers`` are those of the frame, in the order of :data:`~..machine.unwind.NAMES`;
    ``dispatcher`` is the DISPATCHER_CONTEXT that the frame's handler was given, 0 for none.
    """

    registers: list[int]
    dispatcher: int = 0


@dataclass(slots=True)
class Level:
    """One activity on a flow: ``export`` and ``rsp`` of the trap that began it.

    ``callee`` is the guest routine that it called last. ``room`` bytes below ``rsp`` are its own.
    ``place`` is that of the exception that it dispatches, or of the unwind that it is in.
    """

    activity: Activity
    export: Any
    rsp: int
    callee: int = 0
    room: int = 0
    place: Place | None = None

    def allocate(self, size: int) -> int:
        """The address of ``size`` bytes of the guest stack, until the activity ends."""
        self.room = (self.room + size + 15) & ~15
        return (self.rsp - self.room) & ~15


class Flow:
    """A guest stack with guard pages, and the activities and guest frames that run on it."""

    def __init__(self, k: Kernel, stack: int, size: int = STACK_SIZE) -> None:
        self.limit = stack
        self.top = stack + size
        self.levels: list[Level] = []
        self.name = ""
        #: What its outermost activity returned or raised.
        self.value: Any = None
        self.error: Exception | None = None
        #: How often something was started on it.
        self.started = 0
        #: While it spins or waits.
        self.spin: Spin | None = None
        self.wait: Wait | None = None
        #: Its registers while another flow has the CPU.
        self.saved: Any = None
        self.current = False
        #: What user addresses mean to it.
        self.space: AddressSpace = k.memory.system
        self._sending = False
        self._sent: Any = None
        #: The exception that was dispatched already, in vain.
        self._unhandled: Exception | None = None
        self._k = k
        k.memory.map(stack, size // PAGE)

    def start(self, activity: Activity, name: str) -> None:
        """Begin ``activity`` on the empty stack; ``name`` is the kernel routine that it is."""
        self.name = name
        self.started += 1
        self.levels = [Level(activity, None, self.top - 0x100)]
        self.value = self.error = self.spin = self.wait = None
        self._sending, self._sent = True, None
        self._k.tell("activity-started", self)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to run on it."""
        return not self.levels

    @property
    def in_guest(self) -> bool:
        """Whether guest code is what goes on next, rather than an activity."""
        return self.current and not (self._sending or self.ended or self.spin or self.wait)

    def wake(self, value: Any) -> None:
        """The wait is over; its activity gets ``value``. The scheduler makes it run."""
        self.wait = None
        self._sent = value

    def in_guard(self, address: int) -> bool:
        """Whether ``address`` is in the unmapped pages below the stack."""
        return self.limit - 0x10000 <= address < self.limit

    @property
    def in_export(self) -> bool:
        """Whether an export runs on the driver's behalf right now."""
        levels = self.levels
        trapping = self.current and self._k.cpu.trapping
        return trapping or bool(levels and levels[-1].export is not None)

    @property
    def trap_rsp(self) -> int:
        """rsp of that export's trap: it points at the return address of the call."""
        if (self.current and self._k.cpu.trapping) or not self.levels:
            return self._k.cpu.trap_rsp
        return self.levels[-1].rsp

    @property
    def callee(self) -> int:
        """The routine that the kernel called last and that has not returned, 0 where none."""
        levels = self.levels
        if levels and levels[-1].export is not None and not levels[-1].callee:
            levels = levels[:-1]
        return levels[-1].callee if levels else 0

    # -- running --------------------------------------------------------------------------------

    def step(self, count: int = 0) -> Outcome:
        """Run until it ends, waits, spins, or the kernel wants the processor.

        ``count`` is the most guest instructions to run in one go, 0 for no limit. The CPU must
        have this flow's registers. Raises GuestFault, Stopped, and whatever handlers raise.
        """
        cpu = self._k.cpu
        while True:
            try:
                if self._sending:
                    outcome = self._advance()
                    if outcome is not None:
                        return outcome
                    if cpu.attention:
                        return Outcome.YIELDED
                reason = cpu.run(count)
                if reason is Stop.SLICE:
                    reason = cpu.finish_stub()
            except (MemoryFault, RaisedStatus) as error:
                self._except(error)
                continue
            if reason is Stop.RETURNED:
                self._sending, self._sent = True, cpu.value
                self._k.tell("routine-returned", self, cpu.value)
            elif reason is Stop.DEFERRED:
                deferred: Deferred = cpu.value
                activity = deferred.activity
                self.levels.append(Level(activity, deferred.export, deferred.rsp))
                self._sending, self._sent = True, None
                if activity.__class__ is WaitOnce:
                    self.wait = activity.send(None)
                    return Outcome.BLOCKED
            elif reason is Stop.YIELDED:
                cpu.resume(cpu.trap_rsp, cpu.value)
                return Outcome.YIELDED
            elif reason is Stop.SLICE:
                return Outcome.YIELDED
            elif reason is Stop.FAULT:
                assert cpu.fault is not None
                self._except(GuestFault(cpu.fault))
            else:
                raise Stopped({Stop.BUDGET: "budget", Stop.HALTED: "halted"}.get(reason, "asked"))

    def _except(self, error: GuestFault | MemoryFault | RaisedStatus) -> None:
        """An exception in guest code, or in an export on its behalf: dispatch it, or raise it."""
        level = None if error is self._unhandled else self._k.dispatch_exception(self, error)
        if level is None:
            raise error
        self.levels.append(level)
        self._sending, self._sent = True, None

    def _advance(self) -> Outcome | None:
        """Go on with the innermost activity; None when guest code is to run now."""
        level = self.levels[-1]
        cpu = self._k.cpu
        activity: Any = level.activity
        if activity.__class__ is WaitOnce and activity.started:  # an exception takes longer
            return self._finish(level, self._sent)
        try:
            request = activity.send(self._sent)
        except StopIteration as stop:
            return self._finish(level, stop.value)
        except Exception as error:
            if len(self.levels) > 1 or not self._k.is_answer(error):
                raise
            self.levels.pop()
            self._k.tell("activity-ended", self, None)
            self.error = error
            return Outcome.ENDED
        self._sent = None
        if isinstance(request, Call):
            level.callee = request.address
            self._k.tell("routine-called", self, request.address)
            cpu.call(request.address, request.arguments, level.rsp - level.room & ~0xF)
            self._sending = False
            return None
        if isinstance(request, Wait):
            self.wait = request
            return Outcome.BLOCKED
        if isinstance(request, Unwind):
            self.unwind_to(request.registers)
            return None
        if isinstance(request, Rethrow):
            self.levels.pop()
            cpu.set_registers(request.registers)
            cpu.trapping, cpu.trap_index, cpu.trap_rsp = request.trap
            self._unhandled = request.error
            raise request.error
        if isinstance(request, Exit):
            while self.levels:
                self._close(self.levels.pop())
            self.value = request.value
            return Outcome.ENDED
        self.spin = request
        return Outcome.SPINNING

    def _finish(self, level: Level, value: Any) -> Outcome | None:
        """The innermost activity is over: its value is the result of the call that began it."""
        self.levels.pop()
        self._k.tell("activity-ended", self, value)
        if not self.levels:
            self.value = value
            return Outcome.ENDED
        self._k.cpu.resume(level.rsp, int(value or 0) & _MASK)
        self._sending = False
        return None

    def _close(self, level: Level) -> None:
        self._k.tell("activity-ended", self, None)
        close = getattr(level.activity, "close", None)
        # The activity that asks for its own end runs right now; a generator's clean-up follows.
        if close is not None and not getattr(level.activity, "gi_running", False):
            close()

    def unwind_to(self, registers: dict[str, int]) -> None:
        """Go on at ``registers``; activities that began further down the stack are over."""
        rsp = registers["rsp"]
        while len(self.levels) > 1 and self.levels[-1].rsp < rsp:
            self._close(self.levels.pop())
        self._k.cpu.set_registers(registers)
        self._sending = False

    # -- call stacks ----------------------------------------------------------------------------

    def registers(self) -> dict[str, int]:
        """The general registers, also while another flow has the CPU."""
        if self.current or self.saved is None:
            return self._k.cpu.registers()
        return self._k.cpu.registers_of(self.saved)

    def context(self, *, trapped: bool, rip: int | None = None) -> Context:
        """Where the flow is now. ``trapped``: inside an export, whose frame comes first."""
        k = self._k
        levels = list(self.levels)
        trapping = self.current and k.cpu.trapping
        registers = self.registers()
        if rip is not None:
            registers["rip"] = rip
        if trapped:
            if levels and levels[-1].export is not None and not trapping:
                registers["rip"] = k.stub_of(levels[-1].export.name)
                registers["rsp"] = levels[-1].rsp
                levels.pop()
            else:
                registers["rip"] = k.cpu.stub(k.cpu.trap_index)
                registers["rsp"] = k.cpu.trap_rsp
        else:
            k.undo_code(registers)
        start = registers["rsp"] & ~7
        size = max(0, min(_KEPT, self.top - start))
        stack = k.memory.try_read(start, size) or b""
        return Context(registers, start, stack, self._outer(levels), self.name)

    def keep(self) -> Context | None:
        """Where the current call into the kernel is, to be shown later; None outside of one.

        It has the registers only that a walk needs: for each allocation this has to be cheap.
        """
        k = self._k
        cpu = k.cpu
        if not (self.current and cpu.trapping):
            return self.context(trapped=True) if self.in_export else None
        rip, start, preserved = cpu.kept()
        size = self.top - start
        if size > _KEPT:
            size = _KEPT
        stack = (k.memory.try_read(start, size) or b"") if size > 0 else b""
        levels = self.levels
        outer = self._outer(levels) if len(levels) > 1 else ()
        registers = {"rip": rip, "rsp": start}
        return Context(registers, start, stack, outer, self.name, preserved)

    def _outer(self, levels: list[Level]) -> tuple[dict[str, int], ...]:
        k = self._k
        return tuple(
            {"rip": k.stub_of(level.export.name), "rsp": level.rsp}
            if level.place is None
            else {**dict(zip(NAMES, level.place.registers, strict=False)), "exact": 1}
            for level in reversed(levels)
            if level.export is not None or level.place is not None
        )

    def walk(self, context: Context, *, live: bool = True) -> list[RawFrame]:
        """The call stack of ``context``; ``live`` when memory still is as it was."""
        k = self._k
        outer = list(context.outer)

        def beyond(registers: dict[str, int]) -> dict[str, int] | None:
            if registers["rip"] != k.cpu.stub(0) or not outer:
                return None
            return {**registers, **outer.pop(0)}

        read = k.memory.try_read if live else context.read
        frames = unwind(context.all_registers(), [*k.modules, *k.unloaded], read, beyond=beyond)
        if context.name:
            frames.append(RawFrame(k.cpu.stub(0), "", 0))
        return frames
