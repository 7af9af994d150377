"""Find a Rust that can build Windows drivers, and a linker for it.

A compiler is fit when it has the Windows target's ``core`` installed (``rustup target add``,
conda's ``rust-std-x86_64-pc-windows-msvc``), or the library's source beside it, from which
:mod:`.sysroot` builds ``core`` and ``alloc`` once. A driver needs no ``std`` and no WDK.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import ToolchainError
from . import cache, process
from .advice import install_advice

TARGET: Final = "x86_64-pc-windows-msvc"

#: Oldest compiler that knows edition 2024.
MINIMUM: Final = (1, 85)

#: Bump when what a sysroot is made of, or how a driver is made, changes.
SYSROOT_RECIPE: Final = 1
RECIPE: Final = 5

_EXE: Final = ".exe" if os.name == "nt" else ""

#: What decides where compilers are looked for: a remembered answer holds for the same values.
_VARIABLES: Final = (
    "KERNELLAB_RUSTC KERNELLAB_LINKER PATH RUSTUP_HOME RUSTUP_TOOLCHAIN CONDA_PREFIX".split()
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler that can build drivers, with what it needs.

    ``sysroot`` is the folder that :func:`.sysroot.ensure` fills from ``source`` (the library's
    folder ``library/``); both are None where the Windows target is installed in the toolchain.
    ``home`` is the toolchain's own folder (``rustc --print sysroot``);
    ``linker`` speaks ``lld-link``'s command line. ``origin`` says where all this was found.
    """

    cargo: Path
    rustc: Path
    home: Path
    version: str
    commit_hash: str
    host: str
    sysroot: Path | None
    source: Path | None
    linker: Path
    linker_flavor: str
    linker_version: str
    clippy: Path | None
    rustfmt: Path | None
    origin: str

    @property
    def key(self) -> str:
        """What tells this toolchain's output from another's, as hexadecimal digits."""
        parts = [RECIPE, self.commit_hash, self.version, self.host, self.linker_version]
        parts.append(self.sysroot is not None)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def describe(self) -> str:
        """One line for ``kernellab setup`` and ``doctor``."""
        if self.sysroot is None:
            library = "with the Windows target installed"
        else:
            library = f"with library source {self.source}"
        return f"rustc {self.version} ({self.origin}) {library}, linker {self.linker}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A compiler that was looked at: why it will not do, or what it is."""

    rustc: Path
    origin: str
    version: str = ""
    commit_hash: str = ""
    host: str = ""
    identity: str = ""
    home: Path | None = None
    installed: bool = False
    source: Path | None = None
    objection: str = ""


_lock: Final = threading.Lock()
_found: dict[str, Toolchain] = {}


def find_toolchain(*, fresh: bool = False) -> Toolchain:
    """The toolchain that builds drivers here; installs nothing, builds nothing.

    The answer is remembered in the cache folder for as long as the environment and the files
    it names stay the same; ``fresh`` looks again. Raises ToolchainError with the text that
    says what to install.
    """
    question = _question()
    with _lock:
        if not fresh:
            known = _found.get(question) or _recall(question)
            if known is not None:
                _found[question] = known
                return known
        _found.pop(question, None)
        toolchain = _search()
        _found[question] = toolchain
        _remember(question, toolchain)
        return toolchain


def candidates() -> Iterator[Candidate]:
    """Every compiler on this machine in the order of preference, each looked at."""
    seen: set[Path] = set()
    for rustc, origin in _places():
        candidate = _examine(rustc, origin)
        real = candidate.rustc
        if real not in seen:
            seen.add(real)
            yield candidate


def find_linker(home: Path, host: str) -> Path | None:
    """The linker for the toolchain in ``home``: its own rust-lld, else an LLD on this machine."""
    named = os.environ.get("KERNELLAB_LINKER")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ToolchainError(f"KERNELLAB_LINKER names {named}, which cannot be run")
        return Path(found)
    own = home / "lib" / "rustlib" / host / "bin" / f"rust-lld{_EXE}"
    if own.is_file():
        return own
    found = shutil.which("lld-link") or shutil.which("rust-lld")
    if found:
        return Path(found)
    numbered = [
        path
        for folder in path_folders()
        for path in folder.glob("lld-link-[0-9]*")
        if re.fullmatch(r"lld-link-\d+", path.name)
    ]
    numbered += Path("/usr/lib").glob("llvm*/bin/lld-link") if os.name == "posix" else []
    if numbered:
        return max(numbered, key=_linker_number)
    for other in rustup_homes():
        shipped = list((other / "lib" / "rustlib").glob(f"*/bin/rust-lld{_EXE}"))
        if shipped:
            return shipped[0]
    return None


def _linker_number(linker: Path) -> int:
    """14 of ``/usr/bin/lld-link-14`` and of ``/usr/lib/llvm-14/bin/lld-link``."""
    match = re.search(r"-(\d+)$", linker.name) or re.search(r"(\d+)$", linker.parent.parent.name)
    return int(match[1]) if match else 0


# -- looking ------------------------------------------------------------------------------------


def _search() -> Toolchain:
    objections = []
    for candidate in candidates():
        if candidate.objection:
            objections.append(f"{candidate.rustc} ({candidate.origin}): {candidate.objection}")
            continue
        assert candidate.home is not None
        cargo = candidate.rustc.with_name(f"cargo{_EXE}")
        if not cargo.is_file():
            other = shutil.which("cargo")
            if other is None:
                objections.append(f"{candidate.rustc} ({candidate.origin}): has no cargo")
                continue
            cargo = Path(other)
        linker = find_linker(candidate.home, candidate.host)
        if linker is None:
            objections.append(
                f"{candidate.rustc} ({candidate.origin}): there is no linker (lld-link) for it"
            )
            continue
        sysroot = None
        if not candidate.installed:
            sysroot = cache.cache_root() / "sysroot" / _sysroot_name(candidate)
        return Toolchain(
            cargo=cargo,
            rustc=candidate.rustc,
            home=candidate.home,
            version=candidate.version,
            commit_hash=candidate.commit_hash,
            host=candidate.host,
            sysroot=sysroot,
            source=None if candidate.installed else candidate.source,
            linker=linker,
            linker_flavor="lld-link",
            linker_version=_linker_version(linker),
            clippy=_sibling(candidate.rustc, "cargo-clippy"),
            rustfmt=_sibling(candidate.rustc, "rustfmt"),
            origin=candidate.origin,
        )
    raise ToolchainError(install_advice(objections))


def _sysroot_name(candidate: Candidate) -> str:
    commit = candidate.commit_hash[:9]
    return f"{candidate.version}-{commit}-{candidate.identity}-{SYSROOT_RECIPE}"


def _places() -> Iterator[tuple[Path, str]]:
    named = os.environ.get("KERNELLAB_RUSTC")
    if named:
        found = shutil.which(named)
        if found is None:
            raise ToolchainError(f"KERNELLAB_RUSTC names {named}, which cannot be run")
        yield Path(found), "KERNELLAB_RUSTC"
        return
    on_path = [folder / f"rustc{_EXE}" for folder in path_folders()]
    on_path = [path for path in on_path if os.access(path, os.X_OK)]
    for path in on_path[:1]:
        yield path, "on PATH"
    for home in rustup_homes():
        yield home / "bin" / f"rustc{_EXE}", f"rustup toolchain {home.name}"
    for path in on_path[1:]:
        yield path, "on PATH"
    conda = os.environ.get("CONDA_PREFIX")
    if conda:
        folder = Path(conda) / ("Library/bin" if os.name == "nt" else "bin")
        yield folder / f"rustc{_EXE}", "conda"


def rustup_homes() -> list[Path]:
    """The folders of rustup's toolchains, on PATH or not."""
    home = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    try:
        return sorted(p for p in (home / "toolchains").iterdir() if (p / "bin").is_dir())
    except OSError:
        return []


def path_folders() -> list[Path]:
    """The folders on PATH."""
    return [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p]


def _examine(rustc: Path, origin: str) -> Candidate:
    try:
        answer = _ask(rustc, "-vV")
        home = Path(_ask(rustc, "--print", "sysroot").strip())
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        why = f"cannot be run ({_reason(error)})"
        return Candidate(rustc, origin, objection=why)
    fields = dict(re.findall(r"^([\w -]+): (.+)$", answer, re.MULTILINE))
    version = fields.get("release", "")
    # A rustup proxy only passes on, at 30 ms a call: use the compiler behind it.
    behind = home / "bin" / f"rustc{_EXE}"
    real = behind if behind.is_file() else rustc
    numbers = [int(n) for n in re.findall(r"\d+", version)[:2]]
    base = Candidate(
        real,
        origin,
        version,
        fields.get("commit-hash", ""),
        fields.get("host", ""),
        # Builds of one version can differ where a distribution does not record the commit.
        hashlib.sha256(answer.encode()).hexdigest()[:8],
        home,
    )
    if tuple(numbers) < MINIMUM:
        why = f"is {version or 'of an unknown version'}; {MINIMUM[0]}.{MINIMUM[1]} is needed"
        return dataclasses.replace(base, objection=why)
    library = home / "lib" / "rustlib" / TARGET / "lib"
    if any(library.glob("libcore-*.rlib")):
        return dataclasses.replace(base, installed=True)
    sources = [
        home / "lib" / "rustlib" / "src" / "rust" / "library",
        Path("/usr/src") / f"rustc-{version}" / "library",
    ]
    for source in sources:
        if (source / "core" / "src" / "lib.rs").is_file() and builtins_source(source):
            return dataclasses.replace(base, source=source.resolve())
    why = f"{version} has neither the target {TARGET} nor the library's source"
    return dataclasses.replace(base, objection=why)


def builtins_source(library: Path) -> Path | None:
    """The compiler_builtins crate in the library's source, where there is one."""
    places = [library / "compiler-builtins" / "compiler-builtins"]
    places += sorted(library.glob("vendor/compiler_builtins*"), reverse=True)
    return next((p for p in places if (p / "src" / "lib.rs").is_file()), None)


def _ask(program: Path, *arguments: str) -> str:
    # Not in the caller's folder: a rust-toolchain file there is about other code.
    answer = process.run([program, *arguments], cwd=program.parent, timeout=20)
    if answer.returncode:
        first = (answer.stderr.strip() or f"exit code {answer.returncode}").splitlines()[0]
        raise ValueError(first)
    return answer.stdout


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _linker_version(linker: Path) -> str:
    # rust-lld needs to be told which linker to be; lld-link takes that too.
    try:
        answer = process.run([linker, "-flavor", "link", "--version"], timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip().splitlines()[0] if answer.stdout.strip() else ""


def _sibling(rustc: Path, name: str) -> Path | None:
    path = rustc.with_name(f"{name}{_EXE}")
    return path if path.is_file() else None


# -- remembering ----------------------------------------------------------------------------------


def _question() -> str:
    values = {name: os.environ.get(name, "") for name in _VARIABLES}
    values["cache"] = str(cache.cache_root())
    return hashlib.sha256(json.dumps([RECIPE, values]).encode()).hexdigest()


def _memory(question: str) -> Path:
    return cache.cache_root() / "toolchain" / f"{question[:16]}.json"


def _stamp(toolchain: Toolchain) -> list[list[object]]:
    """Times and sizes of what the answer rests on; raises OSError when some of it is gone."""
    files = [toolchain.cargo, toolchain.rustc, toolchain.linker]
    if toolchain.source is not None:
        files.append(toolchain.source / "core" / "src" / "lib.rs")
    else:
        files.append(toolchain.home / "lib" / "rustlib" / TARGET / "lib")
    stats = [(path, path.stat()) for path in files]
    return [[str(path), stat.st_mtime_ns, stat.st_size] for path, stat in stats]


def _recall(question: str) -> Toolchain | None:
    try:
        saved = json.loads(_memory(question).read_text(encoding="utf-8"))
        fields = saved["toolchain"]
        for name in ("cargo", "rustc", "home", "sysroot", "source", "linker", "clippy", "rustfmt"):
            fields[name] = None if fields[name] is None else Path(fields[name])
        toolchain = Toolchain(**fields)
        return toolchain if _stamp(toolchain) == saved["stamp"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _remember(question: str, toolchain: Toolchain) -> None:
    fields = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in dataclasses.asdict(toolchain).items()
    }
    try:
        saved = {"toolchain": fields, "stamp": _stamp(toolchain)}
        cache.write_file(_memory(question), json.dumps(saved, indent=1).encode())
    except OSError:
        pass  # the next process looks again; what cannot be written shows when building
