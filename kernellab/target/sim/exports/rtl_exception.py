"""Structured exceptions: raising, the C compiler's handler, unwinding, function tables."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..kernel import exceptions
from ..kernel.exceptions import (
    CONTINUE_EXECUTION,
    CONTINUE_SEARCH,
    TARGET_UNWIND,
    UNWINDING,
)
from ..kernel.execution import Call, RaisedStatus, Steps
from ..kernel.structs import const
from ..machine.unwind import NAMES, module_at, virtual_unwind
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: Most ExceptionInformation in a record.
_MOST_PARAMETERS = 15
_EXECUTE_HANDLER = 1

# -- raising -----------------------------------------------------------------------------------


@export("VOID ExRaiseStatus(NTSTATUS Status)", irql=APC_LEVEL)
def ExRaiseStatus(k: Kernel, Status: int) -> None:
    """WDK: "ExRaiseStatus function (wdm.h)"."""
    raise _raised(Status)


@export("VOID RtlRaiseStatus(NTSTATUS Status)", irql=DISPATCH_LEVEL)
def RtlRaiseStatus(k: Kernel, Status: int) -> None:
    """WDK: "RtlRaiseStatus function (ntifs.h)"."""
    raise _raised(Status)


@export("VOID ExRaiseAccessViolation(VOID)", irql=APC_LEVEL)
def ExRaiseAccessViolation(k: Kernel) -> None:
    """WDK: "ExRaiseAccessViolation function (ntddk.h)"."""
    raise _raised(const("STATUS_ACCESS_VIOLATION"))


@export("VOID ExRaiseDatatypeMisalignment(VOID)", irql=APC_LEVEL)
def ExRaiseDatatypeMisalignment(k: Kernel) -> None:
    """WDK: "ExRaiseDatatypeMisalignment function (ntddk.h)"."""
    raise _raised(const("STATUS_DATATYPE_MISALIGNMENT"))


def _raised(status: int) -> RaisedStatus:
    status &= 0xFFFFFFFF
    return RaisedStatus(
        status, f"The driver raised the exception {status:#x}, and nothing handled it."
    )


@export("VOID RtlRaiseException(PEXCEPTION_RECORD ExceptionRecord)", irql=DISPATCH_LEVEL)
def RtlRaiseException(k: Kernel, ExceptionRecord: int) -> None:
    """Win32: "RtlRaiseException function (winnt.h)".

    Comes back where a filter answers EXCEPTION_CONTINUE_EXECUTION and the record allows it.
    """
    status, flags, count = struct.unpack("<II16xI", k.memory.read(ExceptionRecord, 28))
    count = min(count, _MOST_PARAMETERS)
    parameters = struct.unpack(f"<{count}Q", k.memory.read(ExceptionRecord + 32, 8 * count))
    raised = _raised(status)
    raise RaisedStatus(status, str(raised), flags=flags & 1, parameters=parameters)


# -- the C compiler's handler ------------------------------------------------------------------


@export(
    "int __C_specific_handler(PEXCEPTION_RECORD ExceptionRecord, PVOID EstablisherFrame, "
    "PCONTEXT ContextRecord, PDISPATCHER_CONTEXT DispatcherContext)",
    irql=HIGH_LEVEL,
)
def __C_specific_handler(
    k: Kernel,
    ExceptionRecord: int,
    EstablisherFrame: int,
    ContextRecord: int,
    DispatcherContext: int,
) -> Steps:
    """MSVC: "__C_specific_handler function"; "x64 exception handling".

    The data of a frame is a scope table: begin, end, filter or termination handler, and where
    an ``__except`` block begins (0 for ``__finally``), as RVAs. A filter of 1 is
    EXCEPTION_EXECUTE_HANDLER itself.
    """
    control, base, target = (k.memory.u64(DispatcherContext + at) for at in (0, 8, 0x20))
    data, history = k.memory.u64(DispatcherContext + 0x38), k.memory.u64(DispatcherContext + 0x40)
    count = k.memory.u32(data)
    scopes = [struct.unpack("<4I", k.memory.read(data + 4 + 16 * n, 16)) for n in range(count)]
    first = k.memory.u32(DispatcherContext + 0x48)
    flags = k.memory.u32(ExceptionRecord + 4)
    inside = [
        n for n in range(first, count) if base + scopes[n][0] <= control < base + scopes[n][1]
    ]
    if flags & UNWINDING:
        for n in inside[: _left(scopes, inside, target - base, flags)]:
            _begin, _end, handler, jump = scopes[n]
            if not jump:
                # Done, whatever comes of it: an unwind that collides goes on behind it.
                k.memory.set_u32(DispatcherContext + 0x48, n + 1)
                yield Call(base + handler, (1, EstablisherFrame))
        return CONTINUE_SEARCH
    pointers = k.flow.levels[-1].allocate(16)
    k.memory.write(pointers, struct.pack("<2Q", ExceptionRecord, ContextRecord))
    for n in inside:
        _begin, _end, filter_, jump = scopes[n]
        if not jump:
            continue
        answer = _EXECUTE_HANDLER
        if filter_ != _EXECUTE_HANDLER:
            answer = (yield Call(base + filter_, (pointers, EstablisherFrame))) & 0xFFFFFFFF
        if answer & 0x80000000:
            return CONTINUE_EXECUTION
        if answer:
            status = k.memory.u32(ExceptionRecord)
            yield from exceptions.unwind_frames(
                k, EstablisherFrame, base + jump, ExceptionRecord, status, history
            )
    return CONTINUE_SEARCH


def _left(scopes: list[tuple[int, ...]], inside: list[int], target: int, flags: int) -> int:
    """How many of the scopes that are ``inside`` an unwind leaves, innermost first."""
    if not flags & TARGET_UNWIND:
        return len(inside)
    # To an __except block: up to its scope. clang's scopes can reach into the block behind them,
    # so this comes first.
    for count, n in enumerate(inside):
        if scopes[n][3] == target:
            return count
    for count, n in enumerate(inside):
        if scopes[n][0] <= target < scopes[n][1]:
            return count
    return len(inside)


# -- unwinding ---------------------------------------------------------------------------------


@export(
    "VOID RtlUnwindEx(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, "
    "PVOID ReturnValue, PCONTEXT ContextRecord, PUNWIND_HISTORY_TABLE HistoryTable)",
    irql=HIGH_LEVEL,
    simplified="ContextRecord and HistoryTable are not written to.",
)
def RtlUnwindEx(
    k: Kernel,
    TargetFrame: int,
    TargetIp: int,
    ExceptionRecord: int,
    ReturnValue: int,
    ContextRecord: int,
    HistoryTable: int,
) -> Steps:
    """Win32: "RtlUnwindEx function (winnt.h)"."""
    yield from exceptions.unwind_frames(
        k, TargetFrame, TargetIp, ExceptionRecord, ReturnValue, HistoryTable
    )


@export(
    "VOID RtlUnwind(PVOID TargetFrame, PVOID TargetIp, PEXCEPTION_RECORD ExceptionRecord, "
    "PVOID ReturnValue)",
    irql=HIGH_LEVEL,
)
def RtlUnwind(
    k: Kernel, TargetFrame: int, TargetIp: int, ExceptionRecord: int, ReturnValue: int
) -> Steps:
    """Win32: "RtlUnwind function (winnt.h)"."""
    yield from exceptions.unwind_frames(k, TargetFrame, TargetIp, ExceptionRecord, ReturnValue)


@export("VOID _local_unwind(PVOID Frame, PVOID Target)", irql=HIGH_LEVEL)
def _local_unwind(k: Kernel, Frame: int, Target: int) -> Steps:
    """What MSVC calls for a jump out of a ``__try`` block: its ``__finally`` blocks run."""
    yield from exceptions.unwind_frames(k, Frame, Target, 0, 0)


@export(
    "PRUNTIME_FUNCTION RtlLookupFunctionEntry(ULONG64 ControlPc, PULONG64 ImageBase, "
    "PUNWIND_HISTORY_TABLE HistoryTable)",
    irql=HIGH_LEVEL,
)
def RtlLookupFunctionEntry(k: Kernel, ControlPc: int, ImageBase: int, HistoryTable: int) -> int:
    """Win32: "RtlLookupFunctionEntry function (winnt.h)".

    NULL for a leaf function, whose return address is at rsp.
    """
    module = module_at(k.modules, ControlPc)
    k.memory.set_u64(ImageBase, module.base if module else 0)
    entry = module.entry_rva(ControlPc - module.base) if module else 0
    return module.base + entry if module and entry else 0


@export(
    "PVOID RtlVirtualUnwind(ULONG HandlerType, ULONG64 ImageBase, ULONG64 ControlPc, "
    "PRUNTIME_FUNCTION FunctionEntry, PCONTEXT ContextRecord, PVOID *HandlerData, "
    "PULONG64 EstablisherFrame, PKNONVOLATILE_CONTEXT_POINTERS ContextPointers)",
    irql=HIGH_LEVEL,
    simplified="ContextPointers is not filled in.",
)
def RtlVirtualUnwind(
    k: Kernel,
    HandlerType: int,
    ImageBase: int,
    ControlPc: int,
    FunctionEntry: int,
    ContextRecord: int,
    HandlerData: int,
    EstablisherFrame: int,
    ContextPointers: int,
) -> int:
    """Win32: "RtlVirtualUnwind function (winnt.h)".

    The address of the handler, NULL for none; FunctionEntry is the one that ControlPc has.
    """
    context = exceptions.read_context(k, ContextRecord)
    registers = exceptions.listed({**context, "rip": ControlPc})
    module = module_at(k.modules, ControlPc)
    frame = virtual_unwind(registers, module, k.memory.try_read, HandlerType)
    if frame is None:
        raise _raised(const("STATUS_BAD_STACK"))
    exceptions.write_context(
        k, ContextRecord, {**context, **dict(zip(NAMES, registers, strict=True))}
    )
    k.memory.set_u64(EstablisherFrame, frame.establisher)
    if module is None or not frame.handler:
        return 0
    k.memory.set_u64(HandlerData, module.base + frame.data)
    return module.base + frame.handler


@export(
    "VOID RtlCaptureContext(PCONTEXT ContextRecord)",
    irql=HIGH_LEVEL,
    simplified="rax is not the caller's.",
)
def RtlCaptureContext(k: Kernel, ContextRecord: int) -> None:
    """Win32: "RtlCaptureContext function (winnt.h)".

    Rip and Rsp are those behind the call.
    """
    rsp = k.flow.trap_rsp
    registers = {**k.cpu.registers(), **k.cpu.vectors(), "eflags": k.cpu.flags()}
    registers |= {"rip": k.memory.u64(rsp), "rsp": rsp + 8}
    exceptions.write_context(k, ContextRecord, registers)


@export(
    "USHORT RtlCaptureStackBackTrace(ULONG FramesToSkip, ULONG FramesToCapture, "
    "PVOID *BackTrace, PULONG BackTraceHash)",
    irql=HIGH_LEVEL,
)
def RtlCaptureStackBackTrace(
    k: Kernel, FramesToSkip: int, FramesToCapture: int, BackTrace: int, BackTraceHash: int
) -> int:
    """WDK: "RtlCaptureStackBackTrace function (ntifs.h)".

    The caller's frame is the first; BackTraceHash is the sum of the addresses.
    """
    frames = k.flow.walk(k.flow.context(trapped=True))[1:]
    kept = [f.address for f in frames[FramesToSkip : FramesToSkip + FramesToCapture]]
    k.memory.write(BackTrace, struct.pack(f"<{len(kept)}Q", *kept))
    if BackTraceHash:
        k.memory.set_u32(BackTraceHash, sum(kept) & 0xFFFFFFFF)
    return len(kept)


@export("PVOID RtlPcToFileHeader(PVOID PcValue, PVOID *BaseOfImage)", irql=HIGH_LEVEL)
def RtlPcToFileHeader(k: Kernel, PcValue: int, BaseOfImage: int) -> int:
    """Win32: "RtlPcToFileHeader function (winnt.h)"."""
    module = module_at(k.modules, PcValue)
    base = module.base if module else 0
    k.memory.set_u64(BaseOfImage, base)
    return base
