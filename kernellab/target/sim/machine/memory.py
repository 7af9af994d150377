"""Real x86-64 page tables over physical memory, seen from the host side.

Page tables lie inside the guest's physical memory (:mod:`.physical`), so the CPU walks them as
hardware does. The host keeps a map of its own from virtual page to physical address for speed.
Nothing here knows of Unicorn.

The upper half of every address space is the kernel's and the same in all; the lower half is
a process's own (:class:`AddressSpace`).

Sizes are bytes, addresses 64-bit virtual unless called physical.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from .physical import PAGE, OutOfMemory, PhysicalMemory
from .space import AddressSpace, MemoryFault, Page, Within, canonical

__all__ = [
    "HIGHEST_USER",
    "KERNEL_START",
    "PAGE",
    "AddressSpace",
    "Memory",
    "MemoryFault",
    "OutOfMemory",
    "Page",
    "canonical",
]

PAGE_SHIFT: Final = 12

_PRESENT, _WRITE, _USER, _NX = 1, 2, 4, 1 << 63
#: Set by the CPU in the entry of a page that it reads or writes, and of one that it writes.
ACCESSED, DIRTY = 0x20, 0x40
_FRAME: Final = 0x000F_FFFF_FFFF_F000
_U64 = struct.Struct("<Q")
_U32 = struct.Struct("<I")

#: Addresses from here on belong to the kernel.
KERNEL_START: Final = 0xFFFF_8000_0000_0000
#: The highest address a user-mode pointer can have (MmHighestUserAddress).
HIGHEST_USER: Final = 0x0000_7FFF_FFFE_FFFF


#: Virtual page numbers below this are a process's own.
_USER_PAGES: Final = 1 << 35

#: So many leaf tables that may be empty are kept before they are looked through.
_KEPT_EMPTY: Final = 64

#: Slots of the top-level table that belong to the kernel.
_KERNEL_SLOTS: Final = range(256, 512)


def _flags(write: bool, execute: bool, user: bool) -> int:
    return _PRESENT | _WRITE * write | _USER * user | _NX * (not execute)


class Memory(PhysicalMemory):
    """``size`` bytes of physical memory, the kernel's half, and the current user half."""

    def __init__(self, size: int = 512 << 20) -> None:
        super().__init__(size)
        self.spaces: list[AddressSpace] = []
        #: The kernel half's pages by virtual page number.
        self.pages: dict[int, Page] = {}
        #: Set when an entry became stricter: the CPU must forget what it has cached.
        self.stale = False
        #: Whether code was unmapped that the CPU may have translated: see :meth:`.Cpu.run`.
        self.code_gone = False
        #: How many pages of code were taken away so far.
        self.code_losses = 0
        #: The system process's address space; its user half stays empty.
        self.system = AddressSpace(self.allocate())
        self.spaces.append(self.system)
        # All top-level slots of the kernel's half are filled now: later spaces copy them.
        for slot in _KERNEL_SLOTS:
            entry = self.allocate() | _PRESENT | _WRITE | _USER
            _U64.pack_into(self.ram, self.system.root + 8 * slot, entry)
        #: The address space that user addresses mean.
        self.space = self.system
        #: Leaf tables of the kernel's half by the virtual address of the 2 MiB they map.
        self._leaves: dict[int, int] = {}
        self._counts: dict[int, int] = {}
        #: Leaf tables that may be empty, with the space they are in: see :meth:`_drop_empty`.
        self._empty: dict[tuple[int, int], AddressSpace] = {}
        #: Pageable sections of drivers: first page number, count.
        self.pageable: dict[int, int] = {}
        #: Called with each address that the kernel accesses on a driver's behalf, while the
        #: IRQL is raised: raises MemoryFault where pageable memory is.
        self.check: Callable[[int, str], None] | None = None
        #: Called with address, size and whether it writes when user memory is accessed likewise.
        self.watch: Callable[[int, int, bool], None] | None = None

    @property
    def high_water(self) -> int:
        """All physical memory that was ever used lies below this."""
        return max(self._next, self._used)

    # -- address spaces -----------------------------------------------------------------------

    @property
    def root(self) -> int:
        """Physical address of the current top-level table."""
        return self.space.root

    def new_space(self) -> AddressSpace:
        """An address space whose user half is empty."""
        space = AddressSpace(self.allocate())
        size = 8 * _KERNEL_SLOTS.stop - 8 * _KERNEL_SLOTS.start
        start = 8 * _KERNEL_SLOTS.start
        system = self.system.root + start
        self.ram[space.root + start : space.root + start + size] = self.ram[system : system + size]
        if self.dirty is not None:
            self.dirty.add(space.root)
        self.spaces.append(space)
        return space

    def delete_space(self, space: AddressSpace) -> None:
        """Give everything of an address space back that is not the current one."""
        self.spaces.remove(space)
        for page in space.pages.values():
            if self.dirty is not None:
                self.dirty.add(page.physical)  # what the CPU wrote in it is known nowhere else
            if page.owned:
                self.release(page.physical)
        for table in (*space.leaves.values(), *space.tables, space.root):
            self.release(table)
        space.pages.clear()
        space.leaves.clear()
        space.counts.clear()
        self._empty = {key: s for key, s in self._empty.items() if s is not space}

    def use(self, space: AddressSpace) -> None:
        """Make user addresses mean those of ``space``; the CPU is told by ``stale``."""
        if space is not self.space:
            self.space = space
            self.stale = True

    def within(self, space: AddressSpace) -> Within:
        """User addresses mean those of ``space`` meanwhile, for the host only."""
        return Within(self, space)

    # -- page tables --------------------------------------------------------------------------

    def map(
        self,
        address: int,
        count: int = 1,
        *,
        write: bool = True,
        execute: bool = False,
        user: bool = False,
        physical: list[int] | None = None,
        owned: bool = False,
    ) -> list[int]:
        """Map ``count`` pages from ``address`` on, to new zeroed memory or to ``physical``.

        ``owned`` says that the latter are released with the mapping. Their physical addresses.
        """
        if physical is None and count * PAGE > self.available - (64 + count // 256) * PAGE:
            raise OutOfMemory
        flags = _flags(write, execute, user)
        owned = owned or physical is None
        frames: list[int] = []
        start = address >> PAGE_SHIFT
        pages, counts = self.pages, self._counts
        if start < _USER_PAGES:
            pages, counts = self.space.pages, self.space.counts
        for number in range(start, start + count):
            if number in pages:
                raise ValueError(f"{number << PAGE_SHIFT:#x} is mapped already")
            frame = self.allocate() if physical is None else physical[len(frames)]
            frames.append(frame)
            pages[number] = Page(frame, write, execute, user, owned)
            self._put(self._entry(number), frame | flags)
            key = number >> 9
            counts[key] = counts.get(key, 0) + 1
        return frames

    def unmap(self, address: int, count: int = 1, *, release: bool = True) -> None:
        """Take ``count`` pages away; their memory is free again unless ``release`` is false."""
        start = address >> PAGE_SHIFT
        space, pages, counts = self.system, self.pages, self._counts
        if start < _USER_PAGES:
            space = self.space
            pages, counts = space.pages, space.counts
        for number in range(start, start + count):
            page = pages.pop(number)
            if page.execute:
                self.code_gone = True
                self.code_losses += 1
            slot = self._entry(number)
            entry = self.ram[slot]
            if entry & ACCESSED:  # otherwise the CPU has nothing of it cached
                self.stale = True
            if self.dirty is not None and entry & DIRTY:
                self.dirty.add(page.physical)
            self._put(slot, 0)
            if release and page.owned:
                self.release(page.physical)
            key = number >> 9
            counts[key] -= 1
            if not counts[key]:
                self._empty[space.root, key] = space
        if len(self._empty) > _KEPT_EMPTY:
            self._drop_empty()

    def _note_empty(self) -> None:
        """Find the empty leaf tables anew: a checkpoint was gone back to."""
        self._empty.clear()
        for space in self.spaces:
            counts = {**space.counts, **(self._counts if space is self.system else {})}
            self._empty.update({(space.root, k): space for k, n in counts.items() if not n})

    def _drop_empty(self) -> None:
        """Give back leaf tables that map nothing, since addresses are seldom used again."""
        for (_, key), space in self._empty.items():
            kernel = key >= _USER_PAGES >> 9
            counts = self._counts if kernel else space.counts
            if counts.get(key, 1):
                continue
            table = space.root
            for shift in (18, 9):
                (entry,) = _U64.unpack_from(self.ram, table + (key >> shift & 0x1FF) * 8)
                table = entry & _FRAME
            self._put(table + (key & 0x1FF) * 8, 0)
            del counts[key]
            self.release((self._leaves if kernel else space.leaves).pop(key))
        self._empty.clear()

    def protect(self, address: int, count: int, *, write: bool, execute: bool) -> None:
        """Change what ``count`` mapped pages allow."""
        for number in range(address >> PAGE_SHIFT, (address >> PAGE_SHIFT) + count):
            pages = self._half(number)
            page = replace(pages[number], write=write, execute=execute)
            pages[number] = page
            self._set(number, page)
        self.stale = True

    def _set(self, number: int, page: Page) -> None:
        slot = self._entry(number)
        if self.dirty is not None and self.ram[slot] & DIRTY:
            self.dirty.add(page.physical)
        self._put(slot, page.physical | _flags(page.write, page.execute, page.user))

    def _put(self, slot: int, entry: int) -> None:
        _U64.pack_into(self.ram, slot, entry)
        if self.dirty is not None:
            self.dirty.add(slot & ~0xFFF)

    def _entry(self, number: int) -> int:
        """Physical address of the leaf entry for a virtual page, making tables on the way."""
        user = number < _USER_PAGES
        leaves = self.space.leaves if user else self._leaves
        leaf = leaves.get(number >> 9)
        if leaf is None:
            table = self.space.root
            for shift in (27, 18, 9):
                slot = table + ((number >> shift) & 0x1FF) * 8
                (entry,) = _U64.unpack_from(self.ram, slot)
                if not entry:
                    made = self.allocate()
                    if user and shift != 9:
                        self.space.tables.append(made)
                    if user and shift == 27:
                        self.space.slots.append(number >> 27)
                    entry = made | _PRESENT | _WRITE | _USER
                    self._put(slot, entry)
                table = entry & _FRAME
            leaf = leaves[number >> 9] = table
        return leaf + (number & 0x1FF) * 8

    def leaf_entry(self, number: int) -> int:
        """Physical address of the table entry of a mapped page, by its number."""
        return self._entry(number)

    def _half(self, number: int) -> dict[int, Page]:
        return self.space.pages if number < _USER_PAGES else self.pages

    def page(self, address: int) -> Page | None:
        """What is mapped at ``address``; None where nothing is (non-canonical ones too)."""
        number = address >> PAGE_SHIFT
        return self.pages.get(number) or self.space.pages.get(number)

    def entry(self, address: int) -> int:
        """The page-table entry that maps ``address``, as the CPU sees it; 0 where none does."""
        if self.page(address) is None:
            return 0
        value: int = _U64.unpack_from(self.ram, self._entry(address >> PAGE_SHIFT))[0]
        return value

    # -- access as the kernel has it ------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes; raises :class:`MemoryFault` at the first byte that is not mapped."""
        if self.check is not None:
            self.check(address, "read")
        number, offset = address >> PAGE_SHIFT, address & 0xFFF
        page = self.pages.get(number) or self._user(address, size, write=False)
        if offset + size <= PAGE:
            start = page.physical + offset
            return self.ram[start : start + size]
        first = PAGE - offset
        parts = [self.ram[page.physical + offset : page.physical + PAGE]]
        at, left = address + first, size - first
        while left > 0:
            further = self.page(at)
            if further is None:
                raise MemoryFault(at)
            parts.append(self.ram[further.physical : further.physical + min(left, PAGE)])
            at += PAGE
            left -= PAGE
        return b"".join(parts)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write ``data``; read-only pages are refused as the CPU does with CR0.WP set.

        Nothing is written when any byte cannot be.
        """
        if self.check is not None:
            self.check(address, "write")
        number, offset = address >> PAGE_SHIFT, address & 0xFFF
        size = len(data)
        page: Page | None = self.pages.get(number) or self._user(address, size, write=True)
        if page is None or not page.write:
            raise MemoryFault(address, "write")
        if offset + size <= PAGE:
            start = page.physical + offset
            self.ram[start : start + size] = data
            if self.dirty is not None:
                self.dirty.add(page.physical)
            return
        spans = []
        at, done = address, 0
        while done < size:
            page = self.page(at)
            if page is None or not page.write:
                raise MemoryFault(at, "write")
            chunk = min(PAGE - (at & 0xFFF), size - done)
            spans.append((page.physical + (at & 0xFFF), done, chunk))
            at += chunk
            done += chunk
        for start, source, chunk in spans:
            self.ram[start : start + chunk] = data[source : source + chunk]
            if self.dirty is not None:
                self.dirty.add(start & ~0xFFF)

    def _user(self, address: int, size: int, *, write: bool) -> Page:
        """The page of an access that is not to the kernel's half."""
        page = self.space.pages.get(address >> PAGE_SHIFT)
        if page is None:
            raise MemoryFault(address, "write" if write else "read")
        if self.watch is not None:
            self.watch(address, size, write)
        return page

    def write_image(self, address: int, data: bytes) -> None:
        """Write without regard to protection: for the loader, before code can run."""
        for at in range(0, len(data), PAGE):
            page = self.page(address + at)
            assert page is not None
            chunk = data[at : at + PAGE]
            self.ram[page.physical : page.physical + len(chunk)] = chunk
            if self.dirty is not None:
                self.dirty.add(page.physical)

    def u64(self, address: int) -> int:
        offset = address & 0xFFF
        page = self.pages.get(address >> PAGE_SHIFT)
        if page is None or offset > PAGE - 8:
            return int.from_bytes(self.read(address, 8), "little")
        value: int = _U64.unpack_from(self.ram, page.physical + offset)[0]
        return value

    def u32(self, address: int) -> int:
        offset = address & 0xFFF
        page = self.pages.get(address >> PAGE_SHIFT)
        if page is None or offset > PAGE - 4:
            return int.from_bytes(self.read(address, 4), "little")
        value: int = _U32.unpack_from(self.ram, page.physical + offset)[0]
        return value

    def u16(self, address: int) -> int:
        offset = address & 0xFFF
        page = self.pages.get(address >> PAGE_SHIFT)
        if page is None or offset > PAGE - 2:
            return int.from_bytes(self.read(address, 2), "little")
        at = page.physical + offset
        return int.from_bytes(self.ram[at : at + 2], "little")

    def u8(self, address: int) -> int:
        return self.read(address, 1)[0]

    def set_u64(self, address: int, value: int) -> None:
        value &= 0xFFFF_FFFF_FFFF_FFFF
        number, offset = address >> PAGE_SHIFT, address & 0xFFF
        page = self.pages.get(number)
        if page is None or not page.write or offset > PAGE - 8:
            self.write(address, value.to_bytes(8, "little"))
            return
        _U64.pack_into(self.ram, page.physical + offset, value)
        if self.dirty is not None:
            self.dirty.add(page.physical)

    def set_u32(self, address: int, value: int) -> None:
        value &= 0xFFFF_FFFF
        offset = address & 0xFFF
        page = self.pages.get(address >> PAGE_SHIFT)
        if page is None or not page.write or offset > PAGE - 4:
            self.write(address, value.to_bytes(4, "little"))
            return
        _U32.pack_into(self.ram, page.physical + offset, value)
        if self.dirty is not None:
            self.dirty.add(page.physical)

    def set_u16(self, address: int, value: int) -> None:
        data = (value & 0xFFFF).to_bytes(2, "little")
        offset = address & 0xFFF
        page = self.pages.get(address >> PAGE_SHIFT)
        if page is None or not page.write or offset > PAGE - 2:
            self.write(address, data)
            return
        self.ram[page.physical + offset : page.physical + offset + 2] = data
        if self.dirty is not None:
            self.dirty.add(page.physical)

    def set_u8(self, address: int, value: int) -> None:
        self.write(address, bytes((value & 0xFF,)))

    def try_read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes, or None: for walking stacks, which must not raise."""
        offset = address & 0xFFF
        page = self.pages.get(address >> PAGE_SHIFT)
        if page is not None and offset + size <= PAGE:
            start = page.physical + offset
            return self.ram[start : start + size]
        before = self.check, self.watch
        self.check = self.watch = None
        try:
            return self.read(address, size)
        except MemoryFault:
            return None
        finally:
            self.check, self.watch = before
