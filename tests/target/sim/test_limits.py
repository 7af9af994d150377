"""Driver code that does not end: the instruction budget, the time limit, and sameness of runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck, TargetStopped, TargetTimeout
from kernellab.lab import Target
from kernellab.protocol import BugcheckEvent, Event

from .test_faults import RUN, SOURCE, marked


def own_lines(error: TargetTimeout) -> list[int]:
    return [frame.line for frame in error.frames if frame.file == SOURCE.name]


def test_budget_stops_an_endless_loop_at_its_line(target: Target, faults: Path) -> None:
    places = set()
    for _ in range(2):
        with pytest.raises(TargetTimeout, match="5000 instructions") as info:
            target.load(faults, name="entry_spin", budget=5000)
        assert own_lines(info.value)[0] == marked("spin")
        places.add(tuple(frame.address for frame in info.value.frames))
        assert info.value.driver.state == "timed out"
    assert len(places) == 1


def test_budget_stops_at_the_same_line_of_output(target: Target, faults: Path) -> None:
    texts = set()
    for budget in (40_000, 40_000, 80_000):
        with pytest.raises(TargetTimeout, match=f"{budget} instructions"):
            target.load(faults, name="entry_print_for_ever", budget=budget)
        texts.add(target.drivers["entry_print_for_ever"].log.text)
    short, long = sorted(texts, key=len)
    assert long.startswith(short)
    assert short.count("\n") > 2


def test_budget_is_exact(target: Target, faults: Path) -> None:
    """There is one number of instructions that a load takes: with it, it works, else not."""

    def enough(budget: int) -> bool:
        try:
            target.load(faults, budget=budget).unload()
        except TargetTimeout:
            return False
        return True

    low, high = 0, 4096  # not enough, and plenty
    assert enough(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    assert 20 < high < 4096
    for _ in range(2):
        assert enough(high)
        assert not enough(high - 1)


def test_budget_is_over_with_its_request(target: Target, faults: Path) -> None:
    driver = target.load(faults, budget=100_000)
    with target.open(r"\\.\Faults") as device:
        for _ in range(300):
            device.ioctl(RUN, b"nothing")
    assert len(driver.log.lines) == 300


@pytest.mark.parametrize("fault", ["spin", "print_for_ever"])
def test_time_limit_stops_a_dispatch_routine(target: Target, faults: Path, fault: str) -> None:
    driver = target.load(faults)
    device = target.open(r"\\.\Faults")
    with pytest.raises(TargetTimeout, match=r"0\.2 s") as info:
        device.ioctl(RUN, fault.encode(), timeout=0.2)
    line = marked("print_for_ever" if fault == "print_for_ever" else "spin")
    assert line in own_lines(info.value)
    assert f"faults.rs:{own_lines(info.value)[0]}" in str(info.value)
    assert not driver.running
    for call in (lambda: device.read(1), device.close, lambda: target.open(r"\\.\Faults")):
        with pytest.raises(TargetStopped):
            call()
    again = target.load(faults, name="again")
    with target.open(r"\\.\Faults") as working:
        working.ioctl(RUN, b"nothing")
    again.unload()
    assert target.violations == []


def test_a_loop_at_dispatch_level_is_0x133(target: Target, faults: Path) -> None:
    """ "Bug Check 0x133: DPC_WATCHDOG_VIOLATION", 1: also where it makes no calls."""
    target.load(faults)
    device = target.open(r"\\.\Faults")
    with pytest.raises(Bugcheck, match="makes no call and comes to no end") as info:
        device.ioctl(RUN, b"spin_at_dispatch", timeout=0.2)
    assert info.value.name == "DPC_WATCHDOG_VIOLATION"
    assert list(info.value.parameters) == [1, 0x1E00, 0, 0]
    assert marked("spin") in [f.line for f in info.value.frames if f.file == SOURCE.name]


def test_time_limit_of_the_next_request_is_its_own(target: Target, faults: Path) -> None:
    """A timer that a finished request left running would stop the next one."""
    target.load(faults)
    with target.open(r"\\.\Faults") as device:
        device.ioctl(RUN, b"nothing", timeout=0.1)
        device.ioctl(RUN, b"work", timeout=200)  # several tenths of a second


def test_halted_processor(target: Target, faults: Path) -> None:
    target.load(faults)
    device = target.open(r"\\.\Faults")
    with pytest.raises(TargetTimeout, match="halt") as info:
        device.ioctl(RUN, b"halt")
    assert any(frame.function.endswith("halt") for frame in info.value.frames)


def _session(devices: Path, faults: Path) -> list[Event]:
    """Some of everything, on a machine of its own."""
    events: list[Event] = []
    with kernellab.connect("sim") as target:
        target.subscribe(events.extend)
        target.load(devices)
        wrong = target.load(faults)
        with target.open(r"\\.\Devices\some\path") as device:
            device.write(bytes(range(256)) * 64)
            device.read(1000, offset=10)
            device.ioctl(0x222008, b"abc", out_size=9)
        with target.open(r"\\.\Faults") as device:
            device.ioctl(RUN, b"leak")
            device.ioctl(RUN, b"overrun_slack")
        wrong.unload()
        target.load(faults, name="other")
        device = target.open(r"\\.\Faults")
        with pytest.raises(Bugcheck):
            device.ioctl(RUN, b"read_after_free")
    return events


def test_same_calls_same_events(devices: Path, faults: Path) -> None:
    """Times, addresses, registers, order and numbers: nothing differs from run to run."""
    first, second = (_session(devices, faults) for _ in range(2))
    assert first == second
    kinds = {type(event).__name__ for event in first}
    assert kinds == {"State", "DbgPrint", "Violation", "BugcheckEvent"}
    assert len({event.seq for event in first}) == len(first)
    (crash,) = [event for event in first if isinstance(event, BugcheckEvent)]
    assert crash.registers and crash.instruction and crash.frames


def test_same_log_whatever_was_before(target: Target, devices: Path, faults: Path) -> None:
    """A machine that was rebooted is as good as a new one."""

    def run(before: Callable[[], object]) -> str:
        before()
        target.reboot()
        driver = target.load(devices)
        target.open(r"\\.\Devices").close()
        driver.unload()
        return "".join(f"{r.text}|{r.time}|{r.thread}|{r.irql}\n" for r in driver.log)

    def crash() -> None:
        target.load(faults)
        with pytest.raises(Bugcheck):
            target.open(r"\\.\Faults").ioctl(RUN, b"write_after_free")

    assert run(lambda: None) == run(crash)
