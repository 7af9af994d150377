"""Interrupts: connecting service routines, and synchronizing with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..kernel import interrupt as interrupts
from ..kernel import pnp_resources
from ..kernel.bugcheck import BugCheck
from ..kernel.callbacks import Registration
from ..kernel.execution import Steps
from ..kernel.interrupt import KIND, Interrupt
from ..kernel.structs import Struct, const
from .registry import HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"Intr", "little")
_SIZE: Final = 0x100  # of a KINTERRUPT, which is opaque
_LOCK: Final = 0x40
#: Vectors below are exceptions and the software's; DIRQLs are from 3 to 12.
_FIRST_VECTOR: Final = 0x30
_LOWEST, _HIGHEST = 3, 12


def _connect(
    k: Kernel,
    out: int,
    routine: int,
    context: int,
    lock: int,
    vector: int,
    irql: int,
    synchronize_irql: int,
    affinity: int,
    shared: bool,
) -> int:
    others = [r for r in k.callbacks.of(KIND) if r.detail.vector == vector]
    affinity &= k.scheduler.all_processors
    if (
        not routine
        or not _FIRST_VECTOR <= vector <= 0xFF
        or not _LOWEST <= irql <= synchronize_irql <= _HIGHEST
        or not affinity
        or (others and not (shared and all(r.detail.shared for r in others)))
    ):
        return const("STATUS_INVALID_PARAMETER")
    address = k.pool.allocate(_SIZE, _TAG)
    if not address:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    made = Interrupt(
        *(address, lock or address + _LOCK, vector, irql, synchronize_irql, affinity, shared)
    )
    k.callbacks.add(Registration(KIND, routine, k.caller(), context, cookie=address, detail=made))
    k.memory.set_u64(out, address)
    return 0


def _find(k: Kernel, address: int, routine: str) -> Registration:
    found = k.callbacks.find(KIND, cookie=address)
    if found is None:
        k.memory.u64(address)
        raise BugCheck(
            *("IRQL_NOT_LESS_OR_EQUAL", address, k.cpu.irql, 0, k.memory.u64(k.flow.trap_rsp)),
            message=f"{routine} was given {address:#x}, which is no connected interrupt object.",
        )
    return found


@export(
    "NTSTATUS IoConnectInterrupt(PKINTERRUPT *InterruptObject, PKSERVICE_ROUTINE ServiceRoutine, "
    "PVOID ServiceContext, PKSPIN_LOCK SpinLock, ULONG Vector, KIRQL Irql, "
    "KIRQL SynchronizeIrql, ULONG InterruptMode, BOOLEAN ShareVector, "
    "KAFFINITY ProcessorEnableMask, BOOLEAN FloatingSave)",
    irql=PASSIVE_LEVEL,
    simplified="level-triggered and latched interrupts are delivered the same way",
)
def IoConnectInterrupt(
    k: Kernel,
    InterruptObject: int,
    ServiceRoutine: int,
    ServiceContext: int,
    SpinLock: int,
    Vector: int,
    Irql: int,
    SynchronizeIrql: int,
    InterruptMode: int,
    ShareVector: int,
    ProcessorEnableMask: int,
    FloatingSave: int,
) -> int:
    """WDK: "IoConnectInterrupt function (wdm.h)".

    STATUS_INVALID_PARAMETER for IRQLs that are no device's, and for a vector in use that is not
    shared by all.
    """
    return _connect(
        *(k, InterruptObject, ServiceRoutine, ServiceContext, SpinLock, Vector, Irql),
        *(SynchronizeIrql, ProcessorEnableMask, bool(ShareVector)),
    )


@export(
    "NTSTATUS IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters)",
    irql=PASSIVE_LEVEL,
    simplified="fully specified and line-based; devices have no message-signalled interrupts "
    "(STATUS_NOT_FOUND)",
)
def IoConnectInterruptEx(k: Kernel, Parameters: int) -> int:
    """WDK: "IoConnectInterruptEx function (wdm.h)"."""
    outer = Struct(k.memory, "IO_CONNECT_INTERRUPT_PARAMETERS", Parameters)
    version = outer["Version"]
    given = Struct(
        k.memory, "IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS", outer.at("FullySpecified")
    )
    common = (
        *(k, given["InterruptObject"], given["ServiceRoutine"], given["ServiceContext"]),
        given["SpinLock"],
    )
    synchronize_irql = given["SynchronizeIrql"]
    if version == const("CONNECT_LINE_BASED"):
        node = k.pnp.by_pdo(given["PhysicalDeviceObject"])
        if node is None:
            return const("STATUS_INVALID_PARAMETER")
        vector = node.resources.interrupt
        if not vector:
            return const("STATUS_NOT_FOUND")
        level = pnp_resources.level_of(vector)
        everywhere = k.scheduler.all_processors
        return _connect(*common, vector, level, synchronize_irql or level, everywhere, True)
    if version in (const("CONNECT_FULLY_SPECIFIED"), const("CONNECT_FULLY_SPECIFIED_GROUP")):
        return _connect(
            *(*common, given["Vector"], given["Irql"], synchronize_irql),
            *(given["ProcessorEnableMask"], bool(given["ShareVector"])),
        )
    message_based = const("CONNECT_MESSAGE_BASED")
    return const("STATUS_NOT_FOUND" if version == message_based else "STATUS_NOT_SUPPORTED")


@export("VOID IoDisconnectInterrupt(PKINTERRUPT InterruptObject)", irql=PASSIVE_LEVEL)
def IoDisconnectInterrupt(k: Kernel, InterruptObject: int) -> None:
    """WDK: "IoDisconnectInterrupt function (wdm.h)"."""
    k.callbacks.remove(_find(k, InterruptObject, "IoDisconnectInterrupt"))
    k.pool.free(k.pool.live[InterruptObject])


@export(
    "VOID IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters)",
    irql=PASSIVE_LEVEL,
)
def IoDisconnectInterruptEx(k: Kernel, Parameters: int) -> None:
    """WDK: "IoDisconnectInterruptEx function (wdm.h)"."""
    address = k.memory.u64(Parameters + 8)  # ConnectionContext.InterruptObject
    k.callbacks.remove(_find(k, address, "IoDisconnectInterruptEx"))
    k.pool.free(k.pool.live[address])


@export(
    "BOOLEAN KeSynchronizeExecution(PKINTERRUPT Interrupt, "
    "PKSYNCHRONIZE_ROUTINE SynchronizeRoutine, PVOID SynchronizeContext)",
    irql=HIGH_LEVEL,
)
def KeSynchronizeExecution(
    k: Kernel, Interrupt: int, SynchronizeRoutine: int, SynchronizeContext: int
) -> Steps:
    """WDK: "KeSynchronizeExecution function (wdm.h)": at the interrupt's IRQL, with its lock."""
    found = _find(k, Interrupt, "KeSynchronizeExecution").detail
    if k.cpu.irql > found.synchronize_irql:
        k.tell("called-above-irql", "KeSynchronizeExecution", found.synchronize_irql)
    return interrupts.synchronize(k, found, SynchronizeRoutine, SynchronizeContext)


@export("KIRQL KeAcquireInterruptSpinLock(PKINTERRUPT Interrupt)", irql=HIGH_LEVEL)
def KeAcquireInterruptSpinLock(k: Kernel, Interrupt: int) -> Steps:
    """WDK: "KeAcquireInterruptSpinLock function (wdm.h)": the IRQL before."""
    found = _find(k, Interrupt, "KeAcquireInterruptSpinLock").detail
    before = k.cpu.irql
    k.scheduler.set_irql(found.synchronize_irql)
    yield from interrupts.acquire(k, found.lock)
    return before


@export("VOID KeReleaseInterruptSpinLock(PKINTERRUPT Interrupt, KIRQL OldIrql)", irql=HIGH_LEVEL)
def KeReleaseInterruptSpinLock(k: Kernel, Interrupt: int, OldIrql: int) -> None:
    """WDK: "KeReleaseInterruptSpinLock function (wdm.h)"."""
    found = _find(k, Interrupt, "KeReleaseInterruptSpinLock").detail
    interrupts.release(k, found.lock)
    k.scheduler.set_irql(OldIrql)
