"""Structured exceptions: finding a handler, and unwinding to it.

Microsoft's pages "x64 exception handling" and "Structured Exception Handling" say what each
routine does. An exception is dispatched by an activity on the thread's own stack (NT's
KiDispatchException), which calls the language handlers of the frames; those unwind
(RtlUnwindEx) or let it go on. Frames of exports that called the driver back are crossed as
NT's own frames would be.

An exception that is raised while another is dispatched, in a filter say, walks on through the
place of the first. One that is raised while an unwind calls a termination handler goes on at the
frame where the unwind is, behind the scopes that are done: a collided unwind.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from ..machine.cpu import Fault
from ..machine.memory import HIGHEST_USER, MemoryFault, canonical
from ..machine.unwind import (
    EXCEPTION_HANDLER,
    NAMES,
    UNWIND_HANDLER,
    Handler,
    ModuleImage,
    module_at,
    virtual_unwind,
)
from .execution import Call, GuestFault, Level, Place, RaisedStatus, Rethrow, Steps, Unwind
from .structs import const, place, size_of

if TYPE_CHECKING:
    from .execution import Flow
    from .kernel import Kernel

#: ExceptionFlags (winnt.h).
NONCONTINUABLE, UNWINDING, EXIT_UNWIND, TARGET_UNWIND = 1, 2, 4, 0x20

#: EXCEPTION_DISPOSITION (excpt.h).
CONTINUE_EXECUTION, CONTINUE_SEARCH, NESTED_EXCEPTION = 0, 1, 2

_RSP: Final = NAMES.index("rsp")
_RIP: Final = NAMES.index("rip")
_GENERAL: Final = NAMES[:17]
_VECTORS: Final = tuple(f"xmm{n}" for n in range(16))
#: DISPATCHER_CONTEXT (winnt.h, x64): ControlPc, ImageBase, FunctionEntry, EstablisherFrame,
#: TargetIp, ContextRecord, LanguageHandler, HandlerData, HistoryTable, ScopeIndex.
_DISPATCHER: Final = struct.Struct("<9QI4x")
#: CONTEXT_AMD64 with control, integer, segment and floating-point registers.
_CONTEXT_FULL: Final = 0x10000F
_KERNEL_CS, _KERNEL_SS = 0x10, 0x18
_MXCSR: Final = 0x1F80

#: Exceptions of the processor: vector to status. 0x29, a fast fail, is never dispatched.
_VECTOR_STATUS: Final = {
    0: "STATUS_INTEGER_DIVIDE_BY_ZERO",
    1: "STATUS_SINGLE_STEP",
    3: "STATUS_BREAKPOINT",
    4: "STATUS_INTEGER_OVERFLOW",
    6: "STATUS_ILLEGAL_INSTRUCTION",
    13: "STATUS_ACCESS_VIOLATION",
    14: "STATUS_ACCESS_VIOLATION",
    17: "STATUS_DATATYPE_MISALIGNMENT",
}
_ACCESS: Final = {"read": 0, "write": 1, "execute": 8}
_NOWHERE: Final = 0xFFFF_FFFF_FFFF_FFFF
#: What dispatching needs of the stack besides the routines it calls: about that much.
_ROOM: Final = 0xE00


class Record(NamedTuple):
    """An EXCEPTION_RECORD, without a further one."""

    status: int
    flags: int
    address: int
    parameters: tuple[int, ...] = ()


# -- in guest memory ---------------------------------------------------------------------------


def write_record(k: Kernel, at: int, record: Record) -> None:
    """Write an EXCEPTION_RECORD."""
    count = len(record.parameters)
    raw = struct.pack(
        f"<IIQQI4x{count}Q", record.status, record.flags, 0, record.address, count,
        *record.parameters,
    )  # fmt: skip
    k.memory.write(at, raw.ljust(size_of("EXCEPTION_RECORD"), b"\0"))


def write_context(k: Kernel, at: int, registers: dict[str, int]) -> None:
    """Write a CONTEXT with the given registers; the others in it are 0."""
    raw = bytearray(size_of("CONTEXT"))
    general = [registers.get(name, 0) for name in _GENERAL]
    struct.pack_into("<17Q", raw, place("CONTEXT", "Rax")[0], *general)
    for name, code, value in (
        ("ContextFlags", "I", _CONTEXT_FULL),
        ("MxCsr", "I", _MXCSR),
        ("SegCs", "H", _KERNEL_CS),
        ("SegSs", "H", _KERNEL_SS),
        ("EFlags", "I", registers.get("eflags", 0x202)),
    ):
        struct.pack_into(f"<{code}", raw, place("CONTEXT", name)[0], value)
    start = place("CONTEXT", "Xmm0")[0]
    for n, name in enumerate(_VECTORS):
        raw[start + 16 * n : start + 16 * n + 16] = registers.get(name, 0).to_bytes(16, "little")
    k.memory.write(at, bytes(raw))


def read_context(k: Kernel, at: int) -> dict[str, int]:
    """The registers in a CONTEXT."""
    raw = k.memory.read(at, size_of("CONTEXT"))
    general = struct.unpack_from("<17Q", raw, place("CONTEXT", "Rax")[0])
    registers = dict(zip(_GENERAL, general, strict=True))
    registers["eflags"] = struct.unpack_from("<I", raw, place("CONTEXT", "EFlags")[0])[0]
    start = place("CONTEXT", "Xmm0")[0]
    for n, name in enumerate(_VECTORS):
        registers[name] = int.from_bytes(raw[start + 16 * n :][:16], "little")
    return registers


# -- walking -----------------------------------------------------------------------------------


class Walk:
    """From frame to frame, through exports that called the driver back."""

    def __init__(self, k: Kernel, flow: Flow, registers: list[int], levels: list[Level]) -> None:
        self._k = k
        self._flow = flow
        self._outer = list(reversed(levels))
        #: Of the frame that comes next.
        self.registers = registers
        #: How many scopes of that frame are done, by an unwind that was given up.
        self.scope = 0
        #: The module of the frame that :meth:`step` was at last.
        self.module: ModuleImage | None = None

    def arrive(self) -> bool:
        """Cross the kernel's own frames; whether there is a further guest frame."""
        k, registers = self._k, self.registers
        while registers[_RIP] == k.cpu.stub(0):
            if not self._outer:
                return False
            level = self._outer.pop(0)
            if level.place is not None:
                registers[:] = level.place.registers
                at = level.place.dispatcher
                self.scope = k.memory.u32(at + _DISPATCHER.size - 8) if at else 0
            elif level.export is not None:
                registers[_RIP], registers[_RSP] = k.stub_of(level.export.name), level.rsp
            else:
                return False
        return True

    def step(self, kind: int) -> Handler | None:
        """Go from a frame to its caller; None where the stack makes no sense."""
        rsp = self.registers[_RSP]
        if rsp & 7 or not self._flow.limit <= rsp < self._flow.top:
            return None
        self.module = module_at(self._k.modules, self.registers[_RIP])
        frame = virtual_unwind(self.registers, self.module, self._k.memory.try_read, kind)
        return frame if self.registers[_RSP] > rsp else None

    def any_handler(self) -> bool:
        """Whether some frame has an exception handler; the walk is used up."""
        while self.arrive():
            frame = self.step(EXCEPTION_HANDLER)
            if frame is None:
                return False
            if frame.handler:
                return True
        return False


def listed(registers: dict[str, int]) -> list[int]:
    """Registers in the order that walks use."""
    return [registers.get(name, 0) for name in NAMES]


def _write_dispatcher(
    k: Kernel, at: int, walk: Walk, frame: Handler, before: list[int], *,
    target: int = 0, context: int = 0, scope: int = 0, history: int = 0,
) -> int:  # fmt: skip
    """Write the DISPATCHER_CONTEXT for a frame's handler; gives the handler's address."""
    module = walk.module
    assert module is not None
    entry = module.entry_rva(before[_RIP] - module.base)
    handler = module.base + frame.handler
    raw = _DISPATCHER.pack(
        *(before[_RIP], module.base, module.base + entry, frame.establisher, target, context),
        *(handler, module.base + frame.data, history, scope),
    )
    k.memory.write(at, raw)
    return handler


# -- dispatching -------------------------------------------------------------------------------


def dispatch(k: Kernel, flow: Flow, error: GuestFault | MemoryFault | RaisedStatus) -> Level | None:
    """What dispatches an exception to the driver's handlers; None where there is none.

    None also for what no handler may see: page faults at DISPATCH_LEVEL and above, and on
    kernel addresses. Those are bug checks at once.
    """
    cpu = k.cpu
    trap = (cpu.trapping, cpu.trap_index, cpu.trap_rsp)
    raw = {**cpu.registers(), **cpu.vectors(), "eflags": cpu.flags()}
    levels = list(flow.levels)
    registers = dict(raw)
    low = raw["rsp"]
    raised = isinstance(error, RaisedStatus)
    top = levels[-1] if levels else None
    if isinstance(error, GuestFault):
        registers["rip"] = error.fault.rip
    elif cpu.trapping:
        registers["rip"], registers["rsp"] = cpu.stub(cpu.trap_index), cpu.trap_rsp
        low = cpu.trap_rsp
    elif top is not None and (top.export is not None or top.place is not None):
        # Its activity has just ended by raising this.
        low = min(low, top.rsp - top.room)
        levels.pop()
        if top.export is not None:
            registers["rip"], registers["rsp"] = k.stub_of(top.export.name), top.rsp
        elif top.place is not None:
            registers.update(zip(NAMES, top.place.registers, strict=True))
            raised = False
    else:
        return None  # the kernel's own work, on nobody's behalf
    if raised:
        # In the driver's name: the context is that behind its call.
        registers["rip"] = k.memory.u64(registers["rsp"])
        registers["rsp"] += 8
    record = _describe(k, error, registers)
    if record is None or not Walk(k, flow, listed(registers), levels).any_handler():
        return None
    if isinstance(error, GuestFault):
        cpu.forget_exception()
    level = Level(None, None, (low - 0x100) & ~0xF)  # type: ignore[arg-type]
    if level.rsp - _ROOM < flow.limit:
        # What Windows pushes there would fault: a double fault.
        raise GuestFault(Fault(14, registers["rip"], flow.limit - 8, "write"))
    level.place = Place(listed(registers))
    rethrow = Rethrow(error, raw, trap)
    level.activity = _dispatch(k, flow, level, levels, record, registers, rethrow)
    return level


def _describe(
    k: Kernel, error: GuestFault | MemoryFault | RaisedStatus, registers: dict[str, int]
) -> Record | None:
    if isinstance(error, RaisedStatus):
        return Record(error.status, error.flags, registers["rip"], error.parameters)
    if isinstance(error, MemoryFault):
        vector = 14 if canonical(error.address) else 13
        fault = Fault(vector, registers["rip"], error.address, error.access)
    else:
        fault = error.fault
    status = _VECTOR_STATUS.get(fault.vector)
    if status is None:
        return None
    parameters: tuple[int, ...] = ()
    if fault.vector == 13:
        parameters = (0, _NOWHERE)
    elif fault.vector == 14:
        if fault.address > HIGHEST_USER or k.cpu.irql >= 2:
            return None
        if fault.access == "execute" and k.memory.page(fault.address) is not None:
            return None
        parameters = (_ACCESS[fault.access], fault.address)
    return Record(const(status), 0, fault.rip, parameters)


def _dispatch(
    k: Kernel, flow: Flow, level: Level, levels: list[Level], record: Record,
    registers: dict[str, int], rethrow: Rethrow,
) -> Steps:  # fmt: skip
    """KiDispatchException and RtlDispatchException: ask each frame's handler, innermost first."""
    context = level.allocate(size_of("CONTEXT"))
    unwound = level.allocate(size_of("CONTEXT"))
    record_at = level.allocate(size_of("EXCEPTION_RECORD"))
    dispatcher = level.allocate(_DISPATCHER.size)
    write_record(k, record_at, record)
    write_context(k, context, registers)
    k.tell("exception", record.status, record.address)
    walk = Walk(k, flow, listed(registers), levels)
    while walk.arrive():
        before, scope = list(walk.registers), walk.scope
        walk.scope = 0
        frame = walk.step(EXCEPTION_HANDLER)
        if frame is None:
            break
        if not frame.handler:
            continue
        write_context(k, unwound, dict(zip(NAMES, walk.registers, strict=True)))
        handler = _write_dispatcher(
            k, dispatcher, walk, frame, before, context=unwound, scope=scope
        )
        arguments = (record_at, frame.establisher, context, dispatcher)
        disposition = (yield Call(handler, arguments)) & 0xFFFFFFFF
        if disposition == CONTINUE_EXECUTION:
            if k.memory.u32(record_at + 4) & NONCONTINUABLE:
                raise RaisedStatus(
                    const("STATUS_NONCONTINUABLE_EXCEPTION"),
                    "An exception filter continued where that is not possible "
                    f"(exception {record.status:#x}).",
                )
            yield Unwind(read_context(k, context))
        if disposition not in (CONTINUE_SEARCH, NESTED_EXCEPTION):
            raise RaisedStatus(
                const("STATUS_INVALID_DISPOSITION"),
                f"An exception handler answered {disposition:#x}, which is no disposition.",
            )
    yield rethrow


# -- unwinding ---------------------------------------------------------------------------------


def unwind_frames(
    k: Kernel, target: int, target_ip: int, record: int, value: int, history: int = 0
) -> Steps:
    """RtlUnwindEx: call the termination handlers of frames up to ``target``, go on there.

    ``target`` is the establisher frame, ``target_ip`` where it goes on with ``value`` in rax;
    ``record`` is an EXCEPTION_RECORD or 0. For an export's activity, which it ends.
    """
    flow = k.flow
    level = flow.levels[-1]
    levels = flow.levels[:-1]
    start = {**k.cpu.registers(), **k.cpu.vectors()}
    start["rip"], start["rsp"] = k.stub_of(level.export.name), level.rsp
    context = level.allocate(size_of("CONTEXT"))
    dispatcher = level.allocate(_DISPATCHER.size)
    if not record:
        record = level.allocate(size_of("EXCEPTION_RECORD"))
        caller = k.memory.u64(level.rsp)
        write_record(k, record, Record(const("STATUS_UNWIND"), 0, caller))
    flags = k.memory.u32(record + 4) | UNWINDING | (0 if target else EXIT_UNWIND)
    walk = Walk(k, flow, listed(start), levels)
    level.place = Place(listed(start))
    while walk.arrive():
        before, scope = list(walk.registers), walk.scope
        walk.scope = 0
        level.place.registers = before
        frame = walk.step(UNWIND_HANDLER)
        if frame is None or (target and frame.establisher > target):
            break
        here = frame.establisher == target
        if frame.handler:
            k.memory.set_u32(record + 4, flags | (TARGET_UNWIND if here else 0))
            named = dict(zip(NAMES, before, strict=True))
            write_context(k, context, {**named, "rax": value})
            handler = _write_dispatcher(
                k, dispatcher, walk, frame, before,
                target=target_ip, context=context, scope=scope, history=history,
            )  # fmt: skip
            level.place.dispatcher = dispatcher
            arguments = (record, frame.establisher, context, dispatcher)
            disposition = (yield Call(handler, arguments)) & 0xFFFFFFFF
            level.place.dispatcher = 0
            if disposition != CONTINUE_SEARCH:
                level.place = None
                raise RaisedStatus(
                    const("STATUS_INVALID_DISPOSITION"),
                    f"A termination handler answered {disposition:#x}, not that it is done.",
                )
        if here:
            registers = dict(zip(NAMES, before, strict=True))
            yield Unwind({**registers, "rax": value, "rip": target_ip})
    level.place = None
    raise RaisedStatus(
        const("STATUS_INVALID_UNWIND_TARGET"),
        f"No frame of the stack is the target of an unwind, {target:#x}.",
    )
