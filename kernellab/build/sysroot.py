"""Build ``core``, ``compiler_builtins`` and ``alloc`` for Windows from the library's source.

Needed once for each compiler, and only where the Windows target is not installed. The result
is a folder for rustc's ``--sysroot``; it takes about 20 s of one core and 75 MB.
"""

from __future__ import annotations

import os
import threading
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import ToolchainError
from . import cache, process
from .cache import Progress
from .toolchain import TARGET, Toolchain, builtins_source

_CRATES: Final = ("core", "compiler_builtins", "alloc")


def is_ready(toolchain: Toolchain) -> bool:
    """Whether nothing is left to build: the folder appears by a rename, complete or not at all."""
    if toolchain.sysroot is None:
        return True
    library = _library(toolchain.sysroot)
    return all((library / f"lib{name}.rlib").is_file() for name in _CRATES)


def ensure(
    toolchain: Toolchain,
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Build the toolchain's sysroot unless it is there.

    Two processes may call this at once: one builds, the other waits. Interrupted builds leave
    nothing that is used, and the next one removes their remains. Raises ToolchainError (with
    the compiler's words), BuildError (the cache folder, see :func:`.cache.trouble`),
    :class:`.process.Cancelled`.
    """
    if is_ready(toolchain):
        return
    assert toolchain.sysroot is not None
    parent = toolchain.sysroot.parent
    what = "Rust's core library for Windows"
    with cache.locked(parent / "lock", progress=progress, what=what, cancel=cancel):
        if is_ready(toolchain):
            return
        cache.clean_all(parent)
        cache.remove(toolchain.sysroot)  # somebody deleted a part of it
        with cache.trouble(), cache.new_folder(toolchain.sysroot) as folder:
            _build(toolchain, folder, progress, cancel)


def _library(sysroot: Path) -> Path:
    return sysroot / "lib" / "rustlib" / TARGET / "lib"


def _build(
    toolchain: Toolchain,
    folder: Path,
    progress: Progress | None,
    cancel: threading.Event | None,
) -> None:
    source = toolchain.source
    builtins = None if source is None else builtins_source(source)
    if source is None or builtins is None:
        raise ToolchainError("the Rust library's source is gone: run `kernellab setup`")
    library = _library(folder)
    library.mkdir(parents=True)
    core = f"--extern=core={library / 'libcore.rlib'}"
    features = ("compiler-builtins", "mem", "mem-unaligned")
    flags = [word for name in features for word in ("--cfg", f'feature="{name}"')]
    # Its build script would find these out; x86-64 has both types in LLVM.
    flags += ["--cfg", "f16_enabled", "--cfg", "f128_enabled"]
    steps: list[tuple[str, Path, Sequence[str]]] = [
        ("core", source / "core", ()),
        ("compiler_builtins", builtins, [core, *flags]),
        (
            "alloc",
            source / "alloc",
            [core, f"--extern=compiler_builtins={library / 'libcompiler_builtins.rlib'}"],
        ),
    ]
    for done, (name, crate, more) in enumerate(steps):
        if progress is not None:
            progress(done, len(steps), f"building Rust's {name} for Windows, once")
        _compile(toolchain, name, crate, library, more, cancel)
    if progress is not None:
        progress(len(steps), len(steps), "Rust's core library for Windows is built")


def _compile(
    toolchain: Toolchain,
    name: str,
    crate: Path,
    library: Path,
    more: Sequence[str],
    cancel: threading.Event | None,
) -> None:
    manifest = tomllib.loads((crate / "Cargo.toml").read_text(encoding="utf-8"))
    # What the library's own build would call this folder; keeps this machine's out of drivers.
    virtual = f"/rustc/{toolchain.commit_hash}/library"
    arguments: list[str | Path] = [
        toolchain.rustc,
        *("--crate-name", name, "--crate-type", "rlib", "--target", TARGET),
        *("--edition", manifest["package"].get("edition", "2021")),
        *("-Copt-level=3", "-Cpanic=abort", "-Zforce-unstable-if-unmarked"),
        *("--cap-lints", "allow", "--out-dir", library, "-L", library),
        *("--remap-path-prefix", f"{toolchain.source}={virtual}"),
        *more,
        crate / "src" / "lib.rs",
    ]
    # The library is written in unstable Rust; only its own compiler may build it.
    env = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
    answer = process.run(arguments, cwd=library, env=env, cancel=cancel)
    if answer.returncode:
        words = answer.stderr.strip()
        if cache.means_full(words):
            raise cache.full(words)
        last = "\n".join(words.splitlines()[-12:])
        raise ToolchainError(
            f"rustc {toolchain.version} cannot build {name} from {toolchain.source}:\n{last}"
        )
