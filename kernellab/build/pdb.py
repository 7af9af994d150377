"""Read the public symbols of a PDB (LLVM docs, "The PDB File Format").

Only what ``symbolic`` does not hand out: linkage names by address.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

_MAGIC: Final = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0"
_DBI: Final = 3
_S_PUB32: Final = 0x110E
_FUNCTION: Final = 2
_NONE: Final = 0xFFFF


def publics(path: Path) -> dict[int, str]:
    """Linkage names of public functions by address relative to the image's base.

    Empty for a file that is not a PDB or is damaged.
    """
    try:
        return _publics(path.read_bytes())
    except (OSError, struct.error, ValueError, IndexError):
        return {}


def _publics(data: bytes) -> dict[int, str]:
    streams = Streams(data)
    dbi = streams.read(_DBI)
    (records,) = struct.unpack_from("<H", dbi, 20)
    sizes = struct.unpack_from("<iiii i iii", dbi, 24)
    # After the header's 64 bytes: modules, contributions, section map, files, type servers,
    # EC names, then the indexes of the optional debug streams, of which the sixth is the image's
    # section headers.
    modules, contributions, section_map, files, type_server = sizes[:5]
    optional, ec_names = sizes[6], sizes[7]
    at = 64 + modules + contributions + section_map + files + type_server + ec_names
    if optional < 12:
        raise ValueError("no section headers")
    (headers,) = struct.unpack_from("<H", dbi, at + 10)
    if _NONE in (records, headers):
        raise ValueError("no symbols")
    table = streams.read(headers)
    sections = [
        struct.unpack_from("<I", table, offset + 12)[0] for offset in range(0, len(table) - 39, 40)
    ]
    found: dict[int, str] = {}
    stream = streams.read(records)
    at = 0
    while at + 4 <= len(stream):
        length, kind = struct.unpack_from("<HH", stream, at)
        if kind == _S_PUB32 and length >= 12:
            flags, offset, segment = struct.unpack_from("<IIH", stream, at + 4)
            if flags & _FUNCTION and 1 <= segment <= len(sections):
                name = stream[at + 14 : at + 2 + length].split(b"\0", 1)[0]
                found[sections[segment - 1] + offset] = name.decode("utf-8", "replace")
        at += 2 + length
        if length < 2:
            break
    return found


class Streams:
    """The numbered streams in an MSF file."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(_MAGIC):
            raise ValueError("not a PDB")
        self._data = data
        block, _free, _blocks, size, _unknown, block_map = struct.unpack_from("<6I", data, 32)
        self._block: int = block
        if self._block not in (512, 1024, 2048, 4096, 8192, 16384, 32768):
            raise ValueError("not a PDB")
        pages = struct.unpack_from(f"<{self._pages(size)}I", data, block_map * self._block)
        directory = self._join(pages, size)
        (count,) = struct.unpack_from("<I", directory)
        self._sizes = struct.unpack_from(f"<{count}I", directory, 4)
        self._places: list[tuple[int, ...]] = []
        at = 4 + 4 * count
        for length in self._sizes:
            number = 0 if length == 0xFFFFFFFF else self._pages(length)
            self._places.append(struct.unpack_from(f"<{number}I", directory, at))
            at += 4 * number

    def pages(self, stream: int) -> tuple[int, ...]:
        """File offsets of a stream's blocks."""
        return tuple(page * self._block for page in self._places[stream])

    def read(self, stream: int) -> bytes:
        """A stream's whole content."""
        return self._join(self._places[stream], self._sizes[stream])

    def _pages(self, size: int) -> int:
        """How many blocks hold ``size`` bytes."""
        if size > len(self._data):
            raise ValueError("a stream is larger than the file")
        return -(-size // self._block)

    def _join(self, pages: tuple[int, ...], size: int) -> bytes:
        block = self._block
        return b"".join(self._data[page * block : (page + 1) * block] for page in pages)[:size]
