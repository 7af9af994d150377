"""SIDs, access control lists and security descriptors, through the CPU.

WDK: "RtlInitializeSid function (ntifs.h)", "RtlCreateAcl function (ntifs.h)",
"RtlCreateSecurityDescriptor function (wdm.h)" and the pages of the other routines.
"""

from __future__ import annotations

import struct
from typing import Any

from kernellab.ntdata import status_code


def administrators(guest: Any) -> int:
    """S-1-5-32-544."""
    authority = guest.put(bytes([0, 0, 0, 0, 0, 5]))
    sid: int = guest.room(guest.call("RtlLengthRequiredSid", 2))
    assert guest.call("RtlInitializeSid", sid, authority, 2) == 0
    for n, value in enumerate((32, 544)):
        guest.k.memory.set_u32(guest.call("RtlSubAuthoritySid", sid, n), value)
    return sid


def test_sids(guest: Any) -> None:
    sid = administrators(guest)
    raw = struct.pack("<BB6s2I", 1, 2, b"\0\0\0\0\0\5", 32, 544)
    assert guest.read(sid, 16) == raw
    assert guest.call("RtlValidSid", sid) == 1
    assert guest.call("RtlLengthSid", sid) == 16
    assert guest.read(guest.call("RtlSubAuthorityCountSid", sid), 1) == b"\2"
    assert guest.call("RtlInitializeSid", sid, sid, 16) == status_code("STATUS_INVALID_PARAMETER")
    other = guest.room(16)
    assert guest.call("RtlCopySid", 15, other, sid) == status_code("STATUS_BUFFER_TOO_SMALL")
    assert guest.call("RtlCopySid", 16, other, sid) == 0
    assert guest.call("RtlEqualSid", sid, other) == 1
    guest.k.memory.set_u32(other + 12, 545)
    assert guest.call("RtlEqualSid", sid, other) == 0
    guest.k.memory.set_u8(other, 2)
    assert guest.call("RtlValidSid", other) == 0


def test_sid_as_text(guest: Any) -> None:
    sid = administrators(guest)
    text = guest.room(16)
    assert guest.call("RtlConvertSidToUnicodeString", text, sid, 1) == 0
    assert guest.content(text).decode("utf-16-le") == "S-1-5-32-544"
    guest.call("RtlFreeUnicodeString", text)
    small = guest.unicode("", 20)
    assert guest.call("RtlConvertSidToUnicodeString", small, sid, 0) == status_code(
        "STATUS_BUFFER_OVERFLOW"
    )


def test_access_control_list(guest: Any) -> None:
    sid, acl, ace = administrators(guest), guest.room(100), guest.room(8)
    invalid = status_code("STATUS_INVALID_PARAMETER")
    assert guest.call("RtlCreateAcl", acl, 7, 2) == status_code("STATUS_BUFFER_TOO_SMALL")
    assert guest.call("RtlCreateAcl", acl, 60, 9) == invalid
    assert guest.call("RtlCreateAcl", acl, 60, 2) == 0
    assert guest.read(acl, 8) == struct.pack("<BBHHH", 2, 0, 60, 0, 0)
    assert guest.call("RtlGetAce", acl, 0, ace) == invalid
    assert guest.call("RtlAddAccessAllowedAce", acl, 2, 0x12345678, sid) == 0
    assert guest.call("RtlAddAccessAllowedAceEx", acl, 2, 3, 0x1, sid) == 0
    assert guest.call("RtlAddAccessAllowedAce", acl, 2, 1, sid) == status_code(
        "STATUS_ALLOTTED_SPACE_EXCEEDED"
    )
    assert guest.call("RtlGetAce", acl, 1, ace) == 0
    second = guest.k.memory.u64(ace)
    assert guest.read(second, 8) == struct.pack("<BBHI", 0, 3, 24, 1)
    assert guest.read(second + 8, 16) == guest.read(sid, 16)
    assert guest.call("RtlDeleteAce", acl, 0) == 0
    assert guest.call("RtlGetAce", acl, 0, ace) == 0
    assert guest.read(guest.k.memory.u64(ace), 8) == struct.pack("<BBHI", 0, 3, 24, 1)
    new = guest.put(struct.pack("<BBHI", 1, 0, 24, 2) + guest.read(sid, 16))
    assert guest.call("RtlAddAce", acl, 2, 0, new, 24) == 0
    assert guest.call("RtlGetAce", acl, 0, ace) == 0
    assert guest.read(guest.k.memory.u64(ace), 8) == struct.pack("<BBHI", 1, 0, 24, 2)
    assert guest.call("RtlAddAce", acl, 2, 0, new, 20) == invalid


def test_security_descriptor(guest: Any) -> None:
    sid, acl, sd = administrators(guest), guest.room(60), guest.room(40)
    flag, part = guest.room(1), guest.room(8)
    guest.call("RtlCreateAcl", acl, 60, 2)
    guest.call("RtlAddAccessAllowedAce", acl, 2, 1, sid)
    assert guest.call("RtlCreateSecurityDescriptor", sd, 2) == status_code(
        "STATUS_UNKNOWN_REVISION"
    )
    assert guest.call("RtlCreateSecurityDescriptor", sd, 1) == 0
    assert guest.call("RtlLengthSecurityDescriptor", sd) == 40
    assert guest.call("RtlSetDaclSecurityDescriptor", sd, 1, acl, 1) == 0
    assert guest.call("RtlSetOwnerSecurityDescriptor", sd, sid, 0) == 0
    assert guest.call("RtlSetGroupSecurityDescriptor", sd, sid, 1) == 0
    assert guest.call("RtlLengthSecurityDescriptor", sd) == 40 + 60 + 16 + 16
    assert guest.call("RtlValidSecurityDescriptor", sd) == 1
    assert guest.call("RtlGetOwnerSecurityDescriptor", sd, part, flag) == 0
    assert (guest.k.memory.u64(part), guest.read(flag, 1)) == (sid, b"\0")
    assert guest.call("RtlGetGroupSecurityDescriptor", sd, part, flag) == 0
    assert (guest.k.memory.u64(part), guest.read(flag, 1)) == (sid, b"\1")
    present = guest.room(1)
    assert guest.call("RtlGetDaclSecurityDescriptor", sd, present, part, flag) == 0
    assert guest.read(present, 1) + guest.read(flag, 1) == b"\1\1"
    assert guest.k.memory.u64(part) == acl
    size, relative = guest.put(struct.pack("<I", 100)), guest.room(112)
    assert guest.call("RtlAbsoluteToSelfRelativeSD", sd, relative, size) == status_code(
        "STATUS_BUFFER_TOO_SMALL"
    )
    assert guest.k.memory.u32(size) == 20 + 60 + 16 + 16
    assert guest.call("RtlAbsoluteToSelfRelativeSD", sd, relative, size) == 0
    valid = "RtlValidRelativeSecurityDescriptor"
    assert guest.call(valid, relative, 112, 7) == 1
    assert guest.call(valid, relative, 111, 7) == 0
    assert guest.call(valid, relative, 112, 8) == 0  # it has no SACL
    assert guest.call(valid, sd, 112, 0) == 0
    assert guest.call("RtlSetOwnerSecurityDescriptor", relative, sid, 0) == status_code(
        "STATUS_INVALID_SECURITY_DESCR"
    )
    assert guest.call("RtlGetDaclSecurityDescriptor", relative, present, part, flag) == 0
    assert guest.read(guest.k.memory.u64(part), 60) == guest.read(acl, 60)


def test_generic_rights(guest: Any) -> None:
    """WDK: "RtlMapGenericMask function (ntifs.h)"."""
    mapping = guest.put(struct.pack("<4I", 1, 2, 4, 0xFF))
    mask = guest.put(struct.pack("<I", 0x80000000 | 0x20000000 | 0x100))
    guest.call("RtlMapGenericMask", mask, mapping)
    assert guest.k.memory.u32(mask) == 0x105
