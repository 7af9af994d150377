"""■ at every stage: the sysroot, tests, a control code, a check; and how far each is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kernellab.build.toolchain import candidates
from tests.drivers import driver_source
from tests.kernel import Notebook, Result, gone

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

TESTED = driver_source(
    "",
    extra="#[test]\nfn endless() { loop { core::hint::spin_loop(); } }\n",
)


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    book = Notebook()
    yield book
    book.close()


def interrupted(book: Notebook, code: str, after: float) -> Result:
    message = book.start(code)
    time.sleep(after)
    book.manager.interrupt_kernel()
    return book.finish(message)


def test_while_a_drivers_own_tests_run(notebook: Notebook) -> None:
    source = f"%%rustdriver tested --test --timeout 60\n{TESTED}"
    notebook.run_ok(f"%%rustdriver warm --no-run\n{TESTED}")
    result = interrupted(notebook, source, 4.0)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt"), result.traceback
    assert "interrupted" in result.text
    assert result.traceback == "KeyboardInterrupt", "none of kernellab's own frames"
    compilers = [p for p in notebook.family() if p.name().startswith(("rustc", "cargo"))]
    assert gone(compilers) == []
    assert notebook.value("1 + 1") == "2"


def test_while_the_machine_lets_time_pass_for_the_client(notebook: Notebook) -> None:
    body = "let _ = core::hint::black_box(0);"
    notebook.run_ok(f"%%rustdriver timed\n{driver_source(body)}")
    loop = "while True: timed.target.sleep(3600)"
    result = interrupted(notebook, loop, 0.5)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt"), result.traceback
    notebook.run_ok(f"%%rustdriver timed\n{driver_source(body)}")
    assert notebook.value("timed.state") == "running"


FAULTS = Path(__file__).parents[1] / "target" / "sim" / "drivers" / "faults.rs"


def test_while_a_control_code_loops_in_the_driver(notebook: Notebook) -> None:
    source = FAULTS.read_text(encoding="utf-8")
    notebook.run_ok(f"%%rustdriver faults\n{source}")
    notebook.run_ok(r"device = faults.target.open(r'\\.\Faults')")
    result = interrupted(notebook, "device.ioctl(0x222000, b'spin')", 0.5)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt"), result.traceback
    # The pane says where it was.
    pane = [each for each in notebook.shown.values() if "faults" in each["text/plain"]][-1]
    assert "You stopped it while this ran" in pane["text/html"]
    notebook.run_ok(f"%%rustdriver faults\n{source}")
    assert notebook.value("faults.state") == "running"


def compiling(book: Notebook, crate: str) -> list[psutil.Process]:
    found = []
    for process in book.family():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if "--crate-name" in words and words[words.index("--crate-name") + 1] == crate:
            found.append(process)
    return found


def once(find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    """What ``find`` finds, as soon as it does."""
    end = time.monotonic() + 120
    while not (found := find()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A kernel where nothing has been built yet, nor is in the background."""
    monkeypatch.setenv("KERNELLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERNELLAB_RUST_ANALYZER", "off")
    usable = (c for c in candidates() if not (c.installed or c.objection))
    compiler = next(usable, None)
    if compiler is None:
        pytest.skip("every compiler here has the Windows target: no sysroot is built")
    monkeypatch.setenv("KERNELLAB_RUSTC", str(compiler.rustc))
    book = Notebook(load="import kernellab.sources; kernellab.sources.warm = lambda: None")
    yield book
    book.close()


@pytest.mark.parametrize("magic", ["%%rustdriver", "%%rustcheck"])
def test_while_the_sysroot_is_built(fresh: Notebook, magic: str) -> None:
    message = fresh.start(f"{magic} first\n{driver_source('')}")
    compilers = once(lambda: compiling(fresh, "core"))
    time.sleep(1.5)
    fresh.manager.interrupt_kernel()
    result = fresh.finish(message)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt"), result.traceback
    assert gone(compilers) == []
    assert result.traceback == "KeyboardInterrupt"
    if magic == "%%rustcheck":  # a pane says it otherwise
        assert "building Rust's core for Windows, once (0 of 3) …" in fresh.ever
    assert fresh.value("1 + 1") == "2"
