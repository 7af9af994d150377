"""Running guest code: kernel threads, nested calls between the host and the guest, call stacks.

What the kernel does on a thread's behalf is an *activity*: a generator that yields
:class:`Call` to have guest code called and gets its result back. Loading a driver is one
(it calls DriverEntry), and so is an export that calls the driver back (IofCallDriver calls a
dispatch routine). Activities and guest frames nest on one guest stack; the CPU itself is never
entered recursively.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..machine.cpu import STUB_SIZE, Fault, Stop
from ..machine.memory import PAGE
from ..machine.unwind import RawFrame, unwind

if TYPE_CHECKING:
    from .kernel import Kernel

#: Windows gives a thread on x64 a kernel stack of 24 KiB (Windows Internals, "Kernel stacks").
STACK_SIZE: Final = 0x6000

#: How much of the stack a saved context keeps for a later walk, bytes.
_KEPT: Final = 2048


@dataclass(frozen=True, slots=True)
class Call:
    """Ask for ``address`` to be called with ``arguments``; its rax is sent back."""

    address: int
    arguments: tuple[int, ...] = ()


Activity = Generator[Call, int, Any]


@dataclass(frozen=True, slots=True)
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


class Stopped(Exception):
    """Guest code was stopped from outside; ``why`` is ``asked`` or ``budget``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Context:
    """Registers and the top of the stack at one moment: enough to walk the stack later."""

    registers: dict[str, int]
    start: int
    stack: bytes
    #: For each activity in between, innermost first: its trap's stub and rsp.
    outer: tuple[tuple[int, int], ...]
    name: str

    def read(self, address: int, size: int) -> bytes | None:
        """Stack memory as it was then."""
        offset = address - self.start
        if offset >= 0 and offset + size <= len(self.stack):
            return self.stack[offset : offset + size]
        return None


@dataclass(slots=True)
class _Level:
    """One activity on the thread: ``export`` and ``rsp`` of the trap that began it.

    ``callee`` is the guest routine that it called last.
    """

    activity: Activity
    export: Any
    rsp: int
    callee: int = 0


class Thread:
    """A kernel thread: a guest stack with guard pages, and the activities that run on it."""

    def __init__(self, k: Kernel, number: int, stack: int) -> None:
        self.id = number
        self.limit = stack
        self.top = stack + STACK_SIZE
        self._k = k
        self._levels: list[_Level] = []
        self._name = ""
        k.memory.map(stack, STACK_SIZE // PAGE)

    def in_guard(self, address: int) -> bool:
        """Whether ``address`` is in the unmapped pages below the stack."""
        return self.limit - 0x10000 <= address < self.limit

    @property
    def in_export(self) -> bool:
        """Whether an export runs on the driver's behalf right now."""
        levels = self._levels
        return self._k.cpu.trapping or bool(levels and levels[-1].export is not None)

    @property
    def trap_rsp(self) -> int:
        """rsp of that export's trap: it points at the return address of the call."""
        if self._k.cpu.trapping or not self._levels:
            return self._k.cpu.trap_rsp
        return self._levels[-1].rsp

    @property
    def callee(self) -> int:
        """The routine that the kernel called last and that has not returned, 0 where none."""
        levels = self._levels
        if levels and levels[-1].export is not None and not levels[-1].callee:
            levels = levels[:-1]
        return levels[-1].callee if levels else 0

    def run(self, activity: Activity, name: str) -> Any:
        """Run ``activity`` to its end and return its value. ``name`` is the routine it is.

        Raises GuestFault, Stopped, and whatever handlers raise (BugCheck, MemoryFault).
        """
        self._name = name
        self._levels = [_Level(activity, None, self.top - 0x100)]
        cpu = self._k.cpu
        value: Any = None
        while True:
            level = self._levels[-1]
            try:
                request = level.activity.send(value)
            except StopIteration as stop:
                if level.export is None:
                    self._levels = []
                    return stop.value
                self._levels.pop()
                cpu.resume(level.rsp, int(stop.value or 0))
            else:
                level.callee = request.address
                cpu.call(request.address, request.arguments, level.rsp)
            value = self._guest()

    def _guest(self) -> Any:
        cpu = self._k.cpu
        reason = cpu.run()
        if reason is Stop.RETURNED:
            return cpu.value
        if reason is Stop.DEFERRED:
            deferred: Deferred = cpu.value
            self._levels.append(_Level(deferred.activity, deferred.export, deferred.rsp))
            return None
        if reason is Stop.FAULT:
            assert cpu.fault is not None
            raise GuestFault(cpu.fault)
        raise Stopped({Stop.BUDGET: "budget", Stop.HALTED: "halted"}.get(reason, "asked"))

    # -- call stacks --------------------------------------------------------------------------

    def context(self, *, trapped: bool) -> Context:
        """Where the thread is now. ``trapped``: inside an export, whose frame comes first."""
        k = self._k
        registers = k.cpu.registers()
        levels = list(self._levels)
        if trapped:
            if levels and levels[-1].export is not None and not k.cpu.trapping:
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
        outer = tuple(
            (k.stub_of(level.export.name), level.rsp)
            for level in reversed(levels)
            if level.export is not None
        )
        return Context(registers, start, stack, outer, self._name)

    def walk(self, context: Context, *, live: bool = True) -> list[RawFrame]:
        """The call stack of ``context``; ``live`` when memory still is as it was."""
        k = self._k
        outer = list(context.outer)

        def beyond(registers: dict[str, int]) -> dict[str, int] | None:
            if registers["rip"] != k.cpu.stub(0) or not outer:
                return None
            stub, rsp = outer.pop(0)
            return {**registers, "rip": stub, "rsp": rsp}

        read = k.memory.try_read if live else context.read
        frames = unwind(context.registers, k.modules, read, beyond=beyond)
        if context.name:
            frames.append(RawFrame(k.cpu.stub(0), "", 0))
        return frames


def stub_index(address: int, base: int) -> int:
    """Which stub of those at ``base`` an address is in."""
    return (address - base) // STUB_SIZE
