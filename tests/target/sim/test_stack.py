"""Stacks of devices, completion routines, and IRPs that drivers make."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernellab.driver import Driver
from kernellab.errors import Bugcheck
from kernellab.lab import Target
from kernellab.sources import build_path

from .conftest import DRIVERS

SKIP, COPY, MORE, DEEP, FORWARD, EX, MISMARKED, UNMARKED, RESET = (
    0x22_0000 | function << 2 for function in range(0x800, 0x809)
)
CONTROL, TRANSFER, ASYNCHRONOUS, ALLOCATED, _, BUSY, FAILING, POINTER, LEFT, THREADED, POOL = (
    0x22_0000 | function << 2 for function in range(0x810, 0x81B)
)
LOWER, MAKER = r"\Device\Lower", r"\Device\Maker"
NOW, LATER = b"\x05", b"\x01"


@pytest.fixture(scope="session")
def stack() -> Path:
    return build_path(DRIVERS / "stack.rs").sys


def lines(driver: Driver) -> list[str]:
    """What was printed after DriverEntry."""
    return list(driver.log.lines[1:])


def sent(target: Target, stack: Path, code: int) -> list[str]:
    """What the driver prints while its third device sends something."""
    driver = target.load(stack)
    with target.open(MAKER) as device:
        device.ioctl(code)
    driver.unload()
    assert target.violations == []
    return lines(driver)


def test_attaching(target: Target, stack: Path) -> None:
    """WDK: "IoAttachDeviceToDeviceStackSafe function (ntifs.h)": stack size and alignment."""
    driver = target.load(stack)
    assert driver.log.lines == ["stack 2 alignment 3"]
    driver.unload()
    assert target.violations == []


@pytest.mark.parametrize("code", [SKIP, COPY, EX, MORE, FORWARD])
def test_passing_down(target: Target, stack: Path, code: int) -> None:
    """WDK: "Passing IRPs down the Driver Stack"; completed at once, and by a DPC."""
    driver = target.load(stack)
    with target.open(LOWER) as device:
        assert device.ioctl(code, NOW, 1) == b"\x06"
        assert device.ioctl(code, LATER, 1) == b"\x63"
    context = 7 if code == COPY else 8
    expected = {
        SKIP: [],
        MORE: ["mine again: 0x0", "mine again: 0x103"],
        FORWARD: ["forwarded 1", "forwarded 1"],
    }
    passed = [f"up true context {context} pending {n} status 0" for n in (0, 1)]
    assert lines(driver) == expected.get(code, passed)
    driver.unload()
    assert target.violations == []


def test_too_few_stack_locations(target: Target, stack: Path) -> None:
    """WDK: "Bug Check 0x35: NO_MORE_IRP_STACK_LOCATIONS"."""
    target.load(stack)
    with pytest.raises(Bugcheck) as info, target.open(LOWER) as device:
        device.ioctl(DEEP)
    assert info.value.name == "NO_MORE_IRP_STACK_LOCATIONS"


@pytest.mark.parametrize(("code", "word"), [(MISMARKED, "instead of"), (UNMARKED, "without")])
def test_the_mark_and_the_status_agree(target: Target, stack: Path, code: int, word: str) -> None:
    """WDK: "IoMarkIrpPending function (wdm.h)"."""
    driver = target.load(stack)
    with target.open(LOWER) as device:
        device.ioctl(code)
    assert {v.rule for v in driver.violations} == {"wrong-pending"}
    assert all(word in v.message for v in driver.violations)


def test_control_requests_of_a_driver(target: Target, stack: Path) -> None:
    """WDK: "IoBuildDeviceIoControlRequest function (wdm.h)", also an internal one."""
    assert sent(target, stack, CONTROL) == [
        *("0x0 0x0 1", "byte 5 signalled 1"),
        *("0x103 0x0 1", "byte 99"),
        *("lower internal", "0x0 0x0 0"),
    ]


def test_an_error_at_once_signals_nothing(target: Target, stack: Path) -> None:
    """The status is what IoCallDriver returned; event and status block are not touched."""
    printed = sent(target, stack, FAILING)
    assert printed[:2] == ["0xc00000a3 0x0 77", "byte 4 signalled 0"]


def test_transfers_of_a_driver(target: Target, stack: Path) -> None:
    """WDK: "IoBuildSynchronousFsdRequest function (wdm.h)"."""
    assert sent(target, stack, TRANSFER) == [
        *("lower writes 4", "0x0 0x0 1", "0x0 0x0 1", "0x0 0x0 0", "read 0x42"),
    ]


def test_an_asynchronous_transfer_of_a_driver(target: Target, stack: Path) -> None:
    """WDK: "IoBuildAsynchronousFsdRequest function (wdm.h)": its routine frees the IRP."""
    assert sent(target, stack, ASYNCHRONOUS) == ["lower writes 4", "freeing 1", "0x0"]


def test_an_irp_that_is_used_again(target: Target, stack: Path) -> None:
    """WDK: "IoAllocateIrp function (wdm.h)", "IoReuseIrp function (wdm.h)"."""
    assert sent(target, stack, ALLOCATED) == ["0x0 5", "0x0 6"]


def test_an_irp_in_memory_of_the_driver(target: Target, stack: Path) -> None:
    """WDK: "IoInitializeIrp function (wdm.h)"."""
    assert sent(target, stack, POOL) == ["0x0 5"]


def test_associated_irps(target: Target, stack: Path) -> None:
    """WDK: "IoMakeAssociatedIrp function (ntddk.h)": the last completes the master."""
    driver = target.load(stack)
    with target.open(MAKER) as device:
        assert device.read(4)[::2] == b"AB"
    assert lines(driver) == ["half 0", "half 0"]
    driver.unload()
    assert target.violations == []


def test_a_pointer_to_a_device(target: Target, stack: Path) -> None:
    """WDK: "IoGetDeviceObjectPointer function (wdm.h)": the top of the stack, and a file."""
    assert sent(target, stack, POINTER) == ["0 true true", "1"]
    assert target.status()["devices"] == []


@pytest.mark.parametrize(
    ("code", "name", "parameters"),
    [
        (BUSY, "MULTIPLE_IRP_COMPLETE_REQUESTS", ()),
        (THREADED, "DRIVER_VERIFIER_IOMANAGER_VIOLATION", (2,)),
    ],
)
def test_freeing_what_must_not_be(
    target: Target, stack: Path, code: int, name: str, parameters: tuple[int, ...]
) -> None:
    """WDK: "IoFreeIrp function (wdm.h)"; "Bug Check 0xC9", parameter 1."""
    target.load(stack)
    with pytest.raises(Bugcheck) as info, target.open(MAKER) as device:
        device.ioctl(code)
    assert info.value.name == name
    assert info.value.parameters[: len(parameters)] == parameters


def test_an_irp_left_to_the_io_manager(target: Target, stack: Path) -> None:
    """WDK: "IoAllocateIrp function (wdm.h)": its completion routine has to take it back."""
    driver = target.load(stack)
    with target.open(MAKER) as device:
        device.ioctl(LEFT)
    assert [v.rule for v in driver.violations] == ["irp-misused"]
