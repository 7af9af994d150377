"""The linker's map: linkage names by address, those that a PDB's publics lack too.

A function that is used in one object file only is a static symbol; a PDB has it by its
MSVC-like name alone (``hello::impl$0::init``), lld-link's map by its real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BASE: Final = re.compile(r"^ Preferred load address is ([0-9a-f]{16})\s*$", re.MULTILINE)
_SYMBOL: Final = re.compile(r"^ [0-9a-f]{4}:[0-9a-f]{8}\s+(\S+)\s+([0-9a-f]{16})\s", re.MULTILINE)
_PATH: Final = re.compile(r"^@(\[.*\])$", re.MULTILINE)
_LINE: Final = re.compile(r"^([0-9a-f]+) (\S+)$", re.MULTILINE)


def path_for(pdb: Path) -> Path:
    """Where the names for a PDB are kept."""
    return pdb.with_suffix(".names")


def shorten(text: str) -> str:
    """A map as lld-link writes it, cut down to ``address name`` lines without any path.

    Addresses are hexadecimal and relative to the image's base.
    """
    base = _BASE.search(text)
    if base is None:
        return ""
    start = int(base[1], 16)
    found = {int(m[2], 16) - start: m[1] for m in _SYMBOL.finditer(text, base.end())}
    return "".join(f"{rva:x} {name}\n" for rva, name in sorted(found.items()) if rva > 0)


def read(pdb: Path) -> dict[int, str]:
    """The names kept for a PDB, by address; empty where there are none."""
    try:
        text = path_for(pdb).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return {int(m[1], 16): m[2] for m in _LINE.finditer(text)}


@dataclass(frozen=True, slots=True)
class ItemPath:
    """What the paths of a source's items begin with, in some of its lines (from 1)."""

    file: str
    first: int
    last: int
    path: str


def paths_text(paths: Iterable[ItemPath]) -> str:
    """Item paths as lines to be kept behind those of :func:`shorten`."""
    return "".join(f"@{json.dumps([p.file, p.first, p.last, p.path])}\n" for p in paths)


def read_paths(pdb: Path) -> list[ItemPath]:
    """The item paths kept for a PDB; empty where there are none."""
    try:
        text = path_for(pdb).read_text(encoding="utf-8")
        return [ItemPath(*json.loads(match[1])) for match in _PATH.finditer(text)]
    except (OSError, ValueError, TypeError):
        return []
