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
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE, Memory, OutOfMemory
from ..machine.veil import PAGED_START
from .execution import Context
from .pool_use import PoolUse
from .records import Records

if TYPE_CHECKING:
    from .kernel import Kernel

NONPAGED_START: Final = 0xFFFF_A800_0000_0000
#: What lies between an allocation and its page's begin or end.
SLACK: Final = 0xFD
#: What memory that was not asked to be zeroed is full of, one after the other: not zero, and
#: seldom a driver's own.
FILLS: Final = (0xCD, 0xB3, 0xD6, 0xA9, 0x97)
_UNZEROED: Final = {fill: bytes([fill]) * PAGE for fill in FILLS}

#: Which side of a small allocation has the unmapped page: behind, in front, or now so, now so,
#: as the seed decides.
GUARDS: Final = ("after", "before", "mixed")

#: What is kept back for the machine itself: pool allocations fail before this is touched.
_RESERVE: Final = 16 << 20
#: So many freed allocations are remembered, and of so many the stacks, which fit a processor's
#: cache.
_REMEMBERED: Final = 4096
_STACKS: Final = 512


@cache
def _pattern(size: int) -> bytes:
    """What so many bytes of slack are, at most a page."""
    return bytes([SLACK]) * size


@dataclass(slots=True)
class Allocation:
    """One pool allocation. ``owner`` is the driver's name; empty for the kernel's own.

    Never changed once it was made.
    """

    address: int
    size: int
    tag: int
    paged: bool
    owner: str
    first: int
    pages: int
    zeroed: bool
    execute: bool
    #: Whether special pool was asked for (SpecialPoolOverrun, SpecialPoolUnderrun).
    special: bool

    @property
    def tag_text(self) -> str:
        """The tag as it is read in a debugger: four characters, the lowest byte first."""
        raw = self.tag.to_bytes(4, "little")
        return "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in raw)


def tell_allocated(k: Kernel, address: int) -> None:
    """Tell of a new allocation, and by events of their own of what only some have about them."""
    allocation = k.pool.live[address]
    k.tell("pool-allocated", allocation)
    if not allocation.size:
        k.tell("empty-pool-allocated", allocation)
    if allocation.execute:
        k.tell("executable-pool-allocated", allocation)
    if allocation.paged:
        k.tell("paged-pool-allocated", allocation)


class Pool:
    """Both pools. Addresses are never used twice."""

    def __init__(
        self, memory: Memory, guard: str = "after", seed: int = 0, k: Kernel | None = None
    ) -> None:
        self._memory = memory
        self._guard = guard
        #: What memory is filled with now.
        self.fill = FILLS[0]
        self._random = random.Random(seed)  # noqa: S311 - which side is guarded, not a secret
        self._next = {False: NONPAGED_START, True: PAGED_START}
        self.live: Records[Allocation] = Records()
        #: What drivers use, counted; None for a pool without a machine.
        self.use = PoolUse(k) if k is not None else None
        #: The last allocations that were freed: to say what a stale pointer once was.
        self.freed: Records[Allocation] = Records()
        #: Where live allocations were made, and where the last freed ones were made and freed, as
        #: far as somebody keeps that.
        self._stacks: Records[Context | None] = Records()
        self._freed_stacks: Records[tuple[Context | None, Context | None]] = Records()

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
        rounded = -(-size // align) * align or align
        pages = -(-rounded // PAGE)
        if pages * PAGE + _RESERVE > memory.available:
            return 0
        first = self._next[paged]
        try:
            frames = memory.map(first, pages, execute=execute)
        except OutOfMemory:
            return 0
        self._next[paged] = first + (pages + 1) * PAGE
        front = 0 if size >= PAGE or self._guarded_before(guard) else PAGE - rounded
        slack = pages * PAGE - front - size
        # Written to physical memory, since paged pool is out of reach at a high IRQL.
        if front:
            memory.write_physical(frames[0], _pattern(front))
        if not zero:
            for n, frame in enumerate(frames):
                start = front if n == 0 else 0
                memory.write_physical(frame + start, _UNZEROED[self.fill][start:])
        if slack:
            memory.write_physical(frames[-1] + PAGE - slack, _pattern(slack))
        address = first + front
        allocation = self.live[address] = Allocation(
            address, size, tag, paged, owner, first, pages, zero, execute, bool(guard)
        )
        if owner and self.use is not None:
            self.use.allocated(allocation)
        return address

    def change_fill(self) -> None:
        """Fill what is allocated from now on with something else."""
        self.fill = FILLS[(FILLS.index(self.fill) + 1) % len(FILLS)]

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
        if data == _pattern(slack):
            return None
        return allocation.size + next(i for i, byte in enumerate(data) if byte != SLACK)

    def underrun(self, allocation: Allocation) -> int | None:
        """How far in front of the allocation the nearest changed byte is, or None."""
        front = allocation.address - allocation.first
        if not front:
            return None
        at = self._memory.pages[allocation.first >> 12].physical
        data = self._memory.ram[at : at + front]
        if data == _pattern(front):
            return None
        return front - max(i for i, byte in enumerate(data) if byte != SLACK)

    def free(self, allocation: Allocation) -> None:
        """Take a live allocation's pages away."""
        address = allocation.address
        del self.live[address]
        if allocation.owner and self.use is not None:
            self.use.freed(allocation)
        self._memory.unmap(allocation.first, allocation.pages)
        self.freed.remember(address, allocation, _REMEMBERED)
        if address in self._stacks:  # the kernel itself frees it
            self.keep_stack_of_free(allocation, None)

    def near(self, address: int) -> tuple[Allocation, bool] | None:
        """The allocation whose pages or guard page hold ``address``; whether it was freed."""
        for allocations, gone in ((self.live, False), (self.freed, True)):
            for allocation in allocations.values():
                if allocation.first <= address < allocation.first + (allocation.pages + 1) * PAGE:
                    return allocation, gone
        return None

    def keep_stack(self, allocation: Allocation, made: Context | None) -> None:
        """Keep where an allocation was made."""
        self._stacks[allocation.address] = made

    def keep_stack_of_free(self, allocation: Allocation, freed: Context | None) -> None:
        """Keep where an allocation is freed, for a while, beside where it was made."""
        address = allocation.address
        stacks = self._stacks.pop(address, None), freed
        self._freed_stacks.remember(address, stacks, _STACKS)

    def stacks(self, allocation: Allocation) -> tuple[Context | None, Context | None]:
        """Where an allocation was made and freed, as far as that is known."""
        address = allocation.address
        if address in self._freed_stacks:
            return self._freed_stacks[address]
        return self._stacks.get(address), None

    def owned_by(self, owner: str) -> list[Allocation]:
        """A driver's live allocations, oldest first."""
        return [a for a in self.live.values() if a.owner == owner]
