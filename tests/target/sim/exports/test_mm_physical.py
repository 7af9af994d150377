"""Physical addresses, contiguous memory, device memory, registers, ports, lookaside lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import UsageError
from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.structs import Struct, const
from kernellab.target.sim.machine.memory import PAGE

from .conftest import Guest

Build = Callable[..., BuildResult]

ANY = (1 << 64) - 1
DEVICE = 0xFED0_0010
TAG = 0x31676154


@pytest.fixture
def device(guest: Guest) -> Guest:
    """A machine with 5,000 bytes of device memory."""
    guest.k.physical._declare(DEVICE, bytes(range(200)) * 25)
    return guest


def check(guest: Guest, name: str, *arguments: int) -> tuple[str, tuple[int, ...]]:
    with pytest.raises(BugCheck) as info:
        guest.call(name, *arguments)
    return info.value.name, info.value.parameters


def test_addresses_and_back(guest: Guest) -> None:
    """WDK: "MmGetPhysicalAddress function (ntddk.h)", "MmGetVirtualForPhysical"."""
    address = guest.room(100)
    physical = guest.call("MmGetPhysicalAddress", address)
    page = guest.k.memory.page(address)
    assert page is not None
    assert physical == page.physical + address % PAGE
    assert guest.call("MmGetVirtualForPhysical", physical) == address
    assert guest.call("MmGetPhysicalAddress", 0xFFFF_A0FF_0000_0000) == 0


# -- MmCopyMemory ---------------------------------------------------------------------------------

PHYSICAL, VIRTUAL = 1, 2


def copied(guest: Guest, source: int, size: int, flags: int) -> tuple[int, bytes, int]:
    target, count = guest.room(2 * PAGE), guest.room(8)
    status = guest.call("MmCopyMemory", target, source, size, flags, count)
    done = guest.k.memory.u64(count) if status != const("STATUS_INVALID_PARAMETER_4") else 0
    return status, guest.read(target, done), done


def test_copying_memory(guest: Guest) -> None:
    """WDK: "MmCopyMemory function (ntddk.h)"."""
    source = guest.put(b"some bytes")
    assert copied(guest, source, 10, VIRTUAL) == (0, b"some bytes", 10)
    physical = guest.call("MmGetPhysicalAddress", source)
    assert copied(guest, physical, 10, PHYSICAL) == (0, b"some bytes", 10)
    for flags in (0, 3):
        assert copied(guest, source, 10, flags)[0] == const("STATUS_INVALID_PARAMETER_4")


def test_copying_bad_memory_is_no_bug_check(device: Guest) -> None:
    """WDK: "MmCopyMemory function (ntddk.h)": nor is I/O space copied."""
    end = device.put(b"0123456789ABCDEF") + 16
    assert copied(device, end - 4, 8, VIRTUAL) == (const("STATUS_PARTIAL_COPY"), b"CDEF", 4)
    bad = const("STATUS_INVALID_ADDRESS")
    assert copied(device, end, 8, VIRTUAL) == (bad, b"", 0)
    assert copied(device, DEVICE, 8, PHYSICAL) == (bad, b"", 0)
    mapped = device.call("MmMapIoSpace", DEVICE, 8, 0)
    assert copied(device, mapped, 8, VIRTUAL) == (bad, b"", 0)


# -- contiguous memory ----------------------------------------------------------------------------


def frames(guest: Guest, address: int, pages: int) -> list[int]:
    return [guest.call("MmGetPhysicalAddress", address + n * PAGE) for n in range(pages)]


def test_contiguous_memory(guest: Guest) -> None:
    """WDK: "MmAllocateContiguousMemory function (wdm.h)"."""
    for _ in range(20):
        guest.k.pool.free(guest.k.pool.live[guest.room(10)])
    highest = 0x1FF_FFFF
    address = guest.call("MmAllocateContiguousMemory", 10 * PAGE - 5, highest)
    found = frames(guest, address, 10)
    assert found == list(range(found[0], found[0] + 10 * PAGE, PAGE))
    assert found[-1] < highest
    assert set(guest.read(address, 10 * PAGE)) == {0xCD}
    guest.call("MmFreeContiguousMemory", address)
    assert guest.k.memory.page(address) is None
    assert not guest.k.memory.locked
    assert guest.call("MmAllocateContiguousMemory", 1 << 40, ANY) == 0


def test_contiguous_memory_in_bounds(guest: Guest) -> None:
    """WDK: "MmAllocateContiguousMemorySpecifyCache function (wdm.h)": no boundary is crossed."""
    name = "MmAllocateContiguousMemorySpecifyCache"
    boundary = 16 * PAGE
    for _ in range(8):
        address = guest.call(name, 10 * PAGE, 0x100_0000, 0x1FF_FFFF, boundary, 1)
        found = frames(guest, address, 10)
        assert found[0] >= 0x100_0000
        assert found[0] // boundary == found[-1] // boundary
    assert guest.call(name, PAGE, 0, ANY, 3 * PAGE, 1) == 0
    guest.call("MmFreeContiguousMemorySpecifyCache", address, 10 * PAGE, 1)
    protect = const("PAGE_READWRITE")
    address = guest.call("MmAllocateContiguousNodeMemory", PAGE, 0, ANY, 0, protect, 0)
    page = guest.k.memory.page(address)
    assert page is not None
    assert not page.execute


def test_noncached_memory(guest: Guest) -> None:
    """WDK: "MmAllocateNonCachedMemory function (ntddk.h)", "MmFreeNonCachedMemory"."""
    address = guest.call("MmAllocateNonCachedMemory", 5000)
    guest.k.memory.write(address, b"x" * 5000)
    guest.call("MmFreeNonCachedMemory", address, 5000)
    assert guest.k.physical.blocks == {}


@pytest.mark.parametrize("offset", [0, PAGE])
def test_contiguous_memory_freed_badly(guest: Guest, offset: int) -> None:
    """WDK: "Bug Check 0xC2: BAD_POOL_CALLER", 0x60: a bad pointer to contiguous memory."""
    address = guest.call("MmAllocateContiguousMemory", 2 * PAGE, ANY)
    if not offset:
        guest.call("MmFreeContiguousMemory", address)
    name, parameters = check(guest, "MmFreeContiguousMemory", address + offset)
    assert (name, parameters[:2]) == ("BAD_POOL_CALLER", (0x60, address + offset))


# -- device memory --------------------------------------------------------------------------------


def test_device_memory(device: Guest) -> None:
    """WDK: "MmMapIoSpace function (wdm.h)": what is declared, at its offset in the page."""
    at = device.call("MmMapIoSpace", DEVICE + 4090, 100, 0)
    assert at % PAGE == (DEVICE + 4090) % PAGE
    assert device.read(at, 20) == bytes(n % 200 for n in range(4090, 4110))
    assert device.call("MmGetPhysicalAddress", at) == DEVICE + 4090
    again = device.call("MmMapIoSpaceEx", DEVICE + 4090, 100, const("PAGE_READWRITE"))
    device.call("WRITE_REGISTER_ULONG", at, 0x1234_5678)
    assert device.call("READ_REGISTER_USHORT", again) == 0x5678
    assert device.k.physical.read_device(DEVICE + 4090, 4) == bytes.fromhex("78563412")
    device.call("MmUnmapIoSpace", at, 100)
    device.call("MmUnmapIoSpace", again, 100)
    assert device.k.physical.io_mappings == {}
    assert device.call("MmMapIoSpace", 0xFE00_0000, 8, 0) == 0


@pytest.mark.parametrize(("size", "twice", "kind"), [(8, True, 0x302), (PAGE + 8, False, 0x305)])
def test_device_memory_unmapped_badly(device: Guest, size: int, twice: bool, kind: int) -> None:
    """WDK: "Bug Check 0xDA: SYSTEM_PTE_MISUSE", 0x302, 0x305."""
    at = device.call("MmMapIoSpace", DEVICE, 8, 0)
    if twice:
        device.call("MmUnmapIoSpace", at, 8)
    name, parameters = check(device, "MmUnmapIoSpace", at, size)
    assert (name, parameters[:2]) == ("SYSTEM_PTE_MISUSE", (kind, at))


#: Reading, writing, reading and writing many, of each size in bytes.
REGISTERS = {
    1: "READ_REGISTER_UCHAR WRITE_REGISTER_UCHAR "
    "READ_REGISTER_BUFFER_UCHAR WRITE_REGISTER_BUFFER_UCHAR",
    2: "READ_REGISTER_USHORT WRITE_REGISTER_USHORT "
    "READ_REGISTER_BUFFER_USHORT WRITE_REGISTER_BUFFER_USHORT",
    4: "READ_REGISTER_ULONG WRITE_REGISTER_ULONG "
    "READ_REGISTER_BUFFER_ULONG WRITE_REGISTER_BUFFER_ULONG",
    8: "READ_REGISTER_ULONG64 WRITE_REGISTER_ULONG64 "
    "READ_REGISTER_BUFFER_ULONG64 WRITE_REGISTER_BUFFER_ULONG64",
}
PORTS = {
    1: "READ_PORT_UCHAR WRITE_PORT_UCHAR READ_PORT_BUFFER_UCHAR WRITE_PORT_BUFFER_UCHAR",
    2: "READ_PORT_USHORT WRITE_PORT_USHORT READ_PORT_BUFFER_USHORT WRITE_PORT_BUFFER_USHORT",
    4: "READ_PORT_ULONG WRITE_PORT_ULONG READ_PORT_BUFFER_ULONG WRITE_PORT_BUFFER_ULONG",
}


@pytest.mark.parametrize(("size", "names"), REGISTERS.items())
def test_registers(device: Guest, size: int, names: str) -> None:
    """WDK: "READ_REGISTER_ULONG function (wdm.h)" and its kind: UCHAR, USHORT, ULONG64."""
    read, write, read_many, write_many = names.split()
    at = device.call("MmMapIoSpace", DEVICE, 64, 0)
    first = int.from_bytes(bytes(range(size)), "little")
    assert device.call(read, at) == first
    device.call(write, at + size, first + 1)
    assert device.call(read, at + size) == first + 1
    buffer = device.room(4 * size)
    device.call(read_many, at, buffer, 4)
    assert device.read(buffer, 4 * size) == device.read(at, 4 * size)
    device.k.memory.write(buffer, b"\x11" * 4 * size)
    device.call(write_many, at + 8, buffer, 3)
    assert device.read(at + 8, 3 * size + 1) == b"\x11" * 3 * size + bytes([8 + 3 * size])


@pytest.mark.parametrize(("size", "names"), PORTS.items())
def test_ports(guest: Guest, size: int, names: str) -> None:
    """WDK: "READ_PORT_UCHAR function (wdm.h)" and its kind; nothing there reads as all ones."""
    read, write, read_many, write_many = names.split()
    assert guest.call(read, 0x3F8) == (1 << 8 * size) - 1
    guest.call(write, 0x3F8, 0x12)
    assert guest.call(read, 0x3F8) == 0x12
    buffer = guest.put(bytes(range(3 * size)))
    guest.call(write_many, 0x2F8, buffer, 3)
    last = bytes(range(2 * size, 3 * size))
    guest.call(read_many, 0x2F8, buffer, 2)
    assert guest.read(buffer, 2 * size) == 2 * last


#: What the WDK's inline functions and intrinsics become.
_DEVICE_DRIVER = """
    let base = MmMapIoSpace(0xFED00000, 4096, MmNonCached) as *mut u32;
    println!("{:#x} {:#x}", base.read_volatile(), base.add(1).read_volatile());
    base.add(1).write_volatile(0x55);
    println!("{:#x}", base.add(1).read_volatile());
    MmUnmapIoSpace(base.cast(), 4096);
    let mut al: u8; let eax: u32;
    core::arch::asm!("in al, dx", out("al") al, in("dx") 0x3F8u16);
    core::arch::asm!("in eax, dx", out("eax") eax, in("dx") 0x70u16);
    println!("{al:#x} {eax:#x}");
    core::arch::asm!("out dx, al", in("al") 0x21u8, in("dx") 0x3F8u16);
    core::arch::asm!("in al, dx", out("al") al, in("dx") 0x3F8u16);
    println!("{al:#x}");
"""


def test_a_device_declared_from_python(build_driver: Build) -> None:
    """WDK: "MmMapIoSpace function (wdm.h)"; ports as x64 drivers have them, by instructions."""
    extra = "use windows_kernel_rs::sys::*;"
    image = build_driver("devmem", f"unsafe {{ {_DEVICE_DRIVER} }}", extra=extra).sys
    registers = bytes.fromhex("efbeadde 01000000")
    with kernellab.connect(
        device_memory={0xFED0_0000: registers, 0xFEE0_0000: 4096}, ports={0x3F8: 0x60}
    ) as target:
        lines = list(target.load(image).log.lines)
    assert lines == ["0xdeadbeef 0x1", "0x55", "0x60 0xffffffff", "0x21"]


@pytest.mark.parametrize(
    "settings",
    [
        {"device_memory": {0xFED0_0000: "text"}},
        {"device_memory": [1]},
        {"device_memory": {-4096: b"x"}},
        {"device_memory": {0: 1 << 40}},
        {"ports": {0x3F8: b"x"}},
        {"ports": {0x1_0000: 1}},
        {"ports": {0x3F8: 1 << 32}},
        {"pool_guard": "left"},
    ],
)
def test_bad_settings(settings: Any) -> None:
    with pytest.raises(UsageError), kernellab.connect("sim", **settings):
        pass


# -- lookaside lists ------------------------------------------------------------------------------


def push(guest: Guest, head: int, size: int) -> int:
    """What ExFreeToNPagedLookasideList does inline."""
    entry = guest.call("ExAllocatePoolWithTag", 512, size, TAG)
    guest.call("ExpInterlockedPushEntrySList", head, entry)
    return entry


@pytest.mark.parametrize(
    ("initialize", "delete", "paged"),
    [
        ("ExInitializeNPagedLookasideList", "ExDeleteNPagedLookasideList", 0),
        ("ExInitializePagedLookasideList", "ExDeletePagedLookasideList", 1),
    ],
)
def test_lookaside_list(guest: Guest, initialize: str, delete: str, paged: int) -> None:
    """WDK: "ExInitializeNPagedLookasideList function (wdm.h)": NULL routines are the pool's."""
    head = guest.room(128) & ~63
    guest.call(initialize, head, 0, 0, 512, 48, TAG, 0)
    entry = Struct(guest.k.memory, "GENERAL_LOOKASIDE", head)
    assert (entry["Size"], entry["Tag"], entry["Type"]) == (48, TAG, 512 | paged)
    assert entry["Allocate"] == guest.k.stub_of("ExAllocatePoolWithTag")
    assert entry["Free"] == guest.k.stub_of("ExFreePool")
    entries = [push(guest, head, 48) for _ in range(3)]
    assert guest.call("ExpInterlockedPopEntrySList", head) == entries.pop()
    guest.call(delete, head)
    assert not any(entry in guest.k.pool.live for entry in entries)
    assert guest.k.lookaside.lists == {}


def test_extended_lookaside_list(guest: Guest) -> None:
    """WDK: "ExInitializeLookasideListEx function (wdm.h)", "ExFlushLookasideListEx"."""
    head = guest.room(128) & ~63
    raises = const("EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL")
    name = "ExInitializeLookasideListEx"
    bad = guest.call(name, head, 0, 0, 512, 7, 48, TAG, 0)
    assert bad == const("STATUS_INVALID_PARAMETER_5")
    assert guest.call(name, head, 0, 0, 512, raises, 48, TAG, 0) == 0
    kind = Struct(guest.k.memory, "GENERAL_LOOKASIDE", head)["Type"]
    assert kind == 512 | const("POOL_RAISE_IF_ALLOCATION_FAILURE")
    first = push(guest, head, 48)
    guest.call("ExFlushLookasideListEx", head)
    assert first not in guest.k.pool.live
    push(guest, head, 48)
    guest.call("ExDeleteLookasideListEx", head)
    assert guest.k.pool.owned_by("test.sys") == []


@pytest.mark.parametrize(
    ("count", "size", "delete", "code"), [(2, 48, 0, 0xCA), (1, 4, 0, 0xCD), (1, 48, 2, 0xCB)]
)
def test_lookaside_list_misused(
    guest: Guest, count: int, size: int, delete: int, code: int
) -> None:
    """WDK: "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0xCA, 0xCB, 0xCD."""
    head = guest.room(128) & ~63
    with pytest.raises(BugCheck) as info:
        for _ in range(count):
            guest.call("ExInitializeNPagedLookasideList", head, 0, 0, 512, size, TAG, 0)
        for _ in range(delete):
            guest.call("ExDeleteNPagedLookasideList", head)
    assert info.value.parameters[:2] == (code, head)
