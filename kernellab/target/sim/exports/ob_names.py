"""Names of objects: directories, symbolic links, what an object is called."""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Final

from ..kernel.attributes import (
    create_with_handle,
    handle_target,
    open_handle,
    open_named,
    read_attributes,
)
from ..kernel.names import Link, entries
from ..kernel.structs import Struct, const, read_unicode_string
from .registry import APC_LEVEL, PASSIVE_LEVEL, export, ntstatus

if TYPE_CHECKING:
    from ..kernel.kernel import Kernel

#: OBJECT_DIRECTORY_INFORMATION: two UNICODE_STRINGs, the name and the type's name.
_ENTRY: Final = 32


@export(
    "NTSTATUS ZwCreateDirectoryObject(PHANDLE DirectoryHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwCreateDirectoryObject(
    k: Kernel, DirectoryHandle: int, DesiredAccess: int, ObjectAttributes: int
) -> int:
    """WDK: "ZwCreateDirectoryObject function (wdm.h)". OBJ_OPENIF opens one that exists."""
    attributes, owner = read_attributes(k, ObjectAttributes), k.caller()
    handle, status = create_with_handle(
        *(k, attributes, "Directory", partial(k.names.new_directory, owner), DesiredAccess, owner)
    )
    k.memory.set_u64(DirectoryHandle, handle)
    return status


@export(
    "NTSTATUS ZwOpenDirectoryObject(PHANDLE DirectoryHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwOpenDirectoryObject(
    k: Kernel, DirectoryHandle: int, DesiredAccess: int, ObjectAttributes: int
) -> int:
    """WDK: "ZwOpenDirectoryObject function (ntifs.h)"."""
    attributes = read_attributes(k, ObjectAttributes)
    found = open_named(k, attributes, "Directory")
    k.memory.set_u64(DirectoryHandle, open_handle(k, found, DesiredAccess, attributes, k.caller()))
    return 0


@export(
    "NTSTATUS ZwQueryDirectoryObject(HANDLE DirectoryHandle, PVOID Buffer, ULONG Length, "
    "BOOLEAN ReturnSingleEntry, BOOLEAN RestartScan, PULONG Context, PULONG ReturnLength)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwQueryDirectoryObject(
    k: Kernel,
    DirectoryHandle: int,
    Buffer: int,
    Length: int,
    ReturnSingleEntry: int,
    RestartScan: int,
    Context: int,
    ReturnLength: int,
) -> int:
    """WDK: "ZwQueryDirectoryObject function (ntifs.h)".

    An array of OBJECT_DIRECTORY_INFORMATION that a zeroed one ends, then the text; Context is the
    index to go on with. Documented answers: STATUS_NO_MORE_ENTRIES, STATUS_MORE_ENTRIES,
    STATUS_BUFFER_TOO_SMALL where not even one fits.
    """
    directory = handle_target(k, DirectoryHandle, "Directory")
    everything = [(key, obj) for key, obj in entries(directory).items()]
    start = 0 if RestartScan else k.memory.u32(Context)
    if start >= len(everything):
        return const("STATUS_NO_MORE_ENTRIES")
    chosen: list[tuple[bytes, bytes]] = []
    used = _ENTRY
    status = 0
    for key, obj in everything[start:]:
        # The one directory that has two names is listed under both.
        shown = obj.name if obj.name.upper() == key else key
        texts = (shown.encode("utf-16-le", "surrogatepass"), obj.type.encode("utf-16-le"))
        size = _ENTRY + len(texts[0]) + 2 + len(texts[1]) + 2
        if used + size > Length:
            if not chosen:
                if ReturnLength:
                    k.memory.set_u32(ReturnLength, used + size)
                return const("STATUS_BUFFER_TOO_SMALL")
            status = const("STATUS_MORE_ENTRIES")
            break
        chosen.append(texts)
        used += size
        if ReturnSingleEntry:
            break
    at = Buffer + _ENTRY * (len(chosen) + 1)
    records, tail = b"", b""
    for pair in chosen:
        for text in pair:
            records += struct.pack("<HHIQ", len(text), len(text) + 2, 0, at + len(tail))
            tail += text + b"\0\0"
    k.memory.write(Buffer, records + bytes(_ENTRY) + tail)
    k.memory.set_u32(Context, start + len(chosen))
    if ReturnLength:
        k.memory.set_u32(ReturnLength, used)
    return status


@export(
    "NTSTATUS ZwCreateSymbolicLinkObject(PHANDLE LinkHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes, PUNICODE_STRING LinkTarget)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwCreateSymbolicLinkObject(
    k: Kernel, LinkHandle: int, DesiredAccess: int, ObjectAttributes: int, LinkTarget: int
) -> int:
    """A link that lasts as long as its handle, unless it is OBJ_PERMANENT.

    WDK: "ZwOpenSymbolicLinkObject function (wdm.h)", "ZwMakeTemporaryObject function (wdm.h)".
    """
    attributes, owner = read_attributes(k, ObjectAttributes), k.caller()
    link = Link(attributes.name or "", read_unicode_string(k.memory, LinkTarget), owner)
    handle, status = create_with_handle(
        *(k, attributes, "SymbolicLink", partial(k.names.new_link, link), DesiredAccess, owner)
    )
    k.memory.set_u64(LinkHandle, handle)
    return status


@export(
    "NTSTATUS ZwOpenSymbolicLinkObject(PHANDLE LinkHandle, ACCESS_MASK DesiredAccess, "
    "POBJECT_ATTRIBUTES ObjectAttributes)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwOpenSymbolicLinkObject(
    k: Kernel, LinkHandle: int, DesiredAccess: int, ObjectAttributes: int
) -> int:
    """WDK: "ZwOpenSymbolicLinkObject function (wdm.h)": the link itself, not what it leads to."""
    attributes = read_attributes(k, ObjectAttributes)
    found = open_named(k, attributes, "SymbolicLink", follow=False)
    k.memory.set_u64(LinkHandle, open_handle(k, found, DesiredAccess, attributes, k.caller()))
    return 0


@export(
    "NTSTATUS ZwQuerySymbolicLinkObject(HANDLE LinkHandle, PUNICODE_STRING LinkTarget, "
    "PULONG ReturnedLength)",
    irql=PASSIVE_LEVEL,
)
@ntstatus
def ZwQuerySymbolicLinkObject(
    k: Kernel, LinkHandle: int, LinkTarget: int, ReturnedLength: int
) -> int:
    """WDK: "ZwQuerySymbolicLinkObject function (wdm.h)". A NUL follows where there is room."""
    link = handle_target(k, LinkHandle, "SymbolicLink").payload
    assert isinstance(link, Link)
    text = link.target.encode("utf-16-le", "surrogatepass")
    if ReturnedLength:
        k.memory.set_u32(ReturnedLength, len(text) + 2)
    target = Struct(k.memory, "UNICODE_STRING", LinkTarget)
    if target["MaximumLength"] < len(text):
        return const("STATUS_BUFFER_TOO_SMALL")
    room = target["MaximumLength"] >= len(text) + 2
    k.memory.write(target["Buffer"], text + (b"\0\0" if room else b""))
    target["Length"] = len(text)
    return 0


@export("NTSTATUS ZwMakeTemporaryObject(HANDLE Handle)", irql=PASSIVE_LEVEL)
@ntstatus
def ZwMakeTemporaryObject(k: Kernel, Handle: int) -> int:
    """WDK: "ZwMakeTemporaryObject function (wdm.h)"; nothing happens to a temporary one."""
    k.ob.make_temporary(handle_target(k, Handle))
    return 0


@export("VOID ObMakeTemporaryObject(PVOID Object)", irql=APC_LEVEL)
def ObMakeTemporaryObject(k: Kernel, Object: int) -> None:
    """WDK: "ObMakeTemporaryObject function (ntifs.h)"."""
    k.ob.make_temporary(k.ob.get(Object))


@export(
    "NTSTATUS ObQueryNameString(PVOID Object, POBJECT_NAME_INFORMATION ObjectNameInfo, "
    "ULONG Length, PULONG ReturnLength)",
    irql=PASSIVE_LEVEL,
)
def ObQueryNameString(
    k: Kernel, Object: int, ObjectNameInfo: int, Length: int, ReturnLength: int
) -> int:
    """WDK: "ObQueryNameString function (ntifs.h)": the full path and a NUL; empty for none."""
    path = k.object_path(k.ob.get(Object))
    text = path.encode("utf-16-le", "surrogatepass")
    header = 16
    size = header + (len(text) + 2 if text else 0)
    k.memory.set_u32(ReturnLength, size)
    if Length < size:
        return const("STATUS_INFO_LENGTH_MISMATCH" if Length < header else "STATUS_BUFFER_OVERFLOW")
    if not text:
        k.memory.write(ObjectNameInfo, bytes(header))
        return 0
    name = struct.pack("<HHIQ", len(text), len(text) + 2, 0, ObjectNameInfo + header)
    k.memory.write(ObjectNameInfo, name + text + b"\0\0")
    return 0
