"""The finished image: made the same wherever it was built, and described for the user."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: IMAGE_DIRECTORY_ENTRY_EXPORT, …_DEBUG; IMAGE_DEBUG_TYPE_CODEVIEW (Microsoft Learn, "PE Format").
_EXPORT: Final = 0
_DEBUG: Final = 6
_CODEVIEW: Final = 2
_MSF: Final = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0"


@dataclass(frozen=True, slots=True)
class Section:
    """A section: name, address relative to the image's base, sizes in bytes."""

    name: str
    address: int
    size: int
    offset: int
    file_size: int


class _Image:
    """The few places in a PE32+ image that a stamp touches. The linker's output is trusted."""

    def __init__(self, data: bytearray) -> None:
        self.data = data
        pe = self.u32(0x3C)
        if data[pe : pe + 4] != b"PE\0\0":
            raise ValueError("the linker made no PE image")
        self.coff = pe + 4
        self.optional = self.coff + 20
        count, size = self.u16(self.coff + 2), self.u16(self.coff + 16)
        table = self.optional + size
        self.sections = [self._section(table + 40 * index) for index in range(count)]

    def u16(self, at: int) -> int:
        return int(struct.unpack_from("<H", self.data, at)[0])

    def u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.data, at)[0])

    def _section(self, at: int) -> Section:
        name, size, address, file_size, offset = struct.unpack_from("<8sIIII", self.data, at)
        return Section(name.rstrip(b"\0").decode("latin-1"), address, size, offset, file_size)

    def directory(self, index: int) -> tuple[int, int]:
        """File offset and size of a data directory; (0, 0) where it is empty."""
        address, size = struct.unpack_from("<II", self.data, self.optional + 112 + 8 * index)
        return (self.offset(address), size) if size else (0, 0)

    def offset(self, address: int) -> int:
        for section in self.sections:
            if section.address <= address < section.address + section.file_size:
                return section.offset + address - section.address
        raise ValueError("the linker's image has an address outside its sections")


def stamp(image: bytes, pdb: bytes) -> tuple[bytes, bytes]:
    """Give an image and its PDB an identity that follows from the image's content alone.

    lld derives both from the PDB, which has the names of rustc's temporary files in it: two
    builds of one source differ in 22 bytes. Time stamps, the PDB's GUID and the checksum are
    set again, from a hash over all the rest. Returns the new image and PDB.
    """
    pe = _Image(bytearray(image))
    stamps = [pe.coff + 4]
    identity = None
    export, _size = pe.directory(_EXPORT)
    if export:
        stamps.append(export + 4)
    debug, size = pe.directory(_DEBUG)
    for at in range(debug, debug + size, 28):
        stamps.append(at + 4)
        place = pe.u32(at + 24)
        if pe.u32(at + 12) == _CODEVIEW and pe.data[place : place + 4] == b"RSDS":
            identity = place + 4
    checksum = pe.optional + 64
    for at in (*stamps, checksum):
        struct.pack_into("<I", pe.data, at, 0)
    if identity is not None:
        pe.data[identity : identity + 16] = bytes(16)
    digest = hashlib.sha256(pe.data).digest()
    for at in stamps:
        # Never 0 or beyond 2038: tools take these for "none" and for damage.
        struct.pack_into("<I", pe.data, at, int.from_bytes(digest[16:20], "little") >> 1 | 1)
    if identity is not None:
        pe.data[identity : identity + 16] = digest[:16]
        pdb = _stamp_pdb(pdb, digest[:16])
    struct.pack_into("<I", pe.data, checksum, _checksum(pe.data))
    return bytes(pe.data), pdb


def _checksum(data: bytearray) -> int:
    """The image checksum, as ImageHlp's CheckSumMappedFile computes it (its field being 0)."""
    padded = data + bytes(-len(data) % 2)
    total: int = sum(struct.unpack(f"<{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total + len(data)


def _stamp_pdb(pdb: bytes, identity: bytes) -> bytes:
    """Write the GUID into the PDB's stream 1 (LLVM docs, "The PDB Info Stream")."""
    if not pdb.startswith(_MSF):
        return pdb
    block, _free, _blocks, size, _unknown, map_block = struct.unpack_from("<6I", pdb, 32)
    pages = struct.unpack_from(f"<{-(-size // block)}I", pdb, map_block * block)
    directory = b"".join(pdb[page * block : (page + 1) * block] for page in pages)
    count, first = struct.unpack_from("<II", directory)
    skip = 0 if first == 0xFFFFFFFF else -(-first // block)
    (page,) = struct.unpack_from("<I", directory, 4 + 4 * count + 4 * skip)
    # Version, signature, age, GUID.
    at = page * block + 12
    return pdb[:at] + identity + pdb[at + 16 :]


def describe(path: Path) -> str:
    """One line on a driver for the user: its size and its sections."""
    pe = _Image(bytearray(path.read_bytes()))
    parts = ", ".join(f"{s.name} {s.size:,}" for s in pe.sections)
    return f"{len(pe.data):,} bytes ({parts})"
