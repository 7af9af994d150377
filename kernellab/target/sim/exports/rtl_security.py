"""SIDs, access control lists, security descriptors: what drivers build and take apart."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..kernel import security, strings
from ..kernel.security import Acl, Descriptor
from ..kernel.structs import const
from .registry import APC_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, export
from .rtl_string import INVALID_PARAMETER, SUCCESS, allocator

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

# -- SIDs --------------------------------------------------------------------------------------


@export("BOOLEAN RtlValidSid(PSID Sid)", irql=APC_LEVEL)
def RtlValidSid(k: Kernel, Sid: int) -> bool:
    """WDK: "RtlValidSid function (ntifs.h)"."""
    return security.valid_sid(k.memory, Sid)


@export("ULONG RtlLengthSid(PSID Sid)", irql=APC_LEVEL)
def RtlLengthSid(k: Kernel, Sid: int) -> int:
    """WDK: "RtlLengthSid function (ntifs.h)"."""
    return security.sid_length(k.memory, Sid)


@export("ULONG RtlLengthRequiredSid(ULONG SubAuthorityCount)", irql=HIGH_LEVEL)
def RtlLengthRequiredSid(k: Kernel, SubAuthorityCount: int) -> int:
    """WDK: "RtlLengthRequiredSid function (ntifs.h)"."""
    return 8 + 4 * SubAuthorityCount


@export(
    "NTSTATUS RtlInitializeSid(PSID Sid, PSID_IDENTIFIER_AUTHORITY IdentifierAuthority, "
    "UCHAR SubAuthorityCount)",
    irql=APC_LEVEL,
)
def RtlInitializeSid(k: Kernel, Sid: int, IdentifierAuthority: int, SubAuthorityCount: int) -> int:
    """WDK: "RtlInitializeSid function (ntifs.h)". The sub-authorities are left as they are."""
    if SubAuthorityCount > security.MOST_SUBS:
        return INVALID_PARAMETER
    authority = k.memory.read(IdentifierAuthority, 6)
    k.memory.write(Sid, bytes([security.REVISION, SubAuthorityCount]) + authority)
    return SUCCESS


@export("PULONG RtlSubAuthoritySid(PSID Sid, ULONG SubAuthority)", irql=HIGH_LEVEL)
def RtlSubAuthoritySid(k: Kernel, Sid: int, SubAuthority: int) -> int:
    """WDK: "RtlSubAuthoritySid function (ntifs.h)". The address of number SubAuthority."""
    return Sid + 8 + 4 * SubAuthority


@export("PUCHAR RtlSubAuthorityCountSid(PSID Sid)", irql=HIGH_LEVEL)
def RtlSubAuthorityCountSid(k: Kernel, Sid: int) -> int:
    """WDK: "RtlSubAuthorityCountSid function (ntifs.h)". The address of the count."""
    return Sid + 1


@export("BOOLEAN RtlEqualSid(PSID Sid1, PSID Sid2)", irql=APC_LEVEL)
def RtlEqualSid(k: Kernel, Sid1: int, Sid2: int) -> bool:
    """WDK: "RtlEqualSid function (ntifs.h)"."""
    size = security.sid_length(k.memory, Sid1)
    same = k.memory.read(Sid1, 2) == k.memory.read(Sid2, 2)
    return same and k.memory.read(Sid1, size) == k.memory.read(Sid2, size)


@export(
    "NTSTATUS RtlCopySid(ULONG DestinationSidLength, PSID DestinationSid, PSID SourceSid)",
    irql=APC_LEVEL,
)
def RtlCopySid(k: Kernel, DestinationSidLength: int, DestinationSid: int, SourceSid: int) -> int:
    """WDK: "RtlCopySid function (ntifs.h)"."""
    size = security.sid_length(k.memory, SourceSid)
    if size > DestinationSidLength:
        return strings.BUFFER_TOO_SMALL
    k.memory.write(DestinationSid, k.memory.read(SourceSid, size))
    return SUCCESS


@export(
    "NTSTATUS RtlConvertSidToUnicodeString(PUNICODE_STRING UnicodeString, PSID Sid, "
    "BOOLEAN AllocateDestinationString)",
    irql=PASSIVE_LEVEL,
)
def RtlConvertSidToUnicodeString(
    k: Kernel, UnicodeString: int, Sid: int, AllocateDestinationString: int
) -> int:
    """WDK: "RtlConvertSidToUnicodeString function (ntifs.h)". S-1-… with a terminator."""
    if not security.valid_sid(k.memory, Sid):
        return const("STATUS_INVALID_SID")
    text = security.sid_text(k.memory, Sid).encode("utf-16-le")
    allocate = allocator(k, AllocateDestinationString)
    return strings.put_unicode(k.memory, UnicodeString, text, allocate)


# -- access control lists ----------------------------------------------------------------------


@export("NTSTATUS RtlCreateAcl(PACL Acl, ULONG AclLength, ULONG AclRevision)", irql=APC_LEVEL)
def RtlCreateAcl(k: Kernel, Acl: int, AclLength: int, AclRevision: int) -> int:
    """WDK: "RtlCreateAcl function (ntifs.h)". An ACL without entries."""
    if AclLength < security.ACL_SIZE:
        return strings.BUFFER_TOO_SMALL
    if AclLength > 0xFFFF or AclRevision not in security.ACL_REVISIONS:
        return INVALID_PARAMETER
    _header(k, Acl, AclRevision, AclLength & ~3, 0)
    return SUCCESS


def _header(k: Kernel, acl: int, revision: int, size: int, count: int) -> None:
    security.write_acl(k.memory, acl, Acl(revision, size, count))


@export(
    "NTSTATUS RtlAddAccessAllowedAce(PACL Acl, ULONG AceRevision, ACCESS_MASK AccessMask, "
    "PSID Sid)",
    irql=APC_LEVEL,
)
def RtlAddAccessAllowedAce(k: Kernel, Acl: int, AceRevision: int, AccessMask: int, Sid: int) -> int:
    """WDK: "RtlAddAccessAllowedAce function (ntifs.h)"."""
    return _allow(k, Acl, AceRevision, 0, AccessMask, Sid)


@export(
    "NTSTATUS RtlAddAccessAllowedAceEx(PACL Acl, ULONG AceRevision, ULONG AceFlags, "
    "ACCESS_MASK AccessMask, PSID Sid)",
    irql=APC_LEVEL,
)
def RtlAddAccessAllowedAceEx(
    k: Kernel, Acl: int, AceRevision: int, AceFlags: int, AccessMask: int, Sid: int
) -> int:
    """WDK: "RtlAddAccessAllowedAceEx function (ntifs.h)"."""
    return _allow(k, Acl, AceRevision, AceFlags, AccessMask, Sid)


def _allow(k: Kernel, acl: int, revision: int, flags: int, mask: int, sid_at: int) -> int:
    if not security.valid_sid(k.memory, sid_at):
        return const("STATUS_INVALID_SID")
    sid = k.memory.read(sid_at, security.sid_length(k.memory, sid_at))
    raw = struct.pack("<BBHI", security.ACCESS_ALLOWED, flags & 0xFF, 8 + len(sid), mask)
    return security.add_ace(k.memory, acl, revision, raw + sid, index=0xFFFFFFFF, count=1)


@export(
    "NTSTATUS RtlAddAce(PACL Acl, ULONG AceRevision, ULONG StartingAceIndex, PVOID AceList, "
    "ULONG AceListLength)",
    irql=APC_LEVEL,
)
def RtlAddAce(
    k: Kernel,
    Acl: int,
    AceRevision: int,
    StartingAceIndex: int,
    AceList: int,
    AceListLength: int,
) -> int:
    """WDK: "RtlAddAce function (ntifs.h)". 0xFFFFFFFF for the index appends."""
    raw, at, count = k.memory.read(AceList, AceListLength) if AceListLength else b"", 0, 0
    while at + 4 <= len(raw):
        size = int.from_bytes(raw[at + 2 : at + 4], "little")
        if size < 4:
            return INVALID_PARAMETER
        at += size
        count += 1
    if at != len(raw):
        return INVALID_PARAMETER
    return security.add_ace(k.memory, Acl, AceRevision, raw, index=StartingAceIndex, count=count)


@export("NTSTATUS RtlGetAce(PACL Acl, ULONG AceIndex, PVOID *Ace)", irql=APC_LEVEL)
def RtlGetAce(k: Kernel, Acl: int, AceIndex: int, Ace: int) -> int:
    """WDK: "RtlGetAce function (ntifs.h)"."""
    found = security.aces(k.memory, Acl)
    if found is None or AceIndex >= len(found):
        return INVALID_PARAMETER
    k.memory.set_u64(Ace, found[AceIndex][0])
    return SUCCESS


@export("NTSTATUS RtlDeleteAce(PACL Acl, ULONG AceIndex)", irql=APC_LEVEL)
def RtlDeleteAce(k: Kernel, Acl: int, AceIndex: int) -> int:
    """WDK: "RtlDeleteAce function (ntifs.h)". Those behind it move up."""
    memory, found = k.memory, security.aces(k.memory, Acl)
    if found is None or AceIndex >= len(found):
        return INVALID_PARAMETER
    at, size = found[AceIndex]
    end = found[-1][0] + found[-1][1]
    behind = memory.read(at + size, end - at - size) if end > at + size else b""
    memory.write(at, behind + bytes(size))
    header = security.read_acl(memory, Acl)
    _header(k, Acl, header.revision, header.size, header.entries - 1)
    return SUCCESS


# -- security descriptors ----------------------------------------------------------------------


@export(
    "NTSTATUS RtlCreateSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, ULONG Revision)",
    irql=APC_LEVEL,
)
def RtlCreateSecurityDescriptor(k: Kernel, SecurityDescriptor: int, Revision: int) -> int:
    """WDK: "RtlCreateSecurityDescriptor function (wdm.h)". An absolute one, with no parts."""
    if Revision != security.REVISION:
        return const("STATUS_UNKNOWN_REVISION")
    raw = bytes([security.REVISION]) + bytes(security.ABSOLUTE_SIZE - 1)
    k.memory.write(SecurityDescriptor, raw)
    return SUCCESS


def _absolute(k: Kernel, address: int) -> tuple[Descriptor, int]:
    descriptor = Descriptor(k.memory, address)
    if descriptor.revision != security.REVISION:
        return descriptor, const("STATUS_UNKNOWN_REVISION")
    return descriptor, const("STATUS_INVALID_SECURITY_DESCR") if descriptor.relative else 0


def _set_acl(k: Kernel, address: int, index: int, present: int, acl: int, defaulted: int) -> int:
    descriptor, status = _absolute(k, address)
    if status:
        return status
    bit, default = (
        (security.DACL_PRESENT, security.DACL_DEFAULTED)
        if index == 3
        else (security.SACL_PRESENT, security.SACL_DEFAULTED)
    )
    new = (bit if present else 0) | (default if present and defaulted else 0)
    descriptor.set_control(bit | default, new)
    if present:
        descriptor.set_part(index, acl)
    return SUCCESS


@export(
    "NTSTATUS RtlSetDaclSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, "
    "BOOLEAN DaclPresent, PACL Dacl, BOOLEAN DaclDefaulted)",
    irql=APC_LEVEL,
)
def RtlSetDaclSecurityDescriptor(
    k: Kernel, SecurityDescriptor: int, DaclPresent: int, Dacl: int, DaclDefaulted: int
) -> int:
    """WDK: "RtlSetDaclSecurityDescriptor function (wdm.h)". An absent list allows everything."""
    return _set_acl(k, SecurityDescriptor, 3, DaclPresent, Dacl, DaclDefaulted)


def _set_sid(k: Kernel, address: int, index: int, sid: int, defaulted: int) -> int:
    descriptor, status = _absolute(k, address)
    if status:
        return status
    bit = security.GROUP_DEFAULTED if index else security.OWNER_DEFAULTED
    descriptor.set_control(bit, bit if defaulted else 0)
    descriptor.set_part(index, sid)
    return SUCCESS


@export(
    "NTSTATUS RtlSetOwnerSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, PSID Owner, "
    "BOOLEAN OwnerDefaulted)",
    irql=APC_LEVEL,
)
def RtlSetOwnerSecurityDescriptor(
    k: Kernel, SecurityDescriptor: int, Owner: int, OwnerDefaulted: int
) -> int:
    """WDK: "RtlSetOwnerSecurityDescriptor function (ntifs.h)"."""
    return _set_sid(k, SecurityDescriptor, 0, Owner, OwnerDefaulted)


@export(
    "NTSTATUS RtlSetGroupSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, PSID Group, "
    "BOOLEAN GroupDefaulted)",
    irql=APC_LEVEL,
)
def RtlSetGroupSecurityDescriptor(
    k: Kernel, SecurityDescriptor: int, Group: int, GroupDefaulted: int
) -> int:
    """WDK: "RtlSetGroupSecurityDescriptor function (ntifs.h)"."""
    return _set_sid(k, SecurityDescriptor, 1, Group, GroupDefaulted)


def _get(k: Kernel, address: int, index: int, part: int, defaulted: int, bit: int) -> int:
    descriptor = Descriptor(k.memory, address)
    if descriptor.revision != security.REVISION:
        return const("STATUS_UNKNOWN_REVISION")
    k.memory.set_u64(part, descriptor.part(index))
    k.memory.set_u8(defaulted, bool(descriptor.control & bit))
    return SUCCESS


@export(
    "NTSTATUS RtlGetOwnerSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, "
    "PSID *Owner, PBOOLEAN OwnerDefaulted)",
    irql=APC_LEVEL,
)
def RtlGetOwnerSecurityDescriptor(
    k: Kernel, SecurityDescriptor: int, Owner: int, OwnerDefaulted: int
) -> int:
    """WDK: "RtlGetOwnerSecurityDescriptor function (ntifs.h)"."""
    return _get(k, SecurityDescriptor, 0, Owner, OwnerDefaulted, security.OWNER_DEFAULTED)


@export(
    "NTSTATUS RtlGetGroupSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, "
    "PSID *Group, PBOOLEAN GroupDefaulted)",
    irql=APC_LEVEL,
)
def RtlGetGroupSecurityDescriptor(
    k: Kernel, SecurityDescriptor: int, Group: int, GroupDefaulted: int
) -> int:
    """WDK: "RtlGetGroupSecurityDescriptor function (ntifs.h)"."""
    return _get(k, SecurityDescriptor, 1, Group, GroupDefaulted, security.GROUP_DEFAULTED)


@export(
    "NTSTATUS RtlGetDaclSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor, "
    "PBOOLEAN DaclPresent, PACL *Dacl, PBOOLEAN DaclDefaulted)",
    irql=APC_LEVEL,
)
def RtlGetDaclSecurityDescriptor(
    k: Kernel, SecurityDescriptor: int, DaclPresent: int, Dacl: int, DaclDefaulted: int
) -> int:
    """WDK: "RtlGetDaclSecurityDescriptor function (ntifs.h)"."""
    present = Descriptor(k.memory, SecurityDescriptor).control & security.DACL_PRESENT
    k.memory.set_u8(DaclPresent, bool(present))
    return _get(k, SecurityDescriptor, 3, Dacl, DaclDefaulted, security.DACL_DEFAULTED)


@export(
    "ULONG RtlLengthSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor)", irql=APC_LEVEL
)
def RtlLengthSecurityDescriptor(k: Kernel, SecurityDescriptor: int) -> int:
    """WDK: "RtlLengthSecurityDescriptor function (wdm.h)"."""
    return Descriptor(k.memory, SecurityDescriptor).length


@export(
    "BOOLEAN RtlValidSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor)", irql=APC_LEVEL
)
def RtlValidSecurityDescriptor(k: Kernel, SecurityDescriptor: int) -> bool:
    """WDK: "RtlValidSecurityDescriptor function (wdm.h)"."""
    return Descriptor(k.memory, SecurityDescriptor).valid()


@export(
    "BOOLEAN RtlValidRelativeSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptorInput, "
    "ULONG SecurityDescriptorLength, ULONG RequiredInformation)",
    irql=APC_LEVEL,
)
def RtlValidRelativeSecurityDescriptor(
    k: Kernel,
    SecurityDescriptorInput: int,
    SecurityDescriptorLength: int,
    RequiredInformation: int,
) -> bool:
    """WDK: "RtlValidRelativeSecurityDescriptor function (wdm.h)".

    All parts must be inside the given length; those that RequiredInformation names be there.
    """
    if SecurityDescriptorLength < security.RELATIVE_SIZE:
        return False
    start, length = SecurityDescriptorInput, SecurityDescriptorLength
    descriptor = Descriptor(k.memory, start)
    if not descriptor.relative:
        return False
    for index, bit in enumerate((1, 2, 8, 4)):  # OWNER, GROUP, SACL, DACL_SECURITY_INFORMATION
        part = descriptor.part(index)
        if not part:
            if RequiredInformation & bit:
                return False
        elif part - start + 8 > length or part - start + descriptor.size(index) > length:
            return False
    return descriptor.valid()


@export(
    "NTSTATUS RtlAbsoluteToSelfRelativeSD(PSECURITY_DESCRIPTOR AbsoluteSecurityDescriptor, "
    "PSECURITY_DESCRIPTOR SelfRelativeSecurityDescriptor, PULONG BufferLength)",
    irql=APC_LEVEL,
)
def RtlAbsoluteToSelfRelativeSD(
    k: Kernel,
    AbsoluteSecurityDescriptor: int,
    SelfRelativeSecurityDescriptor: int,
    BufferLength: int,
) -> int:
    """WDK: "RtlAbsoluteToSelfRelativeSD function (ntifs.h)". BufferLength gets what is needed."""
    descriptor = Descriptor(k.memory, AbsoluteSecurityDescriptor)
    if descriptor.relative:
        return const("STATUS_BAD_DESCRIPTOR_FORMAT")
    raw = descriptor.self_relative()
    room = k.memory.u32(BufferLength)
    k.memory.set_u32(BufferLength, len(raw))
    if len(raw) > room:
        return strings.BUFFER_TOO_SMALL
    k.memory.write(SelfRelativeSecurityDescriptor, raw)
    return SUCCESS


@export(
    "VOID RtlMapGenericMask(PACCESS_MASK AccessMask, const GENERIC_MAPPING *GenericMapping)",
    irql=APC_LEVEL,
)
def RtlMapGenericMask(k: Kernel, AccessMask: int, GenericMapping: int) -> None:
    """WDK: "RtlMapGenericMask function (ntifs.h)". Generic rights become what they mean."""
    mask = k.memory.u32(AccessMask)
    for index, generic in enumerate((0x80000000, 0x40000000, 0x20000000, 0x10000000)):
        if mask & generic:
            mask = mask & ~generic | k.memory.u32(GenericMapping + 4 * index)
    k.memory.set_u32(AccessMask, mask)
