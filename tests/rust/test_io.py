"""Devices of the framework: requests answered, kept, cancelled, dropped; a safe driver."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import NtStatusError
from kernellab.sources import build_text

SOURCE = Path(__file__).parent / "drivers" / "echo.rs"
COUNT, RELEASE, DROP = 0x222000, 0x222004, 0x222008


@pytest.fixture(scope="module")
def echo() -> Path:
    return build_text("echo", SOURCE.read_text(encoding="utf-8")).sys


def test_requests_are_answered(echo: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(echo)
        with target.open(r"\\.\Echo") as first, target.open(r"\\.\echo") as second:
            assert first.read(4) == b"0123"
            assert second.read(100) == b"0123456789"
            assert first.write(b"abc") == 3
            assert first.ioctl(COUNT, out_size=8) == (2).to_bytes(8, "little")
        driver.unload()
        assert driver.log.lines == [
            *("open 1", "open 2", "read 4 bytes by 1", "read 100 bytes by 2"),
            "wrote [97, 98, 99]",
            *("cleanup 2", "close 2", "handle 2 dropped"),
            *("cleanup 1", "close 1", "handle 1 dropped"),
            *("bye", "echo dropped"),
        ]
        assert target.violations == []


def test_what_cannot_be_answered_fails_and_never_hangs(echo: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(echo)
        with pytest.raises(NtStatusError, match="STATUS_OBJECT_NAME_INVALID"):
            target.open(r"\\.\Echo\what?")
        with target.open(r"\\.\Echo") as device:
            for code, status in (
                (DROP, "STATUS_REQUEST_ABORTED"),
                (0x22200C, "STATUS_INVALID_DEVICE_REQUEST"),
                (COUNT, "STATUS_BUFFER_TOO_SMALL"),
            ):
                with pytest.raises(NtStatusError) as caught:
                    device.ioctl(code)
                assert caught.value.name == status
        driver.unload()
        assert target.violations == []


@pytest.mark.parametrize("seed", range(3))
def test_a_request_waits_in_a_queue(echo: Path, seed: int) -> None:
    """Released by another request, cancelled by its caller, and cancelled with its handle."""
    with kernellab.connect("sim", seed=seed) as target:
        driver = target.load(echo)
        with target.open(r"\\.\Echo") as device:
            waiting = [device.read_async(100, offset=1) for _ in range(3)]
            waiting[1].cancel()
            device.ioctl(RELEASE)
            assert [waiting[0].result(), waiting[2].result()] == [b"released", b"released"]
            with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
                waiting[1].result()
            last = device.read_async(100, offset=1)
        with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
            last.result()
        driver.unload()
        assert target.violations == []


GUARDED = """
#![forbid(unsafe_code)]
use windows_kernel_rs::io::{Device, DeviceOptions, Open, Operations};
use windows_kernel_rs::{Driver, KernelModule, Result, kernel_module};

struct Nothing;
impl Operations for Nothing {
    type Handle = ();
    fn create(&self, _: &Open<'_>) -> Result<()> { Ok(()) }
}

struct Module { _all: Device<Nothing>, _few: Device<Nothing> }
impl KernelModule for Module {
    fn init(driver: Driver, _: &str) -> Result<Self> {
        Ok(Module {
            _all: Device::try_new(&driver, &DeviceOptions::named("Open"), Nothing)?,
            _few: Device::try_new(&driver, &DeviceOptions::named("Few").administrators(), Nothing)?,
        })
    }
    fn cleanup(&mut self, _: Driver) {}
}
kernel_module!(Module);
"""


def test_a_device_for_administrators() -> None:
    """WDK: "Securing Device Objects"."""
    with kernellab.connect("sim") as target:
        driver = target.load(build_text("guarded", GUARDED).sys)
        for admin in (True, False):
            target.open(r"\\.\Open", admin=admin).close()
        target.open(r"\\.\Few", admin=True).close()
        with pytest.raises(NtStatusError, match="denies") as caught:
            target.open(r"\\.\Few", admin=False)
        assert caught.value.name == "STATUS_ACCESS_DENIED"
        driver.unload()
        assert target.violations == []
