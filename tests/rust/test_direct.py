"""Direct I/O from safe Rust: the program's own pages, locked and mapped."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import NtStatusError
from kernellab.sources import build_text

SOURCE = Path(__file__).parent / "drivers" / "direct.rs"
SUM, FILL, GO = 0x80002001, 0x80002006, 0x80002008
SIZE, LATER = 20_000, 1 << 32


@pytest.fixture(scope="module")
def direct() -> Path:
    return build_text("direct", SOURCE.read_text(encoding="utf-8")).sys


def test_reads_and_writes_of_many_pages(direct: Path) -> None:
    data = bytes(index * 7 % 256 for index in range(SIZE))
    with kernellab.connect("sim") as target:
        driver = target.load(direct)
        with target.open(r"\\.\Disk") as device:
            assert device.write(data) == SIZE
            assert device.read(SIZE) == data
            assert device.read(10_001, offset=4090) == data[4090 : 4090 + 10_001]
            assert device.write(b"end", offset=SIZE - 2) == 2
            assert device.read(100, offset=SIZE - 3) == data[-3:-2] + b"en"
            assert device.read(0) == b""
            with pytest.raises(NtStatusError, match="STATUS_END_OF_FILE"):
                device.read(1, offset=SIZE)
        driver.unload()
        assert target.violations == []


def test_control_codes_with_direct_buffers(direct: Path) -> None:
    with kernellab.connect("sim") as target:
        driver = target.load(direct)
        with target.open(r"\\.\Disk") as device:
            device.ioctl(SUM, b"in", output=b"\1" * 9001)
            device.ioctl(SUM)
            assert device.ioctl(FILL, b"x", 5000) == b"x.." + b"x" * 4997
            for size in (0, 2):
                with pytest.raises(NtStatusError, match="STATUS_BUFFER_TOO_SMALL"):
                    device.ioctl(FILL, b"x", size)
            with pytest.raises(NtStatusError, match="STATUS_INFO_LENGTH_MISMATCH"):
                device.ioctl(FILL, b"", 9)
        driver.unload()
        refused = "output Some(STATUS_INVALID_DEVICE_REQUEST (0xC0000010))"
        assert driver.log.lines == [
            *(refused, "9001 bytes, sum 9001, input [105, 110]"),
            *(refused, "0 bytes, sum 0, input []"),
        ]
        assert target.violations == []


@pytest.mark.parametrize("seed", range(3))
def test_pages_stay_while_a_request_waits(direct: Path, seed: int) -> None:
    """They are written when another request is being answered, and are not after a cancellation."""
    with kernellab.connect("sim", seed=seed) as target:
        driver = target.load(direct)
        with target.open(r"\\.\Disk") as device:
            device.write(bytes(range(100)))
            waiting = [device.read_async(5000, offset=LATER + n) for n in range(3)]
            waiting[1].cancel()
            device.ioctl(GO)
            for n in (0, 2):
                assert waiting[n].result()[: 100 - n] == bytes(range(n, 100))
            with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
                waiting[1].result()
            device.read_async(1, offset=LATER)
        driver.unload()
        assert target.violations == []
