"""Structured exceptions, by a driver in C: ``drivers/c/seh.c`` has one routine a case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck

SOURCE = Path(__file__).parents[1] / "drivers" / "c" / "seh.c"
RUN = 0x220000

Build = Callable[[str, str], Path]


@pytest.fixture(scope="module")
def image(build_c_driver: Build) -> Path:
    return build_c_driver("seh", SOURCE.read_text())


def line(text: str) -> int:
    """The line of the driver that has ``text``."""
    found = [n for n, code in enumerate(SOURCE.read_text().splitlines(), 1) if text in code]
    return found[0]


def run(image: Path, case: str, **options: int) -> list[str]:
    with kernellab.connect("sim", **options) as target:
        driver = target.load(image)
        with target.open(r"\\.\Seh") as device:
            device.ioctl(RUN, case.encode() + b"\0")
        driver.unload()
        assert target.violations == []
        return list(driver.log.lines)


#: Case, what it prints, and the pages it follows.
CASES = {
    # MSVC: "try-except statement (C)"; Win32: "EXCEPTION_RECORD structure (winnt.h)": for an
    # access violation the first parameter is 0 for a read, 1 for a write, the second the address.
    "read": ["filter: c0000005 flags 0, 2 parameters 0 0", "caught c0000005", "after"],
    "write": ["filter: c0000005 flags 0, 2 parameters 1 7fff0000", "caught c0000005"],
    "divide": ["caught c0000094, result -1"],
    # MSVC: "try-finally statement (C)", "Writing an Exception Handler": all filters come before
    # the termination handlers, which run from the inside out.
    "finally": [
        "filter before any finally: 1",
        "inner finally, abnormal 1",
        "outer finally, abnormal 1",
        "caught c000003e, order 123",
        "normal end, abnormal 0",
    ],
    # "Writing an exception filter": EXCEPTION_CONTINUE_SEARCH. ExRaiseStatus's exception is not
    # continuable.
    "search": [
        "inner: c0000225 flags 1, 0 parameters 0 0",
        "outer: c0000225 flags 1, 0 parameters 0 0",
        "caught c0000225",
    ],
    # EXCEPTION_CONTINUE_EXECUTION runs the instruction again, with the registers in the CONTEXT.
    "continue": ["mending", "read 42"],
    "rethrow": ["first c0000120", "second c0000102"],
    "nested": ["handled inside the filter", "caught c000003e"],
    # "x64 exception handling": a collided unwind goes on behind the scopes that are done.
    "collided": [
        "filter c000003e",
        "finally raises",
        "filter c0000225",
        "next finally",
        "caught c0000225",
    ],
    # "try-finally statement (C)": leaving by return counts as abnormal.
    "return": ["finally of a return, abnormal 1", "returned 7"],
    "loop": ["caught 50"],
    # "x64 software conventions": xmm6 to xmm15 are preserved, also by an unwind.
    "float": ["600"],
    "breakpoint": ["filter: 80000003 flags 0, 0 parameters 0 0", "caught 80000003"],
    "illegal": ["filter: c000001d flags 0, 0 parameters 0 0", "caught c000001d"],
    "export": ["filter: c0000005 flags 0, 2 parameters 0 20000", "caught c0000005"],
    # Win32: "RtlRaiseException function"; "EXCEPTION_RECORD": continuing after a noncontinuable
    # exception is STATUS_NONCONTINUABLE_EXCEPTION.
    "record": [
        "filter: e0000001 flags 0, 2 parameters ab cd",
        "continued",
        "second: e0000001 flags 1, 2 parameters ab cd",
        "second: c0000025 flags 1, 0 parameters 0 0",
        "filter: c0000025 flags 1, 0 parameters 0 0",
        "caught c0000025",
    ],
    # WDK: "ExRaiseAccessViolation function (ntddk.h)", "ExRaiseDatatypeMisalignment function
    # (ntddk.h)", "RtlRaiseStatus function (ntifs.h)".
    "raisers": ["c0000005", "80000002", "c0000022"],
    # WDK: "ProbeForRead function (wdm.h)", "ProbeForWrite function (wdm.h)", "MmProbeAndLockPages
    # function (wdm.h)", "POOL_FLAGS".
    "probes": [
        "80000002",
        "c0000005",
        "ProbeForRead(&device, 0, 4) returned",
        "c0000005",
        "c0000005",
        "c000009a",
    ],
    # WDK: "Handling Exceptions": at DISPATCH_LEVEL as well, but for page faults.
    "dpc": ["dpc caught c0000094 at IRQL 2"],
    "thread": ["thread caught c0000005"],
    "wait_in_filter": ["the filter waited", "caught"],
    "call": [
        "in the callee",
        "finally of the callee",
        "caught c0000005 beyond IofCallDriver",
    ],
}


@pytest.fixture(scope="module")
def handled(image: Path) -> Iterator[Callable[[str], list[str]]]:
    """Runs a case on one machine for all, and gives what it printed."""
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        with target.open(r"\\.\Seh") as device:

            def run(case: str) -> list[str]:
                before = len(driver.log.lines)
                device.ioctl(RUN, case.encode() + b"\0")
                return list(driver.log.lines)[before:]

            yield run
        driver.unload()
        assert target.violations == []


@pytest.mark.parametrize("case", CASES)
def test_handled(handled: Callable[[str], list[str]], case: str) -> None:
    assert handled(case) == CASES[case]


def test_many_on_several_processors_are_the_same_each_time(image: Path) -> None:
    for case in ("thread", "collided", "dpc"):
        assert run(image, case, seed=5, processors=4) == CASES[case]


#: Case, bug check, and what its first parameters are where the page says.
STOPS: dict[str, tuple[str, tuple[int, ...], list[str]]] = {
    # "Bug Check 0x3B: SYSTEM_SERVICE_EXCEPTION", "Bug Check 0x7E:
    # SYSTEM_THREAD_EXCEPTION_NOT_HANDLED": the exception, the instruction.
    "unhandled": (
        "SYSTEM_SERVICE_EXCEPTION",
        (0xC0000005,),
        ["filter: c0000005 flags 0, 2 parameters 0 0"],
    ),
    "unhandled_status": ("SYSTEM_SERVICE_EXCEPTION", (0xC000003E,), []),
    "thread_unhandled": (
        "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED",
        (0xC0000005,),
        ["thread caught c0000005"],
    ),
    # "Bug Check 0x1E: KMODE_EXCEPTION_NOT_HANDLED": the same.
    "dpc_unhandled": ("KMODE_EXCEPTION_NOT_HANDLED", (0xC0000094,), ["filter at IRQL 2"]),
    # "Bug Check 0x50: PAGE_FAULT_IN_NONPAGED_AREA": "cannot be protected by try-except".
    "kernel_address": ("PAGE_FAULT_IN_NONPAGED_AREA", (0xFFFF_C123_4567_8000, 0), []),
    # "Bug Check 0xD1: DRIVER_IRQL_NOT_LESS_OR_EQUAL": the address, the IRQL.
    "raised_irql": ("DRIVER_IRQL_NOT_LESS_OR_EQUAL", (0, 2, 0), []),
    # "Bug Check 0x7F: UNEXPECTED_KERNEL_MODE_TRAP": 8, a double fault.
    "endless": ("UNEXPECTED_KERNEL_MODE_TRAP", (8,), []),
}


@pytest.mark.parametrize("case", STOPS)
def test_not_handled(image: Path, case: str) -> None:
    name, parameters, lines = STOPS[case]
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        device = target.open(r"\\.\Seh")
        with pytest.raises(Bugcheck) as caught:
            device.ioctl(RUN, case.encode() + b"\0")
        assert caught.value.name == name
        assert caught.value.parameters[: len(parameters)] == parameters
        assert list(driver.log.lines) == lines


def test_an_unhandled_exception_shows_where_it_was_raised(image: Path) -> None:
    """Filters ran in between: registers and stack are those of the fault all the same."""
    with kernellab.connect("sim") as target:
        target.load(image)
        device = target.open(r"\\.\Seh")
        with pytest.raises(Bugcheck) as caught:
            device.ioctl(RUN, b"unhandled\0")
        own = [f for f in caught.value.frames if f.file == "seh.c"]
        assert [f.function for f in own[:3]] == ["read_null", "test_unhandled", "control"]
        assert own[0].line == line("return *NULL_VALUE")
        assert own[1].line == line("@unhandled")
        assert caught.value.parameters[1] == int(own[0].address, 16)
        assert caught.value.frames[-1].function == "NtDeviceIoControlFile"


def test_a_fault_in_a_filter_shows_the_frames_of_both(image: Path) -> None:
    with kernellab.connect("sim") as target:
        target.load(image)
        device = target.open(r"\\.\Seh")
        with pytest.raises(Bugcheck) as caught:
            device.ioctl(RUN, b"endless\0")
        names = [f.function for f in caught.value.frames]
        assert "__C_specific_handler" in names
        assert names.count("read_null") > 1
