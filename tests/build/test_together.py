"""Builds that meet each other, and builds that are stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kernellab.build import BuildResult, Toolchain, build, check, workspace
from kernellab.crate import Crate
from kernellab.errors import BuildError

HELLO = (Path(__file__).parent / "hello.cell").read_text()
TEMPLATE = Path(__file__).parent / "template"

Builder = Callable[..., BuildResult]
Crates = Callable[..., Crate]

#: Takes rustc tens of seconds: a build to be stopped in the middle.
SLOW = HELLO + "\n".join(
    f"pub fn f{n}(x: [u64; 8]) -> [u64; 8] {{ let mut y = x; "
    + " ".join(f"y[{i % 8}] = y[{(i * 3) % 8}].wrapping_mul({i + n});" for i in range(120))
    + " y }"
    for n in range(1500)
)


#: A constant that takes the compiler hours.
ENDLESS = HELLO + (
    "const fn f(n: u64) -> u64 { let mut i = 0; while i < n { i += 1; } i }\n"
    "#[allow(long_running_const_eval)] pub const X: u64 = f(u64::MAX);\n"
)

SCRIPT = f"""
import sys
from pathlib import Path
from kernellab.build import build
from kernellab.crate import write_crate
source = sys.stdin.read()
result = build(write_crate("hello", source, template=Path({str(TEMPLATE)!r})))
print(result.sha256, result.cached)
"""


def start(text: str) -> subprocess.Popen[str]:
    """Another notebook that builds ``text``; it prints the image's hash when it is done."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(text)
    process.stdin.close()
    process.stdin = None
    return process


def compilers(cache: Path) -> list[int]:
    """Processes at work in a cache folder."""
    found = []
    for each in psutil.process_iter():
        try:
            if str(cache) in each.cwd() and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each.pid)
        except psutil.Error:
            continue
    return found


def rustc_works(cache: Path) -> bool:
    return any("rustc" in psutil.Process(p).name() for p in compilers(cache))


@pytest.fixture
def cache(own_cache: Path, make: Builder) -> Iterator[Path]:
    """A cache folder with the framework compiled; nothing is at work in it afterwards."""
    make()
    yield own_cache
    assert compilers(own_cache) == []


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.01)


# -- two at once ------------------------------------------------------------------------------


def test_two_notebooks_with_cells_of_the_same_name(cache: Path) -> None:
    """Each gets its own cell's driver, whoever comes first."""
    texts = [HELLO.replace("the kernel", f"number {n}") for n in range(4)]
    running = [start(text) for text in texts]
    seen = set()
    for process in running:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        digest, cached = out.split()
        seen.add(digest)
        assert cached == "False"
    assert len(seen) == 4


def test_two_notebooks_with_the_same_cell(cache: Path) -> None:
    text = HELLO.replace("the kernel", "both of you")
    running = [start(text) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].split() for process in running]
    assert answers[0][0] == answers[1][0]
    assert "False" in {answers[0][1], answers[1][1]}


def test_threads_of_one_process(cache: Path, make: Builder) -> None:
    results: dict[int, BuildResult] = {}

    def one(n: int) -> None:
        results[n] = make(HELLO.replace("the kernel", f"thread {n}!"))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [0, 1, 2, 3]
    for n, result in results.items():
        assert f"thread {n}!".encode() in result.sys.read_bytes()


def test_who_waits_is_told(cache: Path, toolchain: Toolchain, crate_of: Crates) -> None:
    from filelock import FileLock

    crate = crate_of(HELLO.replace("the kernel", "who waits"))
    said: list[str] = []
    path = workspace.lock_of(workspace.place_for(crate, toolchain))
    lock = FileLock(str(path), thread_local=False)
    lock.acquire()
    release = threading.Timer(1.0, lock.release)
    release.start()
    result = build(crate, progress=lambda done, total, what: said.append(what))
    assert not result.cached
    assert any("waiting for another build" in what for what in said)


def test_who_waits_can_give_up(cache: Path, toolchain: Toolchain, crate_of: Crates) -> None:
    from filelock import FileLock

    crate = crate_of(HELLO.replace("the kernel", "who gives up"))
    cancel = threading.Event()
    with FileLock(str(workspace.lock_of(workspace.place_for(crate, toolchain)))):
        threading.Timer(0.3, cancel.set).start()
        begin = time.monotonic()
        with pytest.raises(BuildError, match="the build of hello was cancelled"):
            build(crate, cancel=cancel)
        assert time.monotonic() - begin < 1.3


# -- checks in the background -----------------------------------------------------------------


def test_a_check_in_the_background_lets_a_build_go_first(cache: Path, crate_of: Crates) -> None:
    """Of this notebook or another; afterwards it begins again."""
    cancel = threading.Event()
    ended: list[str] = []

    def background() -> None:
        try:
            check(crate_of(ENDLESS), cancel=cancel, patience=3600)
        except BuildError as error:
            ended.append(str(error))

    thread = threading.Thread(target=background)
    thread.start()
    try:
        for n in range(2):
            wait_for(lambda: rustc_works(cache))
            out, err = start(HELLO.replace("the kernel", f"first {n}")).communicate(timeout=60)
            assert out.endswith("False\n"), err
        wait_for(lambda: rustc_works(cache))
        assert not ended
    finally:
        cancel.set()
        thread.join(20)
    assert ended == ["the check of hello was stopped"]


def test_a_check_in_the_background_is_given_up(cache: Path, crate_of: Crates) -> None:
    with pytest.raises(BuildError, match="the check of hello was stopped"):
        check(crate_of(ENDLESS), patience=1)


# -- stopped ----------------------------------------------------------------------------------


def test_the_stop_button(cache: Path) -> None:
    """KeyboardInterrupt in mid-build: back within a second, and no process is left."""
    process = start(SLOW)
    wait_for(lambda: rustc_works(cache))
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=20)
    assert time.monotonic() - begin < 1.0
    assert "KeyboardInterrupt" in err
    assert compilers(cache) == []


def test_cancel_in_mid_build(cache: Path, crate_of: Crates) -> None:
    cancel = threading.Event()
    took: list[float] = []

    def stop() -> None:
        wait_for(lambda: rustc_works(cache))
        took.append(time.monotonic())
        cancel.set()

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(BuildError, match="the build of hello was cancelled"):
        build(crate_of(SLOW), cancel=cancel)
    thread.join()
    assert time.monotonic() - took[0] < 1.0
    assert compilers(cache) == []


def test_after_a_stop_the_next_build_is_right(cache: Path, make: Builder, crate_of: Crates) -> None:
    cancel = threading.Event()
    threading.Timer(0.4, cancel.set).start()
    with pytest.raises(BuildError):
        build(crate_of(SLOW), cancel=cancel)
    result = make(HELLO.replace("the kernel", "after the stop"))
    assert b"after the stop" in result.sys.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_killed_kernel_leaves_no_process_and_a_cache_that_works(
    cache: Path, make: Builder
) -> None:
    process = start(SLOW)
    wait_for(lambda: compilers(cache))
    process.kill()
    process.communicate(timeout=20)
    wait_for(lambda: not compilers(cache), seconds=5)  # the watcher ends them
    assert make(HELLO.replace("the kernel", "after the kill")).sys.is_file()
