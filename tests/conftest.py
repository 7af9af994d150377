"""What many tests share: drivers built once, a clean view of processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from kernellab.build import BuildResult
from kernellab.sources import build_text
from tests.c_drivers import build_c
from tests.drivers import driver_source

# The same examples in every run, and no assertion on time: other work shares the machine.
settings.register_profile(
    "kernellab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("kernellab")

# Five seconds of a processor for each kernel that starts: the tests of completion turn it on.
os.environ.setdefault("KERNELLAB_RUST_ANALYZER", "off")


@pytest.fixture(scope="session")
def build_driver() -> Callable[..., BuildResult]:
    """Build a driver from the body of its ``init``; the content cache makes repeats free."""

    def build(
        name: str, body: str, cleanup: str = 'println!("bye");', extra: str = ""
    ) -> BuildResult:
        return build_text(name, driver_source(body, cleanup, extra))

    return build


@pytest.fixture(scope="session")
def build_c_driver() -> Callable[[str, str], Path]:
    """Build a driver from C source; the content cache makes repeats free."""
    return build_c


@pytest.fixture(scope="session")
def hello(build_driver: Callable[..., BuildResult]) -> Path:
    """A built driver that prints one line at load and one at unload."""
    return build_driver("hello", 'println!("hello from {}", "the kernel");').sys


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fail when a simulator or a compiler of this process outlives the test."""
    yield
    left = [
        " ".join(child.cmdline()[:4])
        for child in psutil.Process().children(recursive=True)
        if any(word in " ".join(child.cmdline()) for word in ("target.sim", "rustc", "cargo"))
    ]
    assert left == []
