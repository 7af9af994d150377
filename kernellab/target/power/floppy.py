"""A 1.44 MB floppy disk with a few files: FAT12, with long names.

"Microsoft Extensible Firmware Initiative FAT32 File System Specification", which has FAT12 too.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Final

from ...errors import UsageError

_SECTOR, _SECTORS, _FAT, _ROOT = 512, 2880, 9, 224
_FIRST: Final = 1 + 2 * _FAT + _ROOT * 32 // _SECTOR  # the sector of cluster 2
_CLUSTERS: Final = _SECTORS - _FIRST
_END, _MEDIA = 0xFFF, 0xF0
_LONG_NAME, _ARCHIVE, _LABEL = 0x0F, 0x20, 0x08
_PLAIN: Final = re.compile(r"[A-Z0-9_-]{1,8}(\.[A-Z0-9_-]{1,3})?")


def image(files: Mapping[str, bytes], label: str = "KERNELLAB") -> bytes:
    """The disk's 1,474,560 bytes. Names are of letters, digits, ``_``, ``-`` and dots.

    Raises UsageError for more than fits. No time is in it: the same files give the same bytes.
    """
    fat = [_MEDIA | 0xF00, _END]
    data, root = bytearray(), [_entry(label.upper().ljust(11).encode(), _LABEL, 0, 0)]
    for number, (name, content) in enumerate(files.items(), 1):
        count = -(-len(content) // _SECTOR)
        first = len(fat) if count else 0
        fat += [len(fat) + n + 1 for n in range(count - 1)] + [_END] * bool(count)
        data += content.ljust(count * _SECTOR, b"\0")
        short = _short(name, number)
        if not _PLAIN.fullmatch(name):
            root += _long(name, short)
        root.append(_entry(short, _ARCHIVE, first, len(content)))
    if len(fat) - 2 > _CLUSTERS or len(root) > _ROOT:
        raise UsageError("the files do not fit on a floppy disk")
    table = _table(fat)
    folder = b"".join(root).ljust(_ROOT * 32, b"\0")
    return (_boot(label) + table + table + folder + data).ljust(_SECTORS * _SECTOR, b"\0")


def _boot(label: str) -> bytes:
    head = b"\xeb\x3c\x90KERNELLB"
    head += struct.pack(
        "<HBHBHHBHHHII", _SECTOR, 1, 1, 2, _ROOT, _SECTORS, _MEDIA, _FAT, 18, 2, 0, 0
    )
    head += (
        struct.pack("<BBBI", 0, 0, 0x29, 0x4B4C4142)
        + label.upper().ljust(11).encode()
        + b"FAT12   "
    )
    return head.ljust(510, b"\0") + b"\x55\xaa"


def _table(fat: list[int]) -> bytes:
    """Twelve bits each, the low ones first."""
    pairs = zip(fat[::2], [*fat[1::2], 0], strict=False)
    packed = b"".join((a | b << 12).to_bytes(3, "little") for a, b in pairs)
    return packed.ljust(_FAT * _SECTOR, b"\0")


def _entry(name: bytes, attributes: int, first: int, size: int) -> bytes:
    date = 1 << 5 | 1  # 1980-01-01
    return struct.pack(
        "<11sBBBHHHHHHHI", name, attributes, 0, 0, 0, date, date, 0, 0, date, first, size
    )


def _short(name: str, number: int) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", name) or name.endswith("."):
        raise UsageError(f"{name!r} cannot be a file's name on the disk")
    stem, _, kind = name.upper().rpartition(".") if "." in name else (name.upper(), "", "")
    if not _PLAIN.fullmatch(name.upper()):
        stem = f"{stem.replace('.', '')[:6]}~{number}"
    return stem.ljust(8).encode() + kind[:3].ljust(3).encode()


def _long(name: str, short: bytes) -> list[bytes]:
    """The entries of a long name, the last part first."""
    check = 0
    for byte in short:
        check = ((check >> 1) + (check << 7 & 0x80) + byte) & 0xFF
    units = name.encode("utf-16-le")
    if len(units) % 26:
        units = (units + b"\0\0").ljust(-(-len(units) // 26) * 26, b"\xff")
    out = []
    for n in range(len(units) // 26):
        part, last = units[n * 26 : n * 26 + 26], (n + 1) * 26 == len(units)
        order = n + 1 | (0x40 if last else 0)
        out.append(
            bytes([order])
            + part[:10]
            + bytes([_LONG_NAME, 0, check])
            + part[10:22]
            + b"\0\0"
            + part[22:]
        )
    return out[::-1]
