"""Pool: every allocation on pages of its own, with an unmapped page behind it.

An allocation ends where its page ends (up to the 16-byte alignment that the pool promises), so
that the first access past it faults at once; after it is freed its pages are unmapped and never
used again, so that any later access faults too. Allocations of a page and more begin on a page,
as the WDK promises ("ExAllocatePool2 function (wdm.h)"). What remains of the pages is filled with
a pattern, by which overruns and underruns can be found that hit no unmapped page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..machine.memory import PAGE, Memory, OutOfMemory
from .execution import Context

NONPAGED_START: Final = 0xFFFF_A800_0000_0000
PAGED_START: Final = 0xFFFF_B800_0000_0000
PAGED_END: Final = 0xFFFF_B880_0000_0000
_ALIGN: Final = 16
_SLACK: Final = 0xFD
#: What memory that was not asked to be zeroed is full of: not zero, and never a driver's own.
FRESH: Final = 0xCD
_PATTERN: Final = bytes([_SLACK]) * PAGE

#: What is kept back for the machine itself: pool allocations fail before this is touched.
_RESERVE: Final = 16 << 20


@dataclass(slots=True)
class Allocation:
    """One pool allocation. ``owner`` is the driver's name; empty for the kernel's own."""

    address: int
    size: int
    tag: int
    paged: bool
    owner: str
    first: int
    pages: int
    zeroed: bool
    execute: bool
    #: Where it was allocated and freed, where somebody keeps that.
    context: Context | None = None
    freed: Context | None = None

    @property
    def tag_text(self) -> str:
        """The tag as it is read in a debugger: four characters, the lowest byte first."""
        raw = self.tag.to_bytes(4, "little")
        return "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in raw)


class Pool:
    """Both pools. Addresses are never used twice."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._next = {False: NONPAGED_START, True: PAGED_START}
        self.live: dict[int, Allocation] = {}
        #: The last allocations that were freed: to say what a stale pointer once was.
        self.freed: dict[int, Allocation] = {}

    def allocate(
        self,
        size: int,
        tag: int,
        *,
        paged: bool = False,
        zero: bool = True,
        owner: str = "",
        execute: bool = False,
    ) -> int:
        """The address of ``size`` bytes, or 0 when memory is used up."""
        rounded = max(_ALIGN, -(-size // _ALIGN) * _ALIGN)
        pages = -(-rounded // PAGE)
        if pages * PAGE + _RESERVE > self._memory.available:
            return 0
        first = self._next[paged]
        try:
            self._memory.map(first, pages, execute=execute)
        except OutOfMemory:
            return 0
        self._next[paged] = first + (pages + 1) * PAGE
        address = first if size >= PAGE else first + PAGE - rounded
        slack = first + pages * PAGE - (address + size)
        if slack:
            self._memory.write(address + size, _PATTERN[:slack])
        if address > first:
            self._memory.write(first, _PATTERN[: address - first])
        if not zero:
            self._memory.write(address, bytes([FRESH]) * size)
        self.live[address] = Allocation(
            address, size, tag, paged, owner, first, pages, zero, execute
        )
        return address

    def overrun(self, allocation: Allocation) -> int | None:
        """The offset of the first byte behind the allocation that was changed, or None."""
        end = allocation.address + allocation.size
        slack = allocation.first + allocation.pages * PAGE - end
        data = self._memory.read(end, slack) if slack else b""
        if data == _PATTERN[:slack]:
            return None
        return allocation.size + next(i for i, byte in enumerate(data) if byte != _SLACK)

    def underrun(self, allocation: Allocation) -> int | None:
        """How far before the allocation's begin a byte was changed, the nearest; or None."""
        room = allocation.address - allocation.first
        data = self._memory.read(allocation.first, room) if room else b""
        if data == _PATTERN[:room]:
            return None
        return 1 + next(i for i, byte in enumerate(reversed(data)) if byte != _SLACK)

    def free(self, allocation: Allocation) -> None:
        """Take a live allocation's pages away."""
        del self.live[allocation.address]
        self._memory.unmap(allocation.first, allocation.pages)
        self.freed[allocation.address] = allocation
        if len(self.freed) > 4096:
            del self.freed[next(iter(self.freed))]

    def near(self, address: int) -> tuple[Allocation, bool] | None:
        """The allocation whose pages or guard page hold ``address``; whether it was freed."""
        for table, gone in ((self.live, False), (self.freed, True)):
            for allocation in table.values():
                if allocation.first <= address < allocation.first + (allocation.pages + 1) * PAGE:
                    return allocation, gone
        return None

    def owned_by(self, owner: str) -> list[Allocation]:
        """A driver's live allocations, oldest first."""
        return [a for a in self.live.values() if a.owner == owner]
