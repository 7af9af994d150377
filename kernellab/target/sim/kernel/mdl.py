"""Memory descriptor lists: the physical pages of a buffer, locked, mapped again elsewhere.

An MDL in guest memory is the real structure, an MDL with an array of page frame numbers behind it,
and the numbers are those of the machine's physical pages; so the WDK's inline macros work. Beside
that is kept here who made which MDL, what each has locked and where it is mapped.
WDK pages: "Using MDLs", "MmProbeAndLockPages function (wdm.h)", "MmMapLockedPagesSpecifyCache
function (wdm.h)", "IoBuildPartialMdl function (wdm.h)", "Bug Check 0xC4", "Bug Check 0xDA".

Told on the bus, each with the record: ``mdl-allocated`` and ``mdl-freed`` (:class:`Mdl`),
``mdl-locked`` and ``mdl-unlocked`` (:class:`Lock`), ``mdl-mapped`` and ``mdl-unmapped``
(:class:`~.mdl_map.Mapping`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..machine.memory import KERNEL_START, PAGE
from .bugcheck import BugCheck
from .execution import Context, RaisedStatus
from .mdl_map import (
    FIXED,
    IO_SPACE,
    LOCKED,
    MAPPED,
    NONPAGED,
    PARTIAL,
    PARTIAL_MAPPED,
    WRITE_OPERATION,
    MdlMapper,
    misused,
    spanned,
)
from .structs import Struct, const, size_of
from .uservm import PROBE_LIMIT

if TYPE_CHECKING:
    from .kernel import Kernel
    from .process import Process

_TAG: Final = int.from_bytes(b"Mdl ", "little")
#: Windows takes MDLs of so many pages and fewer from a lookaside list, and flags them.
_FIXED: Final = 23


@dataclass(slots=True)
class Mdl:
    """An MDL of IoAllocateMdl; ``owner`` is the driver that made it, empty for the kernel."""

    address: int
    pages: int
    owner: str
    context: Context | None


@dataclass(slots=True)
class Lock:
    """The pages that an MDL holds; ``process`` is whose memory they are (None: the kernel's)."""

    mdl: int
    frames: tuple[int, ...]
    process: Process | None
    owner: str
    context: Context | None


class MdlManager(MdlMapper):
    """All MDLs, what they lock, where they are mapped."""

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.live: dict[int, Mdl] = {}
        self.locks: dict[int, Lock] = {}

    # -- making them ------------------------------------------------------------------------------

    def allocate(self, address: int, size: int, *, owner: str = "") -> int:
        """IoAllocateMdl without an IRP: an MDL that describes the range; 0 without memory."""
        pages = spanned(address, size)
        room = size_of("MDL") + 8 * pages
        mdl = self._k.pool.allocate(room, _TAG)
        if mdl:
            self.initialize(mdl, address, size)
            if pages <= _FIXED:
                Struct(self._k.memory, "MDL", mdl)["MdlFlags"] = FIXED
            record = Mdl(mdl, pages, owner, self.context(owner))
            self.live[mdl] = record
            self._k.tell("mdl-allocated", record)
        return mdl

    def initialize(self, mdl: int, address: int, size: int) -> None:
        """MmInitializeMdl: fill the header of an MDL in memory of whoever's."""
        entry = Struct(self._k.memory, "MDL", mdl)
        entry["Next"] = 0
        entry["Size"] = size_of("MDL") + 8 * spanned(address, size)
        entry["MdlFlags"] = 0
        entry["StartVa"] = address & -PAGE
        entry["ByteOffset"] = address & (PAGE - 1)
        entry["ByteCount"] = size

    def free(self, mdl: int) -> None:
        """IoFreeMdl. What a partial MDL has mapped is unmapped first."""
        k = self._k
        record = self.live.get(mdl)
        if record is None:
            freed = k.pool.freed.get(mdl)
            k.memory.u64(mdl)  # faults where nothing is, as a use after free does
            raise BugCheck(
                *("BAD_POOL_CALLER", 0x46 if freed is None else 7, mdl),
                message=f"IoFreeMdl was given {mdl:#x}, which IoAllocateMdl did not return.",
            )
        entry = Struct(k.memory, "MDL", mdl)
        flags = entry["MdlFlags"]
        if flags & PARTIAL_MAPPED:
            self.unmap(entry["MappedSystemVa"], mdl)
        elif any(mapping.mdl == mdl for mapping in self.mappings.values()):
            raise misused(
                *(0xB8, mdl, flags),
                message="An MDL was freed while its pages are mapped: call MmUnmapLockedPages, or "
                "MmUnlockPages, which does it too, before IoFreeMdl.",
            )
        if mdl in self.locks:
            k.tell(
                "mdl-freed-locked",
                "an MDL was freed while its pages are locked: call MmUnlockPages before IoFreeMdl",
            )
            self._release(self.locks.pop(mdl))
        del self.live[mdl]
        k.tell("mdl-freed", record)
        k.pool.free(k.pool.live[mdl])

    # -- what they describe -----------------------------------------------------------------------

    def read(self, mdl: int, size: int | None = None) -> bytes:
        """What the buffer of an MDL holds, by its physical pages."""
        entry = Struct(self._k.memory, "MDL", mdl)
        ram = self._k.memory.ram
        data = b"".join(ram[frame : frame + PAGE] for frame in self.frames(mdl))
        start = entry["ByteOffset"]
        length = entry["ByteCount"] if size is None else min(size, entry["ByteCount"])
        return data[start : start + length]

    def build_for_nonpaged(self, mdl: int) -> None:
        """MmBuildMdlForNonPagedPool."""
        k = self._k
        entry = Struct(k.memory, "MDL", mdl)
        flags, address = entry["MdlFlags"], self.address(mdl)
        frames = []
        for at in range(entry["StartVa"], entry["StartVa"] + self.count(mdl) * PAGE, PAGE):
            page = k.memory.page(at)
            if page is None or at < KERNEL_START:
                raise BugCheck(
                    *("MEMORY_MANAGEMENT", 0x1240, mdl, k.memory.entry(at)),
                    message=f"MmBuildMdlForNonPagedPool was given an MDL of {address:#x}, which is "
                    + ("user memory" if at < KERNEL_START else "not mapped")
                    + ": it is for nonpaged pool.",
                )
            frames.append(page.physical)
        if k.pageable(address):
            raise misused(
                *(0x140, k.irql, mdl, address),
                message="An MDL of paged pool was given to MmBuildMdlForNonPagedPool: it must be "
                "locked with MmProbeAndLockPages.",
            )
        self.set_frames(mdl, frames)
        entry["Process"] = 0
        entry["MappedSystemVa"] = address
        entry["MdlFlags"] = flags | NONPAGED

    def build_partial(self, source: int, target: int, address: int, size: int) -> None:
        """IoBuildPartialMdl; a ``size`` of 0 means to the end of the source."""
        k = self._k
        whole, part = Struct(k.memory, "MDL", source), Struct(k.memory, "MDL", target)
        start, end = self.address(source), self.address(source) + whole["ByteCount"]
        length = size or end - address
        if address < start or address + length > end or length <= 0:
            raise BugCheck(
                *("INVALID_MDL_RANGE", source, target, address, size),
                message=f"IoBuildPartialMdl was asked for {length} bytes at {address:#x}; the "
                f"source MDL describes {end - start} bytes at {start:#x}.",
            )
        pages = spanned(address, length)
        room = (part["Size"] - size_of("MDL")) // 8
        if pages > room:
            raise BugCheck(
                "TARGET_MDL_TOO_SMALL",
                message=f"The target MDL of IoBuildPartialMdl has room for {room} pages, and "
                f"{pages} are needed.",
            )
        first = (address - whole["StartVa"]) // PAGE
        self._check_known(source)
        flags = whole["MdlFlags"]
        part["Process"] = whole["Process"]
        part["StartVa"] = address & -PAGE
        part["ByteOffset"] = address & (PAGE - 1)
        part["ByteCount"] = length
        inherited = flags & (NONPAGED | MAPPED | IO_SPACE | const("MDL_IO_PAGE_READ"))
        part["MdlFlags"] = part["MdlFlags"] & FIXED | PARTIAL | inherited
        if flags & (NONPAGED | MAPPED):
            part["MappedSystemVa"] = whole["MappedSystemVa"] + address - start
        self.set_frames(target, self.frames(source)[first : first + pages])

    # -- locking ----------------------------------------------------------------------------------

    def probe_and_lock(
        self, mdl: int, *, user: bool, write: bool, process: Process | None = None, owner: str = ""
    ) -> None:
        """MmProbeAndLockPages. Raises RaisedStatus where the pages do not allow it.

        ``process`` says whose user addresses are meant where that is not the current one.
        """
        k = self._k
        entry = Struct(k.memory, "MDL", mdl)
        flags, start = entry["MdlFlags"], self.address(mdl)
        wrong = flags & (LOCKED | MAPPED | NONPAGED | PARTIAL | IO_SPACE)
        if wrong:
            why = "is locked already" if flags & LOCKED else "does not describe pageable memory"
            raise misused(
                *(0xB0, mdl, flags, wrong),
                message=f"MmProbeAndLockPages was given an MDL that {why}.",
            )
        end = start + entry["ByteCount"]
        if user and (end > PROBE_LIMIT or end < start):
            raise RaisedStatus(
                const("STATUS_ACCESS_VIOLATION"),
                f"MmProbeAndLockPages: {start:#x} is not an address of user mode",
            )
        in_user = start <= PROBE_LIMIT
        if in_user and process is None:
            process = k.thread.current_process
        space = k.memory.within(process.space) if in_user and process else nullcontext()
        frames = []
        with space:
            for at in range(entry["StartVa"], entry["StartVa"] + self.count(mdl) * PAGE, PAGE):
                page = k.memory.page(at)
                if page is None or (write and not page.write):
                    what = "not mapped" if page is None else "read-only"
                    raise RaisedStatus(
                        const("STATUS_ACCESS_VIOLATION"),
                        f"MmProbeAndLockPages: the memory at {max(at, start):#x} is {what}",
                    )
                frames.append(page.physical)
        for frame in frames:
            k.memory.lock(frame)
        self.set_frames(mdl, frames)
        entry["Process"] = process.object if in_user and process else 0
        entry["MdlFlags"] = flags & ~WRITE_OPERATION | LOCKED | (WRITE_OPERATION if write else 0)
        lock = Lock(mdl, tuple(frames), process if in_user else None, owner, self.context(owner))
        self.locks[mdl] = lock
        k.tell("mdl-locked", lock)

    def unlock(self, mdl: int) -> None:
        """MmUnlockPages; unmaps from system space first."""
        entry = Struct(self._k.memory, "MDL", mdl)
        flags = entry["MdlFlags"]
        if flags & PARTIAL:
            raise misused(
                *(0xB4, mdl, flags, PARTIAL),
                message="MmUnlockPages was given a partial MDL: its source is what is locked.",
            )
        lock = self.locks.get(mdl)
        if lock is None or not flags & LOCKED:
            pfn = self.frames(mdl)[0] // PAGE if self.count(mdl) else 0
            raise BugCheck(
                *("PFN_LIST_CORRUPT", 7, pfn, self._k.memory.locked.get(pfn * PAGE, 0)),
                message="MmUnlockPages was given an MDL whose pages are not locked: it was unlocked"
                " already, or never locked with MmProbeAndLockPages.",
            )
        if flags & MAPPED:
            self.unmap(entry["MappedSystemVa"], mdl)
        del self.locks[mdl]
        entry["MdlFlags"] &= ~LOCKED
        self._release(lock)

    def hold(self, mdl: int, frames: Sequence[int], owner: str) -> None:
        """Pages that belong to the MDL itself (MmAllocatePagesForMdl) are locked from the start."""
        entry = Struct(self._k.memory, "MDL", mdl)
        self.set_frames(mdl, frames)
        entry["MdlFlags"] |= LOCKED
        for frame in frames:
            self._k.memory.lock(frame)
        lock = Lock(mdl, tuple(frames), None, owner, self.context(owner))
        self.locks[mdl] = lock
        self._k.tell("mdl-locked", lock)

    def _release(self, lock: Lock) -> None:
        for frame in lock.frames:
            self._k.memory.unlock(frame)
        self._k.tell("mdl-unlocked", lock)

    def process_ended(self, process: Process) -> None:
        """What is mapped in it goes with it; what is locked of it must not be.

        WDK: "Bug Check 0x76: PROCESS_HAS_LOCKED_PAGES".
        """
        pages = sum(len(lock.frames) for lock in self.locked_by(process))
        if pages:
            raise BugCheck(
                *("PROCESS_HAS_LOCKED_PAGES", 0, process.object, pages),
                message=f"{process.name} ended while {pages} of its pages were locked: a driver "
                "did not call MmUnlockPages, or completed no request.",
            )
        for mapping in [m for m in self.mappings.values() if m.process is process]:
            self.forget(mapping)

    def locked_by(self, process: Process) -> list[Lock]:
        """What is locked of a process's memory: for bug check PROCESS_HAS_LOCKED_PAGES."""
        return [lock for lock in self.locks.values() if lock.process is process]

    # -- checks -----------------------------------------------------------------------------------

    def _check_known(self, mdl: int) -> None:
        flags = Struct(self._k.memory, "MDL", mdl)["MdlFlags"]
        if not flags & (LOCKED | PARTIAL | NONPAGED | IO_SPACE):
            raise misused(
                *(0xB3, mdl, flags, LOCKED),
                message="A partial MDL was built of an MDL whose pages are not locked.",
            )
