"""Each small routine and variable that no other test names, by one call of it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.target.sim.kernel.bugcheck import BugCheck

from .conftest import Guest

#: Narrow and wide name, arguments (a text, or a number), and the result: an offset in the first
#: argument (None for a null pointer), its new text, or a number.
_STRINGS: list[tuple[str, str, tuple[str | int, ...], str, object]] = [
    ("strcat", "wcscat", ("ab", "cd"), "text", "abcd"),
    ("strncat", "wcsncat", ("ab", "cdef", 2), "text", "abcd"),
    ("strcpy", "wcscpy", ("abcd", "xyz"), "text", "xyz"),
    ("strlen", "wcslen", ("abc",), "number", 3),
    ("strnlen", "wcsnlen", ("abc", 2), "number", 2),
    ("strchr", "wcschr", ("abcb", ord("b")), "offset", 1),
    ("strrchr", "wcsrchr", ("abcb", ord("b")), "offset", 3),
    ("strrchr", "wcsrchr", ("abcb", ord("z")), "offset", None),
    ("strstr", "wcsstr", ("abcbc", "bc"), "offset", 1),
    ("strspn", "wcsspn", ("aabc", "ab"), "number", 3),
    ("strcmp", "wcscmp", ("abc", "abc"), "number", 0),
    ("strncmp", "wcsncmp", ("abc", "abd", 2), "number", 0),
    ("_stricmp", "_wcsicmp", ("aBc", "AbC"), "number", 0),
    ("_strnicmp", "_wcsnicmp", ("aBcd", "AbCe", 3), "number", 0),
]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("narrow_name", "wide_name", "arguments", "kind", "expected"),
    _STRINGS,
    ids=[f"{case[0]}-{case[4]}" for case in _STRINGS],
)
def test_string_routines(
    guest: Guest,
    wide: bool,
    narrow_name: str,
    wide_name: str,
    arguments: tuple[str | int, ...],
    kind: str,
    expected: object,
) -> None:
    size = 2 if wide else 1

    def place(argument: str | int) -> int:
        if isinstance(argument, int):
            return argument
        raw = argument.encode("utf-16-le" if wide else "ascii")
        # With room behind the text, for what is appended.
        return guest.put(raw.ljust(size * 16, b"\0"))

    given = [place(argument) for argument in arguments]
    result = guest.call(wide_name if wide else narrow_name, *given)
    if kind == "number":
        assert result & 0xFFFFFFFF == expected
    elif kind == "offset":
        assert result == (0 if expected is None else given[0] + size * int(str(expected)))
    else:
        assert result == given[0]
        raw = guest.read(result, size * 16)
        assert raw.decode("utf-16-le" if wide else "ascii").split("\0")[0] == expected


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("CmKeyObjectType", "Key"),
        ("ExEventObjectType", "Event"),
        ("ExSemaphoreObjectType", "Semaphore"),
        ("IoDeviceObjectType", "Device"),
        ("IoDriverObjectType", "Driver"),
        ("IoFileObjectType", "File"),
        ("MmSectionObjectType", "Section"),
        ("PsProcessType", "Process"),
        ("PsThreadType", "Thread"),
    ],
)
def test_object_types_are_pointers_to_pointers(guest: Guest, variable: str, kind: str) -> None:
    """WDK: "ObReferenceObjectByHandle function (wdm.h)": ObjectType is *ExEventObjectType, say."""
    at = guest.k.memory.u64(guest.k.stub_of(variable))
    assert guest.k.object_types[at] == kind


def test_variables(guest: Guest) -> None:
    """WDK: "MmIsAddressValid function"; the x64 layout of "Virtual Address Spaces"."""

    def value(name: str, size: int = 8) -> int:
        return int.from_bytes(guest.read(guest.k.stub_of(name), size), "little")

    assert value("KdDebuggerEnabled", 1) == 0
    assert value("KdDebuggerNotPresent", 1) == 1
    highest, probe = value("MmHighestUserAddress"), value("MmUserProbeAddress")
    assert probe == highest + 1 - 0x10000 or probe <= highest
    assert value("MmSystemRangeStart") == 0xFFFF_8000_0000_0000
    assert value("PsInitialSystemProcess") == guest.k.ps.system.object


def test_events_are_reset(guest: Guest) -> None:
    """WDK: "KeClearEvent", "KeResetEvent function (wdm.h)": the second tells the state before."""
    event = guest.room(24)
    guest.call("KeInitializeEvent", event, 0, 1)
    assert guest.call("KeReadStateEvent", event) == 1
    guest.call("KeClearEvent", event)
    assert guest.call("KeReadStateEvent", event) == 0
    guest.call("KeSetEvent", event, 0, 0)
    assert guest.call("KeResetEvent", event) == 1
    assert guest.call("KeResetEvent", event) == 0


def test_the_current_thread(guest: Guest) -> None:
    """WDK: "PsGetCurrentThread", "PsGetCurrentThreadId", "PsGetThreadId function (ntddk.h)"."""
    thread = guest.call("PsGetCurrentThread")
    assert thread == guest.call("KeGetCurrentThread") == guest.k.thread.object
    number = guest.call("PsGetCurrentThreadId")
    assert number == guest.call("PsGetThreadId", thread) == guest.k.thread.id


def test_stops(guest: Guest) -> None:
    """WDK: "KeBugCheck function (ntddk.h)": all four parameters are 0."""
    with pytest.raises(BugCheck) as stopped:
        guest.call("KeBugCheck", 0xE2)
    assert (stopped.value.code, stopped.value.parameters) == (0xE2, (0, 0, 0, 0))


def test_a_breakpoint_without_a_debugger(guest: Guest) -> None:
    """WDK: "DbgBreakPoint routine": an unhandled STATUS_BREAKPOINT."""
    with pytest.raises(BugCheck) as stopped:
        guest.call("DbgBreakPoint")
    assert stopped.value.parameters[0] == 0x80000003


def test_prefixed_prints(guest: Guest) -> None:
    """WDK: "vDbgPrintExWithPrefix function (wdm.h)"."""
    arguments = guest.put(struct.pack("<QQ", 5, guest.text("six")))
    given = guest.text("pre: "), 77, 3, guest.text("%d %s\n"), arguments
    assert guest.call("vDbgPrintExWithPrefix", *given) == 0
    (fields,) = [fields for kind, fields in guest.events if kind == "dbgprint"]
    assert (fields["text"], fields["component"], fields["level"]) == ("pre: 5 six\n", 77, 3)


def test_handles_are_closed_by_either_name(guest: Guest) -> None:
    """WDK: "NtClose function (ntifs.h)"."""
    assert guest.call("NtClose", 0x7777) & 0xFFFFFFFF == 0xC0000008
    k = guest.k
    handle = k.ob.open(k.ob.get(k.ps.system.object), 4)
    assert guest.call("NtClose", handle) == 0
    assert guest.call("NtClose", handle) & 0xFFFFFFFF == 0xC0000008


@pytest.mark.parametrize("dividend", [0, 1, 999_999, 1_000_000, 123_456_789_012, -5_000_001])
def test_division_by_multiplying(guest: Guest, dividend: int) -> None:
    """WDK: "RtlExtendedMagicDivide function (wdm.h)": by 10,000, with its reciprocal."""
    magic = 0xD1B7_1758_E219_652C  # 2 to the power of 77, by 10,000, rounded up
    result = guest.call("RtlExtendedMagicDivide", dividend & (1 << 64) - 1, magic, 13)
    signed = result - (1 << 64) if result >> 63 else result
    assert signed == (abs(dividend) // 10_000) * (-1 if dividend < 0 else 1)


def test_square_roots(build_driver: Callable[..., BuildResult]) -> None:
    """A floating-point argument and result, in xmm0; sqrt is looked up by its name."""
    body = """unsafe {
        let mut name = ['s' as u16, 'q' as u16, 'r' as u16, 't' as u16];
        let name = UNICODE_STRING { Length: 8, MaximumLength: 8, Buffer: name.as_mut_ptr() };
        let sqrt: extern "system" fn(f64) -> f64 =
            core::mem::transmute(MmGetSystemRoutineAddress(&name));
        println!("{} {}", sqrt(2.25), sqrt(1e10));
    }"""
    image = build_driver("roots", body, extra="use windows_kernel_rs::sys::*;").sys
    with kernellab.connect("sim") as target:
        driver: Any = target.load(image)
        assert driver.log.lines[0] == "1.5 100000"
