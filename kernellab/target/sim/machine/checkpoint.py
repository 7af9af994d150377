"""Bringing physical memory and page tables back to an earlier moment, by what has changed since.

A checkpoint keeps a copy of the physical memory in use. What changes afterwards is known page by
page: the CPU sets the dirty bit in a page's table entry, and the host's own writes are noted in
``Memory.dirty``. Bringing a small driver's run back copies some tens of pages.
"""

from __future__ import annotations

from typing import Final

from .memory import DIRTY, PAGE, AddressSpace, Memory, Page

#: The dirty bits of all 512 entries of a table, as one number.
_DIRTY_BITS: Final = int.from_bytes((DIRTY).to_bytes(8, "little") * 512, "little")


class Checkpoint:
    """The memory as it was. Many may be kept; each can be gone back to many times."""

    def __init__(self, memory: Memory) -> None:
        if memory.dirty is None:
            memory.dirty = set()
        _collect(memory)
        #: Pages that have changed since this checkpoint and were not brought back.
        self._changed: set[int] = set()
        memory.checkpoints.append(self)
        for other in memory.checkpoints[:-1]:
            other._changed |= memory.dirty
        memory.dirty.clear()
        self._next = memory._next
        self._copy = memory.ram[: memory._next]
        self._free = list(memory._free)
        self._pages = dict(memory.pages)
        self._leaves = dict(memory._leaves)
        self._counts = dict(memory._counts)
        self._locked = dict(memory.locked)
        self._orphans = set(memory._orphans)
        self._pageable = dict(memory.pageable)
        self._code_losses = memory.code_losses
        self._space = memory.space
        self._spaces = [_Space(space) for space in memory.spaces]
        self._leaf_tables = {*memory._leaves.values()}
        for space in memory.spaces:
            self._leaf_tables.update(space.leaves.values())
        memory.stale = True

    def restore(self, memory: Memory) -> bool:
        """Bring memory back; whether code changed, which the CPU may have translated."""
        _collect(memory)
        assert memory.dirty is not None
        for checkpoint in memory.checkpoints:
            checkpoint._changed |= memory.dirty
        ram, copy = memory.ram, self._copy
        code = memory.pages.keys() ^ self._pages.keys()
        # Leaf tables always: the CPU sets accessed bits in them that nothing else tells of.
        for page in self._changed.union(self._leaf_tables):
            if page < self._next:
                ram[page : page + PAGE] = copy[page : page + PAGE]
        for other in memory.checkpoints:
            if other is not self:
                other._changed |= self._changed
        # What came and went in between left nothing but the CPU's translations, which would be
        # taken for those of the code that comes there next.
        changed = memory.code_losses != self._code_losses or any(
            page.execute and (number in code or page.physical in self._changed)
            for pages in (memory.pages, self._pages)
            for number, page in _interesting(pages, code, self._changed)
        )
        self._changed.clear()
        memory.dirty.clear()
        memory._used = max(memory._used, memory._next)
        memory._next = self._next
        memory._free[:] = self._free
        memory.pages.clear()
        memory.pages.update(self._pages)
        memory._leaves.clear()
        memory._leaves.update(self._leaves)
        memory._counts = dict(self._counts)
        memory.locked = dict(self._locked)
        memory._orphans = set(self._orphans)
        self._code_losses = memory.code_losses
        memory.pageable = dict(self._pageable)
        memory.space = self._space
        memory.spaces[:] = [kept.restore() for kept in self._spaces]
        memory._note_empty()
        memory.stale = True
        return changed

    def forget(self, memory: Memory) -> None:
        """Nothing is kept for it any more."""
        if self in memory.checkpoints:
            memory.checkpoints.remove(self)
        if not memory.checkpoints:
            memory.dirty = None


def _interesting(
    pages: dict[int, Page], moved: set[int], changed: set[int]
) -> list[tuple[int, Page]]:
    """Executable pages that were mapped, unmapped or written."""
    found = [(n, pages[n]) for n in moved if n in pages]
    found += [(n, p) for n, p in pages.items() if p.execute and p.physical in changed]
    return found


class _Space:
    """What a checkpoint keeps of one address space."""

    __slots__ = ("_counts", "_leaves", "_pages", "_slots", "_space", "_tables")

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._pages = dict(space.pages)
        self._leaves = dict(space.leaves)
        self._tables = list(space.tables)
        self._counts = dict(space.counts)
        self._slots = list(space.slots)

    def restore(self) -> AddressSpace:
        space = self._space
        space.pages, space.leaves = dict(self._pages), dict(self._leaves)
        space.tables, space.counts = list(self._tables), dict(self._counts)
        space.slots = list(self._slots)
        return space


def _collect(memory: Memory) -> None:
    """Move the CPU's dirty bits into ``memory.dirty``."""
    ram = memory.ram
    assert memory.dirty is not None
    for leaves in (memory._leaves, *(space.leaves for space in memory.spaces)):
        for table in leaves.values():
            entries = int.from_bytes(ram[table : table + PAGE], "little")
            bits = entries & _DIRTY_BITS
            if not bits:
                continue
            ram[table : table + PAGE] = (entries ^ bits).to_bytes(PAGE, "little")
            while bits:
                position = (bits & -bits).bit_length() - 1
                bits &= bits - 1
                entry = entries >> (position & ~63) & 0x000F_FFFF_FFFF_F000
                memory.dirty.add(entry)
