"""The machine's physical memory: one anonymous mmap, which is also given to the CPU.

Pages are handed out and taken back here. One that is locked is not handed out again before it is
unlocked, even if it was released meanwhile.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, Final

PAGE: Final = 0x1000
_ZEROS: Final = bytes(PAGE)


class OutOfMemory(Exception):
    """The machine's physical memory is used up."""


class PhysicalMemory:
    """``size`` bytes; addresses here are physical."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.ram = mmap.mmap(-1, size)
        self._next = PAGE  # physical page 0 stays unused, so that 0 means "no table"
        self._free: list[int] = []
        #: Physical pages below this may have been used before, and need zeroing.
        self._used = PAGE
        #: Physical pages the host has written since the last checkpoint, None where none is
        #: kept: see :mod:`.checkpoint`.
        self.dirty: set[int] | None = None
        self.checkpoints: list[Any] = []
        #: Physical pages that must not be used anew, and how often each is locked.
        self.locked: dict[int, int] = {}
        #: Those of them that were released meanwhile.
        self._orphans: set[int] = set()

    def allocate(self) -> int:
        """A zeroed physical page's address. Raises :class:`OutOfMemory`."""
        if self._free:
            page = self._free.pop()
        else:
            page = self._next
            if page + PAGE > self.size:
                raise OutOfMemory
            self._next += PAGE
            if page >= self._used:
                return page
        self.ram[page : page + PAGE] = _ZEROS
        if self.dirty is not None:
            self.dirty.add(page)
        return page

    def allocate_within(self, low: int, high: int, count: int = 1, boundary: int = 0) -> int:
        """The address of ``count`` zeroed physical pages in a row in ``low`` to ``high`` (the last
        byte), that cross no multiple of ``boundary`` where it is given. Raises OutOfMemory.
        """
        low = -(-max(low, PAGE) // PAGE) * PAGE
        high = min(high + 1, self.size)
        span = count * PAGE
        for start in self._runs(low, high, span):
            if boundary and start // boundary != (start + span - 1) // boundary:
                start = -(-start // boundary) * boundary
                if span > boundary or start not in self._runs(start, start + span, span):
                    continue
            if start + span > high:
                continue
            taken = set(range(start, min(start + span, self._next), PAGE))
            if taken:
                self._free = [page for page in self._free if page not in taken]
            if start + span > self._next:
                self._free += range(self._next, start, PAGE)
                self._next = start + span
            self.ram[start : start + span] = bytes(span)
            if self.dirty is not None:
                self.dirty.update(range(start, start + span, PAGE))
            return start
        raise OutOfMemory

    def _runs(self, low: int, high: int, span: int) -> Iterator[int]:
        """Where ``span`` bytes of free physical pages begin in ``low`` to ``high``."""
        free = sorted(page for page in self._free if low <= page < high)
        run = 0
        for index, page in enumerate(free):
            run = run + 1 if index and free[index - 1] + PAGE == page else 1
            if run * PAGE >= span:
                yield page + PAGE - span
        start = max(low, self._next)
        if start + span <= high:
            yield start

    def release(self, physical: int) -> None:
        """Give a physical page back: at once, or when it is no longer locked."""
        if physical in self.locked:
            self._orphans.add(physical)
        else:
            self._free.append(physical)

    def lock(self, physical: int) -> None:
        """Hold a physical page: it is not used for something else, even when it is released."""
        self.locked[physical] = self.locked.get(physical, 0) + 1

    def unlock(self, physical: int) -> None:
        """Undo one :meth:`lock`; ``KeyError`` where there was none."""
        count = self.locked[physical] - 1
        if count:
            self.locked[physical] = count
            return
        del self.locked[physical]
        if physical in self._orphans:
            self._orphans.remove(physical)
            self._free.append(physical)

    @property
    def available(self) -> int:
        """Bytes of physical memory that are free."""
        return self.size - self._next + len(self._free) * PAGE

    def write_physical(self, address: int, data: bytes) -> None:
        """Write to physical memory, inside one page or pages in a row."""
        self.ram[address : address + len(data)] = data
        if self.dirty is not None:
            self.dirty.update(range(address & ~0xFFF, address + len(data), PAGE))
