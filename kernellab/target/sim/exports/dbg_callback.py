"""Debug print callbacks, and the filter that Windows has for debug prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel.callbacks import Registration
from ..kernel.execution import Steps
from ..kernel.structs import const
from .registry import APC_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: DPFLTR_ENDOFTABLE_ID: components from here on have no mask.
_COMPONENTS: Final = 0x9B
#: Kd_WIN2000_Mask: what is shown whatever the component. Errors, unless it is changed.
_EVERY_COMPONENT: Final = 1


@export(
    "NTSTATUS DbgSetDebugPrintCallback(PDEBUG_PRINT_CALLBACK DebugPrintCallback, BOOLEAN Enable)",
    irql=APC_LEVEL,
    simplified="what a callback prints itself is not given to callbacks; Windows does, for ever",
)
def DbgSetDebugPrintCallback(k: Kernel, DebugPrintCallback: int, Enable: int) -> int | Steps:
    """WDK: "DbgSetDebugPrintCallback function (wdm.h)".

    The routine gets (PSTRING Output, ULONG ComponentId, ULONG Level) for each print. One that is
    registered twice is called twice; unregistering waits until it runs nowhere.
    """
    kind = "DbgSetDebugPrintCallback"
    found = k.callbacks.find(kind, routine=DebugPrintCallback)
    if not DebugPrintCallback:
        return const("STATUS_INVALID_PARAMETER")
    if Enable:
        k.callbacks.add(Registration(kind, DebugPrintCallback, k.caller()))
        return 0
    if found is None:
        return const("STATUS_NOT_FOUND")
    k.callbacks.remove(found)
    return k.callbacks.drain(found)


def _bits(level: int) -> int:
    """A level below 32 is a bit's number, one above is a mask ("DbgPrintEx function")."""
    return 1 << level if level < 32 else level


@export("NTSTATUS DbgQueryDebugFilterState(ULONG ComponentId, ULONG Level)", irql=HIGH_LEVEL)
def DbgQueryDebugFilterState(k: Kernel, ComponentId: int, Level: int) -> int:
    """WDK: "Reading and Filtering Debugging Messages": whether Windows would show such a print.

    A component's mask is 0 until it is set; level ERROR is shown for every component.
    """
    mask = k.system.filter_masks.get(min(ComponentId, _COMPONENTS), 0) | _EVERY_COMPONENT
    return 1 if mask & _bits(Level) else 0


@export(
    "NTSTATUS DbgSetDebugFilterState(ULONG ComponentId, ULONG Level, BOOLEAN State)",
    irql=PASSIVE_LEVEL,
    simplified="what DbgQueryDebugFilterState answers is changed; sim shows every print anyway",
)
def DbgSetDebugFilterState(k: Kernel, ComponentId: int, Level: int, State: int) -> int:
    """WDK: "Reading and Filtering Debugging Messages"."""
    if ComponentId >= _COMPONENTS:
        return const("STATUS_INVALID_PARAMETER_1")
    mask = k.system.filter_masks.get(ComponentId, 0)
    bits = _bits(Level)
    k.system.filter_masks[ComponentId] = mask | bits if State else mask & ~bits
    return 0
