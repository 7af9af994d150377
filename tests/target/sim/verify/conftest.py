"""A machine, and drivers that break a rule on it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import kernellab
from kernellab.lab import Target
from tests.target.sim.rules import Check


@pytest.fixture(scope="module")
def machine() -> Iterator[Target]:
    with kernellab.connect("sim") as target:
        yield target


@pytest.fixture
def breaks(machine: Target, request: pytest.FixtureRequest) -> Check:
    """Runs a driver as the good and the bad one."""
    name = re.sub(r"\W+", "_", request.node.name.removeprefix("test_"))
    return Check(machine, name[:60].rstrip("_"))
