"""Processes and threads, by calls of single routines; their lives are in test_programs."""

from __future__ import annotations

import struct

from kernellab import ntdata

from .conftest import DRIVER, Guest

#: inc dword [rip+0xFA]: counts at DRIVER + 0x200; ret.
_COUNT = bytes.fromhex("ff057a010000c3")
_ROUTINE, _COUNTER = DRIVER + 0x80, DRIVER + 0x200


def status(name: str) -> int:
    return ntdata.status_code(name)


def counted(guest: Guest) -> int:
    return guest.u32(_COUNTER)


def install(guest: Guest) -> None:
    guest.k.memory.write(_ROUTINE, _COUNT)


def test_threads_and_their_processes(guest: Guest) -> None:
    """WDK: "PsLookupThreadByThreadId function (ntifs.h)", "IoThreadToProcess function"."""
    k, out = guest.k, guest.room(8)
    thread = k.ps.client_threads[0]
    assert guest.call("PsLookupThreadByThreadId", thread.id, out) == 0
    assert guest.u64(out) == thread.object
    assert guest.call("PsLookupThreadByThreadId", 0x9998, out) == status("STATUS_INVALID_CID")
    for routine, result in (
        ("PsGetThreadProcess", k.ps.client.object),
        ("IoThreadToProcess", k.ps.client.object),
        ("PsGetThreadProcessId", k.ps.client.pid),
        ("PsIsSystemThread", 0),
    ):
        assert guest.call(routine, thread.object) == result
    assert guest.call("PsIsSystemThread", k.ps.loader.object) == 1
    assert k.ob.references_of("test.sys") == [(k.ob.objects[thread.object], 1)]


def test_the_version(guest: Guest) -> None:
    """WDK: "PsGetVersion function (wdm.h)": FALSE for a free build."""
    numbers = [guest.room(4) for _ in range(3)]
    assert guest.call("PsGetVersion", *numbers, 0) == 0
    assert [guest.u32(at) for at in numbers] == [10, 0, 19045]
    assert guest.call("PsGetVersion", 0, 0, 0, 0) == 0


def test_process_routines_of_all_kinds_are_one_list(guest: Guest) -> None:
    """WDK: "PsSetCreateProcessNotifyRoutineEx2 function (ntddk.h)"."""
    install(guest)
    invalid = status("STATUS_INVALID_PARAMETER")
    assert guest.call("PsSetCreateProcessNotifyRoutineEx2", 7, _ROUTINE, 0) == invalid
    assert guest.call("PsSetCreateProcessNotifyRoutineEx2", 0, _ROUTINE, 0) == 0
    assert guest.call("PsSetCreateProcessNotifyRoutineEx", _ROUTINE, 0) == invalid
    assert [r.owner for r in guest.k.callbacks.owned_by("test.sys")] == ["test.sys"]
    assert guest.call("PsSetCreateProcessNotifyRoutineEx2", 0, _ROUTINE, 1) == 0
    gone = status("STATUS_PROCEDURE_NOT_FOUND")
    assert guest.call("PsSetCreateProcessNotifyRoutineEx2", 0, _ROUTINE, 1) == gone


def test_only_so_many_routines(guest: Guest) -> None:
    """WDK: "PsSetCreateProcessNotifyRoutine function (ntddk.h)": 64 at most."""
    for index in range(64):
        assert guest.call("PsSetCreateProcessNotifyRoutine", _ROUTINE + index, 0) == 0
    assert guest.call("PsSetCreateProcessNotifyRoutine", _ROUTINE + 64, 0) == status(
        "STATUS_INVALID_PARAMETER"
    )


def test_threads_of_programs_only(guest: Guest) -> None:
    """WDK: "PsSetCreateThreadNotifyRoutineEx function (ntddk.h)": NonSystem."""
    install(guest)
    invalid = status("STATUS_INVALID_PARAMETER")
    assert guest.call("PsSetCreateThreadNotifyRoutineEx", 9, _ROUTINE) == invalid
    assert guest.call("PsSetCreateThreadNotifyRoutineEx", 0, _ROUTINE) == 0
    ret = DRIVER + 0xC0
    guest.k.memory.write(ret, b"\xc3")
    out = guest.room(8)
    assert guest.call("PsCreateSystemThread", out, 0, 0, 0, 0, ret, 0) == 0
    assert counted(guest) == 0
    assert guest.call("PsSetCreateThreadNotifyRoutineEx", 1, _ROUTINE) == 0
    assert guest.call("PsCreateSystemThread", out, 0, 0, 0, 0, ret, 0) == 0
    assert counted(guest) == 2


def test_image_routines_with_flags(guest: Guest) -> None:
    """WDK: "PsSetLoadImageNotifyRoutineEx function (ntddk.h)"."""
    invalid = status("STATUS_INVALID_PARAMETER")
    assert guest.call("PsSetLoadImageNotifyRoutineEx", _ROUTINE, 2) == invalid
    assert guest.call("PsSetLoadImageNotifyRoutineEx", _ROUTINE, 1) == 0
    assert guest.call("PsRemoveLoadImageNotifyRoutine", _ROUTINE) == 0


def test_what_is_asked_of_a_process(guest: Guest) -> None:
    """WDK: "ZwQueryInformationProcess function (ntddk.h)": lengths, image file name."""
    current = 0xFFFFFFFFFFFFFFFF
    buffer, length = guest.room(256), guest.room(4)
    query = "ZwQueryInformationProcess"
    mismatch = status("STATUS_INFO_LENGTH_MISMATCH")
    assert guest.call(query, current, 0, buffer, 47, length) == mismatch
    assert guest.u32(length) == 48
    assert guest.call(query, current, 0, buffer, 48, length) == 0
    assert struct.unpack_from("<Q", guest.read(buffer, 48), 32) == (4,)
    assert guest.call(query, current, 27, buffer, 256, length) == 0
    assert guest.content(buffer).decode("utf-16-le") == "System"
    assert guest.call(query, current, 999, buffer, 256, 0) == status("STATUS_INVALID_INFO_CLASS")


def test_opening_by_name_is_refused(guest: Guest) -> None:
    """WDK: "ZwOpenProcess function (ntddk.h)": STATUS_INVALID_PARAMETER_MIX, _CID."""
    out, client = guest.room(8), guest.put(struct.pack("<QQ", 4, 0))
    arguments = (out, 1, guest.attributes("x"), client)
    assert guest.call("ZwOpenProcess", *arguments) == status("STATUS_INVALID_PARAMETER_MIX")
    attributes = guest.attributes(None, 0x200)
    assert guest.call("ZwOpenProcess", out, 1, attributes, 0) == status("STATUS_INVALID_PARAMETER")
    assert guest.call("ZwOpenProcess", out, 1, attributes, client) == 0
    denied = status("STATUS_ACCESS_DENIED")
    assert guest.call("ZwTerminateProcess", guest.u64(out), 0) == denied
