"""Transfer methods with the client's own pages, StartIo, and who may open a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernellab.errors import Bugcheck
from kernellab.lab import Target
from kernellab.sources import build_path

from .conftest import DRIVERS
from .test_devices import status_of

DIRECT, NEITHER, SERIAL = r"\Device\Direct", r"\Device\Neither", r"\Device\Serial"
BASE = 0x22_2000
IN_DIRECT, OUT_DIRECT, METHOD_NEITHER = BASE | 1, BASE | 2, BASE | 3
STALE, QUEUE = 0x22_2004, 0x22_2008


@pytest.fixture(scope="session")
def methods() -> Path:
    return build_path(DRIVERS / "methods.rs").sys


@pytest.mark.parametrize("size", [1, 100, 4096, 10_000])
def test_direct_reads_and_writes(target: Target, methods: Path, size: int) -> None:
    """WDK: "Using Direct I/O": an MDL of the caller's own pages."""
    driver = target.load(methods)
    with target.open(DIRECT) as device:
        assert device.read(size) == b"\x77" * size
        assert device.write(bytes(size - 1) + b"\x09") == size
    offset = (-size % 16 and -(-size // 16) * 16) or size
    at = -offset % 4096
    described = f"mdl {size} at "
    assert driver.log.lines[1].startswith(described)
    assert int(driver.log.lines[1].removeprefix(described)) - at in range(16)
    assert driver.log.lines[3] == "last 9"
    driver.unload()
    assert target.violations == []


def test_reads_and_writes_without_a_method(target: Target, methods: Path) -> None:
    """WDK: "Using Neither Buffered Nor Direct I/O": UserBuffer is the caller's address."""
    driver = target.load(methods)
    with target.open(NEITHER) as device:
        assert device.read(5000) == b"\x77" * 5000
        assert device.write(b"abc") == 3
        assert device.read(0) == b""
    assert driver.log.lines[1:] == [f"last {ord('c')}"]
    assert target.violations == []


def test_control_codes_of_each_method(target: Target, methods: Path) -> None:
    """WDK: "Buffer Descriptions for I/O Control Codes"."""
    driver = target.load(methods)
    with target.open(NEITHER) as device:
        assert device.ioctl(IN_DIRECT, b"\x05", output=b"\x06") == b"\x06"
        assert device.ioctl(OUT_DIRECT, b"\x05", 4) == b"\x05" * 4
        assert device.ioctl(METHOD_NEITHER, b"\x05", 4) == b"\x06" * 4
    assert driver.log.lines[1:] == ["input 5 direct 6", "input 5 direct 0"]
    driver.unload()
    assert target.violations == []


def test_the_callers_buffer_goes_with_the_request(target: Target, methods: Path) -> None:
    target.load(methods)
    with pytest.raises(Bugcheck) as info, target.open(NEITHER) as device:
        device.read(16)
        device.ioctl(STALE)
    assert info.value.name == "SYSTEM_SERVICE_EXCEPTION"


def test_start_io_takes_one_at_a_time(target: Target, methods: Path) -> None:
    """WDK: "IoStartPacket function (ntifs.h)": by key; "IoStartNextPacket"; cancelling."""
    driver = target.load(methods)
    with target.open(SERIAL) as device:
        requests = [device.read_async(size) for size in (1, 4, 2, 3)]
        assert requests[3].cancel()
        assert status_of(requests[3].result) == "STATUS_CANCELLED"
        for request in requests[:3]:
            assert request.result() == b""
    assert driver.log.lines[1:] == [
        *("start 1 true at 2", "cancel 1", "done 1", "start 2 true at 2", "done 2"),
        *("start 4 true at 2", "done 4"),
    ]
    driver.unload()
    assert target.violations == []


def test_a_secure_device(target: Target, methods: Path) -> None:
    """WDK: "WdmlibIoCreateDeviceSecure function (wdmsec.h)"."""
    driver = target.load(methods)
    assert driver.log.lines == ["0xc000000d 0x0"]
    target.open(r"\\.\Secure").close()
    assert status_of(target.open, r"\\.\Secure", admin=False) == "STATUS_ACCESS_DENIED"
    with target.open(r"\\.\Secure", access="r", admin=False) as device:
        assert status_of(device.write, b"x") == "STATUS_ACCESS_DENIED"
        # Bits 14 and 15 of a control code say what the handle must allow.
        assert status_of(device.ioctl, 0x22_A000) == "STATUS_ACCESS_DENIED"
        assert status_of(device.ioctl, 0x22_6000) == "STATUS_INVALID_DEVICE_REQUEST"


def test_a_queue_that_refuses(target: Target, methods: Path) -> None:
    """WDK: "IoCsqInsertIrpEx function (wdm.h)", "IoCsqRemoveIrp function (wdm.h)"."""
    driver = target.load(methods)
    with target.open(NEITHER) as device:
        device.ioctl(QUEUE)
    assert driver.log.lines[1:] == ["insert 0x0", "refused 0x80000011", "0 true true"]
