"""Filters of the framework: above the echo driver of test_io, with no unsafe code in either."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import NtStatusError
from kernellab.sources import build_text

DRIVERS = Path(__file__).parent / "drivers"


@pytest.fixture(scope="module", params=[False, True], ids=["debug", "release"])
def both(request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """The device below, and the filter."""
    release: bool = request.param
    texts = {name: (DRIVERS / f"{name}.rs").read_text("utf-8") for name in ("echo", "filter")}
    built = {name: build_text(name, text, release=release).sys for name, text in texts.items()}
    return built["echo"], built["filter"]


@pytest.mark.parametrize("seed", range(3))
def test_requests_go_down_and_come_back(both: tuple[Path, Path], seed: int) -> None:
    with kernellab.connect("sim", seed=seed) as target:
        below, above = target.load(both[0]), target.load(both[1])
        with target.open(r"\\.\Echo") as device:
            assert device.read(4) == b"3210"
            assert device.read(4) == b"0123"
            waiting = device.read_async(4, offset=1)  # the device below keeps this one
            assert not waiting.done
            assert device.ioctl(0x222004) == b""  # and lets it go
            assert waiting.result() == b"rele"
            assert device.write(b"abc") == 3
            held = device.write_async(b"xyz", offset=7)  # the filter keeps this one
            assert not held.done
            device.flush()
            assert held.result() == 3
            with pytest.raises(NtStatusError, match="STATUS_NOT_SUPPORTED"):
                device.ioctl(0x222010)  # the filter does not let it pass
            opened = device.ioctl(0x222000, out_size=8)
            assert int.from_bytes(opened, "little") == 2  # attaching opens it too
        with pytest.raises(NtStatusError, match="STATUS_ACCESS_DENIED"):
            target.open(r"\\.\Echo\no!")
        with pytest.raises(NtStatusError, match="STATUS_OBJECT_NAME_INVALID"):
            target.open(r"\\.\Echo\what?")
        above.unload()
        with target.open(r"\\.\Echo") as device:
            assert device.read(4) == b"0123"  # without the filter
        below.unload()
        assert target.violations == []
        log = above.log.lines
        assert log[0] == "Some(STATUS_OBJECT_NAME_NOT_FOUND (0xC0000034))"
        assert "back with Ok(4)" in log and log.count("returned Ok(4)") == 2
        assert log[-1] == "filter leaves"


def test_what_waits_is_cancelled_through_the_filter(both: tuple[Path, Path]) -> None:
    with kernellab.connect("sim") as target:
        below, above = target.load(both[0]), target.load(both[1])
        with target.open(r"\\.\Echo") as device:
            device.read(1)
            kept = device.read_async(4, offset=1)
            kept.cancel()
            with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
                kept.result()
            held = device.write_async(b"xyz", offset=7)
            held.cancel()
            with pytest.raises(NtStatusError, match="STATUS_CANCELLED"):
                held.result()
        assert "returned Err(STATUS_CANCELLED (0xC0000120))" in above.log.lines
        above.unload()
        below.unload()
        assert target.violations == []
