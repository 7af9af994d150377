"""IRQL, time, bug checks, stack probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.execution import Spin, Steps
from .registry import DISPATCH_LEVEL, HIGH_LEVEL, export, export_code, export_data

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_FREQUENCY: Final = 10_000_000


@export("KIRQL KeGetCurrentIrql(VOID)", irql=HIGH_LEVEL)
def KeGetCurrentIrql(k: Kernel) -> int:
    """WDK: "KeGetCurrentIrql function (wdm.h)"."""
    return k.cpu.irql


@export("KIRQL KfRaiseIrql(KIRQL NewIrql)", irql=HIGH_LEVEL)
def KfRaiseIrql(k: Kernel, NewIrql: int) -> int:
    """WDK: "KeRaiseIrql macro (wdm.h)"; lower than current is bug check 0x9."""
    return raise_irql(k, NewIrql)


@export("KIRQL KeRaiseIrqlToDpcLevel(VOID)", irql=DISPATCH_LEVEL)
def KeRaiseIrqlToDpcLevel(k: Kernel) -> int:
    """WDK: "KeRaiseIrqlToDpcLevel function (wdm.h)"."""
    return raise_irql(k, DISPATCH_LEVEL)


def raise_irql(k: Kernel, level: int) -> int:
    """Raise the current processor's IRQL; the old one. Bug check 0x9 where that is higher."""
    old: int = k.cpu.irql
    if level < old:
        raise BugCheck(
            *("IRQL_NOT_GREATER_OR_EQUAL", old, level),
            message=f"The driver raised the IRQL to {level}, which is below the current {old}.",
        )
    k.scheduler.set_irql(level)
    return old


@export("VOID KeLowerIrql(KIRQL NewIrql)", irql=HIGH_LEVEL)
def KeLowerIrql(k: Kernel, NewIrql: int) -> None:
    """WDK: "KeLowerIrql function (wdm.h)"; higher than current is bug check 0xA."""
    if NewIrql > k.cpu.irql:
        raise BugCheck(
            *("IRQL_NOT_LESS_OR_EQUAL", k.cpu.irql, NewIrql),
            message=f"The driver lowered the IRQL to {NewIrql}, above the current {k.cpu.irql}.",
        )
    k.scheduler.set_irql(NewIrql)


@export("VOID KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime)", irql=HIGH_LEVEL)
def KeQuerySystemTimePrecise(k: Kernel, CurrentTime: int) -> None:
    """WDK: "KeQuerySystemTimePrecise function (wdm.h)": 100 ns since 1601, virtual."""
    k.memory.set_u64(CurrentTime, k.boot_time + k.now)


@export("LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency)",
        irql=HIGH_LEVEL)  # fmt: skip
def KeQueryPerformanceCounter(k: Kernel, PerformanceFrequency: int) -> int:
    """WDK: "KeQueryPerformanceCounter function (wdm.h)": ticks of 100 ns, virtual."""
    if PerformanceFrequency:
        k.memory.set_u64(PerformanceFrequency, _FREQUENCY)
    return k.now


@export("VOID KeStallExecutionProcessor(ULONG MicroSeconds)", irql=HIGH_LEVEL)
def KeStallExecutionProcessor(k: Kernel, MicroSeconds: int) -> Steps | None:
    """WDK: "KeStallExecutionProcessor function (ntifs.h)": passes virtual time.

    What other processors do meanwhile takes place in that time.
    """
    k.tell("stalled", MicroSeconds)
    if k.scheduler.busy > 1 and MicroSeconds:
        return _stall(k, MicroSeconds * 10)
    k.now += MicroSeconds * 10
    if k.now >= k.alarm:
        k.cpu.attention = True
    k.scheduler.check_watchdog()
    return None


class _Due:
    """Whether a moment has come; as an alarm's action it does nothing but let time come to it."""

    __slots__ = ("_due", "_k")

    def __init__(self, k: Kernel, due: int) -> None:
        self._k, self._due = k, due

    def __call__(self) -> bool:
        return self._k.now >= self._due


def _stall(k: Kernel, units: int) -> Steps:
    due = _Due(k, k.now + units)
    k.scheduler.at(k.now + units, due)
    yield Spin(due, "the end of KeStallExecutionProcessor")
    k.scheduler.check_watchdog()
    return 0


@export("VOID KeBugCheck(ULONG BugCheckCode)", irql=HIGH_LEVEL)
def KeBugCheck(k: Kernel, BugCheckCode: int) -> None:
    """WDK: "KeBugCheck function (ntddk.h)"."""
    raise BugCheck(BugCheckCode, message="The driver stopped the machine (KeBugCheck).")


@export(
    "VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, "
    "ULONG_PTR BugCheckParameter2, ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4)",
    irql=HIGH_LEVEL,
)
def KeBugCheckEx(
    k: Kernel,
    BugCheckCode: int,
    BugCheckParameter1: int,
    BugCheckParameter2: int,
    BugCheckParameter3: int,
    BugCheckParameter4: int,
) -> None:
    """WDK: "KeBugCheckEx function (wdm.h)"."""
    parameters = BugCheckParameter1, BugCheckParameter2, BugCheckParameter3, BugCheckParameter4
    raise BugCheck(
        BugCheckCode, *parameters, message="The driver stopped the machine (KeBugCheckEx)."
    )


# Probes each page of a large frame (rax bytes) downwards, preserving all registers, so that
# the guard page below the stack cannot be jumped over.
_CHKSTK: Final = bytes.fromhex(
    "4152 4153 4c8d542418 4d89d3 4929c3 4981ea00100000 4d39da 7205 458412 ebef 415b 415a c3"
)

export_code(
    "__chkstk",
    _CHKSTK,
    doc="Probes the pages of a large stack frame; all registers are preserved.",
)
export_data("KdDebuggerEnabled", lambda k: b"\0", doc="No debugger is attached.")
export_data("KdDebuggerNotPresent", lambda k: b"\1", doc="No debugger is attached.")
export_data("NtBuildNumber", lambda k: (0xF0000000 | 19045).to_bytes(4, "little"),
            doc="Windows 10 22H2.")  # fmt: skip
