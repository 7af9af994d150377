"""SIDs, access control lists and security descriptors in guest memory.

Layouts are those of "SID structure (ntifs.h)", "ACL structure (wdm.h)", "ACCESS_ALLOWED_ACE
structure (ntifs.h)" and "SECURITY_DESCRIPTOR structure (ntifs.h)".
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from .structs import const

if TYPE_CHECKING:
    from ..machine.memory import Memory

#: The most sub-authorities of a SID, and its revision; that of a security descriptor.
MOST_SUBS: Final = 15
REVISION: Final = 1
#: ACL revisions, and the size of an ACL's header.
ACL_REVISIONS: Final = range(2, 5)
ACL_SIZE: Final = 8
_ACL: Final = struct.Struct("<BBHHH")
#: SECURITY_DESCRIPTOR_CONTROL.
OWNER_DEFAULTED, GROUP_DEFAULTED = 1, 2
DACL_PRESENT, DACL_DEFAULTED, SACL_PRESENT, SACL_DEFAULTED = 4, 8, 0x10, 0x20
SELF_RELATIVE: Final = 0x8000
ABSOLUTE_SIZE, RELATIVE_SIZE = 40, 20

ACCESS_ALLOWED: Final = 0


def sid_length(memory: Memory, sid: int) -> int:
    """The size of a SID, bytes, by its count."""
    return 8 + 4 * memory.read(sid + 1, 1)[0]


def valid_sid(memory: Memory, sid: int) -> bool:
    """Whether revision and count can be a SID's."""
    if not sid:
        return False
    revision, count = memory.read(sid, 2)
    return revision & 0xF == REVISION and count <= MOST_SUBS


def sid_text(memory: Memory, sid: int) -> str:
    """``S-1-5-32-544``; an authority past 32 bits is in hexadecimal."""
    raw = memory.read(sid, sid_length(memory, sid))
    authority = int.from_bytes(raw[2:8], "big")
    first = str(authority) if authority < 1 << 32 else f"0x{authority:012X}"
    subs = struct.unpack(f"<{raw[1]}I", raw[8:])
    return "-".join(["S", str(raw[0]), first, *map(str, subs)])


class Acl(NamedTuple):
    """An ACL's header: revision, size of the whole, number of entries."""

    revision: int
    size: int
    entries: int


def read_acl(memory: Memory, acl: int) -> Acl:
    """The header of an ACL."""
    revision, _sbz, size, count, _sbz2 = _ACL.unpack(memory.read(acl, ACL_SIZE))
    return Acl(revision, size, count)


def write_acl(memory: Memory, acl: int, header: Acl) -> None:
    """Write the header of an ACL."""
    memory.write(acl, _ACL.pack(header.revision, 0, header.size, header.entries, 0))


def aces(memory: Memory, acl: int) -> list[tuple[int, int]] | None:
    """Address and size of each entry; None where they do not fit in the ACL."""
    header = read_acl(memory, acl)
    if header.revision not in ACL_REVISIONS or header.size < ACL_SIZE:
        return None
    at, found = acl + ACL_SIZE, []
    for _ in range(header.entries):
        if at + 4 > acl + header.size:
            return None
        size = memory.u16(at + 2)
        if size < 4 or size & 3 or at + size > acl + header.size:
            return None
        found.append((at, size))
        at += size
    return found


def add_ace(memory: Memory, acl: int, revision: int, raw: bytes, *, index: int, count: int) -> int:
    """Insert ``count`` entries before number ``index``; an NTSTATUS."""
    header, present = read_acl(memory, acl), aces(memory, acl)
    if present is None:
        return const("STATUS_INVALID_ACL")
    if revision not in ACL_REVISIONS:
        return const("STATUS_REVISION_MISMATCH")
    used = ACL_SIZE + sum(size for _at, size in present)
    if used + len(raw) > header.size:
        return const("STATUS_ALLOTTED_SPACE_EXCEEDED")
    at = present[index][0] if index < len(present) else acl + used
    behind = memory.read(at, acl + used - at) if acl + used > at else b""
    memory.write(at, raw + behind)
    new = Acl(max(header.revision, revision), header.size, header.entries + count)
    write_acl(memory, acl, new)
    return 0


class Descriptor:
    """A security descriptor, absolute or self-relative."""

    def __init__(self, memory: Memory, address: int) -> None:
        self._memory = memory
        self.address = address
        self.revision, self.control = struct.unpack("<BxH", memory.read(address, 4))

    @property
    def relative(self) -> bool:
        """Whether its parts are named by offsets, all in one block."""
        return bool(self.control & SELF_RELATIVE)

    def part(self, index: int) -> int:
        """The address of owner, group, SACL or DACL (0 to 3); 0 for none."""
        if index >= 2 and not self.control & (DACL_PRESENT if index == 3 else SACL_PRESENT):
            return 0
        if not self.relative:
            return self._memory.u64(self.address + 8 + 8 * index)
        offset = self._memory.u32(self.address + 4 + 4 * index)
        return self.address + offset if offset else 0

    def set_part(self, index: int, address: int) -> None:
        """Name a part of an absolute one."""
        self._memory.set_u64(self.address + 8 + 8 * index, address)

    def set_control(self, clear: int, new: int) -> None:
        """Change bits of its control field."""
        self.control = self.control & ~clear | new
        self._memory.set_u16(self.address + 2, self.control)

    def size(self, index: int) -> int:
        """The size of a part, bytes."""
        part = self.part(index)
        if not part:
            return 0
        if index < 2:
            return sid_length(self._memory, part)
        return read_acl(self._memory, part).size

    @property
    def length(self) -> int:
        """The size of all, each part rounded up to 4 bytes."""
        header = RELATIVE_SIZE if self.relative else ABSOLUTE_SIZE
        return header + sum(self.size(i) + 3 & ~3 for i in range(4))

    def valid(self) -> bool:
        """Whether its revision and its parts are what they must be."""
        if self.revision != REVISION:
            return False
        return all(
            valid_sid(self._memory, part) if i < 2 else aces(self._memory, part) is not None
            for i in range(4)
            if (part := self.part(i))
        )

    def self_relative(self) -> bytes:
        """The same in one block; the order is that of NT: SACL, DACL, owner, group."""
        offsets, body = [0, 0, 0, 0], b""
        for index in (2, 3, 0, 1):
            part, size = self.part(index), self.size(index)
            if part:
                offsets[index] = RELATIVE_SIZE + len(body)
                body += self._memory.read(part, size).ljust(size + 3 & ~3, b"\0")
        control = self.control | SELF_RELATIVE
        return struct.pack("<BBH4I", REVISION, 0, control, *offsets) + body
