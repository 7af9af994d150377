"""System time, interrupt time, ticks: those of the last clock interrupt, and precise ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.clock import TICK
from .registry import HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime)", irql=HIGH_LEVEL)
def KeQuerySystemTime(k: Kernel, CurrentTime: int) -> None:
    """WDK: "KeQuerySystemTime function (wdm.h)": 100 ns since 1601, as of the last tick.

    wdm.h has it inline on x64, reading the shared page.
    """
    k.memory.set_u64(CurrentTime, k.clock.system_time)


@export("VOID KeQueryTickCount(PLARGE_INTEGER TickCount)", irql=HIGH_LEVEL)
def KeQueryTickCount(k: Kernel, TickCount: int) -> None:
    """WDK: "KeQueryTickCount macro (wdm.h)": ticks since boot. Inline on x64 as well."""
    k.memory.set_u64(TickCount, k.now // TICK)


@export("ULONG KeQueryTimeIncrement(VOID)", irql=HIGH_LEVEL)
def KeQueryTimeIncrement(k: Kernel) -> int:
    """WDK: "KeQueryTimeIncrement function (wdm.h)": 100 ns between two ticks."""
    return TICK


@export("ULONGLONG KeQueryInterruptTime(VOID)", irql=HIGH_LEVEL)
def KeQueryInterruptTime(k: Kernel) -> int:
    """WDK: "KeQueryInterruptTime function (wdm.h)": 100 ns since boot, as of the last tick."""
    return k.clock.interrupt_time


@export("ULONGLONG KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp)", irql=HIGH_LEVEL)
def KeQueryInterruptTimePrecise(k: Kernel, QpcTimeStamp: int) -> int:
    """WDK: "KeQueryInterruptTimePrecise function (wdm.h)": and the performance counter."""
    k.memory.set_u64(QpcTimeStamp, k.now)
    return k.now


@export("ULONGLONG KeQueryUnbiasedInterruptTime(VOID)", irql=HIGH_LEVEL)
def KeQueryUnbiasedInterruptTime(k: Kernel) -> int:
    """WDK: "KeQueryUnbiasedInterruptTime function (wdm.h)": this machine never sleeps."""
    return k.clock.interrupt_time


@export("ULONGLONG KeQueryUnbiasedInterruptTimePrecise(PULONG64 QpcTimeStamp)", irql=HIGH_LEVEL)
def KeQueryUnbiasedInterruptTimePrecise(k: Kernel, QpcTimeStamp: int) -> int:
    """WDK: "KeQueryUnbiasedInterruptTimePrecise function (wdm.h)"."""
    k.memory.set_u64(QpcTimeStamp, k.now)
    return k.now


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


@export("VOID ExSystemTimeToLocalTime(PLARGE_INTEGER SystemTime, PLARGE_INTEGER LocalTime)",
        irql=HIGH_LEVEL, simplified="the time zone is UTC")  # fmt: skip
def ExSystemTimeToLocalTime(k: Kernel, SystemTime: int, LocalTime: int) -> None:
    """WDK: "ExSystemTimeToLocalTime function (wdm.h)"."""
    k.memory.set_u64(LocalTime, _signed(k.memory.u64(SystemTime)) - k.clock.bias)


@export("VOID ExLocalTimeToSystemTime(PLARGE_INTEGER LocalTime, PLARGE_INTEGER SystemTime)",
        irql=HIGH_LEVEL, simplified="the time zone is UTC")  # fmt: skip
def ExLocalTimeToSystemTime(k: Kernel, LocalTime: int, SystemTime: int) -> None:
    """WDK: "ExLocalTimeToSystemTime function (wdm.h)"."""
    k.memory.set_u64(SystemTime, _signed(k.memory.u64(LocalTime)) + k.clock.bias)


@export("VOID ExQueryTimerResolution(PULONG MaximumTime, PULONG MinimumTime, PULONG CurrentTime)",
        irql=HIGH_LEVEL)  # fmt: skip
def ExQueryTimerResolution(k: Kernel, MaximumTime: int, MinimumTime: int, CurrentTime: int) -> None:
    """WDK: "ExQueryTimerResolution function (wdm.h)": the clock has one rate here; 100 ns."""
    for pointer in (MaximumTime, MinimumTime, CurrentTime):
        k.memory.set_u32(pointer, TICK)
