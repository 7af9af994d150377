"""What a driver does wrong becomes the bug check that Windows would show, with its line.

Codes and parameters: Microsoft's "Bug check code reference". For the address of a trap frame the
simulator passes 0 (docs/simulator.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kernellab.driver import Driver
from kernellab.errors import Bugcheck, TargetStopped
from kernellab.lab import Target

SOURCE = Path(__file__).parent / "drivers" / "faults.rs"
RUN = 0x222000
STACKS = 0xFFFF_FA80_0000_0000
NOWHERE = 0xFFFF_C123_4567_8000
ACCESS_VIOLATION = 0xC000_0005
TAG, OTHER = (int.from_bytes(text, "little") for text in (b"Test", b"Else"))

# What a parameter is that differs from build to build.
RIP = "the address of the faulting instruction"
BLOCK = "the address that the driver printed"
RECORD = "the address of a record on the kernel stack"
ANY = "any"

Parameters = tuple[int | str | tuple[str, int], ...]


def marked(name: str) -> int:
    """The line of the driver that ends in ``// @name``."""
    lines = SOURCE.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"// @{name}"))


def go_wrong(target: Target, image: Path, fault: str) -> tuple[Driver, Bugcheck]:
    """Have the fault happen in a dispatch routine."""
    driver = target.load(image)
    device = target.open(r"\\.\Faults")
    with pytest.raises(Bugcheck) as info:
        device.ioctl(RUN, fault.encode())
    return driver, info.value


def own_frame(error: Bugcheck) -> tuple[str, int]:
    """Address and line of the innermost frame in the driver's own source."""
    frame = next(frame for frame in error.frames if frame.file == SOURCE.name)
    return frame.address, frame.line


def check_parameters(driver: Driver, error: Bugcheck, wanted: Parameters) -> None:
    known = {RIP: int(own_frame(error)[0], 16)}
    if driver.log.lines:
        known[BLOCK] = int(driver.log.lines[-1], 16)
    assert len(error.parameters) == 4
    for position, (got, want) in enumerate(zip(error.parameters, wanted, strict=True), 1):
        if want == ANY:
            continue
        if want == RECORD:
            assert got >= STACKS and got % 16 == 0
            continue
        if isinstance(want, tuple):
            want = known[want[0]] + want[1]
        elif isinstance(want, str):
            want = known[want]
        assert got == want, f"parameter {position} is {got:#x}, not {want:#x}"


#: Fault, marked line, code, name, parameters.
FAULTS: list[tuple[str, str, int, str, Parameters]] = [
    # "Bug Check 0x3B: SYSTEM_SERVICE_EXCEPTION": exception, instruction, context record, 0.
    ("null_read", "read", 0x3B, "SYSTEM_SERVICE_EXCEPTION", (ACCESS_VIOLATION, RIP, RECORD, 0)),
    ("null_write", "write", 0x3B, "SYSTEM_SERVICE_EXCEPTION", (ACCESS_VIOLATION, RIP, RECORD, 0)),
    ("null_jump", "jump", 0x3B, "SYSTEM_SERVICE_EXCEPTION", (ACCESS_VIOLATION, 0, RECORD, 0)),
    ("user_read", "read", 0x3B, "SYSTEM_SERVICE_EXCEPTION", (ACCESS_VIOLATION, RIP, RECORD, 0)),
    ("non_canonical", "read", 0x3B, "SYSTEM_SERVICE_EXCEPTION", (ACCESS_VIOLATION, RIP, RECORD, 0)),
    ("divide_by_zero", "divide", 0x3B, "SYSTEM_SERVICE_EXCEPTION", (0xC000_0094, RIP, RECORD, 0)),
    ("invalid_opcode", "invalid_opcode", 0x3B, "SYSTEM_SERVICE_EXCEPTION",
     (0xC000_001D, RIP, RECORD, 0)),
    # An int3 without a debugger: STATUS_BREAKPOINT, which nothing handles.
    ("breakpoint", "breakpoint", 0x3B, "SYSTEM_SERVICE_EXCEPTION", (0x8000_0003, RIP, RECORD, 0)),
    # "Bug Check 0x139: KERNEL_SECURITY_CHECK_FAILURE": 3 is a corrupted LIST_ENTRY.
    ("fast_fail", "fast_fail", 0x139, "KERNEL_SECURITY_CHECK_FAILURE", (3, ANY, ANY, ANY)),
    # "Bug Check 0x50: PAGE_FAULT_IN_NONPAGED_AREA": address; 0 read, 2 write, 0x10 execute;
    # the instruction; the kind of page fault.
    ("wild_read", "read", 0x50, "PAGE_FAULT_IN_NONPAGED_AREA", (NOWHERE, 0, RIP, ANY)),
    ("wild_write", "write", 0x50, "PAGE_FAULT_IN_NONPAGED_AREA", (NOWHERE, 2, RIP, ANY)),
    ("wild_jump", "jump", 0x50, "PAGE_FAULT_IN_NONPAGED_AREA", (NOWHERE, 0x10, NOWHERE, ANY)),
    ("wild_in_kernel", "kernel_reads", 0x50, "PAGE_FAULT_IN_NONPAGED_AREA",
     (NOWHERE, 0, ANY, ANY)),
    # "Bug Check 0xBE: ATTEMPTED_WRITE_TO_READONLY_MEMORY" and
    # "Bug Check 0xFC: ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY": address, page table entry.
    ("write_rdata", "write", 0xBE, "ATTEMPTED_WRITE_TO_READONLY_MEMORY", (BLOCK, ANY, ANY, ANY)),
    ("execute_data", "jump", 0xFC, "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
     (BLOCK, ANY, ANY, ANY)),
    ("execute_pool", "jump", 0xFC, "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY",
     (BLOCK, ANY, ANY, ANY)),
    # "Bug Check 0x7F: UNEXPECTED_KERNEL_MODE_TRAP": 8 is the double fault, which a used-up
    # kernel stack becomes.
    ("stack_overflow", "stack_overflow", 0x7F, "UNEXPECTED_KERNEL_MODE_TRAP", (8, ANY, ANY, ANY)),
    # "Bug Check 0xD1: DRIVER_IRQL_NOT_LESS_OR_EQUAL": address; IRQL; 0 read, 1 write; who.
    ("raised_read", "read", 0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL", (0x48, 2, 0, RIP)),
    ("raised_write", "write", 0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL", (NOWHERE, 2, 1, RIP)),
    ("raised_jump", "jump", 0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL", (0, 2, 8, 0)),
    # "Bug Check 0xA: IRQL_NOT_LESS_OR_EQUAL": the same, of the kernel's own code.
    ("raised_in_kernel", "kernel_reads", 0xA, "IRQL_NOT_LESS_OR_EQUAL", (NOWHERE, 2, 0, ANY)),
    # "Bug Check 0xD6: DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION" and
    # "Bug Check 0xD5: DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL": address; 0 read, 1 write; who.
    ("overrun_read", "read", 0xD6, "DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
     ((BLOCK, 32), 0, RIP, ANY)),
    ("overrun_write", "write", 0xD6, "DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION",
     ((BLOCK, 32), 1, RIP, ANY)),
    ("read_after_free", "read", 0xD5, "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL",
     ((BLOCK, 8), 0, RIP, ANY)),
    ("write_after_free", "write", 0xD5, "DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL",
     ((BLOCK, 8), 1, RIP, ANY)),
    # "Bug Check 0xC2: BAD_POOL_CALLER": 7 freed already; 0xA wrong tag (address, the
    # allocation's tag, the tag given); 0x46 no pool address.
    ("double_free", "free", 0xC2, "BAD_POOL_CALLER", (7, ANY, ANY, BLOCK)),
    ("wrong_tag", "free", 0xC2, "BAD_POOL_CALLER", (0xA, BLOCK, TAG, OTHER)),
    ("wild_free", "free", 0xC2, "BAD_POOL_CALLER", (0x46, NOWHERE, 0, 0)),
    ("inner_free", "free", 0xC2, "BAD_POOL_CALLER", (0x46, (BLOCK, 16), 0, 0)),
    # "KeBugCheckEx function (wdm.h)": what the driver says.
    ("bug_check", "bug_check", 0xE2, "MANUALLY_INITIATED_CRASH", (1, 2, 3, 0xFFFF_FFFF_FFFF_FFFF)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "line", "code", "name", "parameters"), FAULTS, ids=[row[0] for row in FAULTS]
)
def test_bug_check(
    target: Target,
    faults: Path,
    fault: str,
    line: str,
    code: int,
    name: str,
    parameters: Parameters,
) -> None:
    driver, error = go_wrong(target, faults, fault)
    assert (error.code, error.name) == (code, name)
    assert own_frame(error)[1] == marked(line)
    check_parameters(driver, error, parameters)
    event = target.bugcheck
    assert event is not None
    assert (event.driver, driver.state) == ("faults", "bug check")
    assert event.message
    assert f"faults.rs:{marked(line)}" in str(error)
    # The stack goes all the way to the system service that was called.
    assert [f.function for f in error.frames if f.module == "ntoskrnl.exe"][-1] == (
        "NtDeviceIoControlFile"
    )
    # The machine has stopped, and the next load starts it afresh.
    with pytest.raises(TargetStopped, match=name):
        target.open(r"\\.\Faults")
    again = target.load(faults, name="again")
    with target.open(r"\\.\Faults") as device:
        device.ioctl(RUN, b"nothing")
    assert again.log.lines == ["nothing to do"]
    again.unload()
    assert target.violations == []


def test_page_table_entries_are_those_of_the_page(target: Target, faults: Path) -> None:
    """0xBE and 0xFC show an entry that is present and forbids what was tried."""
    present, writable, no_execute = 1, 2, 1 << 63
    _driver, error = go_wrong(target, faults, "write_rdata")
    assert error.parameters[1] & (present | writable | no_execute) == present | no_execute
    _driver, error = go_wrong(target, faults, "execute_data")
    assert error.parameters[1] & (present | writable | no_execute) == (
        present | writable | no_execute
    )


@pytest.mark.parametrize(
    ("fault", "line", "status"),
    [
        ("null_read", "read", ACCESS_VIOLATION),
        ("non_canonical", "read", ACCESS_VIOLATION),
        ("divide_by_zero", "divide", 0xC000_0094),
        ("invalid_opcode", "invalid_opcode", 0xC000_001D),
    ],
)
def test_in_driver_entry(target: Target, faults: Path, fault: str, line: str, status: int) -> None:
    """ "Bug Check 0x7E: SYSTEM_THREAD_EXCEPTION_NOT_HANDLED": exception, instruction, records."""
    with pytest.raises(Bugcheck) as info:
        target.load(faults, name=f"entry_{fault}")
    error = info.value
    assert (error.code, error.name) == (0x7E, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED")
    address, at = own_frame(error)
    assert at == marked(line)
    assert error.parameters[:2] == (status, int(address, 16))
    record, context = error.parameters[2:]
    assert STACKS <= record < context
    assert "DriverEntry" in [frame.function for frame in error.frames]
    assert error.driver.state == "bug check"


def test_write_into_the_alignment_is_found_at_the_free(target: Target, faults: Path) -> None:
    """One byte behind 30 bytes is inside the 16-byte alignment: no fault, but a violation."""
    target.load(faults)
    with target.open(r"\\.\Faults") as device:
        device.ioctl(RUN, b"overrun_slack")
    (found,) = target.violations
    assert (found.rule, found.driver) == ("pool-overrun", "faults")
    assert "offset 30 " in found.message and "'Test'" in found.message
    assert marked("free") in [frame.line for frame in found.frames]


def test_leak_is_named_by_the_line_that_allocated(target: Target, faults: Path) -> None:
    driver = target.load(faults)
    with target.open(r"\\.\Faults") as device:
        device.ioctl(RUN, b"leak")
        device.ioctl(RUN, b"leak")
    assert target.status()["pool"] == {"Test": 200}
    driver.unload()
    (found,) = target.violations
    assert found.rule == "leak-pool"
    assert "200 bytes" in found.message and "2 allocations" in found.message
    own = [frame.line for frame in found.frames if frame.file == SOURCE.name]
    assert own[0] == marked("allocate")
    assert target.status()["pool"] == {}
