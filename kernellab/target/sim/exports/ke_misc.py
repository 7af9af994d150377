"""What a driver asks about the machine it runs on, and about its own stack."""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING, Final

from ..kernel import ipi
from ..kernel.execution import Steps
from ..kernel.ipi import IPI_LEVEL
from ..kernel.structs import const, place, size_of
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: Bytes of a cache line of the simulated processors.
_CACHE_LINE: Final = 64
#: Processor features (PF_…) of the simulated processors, which are plain x86-64 ones: compare
#: and exchange of 8 and 16 bytes, MMX, SSE, SSE2, RDTSC, PAE, NX, SSE3, three and four levels
#: of page tables for drivers to see.
_FEATURES: Final = frozenset((2, 3, 6, 8, 9, 10, 12, 13, 14, 20))


@export("ULONG KeGetRecommendedSharedDataAlignment(VOID)", irql=DISPATCH_LEVEL)
def KeGetRecommendedSharedDataAlignment(k: Kernel) -> int:
    """WDK: "KeGetRecommendedSharedDataAlignment function (wdm.h)": a cache line."""
    return _CACHE_LINE


@export("KPROCESSOR_MODE ExGetPreviousMode(VOID)", irql=HIGH_LEVEL)
def ExGetPreviousMode(k: Kernel) -> int:
    """WDK: "ExGetPreviousMode function (wdm.h)": UserMode in a call of the client, else kernel."""
    return 0 if k.thread.system else 1


@export("BOOLEAN ExIsProcessorFeaturePresent(ULONG ProcessorFeature)", irql=HIGH_LEVEL)
def ExIsProcessorFeaturePresent(k: Kernel, ProcessorFeature: int) -> bool:
    """WDK: "ExIsProcessorFeaturePresent function (wdm.h)"."""
    return ProcessorFeature in _FEATURES


@export("BOOLEAN RtlIsProcessorFeaturePresent(ULONG ProcessorFeature)", irql=HIGH_LEVEL)
def RtlIsProcessorFeaturePresent(k: Kernel, ProcessorFeature: int) -> bool:
    """The same as ExIsProcessorFeaturePresent, by the name that user mode has for it."""
    return ProcessorFeature in _FEATURES


@export(
    "NTSTATUS ExUuidCreate(GUID *Uuid)",
    irql=PASSIVE_LEVEL,
    simplified="version 4, from a generator that the seed decides; Windows makes version 1",
)
def ExUuidCreate(k: Kernel, Uuid: int) -> int:
    """WDK: "ExUuidCreate function (wdm.h)"."""
    made = uuid.UUID(bytes=k.scheduler.random.randbytes(16), version=4)
    k.memory.write(Uuid, made.bytes_le)
    return 0


@export(
    "ULONG_PTR KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context)",
    irql=IPI_LEVEL - 1,
    simplified="interrupts do not nest: a processor takes part when its service routine is done",
)
def KeIpiGenericCall(k: Kernel, BroadcastFunction: int, Context: int) -> Steps:
    """WDK: "KeIpiGenericCall function (wdm.h)": what the routine returns on this processor."""
    return ipi.call(k, BroadcastFunction, Context)


@export("PVOID IoGetInitialStack(VOID)", irql=APC_LEVEL)
def IoGetInitialStack(k: Kernel) -> int:
    """WDK: "IoGetInitialStack function (wdm.h)": the base of the current thread's stack."""
    return k.flow.top


@export("VOID IoGetStackLimits(PULONG_PTR LowLimit, PULONG_PTR HighLimit)", irql=DISPATCH_LEVEL)
def IoGetStackLimits(k: Kernel, LowLimit: int, HighLimit: int) -> None:
    """WDK: "IoGetStackLimits function (wdm.h)": of the stack that runs now, a DPC's included."""
    k.memory.set_u64(LowLimit, k.flow.limit)
    k.memory.set_u64(HighLimit, k.flow.top)


@export(
    "BOOLEAN IoWithinStackLimits(ULONG_PTR RegionStart, SIZE_T RegionSize)", irql=DISPATCH_LEVEL
)
def IoWithinStackLimits(k: Kernel, RegionStart: int, RegionSize: int) -> bool:
    """WDK: "IoWithinStackLimits function (ntifs.h)"."""
    return k.flow.limit <= RegionStart and RegionStart + RegionSize <= k.flow.top


_RELATIONSHIP: Final = "SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX"
_CORE, _NUMA, _CACHE, _PACKAGE, _GROUP, _ALL = 0, 1, 2, 3, 4, 0xFFFF


@export(
    "NTSTATUS KeQueryLogicalProcessorRelationship(PPROCESSOR_NUMBER ProcessorNumber, "
    "ULONG RelationshipType, PSYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX Information, "
    "PULONG Length)",
    irql=PASSIVE_LEVEL,
    simplified="each processor is a core; all are one package, one node and one group; "
    "no caches are described",
)
def KeQueryLogicalProcessorRelationship(
    k: Kernel, ProcessorNumber: int, RelationshipType: int, Information: int, Length: int
) -> int:
    """WDK: "KeQueryLogicalProcessorRelationship function (ntddk.h)"."""
    count = len(k.scheduler.processors)
    numbers = list(range(count))
    if ProcessorNumber:
        group, number = struct.unpack("<HB", k.memory.read(ProcessorNumber, 3))
        if group or number >= count:
            return const("STATUS_INVALID_PARAMETER")
        numbers = [number]
    blob = b""
    everything = (1 << count) - 1
    if RelationshipType in (_CORE, _ALL):
        blob += b"".join(_processors(_CORE, 1 << n) for n in numbers)
    if RelationshipType in (_PACKAGE, _ALL):
        blob += _processors(_PACKAGE, everything)
    if RelationshipType in (_NUMA, _ALL):
        mask = struct.pack("<QH6x", everything, 0)
        blob += _entry(_NUMA, struct.pack("<I18xH", 0, 0) + mask)
    if RelationshipType in (_GROUP, _ALL):
        info = struct.pack("<BB38xQ", count, count, everything)
        blob += _entry(_GROUP, struct.pack("<HH20x", 1, 1) + info)
    room = k.memory.u32(Length)
    k.memory.set_u32(Length, len(blob))
    if len(blob) > room:
        return const("STATUS_INFO_LENGTH_MISMATCH")
    if blob:
        k.memory.write(Information, blob)
    return 0


def _entry(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, 8 + len(body)) + body


def _processors(kind: int, mask: int) -> bytes:
    """One PROCESSOR_RELATIONSHIP with one GROUP_AFFINITY."""
    size = size_of("PROCESSOR_RELATIONSHIP")
    at, _ = place("PROCESSOR_RELATIONSHIP", "GroupMask")
    body = bytearray(size)
    struct.pack_into("<H", body, place("PROCESSOR_RELATIONSHIP", "GroupCount")[0], 1)
    struct.pack_into("<Q", body, at, mask)
    return _entry(kind, bytes(body))
