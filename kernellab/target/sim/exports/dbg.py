"""DbgPrint and its family: what the notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import for_fault
from ..kernel.printf import DBGPRINT_LIMIT, read_string, vformat
from ..machine.cpu import Fault
from .registry import HIGH_LEVEL, VaList, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_DEFAULT_COMPONENT: Final = 101  # DPFLTR_DEFAULT_ID
_INFO_LEVEL: Final = 3  # DPFLTR_INFO_LEVEL
_EVERYTHING: Final = (
    "every line is shown, whatever its component and level; Windows filters by "
    "Kd_<component>_Mask, and by default drops what DbgPrint itself prints"
)


def _print(k: Kernel, component: int, level: int, text: bytes) -> int:
    """Send one call's text, at most 512 bytes of it; bytes that are not UTF-8 as ``\\xNN``."""
    raw = text[:DBGPRINT_LIMIT]
    k.emit(
        "dbgprint",
        {
            "driver": k.caller(),
            "text": raw.decode("utf-8", "backslashreplace"),
            "time": round(k.time, 7),
            "level": level,
            "component": component,
            "irql": k.cpu.irql,
            "thread": k.thread.id,
        },
    )
    return 0


@export("ULONG DbgPrint(PCSTR Format, ...)", irql=HIGH_LEVEL, simplified=_EVERYTHING)
def DbgPrint(k: Kernel, Format: int, arguments: VaList) -> int:
    """WDK: "DbgPrint function (wdm.h)". Component DEFAULT, level INFO."""
    text = vformat(read_string(k.memory, Format), arguments, k.memory)
    return _print(k, _DEFAULT_COMPONENT, _INFO_LEVEL, text)


@export(
    "ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...)",
    irql=HIGH_LEVEL,
    simplified=_EVERYTHING,
)
def DbgPrintEx(k: Kernel, ComponentId: int, Level: int, Format: int, arguments: VaList) -> int:
    """WDK: "DbgPrintEx function (wdm.h)"."""
    text = vformat(read_string(k.memory, Format), arguments, k.memory)
    return _print(k, ComponentId, Level, text)


@export(
    "ULONG vDbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, va_list arglist)",
    irql=HIGH_LEVEL,
    simplified=_EVERYTHING,
)
def vDbgPrintEx(k: Kernel, ComponentId: int, Level: int, Format: int, arglist: int) -> int:
    """WDK: "vDbgPrintEx function (wdm.h)"."""
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
) -> int:
    """WDK: "vDbgPrintExWithPrefix function (wdm.h)"."""
    text = vformat(read_string(k.memory, Format), VaList(k.memory, arglist), k.memory)
    return _print(k, ComponentId, Level, read_string(k.memory, Prefix) + text)


@export("VOID DbgBreakPoint(VOID)", irql=HIGH_LEVEL)
def DbgBreakPoint(k: Kernel) -> None:
    """WDK: "DbgBreakPoint routine". Without a debugger it is an unhandled breakpoint."""
    raise for_fault(k, Fault(3, k.memory.u64(k.flow.trap_rsp)))
