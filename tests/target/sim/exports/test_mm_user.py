"""User-mode memory: probes, allocation, locking it, attaching to its process, SMEP."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from kernellab.target.sim.kernel.bugcheck import BugCheck
from kernellab.target.sim.kernel.execution import Call, RaisedStatus
from kernellab.target.sim.kernel.programs import PspExitProcess
from kernellab.target.sim.kernel.structs import const
from kernellab.target.sim.kernel.uservm import GRANULARITY, PROBE_LIMIT, UserMemory
from kernellab.target.sim.machine.memory import PAGE, MemoryFault

from .conftest import DRIVER, Guest

CURRENT = 0xFFFF_FFFF_FFFF_FFFF
COMMIT_RESERVE = 0x3000


class Client(Guest):
    """Calls in the client's process."""

    def call(self, name: str, *arguments: int, irql: int = 0) -> int:
        def activity() -> Generator[Call, int, int]:
            self.k.cpu.irql = irql
            self.k.memory.set_u64(DRIVER + 0x28, self.k.stub_of(name))
            return (yield Call(DRIVER, arguments))

        result: int = self.k.run(activity(), name, user=True)
        return result

    @property
    def vm(self) -> UserMemory:
        return self.k.ps.client.vm

    def raised(self, name: str, *arguments: int) -> tuple[str, int]:
        """The bug check that the exception of a call becomes, and the NTSTATUS."""
        with pytest.raises(BugCheck) as info:
            self.call(name, *arguments)
        assert isinstance(info.value.__cause__, RaisedStatus)
        return info.value.name, info.value.parameters[0]

    def allocate(
        self, size: int, kind: int = COMMIT_RESERVE, protect: int = 4, base: int = 0
    ) -> tuple[int, int, int]:
        """ZwAllocateVirtualMemory: status, base, size."""
        at, length = self.put(base.to_bytes(8, "little")), self.put(size.to_bytes(8, "little"))
        status = self.call("ZwAllocateVirtualMemory", CURRENT, at, 0, length, kind, protect)
        return status, self.k.memory.u64(at), self.k.memory.u64(length)

    def free(self, base: int, size: int, kind: str) -> int:
        at, length = self.put(base.to_bytes(8, "little")), self.put(size.to_bytes(8, "little"))
        return self.call("ZwFreeVirtualMemory", CURRENT, at, length, const(kind))


@pytest.fixture
def client() -> Client:
    return Client()


def test_a_buffer_ends_at_a_page(client: Client) -> None:
    address = client.vm.allocate(100)
    assert address % PAGE == PAGE - 104
    client.vm.write(address, b"x" * 100)
    assert client.vm.read(address, 100) == b"x" * 100
    with pytest.raises(MemoryFault):
        client.vm.read(address, 105)
    client.vm.release(address)
    with pytest.raises(MemoryFault):
        client.vm.read(address, 1)


def test_many_buffers_leave_nothing_behind(client: Client) -> None:
    client.vm.release(client.vm.allocate(100))
    free = client.k.memory.available
    for _ in range(3000):
        client.vm.release(client.vm.allocate(100))
    assert free - client.k.memory.available < 100 * PAGE


def test_memory_is_one_process_s(client: Client) -> None:
    other = client.k.ps.create_process("other.exe")
    address = client.vm.allocate(8)
    client.vm.write(address, b"mine....")
    assert other.vm.allocate(8) == address
    other.vm.write(address, b"theirs..")
    assert client.vm.read(address, 8) == b"mine...."


# -- probes ---------------------------------------------------------------------------------------

UNHANDLED = "SYSTEM_SERVICE_EXCEPTION"
VIOLATION, MISALIGNED = const("STATUS_ACCESS_VIOLATION"), const("STATUS_DATATYPE_MISALIGNMENT")


@pytest.mark.parametrize("name", ["ProbeForRead", "ProbeForWrite"])
@pytest.mark.parametrize(
    ("address", "size", "alignment", "status"),
    [
        (0x20001, 4, 4, MISALIGNED),
        (0xFFFF_8000_0000_0000, 1, 1, VIOLATION),
        (PROBE_LIMIT, 1, 1, VIOLATION),
        (PROBE_LIMIT - 1, 2, 1, VIOLATION),
        (0x20000, 0xFFFF_FFFF_FFFF_FFFF, 1, VIOLATION),
    ],
)
def test_probe_of_bad_ranges(
    client: Client, name: str, address: int, size: int, alignment: int, status: int
) -> None:
    """WDK: "ProbeForRead function (wdm.h)", "ProbeForWrite function (wdm.h)"."""
    assert client.raised(name, address, size, alignment) == (UNHANDLED, status)


def test_probes_that_pass(client: Client) -> None:
    """A length of 0 checks nothing; ProbeForRead touches no memory, so absent memory passes."""
    for name in ("ProbeForRead", "ProbeForWrite"):
        client.call(name, 0xFFFF_8000_0000_0001, 0, 8)
        client.call(name, client.vm.allocate(5000), 5000, 8)
    client.call("ProbeForRead", 0x20000, 4, 4)
    client.call("ProbeForRead", PROBE_LIMIT - 4, 4, 4)
    client.call("ProbeForRead", client.vm.allocate(10, write=False), 10, 1)


def test_probe_for_write_touches(client: Client) -> None:
    """WDK: "ProbeForWrite function (wdm.h)": what is absent or read-only raises."""
    for address in (0x20000, client.vm.allocate(10, write=False)):
        assert client.raised("ProbeForWrite", address, 4, 1) == (UNHANDLED, VIOLATION)
        client = Client()


# -- locking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "operation", "write", "raises"),
    [(1, 0, True, False), (1, 1, True, False), (1, 1, False, True), (1, 0, False, False),
     (1, 2, False, True), (0, 1, False, True)],
)  # fmt: skip
def test_locking_asks_for_access(
    client: Client, mode: int, operation: int, write: bool, raises: bool
) -> None:
    """WDK: "MmProbeAndLockPages function (wdm.h)"."""
    address = client.vm.allocate(5000, write=write)
    mdl = client.call("IoAllocateMdl", address, 5000, 0, 0, 0)
    if raises:
        result = client.raised("MmProbeAndLockPages", mdl, mode, operation)
        assert result == (UNHANDLED, VIOLATION)
        return
    client.call("MmProbeAndLockPages", mdl, mode, operation)
    assert client.k.mdl.locked_by(client.k.ps.client)
    at = client.call("MmMapLockedPages", mdl, 0)
    client.vm.fill(address, b"from the program")
    assert client.read(at, 16) == b"from the program"
    assert client.k.mdl.read(mdl, 16) == b"from the program"


def test_locking_kernel_memory_for_user_mode(client: Client) -> None:
    """WDK: "MmProbeAndLockPages function (wdm.h)": UserMode is for user addresses."""
    mdl = client.call("IoAllocateMdl", client.room(16), 16, 0, 0, 0)
    assert client.raised("MmProbeAndLockPages", mdl, 1, 0) == (UNHANDLED, VIOLATION)


def test_freed_user_memory_stays_while_locked(client: Client) -> None:
    status, base, _ = client.allocate(PAGE)
    assert status == 0
    client.vm.write(base, b"kept")
    mdl = client.call("IoAllocateMdl", base, 4, 0, 0, 0)
    client.call("MmProbeAndLockPages", mdl, 1, 1)
    assert client.free(base, 0, "MEM_RELEASE") == 0
    at = client.call("MmMapLockedPages", mdl, 0)
    [client.vm.allocate(PAGE) for _ in range(20)]
    assert client.read(at, 4) == b"kept"


def test_mapping_to_user_mode(client: Client) -> None:
    """WDK: "MmMapLockedPagesSpecifyCache function (wdm.h)": nonpaged pool into the process."""
    pool = client.room(2 * PAGE)
    client.k.memory.write(pool, b"shared")
    mdl = client.call("IoAllocateMdl", pool, 2 * PAGE, 0, 0, 0)
    client.call("MmBuildMdlForNonPagedPool", mdl)
    at = client.call("MmMapLockedPagesSpecifyCache", mdl, 1, 1, 0, 0, 16)
    assert GRANULARITY <= at < PROBE_LIMIT
    assert client.vm.read(at, 6) == b"shared"
    client.vm.write(at, b"SHARED")
    assert client.read(pool, 6) == b"SHARED"
    client.call("MmUnmapLockedPages", at, mdl)
    with pytest.raises(MemoryFault):
        client.vm.read(at, 1)
    client.call("IoFreeMdl", mdl)


# -- allocation -----------------------------------------------------------------------------------


def test_allocation_is_rounded(client: Client) -> None:
    """WDK: "ZwAllocateVirtualMemory function (ntifs.h)"."""
    status, base, size = client.allocate(5000)
    assert (status, base % GRANULARITY, size) == (0, 0, 2 * PAGE)
    assert client.vm.read(base, size) == bytes(size)
    wanted = 0x5000_0000
    status, base, size = client.allocate(PAGE, base=wanted + 5000)
    assert (status, base, size) == (0, wanted, 3 * PAGE)


def test_reserved_memory_cannot_be_used_before_it_is_committed(client: Client) -> None:
    """WDK: "ZwAllocateVirtualMemory function (ntifs.h)": MEM_RESERVE, then MEM_COMMIT."""
    _, base, _ = client.allocate(10 * PAGE, kind=const("MEM_RESERVE"))
    with pytest.raises(MemoryFault):
        client.vm.read(base, 1)
    status, at, size = client.allocate(1, kind=const("MEM_COMMIT"), base=base + PAGE + 5)
    assert (status, at, size) == (0, base + PAGE, PAGE)
    client.vm.write(at, b"x" * PAGE)
    assert client.free(at, PAGE, "MEM_DECOMMIT") == 0
    with pytest.raises(MemoryFault):
        client.vm.read(at, 1)


@pytest.mark.parametrize(
    ("size", "kind", "protect", "base", "status"),
    [
        (0, COMMIT_RESERVE, 4, 0, "STATUS_INVALID_PARAMETER_4"),
        (PAGE, 0, 4, 0, "STATUS_INVALID_PARAMETER_5"),
        (PAGE, COMMIT_RESERVE, 0, 0, "STATUS_INVALID_PAGE_PROTECTION"),
        (PAGE, COMMIT_RESERVE, 4, 0x1000, "STATUS_CONFLICTING_ADDRESSES"),
        (PAGE, COMMIT_RESERVE, 4, 0xFFFF_8000_0000_0000, "STATUS_INVALID_PARAMETER_2"),
        (PAGE, 0x1000, 4, 0x5000_0000, "STATUS_CONFLICTING_ADDRESSES"),
        (1 << 40, COMMIT_RESERVE, 4, 0, "STATUS_COMMITMENT_LIMIT"),
    ],
)
def test_allocation_refused(
    client: Client, size: int, kind: int, protect: int, base: int, status: str
) -> None:
    """WDK: "ZwAllocateVirtualMemory function (ntifs.h)"; the first 64 KiB are never given out."""
    assert client.allocate(size, kind, protect, base)[0] == const(status)
    assert client.vm.regions == {}


def test_reservations_do_not_overlap(client: Client) -> None:
    base = 0x5000_0000
    assert client.allocate(3 * GRANULARITY, base=base)[0] == 0
    for other in (base - GRANULARITY, base + GRANULARITY, base):
        status = client.allocate(2 * GRANULARITY, base=other)[0]
        assert status == const("STATUS_CONFLICTING_ADDRESSES")


def test_freeing(client: Client) -> None:
    """WDK: "ZwFreeVirtualMemory function (ntifs.h)"."""
    _, base, _ = client.allocate(3 * PAGE)
    assert client.free(base + PAGE, 0, "MEM_RELEASE") == const("STATUS_FREE_VM_NOT_AT_BASE")
    assert client.free(base, 9 * PAGE, "MEM_RELEASE") == const("STATUS_UNABLE_TO_FREE_VM")
    assert client.free(base, 0, "MEM_RELEASE") == 0
    assert client.free(base, 0, "MEM_RELEASE") == const("STATUS_MEMORY_NOT_ALLOCATED")


def test_memory_without_access_keeps_its_content(client: Client) -> None:
    _, base, _ = client.allocate(PAGE)
    client.vm.write(base, b"kept")
    region = client.vm.find(base)
    assert region is not None
    client.vm.protect(region, base, PAGE, const("PAGE_NOACCESS"))
    with pytest.raises(MemoryFault):
        client.vm.read(base, 1)
    client.vm.protect(region, base, PAGE, const("PAGE_READONLY"))
    assert client.vm.read(base, 4) == b"kept"
    with pytest.raises(MemoryFault):
        client.vm.write(base, b"x")


# -- attaching ------------------------------------------------------------------------------------


def test_attaching_changes_what_user_addresses_mean(guest: Guest) -> None:
    """WDK: "KeStackAttachProcess function (ntifs.h)": nested, and back."""
    k = guest.k
    one, two = k.ps.client, k.ps.create_process("two.exe")
    address = one.vm.allocate(8)
    assert two.vm.allocate(8) == address
    one.vm.write(address, b"of one..")
    two.vm.write(address, b"of two..")
    states = [guest.room(48) for _ in range(3)]
    seen = []
    buffer = guest.room(8)

    def call(name: str, *arguments: int) -> Generator[Call, int, int]:
        k.memory.set_u64(DRIVER + 0x28, k.stub_of(name))
        return (yield Call(DRIVER, arguments))

    def activity() -> Generator[Call, int, int]:
        def look() -> Generator[Call, int, None]:
            process = yield from call("PsGetCurrentProcess")
            # memmove runs in the guest's address space.
            yield from call("memmove", buffer, address, 8)
            seen.append((k.ps.process_objects[process].name, guest.read(buffer, 8)))

        yield from call("KeStackAttachProcess", one.object, states[0])
        yield from look()
        yield from call("KeStackAttachProcess", two.object, states[1])
        yield from look()
        yield from call("KeStackAttachProcess", two.object, states[2])
        yield from call("KeUnstackDetachProcess", states[2])
        yield from look()
        yield from call("KeUnstackDetachProcess", states[1])
        yield from look()
        yield from call("KeUnstackDetachProcess", states[0])
        return (yield from call("PsGetCurrentProcess"))

    assert k.run(activity(), "test") == k.ps.system.object
    first, second = (one.name, b"of one.."), (two.name, b"of two..")
    assert seen == [first, second, second, first]


def test_detaching_what_is_not_attached(guest: Guest) -> None:
    """WDK: "Bug Check 0x6: INVALID_PROCESS_DETACH_ATTEMPT"."""
    with pytest.raises(BugCheck) as info:
        guest.call("KeUnstackDetachProcess", guest.room(48))
    assert info.value.name == "INVALID_PROCESS_DETACH_ATTEMPT"


# -- SMEP -----------------------------------------------------------------------------------------


def test_kernel_mode_cannot_execute_user_memory(client: Client) -> None:
    """WDK: "Bug Check 0xFC: ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY"; Intel SDM, "SMEP"."""
    _, base, _ = client.allocate(PAGE, protect=const("PAGE_EXECUTE_READWRITE"))
    client.vm.write(base, b"\xc3")

    def activity() -> Generator[Call, int, int]:
        return (yield Call(base))

    with pytest.raises(BugCheck) as info:
        client.k.run(activity(), "test", user=True)
    assert info.value.name == "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY"
    assert info.value.parameters[0] == base
    assert info.value.parameters[1] & 5 == 5  # present, user
    assert "SMEP" in info.value.message


def test_locking_memory_of_another_process(guest: Guest) -> None:
    """WDK: "MmProbeAndLockProcessPages function (ntddk.h)"."""
    client = guest.k.ps.client
    address = client.vm.allocate(8)
    client.vm.write(address, b"client's")
    mdl = guest.call("IoAllocateMdl", address, 8, 0, 0, 0)
    guest.call("MmProbeAndLockProcessPages", mdl, client.object, 1, 0)
    assert guest.read(guest.call("MmMapLockedPages", mdl, 0), 8) == b"client's"
    assert [lock.process for lock in guest.k.mdl.locks.values()] == [client]


def test_current_process(client: Client) -> None:
    """WDK: "IoGetCurrentProcess function (ntddk.h)"."""
    assert client.call("IoGetCurrentProcess") == client.k.ps.client.object


def test_a_process_ends_with_locked_pages(guest: Guest) -> None:
    """WDK: "Bug Check 0x76: PROCESS_HAS_LOCKED_PAGES"."""
    process = guest.k.ps.create_process("brief.exe")
    mdl = guest.call("IoAllocateMdl", process.vm.allocate(5000), 5000, 0, 0, 0)
    guest.call("MmProbeAndLockProcessPages", mdl, process.object, 1, 0)
    with pytest.raises(BugCheck) as info:
        guest.k.run(PspExitProcess(guest.k, process, 0), "PspExitProcess")
    assert info.value.name == "PROCESS_HAS_LOCKED_PAGES"
    assert info.value.parameters == (0, process.object, 2, 0)


def test_what_is_mapped_in_a_process_goes_with_it(guest: Guest) -> None:
    process = guest.k.ps.create_process("brief.exe")
    mdl = guest.call("IoAllocateMdl", guest.room(16), 16, 0, 0, 0)
    guest.call("MmBuildMdlForNonPagedPool", mdl)
    state = guest.room(48)
    section = guest.k.sections.create(PAGE, const("PAGE_READWRITE"), "")

    def activity() -> Generator[Call, int, int]:
        for name, arguments in (
            ("KeStackAttachProcess", (process.object, state)),
            ("MmMapLockedPages", (mdl, 1)),
            ("KeUnstackDetachProcess", (state,)),
        ):
            guest.k.memory.set_u64(DRIVER + 0x28, guest.k.stub_of(name))
            yield Call(DRIVER, arguments)
        return 0

    guest.k.run(activity(), "test")
    guest.k.sections.map(section, process, 0, 0, 0, const("PAGE_READWRITE"))
    assert len(guest.k.mdl.mappings) == 1
    assert section.references == 2
    guest.k.run(PspExitProcess(guest.k, process, 0), "PspExitProcess")
    assert guest.k.mdl.mappings == {}
    assert section.references == 1
    guest.call("IoFreeMdl", mdl)
