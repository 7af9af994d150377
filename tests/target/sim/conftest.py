"""What tests of the simulated kernel as a whole share: its machine, and drivers in Rust."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab import lab
from kernellab.lab import Target
from kernellab.sources import build_path

from . import seeds

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


@pytest.fixture(scope="session", autouse=True)
def _recorded() -> Iterator[None]:
    """What tests ask of the simulator is kept, for :func:`pytest_runtest_call`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lab, "Session", seeds.RecordingSession)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """After a test that passed, its drivers run again: see :mod:`seeds`."""
    taken = seeds.RecordingSession.taken
    del taken[:]
    yield
    conversations, mark = list(taken), item.get_closest_marker("seeds")
    del taken[:]
    if mark is not None and "never" in mark.kwargs:
        return
    options = {} if mark is None else mark.kwargs
    for conversation in conversations:
        if conversation.repeatable():
            seeds.check(conversation, **options)
