"""rust-analyzer and the library's source: what completion in cells needs. Both are optional."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ToolchainError
from . import cache, install, process
from .cache import Progress
from .toolchain import Toolchain, path_folders, rustup_homes

_EXE: Final = ".exe" if os.name == "nt" else ""
_PROGRAM: Final = f"rust-analyzer{_EXE}"

#: rust-analyzer and the library's source, as Debian and Ubuntu call them.
_APT_FAMILIES: Final = (
    ("rust-analyzer", "rust-src"),
    ("rust-web-analyzer", "rust-web-src"),
)

#: One message for all places that miss it.
MISSING: Final = (
    "rust-analyzer is not installed: completion and help in Rust cells are off."
    " `kernellab setup --rust-analyzer` brings it"
    " (by hand: `rustup component add rust-analyzer rust-src`;"
    " Debian: `apt install rust-web-analyzer rust-web-src`), then restart the kernel."
)

NO_LIBRARY: Final = (
    "Rust's library source is not here, so `Option`, `Vec` and the like are not completed:"
    " `kernellab setup --rust-analyzer` brings it."
)


@dataclass(frozen=True, slots=True)
class AnalyzerTools:
    """A rust-analyzer that runs here; ``library`` holds ``core`` and ``alloc``, where it is."""

    program: Path
    version: str
    library: Path | None


def find_analyzer(toolchain: Toolchain | None) -> AnalyzerTools:
    """The rust-analyzer of this machine. Raises ToolchainError with :data:`MISSING`."""
    for program in _programs(toolchain):
        version = _version(program)
        if version:
            return AnalyzerTools(program, version, find_library(toolchain))
    raise ToolchainError(MISSING)


def describe_analyzer(toolchain: Toolchain | None) -> str:
    """One line for ``kernellab setup`` and ``doctor``: what is there, or what to do."""
    try:
        tools = find_analyzer(toolchain)
    except ToolchainError as error:
        return str(error)
    found = f"rust-analyzer {tools.version}, {tools.program}"
    return found if tools.library else f"{found}. {NO_LIBRARY}"


def _programs(toolchain: Toolchain | None) -> Iterator[Path]:
    named = os.environ.get("KERNELLAB_RUST_ANALYZER")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ToolchainError(f"KERNELLAB_RUST_ANALYZER names {named}, which cannot be run")
        yield Path(found)
        return
    folders = [] if toolchain is None else [toolchain.home / "bin", toolchain.rustc.parent]
    folders += path_folders()
    folders += [home / "bin" for home in rustup_homes()]
    for folder in dict.fromkeys(folders):
        if os.access(folder / _PROGRAM, os.X_OK):
            yield folder / _PROGRAM


def _version(program: Path) -> str:
    """Its version; empty where it cannot be run, as rustup's shim without the component."""
    try:
        answer = process.run([program, "--version"], cwd=program.parent, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    match = re.match(r"rust-analyzer (\S+)", answer.stdout)
    return match[1] if match and not answer.returncode else ""


def find_library(toolchain: Toolchain | None) -> Path | None:
    """The folder with the source of ``core`` and ``alloc``: the toolchain's, else any."""
    homes = [toolchain.home] if toolchain is not None else []
    places = [toolchain.source] if toolchain is not None and toolchain.source else []
    places += [
        home / "lib" / "rustlib" / "src" / "rust" / "library" for home in [*homes, *rustup_homes()]
    ]
    if os.name == "posix":
        sources = Path("/usr/src").glob("rustc-*/library")
        places += sorted(sources, key=_numbers, reverse=True)
    return next((p.resolve() for p in places if _has_core(p)), None)


def _has_core(library: Path) -> bool:
    return all((library / name / "src" / "lib.rs").is_file() for name in ("core", "alloc"))


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parent.name)]


# -- kernellab setup --rust-analyzer --------------------------------------------------------------


def setup_analyzer(toolchain: Toolchain, progress: Progress | None = None) -> AnalyzerTools:
    """Install rust-analyzer and the library's source where one of them is missing.

    With rustup where the toolchain is rustup's, else with the distribution's packages (as root;
    otherwise the command is named). Raises ToolchainError with the text that says what to do.
    """
    root = cache.check_writable()
    with cache.locked(root / "setup.lock", progress=progress, what="the set-up"):
        notes = []
        for way in (None, _rustup, _apt):
            if way is not None:
                notes.append(way(toolchain, progress))
            found = _complete(toolchain)
            if found is not None:
                return found
    try:
        return find_analyzer(toolchain)  # without the library's source it still is of use
    except ToolchainError as error:
        words = "\n".join(note for note in notes if note)
        raise ToolchainError(f"{words}\n\n{error}" if words else str(error)) from None


def _complete(toolchain: Toolchain) -> AnalyzerTools | None:
    try:
        found = find_analyzer(toolchain)
    except ToolchainError:
        if os.environ.get("KERNELLAB_RUST_ANALYZER"):
            raise
        return None
    return found if found.library is not None else None


def _rustup(toolchain: Toolchain, progress: Progress | None) -> str:
    known = {os.path.realpath(home): home.name for home in rustup_homes()}
    name = known.get(os.path.realpath(toolchain.home))
    if name is None:
        return ""
    words = ["component", "add", "--toolchain", name, "rust-analyzer", "rust-src"]
    return install.run_rustup(words, progress)


def _apt(toolchain: Toolchain, progress: Progress | None) -> str:
    # Debian's rust-analyzer and its rustup exclude each other: what is here stays.
    return install.run_apt_install(_packages, progress, "--no-remove")


def _packages() -> list[str]:
    """This distribution's packages; empty where it has none."""
    versions = install.apt_versions([name for family in _APT_FAMILIES for name in family])
    for family in reversed(_APT_FAMILIES):
        if all(name in versions for name in family):
            return list(family)
    return []
