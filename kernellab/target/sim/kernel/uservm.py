"""User-mode memory of a process: what is reserved, what is committed, how it is protected.

As NtAllocateVirtualMemory has it: addresses are reserved in units of 64 KiB, memory is committed
in pages; the first and the last 64 KiB are never used. Committed pages exist at once. Addresses go
up and are not used again until 16 TiB were, so that a stale pointer faults.
WDK pages: "ZwAllocateVirtualMemory function (ntifs.h)", "ZwFreeVirtualMemory function (ntifs.h)".
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from typing import Final

from ..machine.memory import HIGHEST_USER, PAGE, AddressSpace, Memory, MemoryFault, OutOfMemory
from .structs import const

#: Reservations begin at multiples of this.
GRANULARITY: Final = 0x1_0000
#: MmUserProbeAddress: buffers of a program lie below.
PROBE_LIMIT: Final = HIGHEST_USER - 0xFFFF

_FIRST: Final = 0x0000_0100_0000_0000
_LAST: Final = 0x0000_1100_0000_0000
_TOP: Final = 0x0000_7FF0_0000_0000


class VmError(Exception):
    """A request that is answered with an NTSTATUS: its ``status``."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = const(status)


@dataclass(frozen=True, slots=True)
class Protection:
    """What a PAGE_… constant allows. Kernel mode can read whatever it can execute."""

    read: bool
    write: bool
    execute: bool


@dataclass(slots=True)
class Region:
    """One reservation; ``kind`` is ``private``, ``view`` (of a section) or ``mdl``."""

    base: int
    size: int
    protect: int
    kind: str = "private"
    #: The protection of each committed page by its number.
    committed: dict[int, int] = field(default_factory=dict)
    #: Physical pages of those that are committed and may not be touched (PAGE_NOACCESS).
    hidden: dict[int, int] = field(default_factory=dict)
    #: What a view is of.
    payload: object = None


_NO_CACHE: Final = const("PAGE_NOCACHE")
_PROTECTIONS: Final = {
    const("PAGE_NOACCESS"): Protection(False, False, False),
    const("PAGE_READONLY"): Protection(True, False, False),
    const("PAGE_READWRITE"): Protection(True, True, False),
    const("PAGE_EXECUTE"): Protection(True, False, True),
    const("PAGE_EXECUTE_READ"): Protection(True, False, True),
    const("PAGE_EXECUTE_READWRITE"): Protection(True, True, True),
}


def protection(value: int) -> Protection:
    """What a PAGE_… constant allows; VmError where it is none that is supported."""
    # Caching is not simulated: PAGE_NOCACHE changes nothing that can be seen.
    found = _PROTECTIONS.get(value & ~_NO_CACHE)
    if found is None:
        raise VmError("STATUS_INVALID_PAGE_PROTECTION")
    return found


class UserMemory:
    """The reservations of one process."""

    def __init__(self, memory: Memory, space: AddressSpace) -> None:
        self._memory = memory
        self._space = space
        self._next = _FIRST
        self._top = _TOP
        self._bases: list[int] = []
        self.regions: dict[int, Region] = {}

    # -- for the kernel and for Python ------------------------------------------------------------

    def allocate(self, size: int, *, write: bool = True) -> int:
        """A buffer as a program has it: ``size`` bytes that end where a page ends.

        The first byte past it (rounded up to 8) is not mapped. :meth:`release` frees it by any
        address inside it. Raises :class:`VmError`.
        """
        room = max(8, -(-size // 8) * 8)
        pages = -(-room // PAGE)
        protect = const("PAGE_READWRITE" if write else "PAGE_READONLY")
        region = self.reserve(0, pages * PAGE, protect)
        try:
            self.commit(region, region.base, region.size, protect)
        except VmError:
            self.remove(region)
            raise
        return region.base + pages * PAGE - room

    def release(self, address: int) -> None:
        """Free the reservation that holds ``address``."""
        region = self.find(address)
        if region is not None:
            self.remove(region)

    def read(self, address: int, size: int) -> bytes:
        """The process's memory, whichever process is current. Raises MemoryFault."""
        self._check(address, size, "read")
        if not size:
            return b""
        with self._memory.within(self._space):
            return self._memory.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write to the process's memory, whichever process is current. Raises MemoryFault."""
        self._check(address, len(data), "write")
        if data:
            with self._memory.within(self._space):
                self._memory.write(address, data)

    def fill(self, address: int, data: bytes) -> None:
        """Write without regard to the protection, as a loader does."""
        with self._memory.within(self._space):
            at, left = address, data
            while left:
                page = self._memory.page(at)
                if page is None:
                    raise MemoryFault(at, "write")
                offset = at & (PAGE - 1)
                chunk, left = left[: PAGE - offset], left[PAGE - offset :]
                self._memory.write_physical(page.physical + offset, chunk)
                at += len(chunk)

    def _check(self, address: int, size: int, access: str) -> None:
        if address + size > PROBE_LIMIT:
            raise MemoryFault(address, access)

    # -- reservations -----------------------------------------------------------------------------

    def find(self, address: int) -> Region | None:
        """The reservation that holds ``address``."""
        at = bisect_right(self._bases, address) - 1
        if at < 0:
            return None
        region = self.regions[self._bases[at]]
        return region if address < region.base + region.size else None

    def reserve(
        self, base: int, size: int, protect: int, kind: str = "private", *, top_down: bool = False
    ) -> Region:
        """Reserve addresses: from ``base`` on, rounded down to 64 KiB, or wherever if it is 0."""
        if base:
            end = base + size
            base &= -GRANULARITY
            size = -(-(end - base) // PAGE) * PAGE
            if base < GRANULARITY or base + size > PROBE_LIMIT:
                raise VmError("STATUS_CONFLICTING_ADDRESSES")
            if not self._free(base, size):
                raise VmError("STATUS_CONFLICTING_ADDRESSES")
        else:
            size = -(-size // PAGE) * PAGE
            base = self._place(size, top_down)
        region = Region(base, size, protect, kind)
        self.regions[base] = region
        insort(self._bases, base)
        return region

    def _place(self, size: int, top_down: bool) -> int:
        step = -(-size // GRANULARITY) * GRANULARITY + GRANULARITY
        if step > _LAST - _FIRST:
            raise VmError("STATUS_NO_MEMORY")
        for _ in range(len(self._bases) + 2):
            if top_down:
                self._top -= step
                base = self._top
            else:
                if self._next + step > _LAST:
                    self._next = _FIRST
                base, self._next = self._next, self._next + step
            if base >= _FIRST and self._free(base, size):
                return base
        raise VmError("STATUS_NO_MEMORY")

    def _free(self, base: int, size: int) -> bool:
        """Whether nothing is reserved there."""
        at = bisect_right(self._bases, base + size - 1) - 1
        if at < 0:
            return True
        last = self.regions[self._bases[at]]
        return last.base + last.size <= base

    def remove(self, region: Region) -> None:
        """Free a whole reservation."""
        self.decommit(region, region.base, region.size)
        del self.regions[region.base]
        self._bases.remove(region.base)

    def clear(self) -> None:
        """Free everything: the process is gone."""
        for region in list(self.regions.values()):
            self.remove(region)

    # -- pages ------------------------------------------------------------------------------------

    def commit(self, region: Region, base: int, size: int, protect: int) -> None:
        """Give pages memory; those that have some get the protection only."""
        allowed = protection(protect)
        numbers = range(base // PAGE, -(-(base + size) // PAGE))
        fresh = len(numbers)
        if fresh * PAGE <= self._memory.size:
            fresh = sum(number not in region.committed for number in numbers)
        if (fresh + 64) * PAGE > self._memory.available:
            raise VmError("STATUS_COMMITMENT_LIMIT")
        with self._memory.within(self._space):
            for number in numbers:
                if number not in region.committed:
                    write, execute = allowed.write, allowed.execute
                    try:
                        self._memory.map(number * PAGE, write=write, execute=execute, user=True)
                    except OutOfMemory:
                        raise VmError("STATUS_NO_MEMORY") from None
                    region.committed[number] = protect
                    if allowed.read:
                        continue
                self._protect(region, number, protect)

    def place(self, region: Region, frames: list[int], protect: int) -> None:
        """Map physical pages that belong to something else from a reservation's start on."""
        allowed = protection(protect)
        with self._memory.within(self._space):
            self._memory.map(
                *(region.base, len(frames)),
                write=allowed.write,
                execute=allowed.execute,
                user=True,
                physical=frames,
            )
        first = region.base // PAGE
        region.committed.update(dict.fromkeys(range(first, first + len(frames)), protect))

    def protect(self, region: Region, base: int, size: int, protect: int) -> None:
        """Change what committed pages allow."""
        protection(protect)
        with self._memory.within(self._space):
            for number in range(base // PAGE, -(-(base + size) // PAGE)):
                if number not in region.committed:
                    raise VmError("STATUS_NOT_COMMITTED")
                self._protect(region, number, protect)

    def _protect(self, region: Region, number: int, protect: int) -> None:
        memory, allowed = self._memory, protection(protect)
        if not allowed.read and number not in region.hidden:
            page = memory.page(number * PAGE)
            assert page is not None
            region.hidden[number] = page.physical
            memory.unmap(number * PAGE, release=False)
        elif allowed.read:
            if number in region.hidden:
                frames = [region.hidden.pop(number)]
                owned = region.kind == "private"
                memory.map(number * PAGE, user=True, physical=frames, owned=owned)
            memory.protect(number * PAGE, 1, write=allowed.write, execute=allowed.execute)
        region.committed[number] = protect

    def decommit(self, region: Region, base: int, size: int) -> None:
        """Take pages' memory away; those that have none stay so."""
        first, end = base // PAGE, -(-(base + size) // PAGE)
        with self._memory.within(self._space):
            for number in [number for number in region.committed if first <= number < end]:
                del region.committed[number]
                hidden = region.hidden.pop(number, None)
                if hidden is None:
                    self._memory.unmap(number * PAGE)
                elif region.kind == "private":
                    self._memory.release(hidden)
