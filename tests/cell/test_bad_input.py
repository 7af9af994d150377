"""What a notebook meets when the machine or its user is unkind: one error, and it goes on."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.drivers import driver_source
from tests.kernel import Notebook, Result, gone

HELLO = driver_source('println!("hello from {}", "the kernel");')
LOOP = driver_source("loop { core::hint::spin_loop(); }")

#: Compile-time work that takes rustc many seconds.
SLOW = driver_source(
    'println!("{}", X);',
    extra="const fn f(n: u64) -> u64 { let (mut i, mut s) = (0, 0);"
    " while i < n { s ^= i; i += 1; } s }\n"
    "#[allow(long_running_const_eval)] const X: u64 = f(3_000_000_000);\n",
)

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")


def cell(name: str, source: str, options: str = "") -> str:
    return f"%%rustdriver {name} {options}\n{source}"


def edited(word: str) -> str:
    """A cell that was never built before."""
    return HELLO.replace("hello from", f"{word} {time.time_ns()} from")


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.02)


def working(notebook: Notebook, *names: str) -> list[psutil.Process]:
    """Processes of the kernel's whose command line has one of ``names``."""
    found = []
    for each in notebook.family()[1:]:
        try:
            line = " ".join(each.cmdline())
        except psutil.Error:
            continue
        if any(name in line for name in names):
            found.append(each)
    return found


@pytest.fixture
def kernels() -> Iterator[Callable[[], Notebook]]:
    """Start kernels in the environment as it is then; all are ended after the test."""
    started: list[Notebook] = []

    def start() -> Notebook:
        started.append(Notebook())
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Notebook]:
    notebook = Notebook()
    yield notebook
    notebook.close()


@pytest.fixture
def notebook(shared: Notebook) -> Iterator[Notebook]:
    """The module's kernel; after each test the next cell works."""
    yield shared
    shared.run_ok(cell("hello", HELLO))


# -- the cache folder -------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of 200 MB of its own that holds the cache folder."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.strip()}")
    monkeypatch.setenv("KERNELLAB_CACHE", str(disk / "cache"))
    yield disk
    wait_for(lambda: subprocess.run(["umount", str(disk)], capture_output=True).returncode == 0)


def refused(result: Result, disk: Path, why: str) -> None:
    assert (result.status, result.name) == ("error", "BuildError")
    assert str(disk / "cache") in result.traceback
    assert why in result.traceback
    assert "KERNELLAB_CACHE" in result.traceback
    assert "Traceback" not in result.traceback
    assert len(result.traceback.splitlines()) < 6


def test_a_full_disk(small_disk: Path, kernels: Callable[[], Notebook]) -> None:
    book = kernels()
    try:
        book.run_ok(cell("hello", edited("room")))
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 65536)
            except OSError:
                pass
        refused(book.run(cell("hello", edited("no room"))), small_disk, "no room left")
        assert book.value("hello.state") == "running"  # what was there goes on
        filler.unlink()
        book.run_ok(cell("hello", edited("room again")))
    finally:
        book.close()


def test_a_disk_that_becomes_read_only(small_disk: Path, kernels: Callable[[], Notebook]) -> None:
    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(small_disk)], check=True)

    book = kernels()
    try:
        known = edited("before")
        book.run_ok(cell("hello", known))
        wait_for(lambda: not working(book, "cargo", "rustc"))  # the warming, in the background
        wait_for(
            lambda: (
                subprocess.run(
                    ["mount", "-o", "remount,ro", str(small_disk)], capture_output=True
                ).returncode
                == 0
            )
        )
        refused(book.run(cell("hello", edited("not now"))), small_disk, "Read-only file system")
        book.run_ok(cell("hello", known))  # what is built already needs no room
        remount("rw")
        book.run_ok(cell("hello", edited("after")))
    finally:
        book.close()


# -- the toolchain and the network --------------------------------------------------------------


@posix
def test_no_rust_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: Callable[[], Notebook]
) -> None:
    path, rustup = os.environ["PATH"], os.environ.get("RUSTUP_HOME", "")
    (tmp_path / "bin").mkdir()
    for name in ("KERNELLAB_RUSTC", "KERNELLAB_LINKER", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path / "no rustup"))
    book = kernels()
    result = book.run(cell("hello", HELLO))
    assert (result.status, result.name) == ("error", "ToolchainError")
    assert "rustup target add x86_64-pc-windows-msvc" in result.traceback
    assert "kernellab setup" in result.traceback
    assert len(result.traceback.splitlines()) <= 30  # one screen
    # Rust was installed meanwhile: the same kernel finds it.
    book.run_ok(f"import os; os.environ.update(PATH={path!r}, RUSTUP_HOME={rustup!r})")
    book.run_ok(cell("hello", HELLO))


def test_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernels: Callable[[], Notebook]
) -> None:
    home = tmp_path / "cargo"
    home.mkdir()
    (home / "config.toml").write_text(
        "[http]\nproxy = 'http://127.0.0.1:9'\n[net]\nretry = 0\n", encoding="utf-8"
    )
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CARGO_HOME", str(home))
    book = kernels()
    book.run_ok(cell("hello", edited("without network")))
    result = book.run(cell("hello", HELLO, '--dep "bitflags=2"'))
    assert (result.status, result.name) == ("error", "BuildError")
    assert "bitflags, which could not be downloaded: no network" in result.traceback
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    book.run_ok("import os; os.environ['CARGO_NET_OFFLINE'] = 'true'")
    result = book.run(cell("hello", HELLO, '--dep "bitflags=2"'))
    assert (result.status, result.name) == ("error", "BuildError")
    assert "bitflags" in result.traceback
    book.run_ok(cell("hello", edited("still without network")))


# -- names and text -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("my driver", "driver"),
        ('"my driver"', "my driver"),
        ("../up", "../up"),
        (r"a\\b", "a"),
        ("NUL", "device"),
        ("com1", "device"),
        ("ntoskrnl", "Windows kernel"),
        ("x" * 5000, "5000 characters"),
        ("$HOME", "$HOME"),
        ("héllo", "héllo"),
    ],
    ids=lambda value: value[:12],
)
def test_names_that_cannot_be(notebook: Notebook, name: str, says: str) -> None:
    result = notebook.run(cell(name, HELLO))
    assert (result.status, result.name) == ("error", "UsageError")
    assert says in result.traceback
    assert len(result.traceback) < 3000


def test_a_megabyte_from_one_driver(notebook: Notebook) -> None:
    body = "for n in 0..10_000u32 { println!(\"{n:05} {}\", [b'x'; 98].escape_ascii()); }"
    result = notebook.run_ok(cell("floods", driver_source(body)))
    assert notebook.value("len(floods.log), floods.log.dropped") == "10000 0"
    assert notebook.value("len(floods.log.text) >= 1_000_000") == "True"
    assert "09999 xxx" in result.text
    assert len(result.html) < 4_000_000  # what is saved stays small enough to open


def test_one_line_of_a_megabyte(notebook: Notebook) -> None:
    """``println!`` splits it into what one DbgPrint carries; nothing is lost."""
    body = "for _ in 0..1024u32 { print!(\"{}\", [b'y'; 1024].escape_ascii()); } println!();"
    source = driver_source(body).replace("println,", "print, println,")
    notebook.run_ok(cell("wide", source))
    assert notebook.value("wide.log.text.count('y'), wide.log.dropped") == f"{1024 * 1024} 0"


def test_bytes_that_are_no_text(notebook: Notebook) -> None:
    body = (
        "unsafe { windows_kernel_rs::sys::ntoskrnl::DbgPrint("
        r'c"%s\n".as_ptr().cast(), c"a\xff\xfe\x80<b>\xc3\xa9\x1b[31m\x07".as_ptr()) };'
    )
    result = notebook.run_ok(cell("odd", driver_source(body)))
    (line,) = re.findall(r"^a.*$", result.text, re.MULTILINE)
    assert "<b>" in line
    assert not set("\x1b\x07") & set(result.text + result.html)
    assert "<b>" not in result.html
    (result.text + result.html).encode()  # nothing that a notebook could not save


# -- stopped ------------------------------------------------------------------------------------


@posix
def test_the_stop_button_at_any_moment(notebook: Notebook) -> None:
    """From before the build to after the load: stopped or done, and nothing keeps running."""
    stopped = 0
    for step in range(16):
        message = notebook.start(cell("anytime", edited(f"step {step}")))
        notebook.begun(message)
        time.sleep(step * 0.04)
        notebook.manager.interrupt_kernel()
        # One that meets ipykernel itself, before or after the cell, can cost it the reply:
        # all that is asked then is that the kernel goes on.
        with contextlib.suppress(queue.Empty):
            result = notebook.finish(message, 15)
            if result.status != "ok":
                assert result.name in ("KeyboardInterrupt", ""), result.traceback
                stopped += 1
        wait_for(lambda: not working(notebook, "cargo", "rustc"), seconds=5)
        assert notebook.value("1 + 1") == "2"
    assert stopped
    result = notebook.run_ok(cell("anytime", edited("the last")))
    assert "the last" in result.text


@posix
@pytest.mark.parametrize(
    ("start", "body", "cleanup"),
    [
        ("stuck.unload()", "", "loop { core::hint::spin_loop(); }"),
        ("stuck.reload()", "", "loop { core::hint::spin_loop(); }"),
    ],
    ids=["unload", "reload"],
)
def test_the_stop_button_after_the_load(
    notebook: Notebook, start: str, body: str, cleanup: str
) -> None:
    notebook.run_ok(cell("stuck", driver_source(body, cleanup), "--timeout 60"))
    message = notebook.start(start)
    time.sleep(0.5)
    notebook.manager.interrupt_kernel()
    result = notebook.finish(message)
    assert (result.status, result.name) == ("error", "KeyboardInterrupt")
    simulators = working(notebook, "kernellab.target.sim")
    notebook.run_ok(cell("hello", HELLO))
    # One machine, and one more that stands ready: the stopped one is not kept beside them.
    assert len(working(notebook, "kernellab.target.sim")) <= max(2, len(simulators))


# -- killed -------------------------------------------------------------------------------------


def kill(book: Notebook) -> list[psutil.Process]:
    """`kill -9` of the kernel's process alone, as the system does when memory runs out."""
    family = book.family()
    assert len(family) > 1
    os.kill(family[0].pid, signal.SIGKILL)
    return family


@posix
def test_a_kernel_killed_in_mid_build_leaves_nothing(kernels: Callable[[], Notebook]) -> None:
    book = kernels()
    book.start(cell("slow", SLOW))
    wait_for(lambda: working(book, "--crate-name slow"))
    assert gone(kill(book), 10) == []


@posix
def test_a_kernel_killed_while_a_driver_runs_leaves_nothing(
    kernels: Callable[[], Notebook],
) -> None:
    book = kernels()
    book.run_ok(cell("spins", LOOP, "--no-run"))
    book.start(cell("spins", LOOP, "--timeout 600"))
    wait_for(lambda: working(book, "kernellab.target.sim"))
    time.sleep(1)
    assert gone(kill(book), 10) == []


@posix
def test_a_kernel_killed_at_rest_leaves_nothing(kernels: Callable[[], Notebook]) -> None:
    book = kernels()
    book.run_ok(cell("hello", HELLO))
    assert gone(kill(book), 10) == []


def test_a_kernel_restarted_in_mid_build_leaves_nothing(kernels: Callable[[], Notebook]) -> None:
    book = kernels()
    book.start(cell("slow", SLOW))
    wait_for(lambda: working(book, "--crate-name slow"))
    family = book.family()
    book.manager.restart_kernel(now=False)
    assert gone(family, 10) == []
    book.client.wait_for_ready(timeout=60)
    book.run_ok("%load_ext kernellab")
    book.run_ok(cell("hello", edited("restarted")))
