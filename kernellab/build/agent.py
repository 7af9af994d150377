"""Build the guest agent: a program for Windows, by the toolchain that builds drivers."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .. import __version__
from ..errors import ToolchainError
from . import cache, process, sysroot
from .cache import Progress
from .toolchain import TARGET, Toolchain, find_toolchain

#: What it is made of, in the template's folder; the first has the program.
_SOURCES = ("agent/src", "windows-kernel-sys/src/memory.rs", "windows-kernel-sys/src/runtime.rs")

_LINK = (
    "/NODEFAULTLIB",
    "/SUBSYSTEM:CONSOLE",
    "/ENTRY:start",
    "/Brepro",
    "/RELEASE",
    "/DEBUG:NONE",
)


def build(
    template: Path, *, toolchain: Toolchain | None = None, progress: Progress | None = None
) -> Path:
    """The agent's program, made from the sources in ``template`` where it is not there yet.

    It takes a few seconds, once for each version of it. Raises ToolchainError, and BuildError
    where the cache folder cannot be used.
    """
    toolchain = toolchain or find_toolchain()
    files = _files(template)
    state = hashlib.sha256(f"{toolchain.key} {_LINK}".encode())
    for name, content in files.items():
        state.update(f"{name} {len(content)} ".encode() + content)
    folder = cache.cache_root() / "agent"
    program = folder / f"agent-{state.hexdigest()[:16]}.exe"
    if program.is_file():
        return program
    sysroot.ensure(toolchain, progress=progress)
    with cache.locked(folder / "lock", progress=progress, what="the guest agent"):
        if not program.is_file():
            if progress is not None:
                progress(0, 1, "building the guest agent, once")
            with cache.trouble(), cache.new_folder(folder / "making") as place:
                _build(toolchain, template, place / "agent.exe")
                (place / "agent.exe").replace(program)
            cache.remove(folder / "making")
    return program


def _files(template: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for source in _SOURCES:
        path = template / source
        for file in sorted(path.rglob("*.rs")) if path.is_dir() else [path]:
            found[file.relative_to(template).as_posix()] = file.read_bytes()
    return found


def _build(toolchain: Toolchain, template: Path, program: Path) -> None:
    flags = [f"--sysroot={toolchain.sysroot}"] if toolchain.sysroot is not None else []
    command: list[str | Path] = [
        toolchain.rustc,
        *("--crate-name", "agent", "--crate-type", "bin", "--edition", "2024"),
        *("--target", TARGET, "-Cpanic=abort", "-Copt-level=2", "-Ccodegen-units=1"),
        f"-Clinker={toolchain.linker}",
        f"-Clinker-flavor={toolchain.linker_flavor}",
        *(f"-Clink-arg={word}" for word in _LINK),
        f"--remap-path-prefix={template}=",
        *flags,
        *("-o", program, template / "agent" / "src" / "main.rs"),
    ]
    env = {**os.environ, "CARGO_PKG_VERSION": __version__}
    answer = process.run(command, cwd=program.parent, env=env)
    if answer.returncode:
        last = "\n".join(answer.stderr.strip().splitlines()[-20:])
        raise ToolchainError(f"the guest agent cannot be built:\n{last}")
