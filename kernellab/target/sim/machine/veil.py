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

import struct
from typing import TYPE_CHECKING, Final

from .memory import Memory, MemoryFault

if TYPE_CHECKING:
    from .cpu import Cpu

#: Paged pool has a top-level entry of its own.
PAGED_START: Final = 0xFFFF_B800_0000_0000
PAGED_END: Final = 0xFFFF_B880_0000_0000

_U64 = struct.Struct("<Q")
_PRESENT, _ACCESSED = 1, 0x20
_FRAME: Final = 0x000F_FFFF_FFFF_F000
_PAGED_SLOT: Final = 8 * (PAGED_START >> 39 & 0x1FF)


class Veil:
    """Takes pageable memory away from one CPU, and brings it back."""

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._memory = cpu.memory
        #: Whether it is away now.
        self.drawn = False
        #: The entries that were changed, by their physical addresses.
        self._entries: list[int] = []

    def sync(self) -> None:
        """Draw or lift it as the IRQL says."""
        if self._cpu.irql > 1:
            self._memory.check = self._check
            if self._draw(self._cpu.root):
                self._cpu.flush()
        else:
            self.lift()

    def _draw(self, root: int) -> bool:
        """Take it away in the tables at ``root``; whether the CPU must forget what it cached."""
        ram = self._memory.ram
        self.drawn = True
        flush = False
        slots = [root + _PAGED_SLOT] if self._paged_used(root) else []
        slots += [root + 8 * slot for slot in self._memory.space.slots]
        for entry in (*slots, *self._sections()):
            (value,) = _U64.unpack_from(ram, entry)
            if value & _PRESENT:
                flush = flush or bool(value & _ACCESSED)
                _U64.pack_into(ram, entry, value & ~(_PRESENT | _ACCESSED))
                self._entries.append(entry)
        return flush

    def lift(self) -> None:
        """Bring it back, until the CPU runs again or the IRQL is raised.

        The CPU caches nothing that is absent, so there is nothing to forget.
        """
        self.open()
        self._memory.check = None
        self.drawn = False

    def open(self) -> None:
        """Bring it back for the CPU, until the IRQL was below DISPATCH_LEVEL."""
        ram = self._memory.ram
        for entry in self._entries:
            (value,) = _U64.unpack_from(ram, entry)
            if value:
                _U64.pack_into(ram, entry, value | _PRESENT)
        self._entries.clear()

    def hides_locked(self, address: int) -> bool:
        """Whether a page fault is in memory that was hidden with the rest and must not be."""
        page = self._memory.page(address)
        return bool(self._entries) and page is not None and page.physical in self._memory.locked

    def _check(self, address: int, access: str) -> None:
        """An access by the kernel on a driver's behalf, see :attr:`.Memory.check`."""
        if self._cpu.irql > 1 and pageable(self._memory, address):
            page = self._memory.page(address)
            if page is not None and page.physical not in self._memory.locked:
                raise MemoryFault(address, access)

    def _paged_used(self, root: int) -> bool:
        """Whether there has ever been an allocation of paged pool."""
        ram = self._memory.ram
        (entry,) = _U64.unpack_from(ram, root + _PAGED_SLOT)
        return bool(_U64.unpack_from(ram, entry & _FRAME)[0])

    def _sections(self) -> list[int]:
        memory = self._memory
        entries = []
        for first, count in memory.pageable.items():
            for number in range(first, first + count):
                page = memory.pages.get(number)
                if page is not None and page.physical not in memory.locked:
                    entries.append(memory.leaf_entry(number))
        return entries


def pageable(memory: Memory, address: int) -> bool:
    """Whether Windows could page out what is at ``address``: user memory, paged pool, PAGE."""
    if address < 1 << 47 or PAGED_START <= address < PAGED_END:
        return True
    number = address >> 12
    return any(first <= number < first + count for first, count in memory.pageable.items())
