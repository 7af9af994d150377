"""Critical and guarded regions: where a thread gets no APCs.

WDK: "Critical Regions and Guarded Regions". Nothing in the simulator queues APCs, so the regions
are counted and checked, and hold off nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import APC_LEVEL, DISPATCH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel


@export("VOID KeEnterCriticalRegion(VOID)", irql=APC_LEVEL)
def KeEnterCriticalRegion(k: Kernel) -> None:
    """WDK: "KeEnterCriticalRegion function (ntddk.h)"; may be nested."""
    k.thread.apc_disable += 1


@export("VOID KeLeaveCriticalRegion(VOID)", irql=APC_LEVEL)
def KeLeaveCriticalRegion(k: Kernel) -> None:
    """WDK: "KeLeaveCriticalRegion function (ntddk.h)"."""
    if not k.thread.apc_disable:
        k.tell(
            "region-not-entered",
            "KeLeaveCriticalRegion was called by a thread that is in no critical region",
        )
        return
    k.thread.apc_disable -= 1


@export("VOID KeEnterGuardedRegion(VOID)", irql=APC_LEVEL)
def KeEnterGuardedRegion(k: Kernel) -> None:
    """WDK: "KeEnterGuardedRegion function (ntddk.h)"; may be nested."""
    enter_guarded(k)


@export("VOID KeLeaveGuardedRegion(VOID)", irql=APC_LEVEL)
def KeLeaveGuardedRegion(k: Kernel) -> None:
    """WDK: "KeLeaveGuardedRegion function (ntddk.h)"."""
    if not k.thread.special_apc_disable:
        k.tell(
            "region-not-entered",
            "KeLeaveGuardedRegion was called by a thread that is in no guarded region",
        )
        return
    leave_guarded(k)


def enter_guarded(k: Kernel) -> None:
    """The current thread gets no APCs at all."""
    k.thread.special_apc_disable += 1


def leave_guarded(k: Kernel) -> None:
    """Undo one :func:`enter_guarded`."""
    k.thread.special_apc_disable -= 1


@export("BOOLEAN KeAreApcsDisabled(VOID)", irql=DISPATCH_LEVEL)
def KeAreApcsDisabled(k: Kernel) -> bool:
    """WDK: "KeAreApcsDisabled function (ntddk.h)": in a critical or a guarded region."""
    return bool(k.thread.apc_disable or k.thread.special_apc_disable)


@export("BOOLEAN KeAreAllApcsDisabled(VOID)", irql=DISPATCH_LEVEL)
def KeAreAllApcsDisabled(k: Kernel) -> bool:
    """WDK: "KeAreAllApcsDisabled function (ntddk.h)": in a guarded region, or from APC_LEVEL up."""
    return bool(k.thread.special_apc_disable) or k.cpu.irql >= APC_LEVEL


def apcs_must_be_disabled(k: Kernel, routine: str) -> None:
    """Report a routine that leaves it to the caller to hold off APCs, which it did not.

    System threads get no APCs that matter here; Driver Verifier lets them off too (WDK: "Bug
    Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0x37 to 0x3A).
    """
    thread = k.thread
    if k.cpu.irql < APC_LEVEL and not (
        thread.system or thread.apc_disable or thread.special_apc_disable
    ):
        k.tell(
            "apcs-not-disabled",
            f"{routine} was called with APCs enabled; call it in a critical region or at APC_LEVEL",
        )
