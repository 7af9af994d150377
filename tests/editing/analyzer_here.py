"""The real rust-analyzer for tests, or the reason why there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kernellab.build import find_analyzer, find_toolchain
from kernellab.cell.source import CellSource
from kernellab.editing.editor import Editor
from kernellab.errors import KernelLabError


def _missing() -> str:
    before = os.environ.pop("KERNELLAB_RUST_ANALYZER", None)
    try:
        found = find_analyzer(find_toolchain())
        return "" if found.library is not None else "no source of Rust's library on this machine"
    except KernelLabError as error:
        return str(error).partition(":")[0]
    finally:
        if before is not None:
            os.environ["KERNELLAB_RUST_ANALYZER"] = before


MISSING = _missing()

#: For a module of tests that run it.
needs_analyzer = pytest.mark.skipif(bool(MISSING), reason=MISSING or "rust-analyzer is here")


@contextmanager
def analyzer_on() -> Iterator[None]:
    """Kernels that start meanwhile start a rust-analyzer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KERNELLAB_RUST_ANALYZER", raising=False)
        yield


@contextmanager
def warm_editor(
    files: Callable[[str], dict[str, CellSource]] = lambda driver: {},
) -> Iterator[Editor]:
    """An editor with a rust-analyzer that is warm; ended afterwards."""
    editor = Editor(files, patience=90)  # other work shares the machine
    try:
        with analyzer_on():
            editor.start()
        assert editor.wait(120), editor.trouble
        yield editor
    finally:
        editor.close()


def until(done: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether ``done`` comes true; looks again and again."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
