"""Timers that the system allocates: ExAllocateTimer and what goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.bugcheck import BugCheck
from ..kernel.dispatcher import Kind
from ..kernel.execution import Call, Steps
from ..kernel.structs import Struct, const
from .ke_dpc import flush
from .registry import APC_LEVEL, DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.ex_timers import ExTimer
    from ..kernel.kernel import Kernel

#: EX_TIMER_NOTIFICATION (wdm.h).
_NOTIFICATION: Final = 1 << 31


def _wrong(timer: int, message: str) -> BugCheck:
    return BugCheck("TIMER_OR_DPC_INVALID", 0, timer, message=message)


@export(
    "PEX_TIMER ExAllocateTimer(PEXT_CALLBACK Callback, PVOID CallbackContext, ULONG Attributes)",
    irql=DISPATCH_LEVEL,
)
def ExAllocateTimer(k: Kernel, Callback: int, CallbackContext: int, Attributes: int) -> int:
    """WDK: "ExAllocateTimer function (wdm.h)": a synchronization timer unless asked otherwise."""
    exclusive = const("EX_TIMER_HIGH_RESOLUTION") | const("EX_TIMER_NO_WAKE")
    if Attributes & exclusive == exclusive:
        raise _wrong(
            0, "ExAllocateTimer got EX_TIMER_HIGH_RESOLUTION and EX_TIMER_NO_WAKE together."
        )
    notify = Attributes & _NOTIFICATION
    kind = Kind.NOTIFICATION_TIMER if notify else Kind.SYNCHRONIZATION_TIMER
    return k.ex_timers.allocate(Callback, CallbackContext, Attributes, kind)


@export(
    "BOOLEAN ExSetTimer(PEX_TIMER Timer, LONGLONG DueTime, LONGLONG Period, "
    "PEXT_SET_PARAMETERS Parameters)",
    irql=DISPATCH_LEVEL,
    simplified="timers are exact: NoWakeTolerance is never used",
)
def ExSetTimer(k: Kernel, Timer: int, DueTime: int, Period: int, Parameters: int) -> bool:
    """WDK: "ExSetTimer function (wdm.h)": TRUE where it was set. Both times: 100 ns."""
    timer = k.ex_timers.get(Timer)
    if timer.attributes & const("EX_TIMER_HIGH_RESOLUTION") and DueTime >= 0:
        raise _wrong(Timer, "A high-resolution timer was set to an absolute time.")
    return k.timers.set(Timer, DueTime, max(Period, 0), timer.dpc, argument=Timer)


@export("BOOLEAN ExCancelTimer(PEX_TIMER Timer, PEXT_CANCEL_PARAMETERS Parameters)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def ExCancelTimer(k: Kernel, Timer: int, Parameters: int) -> bool:
    """WDK: "ExCancelTimer function (wdm.h)": TRUE where it was set."""
    k.ex_timers.get(Timer)
    return k.timers.cancel(Timer)


@export(
    "BOOLEAN ExDeleteTimer(PEX_TIMER Timer, BOOLEAN Cancel, BOOLEAN Wait, "
    "PEXT_DELETE_PARAMETERS Parameters)",
    irql=DISPATCH_LEVEL,
)
def ExDeleteTimer(k: Kernel, Timer: int, Cancel: int, Wait: int, Parameters: int) -> int | Steps:
    """WDK: "ExDeleteTimer function (wdm.h)": TRUE where it was cancelled.

    With Wait it returns when the callback has run; that needs IRQL <= APC_LEVEL.
    """
    timer = k.ex_timers.get(Timer)
    if Wait and not Cancel:
        raise _wrong(Timer, "ExDeleteTimer was asked to wait for a timer, and not to cancel it.")
    if Wait and k.cpu.irql > APC_LEVEL:
        k.tell("called-above-irql", "ExDeleteTimer, which was asked to wait,", APC_LEVEL)
    cancelled = k.timers.cancel(Timer) if Cancel else False
    timer.deleted = True
    if Parameters:
        entry = Struct(k.memory, "EXT_DELETE_PARAMETERS", Parameters)
        timer.delete_callback = entry["DeleteCallback"]
        timer.delete_context = entry["DeleteContext"]
    if k.ex_timers.busy(timer) and not Wait:
        k.ex_timers.finish_later(timer)
        return cancelled
    return _delete(k, timer, cancelled)


def _delete(k: Kernel, timer: ExTimer, cancelled: bool) -> Steps:
    if k.ex_timers.busy(timer):
        wait = flush(k)
        if not isinstance(wait, int):
            yield wait
    if timer.delete_callback:
        yield Call(timer.delete_callback, (timer.delete_context,))
    k.ex_timers.finish(timer)
    return int(cancelled)
