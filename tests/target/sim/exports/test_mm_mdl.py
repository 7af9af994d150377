"""Memory descriptor lists: what they describe, lock and map; how their misuse is answered."""

from __future__ import annotations

import struct

import pytest

from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.mdl_map import LOCKED, MAPPED, NONPAGED, PARTIAL
from kernellab.target.sim.kernel.structs import Struct, const
from kernellab.target.sim.machine.memory import PAGE

from .conftest import Guest

KERNEL, USER = 0, 1
READ, WRITE = 0, 1
CACHED = 1


def fields(guest: Guest, mdl: int) -> Struct:
    return Struct(guest.k.memory, "MDL", mdl)


def pfns(guest: Guest, mdl: int) -> list[int]:
    entry = fields(guest, mdl)
    count = (entry["ByteOffset"] + entry["ByteCount"] + PAGE - 1) // PAGE
    return list(struct.unpack(f"<{count}Q", guest.read(mdl + 48, 8 * count)))


def mdl_of(guest: Guest, address: int, size: int) -> int:
    mdl = guest.call("IoAllocateMdl", address, size, 0, 0, 0)
    assert mdl
    return mdl


def locked(guest: Guest, address: int, size: int) -> int:
    mdl = mdl_of(guest, address, size)
    guest.call("MmProbeAndLockPages", mdl, KERNEL, WRITE)
    return mdl


def check(guest: Guest, name: str, *arguments: int, irql: int = 0) -> tuple[str, tuple[int, ...]]:
    with pytest.raises(BugCheck) as info:
        guest.call(name, *arguments, irql=irql)
    assert info.value.message
    return info.value.name, info.value.parameters


@pytest.fixture
def buffer(guest: Guest) -> int:
    """10,000 bytes of paged pool; a letter for each page."""
    address = guest.k.pool.allocate(10_000, 1, paged=True)
    for page, letter in enumerate(b"abc"):
        guest.k.memory.write(address + page * PAGE, bytes([letter]) * 100)
    return address


@pytest.mark.parametrize(
    ("address", "size", "pages"),
    [(0x1000, 1, 1), (0x1FFF, 2, 2), (0x1000, PAGE, 1), (0x1001, PAGE, 2), (0x1000, 0, 0)],
)
def test_size(guest: Guest, address: int, size: int, pages: int) -> None:
    """WDK: "MmSizeOfMdl function (wdm.h)"; "ADDRESS_AND_SIZE_TO_SPAN_PAGES macro (wdm.h)"."""
    assert guest.call("MmSizeOfMdl", address, size) == 48 + 8 * pages


def test_allocated(guest: Guest) -> None:
    """WDK: "IoAllocateMdl function (wdm.h)": it describes the buffer, and locks nothing."""
    mdl = fields(guest, mdl_of(guest, 0xFFFF_9000_0000_1234, 0x2000))
    assert (mdl["StartVa"], mdl["ByteOffset"]) == (0xFFFF_9000_0000_1000, 0x234)
    assert (mdl["ByteCount"], mdl["Size"], mdl["Next"]) == (0x2000, 48 + 3 * 8, 0)
    assert not mdl["MdlFlags"] & (LOCKED | MAPPED | NONPAGED)


def test_chain_of_an_irp(guest: Guest) -> None:
    """WDK: "IoAllocateMdl function (wdm.h)": SecondaryBuffer says whether it goes to the end."""
    irp = guest.room(0xD0)
    at = Struct(guest.k.memory, "IRP", irp).at("MdlAddress")
    one, two, three = (
        guest.call("IoAllocateMdl", 0x10000, 1, secondary, 0, irp) for secondary in (0, 1, 1)
    )
    assert guest.k.memory.u64(at) == one
    assert [fields(guest, mdl)["Next"] for mdl in (one, two, three)] == [two, three, 0]


def test_nonpaged_pool(guest: Guest) -> None:
    """WDK: "MmBuildMdlForNonPagedPool function (wdm.h)": the pages, and the address itself."""
    address = guest.room(2 * PAGE)
    mdl = mdl_of(guest, address + 5, PAGE)
    guest.call("MmBuildMdlForNonPagedPool", mdl)
    physical = [guest.k.memory.page(address + n * PAGE) for n in (0, 1)]
    assert pfns(guest, mdl) == [page.physical // PAGE for page in physical if page]
    assert fields(guest, mdl)["MappedSystemVa"] == address + 5
    assert fields(guest, mdl)["MdlFlags"] & NONPAGED


def test_lock_map_and_back(guest: Guest, buffer: int) -> None:
    """WDK: "Using MDLs": what is written at one address is read at the other."""
    events: list[str] = []
    for name in ("allocated", "freed", "locked", "unlocked", "mapped", "unmapped"):
        guest.k.bus.on(f"mdl-{name}", lambda record, name=name: events.append(name))
    mdl = mdl_of(guest, buffer + 10, 9000)
    guest.call("MmProbeAndLockPages", mdl, KERNEL, WRITE)
    assert fields(guest, mdl)["MdlFlags"] & (LOCKED | MAPPED) == LOCKED
    at = guest.call("MmMapLockedPagesSpecifyCache", mdl, KERNEL, CACHED, 0, 0, 16)
    assert at % PAGE == (buffer + 10) % PAGE
    assert at != buffer + 10
    assert guest.read(at, 5) == b"aaaaa"
    assert guest.read(at + 2 * PAGE - 10, 5) == b"ccccc"
    guest.k.memory.write(at + PAGE, b"new")
    assert guest.read(buffer + PAGE + 10, 3) == b"new"
    assert fields(guest, mdl)["MappedSystemVa"] == at
    guest.call("MmUnmapLockedPages", at, mdl)
    assert guest.k.memory.page(at) is None
    guest.call("MmUnlockPages", mdl)
    assert not fields(guest, mdl)["MdlFlags"] & LOCKED
    guest.call("IoFreeMdl", mdl)
    assert not (guest.k.mdl.live or guest.k.mdl.locks or guest.k.mdl.mappings)
    assert events == ["allocated", "locked", "mapped", "unmapped", "unlocked", "freed"]
    assert guest.read(buffer + PAGE + 10, 3) == b"new"


def test_unlocking_unmaps(guest: Guest, buffer: int) -> None:
    """WDK: "MmUnlockPages function (wdm.h)": a mapping in system space is released first."""
    mdl = locked(guest, buffer, 100)
    at = guest.call("MmMapLockedPages", mdl, KERNEL)
    guest.call("MmUnlockPages", mdl)
    assert guest.k.memory.page(at) is None
    guest.call("IoFreeMdl", mdl)


def test_locked_pages_outlive_their_allocation(guest: Guest, buffer: int) -> None:
    """WDK: "MmProbeAndLockPages function (wdm.h)": they cannot be freed and used anew."""
    mdl = locked(guest, buffer, 3 * PAGE)
    at = guest.call("MmMapLockedPages", mdl, KERNEL)
    free = guest.k.memory.available
    guest.k.pool.free(guest.k.pool.live[buffer])
    assert guest.k.memory.available == free
    assert guest.read(at, 3) == b"aaa"
    guest.call("MmUnlockPages", mdl)
    assert guest.k.memory.available == free + 3 * PAGE


def test_mapping_without_writing(guest: Guest, buffer: int) -> None:
    """WDK: "MmMapLockedPagesSpecifyCache function (wdm.h)": MdlMappingNoWrite, …NoExecute."""
    mdl = locked(guest, buffer, 100)
    priority = 16 | const("MdlMappingNoWrite") | const("MdlMappingNoExecute")
    at = guest.call("MmMapLockedPagesSpecifyCache", mdl, KERNEL, CACHED, 0, 0, priority)
    page = guest.k.memory.page(at)
    assert page is not None
    assert (page.write, page.execute) == (False, False)


def test_protection_of_a_mapping(guest: Guest, buffer: int) -> None:
    """WDK: "MmProtectMdlSystemAddress function (wdm.h)"."""
    mdl = locked(guest, buffer, 100)
    protect = "MmProtectMdlSystemAddress"
    assert guest.call(protect, mdl, const("PAGE_READONLY")) == const("STATUS_NOT_MAPPED_VIEW")
    at = guest.call("MmMapLockedPages", mdl, KERNEL)
    assert guest.call(protect, mdl, 3) == const("STATUS_INVALID_PAGE_PROTECTION")
    assert guest.call(protect, mdl, const("PAGE_READONLY")) == 0
    page = guest.k.memory.page(at)
    assert page is not None
    assert not page.write
    assert guest.call(protect, mdl, const("PAGE_NOACCESS")) == 0
    assert guest.k.memory.page(at) is None
    assert guest.call(protect, mdl, const("PAGE_READWRITE")) == 0
    assert guest.read(at, 3) == b"aaa"
    guest.call("MmUnmapLockedPages", at, mdl)


# -- partial MDLs ---------------------------------------------------------------------------------


def test_part_of_an_mdl(guest: Guest, buffer: int) -> None:
    """WDK: "IoBuildPartialMdl function (wdm.h)": its pages; a length of 0 is the rest."""
    whole = locked(guest, buffer + 10, 9000)
    part = mdl_of(guest, buffer, 9000)
    guest.call("IoBuildPartialMdl", whole, part, buffer + PAGE + 20, 50)
    assert pfns(guest, part) == pfns(guest, whole)[1:2]
    assert fields(guest, part)["MdlFlags"] & (PARTIAL | LOCKED | MAPPED) == PARTIAL
    at = guest.call("MmMapLockedPages", part, KERNEL)
    assert guest.read(at, 3) == b"bbb"
    guest.call("IoFreeMdl", part)  # releases the mapping of a partial MDL
    assert guest.k.memory.page(at) is None
    rest = mdl_of(guest, buffer, 9000)
    guest.call("IoBuildPartialMdl", whole, rest, buffer + PAGE + 20, 0)
    assert fields(guest, rest)["ByteCount"] == 9010 - PAGE - 20


def test_part_of_a_mapped_mdl_shares_the_mapping(guest: Guest, buffer: int) -> None:
    """WDK: "IoBuildPartialMdl function (wdm.h)"."""
    whole = locked(guest, buffer, 9000)
    at = guest.call("MmMapLockedPages", whole, KERNEL)
    part = mdl_of(guest, buffer, 9000)
    guest.call("IoBuildPartialMdl", whole, part, buffer + PAGE, 50)
    assert fields(guest, part)["MappedSystemVa"] == at + PAGE
    assert fields(guest, part)["MdlFlags"] & MAPPED
    guest.call("IoFreeMdl", part)
    assert guest.read(at, 3) == b"aaa"


@pytest.mark.parametrize(("offset", "length"), [(-1, 10), (0, 9001), (9001, 0), (8990, 11)])
def test_part_beyond_the_whole(guest: Guest, buffer: int, offset: int, length: int) -> None:
    """WDK: "Bug Check 0x12E: INVALID_MDL_RANGE"."""
    whole, part = locked(guest, buffer + 10, 9000), mdl_of(guest, buffer, 10_000)
    name, parameters = check(guest, "IoBuildPartialMdl", whole, part, buffer + 10 + offset, length)
    assert name == "INVALID_MDL_RANGE"
    assert parameters == (whole, part, buffer + 10 + offset, length)


def test_part_that_does_not_fit(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0x40: TARGET_MDL_TOO_SMALL"."""
    whole, part = locked(guest, buffer, 9000), mdl_of(guest, buffer, 1)
    name, _ = check(guest, "IoBuildPartialMdl", whole, part, buffer, PAGE + 1)
    assert name == "TARGET_MDL_TOO_SMALL"


# -- misuse ---------------------------------------------------------------------------------------


def test_locked_twice(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0xB0."""
    mdl = locked(guest, buffer, 10)
    name, parameters = check(guest, "MmProbeAndLockPages", mdl, KERNEL, WRITE)
    assert name == "DRIVER_VERIFIER_DETECTED_VIOLATION"
    assert parameters == (0xB0, mdl, fields(guest, mdl)["MdlFlags"], LOCKED)


def test_unlocked_twice(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0x4E: PFN_LIST_CORRUPT", 7: unlocked more often than it was locked."""
    mdl = locked(guest, buffer, 10)
    guest.call("MmUnlockPages", mdl)
    name, parameters = check(guest, "MmUnlockPages", mdl)
    assert (name, parameters[:2]) == ("PFN_LIST_CORRUPT", (7, pfns(guest, mdl)[0]))


def test_unlocking_a_part(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0xB4."""
    whole, part = locked(guest, buffer, 9000), mdl_of(guest, buffer, 9000)
    guest.call("IoBuildPartialMdl", whole, part, buffer, 0)
    assert check(guest, "MmUnlockPages", part)[1][:2] == (0xB4, part)


def test_mapping_what_is_not_locked(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0xB3."""
    mdl = mdl_of(guest, buffer, 10)
    assert check(guest, "MmMapLockedPages", mdl, KERNEL)[1][:2] == (0xB3, mdl)


def test_mapping_twice(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0xB2."""
    mdl = locked(guest, buffer, 10)
    guest.call("MmMapLockedPages", mdl, KERNEL)
    assert check(guest, "MmMapLockedPages", mdl, KERNEL)[1][:2] == (0xB2, mdl)


def test_unmapping_twice(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xDA: SYSTEM_PTE_MISUSE", 6."""
    mdl = locked(guest, buffer, 10)
    at = guest.call("MmMapLockedPages", mdl, KERNEL)
    guest.call("MmUnmapLockedPages", at, mdl)
    assert check(guest, "MmUnmapLockedPages", at, mdl) == ("SYSTEM_PTE_MISUSE", (6, mdl, at, 1))


def test_unmapping_a_wrong_address(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xDA: SYSTEM_PTE_MISUSE", 3."""
    mdl = locked(guest, buffer, 10)
    at = guest.call("MmMapLockedPages", mdl, KERNEL)
    wrong = at + 2 * PAGE
    assert check(guest, "MmUnmapLockedPages", wrong, mdl)[1] == (3, 0, at, wrong)


@pytest.mark.parametrize(("field", "kind"), [("ByteCount", 2), ("first page", 4), ("StartVa", 5)])
def test_changed_while_mapped(guest: Guest, buffer: int, field: str, kind: int) -> None:
    """WDK: "Bug Check 0xDA: SYSTEM_PTE_MISUSE", 2, 4, 5."""
    mdl = locked(guest, buffer, 2 * PAGE)
    at = guest.call("MmMapLockedPages", mdl, KERNEL)
    if field == "first page":
        guest.k.memory.set_u64(mdl + 48, 77)
    else:
        fields(guest, mdl)[field] -= PAGE
    assert check(guest, "MmUnmapLockedPages", at, mdl)[1][0] == kind


def test_freed_while_mapped(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0xB8."""
    mdl = locked(guest, buffer, 10)
    guest.call("MmMapLockedPages", mdl, KERNEL)
    assert check(guest, "IoFreeMdl", mdl)[1][:2] == (0xB8, mdl)


def test_freed_while_locked(guest: Guest, buffer: int) -> None:
    guest.call("IoFreeMdl", locked(guest, buffer, 10))
    assert [fields["rule"] for kind, fields in guest.events] == ["mdl-freed-locked"]
    assert not guest.k.memory.locked


@pytest.mark.parametrize("address", [0x20000, 0xFFFF_A0FF_0000_0000])
def test_nonpaged_mdl_of_user_or_absent_memory(guest: Guest, address: int) -> None:
    """WDK: "Bug Check 0x1A: MEMORY_MANAGEMENT", 0x1240."""
    mdl = mdl_of(guest, address, 10)
    name, parameters = check(guest, "MmBuildMdlForNonPagedPool", mdl)
    assert (name, parameters[:2]) == ("MEMORY_MANAGEMENT", (0x1240, mdl))


def test_nonpaged_mdl_of_paged_pool(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0xC4: DRIVER_VERIFIER_DETECTED_VIOLATION", 0x140."""
    mdl = mdl_of(guest, buffer, 10)
    assert check(guest, "MmBuildMdlForNonPagedPool", mdl)[1] == (0x140, 0, mdl, buffer)


def test_a_page_that_is_not_locked(guest: Guest, buffer: int) -> None:
    """WDK: "Bug Check 0x1A: MEMORY_MANAGEMENT", 0x1233."""
    mdl = locked(guest, buffer, 10)
    guest.k.memory.set_u64(mdl + 48, 99)
    assert check(guest, "MmMapLockedPages", mdl, KERNEL) == (
        "MEMORY_MANAGEMENT",
        (0x1233, 99, 0, 0),
    )


# -- pages of an MDL's own ------------------------------------------------------------------------

ANY = (1 << 63) - 1


def test_pages_for_an_mdl(guest: Guest) -> None:
    """WDK: "MmAllocatePagesForMdl function (wdm.h)": zeroed, locked, not mapped."""
    free = guest.k.memory.available
    mdl = guest.call("MmAllocatePagesForMdl", 0, ANY, 0, 3 * PAGE - 1)
    entry = fields(guest, mdl)
    assert (entry["StartVa"], entry["ByteOffset"], entry["ByteCount"]) == (0, 0, 3 * PAGE)
    assert len(set(pfns(guest, mdl))) == 3
    at = guest.call("MmMapLockedPages", mdl, KERNEL)
    assert guest.read(at, 3 * PAGE) == bytes(3 * PAGE)
    guest.call("MmUnmapLockedPages", at, mdl)
    guest.call("MmFreePagesFromMdl", mdl)
    guest.call("ExFreePool", mdl)
    assert free - guest.k.memory.available < 4 * PAGE  # tables
    assert not guest.k.memory.locked


def test_pages_within_a_range_and_in_a_row(guest: Guest) -> None:
    """WDK: "MmAllocatePagesForMdlEx function (wdm.h)"."""
    contiguous = const("MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS")
    low, high = 0x100_0000, 0x10F_FFFF
    mdl = guest.call("MmAllocatePagesForMdlEx", low, high, 0, 64 * PAGE, CACHED, contiguous)
    found = pfns(guest, mdl)
    assert found == list(range(found[0], found[0] + 64))
    assert low <= found[0] * PAGE
    assert found[-1] * PAGE < high
    # The range has 256 pages, so 192 are left; the call gives what there is.
    rest = guest.call("MmAllocatePagesForMdlEx", low, high, 0, 300 * PAGE, CACHED, 0)
    assert len(pfns(guest, rest)) == 192
    fully = const("MM_ALLOCATE_FULLY_REQUIRED")
    assert guest.call("MmAllocatePagesForMdlEx", low, high, 0, PAGE, CACHED, fully) == 0
    # With a distance, the next range is used when one is full.
    mdl = guest.call("MmAllocatePagesForMdlEx", low, high, 0x100_0000, PAGE, CACHED, 0)
    assert 0x200_0000 <= pfns(guest, mdl)[0] * PAGE <= 0x20F_FFFF


def test_pages_freed_twice(guest: Guest) -> None:
    mdl = guest.call("MmAllocatePagesForMdl", 0, ANY, 0, PAGE)
    guest.call("MmFreePagesFromMdl", mdl)
    assert check(guest, "MmFreePagesFromMdl", mdl)[0] == "PFN_LIST_CORRUPT"


# -- reserved mappings ----------------------------------------------------------------------------

TAG = 0x31676154


def test_reserved_mapping(guest: Guest, buffer: int) -> None:
    """WDK: "MmMapLockedPagesWithReservedMapping function (wdm.h)"."""
    at = guest.call("MmAllocateMappingAddress", 2 * PAGE, TAG)
    assert guest.k.memory.page(at) is None
    name = "MmMapLockedPagesWithReservedMapping"
    big, mdl = locked(guest, buffer, 2 * PAGE + 1), locked(guest, buffer + 7, 2 * PAGE - 7)
    assert guest.call(name, at, TAG, big, CACHED) == 0
    assert guest.call(name, at, TAG, mdl, CACHED) == at + 7
    assert guest.read(at + PAGE, 3) == b"bbb"
    assert check(guest, name, at, TAG, mdl, CACHED)[1][:2] == (0x107, at)


@pytest.mark.parametrize(
    ("name", "tag", "kind"),
    [
        ("MmFreeMappingAddress", TAG + 1, 0x101),
        ("MmFreeMappingAddress", TAG, 0x103),
        ("MmUnmapReservedMapping", TAG + 1, 0x108),
        ("MmMapLockedPagesWithReservedMapping", TAG + 1, 0x104),
    ],
)
def test_reserved_mapping_misused(
    guest: Guest, buffer: int, name: str, tag: int, kind: int
) -> None:
    """WDK: "Bug Check 0xDA: SYSTEM_PTE_MISUSE", 0x101 to 0x10C."""
    at = guest.call("MmAllocateMappingAddress", 2 * PAGE, TAG)
    mdl = locked(guest, buffer, PAGE)
    guest.call("MmMapLockedPagesWithReservedMapping", at, TAG, mdl, CACHED)
    assert check(guest, name, at, tag, mdl, CACHED)[1][:2] == (kind, at)


def test_reserved_mapping_and_back(guest: Guest, buffer: int) -> None:
    """WDK: "MmUnmapReservedMapping function (wdm.h)"; "Bug Check 0xDA", 0x102."""
    at = guest.call("MmAllocateMappingAddress", 2 * PAGE, TAG)
    mdl = locked(guest, buffer, PAGE)
    for _ in range(2):
        guest.call("MmMapLockedPagesWithReservedMapping", at, TAG, mdl, CACHED)
        guest.call("MmUnmapReservedMapping", at, TAG, mdl)
    guest.call("MmFreeMappingAddress", at, TAG)
    assert guest.k.mdl.reserved == {}
    assert check(guest, "MmFreeMappingAddress", at, TAG)[1][0] == 0x102
