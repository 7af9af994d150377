"""Drivers in C for the tests: clang as MSVC would be, mingw-w64's DDK headers, LLD."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from kernellab.build import cache
from kernellab.build.toolchain import find_toolchain
from kernellab.target.sim import exports
from kernellab.target.sim.exports.registry import Export

HERE = Path(__file__).parent
HEADERS = Path("/usr/share/mingw-w64/include")
OURS = HERE / "c" / "include"

_COMPILE = (
    "--target=x86_64-pc-windows-msvc -ffreestanding -fms-extensions -fms-compatibility"
    " -fasync-exceptions -fno-builtin -nostdlibinc -O1 -g -gcodeview"
    " -fdebug-compilation-dir=. -Wall -Werror -Wno-unused-function"
    " -Wno-pragma-pack -Wno-ignored-attributes"
).split()
_LINK = (
    "/nologo /nodefaultlib /subsystem:native /driver /entry:DriverEntry /debug /Brepro"
    " /release /pdbsourcepath:."
).split()


@functools.cache
def compiler() -> str:
    """clang's command; skips the test where it or the headers are missing."""
    names = ["clang-19", *(f"clang-{n}" for n in range(22, 14, -1)), "clang"]
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip("clang is not installed")
    if not (HEADERS / "ddk" / "wdm.h").is_file():
        pytest.skip("mingw-w64's DDK headers are not installed")
    return found


def build_c(name: str, source: str) -> Path:
    """The ``.sys`` made from ``source``, which is called ``NAME.c``; its PDB is beside it.

    What was built before from the same text is used again.
    """
    clang = compiler()
    toolchain = find_toolchain()
    flavor = ["-flavor", "link"] if "rust-lld" in toolchain.linker.name else []
    linker = [str(toolchain.linker), *flavor]
    names = "".join(f"  {n}{_kind(e)}\n" for n, e in exports.table().items() if not e.internal)
    ours = "".join(p.read_text(encoding="utf-8") for p in sorted(OURS.iterdir()))
    parts = [clang, toolchain.linker_version, *_COMPILE, *_LINK, names, ours, name, source]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    place = cache.folder("c-drivers") / key
    image = place / f"{name}.sys"
    if image.is_file():
        return image
    with cache.locked(place.with_suffix(".lock")):
        if not image.is_file():
            with cache.new_folder(place) as folder:
                _build(folder, name, source, names, clang, linker)
    return image


def _kind(entry: Export) -> str:
    return " DATA" if entry.data is not None else ""


def _build(folder: Path, name: str, source: str, names: str, clang: str, linker: list[str]) -> None:
    (folder / f"{name}.c").write_text(source, encoding="utf-8")
    (folder / "kernel.def").write_text(f"LIBRARY ntoskrnl.exe\nEXPORTS\n{names}", encoding="utf-8")
    include = [f"-isystem{p}" for p in (OURS, HEADERS / "ddk", HEADERS)]
    _run(
        folder,
        [*linker, "/lib", "/machine:x64", "/def:kernel.def", "/out:kernel.lib"],
        [clang, *_COMPILE, *include, "-includefirst.h", "-c", f"{name}.c", "-o", f"{name}.obj"],
        [*linker, *_LINK, f"/out:{name}.sys", f"/pdb:{name}.pdb", f"{name}.obj", "kernel.lib"],
    )


def _run(folder: Path, *commands: list[str]) -> None:
    for command in commands:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"
