"""Physical addresses, contiguous memory, device memory, registers and ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..kernel.structs import const
from ..kernel.uservm import VmError, protection
from ..machine.memory import KERNEL_START, PAGE
from .registry import APC_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, export

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

_UNCACHED: Final = "all memory is cached, whatever the caching type"


# -- addresses ------------------------------------------------------------------------------------


@export("PHYSICAL_ADDRESS MmGetPhysicalAddress(PVOID BaseAddress)", irql=HIGH_LEVEL)
def MmGetPhysicalAddress(k: Kernel, BaseAddress: int) -> int:
    """WDK: "MmGetPhysicalAddress function (ntddk.h)"; 0 where nothing is mapped."""
    return k.physical.address_of(BaseAddress)


@export("PVOID MmGetVirtualForPhysical(PHYSICAL_ADDRESS PhysicalAddress)", irql=HIGH_LEVEL)
def MmGetVirtualForPhysical(k: Kernel, PhysicalAddress: int) -> int:
    """WDK: "MmGetVirtualForPhysical function (ntddk.h)": one of the kernel's addresses of it."""
    return k.physical.virtual_of(PhysicalAddress)


@export(
    "NTSTATUS MmCopyMemory(PVOID TargetAddress, ULONG64 SourceAddress, SIZE_T NumberOfBytes, "
    "ULONG Flags, PSIZE_T NumberOfBytesTransferred)",
    irql=APC_LEVEL,
)
def MmCopyMemory(
    k: Kernel,
    TargetAddress: int,
    SourceAddress: int,
    NumberOfBytes: int,
    Flags: int,
    NumberOfBytesTransferred: int,
) -> int:
    """WDK: "MmCopyMemory function (ntddk.h)": no bad source is a bug check."""
    physical = Flags == const("MM_COPY_MEMORY_PHYSICAL")
    done = 0
    status = 0
    if not physical and Flags != const("MM_COPY_MEMORY_VIRTUAL"):
        return const("STATUS_INVALID_PARAMETER_4")
    while done < NumberOfBytes:
        at = SourceAddress + done
        count = min(PAGE - at % PAGE, NumberOfBytes - done)
        data = _physical(k, at, count) if physical else _virtual(k, at, count)
        if data is None:
            status = const("STATUS_INVALID_ADDRESS" if not done else "STATUS_PARTIAL_COPY")
            break
        k.memory.write(TargetAddress + done, data)
        done += count
    k.memory.set_u64(NumberOfBytesTransferred, done)
    return status


def _physical(k: Kernel, at: int, count: int) -> bytes | None:
    return k.memory.ram[at : at + count] if at + count <= k.memory.size else None


def _virtual(k: Kernel, at: int, count: int) -> bytes | None:
    if at >= KERNEL_START and k.physical.is_device(at):
        return None
    return k.memory.try_read(at, count)


# -- contiguous memory ----------------------------------------------------------------------------


@export(
    "PVOID MmAllocateContiguousMemory(SIZE_T NumberOfBytes, "
    "PHYSICAL_ADDRESS HighestAcceptableAddress)",
    irql=DISPATCH_LEVEL,
)
def MmAllocateContiguousMemory(k: Kernel, NumberOfBytes: int, HighestAcceptableAddress: int) -> int:
    """WDK: "MmAllocateContiguousMemory function (wdm.h)"; the content is not defined."""
    return k.physical.allocate(
        NumberOfBytes, k.caller(), high=HighestAcceptableAddress, execute=True
    )


@export(
    "PVOID MmAllocateContiguousMemorySpecifyCache(SIZE_T NumberOfBytes, "
    "PHYSICAL_ADDRESS LowestAcceptableAddress, PHYSICAL_ADDRESS HighestAcceptableAddress, "
    "PHYSICAL_ADDRESS BoundaryAddressMultiple, MEMORY_CACHING_TYPE CacheType)",
    irql=DISPATCH_LEVEL,
    simplified=_UNCACHED,
)
def MmAllocateContiguousMemorySpecifyCache(
    k: Kernel,
    NumberOfBytes: int,
    LowestAcceptableAddress: int,
    HighestAcceptableAddress: int,
    BoundaryAddressMultiple: int,
    CacheType: int,
) -> int:
    """WDK: "MmAllocateContiguousMemorySpecifyCache function (wdm.h)"."""
    boundary = BoundaryAddressMultiple
    if boundary & (boundary - 1):
        return 0
    return k.physical.allocate(
        *(NumberOfBytes, k.caller()),
        low=LowestAcceptableAddress,
        high=HighestAcceptableAddress,
        boundary=boundary,
        execute=True,
    )


@export(
    "PVOID MmAllocateContiguousNodeMemory(SIZE_T NumberOfBytes, "
    "PHYSICAL_ADDRESS LowestAcceptableAddress, PHYSICAL_ADDRESS HighestAcceptableAddress, "
    "PHYSICAL_ADDRESS BoundaryAddressMultiple, ULONG Protect, ULONG PreferredNode)",
    irql=DISPATCH_LEVEL,
    simplified="there is one node",
)
def MmAllocateContiguousNodeMemory(
    k: Kernel,
    NumberOfBytes: int,
    LowestAcceptableAddress: int,
    HighestAcceptableAddress: int,
    BoundaryAddressMultiple: int,
    Protect: int,
    PreferredNode: int,
) -> int:
    """WDK: "MmAllocateContiguousNodeMemory function (wdm.h)": read-write, perhaps executable."""
    cache = const("PAGE_NOCACHE") | const("PAGE_WRITECOMBINE")
    allowed = (const("PAGE_READWRITE"), const("PAGE_EXECUTE_READWRITE"))
    boundary = BoundaryAddressMultiple
    if Protect & ~cache not in allowed or boundary & (boundary - 1):
        return 0
    return k.physical.allocate(
        *(NumberOfBytes, k.caller()),
        low=LowestAcceptableAddress,
        high=HighestAcceptableAddress,
        boundary=boundary,
        execute=Protect & ~cache == allowed[1],
    )


@export("VOID MmFreeContiguousMemory(PVOID BaseAddress)", irql=DISPATCH_LEVEL)
def MmFreeContiguousMemory(k: Kernel, BaseAddress: int) -> None:
    """WDK: "MmFreeContiguousMemory function (wdm.h)"; "Bug Check 0xC2: BAD_POOL_CALLER", 0x60."""
    k.physical.free(BaseAddress)


@export(
    "VOID MmFreeContiguousMemorySpecifyCache(PVOID BaseAddress, SIZE_T NumberOfBytes, "
    "MEMORY_CACHING_TYPE CacheType)",
    irql=DISPATCH_LEVEL,
)
def MmFreeContiguousMemorySpecifyCache(
    k: Kernel, BaseAddress: int, NumberOfBytes: int, CacheType: int
) -> None:
    """WDK: "MmFreeContiguousMemorySpecifyCache function (wdm.h)"."""
    k.physical.free(BaseAddress, -(-NumberOfBytes // PAGE))


@export("PVOID MmAllocateNonCachedMemory(SIZE_T NumberOfBytes)", irql=APC_LEVEL,
        simplified=_UNCACHED)  # fmt: skip
def MmAllocateNonCachedMemory(k: Kernel, NumberOfBytes: int) -> int:
    """WDK: "MmAllocateNonCachedMemory function (ntddk.h)"."""
    return k.physical.allocate(NumberOfBytes, k.caller())


@export("VOID MmFreeNonCachedMemory(PVOID BaseAddress, SIZE_T NumberOfBytes)", irql=APC_LEVEL)
def MmFreeNonCachedMemory(k: Kernel, BaseAddress: int, NumberOfBytes: int) -> None:
    """WDK: "MmFreeNonCachedMemory function (ntddk.h)": with the size it was allocated with."""
    k.physical.free(BaseAddress, -(-NumberOfBytes // PAGE))


# -- device memory --------------------------------------------------------------------------------


@export(
    "PVOID MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, "
    "MEMORY_CACHING_TYPE CacheType)",
    irql=DISPATCH_LEVEL,
    simplified=f"{_UNCACHED}; NULL where no device memory was declared",
)
def MmMapIoSpace(k: Kernel, PhysicalAddress: int, NumberOfBytes: int, CacheType: int) -> int:
    """WDK: "MmMapIoSpace function (wdm.h)": declared device memory, or memory that is locked."""
    return k.physical.map_io(PhysicalAddress, NumberOfBytes, k.caller(), execute=True)


@export(
    "PVOID MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, ULONG Protect)",
    irql=DISPATCH_LEVEL,
    simplified=f"{_UNCACHED}; NULL where no device memory was declared",
)
def MmMapIoSpaceEx(k: Kernel, PhysicalAddress: int, NumberOfBytes: int, Protect: int) -> int:
    """WDK: "MmMapIoSpaceEx function (wdm.h)"."""
    try:
        allowed = protection(Protect & ~const("PAGE_WRITECOMBINE"))
    except VmError:
        return 0
    return k.physical.map_io(
        *(PhysicalAddress, NumberOfBytes, k.caller()), write=allowed.write, execute=allowed.execute
    )


@export("VOID MmUnmapIoSpace(PVOID BaseAddress, SIZE_T NumberOfBytes)", irql=DISPATCH_LEVEL)
def MmUnmapIoSpace(k: Kernel, BaseAddress: int, NumberOfBytes: int) -> None:
    """WDK: "MmUnmapIoSpace function (wdm.h)"; "Bug Check 0xDA: SYSTEM_PTE_MISUSE"."""
    k.physical.unmap_io(BaseAddress, NumberOfBytes)


# -- registers and ports --------------------------------------------------------------------------
#
# On x64 the WDK compiles these in; what drivers import by name is the same.

_TYPES: Final = {"UCHAR": 1, "USHORT": 2, "ULONG": 4, "ULONG64": 8}


def _export(name: str, signature: str, function: Callable[..., Any], what: str) -> None:
    function.__name__ = name
    function.__doc__ = f'WDK: "{name} function (wdm.h)": {what}.'
    export(signature, irql=HIGH_LEVEL)(function)


def _registers(kind: str, size: int) -> None:
    def read(k: Kernel, Register: int) -> int:
        return int.from_bytes(k.memory.read(Register, size), "little")

    def write(k: Kernel, Register: int, Value: int) -> None:
        k.memory.write(Register, Value.to_bytes(size, "little"))

    def read_buffer(k: Kernel, Register: int, Buffer: int, Count: int) -> None:
        for index in range(Count):
            k.memory.write(Buffer + size * index, k.memory.read(Register + size * index, size))

    def write_buffer(k: Kernel, Register: int, Buffer: int, Count: int) -> None:
        for index in range(Count):
            k.memory.write(Register + size * index, k.memory.read(Buffer + size * index, size))

    name, buffers = f"REGISTER_{kind}", f"REGISTER_BUFFER_{kind}"
    buffer = f"(P{kind} Register, P{kind} Buffer, ULONG Count)"
    _export(f"READ_{name}", f"{kind} READ_{name}(P{kind} Register)", read, "one register")
    _export(
        *(f"WRITE_{name}", f"VOID WRITE_{name}(P{kind} Register, {kind} Value)"),
        *(write, "one register"),
    )
    _export(
        *(f"READ_{buffers}", f"VOID READ_{buffers}{buffer}", read_buffer),
        "registers at rising addresses",
    )
    _export(
        *(f"WRITE_{buffers}", f"VOID WRITE_{buffers}{buffer}", write_buffer),
        "registers at rising addresses",
    )


def _ports(kind: str, size: int) -> None:
    def read(k: Kernel, Port: int) -> int:
        return k.physical.read_port(Port, size)

    def write(k: Kernel, Port: int, Value: int) -> None:
        k.physical.write_port(Port, Value, size)

    def read_buffer(k: Kernel, Port: int, Buffer: int, Count: int) -> None:
        for index in range(Count):
            value = k.physical.read_port(Port, size)
            k.memory.write(Buffer + size * index, value.to_bytes(size, "little"))

    def write_buffer(k: Kernel, Port: int, Buffer: int, Count: int) -> None:
        for index in range(Count):
            raw = k.memory.read(Buffer + size * index, size)
            k.physical.write_port(Port, int.from_bytes(raw, "little"), size)

    name, buffers = f"PORT_{kind}", f"PORT_BUFFER_{kind}"
    buffer = f"(P{kind} Port, P{kind} Buffer, ULONG Count)"
    _export(f"READ_{name}", f"{kind} READ_{name}(P{kind} Port)", read, "one port")
    _export(
        *(f"WRITE_{name}", f"VOID WRITE_{name}(P{kind} Port, {kind} Value)"), *(write, "one port")
    )
    _export(
        *(f"READ_{buffers}", f"VOID READ_{buffers}{buffer}", read_buffer), "one port, many times"
    )
    _export(
        *(f"WRITE_{buffers}", f"VOID WRITE_{buffers}{buffer}", write_buffer),
        "one port, many times",
    )


for _kind, _size in _TYPES.items():
    _registers(_kind, _size)
    if _size < 8:
        _ports(_kind, _size)
