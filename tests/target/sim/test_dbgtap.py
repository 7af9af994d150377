"""The capture driver, on the simulator: what another driver prints comes out of its device."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernellab.errors import NtStatusError
from kernellab.guest import capture_driver
from kernellab.lab import Target
from kernellab.sources import build_path
from tests.records import Record, records

from .conftest import DRIVERS

NAME = r"\\.\kernellab-dbgtap"
IHVDRIVER = 77
UNKNOWN = 0xFF


@pytest.fixture(scope="module")
def dbgtap() -> Path:
    return capture_driver()


@pytest.fixture(scope="module")
def printer() -> Path:
    return build_path(DRIVERS / "printer.rs").sys


def texts(data: bytes) -> list[str]:
    return [record.text for record in records(data)]


def test_lines_from_before_and_lines_that_are_waited_for(
    target: Target, dbgtap: Path, printer: Path
) -> None:
    tap = target.load(dbgtap)
    other = target.load(printer)
    with target.open(NAME) as lines, other.open() as output:
        output.write(b"1 early")
        assert texts(lines.read(4096)) == ["printer starts\n", "early 0\n"]
        waiting = lines.read_async(4096)
        assert not waiting.done
        output.write(b"2 late")
        # Answered by the first: the second came when nobody waited.
        assert texts(waiting.result()) == ["late 0\n"]
        (late,) = records(lines.read(4096))
        assert (late.lost, late.component, late.level) == (0, IHVDRIVER, 0)
        assert (late.text, late.irql) == ("late 1\n", UNKNOWN)
        output.write(b"1 high")
        (high,) = records(lines.read(4096))
        assert (high.text, high.level, high.irql) == ("high 0\n", 1, 13)
        assert high.time >= late.time
    other.unload()
    tap.unload()
    assert tap.log.lines == []
    assert target.violations == []


def test_the_oldest_are_dropped_and_counted(target: Target, dbgtap: Path, printer: Path) -> None:
    tap = target.load(dbgtap)
    other = target.load(printer)
    long = "x" * 490
    with other.open() as output, target.open(NAME) as lines:
        for _ in range(5):
            output.write(f"500 {long}".encode())
        found: list[Record] = []
        while sum(1 + record.lost for record in found) < 2501:
            found += records(lines.read(1 << 16))
        assert [record.lost > 0 for record in found] == [True] + [False] * (len(found) - 1)
        assert len(found) > 1900
        assert found[-1].text == f"{long} 499\n"
    other.unload()
    tap.unload()
    assert target.violations == []


def test_a_read_can_be_cancelled_and_is_when_its_handle_is_closed(
    target: Target, dbgtap: Path, printer: Path
) -> None:
    tap = target.load(dbgtap)
    other = target.load(printer)
    with target.open(NAME) as lines, other.open() as output:
        lines.read(4096)
        waiting = lines.read_async(4096)
        assert waiting.cancel()
        with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
            waiting.result()
        output.write(b"1 kept")  # nobody has taken it
        assert texts(lines.read(4096)) == ["kept 0\n"]
        output.write(b"1 small")
        with pytest.raises(NtStatusError, match="STATUS_BUFFER_TOO_SMALL"):
            lines.read(40)
        with pytest.raises(NtStatusError, match="exclusive and already open"):
            target.open(NAME)  # one at a time
        assert texts(lines.read(4096)) == ["small 0\n"]
        left = lines.read_async(4096)
    with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
        left.result()
    other.unload()
    tap.unload()
    assert target.violations == []


def test_unload_with_a_read_that_waits(target: Target, dbgtap: Path, printer: Path) -> None:
    """The unload is pending as long as the handle is open, and the read with it."""
    tap = target.load(dbgtap)
    other = target.load(printer)
    lines = target.open(NAME)
    lines.read(4096)
    waiting = lines.read_async(4096)
    tap.unload()
    assert tap.state != "unloaded"
    with other.open() as output:
        output.write(b"1 last")
    assert texts(waiting.result()) == ["last 0\n"]
    waiting = lines.read_async(4096)
    tap.unload(close_handles=True)
    assert tap.state == "unloaded"
    with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
        waiting.result()
    with other.open() as output:
        output.write(b"1 unheard")
    assert other.log.lines[-1] == "unheard 0"
    other.unload()
    assert target.violations == []
