"""Physical memory as drivers ask for it: contiguous blocks, device registers, ports.

Device memory is declared from Python and lives in pages of the machine's own memory that stand for
it: :attr:`PhysicalMemoryManager.regions` says which. Ports keep what was written to them last.
WDK pages: "MmAllocateContiguousMemory function (wdm.h)", "MmMapIoSpace function (wdm.h)".

Told on the bus: ``contiguous-allocated``, ``contiguous-freed`` (:class:`Contiguous`),
``io-mapped``, ``io-unmapped`` (:class:`IoMapping`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..machine.memory import PAGE, OutOfMemory
from .bugcheck import BugCheck
from .execution import Context

if TYPE_CHECKING:
    from .kernel import Kernel

#: The most device memory that can be declared, bytes.
MAX_DEVICE_MEMORY: Final = 4 << 20


@dataclass(slots=True)
class Contiguous:
    """A block of MmAllocateContiguousMemory and its kind, or of MmAllocateNonCachedMemory."""

    address: int
    pages: int
    owner: str
    context: Context | None


@dataclass(slots=True)
class IoMapping:
    """What MmMapIoSpace mapped; ``address`` is that of its first page."""

    address: int
    physical: int
    pages: int
    owner: str
    context: Context | None


class PhysicalMemoryManager:
    """Contiguous memory, device memory, ports."""

    def __init__(self, k: Kernel, regions: Mapping[int, bytes], ports: Mapping[int, int]) -> None:
        self._k = k
        self.blocks: dict[int, Contiguous] = {}
        self.io_mappings: dict[int, IoMapping] = {}
        #: Pages of device memory: physical address to the page that stands for it, and back.
        self.regions: dict[int, int] = {}
        self._devices: dict[int, int] = {}
        self.ports = bytearray(b"\xff") * 0x1_0000
        for start, content in regions.items():
            self._declare(start, content)
        for port, value in ports.items():
            self.write_port(port, value, max(1, (value.bit_length() + 7) // 8))

    def _declare(self, start: int, content: bytes) -> None:
        first, end = start & -PAGE, start + len(content)
        for page in range(first, end, PAGE):
            if page not in self.regions:
                frame = self._k.memory.allocate()
                self.regions[page], self._devices[frame] = frame, page
        self.write_device(start, content)

    # -- addresses --------------------------------------------------------------------------------

    def address_of(self, virtual: int) -> int:
        """The physical address that a mapped virtual one has; 0 where nothing is mapped."""
        page = self._k.memory.page(virtual)
        if page is None:
            return 0
        offset = virtual & (PAGE - 1)
        return self._devices.get(page.physical, page.physical) + offset

    def virtual_of(self, physical: int) -> int:
        """The kernel's virtual address of a physical one; 0 where it is not mapped."""
        frame = self.regions.get(physical & -PAGE, physical & -PAGE)
        for number, page in self._k.memory.pages.items():
            if page.physical == frame:
                return number * PAGE + (physical & (PAGE - 1))
        return 0

    def is_device(self, virtual: int) -> bool:
        """Whether a virtual address is one of device memory."""
        page = self._k.memory.page(virtual)
        return page is not None and page.physical in self._devices

    # -- device memory and ports ------------------------------------------------------------------

    def read_device(self, address: int, size: int) -> bytes:
        """What declared device memory holds; KeyError where none is declared."""
        ram, data = self._k.memory.ram, b""
        while len(data) < size:
            at = address + len(data)
            start = self.regions[at & -PAGE] + at % PAGE
            data += ram[start : start + min(PAGE - at % PAGE, size - len(data))]
        return data

    def write_device(self, address: int, data: bytes) -> None:
        """Change declared device memory; KeyError where none is declared."""
        while data:
            room = PAGE - address % PAGE
            self._k.memory.write_physical(
                self.regions[address & -PAGE] + address % PAGE, data[:room]
            )
            address, data = address + room, data[room:]

    def read_port(self, port: int, size: int) -> int:
        """What is at a port: what was written last, all ones where nothing ever was."""
        port &= 0xFFFF
        raw = self.ports[port : port + size].ljust(size, b"\xff")
        return int.from_bytes(raw, "little")

    def write_port(self, port: int, value: int, size: int) -> None:
        """Write 1, 2 or 4 bytes to a port and those behind it."""
        port &= 0xFFFF
        raw = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        self.ports[port : port + size] = raw[: 0x1_0000 - port]

    def map_io(
        self, physical: int, size: int, owner: str, *, write: bool = True, execute: bool = False
    ) -> int:
        """MmMapIoSpace: 0 where there is neither declared device memory nor locked memory."""
        first = physical & -PAGE
        pages = -(-(physical % PAGE + size) // PAGE)
        frames = []
        for page in range(first, first + pages * PAGE, PAGE):
            if page in self.regions:
                frames.append(self.regions[page])
            elif page in self._k.memory.locked:
                frames.append(page)
            else:
                return 0
        at = self._k.mdl.place(frames, write=write, execute=execute)
        if not at:
            return 0
        made = IoMapping(at, physical, pages, owner, self._k.mdl.context(owner))
        self.io_mappings[at] = made
        self._k.tell("io-mapped", made)
        return at + physical % PAGE

    def unmap_io(self, address: int, size: int) -> None:
        """MmUnmapIoSpace, with the checks of bug check 0xDA."""
        first, pages = address & -PAGE, -(-(address % PAGE + size) // PAGE)
        found = self.io_mappings.get(first)
        if found is None:
            raise BugCheck(
                *("SYSTEM_PTE_MISUSE", 0x302, address),
                message=f"MmUnmapIoSpace was given {address:#x}, which MmMapIoSpace did not "
                "return, or which was unmapped already.",
            )
        if pages != found.pages:
            raise BugCheck(
                *("SYSTEM_PTE_MISUSE", 0x305, address, pages, found.pages),
                message=f"MmUnmapIoSpace was asked to unmap {pages} pages; {found.pages} were "
                "mapped.",
            )
        del self.io_mappings[first]
        self._k.memory.unmap(first, pages, release=False)
        self._k.tell("io-unmapped", found)

    # -- contiguous memory ------------------------------------------------------------------------

    def allocate(
        self,
        size: int,
        owner: str,
        *,
        low: int = 0,
        high: int = -1,
        boundary: int = 0,
        write: bool = True,
        execute: bool = False,
    ) -> int:
        """Physically contiguous memory, mapped and locked; 0 where there is none."""
        memory, pages = self._k.memory, -(-size // PAGE)
        if not pages or pages * PAGE > memory.available:
            return 0
        top = memory.size - 1 if high < 0 else min(high, memory.size - 1)
        try:
            first = memory.allocate_within(low, top, pages, boundary)
        except OutOfMemory:
            return 0
        frames = [first + n * PAGE for n in range(pages)]
        at = self._k.mdl.place(frames, write=write, execute=execute)
        for frame in frames:
            memory.lock(frame)
        # What the memory holds is not defined: not zero, so that a driver that counts on it sees.
        memory.write_physical(first, bytes([self._k.pool.fill]) * (pages * PAGE))
        made = Contiguous(at, pages, owner, self._k.mdl.context(owner))
        self.blocks[at] = made
        self._k.tell("contiguous-allocated", made)
        return at

    def free(self, address: int, pages: int | None = None) -> None:
        """MmFreeContiguousMemory; ``pages`` is checked where the caller says how many."""
        found = self.blocks.get(address)
        if found is None or (pages is not None and pages != found.pages):
            raise BugCheck(
                *("BAD_POOL_CALLER", 0x60, address),
                message=f"Contiguous memory was freed at {address:#x}, where none begins, or with "
                "a wrong size.",
            )
        del self.blocks[address]
        memory = self._k.memory
        frames = [memory.pages[address // PAGE + n].physical for n in range(found.pages)]
        memory.unmap(address, found.pages, release=False)
        for frame in frames:
            memory.unlock(frame)
            memory.release(frame)
        self._k.tell("contiguous-freed", found)
