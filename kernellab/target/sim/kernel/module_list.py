"""PsLoadedModuleList: the kernel's own list of loaded images, as debuggers and dumps read it.

Each entry is a KLDR_DATA_TABLE_ENTRY, which DRIVER_OBJECT.DriverSection points at. The structure
is not in the headers; its layout is known from Windows' public symbols and has not changed in the
fields used here since Windows XP x64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .structs import write_unicode_string

if TYPE_CHECKING:
    from .kernel import Kernel

_SIZE: Final = 0xA0
_DLL_BASE, _ENTRY_POINT, _SIZE_OF_IMAGE = 0x30, 0x38, 0x40
_FULL_NAME, _BASE_NAME, _FLAGS, _LOAD_COUNT = 0x48, 0x58, 0x68, 0x6C
#: LDRP_ENTRY_PROCESSED and LDRP_SYSTEM_MAPPED.
_SYSTEM_IMAGE: Final = 0x0100_4000


class ModuleList:
    """The list in guest memory; ``head`` is its LIST_ENTRY's address."""

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self.head = k.new_object(16)
        k.memory.set_u64(self.head, self.head)
        k.memory.set_u64(self.head + 8, self.head)

    def add(self, name: str, path: str, base: int, size: int, entry_point: int) -> int:
        """Append an image; the address of its entry."""
        m = self._k.memory
        names = (_FULL_NAME, path), (_BASE_NAME, name)
        entry = self._k.new_object(_SIZE + sum(2 * len(text) for _, text in names))
        m.set_u64(entry + _DLL_BASE, base)
        m.set_u64(entry + _ENTRY_POINT, entry_point)
        m.set_u32(entry + _SIZE_OF_IMAGE, size)
        m.set_u32(entry + _FLAGS, _SYSTEM_IMAGE)
        m.set_u16(entry + _LOAD_COUNT, 1)
        at = entry + _SIZE
        for field, text in names:
            write_unicode_string(m, entry + field, at, text)
            at += 2 * len(text)
        last = m.u64(self.head + 8)
        m.set_u64(entry, self.head)
        m.set_u64(entry + 8, last)
        m.set_u64(last, entry)
        m.set_u64(self.head + 8, entry)
        return entry

    def remove(self, entry: int) -> None:
        """Take an image out of the list."""
        m = self._k.memory
        following, before = m.u64(entry), m.u64(entry + 8)
        m.set_u64(before, following)
        m.set_u64(following + 8, before)
        self._k.pool.free(self._k.pool.live[entry])
