"""Pageable memory is out of reach while the IRQL is DISPATCH_LEVEL or above.

Windows may have paged it out, and a page fault cannot be handled then; Driver Verifier makes sure
by trimming it whenever the IRQL is raised. Here the page tables' present bits are taken away
instead: of the top-level entries of paged pool and of the user half, and of the entries of a
driver's pageable sections. Flushing what the CPU has cached is the expensive part, and is left
out where the accessed bit says that nothing is cached: a driver that uses no pageable memory
between two spin locks pays next to nothing.

Pages that are locked (MmProbeAndLockPages, MmLockPagableCodeSection) stay in reach.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .memory import Memory, MemoryFault

if TYPE_CHECKING:
    from .cpu import Cpu

#: Paged pool has a top-level entry of its own.
PAGED_START: Final = 0xFFFF_B800_0000_0000
PAGED_END: Final = 0xFFFF_B880_0000_0000

_PRESENT, _ACCESSED = 1, 0x20
_FRAME: Final = 0x000F_FFFF_FFFF_F000
_PAGED_SLOT: Final = 8 * (PAGED_START >> 39 & 0x1FF)


class Veil:
    """Takes pageable memory away from one CPU, and brings it back."""

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._memory = memory = cpu.memory
        #: Whether it is away now.
        self.drawn = False
        #: Physical memory in words of 8 bytes: page table entries by their number.
        self._words = memoryview(memory.ram).cast("Q")
        #: The first entry of the table of paged pool: 0 as long as there never was any.
        self._paged = (self._words[memory.root + _PAGED_SLOT >> 3] & _FRAME) >> 3
        #: The entries to change, and what they were found for.
        self._targets: list[int] = []
        self._found_for: object = None
        #: Those that are changed now.
        self._hidden: list[int] = []
        self._checks = self._check

    def sync(self) -> None:
        """Draw or lift it as the IRQL says."""
        if self._cpu.irql <= 1:
            self.lift()
            return
        self.drawn = True
        self._memory.check = self._checks
        words, flush = self._words, False
        now = self._cpu.root, len(self._memory.space.slots), words[self._paged] != 0
        if now != self._found_for:
            self._found_for = now
            self._targets = self._find(*now)
        for index in self._targets:
            entry = words[index]
            if entry & _PRESENT:
                if entry & _ACCESSED:
                    flush = True
                words[index] = entry & ~(_PRESENT | _ACCESSED)
                self._hidden.append(index)
        if flush:
            self._cpu.flush()

    def _find(self, root: int, _slots: int, paged: bool) -> list[int]:
        memory = self._memory
        entries = [root + _PAGED_SLOT] if paged else []
        entries += (root + 8 * slot for slot in memory.space.slots)
        for first, count in memory.pageable.items():
            for number in range(first, first + count):
                page = memory.pages.get(number)
                if page is not None and page.physical not in memory.locked:
                    entries.append(memory.leaf_entry(number))
        return [entry >> 3 for entry in entries]

    def lift(self) -> None:
        """Bring it back, until the CPU runs again or the IRQL is raised.

        The CPU caches nothing that is absent, so there is nothing to forget.
        """
        self.open()
        self._memory.check = None
        self.drawn = False

    def open(self) -> None:
        """Bring it back for the CPU, until the IRQL was below DISPATCH_LEVEL."""
        words = self._words
        for index in self._hidden:
            if words[index]:
                words[index] |= _PRESENT
        self._hidden.clear()

    def changed(self) -> None:
        """Other sections are pageable, or locked, than before."""
        self.lift()
        self._found_for = None

    @property
    def hides(self) -> bool:
        """Whether anything is away now."""
        return bool(self._hidden)

    def hides_locked(self, address: int) -> bool:
        """Whether a page fault is in memory that was hidden with the rest and must not be."""
        page = self._memory.page(address)
        return bool(self._hidden) and page is not None and page.physical in self._memory.locked

    def _check(self, address: int, access: str) -> None:
        """An access by the kernel on a driver's behalf, see :attr:`.Memory.check`."""
        if self._cpu.irql > 1 and pageable(self._memory, address):
            page = self._memory.page(address)
            if page is not None and page.physical not in self._memory.locked:
                raise MemoryFault(address, access)


def pageable(memory: Memory, address: int) -> bool:
    """Whether Windows could page out what is at ``address``: user memory, paged pool, PAGE."""
    if address < 1 << 47 or PAGED_START <= address < PAGED_END:
        return True
    number = address >> 12
    return any(first <= number < first + count for first, count in memory.pageable.items())
