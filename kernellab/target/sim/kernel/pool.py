"""Pool: every allocation on pages of its own, with an unmapped page behind it and before it.

An allocation ends where its page ends (up to the 16-byte alignment that the pool promises), so
that the first access past it faults at once; after it is freed its pages are unmapped and never
used again, so that any later access faults too. Allocations of a page and more begin on a page,
as the WDK promises ("ExAllocatePool2 function (wdm.h)"). What remains of the pages, in front and
behind, is filled with patterns that are checked when they are freed. With the guard in front, an
allocation begins where its page begins instead, so that an access before it faults at once.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from ..machine.memory import PAGE, Memory, OutOfMemory
from ..machine.veil import PAGED_START
from .execution import Context

NONPAGED_START: Final = 0xFFFF_A800_0000_0000
#: What lies between an allocation and its page's begin or end.
SLACK: Final = 0xFD
#: What memory that was not asked to be zeroed is full of: not zero, and never a driver's own.
FRESH: Final = 0xCD
_PATTERN: Final = bytes([SLACK]) * PAGE
_UNZEROED: Final = bytes([FRESH]) * PAGE

#: Which side of a small allocation has the unmapped page: behind, in front, or now so, now so,
#: as the seed decides.
GUARDS: Final = ("after", "before", "mixed")

#: What is kept back for the machine itself: pool allocations fail before this is touched.
_RESERVE: Final = 16 << 20
#: So many freed allocations are remembered.
_REMEMBERED: Final = 4096


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
    #: Whether special pool was asked for (SpecialPoolOverrun, SpecialPoolUnderrun).
    special: bool = False

    @property
    def tag_text(self) -> str:
        """The tag as it is read in a debugger: four characters, the lowest byte first."""
        raw = self.tag.to_bytes(4, "little")
        return "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in raw)


class Pool:
    """Both pools. Addresses are never used twice."""

    def __init__(self, memory: Memory, guard: str = "after", seed: int = 0) -> None:
        self._memory = memory
        self._guard = guard
        self._random = random.Random(seed)  # noqa: S311 - which side is guarded, not a secret
        self._next = {False: NONPAGED_START, True: PAGED_START}
        self.live: dict[int, Allocation] = {}
        #: The last allocations that were freed: to say what a stale pointer once was.
        self.freed: OrderedDict[int, Allocation] = OrderedDict()
        #: Of each pool, what was allocated, by rising address; some may be forgotten.
        self._made: dict[bool, list[Allocation]] = {False: [], True: []}

    def allocate(
        self,
        size: int,
        tag: int,
        *,
        paged: bool = False,
        zero: bool = True,
        owner: str = "",
        execute: bool = False,
        align: int = 16,
        guard: str = "",
    ) -> int:
        """The address of ``size`` bytes, or 0 when memory is used up.

        ``align`` divides a page; ``guard`` chooses the guarded side for this allocation.
        """
        memory = self._memory
        rounded = max(align, -(-size // align) * align)
        pages = -(-rounded // PAGE)
        if pages * PAGE + _RESERVE > memory.available:
            return 0
        first = self._next[paged]
        try:
            memory.map(first, pages, execute=execute)
        except OutOfMemory:
            return 0
        self._next[paged] = first + (pages + 1) * PAGE
        front = 0 if size >= PAGE or self._guarded_before(guard) else PAGE - rounded
        slack = pages * PAGE - front - size
        # Written to physical memory, since paged pool is out of reach at a high IRQL.
        frames = [memory.pages[(first >> 12) + n].physical for n in range(pages)]
        if front:
            memory.write_physical(frames[0], _PATTERN[:front])
        if not zero:
            for n, frame in enumerate(frames):
                start = front if n == 0 else 0
                memory.write_physical(frame + start, _UNZEROED[start:])
        if slack:
            memory.write_physical(frames[-1] + PAGE - slack, _PATTERN[:slack])
        address = first + front
        made = Allocation(address, size, tag, paged, owner, first, pages, zero, execute)
        made.special = bool(guard)
        self.live[address] = made
        self._made[paged].append(made)
        return address

    def _guarded_before(self, guard: str) -> bool:
        guard = guard or self._guard
        if guard == "mixed":
            return self._random.random() < 0.5
        return guard == "before"

    def overrun(self, allocation: Allocation) -> int | None:
        """The offset of the first byte behind the allocation that was changed, or None."""
        end = allocation.address + allocation.size
        slack = allocation.first + allocation.pages * PAGE - end
        if not slack:
            return None
        at = self._memory.pages[(end - 1 if slack == PAGE else end) >> 12].physical + PAGE - slack
        data = self._memory.ram[at : at + slack]
        if data == _PATTERN[:slack]:
            return None
        return allocation.size + next(i for i, byte in enumerate(data) if byte != SLACK)

    def underrun(self, allocation: Allocation) -> int | None:
        """How far in front of the allocation the nearest changed byte is, or None."""
        front = allocation.address - allocation.first
        if not front:
            return None
        at = self._memory.pages[allocation.first >> 12].physical
        data = self._memory.ram[at : at + front]
        if data == _PATTERN[:front]:
            return None
        return front - max(i for i, byte in enumerate(data) if byte != SLACK)

    def free(self, allocation: Allocation) -> None:
        """Take a live allocation's pages away."""
        del self.live[allocation.address]
        self._memory.unmap(allocation.first, allocation.pages)
        self.freed[allocation.address] = allocation
        if len(self.freed) > _REMEMBERED:
            self.freed.popitem(last=False)
            made = self._made[allocation.paged]
            if len(made) > 2 * (len(self.live) + _REMEMBERED):
                self._made[allocation.paged] = [
                    a for a in made if a.address in self.live or a.address in self.freed
                ]

    def near(self, address: int) -> tuple[Allocation, bool] | None:
        """The allocation whose pages or guard page hold ``address``; whether it was freed."""
        made = self._made[address >= PAGED_START]
        index = bisect_right(made, address, key=lambda allocation: allocation.first) - 1
        if index < 0:
            return None
        allocation = made[index]
        gone = allocation.address not in self.live
        if gone and allocation.address not in self.freed:
            return None
        inside = address < allocation.first + (allocation.pages + 1) * PAGE
        return (allocation, gone) if inside else None

    def owned_by(self, owner: str) -> list[Allocation]:
        """A driver's live allocations, oldest first."""
        return [a for a in self.live.values() if a.owner == owner]
