"""The library for Windows, built from source once."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kernellab.build import BuildResult, Toolchain, build, process, sysroot
from kernellab.build.toolchain import TARGET
from kernellab.crate import Crate
from kernellab.errors import BuildError, ToolchainError

HELLO = (Path(__file__).parent / "hello.cell").read_text()

CODE = """
import dataclasses, sys
from pathlib import Path
from kernellab.build import find_toolchain, sysroot
found = dataclasses.replace(find_toolchain(), sysroot=Path(sys.argv[1]))
sysroot.ensure(found, progress=lambda done, total, what: print(what, flush=True))
"""


@pytest.fixture
def empty(toolchain: Toolchain, tmp_path: Path) -> Toolchain:
    """This machine's toolchain with no sysroot built yet."""
    if toolchain.source is None:
        pytest.skip("the Windows target is installed here")
    return dataclasses.replace(toolchain, sysroot=tmp_path / "sysroots" / "one")


def test_it_is_found_when_it_is_there(toolchain: Toolchain) -> None:
    assert sysroot.is_ready(toolchain)
    sysroot.ensure(toolchain, progress=lambda *_: pytest.fail("was built again"))


@pytest.mark.slow
def test_a_fresh_one(
    empty: Toolchain, toolchain: Toolchain, make: Callable[..., BuildResult]
) -> None:
    """From nothing, by two processes at once: built once, within a minute, and good to use."""
    assert empty.sysroot is not None
    begin = time.monotonic()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(empty.sysroot)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [each.communicate(timeout=200)[0].splitlines() for each in both]
    seconds = time.monotonic() - begin
    assert [each.returncode for each in both] == [0, 0]
    assert sum("building Rust's core for Windows, once" in lines for lines in said) == 1
    assert sum(any("waiting for" in line for line in lines) for lines in said) == 1
    assert seconds < 120  # the 60 s are a benchmark's; other work shares this machine
    assert sysroot.is_ready(empty)
    assert [p.name for p in empty.sysroot.parent.iterdir() if p.name != "lock"] == ["one"]
    text = f"from a fresh sysroot, {time.time_ns()}"
    one = make(HELLO.replace("the kernel", text), toolchain=empty)
    assert text.encode() in one.sys.read_bytes()


def test_one_with_a_part_missing_is_not_used(toolchain: Toolchain, tmp_path: Path) -> None:
    if toolchain.sysroot is None:
        pytest.skip("the Windows target is installed here")
    copy = tmp_path / "sysroot"
    library = copy / "lib" / "rustlib" / TARGET / "lib"
    library.mkdir(parents=True)
    for name in ("core", "compiler_builtins"):
        (library / f"lib{name}.rlib").touch()
    assert not sysroot.is_ready(dataclasses.replace(toolchain, sysroot=copy))
    (library / "liballoc.rlib").touch()
    assert sysroot.is_ready(dataclasses.replace(toolchain, sysroot=copy))


def test_an_interrupted_one_is_not_used(empty: Toolchain) -> None:
    assert empty.sysroot is not None
    running = subprocess.Popen(
        [sys.executable, "-c", CODE, str(empty.sysroot)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert "core" in running.stdout.readline()
    time.sleep(0.3)
    children = psutil.Process(running.pid).children(recursive=True)
    assert any("rustc" in child.name() for child in children)
    begin = time.monotonic()
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=20)
    assert time.monotonic() - begin < 1.5
    assert not any(child.is_running() for child in children)
    assert not sysroot.is_ready(empty)
    assert [p.name for p in empty.sysroot.parent.iterdir()] == ["lock"]


def test_a_killed_ones_remains_are_removed(empty: Toolchain) -> None:
    assert empty.sysroot is not None
    remains = empty.sysroot.parent / ".partial-old"
    remains.mkdir(parents=True)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(process.Cancelled):
        sysroot.ensure(empty, cancel=cancel)
    assert not remains.exists() and not sysroot.is_ready(empty)


def test_source_that_does_not_fit_the_compiler(empty: Toolchain, tmp_path: Path) -> None:
    source = tmp_path / "library"
    for crate in ("core", "alloc", "compiler-builtins/compiler-builtins"):
        (source / crate / "src").mkdir(parents=True)
        (source / crate / "Cargo.toml").write_text('[package]\nedition = "2024"\n')
        (source / crate / "src" / "lib.rs").write_text("this is not rust")
    with pytest.raises(ToolchainError, match="cannot build core"):
        sysroot.ensure(dataclasses.replace(empty, source=source))
    assert not sysroot.is_ready(empty)


def test_a_cache_that_cannot_be_written(empty: Toolchain, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(BuildError, match="KERNELLAB_CACHE"):
        sysroot.ensure(dataclasses.replace(empty, sysroot=blocked / "sysroot" / "one"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the compiler is wrapped in a shell script")
def test_a_toolchain_with_the_target_installed(
    toolchain: Toolchain,
    own_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    crate_of: Callable[..., Crate],
) -> None:
    """As ``rustup target add`` leaves it: no memory routines, and a library that unwinds."""
    if toolchain.sysroot is None or toolchain.source is None:
        pytest.skip("the Windows target is installed here")
    home = tmp_path / "home"
    library = home / "lib" / "rustlib" / TARGET / "lib"
    library.mkdir(parents=True)
    ours = toolchain.sysroot / "lib" / "rustlib" / TARGET / "lib"
    shutil.copy(ours / "libcore.rlib", library / "libcore-0.rlib")
    for name in (home / "lib" / "rustlib" / toolchain.host, home / "bin"):
        name.parent.mkdir(parents=True, exist_ok=True)
    (home / "lib" / "rustlib" / toolchain.host).symlink_to(
        toolchain.home / "lib" / "rustlib" / toolchain.host
    )
    (home / "bin").mkdir()
    rustc = home / "bin" / "rustc"
    rustc.write_text(f'#!/bin/sh\nexec "{toolchain.rustc}" --sysroot "{home}" "$@"\n')
    rustc.chmod(0o755)
    (home / "bin" / "cargo").symlink_to(toolchain.cargo)
    core = f"--extern=core={library / 'libcore-0.rlib'}"
    builtins = "compiler-builtins/compiler-builtins"
    for crate, folder, more in (
        ("compiler_builtins", builtins, ["--cfg", 'feature="compiler-builtins"', "--cfg",
                                         "f16_enabled", "--cfg", "f128_enabled"]),
        ("alloc", "alloc", ["-Cpanic=unwind", "--extern=compiler_builtins="
                            f"{library / 'libcompiler_builtins-0.rlib'}"]),
    ):  # fmt: skip
        arguments = [
            str(toolchain.rustc), "--crate-name", crate, "--crate-type=rlib", "--target", TARGET,
            "--edition=2024", "-Copt-level=1", "-Zforce-unstable-if-unmarked", "--cap-lints=allow",
            "-Cextra-filename=-0", "--out-dir", str(library), core, *more,
            str(toolchain.source / folder / "src" / "lib.rs"),
        ]  # fmt: skip
        env = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
        made = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=120)
        assert made.returncode == 0, made.stderr
    monkeypatch.setenv("KERNELLAB_RUSTC", str(rustc))
    monkeypatch.setenv("KERNELLAB_LINKER", str(toolchain.linker))
    from kernellab.build import find_toolchain

    found = find_toolchain()
    assert found.sysroot is None and found.rustc == rustc
    source = HELLO.replace(
        'println!("hello from {}", "the kernel");',
        "extern crate alloc; let mut v = alloc::vec![7u8; 4000]; v.insert(1, 2);"
        ' println!("{:?}", v.clone() == v);',
    )
    for release in (False, True):
        result = build(crate_of(source), toolchain=found, release=release)
        names = result.sys.with_suffix(".names").read_text()
        assert "memcpy" in names and "memmove" in names
        assert b"vcruntime" not in result.sys.read_bytes().lower()
