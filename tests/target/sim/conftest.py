"""What tests of the simulated kernel as a whole share: its machine, and drivers in Rust."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.lab import Target
from kernellab.sources import build_path

DRIVERS = Path(__file__).with_name("drivers")


@pytest.fixture(scope="session")
def faults() -> Path:
    """A driver that goes wrong in the way it is told; see its source."""
    return build_path(DRIVERS / "faults.rs").sys


@pytest.fixture(scope="session")
def devices() -> Path:
    """A driver with a device that does buffered I/O; see its source."""
    return build_path(DRIVERS / "devices.rs").sys


@pytest.fixture(scope="module")
def _machine() -> Iterator[Target]:
    with kernellab.connect("sim") as machine:
        yield machine


@pytest.fixture
def target(_machine: Target) -> Target:
    """A machine that was started afresh."""
    _machine.reboot()
    _machine.drivers.clear()
    _machine.violations.clear()
    return _machine
