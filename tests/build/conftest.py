"""Real compilers on a tiny template; the sysroot is the user's, built once for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernellab.build import BuildResult, Toolchain, build, cache, find_toolchain, sysroot
from kernellab.crate import Crate, write_crate

#: The framework in a hundred lines: what these tests look at is how it is built.
TEMPLATE = Path(__file__).parent / "template"

#: A cell: its first line, the magic's own, is empty.
HELLO = (Path(__file__).parent / "hello.cell").read_text()


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    found = find_toolchain()
    sysroot.ensure(found)
    return found


@pytest.fixture
def own_cache(
    tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An empty cache folder, but for the sysroot: that is the user's."""
    root = tmp_path / "cache"
    root.mkdir()
    (root / "sysroot").symlink_to(cache.cache_root() / "sysroot", target_is_directory=True)
    monkeypatch.setenv("KERNELLAB_CACHE", str(root))
    yield root


def _crate_of(source: str = HELLO, name: str = "hello", **more: object) -> Crate:
    return write_crate(name, source, template=TEMPLATE, **more)  # type: ignore[arg-type]


@pytest.fixture
def crate_of() -> Callable[..., Crate]:
    """A crate on the tiny template: ``crate_of(source, name, **more)``."""
    return _crate_of


@pytest.fixture
def make(toolchain: Toolchain) -> Callable[..., BuildResult]:
    """Build a source on the tiny template."""

    def make(source: str = HELLO, name: str = "hello", **more: object) -> BuildResult:
        ours = {key: more.pop(key) for key in ("file_name", "dependencies") if key in more}
        return build(_crate_of(source, name, **ours), **more)  # type: ignore[arg-type]

    return make
