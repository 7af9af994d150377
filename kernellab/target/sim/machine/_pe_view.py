"""Reading a PE file by relative virtual address (RVA), with every bound checked.

Part of :mod:`kernellab.target.sim.machine.pe`, which is what others import.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from kernellab.errors import LoadError

#: Longest name read from an image, bytes: mangled C++ and Rust names stay below it.
MAX_NAME = 2048


@dataclass(frozen=True, slots=True)
class Section:
    """One section of an image; sizes in bytes, flags as in the section header.

    ``virtual_size`` is what the loader maps (the raw size where the header has 0);
    ``raw_size`` is how much of it comes from the file, the rest is zero.
    """

    name: str
    rva: int
    virtual_size: int
    raw_offset: int
    raw_size: int
    characteristics: int

    @property
    def end(self) -> int:
        """The RVA after the last byte."""
        return self.rva + self.virtual_size

    @property
    def executable(self) -> bool:
        return bool(self.characteristics & 0x20000000)

    @property
    def readable(self) -> bool:
        return bool(self.characteristics & 0x40000000)

    @property
    def writable(self) -> bool:
        return bool(self.characteristics & 0x80000000)

    @property
    def discardable(self) -> bool:
        """Freed by Windows once DriverEntry has returned (``INIT``, ``.reloc``)."""
        return bool(self.characteristics & 0x02000000)

    @property
    def shared(self) -> bool:
        return bool(self.characteristics & 0x10000000)

    @property
    def nonpaged(self) -> bool:
        """IMAGE_SCN_MEM_NOT_PAGED is set (Windows goes by the name: :attr:`pageable`)."""
        return bool(self.characteristics & 0x08000000)

    @property
    def pageable(self) -> bool:
        """The memory manager may page it out: its name begins with ``PAGE`` or ``.eda``."""
        return self.name.startswith(("PAGE", ".eda"))


class View:
    """A file seen through its sections. RVAs outside of every section cannot be read."""

    def __init__(self, data: bytes, sections: Sequence[Section]) -> None:
        self.data = data
        self.sections = tuple(sections)

    def section(self, rva: int, size: int = 1) -> Section | None:
        """The section that holds all of ``[rva, rva + size)``."""
        for section in self.sections:
            if section.rva <= rva < section.rva + section.virtual_size:
                return section if rva + size <= section.rva + section.virtual_size else None
        return None

    def read(self, rva: int, size: int, what: str) -> bytes:
        """``size`` bytes at ``rva`` as they are when mapped, or :class:`LoadError`."""
        section = self.section(rva, size) if size <= len(self.data) else None
        if section is None:
            raise LoadError(
                f"damaged image: {what} (RVA {rva:#x}, {size} bytes) lies outside its sections"
            )
        start = rva - section.rva
        taken = max(0, min(size, section.raw_size - start))
        offset = section.raw_offset + start
        return self.data[offset : offset + taken] + bytes(size - taken)

    def u32(self, rva: int, what: str) -> int:
        value: int = struct.unpack("<I", self.read(rva, 4, what))[0]
        return value

    def u64(self, rva: int, what: str) -> int:
        value: int = struct.unpack("<Q", self.read(rva, 8, what))[0]
        return value

    def name(self, rva: int, what: str) -> str:
        """A NUL-terminated printable ASCII name of at most :data:`MAX_NAME` bytes."""
        section = self.section(rva)
        if section is None:
            raise LoadError(f"damaged image: {what} (RVA {rva:#x}) lies outside its sections")
        start = rva - section.rva
        limit = min(section.raw_size, section.virtual_size)
        offset = section.raw_offset + start
        stop = section.raw_offset + limit
        end = (
            self.data.find(b"\0", offset, min(stop, offset + MAX_NAME + 1)) if offset < stop else -1
        )
        if end < 0:
            # The zero fill after the file's part ends a name too.
            if start < limit < section.virtual_size and stop - offset <= MAX_NAME:
                end = stop
            else:
                raise LoadError(
                    f"damaged image: {what} (RVA {rva:#x}) is empty, not terminated or too long"
                )
        raw = self.data[offset:end]
        if not raw or not raw.isascii() or not raw.decode("ascii").isprintable():
            raise LoadError(f"damaged image: {what} (RVA {rva:#x}) is not a printable name")
        return raw.decode("ascii")
