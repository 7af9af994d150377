"""Volumes, file systems and hard errors, by a driver that is a disk and two file systems."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.errors import NtStatusError
from kernellab.lab import Target
from kernellab.sources import build_path

DRIVERS = Path(__file__).parents[1] / "drivers"


@pytest.fixture(scope="module")
def image() -> Path:
    return build_path(DRIVERS / "volume.rs").sys


@pytest.fixture
def target(image: Path) -> Iterator[Target]:
    with kernellab.connect("sim") as machine:
        machine.load(image)
        yield machine


def ask(target: Target, code: int) -> int:
    with target.open(r"\\.\Volume") as device:
        answer = bytes(device.ioctl(8 << 16 | (0x800 + code) << 2, out_size=8))
    return int.from_bytes(answer, "little")


def lines(target: Target) -> list[str]:
    return list(target.drivers["volume"].log.lines)


def test_volumes_are_mounted_verified_and_mounted_anew(target: Target) -> None:
    """WDK: "IoVerifyVolume", "IoRegisterFileSystem function (ntifs.h)"."""
    assert ask(target, 0) == 0
    assert lines(target) == [
        *("mount false true", "mount true true"),
        f"c000014f 0 {1} 0",
        "true true",
        *("verify true true", "verify true true"),
        *("mount false true", "mount true true"),
        "0 c0000012",
    ]
    target.drivers["volume"].unload()
    assert target.violations == []


@pytest.mark.seeds(any_order=True)
def test_stream_file_objects(target: Target) -> None:
    """WDK: "IoCreateStreamFileObject", "IoCreateStreamFileObjectLite function (ntifs.h)".

    The first sends IRP_MJ_CLEANUP (0x12) at once; IRP_MJ_CLOSE (2) comes with the last reference.
    """
    ask(target, 0)
    before = len(lines(target))
    assert ask(target, 1) == 0
    log = lines(target)[before:]
    assert log[:2] == ["volume 0x12", "made true 5"]
    assert "lite true" in log
    assert sorted(log[2:]) == ["lite true", "volume 0x2", "volume 0x2"]
    target.drivers["volume"].unload()
    assert target.violations == []


def test_a_hard_error_tells_the_user_and_completes_the_request(target: Target) -> None:
    """WDK: "IoRaiseHardError function (ntddk.h)"."""
    with pytest.raises(NtStatusError, match="STATUS_DEVICE_NOT_READY"):
        ask(target, 0xFF)
    (entry,) = target.error_log
    assert (entry["hard_error"], entry["device"]) == ("STATUS_DEVICE_NOT_READY", "\\Device\\Volume")


def test_privileges_of_callers(target: Target) -> None:
    """WDK: "SeSinglePrivilegeCheck function (ntddk.h)": kernel mode has every privilege."""
    assert ask(target, 2) == 0x101
