"""Drivers in C, built by clang against mingw-w64's DDK headers: the WDK's macros inlined."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck, NtStatusError

SOURCES = Path(__file__).with_name("drivers") / "c"
COUNT, CRASH, PROBE = 0x222000, 0x222004, 0x22200B

Build = Callable[[str, str], Path]


def build(build_c_driver: Build, name: str) -> Path:
    return build_c_driver(name, (SOURCES / f"{name}.c").read_text())


def test_hello(build_c_driver: Build) -> None:
    """WDK: "DRIVER_INITIALIZE callback function (wdm.h)"."""
    with kernellab.connect("sim") as target:
        driver = target.load(build(build_c_driver, "hello"))
        driver.unload()
        assert list(driver.log.lines) == [
            "hello from C, 64 bits, wide, narrow",
            "service key: \\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\hello",
            "bye from \\Driver\\hello",
        ]


def test_on_the_command_line(build_c_driver: Build, tmp_path: Path) -> None:
    """A ready .sys with its PDB beside it."""
    image = build(build_c_driver, "hello")
    for file in (image, image.with_suffix(".pdb")):
        shutil.copy(file, tmp_path)
    command = [sys.executable, "-m", "kernellab.cli", "run", str(tmp_path / "hello.sys")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello from C, 64 bits, wide, narrow\n")


def test_buffered_device(build_c_driver: Build) -> None:
    """WDK: "Using Buffered I/O", "Defining I/O Control Codes"."""
    with kernellab.connect("sim") as target:
        driver = target.load(build(build_c_driver, "device"))
        with target.open(r"\\.\CDevice") as device:
            device.write(b"written by Python")
            assert device.read(7) == b"written"
            assert device.ioctl(COUNT, out_size=4) == (2).to_bytes(4, "little")
            for call, status in (
                (lambda: device.write(bytes(65)), "STATUS_INVALID_BUFFER_SIZE"),
                (lambda: device.ioctl(COUNT, out_size=2), "STATUS_BUFFER_TOO_SMALL"),
                (lambda: device.ioctl(0x222010), "STATUS_INVALID_DEVICE_REQUEST"),
            ):
                with pytest.raises(NtStatusError, match=status):
                    call()
        driver.unload()
        assert target.violations == []


def test_a_crash_names_the_line_in_c(build_c_driver: Build) -> None:
    source = (SOURCES / "device.c").read_text()
    line = next(n for n, text in enumerate(source.splitlines(), 1) if "@crash" in text)
    with kernellab.connect("sim") as target:
        target.load(build(build_c_driver, "device"))
        device = target.open(r"\\.\CDevice")
        with pytest.raises(Bugcheck) as caught:
            device.ioctl(CRASH)
        frame = next(f for f in caught.value.frames if f.file)
        assert (frame.function, frame.file, frame.line) == ("control", "device.c", line)


def test_threads_lists_and_timers(build_c_driver: Build) -> None:
    """WDK: "Singly and Doubly Linked Lists", "KeReleaseSemaphore function (wdm.h)",
    "KeWaitForMultipleObjects function (wdm.h)", "KeSetTimerEx function (wdm.h)".
    """
    image = build(build_c_driver, "threads")
    for seed in range(3):
        with kernellab.connect("sim", seed=seed) as target:
            driver = target.load(image)
            driver.unload()
            assert target.violations == []
            assert list(driver.log.lines) == [
                "sum 210, list empty 1",
                "ticks 1, waited 1",
                "timeout 1",
            ]
