"""Interrupts that Python fires, and the service routines of a driver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import NtStatusError
from kernellab.lab import Target
from kernellab.sources import build_path

DRIVERS = Path(__file__).parents[1] / "drivers"
Ask = Callable[[int], int]


@pytest.fixture(scope="module")
def image() -> Path:
    return build_path(DRIVERS / "interrupt.rs").sys


@pytest.fixture
def target(image: Path) -> Iterator[Target]:
    with kernellab.connect("sim") as machine:
        machine.load(image)
        yield machine


def ask(target: Target, code: int) -> int:
    with target.open(r"\\.\Interrupt") as device:
        answer = bytes(device.ioctl(0x22 << 16 | (0x800 + code) << 2, out_size=8))
    return int.from_bytes(answer, "little")


def lines(target: Target) -> list[str]:
    return list(target.drivers["interrupt"].log.lines)


def test_an_interrupt_runs_its_service_routine_and_then_a_dpc(target: Target) -> None:
    """WDK: "IoConnectInterrupt function (wdm.h)", "Introduction to Interrupt Service Routines"."""
    with pytest.raises(NtStatusError, match="no service routine"):
        target.interrupt(0x51)
    ask(target, 0)
    assert lines(target) == ["c000000d 0 c000000d"]
    target.interrupt(0x51)
    assert lines(target)[1:] == ["service 9 at 5, true", "DPC at 2"]
    target.interrupt(0x51)
    assert lines(target)[3:] == ["service 9 at 5, true", "DPC at 2"]
    ask(target, 2)  # IoDisconnectInterrupt
    with pytest.raises(NtStatusError, match="no service routine"):
        target.interrupt(0x51)
    target.drivers["interrupt"].unload()
    assert target.violations == []


def test_routines_that_synchronize_with_the_service_routine(target: Target) -> None:
    """WDK: "KeSynchronizeExecution", "KeAcquireInterruptSpinLock", "KeReleaseInterruptSpinLock"."""
    ask(target, 0)
    assert ask(target, 1) == 0x1050
    assert lines(target)[1:] == ["synchronized at 5, 3", "synchronized at 5, 4"]


@pytest.mark.seeds(any_order=True)
def test_an_interrupt_comes_in_the_middle_of_a_loop(target: Target) -> None:
    """It is delivered between two instructions of whatever runs at a lower IRQL."""
    ask(target, 0)
    target.interrupt(0x51, after=0.0001)
    ask(target, 3)
    assert "service 9 at 5, true" in lines(target)
    assert lines(target)[-1] == "seen"


@pytest.mark.seeds(any_order=True)
@pytest.mark.parametrize("processors", [1, 2])
def test_an_interrupt_waits_for_the_irql(image: Path, processors: int) -> None:
    """WDK: "Managing Hardware Priorities": at a DIRQL and above it is masked."""
    with kernellab.connect("sim", processors=processors) as target:
        target.load(image)
        ask(target, 0)
        target.interrupt(0x51, after=0.0001)
        ask(target, 4)
        log = lines(target)[1:]
        assert sorted(log) == ["DPC at 2", "service 9 at 5, true", "still at 6"]
        if processors == 1:
            assert log == ["still at 6", "service 9 at 5, true", "DPC at 2"]


def test_a_shared_vector(target: Target) -> None:
    """WDK: "IoConnectInterruptEx", "IoDisconnectInterruptEx function (wdm.h)".

    The next routine is called where one says that the interrupt was not its device's.
    """
    ask(target, 5)
    assert lines(target) == ["0 0 c0000225"]
    target.interrupt(0x41)
    assert lines(target)[1:] == ["not mine", "service 9 at 4, false", "DPC at 2"]
    ask(target, 6)
    target.drivers["interrupt"].unload()
    assert target.violations == []


def test_an_interrupt_left_connected_is_reported(target: Target) -> None:
    ask(target, 0)
    target.drivers["interrupt"].unload()
    assert [v.rule for v in target.violations] == ["leak-callback"]
