"""DMA adapters: common buffers, scatter/gather lists, map registers.

The device is a bus master that reaches all memory: logical addresses are physical ones, and no map
register copies anything. WDK pages: "IoGetDmaAdapter function (wdm.h)", "DMA_OPERATIONS structure
(wdm.h)", "Using Common-Buffer Bus-Master DMA", "Using Scatter/Gather DMA".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from ..kernel.execution import Call, Steps
from ..kernel.structs import Struct, const, place, size_of
from ..machine.memory import PAGE
from .ke_spinlock import at_dispatch
from .registry import DISPATCH_LEVEL, PASSIVE_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_TAG: Final = int.from_bytes(b"Dma ", "little")
_NEWEST: Final = 2  # DEVICE_DESCRIPTION_VERSION2
_KEEP, _DEALLOCATE, _KEEP_REGISTERS = 1, 2, 3  # IO_ALLOCATION_ACTION
#: The routines of DMA_OPERATIONS version 1, without their prefix here. ReadDmaCounter, which is
#: for devices that use the system's DMA controller, stays NULL.
_OPERATIONS: Final = (
    *("PutDmaAdapter", "AllocateCommonBuffer", "FreeCommonBuffer", "AllocateAdapterChannel"),
    *("FlushAdapterBuffers", "FreeAdapterChannel", "FreeMapRegisters", "MapTransfer"),
    *("GetDmaAlignment", "GetScatterGatherList", "PutScatterGatherList"),
    *("CalculateScatterGatherList", "BuildScatterGatherList", "BuildMdlFromScatterGatherList"),
)
_ELEMENTS: Final = place("SCATTER_GATHER_LIST", "Elements")[0]
_ELEMENT: Final = struct.Struct("<QI4xQ")


@export(
    "PDMA_ADAPTER IoGetDmaAdapter(PDEVICE_OBJECT PhysicalDeviceObject, "
    "PDEVICE_DESCRIPTION DeviceDescription, PULONG NumberOfMapRegisters)",
    irql=PASSIVE_LEVEL,
    simplified="bus masters that reach all memory, description versions up to 2; NULL for others",
)
def IoGetDmaAdapter(
    k: Kernel, PhysicalDeviceObject: int, DeviceDescription: int, NumberOfMapRegisters: int
) -> int:
    """WDK: "IoGetDmaAdapter function (wdm.h)"."""
    given = Struct(k.memory, "DEVICE_DESCRIPTION", DeviceDescription)
    if given["Version"] > _NEWEST or not given["Master"]:
        return 0
    size, table = size_of("DMA_ADAPTER"), size_of("DMA_OPERATIONS")
    address = k.pool.allocate(size + table, _TAG, owner=k.caller())
    if not address:
        return 0
    adapter = Struct(k.memory, "DMA_ADAPTER", address)
    adapter["Version"], adapter["Size"] = 1, size
    adapter["DmaOperations"] = address + size
    operations = Struct(k.memory, "DMA_OPERATIONS", address + size)
    operations["Size"] = 8 + 8 * (len(_OPERATIONS) + 1)
    for name in _OPERATIONS:
        operations[name] = k.stub_of(f"HalpDma{name}")
    k.memory.set_u32(NumberOfMapRegisters, -(-given["MaximumLength"] // PAGE) + 1)
    return address


@export("VOID HalpDmaPutDmaAdapter(PDMA_ADAPTER DmaAdapter)", irql=PASSIVE_LEVEL, internal=True)
def HalpDmaPutDmaAdapter(k: Kernel, DmaAdapter: int) -> None:
    """WDK: "PUT_DMA_ADAPTER callback function (wdm.h)"."""
    _free(k, DmaAdapter)


def _free(k: Kernel, address: int) -> None:
    k.memory.u64(address)  # faults where it was freed already
    if address in k.pool.live:
        k.pool.free(k.pool.live[address])


# -- common buffers -------------------------------------------------------------------------------


@export(
    "PVOID HalpDmaAllocateCommonBuffer(PDMA_ADAPTER DmaAdapter, ULONG Length, "
    "PLARGE_INTEGER LogicalAddress, BOOLEAN CacheEnabled)",
    irql=PASSIVE_LEVEL,
    internal=True,
)
def HalpDmaAllocateCommonBuffer(
    k: Kernel, DmaAdapter: int, Length: int, LogicalAddress: int, CacheEnabled: int
) -> int:
    """WDK: "ALLOCATE_COMMON_BUFFER callback function (wdm.h)": contiguous, of whole pages."""
    pages = max(1, -(-Length // PAGE))
    address = k.pool.allocate(pages * PAGE, _TAG, owner=k.caller())
    if not address:
        return 0
    frames = [_physical(k, address + n * PAGE) for n in range(pages)]
    if any(frame != frames[0] + n * PAGE for n, frame in enumerate(frames)):
        # The machine's memory is in pieces, as Windows' is after a while: no such buffer.
        k.pool.free(k.pool.live[address])
        return 0
    k.memory.set_u64(LogicalAddress, frames[0])
    return address


@export(
    "VOID HalpDmaFreeCommonBuffer(PDMA_ADAPTER DmaAdapter, ULONG Length, "
    "PHYSICAL_ADDRESS LogicalAddress, PVOID VirtualAddress, BOOLEAN CacheEnabled)",
    irql=PASSIVE_LEVEL,
    internal=True,
)
def HalpDmaFreeCommonBuffer(
    k: Kernel,
    DmaAdapter: int,
    Length: int,
    LogicalAddress: int,
    VirtualAddress: int,
    CacheEnabled: int,
) -> None:
    """WDK: "FREE_COMMON_BUFFER callback function (wdm.h)"."""
    if _physical(k, VirtualAddress) != LogicalAddress:
        k.tell("bad-callback", "FreeCommonBuffer was given another logical address than was told")
    _free(k, VirtualAddress)


def _physical(k: Kernel, address: int) -> int:
    page = k.memory.page(address)
    return page.physical + address % PAGE if page is not None else k.memory.u64(address)


# -- scatter/gather -------------------------------------------------------------------------------


def _pieces(k: Kernel, mdl: int, current: int, length: int) -> list[tuple[int, int]]:
    """Runs of physical memory: what an MDL's buffer has from ``current`` on; address, length."""
    entry = Struct(k.memory, "MDL", mdl)
    frames = k.mdl.frames(mdl)
    at = current - entry["StartVa"]
    found: list[tuple[int, int]] = []
    while length > 0 and at // PAGE < len(frames):
        size = min(length, PAGE - at % PAGE)
        address = frames[at // PAGE] + at % PAGE
        if found and sum(found[-1]) == address:
            found[-1] = found[-1][0], found[-1][1] + size
        else:
            found.append((address, size))
        at, length = at + size, length - size
    return found


def _list(k: Kernel, address: int, pieces: list[tuple[int, int]]) -> None:
    k.memory.write(address, struct.pack("<Q", len(pieces)).ljust(_ELEMENTS, b"\0"))
    blob = b"".join(_ELEMENT.pack(at, size, 0) for at, size in pieces)
    k.memory.write(address + _ELEMENTS, blob)


@export(
    "NTSTATUS HalpDmaGetScatterGatherList(PDMA_ADAPTER DmaAdapter, PDEVICE_OBJECT DeviceObject, "
    "PMDL Mdl, PVOID CurrentVa, ULONG Length, PDRIVER_LIST_CONTROL ExecutionRoutine, "
    "PVOID Context, BOOLEAN WriteToDevice)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaGetScatterGatherList(
    k: Kernel,
    DmaAdapter: int,
    DeviceObject: int,
    Mdl: int,
    CurrentVa: int,
    Length: int,
    ExecutionRoutine: int,
    Context: int,
    WriteToDevice: int,
) -> Steps:
    """WDK: "GET_SCATTER_GATHER_LIST callback function (wdm.h)": the routine is called at once."""
    at_dispatch(k, "GetScatterGatherList")
    pieces = _pieces(k, Mdl, CurrentVa, Length)
    size = _ELEMENTS + _ELEMENT.size * max(1, len(pieces))
    address = k.pool.allocate(size, _TAG, owner=k.caller())
    if not address:
        return const("STATUS_INSUFFICIENT_RESOURCES")
    _list(k, address, pieces)
    irp = Struct(k.memory, "DEVICE_OBJECT", DeviceObject)["CurrentIrp"]
    yield Call(ExecutionRoutine, (DeviceObject, irp, address, Context))
    return 0


@export(
    "VOID HalpDmaPutScatterGatherList(PDMA_ADAPTER DmaAdapter, "
    "PSCATTER_GATHER_LIST ScatterGather, BOOLEAN WriteToDevice)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaPutScatterGatherList(
    k: Kernel, DmaAdapter: int, ScatterGather: int, WriteToDevice: int
) -> None:
    """WDK: "PUT_SCATTER_GATHER_LIST callback function (wdm.h)"."""
    at_dispatch(k, "PutScatterGatherList")
    _free(k, ScatterGather)


@export(
    "NTSTATUS HalpDmaCalculateScatterGatherList(PDMA_ADAPTER DmaAdapter, PMDL Mdl, "
    "PVOID CurrentVa, ULONG Length, PULONG ScatterGatherListSize, PULONG NumberOfMapRegisters)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaCalculateScatterGatherList(
    k: Kernel,
    DmaAdapter: int,
    Mdl: int,
    CurrentVa: int,
    Length: int,
    ScatterGatherListSize: int,
    NumberOfMapRegisters: int,
) -> int:
    """WDK: "CALCULATE_SCATTER_GATHER_LIST_SIZE callback function (wdm.h)": the most it can be."""
    pages = -(-(CurrentVa % PAGE + Length) // PAGE)
    k.memory.set_u32(ScatterGatherListSize, _ELEMENTS + _ELEMENT.size * pages)
    if NumberOfMapRegisters:
        k.memory.set_u32(NumberOfMapRegisters, pages)
    return 0


@export(
    "NTSTATUS HalpDmaBuildScatterGatherList(PDMA_ADAPTER DmaAdapter, "
    "PDEVICE_OBJECT DeviceObject, PMDL Mdl, PVOID CurrentVa, ULONG Length, "
    "PDRIVER_LIST_CONTROL ExecutionRoutine, PVOID Context, BOOLEAN WriteToDevice, "
    "PVOID ScatterGatherBuffer, ULONG ScatterGatherLength)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaBuildScatterGatherList(
    k: Kernel,
    DmaAdapter: int,
    DeviceObject: int,
    Mdl: int,
    CurrentVa: int,
    Length: int,
    ExecutionRoutine: int,
    Context: int,
    WriteToDevice: int,
    ScatterGatherBuffer: int,
    ScatterGatherLength: int,
) -> Steps:
    """WDK: "BUILD_SCATTER_GATHER_LIST callback function (wdm.h)": in the driver's own memory."""
    at_dispatch(k, "BuildScatterGatherList")
    pieces = _pieces(k, Mdl, CurrentVa, Length)
    if ScatterGatherLength < _ELEMENTS + _ELEMENT.size * len(pieces):
        return const("STATUS_BUFFER_TOO_SMALL")
    _list(k, ScatterGatherBuffer, pieces)
    irp = Struct(k.memory, "DEVICE_OBJECT", DeviceObject)["CurrentIrp"]
    yield Call(ExecutionRoutine, (DeviceObject, irp, ScatterGatherBuffer, Context))
    return 0


@export(
    "NTSTATUS HalpDmaBuildMdlFromScatterGatherList(PDMA_ADAPTER DmaAdapter, "
    "PSCATTER_GATHER_LIST ScatterGather, PMDL OriginalMdl, PMDL *TargetMdl)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaBuildMdlFromScatterGatherList(
    k: Kernel, DmaAdapter: int, ScatterGather: int, OriginalMdl: int, TargetMdl: int
) -> int:
    """WDK: "BUILD_MDL_FROM_SCATTER_GATHER_LIST callback function (wdm.h)": the original MDL,
    since no map register stands for other memory."""
    k.memory.set_u64(TargetMdl, OriginalMdl)
    return 0


# -- packets --------------------------------------------------------------------------------------


@export(
    "NTSTATUS HalpDmaAllocateAdapterChannel(PDMA_ADAPTER DmaAdapter, "
    "PDEVICE_OBJECT DeviceObject, ULONG NumberOfMapRegisters, PDRIVER_CONTROL ExecutionRoutine, "
    "PVOID Context)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaAllocateAdapterChannel(
    k: Kernel,
    DmaAdapter: int,
    DeviceObject: int,
    NumberOfMapRegisters: int,
    ExecutionRoutine: int,
    Context: int,
) -> Steps:
    """WDK: "ALLOCATE_ADAPTER_CHANNEL callback function (wdm.h)": map registers never run out."""
    at_dispatch(k, "AllocateAdapterChannel")
    irp = Struct(k.memory, "DEVICE_OBJECT", DeviceObject)["CurrentIrp"]
    yield Call(ExecutionRoutine, (DeviceObject, irp, DmaAdapter, Context))
    return 0


@export(
    "PHYSICAL_ADDRESS HalpDmaMapTransfer(PDMA_ADAPTER DmaAdapter, PMDL Mdl, "
    "PVOID MapRegisterBase, PVOID CurrentVa, PULONG Length, BOOLEAN WriteToDevice)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaMapTransfer(
    k: Kernel,
    DmaAdapter: int,
    Mdl: int,
    MapRegisterBase: int,
    CurrentVa: int,
    Length: int,
    WriteToDevice: int,
) -> int:
    """WDK: "MAP_TRANSFER callback function (wdm.h)": Length is what one run of memory has."""
    pieces = _pieces(k, Mdl, CurrentVa, k.memory.u32(Length))
    address, size = pieces[0] if pieces else (0, 0)
    k.memory.set_u32(Length, size)
    return address


@export(
    "BOOLEAN HalpDmaFlushAdapterBuffers(PDMA_ADAPTER DmaAdapter, PMDL Mdl, "
    "PVOID MapRegisterBase, PVOID CurrentVa, ULONG Length, BOOLEAN WriteToDevice)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaFlushAdapterBuffers(
    k: Kernel,
    DmaAdapter: int,
    Mdl: int,
    MapRegisterBase: int,
    CurrentVa: int,
    Length: int,
    WriteToDevice: int,
) -> bool:
    """WDK: "FLUSH_ADAPTER_BUFFERS callback function (wdm.h)": no map register holds anything."""
    return True


@export(
    "VOID HalpDmaFreeAdapterChannel(PDMA_ADAPTER DmaAdapter)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaFreeAdapterChannel(k: Kernel, DmaAdapter: int) -> None:
    """WDK: "FREE_ADAPTER_CHANNEL callback function (wdm.h)": a bus master has none."""


@export(
    "VOID HalpDmaFreeMapRegisters(PDMA_ADAPTER DmaAdapter, PVOID MapRegisterBase, "
    "ULONG NumberOfMapRegisters)",
    irql=DISPATCH_LEVEL,
    internal=True,
)
def HalpDmaFreeMapRegisters(
    k: Kernel, DmaAdapter: int, MapRegisterBase: int, NumberOfMapRegisters: int
) -> None:
    """WDK: "FREE_MAP_REGISTERS callback function (wdm.h)": they are not counted."""


@export("ULONG HalpDmaGetDmaAlignment(PDMA_ADAPTER DmaAdapter)", irql=PASSIVE_LEVEL, internal=True)
def HalpDmaGetDmaAlignment(k: Kernel, DmaAdapter: int) -> int:
    """WDK: "GET_DMA_ALIGNMENT callback function (wdm.h)"."""
    return 1
