"""Short names of files: what is a legal 8.3 name, and making one from a long name.

WDK pages "RtlIsNameLegalDOS8Dot3 function (ntifs.h)" and "RtlGenerate8dot3Name function
(ntifs.h)"; names are at most 8 characters, a dot and 3 characters.
"""

from __future__ import annotations

import struct
from typing import ClassVar, Final, Self

from . import nls

#: The longest legal name, characters.
LONGEST: Final = 12
_ILLEGAL: Final = frozenset(b'"*+,/:;<=>?[\\]|')
#: After so many names of one beginning, the others have a checksum in them.
_PLAIN_NAMES: Final = 4
_MOST: Final = 999_999


def legal(name: bytes) -> bool:
    """Whether ``name``, in OEM characters, is a legal 8.3 name."""
    if name in (b".", b".."):
        return True
    if not 0 < len(name) <= LONGEST or name.count(b".") > 1:
        return False
    base, dot, extension = name.partition(b".")
    if not 0 < len(base) <= 8 or len(extension) > 3 or (dot and not extension):
        return False
    if base.endswith(b" ") or extension.endswith(b" "):
        return False
    return all(char >= 0x20 and char not in _ILLEGAL for char in base + extension)


def checksum(text: bytes) -> int:
    """The 16 bits of a long name (UTF-16LE) that NTFS puts into a short one."""
    value = 0
    for unit in nls.units(text):
        value = (value * 0x25 + unit) & 0xFFFF
    mixed = value * 314159269 & 0xFFFFFFFF
    if mixed >> 31:
        mixed = (1 << 32) - mixed
    mixed = mixed - (mixed * 1152921497 >> 60) * 1000000007 & 0xFFFF
    # The four digits come out in reverse.
    return int(f"{mixed:04x}"[::-1], 16)


class Context:
    """GENERATE_NAME_CONTEXT: what is known from the calls before for one long name."""

    _LAYOUT: ClassVar = struct.Struct("<HBB16sI8sI")
    SIZE: ClassVar = 36

    def __init__(self, sum_: int, inserted: int, base: str, extension: str, index: int) -> None:
        self.checksum = sum_
        self.inserted = bool(inserted)
        self.base = base
        #: With its dot.
        self.extension = extension
        self.index = index

    @classmethod
    def load(cls, raw: bytes) -> Self:
        sum_, inserted, length, base, dots, extension, index = cls._LAYOUT.unpack(raw)
        return cls(
            sum_,
            inserted,
            base[: 2 * length].decode("utf-16-le"),
            extension[: 2 * dots].decode("utf-16-le"),
            index,
        )

    def store(self) -> bytes:
        return self._LAYOUT.pack(
            *(self.checksum, self.inserted, len(self.base), self.base.encode("utf-16-le")),
            *(len(self.extension), self.extension.encode("utf-16-le"), self.index),
        )

    @property
    def started(self) -> bool:
        """Whether there was a call before."""
        return bool(self.base)

    def start(self, text: bytes, *, extended: bool) -> None:
        """Take the beginning and the extension of the long name."""
        name = nls.upcase(text).decode("utf-16-le", "replace")
        name = name.lstrip(". ")
        base, dot, extension = name.rpartition(".")
        if not dot:
            base, extension = name, ""
        self.base = "".join(_legal(char, extended) for char in base if char not in ". ")[:6]
        kept = "".join(_legal(char, extended) for char in extension if char != " ")[:3]
        self.extension = f".{kept}" if kept else ""
        if len(self.base) <= 2:
            self._insert_checksum(text)

    def _insert_checksum(self, text: bytes) -> None:
        self.checksum = checksum(text)
        self.base = f"{self.base[:2]}{self.checksum:04X}"
        self.inserted = True

    def next(self, text: bytes) -> str:
        """The next short name; empty where there is none left."""
        self.index += 1
        if self.index > _PLAIN_NAMES and not self.inserted:
            self._insert_checksum(text)
            self.index = 1
        if self.index > _MOST:
            return ""
        end = f"~{self.index}"
        return self.base[: 8 - len(end)] + end + self.extension


def _legal(char: str, extended: bool) -> str:
    """``char`` as it may stand in a short name."""
    code = ord(char)
    if code > 0x7F:
        raw, there = nls.unicode_to_oem(char.encode("utf-16-le"))
        return char if extended and there and len(raw) == 1 else "_"
    return "_" if code < 0x20 or code in _ILLEGAL else char
