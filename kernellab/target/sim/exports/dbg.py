"""DbgPrint and its family: what the notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import for_fault
from ..kernel.execution import Steps
from ..kernel.printf import DBGPRINT_LIMIT, read_string, vformat
from ..kernel.structs import Struct, size_of
from ..machine.cpu import Fault
from .registry import HIGH_LEVEL, VaList, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"DbgP", "little")
_DEFAULT_COMPONENT: Final = 101  # DPFLTR_DEFAULT_ID
_INFO_LEVEL: Final = 3  # DPFLTR_INFO_LEVEL
_SYNCH_LEVEL: Final = 12
_EVERYTHING: Final = (
    "every line is shown, whatever its component and level; Windows filters by "
    "Kd_<component>_Mask, and by default drops what DbgPrint itself prints"
)


def _print(k: Kernel, component: int, level: int, text: bytes) -> int | Steps:
    """Send one call's text, at most 512 bytes of it; bytes that are not UTF-8 as ``\\xNN``."""
    raw = text[:DBGPRINT_LIMIT]
    k.emit(
        "dbgprint",
        {
            "driver": k.caller(),
            "text": raw.decode("utf-8", "backslashreplace"),
            "time": k.time,
            "level": level,
            "component": component,
            "irql": k.cpu.irql,
            "thread": k.ps.current.id,
        },
    )
    if (
        k.callbacks.any("DbgSetDebugPrintCallback")
        and k.scheduler.current.number not in k.system.printing
        and not k.system.crashing
    ):
        return call_back(k, component, level, raw)
    return 0


def call_back(k: Kernel, component: int, level: int, raw: bytes) -> Steps:
    """Give the text to the callbacks of DbgSetDebugPrintCallback, at SYNCH_LEVEL or above.

    As Windows is seen to act: the IRQL is raised to 12, of the STRING only Length and Buffer are
    filled in, and during a bug check nobody is called. What a callback prints itself is shown, and
    is not given to callbacks again.
    """
    irql, number = k.cpu.irql, k.scheduler.current.number
    k.scheduler.set_irql(max(irql, _SYNCH_LEVEL))
    k.system.printing.add(number)
    buffer = k.pool.allocate(max(len(raw), 1), _TAG)
    k.memory.write(buffer, raw)
    output = k.pool.allocate(size_of("STRING"), _TAG)
    string = Struct(k.memory, "STRING", output)
    string["Length"], string["MaximumLength"] = len(raw), 0
    string["Buffer"] = buffer
    try:
        for callback in k.callbacks.of("DbgSetDebugPrintCallback"):
            arguments = output, component, level
            yield from k.callbacks.invoke(callback, arguments, "a debug print callback")
    finally:
        k.system.printing.discard(number)
    for address in (output, buffer):
        k.pool.free(k.pool.live[address])
    k.scheduler.set_irql(irql)
    return 0


@export("ULONG DbgPrint(PCSTR Format, ...)", irql=HIGH_LEVEL, simplified=_EVERYTHING)
def DbgPrint(k: Kernel, Format: int, arguments: VaList) -> int | Steps:
    """WDK: "DbgPrint function (wdm.h)". Component DEFAULT, level INFO."""
    k.tell("print-format", Format)
    text = vformat(read_string(k.memory, Format), arguments, k.memory)
    return _print(k, _DEFAULT_COMPONENT, _INFO_LEVEL, text)


@export(
    "ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)",
    irql=HIGH_LEVEL,
    simplified=_EVERYTHING,
)
def DbgPrintEx(
    k: Kernel, ComponentId: int, Level: int, Format: int, arguments: VaList
) -> int | Steps:
    """WDK: "DbgPrintEx function (wdm.h)"."""
    k.tell("print-format", Format)
    text = vformat(read_string(k.memory, Format), arguments, k.memory)
    return _print(k, ComponentId, Level, text)


@export(
    "ULONG vDbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, va_list arglist)",
    irql=HIGH_LEVEL,
    simplified=_EVERYTHING,
)
def vDbgPrintEx(k: Kernel, ComponentId: int, Level: int, Format: int, arglist: int) -> int | Steps:
    """WDK: "vDbgPrintEx function (wdm.h)"."""
    k.tell("print-format", Format)
    text = vformat(read_string(k.memory, Format), VaList(k.memory, arglist), k.memory)
    return _print(k, ComponentId, Level, text)


@export(
    "ULONG vDbgPrintExWithPrefix(PCSTR Prefix, ULONG ComponentId, ULONG Level, PCSTR Format, "
    "va_list arglist)",
    irql=HIGH_LEVEL,
    simplified=_EVERYTHING,
)
def vDbgPrintExWithPrefix(
    k: Kernel, Prefix: int, ComponentId: int, Level: int, Format: int, arglist: int
) -> int | Steps:
    """WDK: "vDbgPrintExWithPrefix function (wdm.h)"."""
    k.tell("print-format", Format)
    text = vformat(read_string(k.memory, Format), VaList(k.memory, arglist), k.memory)
    return _print(k, ComponentId, Level, read_string(k.memory, Prefix) + text)


@export("VOID DbgBreakPoint(VOID)", irql=HIGH_LEVEL)
def DbgBreakPoint(k: Kernel) -> None:
    """WDK: "DbgBreakPoint routine". Without a debugger it is an unhandled breakpoint."""
    raise for_fault(k, Fault(3, k.memory.u64(k.flow.trap_rsp)))
