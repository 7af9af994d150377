"""The folder that Cargo works in: the framework, compiled once, and one driver at a time.

There is one for each template and toolchain. It is a Cargo workspace whose root package is
the driver that is being built, so that all drivers share the framework's compiled crates and
each keeps its own incremental data. A lock file keeps two builds apart; Cargo would keep them
apart by itself, but not the files that we write.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from . import cache, progress
from .toolchain import TARGET, Toolchain

_READY: Final = ".ready"
_LOCK: Final = "lock"
#: The sources of the driver that lies in the workspace now, as a list.
_SOURCES: Final = "sources.json"

#: Seconds without use after which the folder of another template or toolchain is deleted.
_UNUSED: Final = 21 * 24 * 3600.0

#: Environment variables that would change what Cargo and rustc do; the user's own are theirs.
_UNWANTED: Final = (
    "RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTC_BOOTSTRAP RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER"
    " CARGO_INCREMENTAL CARGO_TARGET_DIR RUSTUP_TOOLCHAIN CARGO_TERM_COLOR"
    " CARGO_TERM_PROGRESS_WHEN LINK _LINK_"
).split()
_UNWANTED_PREFIXES: Final = ("CARGO_BUILD_", "CARGO_TARGET_", "CARGO_PROFILE_", "CARGO_UNSTABLE_")


class TemplateLike(Protocol):
    """What a build needs of the template that a crate is made from."""

    @property
    def digest(self) -> str: ...
    @property
    def lock(self) -> str: ...
    def files(self) -> Iterator[tuple[str, bytes]]: ...


class ImplLike(Protocol):
    """An ``impl`` block in a crate's source: its lines and how its items' paths begin."""

    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def path(self) -> str: ...


class CrateLike(Protocol):
    """What a build needs of a crate (``kernellab.crate.Crate``)."""

    @property
    def name(self) -> str: ...
    @property
    def file_name(self) -> str: ...
    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def dependencies(self) -> Mapping[str, object]: ...
    @property
    def template(self) -> TemplateLike: ...
    @property
    def supplied(self) -> int: ...
    def impls(self) -> Mapping[str, Sequence[ImplLike]]: ...
    @property
    def key(self) -> str: ...


def place_for(crate: CrateLike, toolchain: Toolchain) -> Path:
    """The workspace's folder for this crate and toolchain."""
    return _place(f"{crate.template.digest[:16]}-{toolchain.key}")


def place_for_folder(folder: Path, toolchain: Toolchain) -> Path:
    """The same for a crate of the user's own, which stays where it is."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return _place(f"{name}-{toolchain.key}")


def _place(name: str) -> Path:
    # Cargo and rustc speak of the folder they are in by its real name, without symbolic links.
    return (cache.cache_root() / "work" / name).resolve()


def lock_of(place: Path) -> Path:
    """The lock file that must be held while anything in the folder is changed."""
    return place.with_name(place.name + "." + _LOCK)


def map_of(place: Path) -> Path:
    """Where the linker writes its map."""
    return place / "driver.map"


def is_ready(place: Path) -> bool:
    """Whether the workspace was laid out, and something was built in it."""
    return (place / _READY).is_file() and (place / "target").is_dir()


def prepare(place: Path, crate: CrateLike) -> None:
    """Lay out the workspace for ``crate``; raises OSError. The lock must be held."""
    if not (place / _READY).is_file():
        cache.remove(place)
        for path, content in crate.template.files():
            target = place / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (place / _READY).touch()
        _retire(place)
    os.utime(place / _READY)
    _write_if_changed(place / "Cargo.toml", crate.files["Cargo.toml"])
    sources = {path: text for path, text in crate.files.items() if path != "Cargo.toml"}
    _remove_others(place, sources)
    for path, text in sources.items():
        # Always written: Cargo compares times, and what it built last may be another cell.
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text, encoding="utf-8", newline="")
    saved = saved_lock(place, crate)
    text = saved.read_text(encoding="utf-8") if saved.is_file() else crate.template.lock
    if text:
        _write_if_changed(place / "Cargo.lock", text)


def _remove_others(place: Path, sources: Iterable[str]) -> None:
    """Delete the sources of the driver that was built here before; note whose lie here now.

    A module that is left behind would be found by the next driver.
    """
    note = place / _SOURCES
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        before = [path.name for path in place.glob("*.rs")]
    for path in before:
        if path not in sources:
            (place / path).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others lie there still
                (place / path).parent.rmdir()
    _write_if_changed(note, json.dumps(sorted(sources)))


def keep_lock(place: Path, crate: CrateLike) -> None:
    """Remember which versions were chosen for the crate's dependencies: the same next time."""
    if crate.dependencies:
        saved = saved_lock(place, crate)
        text = (place / "Cargo.lock").read_bytes()
        if not saved.is_file() or saved.read_bytes() != text:
            cache.write_file(saved, text)


def saved_lock(place: Path, crate: CrateLike) -> Path:
    """Where the versions that were chosen for the crate's dependencies are kept."""
    name = hashlib.sha256(crate.files["Cargo.toml"].encode()).hexdigest()[:16]
    return place / "locks" / f"{name}.lock"


def _write_if_changed(path: Path, text: str) -> None:
    data = text.encode()
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        pass
    path.write_bytes(data)


def _retire(place: Path) -> None:
    """Delete the workspaces of templates and toolchains that nobody uses any more."""
    for other in place.parent.iterdir():
        with contextlib.suppress(OSError):
            age = time.time() - (other / _READY).stat().st_mtime
            if other != place and age > _UNUSED:
                cache.remove(other)


def environment(
    place: Path,
    toolchain: Toolchain,
    *,
    remapped: Sequence[tuple[str, str]] = (),
) -> dict[str, str]:
    """The environment that Cargo runs in, with the flags that make a driver of a cdylib.

    ``remapped`` are further beginnings of paths, and what stands there in what is built.
    """
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in _UNWANTED and not key.startswith(_UNWANTED_PREFIXES)
    }
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    flags = [
        f"-Clinker={toolchain.linker}",
        f"-Clinker-flavor={toolchain.linker_flavor}",
        *(f"-Clink-arg={word}" for word in LINK_ARGUMENTS),
        f"-Clink-arg=/MAP:{map_of(place)}",
        # What a macro makes is at the line where it is used: stacks show the cell.
        "-Ccollapse-macro-debuginfo=yes",
        f"--remap-path-prefix={home / 'registry' / 'src'}=registry",
        *(f"--remap-path-prefix={old}={new}" for old, new in ((place, ""), *remapped)),
    ]
    if toolchain.sysroot is not None:
        flags = [f"--sysroot={toolchain.sysroot}", *flags]
    env["CARGO_ENCODED_RUSTFLAGS"] = "\x1f".join(flags)
    env["CARGO_TARGET_DIR"] = str(place / "target")
    env["CARGO_BUILD_TARGET"] = TARGET
    env["RUSTC"] = str(toolchain.rustc)
    env["CARGO_TERM_COLOR"] = "never"
    env.update(progress.ENVIRONMENT)
    env["CARGO_HTTP_TIMEOUT"] = "15"
    env["CARGO_NET_RETRY"] = "1"
    return env


#: lld-link's options for a driver (Microsoft Learn, "Linker options"). /RELEASE writes the
#: checksum that the kernel's loader wants; /Brepro keeps the clock out of the image.
LINK_ARGUMENTS: Final = (
    "/NODEFAULTLIB",
    "/SUBSYSTEM:NATIVE",
    "/DRIVER",
    "/ENTRY:DriverEntry",
    "/Brepro",
    "/RELEASE",
)
