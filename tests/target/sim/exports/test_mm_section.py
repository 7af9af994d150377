"""Sections backed by the paging file, and their views."""

from __future__ import annotations

import struct

import pytest

from kernellab.target.sim.kernel import fs_client
from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.structs import const
from kernellab.target.sim.machine.memory import PAGE, MemoryFault

from .conftest import Guest
from .test_zw_file import Files

CURRENT = 0xFFFF_FFFF_FFFF_FFFF
READWRITE, READONLY = 4, 2
COMMIT = 0x0800_0000
ALL = 0xF001F


def attributes(guest: Guest, name: str) -> int:
    return guest.put(struct.pack("<QQQQQQ", 48, 0, guest.unicode(name) if name else 0, 0, 0, 0))


def create(
    guest: Guest, size: int, protect: int = READWRITE, kind: int = COMMIT, file: int = 0,
    name: str = "",
) -> tuple[int, int]:  # fmt: skip
    """ZwCreateSection: status and handle."""
    handle = guest.room(8)
    length = guest.put(size.to_bytes(8, "little"))
    objects = attributes(guest, name) if name else 0
    status = guest.call("ZwCreateSection", handle, ALL, objects, length, protect, kind, file)
    return status, guest.k.memory.u64(handle)


def view(
    guest: Guest, handle: int, offset: int = 0, size: int = 0, protect: int = READWRITE,
    base: int = 0, process: int = CURRENT,
) -> tuple[int, int, int]:  # fmt: skip
    """ZwMapViewOfSection: status, address, size."""
    at, start, length = (guest.put(n.to_bytes(8, "little")) for n in (base, offset, size))
    name = "ZwMapViewOfSection"
    status = guest.call(name, handle, process, at, 0, 0, start, length, 2, 0, protect)
    return status, guest.k.memory.u64(at), guest.k.memory.u64(length)


def test_views_share_the_section(guest: Guest) -> None:
    """WDK: "Section Objects and Views": two views in one process, one in another, one in system
    space show the same memory, which lives until the last of them and the handle are gone.
    """
    free = guest.k.memory.available
    status, handle = create(guest, 0x30000 - 5)
    assert status == 0
    status, one, size = view(guest, handle)
    assert (status, one % 0x10000, size) == (0, 0, 0x30000)
    status, two, size = view(guest, handle, offset=0x1FFFF, size=PAGE + 1, protect=READONLY)
    assert (status, size) == (0, 2 * PAGE)
    system, client = guest.k.ps.system.vm, guest.k.ps.client
    system.write(one + 0x10000, b"shared")
    assert system.read(two, 6) == b"shared"
    with pytest.raises(MemoryFault):
        system.write(two, b"x")
    other = guest.k.ob.open(guest.k.ob.get(client.object), 4)
    status, three, _ = view(guest, handle, process=other)
    assert status == 0
    assert client.vm.read(three + 0x10000, 6) == b"shared"
    entry = guest.k.ob.find(handle, 4)
    assert entry is not None
    base, length = guest.room(8), guest.put(bytes(8))
    assert guest.call("MmMapViewInSystemSpace", entry.object.address, base, length) == 0
    at = guest.k.memory.u64(base)
    assert guest.read(at + 0x10000, 6) == b"shared"
    assert guest.call("ZwClose", handle) == 0
    assert guest.call("MmUnmapViewInSystemSpace", at) == 0
    assert guest.k.memory.page(at) is None
    assert guest.call("ZwUnmapViewOfSection", CURRENT, two + 5) == 0
    assert guest.call("ZwUnmapViewOfSection", other, three) == 0
    assert system.read(one + 0x10000, 6) == b"shared"
    assert guest.call("ZwUnmapViewOfSection", CURRENT, one) == 0
    assert entry.object.address not in guest.k.ob.objects
    assert free - guest.k.memory.available < 0x30000  # the section's pages are free again
    status = guest.call("ZwUnmapViewOfSection", CURRENT, one)
    assert status == const("STATUS_NOT_MAPPED_VIEW")


def test_a_named_section(guest: Guest) -> None:
    """WDK: "ZwOpenSection function (wdm.h)"."""
    name = "\\BaseNamedObjects\\Shared"
    status, handle = create(guest, PAGE, name=name)
    assert status == 0
    assert create(guest, PAGE, name=name)[0] == const("STATUS_OBJECT_NAME_COLLISION")
    _, one, _ = view(guest, handle)
    again = guest.room(8)
    assert guest.call("ZwOpenSection", again, ALL, attributes(guest, name)) == 0
    _, two, _ = view(guest, guest.k.memory.u64(again))
    guest.k.ps.system.vm.write(one, b"named")
    assert guest.k.ps.system.vm.read(two, 5) == b"named"
    missing = guest.call("ZwOpenSection", again, ALL, attributes(guest, name + "2"))
    assert missing == const("STATUS_OBJECT_NAME_NOT_FOUND")


@pytest.mark.parametrize(
    ("size", "protect", "kind", "file", "status"),
    [
        (0, READWRITE, COMMIT, 0, "STATUS_INVALID_PARAMETER_4"),
        (PAGE, READWRITE, 0, 0, "STATUS_INVALID_PARAMETER_6"),
        (PAGE, 1, COMMIT, 0, "STATUS_INVALID_PAGE_PROTECTION"),
        (1 << 40, READWRITE, COMMIT, 0, "STATUS_SECTION_TOO_BIG"),
        (PAGE, READWRITE, COMMIT, 0x44, "STATUS_INVALID_HANDLE"),
        (PAGE, READWRITE, COMMIT | 0x1000000, 0, "STATUS_NOT_SUPPORTED"),
    ],
)
def test_sections_refused(
    guest: Guest, size: int, protect: int, kind: int, file: int, status: str
) -> None:
    """WDK: "ZwCreateSection function (wdm.h)"."""
    assert create(guest, size, protect, kind, file)[0] == const(status)


@pytest.mark.parametrize(
    ("offset", "size", "protect", "base", "status"),
    [
        (0x10000, 0, READWRITE, 0, "STATUS_INVALID_VIEW_SIZE"),
        (0, 0x10001, READWRITE, 0, "STATUS_INVALID_VIEW_SIZE"),
        (0, 0, 0, 0, "STATUS_INVALID_PAGE_PROTECTION"),
        (0, 0, READWRITE, 0, "STATUS_SECTION_PROTECTION"),
        (0, 0, READONLY, 0x5000_0000, "STATUS_CONFLICTING_ADDRESSES"),
    ],
)
def test_views_refused(
    guest: Guest, offset: int, size: int, protect: int, base: int, status: str
) -> None:
    """WDK: "ZwMapViewOfSection function (wdm.h)"."""
    _, handle = create(guest, 0x10000, protect=READONLY)
    guest.k.ps.system.vm.reserve(0x5000_0000, PAGE, READWRITE)
    assert view(guest, handle, offset, size, protect, base)[0] == const(status)
    assert view(guest, 0x1234)[0] == const("STATUS_INVALID_HANDLE")


def test_unmapping_no_view(guest: Guest) -> None:
    """WDK: "Bug Check 0xD7: DRIVER_UNMAPPING_INVALID_VIEW"."""
    with pytest.raises(BugCheck) as info:
        guest.call("MmUnmapViewInSystemSpace", guest.room(16))
    assert info.value.name == "DRIVER_UNMAPPING_INVALID_VIEW"


@pytest.fixture
def files(guest: Guest) -> Files:
    return Files(guest)


def test_views_of_a_file(guest: Guest, files: Files) -> None:
    """WDK: "File-Backed and Page-File-Backed Sections": views, reads and writes see the same bytes,
    and behind the file's end is zero. They last until the last view is gone.
    """
    free = guest.k.memory.available
    path = r"\??\C:\mapped.bin"
    handle = files.open(path)
    assert files.write(handle, b"a" * (PAGE + 10)) == 0
    status, section = create(guest, 0, file=handle)
    assert status == 0
    status, one, size = view(guest, section)
    assert (status, size) == (0, 2 * PAGE)
    system = guest.k.ps.system.vm
    assert system.read(one, PAGE + 12) == b"a" * (PAGE + 10) + b"\0\0"
    system.write(one + 5, b"view")
    system.write(one + PAGE + 8, b"XYZ")  # the last byte is behind the file's end
    assert files.read(handle, 20, 0) == (0, b"aaaaaviewaaaaaaaaaaa")
    assert files.read(handle, 20, PAGE + 6) == (0, b"aaXY")
    assert files.write(handle, b"file", PAGE - 2) == 0
    assert system.read(one + PAGE - 3, 6) == b"afilea"
    assert files.write(handle, b"longer", PAGE + 10) == 0
    assert system.read(one + PAGE + 8, 9) == b"XYlonger\0"
    # Another section of the same file has the same pages, in system space as well.
    status, second = create(guest, 100, protect=READONLY, file=handle)
    entry = guest.k.ob.find(second, 4)
    assert status == 0 and entry is not None
    base, length = guest.room(8), guest.put(bytes(8))
    assert guest.call("MmMapViewInSystemSpace", entry.object.address, base, length) == 0
    at = guest.u64(base)
    system.write(one, b"Z")
    assert guest.read(at, 9) == b"Zaaaaview"
    with pytest.raises(MemoryFault):
        guest.k.memory.write(at, b"x")
    for closed in (handle, section, second):
        files.close(closed)
    assert guest.call("MmUnmapViewInSystemSpace", at) == 0
    system.write(one + 1, b"last")
    assert fs_client.read(guest.k, "C:\\mapped.bin", 0, 5)[0] == b"Zlast"
    again = files.open(path)
    assert files.read(again, 9, 0) == (0, b"Zlastview")
    assert guest.call("ZwUnmapViewOfSection", CURRENT, one) == 0
    assert files.read(again, 9, 0) == (0, b"Zlastview")
    assert files.query(again, "FileStandardInformation")[1][8:16] == (PAGE + 16).to_bytes(
        8, "little"
    )
    files.close(again)
    assert free - guest.k.memory.available < 0x30000
    assert guest.k.files.find(r"\mapped.bin").mapping is None


def test_a_section_makes_its_file_longer(guest: Guest, files: Files) -> None:
    """WDK: "ZwCreateSection function (wdm.h)", MaximumSize: what the file can be extended to."""
    handle = files.open(r"\??\C:\grows.bin")
    assert create(guest, 0, file=handle)[0] == const("STATUS_MAPPED_FILE_SIZE_ZERO")
    assert create(guest, 10, READONLY, file=handle)[0] == const("STATUS_SECTION_TOO_BIG")
    status, section = create(guest, 10, file=handle)
    assert status == 0
    _, at, _ = view(guest, section)
    guest.k.ps.system.vm.write(at, b"0123456789abc")
    assert files.read(handle, 50, 0) == (0, b"0123456789")
    assert create(guest, 1 << 40, file=handle)[0] == const("STATUS_DISK_FULL")


def test_a_mapped_file_is_neither_cut_off_nor_deleted(guest: Guest, files: Files) -> None:
    """WDK: "MmCanFileBeTruncated", "MmFlushImageSection function (ntifs.h)"."""
    handle = files.open(r"\??\C:\kept.bin")
    files.write(handle, bytes(100))
    _, section = create(guest, 0, file=handle)
    end = (50).to_bytes(8, "little")
    assert files.set(handle, "FileEndOfFileInformation", end) == const("STATUS_USER_MAPPED_FILE")
    assert files.set(handle, "FileDispositionInformation", b"\1") == const("STATUS_CANNOT_DELETE")
    files.close(section)
    assert files.set(handle, "FileEndOfFileInformation", end) == 0
    assert files.set(handle, "FileDispositionInformation", b"\1") == 0


def test_a_files_handle_has_to_allow_what_its_section_does(guest: Guest, files: Files) -> None:
    """WDK: "ZwCreateSection function (wdm.h)": the handle's access and the pages' protection."""
    path = r"\??\C:\access.bin"
    files.close(files.open(path, disposition=2))
    folder = files.open(r"\??\C:\Windows", disposition=1, options=0x21, access=0x100001)
    assert create(guest, 0, file=folder)[0] == const("STATUS_INVALID_FILE_FOR_SECTION")
    reader = files.open(path, access=0x80000000 | 0x100000)
    for protect in (READWRITE, 0x20):
        assert create(guest, 10, protect, file=reader)[0] == const("STATUS_ACCESS_DENIED")
    writer = files.open(path, access=0x40000000 | 0x100000)
    assert create(guest, 10, READWRITE, file=writer)[0] == const("STATUS_ACCESS_DENIED")
