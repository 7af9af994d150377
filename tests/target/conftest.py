"""Targets for tests: the simulator, and Wine where it is installed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import kernellab
from kernellab.errors import TargetLost
from kernellab.lab import Target
from kernellab.target.wine import installed


def wine_or_skip() -> None:
    """Skip the test where there is no Wine here, with the reason."""
    try:
        installed.find()
    except TargetLost as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def wine() -> Iterator[Target]:
    """One Wine machine for all tests of a module; a test that stops it leaves it to be rebooted."""
    wine_or_skip()
    with kernellab.connect("wine", timeout=20) as machine:
        yield machine


@pytest.fixture(scope="module", params=["sim", "wine"])
def either(request: pytest.FixtureRequest) -> Iterator[Target]:
    """A machine of each target that is here, for all tests of a module."""
    if request.param == "wine":
        wine_or_skip()
    with kernellab.connect(request.param, timeout=20) as machine:
        yield machine
