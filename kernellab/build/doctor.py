"""``kernellab doctor``: what is here, what is missing, how to mend each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from ..errors import KernelLabError, ToolchainError
from . import cache, sysroot
from .analyzer import describe_analyzer
from .toolchain import Toolchain, find_toolchain

_REQUIREMENT: Final = re.compile(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)\s*$")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: ``found`` says what is there, ``mend`` what to do if not."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def diagnose() -> list[Check]:
    """Look at everything that building and running needs; changes nothing, never raises."""
    return [*_python(), _template(), _jupyter(), *_cache(), *_rust()]


def _python() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    for name, least in _packages():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield Check(name, False, "not installed", f"pip install '{name}>={least}'")
            continue
        ok = _numbers(found) >= _numbers(least)
        yield Check(name, ok, found, f"pip install --upgrade '{name}>={least}'")
    yield _tried("unicorn starts", _unicorn, "pip install --force-reinstall unicorn")
    yield _tried("symbolic starts", _symbolic, "pip install --force-reinstall symbolic")


def _packages() -> Iterator[tuple[str, str]]:
    """What kernellab's own metadata says that it needs: name and least version."""
    try:
        requirements = metadata.requires("kernellab") or []
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match and "extra ==" not in requirement:
            yield match[1], match[2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])


def _tried(name: str, attempt: Callable[[], str], mend: str) -> Check:
    try:
        return Check(name, True, attempt())
    except Exception as error:  # a broken native library raises anything
        return Check(name, False, f"{type(error).__name__}: {error}", mend)


def _unicorn() -> str:
    # By name: only the simulator's machine may import it, this only asks whether it can.
    import importlib

    unicorn = importlib.import_module("unicorn")
    unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    return "yes"


def _symbolic() -> str:
    from symbolic.common import arch_is_known

    return "yes" if arch_is_known("x86_64") else "no x86_64"


def _template() -> Check:
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_template", package.parent / "rust-template"):
        if (folder / "Cargo.toml").is_file():
            return Check("Rust template", True, str(folder))
    return Check("Rust template", False, "missing", "install kernellab again")


def _jupyter() -> Check:
    """Whether JupyterLab and Notebook find the extension; all but editing works without it."""
    from jupyter_core.paths import jupyter_path

    for folder in jupyter_path("labextensions"):
        package = Path(folder, "kernellab", "package.json")
        if package.is_file():
            return Check("Jupyter extension", True, str(package.parent))
    found = "not there: Rust cells are not highlighted (it comes with `pip install kernellab`)"
    return Check("Jupyter extension", True, found)


def _cache() -> Iterator[Check]:
    root = cache.cache_root()
    variable = f"name another folder in {cache.VARIABLE}"
    try:
        cache.check_writable()
        yield Check("cache folder", True, str(root))
    except KernelLabError as error:
        yield Check("cache folder", False, str(error), variable)
    try:
        free = cache.free_space()
    except OSError as error:
        yield Check("disk space", False, str(error), variable)
        return
    enough = free >= cache.NEEDED
    mend = f"free {cache.NEEDED // 2**20} MB, or {variable}"
    yield Check("disk space", enough, f"{free // 2**20:,} MB free", mend)


def _rust() -> Iterator[Check]:
    try:
        toolchain = find_toolchain(fresh=True)
    except ToolchainError as error:
        advice, _, looked = str(error).partition("\n\nLooked at:\n")
        found = "; ".join(line.strip() for line in looked.splitlines()) or "none that will do"
        yield Check("Rust", False, found, advice)
        return
    yield Check("Rust", True, f"{toolchain.version}, {toolchain.rustc} ({toolchain.origin})")
    yield Check("Cargo", True, str(toolchain.cargo))
    yield _windows_library(toolchain)
    linker = f"{toolchain.linker} ({toolchain.linker_version or 'its version is not known'})"
    yield Check(
        "linker",
        bool(toolchain.linker_version),
        linker,
        "install LLD (Debian: lld-19), or name an lld-link in KERNELLAB_LINKER",
    )
    for name, path in (("clippy", toolchain.clippy), ("rustfmt", toolchain.rustfmt)):
        found = str(path) if path else "not there (only development of kernellab needs it)"
        yield Check(name, True, found)
    # For completion: a driver is built without it.
    yield Check("rust-analyzer", True, describe_analyzer(toolchain))


def _windows_library(toolchain: Toolchain) -> Check:
    name = "Windows library"
    if toolchain.sysroot is None:
        return Check(name, True, "installed in the toolchain")
    if sysroot.is_ready(toolchain):
        return Check(name, True, str(toolchain.sysroot))
    return Check(name, False, "not built yet", "kernellab setup (once, less than a minute)")
