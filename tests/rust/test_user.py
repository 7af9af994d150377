"""User memory from safe Rust: pointers of a program that may be anything."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import BuildError, NtStatusError
from kernellab.sources import build_text

SOURCE = Path(__file__).parent / "drivers" / "user.rs"
ECHO, TWICE, PEEK, POKE, ADD, WHERE, ELSEWHERE, PAST_END = (
    0x80002003, 0x80002007, 0x80002008, 0x8000200C, 0x80002013, 0x80002017, 0x8000201B, 0x8000201F
)  # fmt: skip
PROBE_LIMIT = 0x7FFF_FFFF_0000


@pytest.fixture(scope="module", params=[False, True], ids=["debug", "release"])
def user(request: pytest.FixtureRequest) -> Path:
    try:
        return build_text("user", SOURCE.read_text(encoding="utf-8"), release=request.param).sys
    except BuildError as error:
        if "could not be downloaded" in str(error):
            pytest.skip("zerocopy cannot be downloaded here")
        raise


def _fails(status: str, device: kernellab.DeviceHandle, *arguments: object) -> None:
    with pytest.raises(NtStatusError) as caught:
        device.ioctl(*arguments)  # type: ignore[arg-type]
    assert caught.value.name == status


def test_a_programs_memory_is_read_and_written(user: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(user)
        with target.open(r"\\.\User") as device:
            data = bytes(range(256)) * 40
            assert device.ioctl(ECHO, data, len(data)) == data
            assert device.ioctl(ECHO, b"", 0) == b""
            assert device.ioctl(ADD, struct.pack("<II", 2, 3), 4) == struct.pack("<I", 5)
            assert device.read(4)[1:] == b"bcd"
            assert device.write(b"xyz") == 3
            _fails("STATUS_BUFFER_TOO_SMALL", device, ECHO, b"12345", 4)
            _fails("STATUS_INFO_LENGTH_MISMATCH", device, ADD, b"12345", 4)
            _fails("STATUS_BUFFER_TOO_SMALL", device, ADD, bytes(8), 3)
        driver.unload()
        assert driver.log.lines == [
            "mapped Ok(0)",
            "Ok([120, 121, 122]) Some(STATUS_INVALID_DEVICE_STATE (0xC0000184))",
        ]
        assert target.violations == []


def test_input_is_read_once_and_only_in_its_process(user: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(user)
        with target.open(r"\\.\User") as device:
            _fails("STATUS_INVALID_DEVICE_STATE", device, TWICE, b"1234")
            device.ioctl(ELSEWHERE, b"1234")
        driver.unload()
        assert driver.log.lines == ["attached: Err(STATUS_INVALID_DEVICE_STATE (0xC0000184))"]
        assert target.violations == []


BAD = (
    (0, 1),
    (8, 4),
    (0x10000, 4096),
    (0x7FF0_0000_0000, 1),  # nothing there
    (PROBE_LIMIT - 1, 1),  # the last address that may be one
    (PROBE_LIMIT, 1),
    (PROBE_LIMIT - 1, 2),
    (0xFFFF_F800_0000_0000, 8),  # the kernel's
    (0x8000_0000_0000, 8),  # not canonical
    (2**64 - 1, 1),
    (2**64 - 1, 2),
    (8, 2**64 - 8),  # wraps
)


def test_bad_pointers_are_errors(user: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(user)
        with target.open(r"\\.\User") as device:
            for address, size in BAD:
                for code in (PEEK, POKE):
                    bad = struct.pack("<QQ", address, size)
                    _fails("STATUS_ACCESS_VIOLATION", device, code, bad)
            assert device.ioctl(ECHO, b"still there", 20) == b"still there"
        driver.unload()
        assert target.violations == []


def test_memory_that_was_freed(user: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(user)
        with target.open(r"\\.\User") as device:
            (address,) = struct.unpack("<Q", device.ioctl(WHERE, out_size=8))
            freed = struct.pack("<QQ", address, 8)
            _fails("STATUS_ACCESS_VIOLATION", device, PEEK, freed)
            _fails("STATUS_ACCESS_VIOLATION", device, POKE, freed)
        driver.unload()
        assert target.violations == []


def test_a_range_that_ends_before_it_should(user: Path) -> None:
    """What is there is read; the copy that meets the end fails, and nothing else does."""
    with kernellab.connect("sim") as target:
        driver = target.load(user)
        with target.open(r"\\.\User") as device:
            _fails("STATUS_ACCESS_VIOLATION", device, PAST_END, b"", 8)
        driver.unload()
        assert driver.log.lines == [
            "Err(STATUS_ACCESS_VIOLATION (0xC0000005)), copied 8",
            "8 were there",
        ]
        assert target.violations == []
