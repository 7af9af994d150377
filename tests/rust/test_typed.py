"""Control codes whose input and output are types, by the ``zerocopy`` crate."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import BuildError, NtStatusError
from kernellab.sources import build_text

SOURCE = Path(__file__).parent / "drivers" / "typed.rs"
ADD, SWITCH, STATE, TEXT, SUM = 0x80002000, 0x80002004, 0x8000200A, 0x8000200C, 0x80002011
_NO_NETWORK = re.compile(r"could not be downloaded")


@pytest.fixture(scope="module")
def typed() -> Path:
    try:
        return build_text("typed", SOURCE.read_text(encoding="utf-8")).sys
    except BuildError as error:
        if _NO_NETWORK.search(str(error)):
            pytest.skip("zerocopy cannot be downloaded here")
        raise


@pytest.fixture
def device(typed: Path) -> Iterator[kernellab.DeviceHandle]:
    with kernellab.connect("sim") as target:
        driver = target.load(typed)
        with target.open(r"\\.\Typed") as device:
            yield device
        driver.unload()
        assert target.violations == []


def _fails(status: str, device: kernellab.DeviceHandle, *arguments: object) -> None:
    with pytest.raises(NtStatusError) as caught:
        device.ioctl(*arguments)  # type: ignore[arg-type]
    assert caught.value.name == status


def test_types_go_in_and_out(device: kernellab.DeviceHandle) -> None:
    assert device.ioctl(ADD, struct.pack("<II", 2, 3), 4) == struct.pack("<I", 5)
    assert device.ioctl(ADD, struct.pack("<II", 2, 4), 100) == struct.pack("<I", 6)
    assert device.ioctl(STATE, out_size=8) == struct.pack("<IHH", 2, 3, 4)
    assert device.ioctl(TEXT, out_size=10) == b"text"
    assert device.read(8) == struct.pack("<IHH", 7, 1, 2)
    assert device.write(struct.pack("<II", 3, 4)) == 7


def test_wrong_sizes_never_reach_the_driver(device: kernellab.DeviceHandle) -> None:
    pair = struct.pack("<II", 2, 3)
    _fails("STATUS_INFO_LENGTH_MISMATCH", device, ADD, pair[:7], 4)
    _fails("STATUS_INFO_LENGTH_MISMATCH", device, ADD, pair + b"x", 4)
    _fails("STATUS_INFO_LENGTH_MISMATCH", device, ADD, b"", 4)
    _fails("STATUS_BUFFER_TOO_SMALL", device, ADD, pair, 3)
    _fails("STATUS_BUFFER_TOO_SMALL", device, ADD, pair)
    _fails("STATUS_BUFFER_TOO_SMALL", device, TEXT, b"", 3)
    assert device.ioctl(STATE, out_size=8)[:4] == bytes(4), "ADD's own code was called"
    _fails("STATUS_INTEGER_OVERFLOW", device, ADD, struct.pack("<II", 2**32 - 1, 1), 4)
    with pytest.raises(NtStatusError, match="STATUS_BUFFER_TOO_SMALL"):
        device.read(7)
    with pytest.raises(NtStatusError, match="STATUS_INFO_LENGTH_MISMATCH"):
        device.write(b"1234")


def test_bytes_that_are_no_value_are_refused(typed: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(typed)
        with target.open(r"\\.\Typed") as device:
            device.ioctl(SWITCH, bytes([1, 1]))
            for bad in ([2, 0], [1, 2], [255, 255]):
                _fails("STATUS_INVALID_PARAMETER", device, SWITCH, bytes(bad))
        assert driver.log.lines == ["true High"]
        driver.unload()
        assert target.violations == []


def test_the_second_buffer_of_in_direct(typed: Path) -> None:
    """It is the caller's, mapped: sim's client fills it with zeros, all of which are read."""
    with kernellab.connect("sim") as target:
        driver = target.load(typed)
        with target.open(r"\\.\Typed") as device:
            device.ioctl(SUM, struct.pack("<I", 5), 8)
        assert driver.log.lines == ["sum Ok(5)"]
        driver.unload()
        assert target.violations == []
