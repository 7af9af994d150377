"""From addresses in a driver to functions, files and lines, by the PDB beside it.

A PDB's procedures carry MSVC-like names (``hello::impl$0::init``); the names as Rust writes
them (``<hello::Module as KernelModule>::init``) are in its public symbols, mangled. Both are
read: the procedure's place from ``symbolic``, its name from the linker's map, which a build
keeps beside the PDB, or from the PDB's public symbols.
"""

from __future__ import annotations

import bisect
import dataclasses
import re
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from ..protocol import Frame
from . import linker_map, pdb
from .demangle import demangle


class Symbols:
    """The symbols in one PDB, opened at the first look-up.

    A PDB that is missing, damaged or not a PDB has none: looking up finds nothing then.
    """

    def __init__(self, pdb_path: Path) -> None:
        self.path = pdb_path
        self._lock = threading.Lock()
        self._cache: Any = None
        self._names: dict[int, str] = {}
        self._addresses: list[int] = []
        self._paths: list[linker_map.ItemPath] = []
        self._opened = False
        self._known: dict[int, list[Frame]] = {}

    @classmethod
    def beside(cls, image: Path) -> Self | None:
        """The symbols of the driver at ``image``: of the PDB beside it, None without one."""
        stem = image.with_suffix("")
        for name in (stem.name, stem.name.replace("-", "_")):
            path = stem.with_name(f"{name}.pdb")
            if path.is_file():
                return cls(path)
        return None

    def lookup(self, rva: int) -> list[Frame]:
        """The functions that the address (relative to the image's base) is in.

        Innermost first; all but the last are inlined into the next. Each has ``function``,
        ``file``, ``line``, ``inlined`` and ``rva``. Empty where nothing is known.
        """
        with self._lock:
            known = self._known.get(rva)
            if known is None:
                if len(self._known) > 65536:
                    self._known.clear()
                known = self._known[rva] = self._lookup(rva)
            return list(known)

    def named(self) -> list[tuple[int, str]]:
        """Addresses and names of the functions and data that have a symbol, in order."""
        with self._lock:
            if not self._opened:
                self._open()
            return [(rva, self._names[rva]) for rva in self._addresses]

    def _lookup(self, rva: int) -> list[Frame]:
        if not self._opened:
            self._open()
        if self._cache is None or not 0 <= rva < 1 << 32:
            return []
        try:
            found = list(self._cache.lookup(rva))
        except Exception:  # damaged where it was not looked at before
            return []
        frames = []
        for index, location in enumerate(found):
            last = index == len(found) - 1
            name = self._names.get(location.sym_addr) if last else None
            file, line = short_path(location.full_path or ""), location.line or 0
            function = name or self._item(readable(location.symbol or ""), file, line)
            frames.append(Frame(rva=rva, function=function, file=file, line=line, inlined=not last))
        if not frames:
            near = self._nearest(rva)
            return [Frame(rva=rva, function=near)] if near else []
        return frames

    def _item(self, name: str, file: str, line: int) -> str:
        """``hello::{impl#0}::init`` by the source's own words: ``<Module as …>::init``."""
        impl = _NUMBERED.search(name)
        if impl is None:
            return name
        around = [p for p in self._paths if p.file == file and p.first <= line <= p.last]
        if not around:
            return name
        inner = max(around, key=lambda each: each.first)
        return inner.path + name[impl.end() :]

    def _nearest(self, rva: int) -> str:
        # Only the library's own functions, which have no line tables: from one public to the next.
        index = bisect.bisect_right(self._addresses, rva)
        return self._names[self._addresses[index - 1]] if index else ""

    def _open(self) -> None:
        self._opened = True
        try:
            from symbolic.debuginfo import Archive

            for name in Archive.open(str(self.path)).iter_objects():
                self._cache = name.make_symcache()
                break
        except Exception:  # whatever symbolic makes of a damaged file
            self._cache = None
            return
        names = linker_map.read(self.path) or pdb.publics(self.path)
        self._names = {rva: demangle(name) for rva, name in names.items()}
        self._addresses = sorted(self._names)
        self._paths = linker_map.read_paths(self.path)


def symbolize(frames: Sequence[Frame], images: Mapping[str, Symbols]) -> tuple[Frame, ...]:
    """``frames`` with function, file and line, inlined functions as frames of their own.

    ``images`` are the symbols by module name. The innermost frame's address is looked up as it
    is; the others are return addresses, so what is looked up is the call before. Frames of
    other modules, and all where the PDB is missing or damaged, stay as they are.
    """
    out: list[Frame] = []
    for index, frame in enumerate(frames):
        symbols = images.get(frame.module)
        found: list[Frame] = []
        if symbols is not None and not frame.function:
            found = symbols.lookup(frame.rva - 1 if index and frame.rva else frame.rva)
        out.extend(
            dataclasses.replace(each, address=frame.address, module=frame.module, rva=frame.rva)
            for each in found
        )
        if not found:
            out.append(frame)
    return tuple(out)


# -- names ----------------------------------------------------------------------------------------

_ENUM: Final = re.compile(r"enum2\$<((?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*?) ?>")
_REFERENCE: Final = re.compile(r"\b(?:ref|ptr_const)\$<((?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*?) ?>")
_SLICE: Final = re.compile(r"\bslice2\$<((?:[^<>]|<(?:[^<>]|<[^<>]*>)*>)*?) ?>")
_NUMBERED: Final = re.compile(r"^[\w:]*\{impl#\d+\}")
_IMPL: Final = re.compile(r"\bimpl\$(\d+)")
_CLOSURE: Final = re.compile(r"\bclosure_env\$(\d+)|\bclosure\$(\d+)")


@lru_cache(maxsize=4096)
def readable(name: str) -> str:
    """A procedure's name from debug information, in Rust's spelling, without parameters."""
    name = _without_parameters(name)
    name = re.sub(r"\bstr\$", "str", name)
    for _depth in range(4):
        name = _ENUM.sub(r"\1", name)
        name = _REFERENCE.sub(r"&\1", name)
        name = _SLICE.sub(r"[\1]", name)
    name = _IMPL.sub(r"{impl#\1}", name)
    name = _CLOSURE.sub(lambda m: f"{{closure#{m[1] or m[2]}}}", name)
    return name.replace(" >", ">").replace(" >", ">")


def _without_parameters(name: str) -> str:
    depth = 0
    for index, character in enumerate(name):
        if character == "<":
            depth += 1
        elif character == ">":
            depth -= 1
        elif character == "(" and depth == 0 and index:
            return name[:index]
    return name


_LIBRARY: Final = re.compile(r"^.*?[\\/](?:rustc[\\/][^\\/]+[\\/])?library[\\/]")
#: Cargo's folder for a registry ends with a hash; the framework has a module ``registry`` too.
_REGISTRY: Final = re.compile(r"^.*?registry[\\/](?:src[\\/])?[\w.-]+-[0-9a-f]{6,}[\\/]")


@lru_cache(maxsize=4096)
def short_path(path: str) -> str:
    """A source file's name for people: ``cell``, ``windows-kernel-rs/src/print.rs``, ``core/…``.

    Debug information has the workspace's root as ``/`` (it was mapped to nothing).
    """
    path = path.replace("\\", "/")
    if "/library/" in path and "/rustc/" in f"/{path}":
        return _LIBRARY.sub("", path)
    if _REGISTRY.match(path):
        return _REGISTRY.sub("", path)
    return path.removeprefix("./").lstrip("/")
