"""Objects: names, directories, symbolic links, handles, references, events, callback objects."""

from __future__ import annotations

import struct

import pytest

from kernellab import ntdata
from kernellab.target.sim.kernel.bugcheck import BugCheck

from .conftest import DRIVER, Guest

KERNEL, USER = 0, 1
INSENSITIVE, OPENIF, PERMANENT, KERNEL_HANDLE, EXCLUSIVE = 0x40, 0x80, 0x10, 0x200, 0x20


def status(name: str) -> int:
    return ntdata.status_code(name)


def create(
    guest: Guest,
    routine: str,
    name: str | None,
    flags: int = INSENSITIVE,
    *more: int,
    root: int = 0,
) -> tuple[int, int]:
    """Call ``routine``; the NTSTATUS and the handle."""
    out = guest.room(8)
    result = guest.call(routine, out, 0x1F0003, guest.attributes(name, flags, root), *more)
    return result, guest.u64(out)


def event(guest: Guest, name: str | None = None, flags: int = INSENSITIVE) -> int:
    result, handle = create(guest, "ZwCreateEvent", name, flags, 0, 0)
    assert result == 0
    return handle


def pointer(guest: Guest, handle: int, access: int = 0, mode: int = KERNEL, kind: int = 0) -> int:
    out = guest.room(8)
    assert guest.call("ObReferenceObjectByHandle", handle, access, kind, mode, out, 0) == 0
    return guest.u64(out)


def name_of(guest: Guest, obj: int) -> str:
    buffer, length = guest.room(256), guest.room(4)
    assert guest.call("ObQueryNameString", obj, buffer, 256, length) == 0
    return guest.content(buffer).decode("utf-16-le")


def test_directories_hold_names_of_every_type(guest: Guest) -> None:
    """WDK: "Object Directories"; "ZwCreateDirectoryObject function (wdm.h)"."""
    result, directory = create(guest, "ZwCreateDirectoryObject", r"\Lab")
    assert result == 0
    result, inner = create(guest, "ZwCreateEvent", "Inner", INSENSITIVE, 0, 0, root=directory)
    assert result == 0
    assert name_of(guest, pointer(guest, inner)) == r"\Lab\Inner"
    assert create(guest, "ZwOpenEvent", r"\LAB\inner")[0] == 0
    assert create(guest, "ZwOpenDirectoryObject", r"\lab")[0] == 0
    for routine, path, answer in (
        ("ZwOpenEvent", r"\Lab\Other", "STATUS_OBJECT_NAME_NOT_FOUND"),
        ("ZwOpenEvent", r"\Nowhere\Other", "STATUS_OBJECT_PATH_NOT_FOUND"),
        ("ZwOpenEvent", r"Lab\Inner", "STATUS_OBJECT_PATH_SYNTAX_BAD"),
        ("ZwOpenEvent", r"\Lab", "STATUS_OBJECT_TYPE_MISMATCH"),
        ("ZwOpenDirectoryObject", r"\Lab\Inner", "STATUS_OBJECT_TYPE_MISMATCH"),
        ("ZwCreateDirectoryObject", r"\LAB", "STATUS_OBJECT_NAME_COLLISION"),
    ):
        assert create(guest, routine, path)[0] == status(answer), path


def test_open_if_and_exclusive(guest: Guest) -> None:
    """WDK: "InitializeObjectAttributes macro": OBJ_OPENIF, OBJ_EXCLUSIVE."""
    path = r"\BaseNamedObjects\One"
    first = event(guest, path)
    result, second = create(guest, "ZwCreateEvent", path, INSENSITIVE | OPENIF, 0, 0)
    assert result == status("STATUS_OBJECT_NAME_EXISTS")
    assert pointer(guest, first) == pointer(guest, second)
    event(guest, r"\BaseNamedObjects\Mine", INSENSITIVE | EXCLUSIVE)
    assert create(guest, "ZwOpenEvent", r"\BaseNamedObjects\Mine")[0] == status(
        "STATUS_ACCESS_DENIED"
    )


def test_a_temporary_object_has_its_name_while_handles_are_open(guest: Guest) -> None:
    """WDK: "ZwMakeTemporaryObject function (wdm.h)"."""
    path = r"\BaseNamedObjects\Short"
    handle = event(guest, path)
    obj = pointer(guest, handle)
    assert guest.call("ZwClose", handle) == 0
    assert create(guest, "ZwOpenEvent", path)[0] == status("STATUS_OBJECT_NAME_NOT_FOUND")
    assert name_of(guest, obj) == ""
    assert guest.call("ObfDereferenceObject", obj) == 0
    assert obj not in guest.k.ob.objects


def test_a_permanent_object_stays_until_it_is_made_temporary(guest: Guest) -> None:
    """WDK: "ZwMakeTemporaryObject function (wdm.h)"."""
    path = r"\BaseNamedObjects\Long"
    handle = event(guest, path, INSENSITIVE | PERMANENT)
    guest.call("ZwClose", handle)
    result, handle = create(guest, "ZwOpenEvent", path)
    assert result == 0
    assert guest.call("ZwMakeTemporaryObject", handle) == 0
    assert create(guest, "ZwOpenEvent", path)[0] == 0
    obj = pointer(guest, handle)
    guest.call("ObfDereferenceObject", obj)
    for number in (handle, handle + 4):
        assert guest.call("ZwClose", number) == 0
    assert obj not in guest.k.ob.objects


def test_symbolic_links(guest: Guest) -> None:
    """WDK: "ZwOpenSymbolicLinkObject function (wdm.h)", "ZwQuerySymbolicLinkObject function"."""
    event(guest, r"\BaseNamedObjects\Real")
    target = guest.unicode(r"\BaseNamedObjects")
    result, link = create(guest, "ZwCreateSymbolicLinkObject", r"\??\Alias", 0x40, target)
    assert result == 0
    assert create(guest, "ZwOpenEvent", r"\DosDevices\alias\REAL")[0] == 0
    result, opened = create(guest, "ZwOpenSymbolicLinkObject", r"\GLOBAL??\Alias")
    assert result == 0
    text, size = guest.unicode("", 4), guest.room(4)
    too_small = status("STATUS_BUFFER_TOO_SMALL")
    assert guest.call("ZwQuerySymbolicLinkObject", opened, text, size) == too_small
    assert guest.u32(size) == 36
    text = guest.unicode("", 36)
    assert guest.call("ZwQuerySymbolicLinkObject", opened, text, size) == 0
    assert guest.content(text).decode("utf-16-le") == r"\BaseNamedObjects"
    guest.call("ZwClose", opened)
    guest.call("ZwClose", link)
    assert create(guest, "ZwOpenEvent", r"\??\Alias\Real")[0] == status(
        "STATUS_OBJECT_PATH_NOT_FOUND"
    )


def test_listing_a_directory(guest: Guest) -> None:
    """WDK: "ZwQueryDirectoryObject function (ntifs.h)"."""
    _, directory = create(guest, "ZwCreateDirectoryObject", r"\List")
    for name in ("a", "B", "c"):
        create(guest, "ZwCreateEvent", name, INSENSITIVE, 0, 0, root=directory)
    buffer, context, length = guest.room(200), guest.room(4), guest.room(4)

    def query(size: int, *, single: int = 0, restart: int = 0) -> tuple[int, list[str]]:
        arguments = (directory, buffer, size, single, restart, context, length)
        result = guest.call("ZwQueryDirectoryObject", *arguments)
        names: list[str] = []
        while result >> 31 == 0 and guest.fields(buffer + 32 * len(names))[2]:
            at = buffer + 32 * len(names)
            names.append(guest.content(at).decode("utf-16-le"))
            assert guest.content(at + 16).decode("utf-16-le") == "Event"
        return result, names

    assert query(200, single=1) == (0, ["a"])
    assert query(200) == (0, ["B", "c"])
    assert query(200) == (status("STATUS_NO_MORE_ENTRIES"), [])
    assert query(40, restart=1) == (status("STATUS_BUFFER_TOO_SMALL"), [])
    assert query(120, restart=1) == (status("STATUS_MORE_ENTRIES"), ["a"])


def test_access_is_checked_for_programs_only(guest: Guest) -> None:
    """WDK: "ObReferenceObjectByHandle function (wdm.h)": AccessMode, HandleInformation."""
    _, handle = create(guest, "ZwCreateEvent", None, 0, 0, 0)
    entry = guest.k.ob.find(handle, 4)
    assert entry is not None
    entry.access = 0x2
    out, information = guest.room(8), guest.room(8)
    reference = "ObReferenceObjectByHandle"
    for mode, access, answer in (
        (KERNEL, 0x1, "STATUS_SUCCESS"),
        (USER, 0x1, "STATUS_ACCESS_DENIED"),
        (USER, 0x2, "STATUS_SUCCESS"),
    ):
        result = guest.call(reference, handle, access, 0, mode, out, information)
        assert result == status(answer)
    assert struct.unpack("<II", guest.read(information, 8)) == (0, 2)
    process_type = guest.u64(guest.k.stub_of("PsProcessType"))
    mismatch = status("STATUS_OBJECT_TYPE_MISMATCH")
    assert guest.call(reference, handle, 0, process_type, KERNEL, out, 0) == mismatch


def test_kernel_handles_work_in_every_process_and_others_in_their_own(guest: Guest) -> None:
    """WDK: "Object Handles"; "InitializeObjectAttributes macro": OBJ_KERNEL_HANDLE."""
    k = guest.k
    kernel, private = event(guest, None, KERNEL_HANDLE), event(guest, None, 0)
    assert kernel >> 31 == 0x1FFFFFFFF
    assert private < 1 << 31
    client = k.ps.client.pid
    assert k.ob.find(kernel, client) is not None
    assert k.ob.find(private, client) is None
    out = guest.room(8)
    invalid = status("STATUS_INVALID_HANDLE")
    assert guest.call("ObReferenceObjectByHandle", kernel, 0, 0, USER, out, 0) == invalid
    assert guest.call("ObCloseHandle", kernel, USER) == invalid
    assert guest.call("ObCloseHandle", kernel, KERNEL) == 0


def test_duplicated_handles(guest: Guest) -> None:
    """WDK: "ZwDuplicateObject function (ntifs.h)"."""
    current = 0xFFFFFFFFFFFFFFFF
    handle, out = event(guest), guest.room(8)
    close_source, same_access = 1, 2
    options = close_source | same_access
    arguments = (current, handle, current, out, 0, 0, options)
    assert guest.call("ZwDuplicateObject", *arguments) == 0
    assert guest.k.ob.find(handle, 4) is None
    entry = guest.k.ob.find(guest.u64(out), 4)
    assert entry is not None
    assert entry.access == 0x1F0003
    assert entry.object.handles == 1


def test_pointers_keep_an_object_and_its_count_is_told(guest: Guest) -> None:
    """WDK: "ObReferenceObjectByPointer function (wdm.h)", "Life Cycle of an Object"."""
    handle = event(guest)
    obj = pointer(guest, handle)
    event_type = guest.u64(guest.k.stub_of("ExEventObjectType"))
    assert guest.call("ObReferenceObjectByPointer", obj, 0, event_type, USER) == 0
    assert guest.call("ObReferenceObjectByPointer", obj, 0, 0, USER) == status(
        "STATUS_OBJECT_TYPE_MISMATCH"
    )
    assert guest.k.ob.references_of("test.sys")[0][1] == 2
    assert guest.call("ObfReferenceObjectWithTag", obj, 0x31323334) == 4
    assert guest.call("ObfDereferenceObjectWithTag", obj, 0x31323334) == 3
    out = guest.room(8)
    arguments = (obj, KERNEL_HANDLE, 0, 0x1F0003, event_type, KERNEL, out)
    assert guest.call("ObOpenObjectByPointer", *arguments) == 0
    assert [entry.owner for _, _, entry in guest.k.ob.handles_of("test.sys")] == ["test.sys"] * 2
    for number in (handle, guest.u64(out)):
        guest.call("ZwClose", number)
    guest.call("ObDereferenceObjectDeferDelete", obj)
    assert guest.call("ObfDereferenceObject", obj) == 0
    assert guest.k.ob.handles_of("test.sys") == []
    assert guest.k.ob.references_of("test.sys") == []


def test_giving_back_what_was_not_taken(guest: Guest) -> None:
    """WDK: "Bug Check 0x18: REFERENCE_BY_POINTER"."""
    obj = pointer(guest, event(guest))
    guest.call("ObfDereferenceObject", obj)
    with pytest.raises(BugCheck) as caught:
        guest.call("ObfDereferenceObject", obj)
    assert caught.value.name == "REFERENCE_BY_POINTER"
    assert caught.value.parameters[1] == obj


def test_events_by_handle(guest: Guest) -> None:
    """WDK: "ZwSetEvent function (ntifs.h)", "ZwWaitForSingleObject function (ntifs.h)"."""
    _, handle = create(guest, "ZwCreateEvent", None, 0, 1, 0)
    zero, old = guest.put(bytes(8)), guest.room(4)
    timeout = status("STATUS_TIMEOUT")
    assert guest.call("ZwWaitForSingleObject", handle, 0, zero) == timeout
    assert guest.call("ZwSetEvent", handle, old) == 0
    assert guest.u32(old) == 0
    assert guest.call("ZwWaitForSingleObject", handle, 0, zero) == 0
    assert guest.call("ZwWaitForSingleObject", handle, 0, zero) == timeout
    second = guest.put(struct.pack("<q", -10_000_000))
    before = guest.k.now
    assert guest.call("ZwWaitForSingleObject", handle, 0, second) == timeout
    assert guest.k.now - before >= 10_000_000
    _, directory = create(guest, "ZwOpenDirectoryObject", r"\Device")
    assert guest.call("ZwWaitForSingleObject", directory, 0, zero) == status(
        "STATUS_OBJECT_TYPE_MISMATCH"
    )


def test_named_notification_events(guest: Guest) -> None:
    """WDK: "IoCreateNotificationEvent function (wdm.h)": opened where it exists, else signalled."""
    name, out = guest.unicode(r"\KernelObjects\Low"), guest.room(8)
    first = guest.call("IoCreateNotificationEvent", name, out)
    assert first
    assert guest.call("KeReadStateEvent", first) == 1
    assert guest.u64(out) >> 31 == 0x1FFFFFFFF
    assert guest.call("IoCreateNotificationEvent", name, out) == first


def test_callback_objects(guest: Guest) -> None:
    """WDK: "ExCreateCallback function (wdm.h)", "ExRegisterCallback function (wdm.h)"."""
    out = guest.room(8)
    attributes = guest.attributes(r"\Callback\Lab", INSENSITIVE | PERMANENT)
    assert guest.call("ExCreateCallback", out, attributes, 1, 0) == 0
    obj = guest.u64(out)
    # A routine that adds Argument1 to what its context points at: add [rcx], rdx; ret.
    routine = DRIVER + 0x40
    guest.k.memory.write(routine, bytes.fromhex("480111c3"))
    count = guest.put(bytes(8))
    registration = guest.call("ExRegisterCallback", obj, routine, count)
    assert registration
    assert guest.call("ExRegisterCallback", obj, routine, count) == 0
    guest.call("ExNotifyCallback", obj, 5, 0)
    guest.call("ExNotifyCallback", obj, 6, 0, irql=2)
    assert guest.u64(count) == 11
    assert [r.kind for r in guest.k.callbacks.owned_by("test.sys")] == [
        f"ExRegisterCallback {obj:#x}"
    ]
    guest.call("ExUnregisterCallback", registration)
    guest.call("ExNotifyCallback", obj, 7, 0)
    assert guest.u64(count) == 11
    assert guest.k.callbacks.owned_by("test.sys") == []
    assert guest.call("ExCreateCallback", out, attributes, 0, 0) == 0
    assert guest.u64(out) == obj
    missing = guest.attributes(r"\Callback\None", INSENSITIVE)
    assert guest.call("ExCreateCallback", out, missing, 0, 0) == status(
        "STATUS_OBJECT_NAME_NOT_FOUND"
    )
    unnamed = guest.attributes(None, 0)
    assert guest.call("ExCreateCallback", out, unnamed, 1, 0) == status("STATUS_UNSUCCESSFUL")


def test_tagged_references(guest: Guest) -> None:
    """WDK: "Tracing Object References"; "ObReferenceObjectByHandleWithTag function (wdm.h)"."""
    tag, out = 0x31323334, guest.room(8)
    handle = event(guest)
    call = ("ObReferenceObjectByHandleWithTag", handle, 0, 0, KERNEL, tag, out, 0)
    assert guest.call(*call) == 0
    obj = guest.u64(out)
    event_type = guest.u64(guest.k.stub_of("ExEventObjectType"))
    assert guest.call("ObReferenceObjectByPointerWithTag", obj, 0, event_type, KERNEL, tag) == 0
    token_type = guest.u64(guest.k.stub_of("SeTokenObjectType"))
    assert guest.call(
        "ObReferenceObjectByPointerWithTag", obj, 0, token_type, KERNEL, tag
    ) == status("STATUS_OBJECT_TYPE_MISMATCH")
    guest.call("ObDereferenceObjectDeferDeleteWithTag", obj, tag)
    assert guest.k.ob.references_of("test.sys") == [(guest.k.ob.objects[obj], 1)]


def test_a_name_is_taken_away_by_pointer(guest: Guest) -> None:
    """WDK: "ObMakeTemporaryObject function (ntifs.h)"."""
    path = r"\BaseNamedObjects\Pointer"
    handle = event(guest, path, INSENSITIVE | PERMANENT)
    obj = pointer(guest, handle)
    guest.call("ZwClose", handle)
    assert name_of(guest, obj) == path
    guest.call("ObMakeTemporaryObject", obj)
    assert name_of(guest, obj) == ""
    assert guest.call("ObfDereferenceObject", obj) == 0


def test_named_synchronization_events(guest: Guest) -> None:
    """WDK: "IoCreateSynchronizationEvent function (wdm.h)": one wait takes the signal."""
    name, out, zero = guest.unicode(r"\KernelObjects\Sync"), guest.room(8), guest.put(bytes(8))
    obj = guest.call("IoCreateSynchronizationEvent", name, out)
    assert guest.call("ZwWaitForSingleObject", guest.u64(out), 0, zero) == 0
    assert guest.call("KeReadStateEvent", obj) == 0
