"""Saving floating-point state, so that a driver may calculate.

Each thread and DPC of the simulator has its own registers; what these routines are for is that
the code they interrupt finds its own again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..kernel.bugcheck import BugCheck
from ..kernel.structs import Struct
from .registry import DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


def _save(k: Kernel, address: int) -> None:
    k.floating[address] = (k.thread.object, k.cpu.irql, k.cpu.floating.save())
    k.cpu.floating.reset()


def _restore(k: Kernel, address: int) -> None:
    saved = k.floating.pop(address, None)
    if saved is None:
        raise BugCheck(
            *("INVALID_FLOATING_POINT_STATE", 0, address),
            message="Floating-point state was restored that was not saved there.",
        )
    thread, irql, state = saved
    if irql != k.cpu.irql:
        raise BugCheck(
            *("INVALID_FLOATING_POINT_STATE", 1, irql, k.cpu.irql),
            message=f"Floating-point state was saved at IRQL {irql} and restored at {k.cpu.irql}.",
        )
    if thread != k.thread.object:
        raise BugCheck(
            *("INVALID_FLOATING_POINT_STATE", 2, thread, k.thread.object),
            message="Floating-point state was restored by another thread than saved it.",
        )
    k.cpu.floating.restore(state)


@export("NTSTATUS KeSaveFloatingPointState(PKFLOATING_SAVE FloatSave)", irql=DISPATCH_LEVEL)
def KeSaveFloatingPointState(k: Kernel, FloatSave: int) -> int:
    """WDK: "KeSaveFloatingPointState function (wdm.h)": and a fresh state for the caller."""
    k.memory.set_u32(FloatSave, k.cpu.floating.save()[0])
    _save(k, FloatSave)
    return 0


@export("NTSTATUS KeRestoreFloatingPointState(PKFLOATING_SAVE FloatSave)", irql=DISPATCH_LEVEL)
def KeRestoreFloatingPointState(k: Kernel, FloatSave: int) -> int:
    """WDK: "KeRestoreFloatingPointState function (wdm.h)"; a mismatch is bug check 0xE7."""
    _restore(k, FloatSave)
    return 0


@export("NTSTATUS KeSaveExtendedProcessorState(ULONG64 Mask, PXSTATE_SAVE XStateSave)",
        irql=DISPATCH_LEVEL)  # fmt: skip
def KeSaveExtendedProcessorState(k: Kernel, Mask: int, XStateSave: int) -> int:
    """WDK: "KeSaveExtendedProcessorState function (wdm.h)": this processor has x87 and SSE."""
    entry = Struct(k.memory, "XSTATE_SAVE", XStateSave)
    entry["Thread"], entry["Level"] = k.thread.object, k.cpu.irql
    _save(k, XStateSave)
    return 0


@export("VOID KeRestoreExtendedProcessorState(PXSTATE_SAVE XStateSave)", irql=DISPATCH_LEVEL)
def KeRestoreExtendedProcessorState(k: Kernel, XStateSave: int) -> None:
    """WDK: "KeRestoreExtendedProcessorState function (wdm.h)"."""
    _restore(k, XStateSave)
