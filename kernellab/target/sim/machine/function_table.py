"""The function tables (``.pdata``) of loaded modules: which function an address is in.

Microsoft's page "x64 exception handling" defines the data. RVAs are offsets from a module's base.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass

from .pe import PeImage

#: Most entries that one function is chained through.
_CHAIN = 32


@dataclass(frozen=True, slots=True)
class Function:
    """One RUNTIME_FUNCTION: RVAs of its first byte, the byte after its last, its unwind data."""

    begin: int
    end: int
    unwind: int


class ModuleImage:
    """A loaded module as the unwinder sees it: where it is, and its mapped bytes.

    ``image`` may be shorter than ``size``, or empty for a module without function table;
    relocations do not matter, unwind data has none.
    """

    def __init__(
        self,
        name: str,
        base: int,
        image: bytes | bytearray,
        exception_rva: int = 0,
        exception_size: int = 0,
        size: int = 0,
    ) -> None:
        self.name = name
        self.base = base
        self.size = size or len(image)
        self.image = bytes(image)
        self._table = exception_rva
        table = self.image[exception_rva : exception_rva + exception_size // 12 * 12]
        entries = struct.iter_unpack("<III", table[: len(table) // 12 * 12])
        # Padding entries at the end of a table are all zero.
        self._functions = sorted(entry for entry in entries if entry[0] < entry[1])
        self._begins = [entry[0] for entry in self._functions]

    @classmethod
    def from_pe(cls, name: str, base: int, pe: PeImage) -> ModuleImage:
        """The module that ``pe`` becomes when it is loaded at ``base``."""
        return cls(name, base, pe.image(), pe.exception_rva, pe.exception_size)

    def find_function(self, rva: int) -> Function | None:
        """The function-table entry that covers ``rva``; None means a leaf (or no code)."""
        index = bisect_right(self._begins, rva) - 1
        if index < 0:
            return None
        begin, end, unwind = self._functions[index]
        for _ in range(_CHAIN):
            if not unwind & 1:
                return Function(begin, end, unwind) if rva < end else None
            # An odd value refers to the entry that has the data.
            entry = self.image[unwind & ~1 : (unwind & ~1) + 12]
            if len(entry) < 12:
                return None
            unwind = struct.unpack("<I", entry[8:])[0]
        return None

    def entry_rva(self, rva: int) -> int:
        """Where the RUNTIME_FUNCTION that covers ``rva`` is; 0 for none."""
        index = bisect_right(self._begins, rva) - 1
        found = index >= 0 and rva < self._functions[index][1]
        return self._table + 12 * index if found else 0
