"""The Rust workspace, and what builds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kernellab.build import BuildResult, Toolchain, build, find_toolchain, sysroot
from kernellab.crate import write_crate


@pytest.fixture(scope="session")
def template() -> Path:
    """``rust-template/``."""
    return Path(__file__).parents[2] / "rust-template"


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """A toolchain with its sysroot built."""
    found = find_toolchain()
    sysroot.ensure(found)
    return found


@pytest.fixture
def make(toolchain: Toolchain) -> Callable[..., BuildResult]:
    """Build a cell (the magic's own line, line 1, is left empty) on the real template."""

    def make(source: str, name: str = "hello", *, release: bool = False) -> BuildResult:
        return build(write_crate(name, source), release=release, toolchain=toolchain)

    return make
