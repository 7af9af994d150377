"""Walking and unwinding by hand, by a driver in C: ``drivers/c/unwind.c``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import kernellab

SOURCE = Path(__file__).parents[1] / "drivers" / "c" / "unwind.c"


@pytest.fixture(scope="module")
def lines(build_c_driver: Callable[[str, str], Path]) -> list[str]:
    image = build_c_driver("unwind", SOURCE.read_text())
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        driver.unload()
        return list(driver.log.lines)


def test_a_walk_by_hand(lines: list[str]) -> None:
    """Win32: "RtlVirtualUnwind function (winnt.h)", with RtlCaptureContext and
    RtlLookupFunctionEntry: the handler is that of the frame with the ``__try``.
    """
    assert lines[:4] == [
        "frame 0 own 1 inside 1 handler 0 header 1",
        "frame 1 own 1 inside 1 handler 1 header 1",
        "frame 2 own 1 inside 1 handler 1 header 1",
        "walked",
    ]


def test_back_trace(lines: list[str]) -> None:
    """WDK: "RtlCaptureStackBackTrace function (ntifs.h)"; Win32: "RtlPcToFileHeader"."""
    assert lines[4:9] == [
        "0 own 1",
        "1 own 1",
        "2 frames, hash 1",
        "skipped 1",
        "nowhere 0000000000000000",
    ]


def test_unwinding_by_hand(lines: list[str]) -> None:
    """Win32: "RtlUnwind function", "RtlUnwindEx function (winnt.h)"; _local_unwind is MSVC's."""
    assert lines[9:] == [
        "finally, abnormal 1",
        "went on with 123",
        "finally, abnormal 1",
        "went on with 456",
        "finally, abnormal 1",
        "left",
        # Once by the unwind that fails, once for the exception that it raises.
        "finally, abnormal 1",
        "finally, abnormal 1",
        "no such frame: c0000029",
    ]
