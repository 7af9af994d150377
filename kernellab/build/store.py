"""Finished drivers by content: the same cell again costs a look into a folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import cache
from .diagnostics import Diagnostic, fields, restore

#: Bytes of finished drivers that are kept; those not used for longest go first.
KEEP: Final = 2 * 1024**3

_RESULT: Final = "result.json"


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A built driver.

    ``sys`` and ``pdb`` lie in the cache folder: copy what is to stay. ``size`` is in bytes,
    ``sha256`` the image's in hexadecimal. ``diagnostics`` are the warnings, also when
    ``cached`` says that an earlier build was used. ``seconds`` is the time this call took;
    ``command`` and ``crates`` are of the build that made it: what was run, and the crates with
    the seconds that each took (0 where it was there).
    """

    name: str
    sys: Path
    pdb: Path
    size: int
    sha256: str
    diagnostics: tuple[Diagnostic, ...]
    cached: bool
    seconds: float
    release: bool
    command: str = ""
    crates: tuple[tuple[str, float], ...] = ()
    #: The driver's own source by the names that messages have for it.
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def image(self) -> Path:
        """The image, as a loaded driver calls it: ``sys``."""
        return self.sys


def load(key: str, *, release: bool) -> BuildResult | None:
    """The driver stored under ``key``, where it is there and whole."""
    place = _place(key)
    try:
        saved = json.loads((place / _RESULT).read_text(encoding="utf-8"))
        image = place / saved["sys"]
        pdb = place / saved["pdb"]
        if image.stat().st_size != saved["size"] or not pdb.is_file():
            return None
        diagnostics = tuple(restore(each) for each in saved["diagnostics"])
        result = BuildResult(
            saved["name"],
            image,
            pdb,
            saved["size"],
            saved["sha256"],
            diagnostics,
            cached=True,
            seconds=0.0,
            release=release,
            command=str(saved.get("command", "")),
            crates=tuple((str(name), float(took)) for name, took in saved.get("crates", ())),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with contextlib.suppress(OSError):
        os.utime(place)  # used just now: `prune` goes by that
    return result


def save(
    key: str,
    name: str,
    image: bytes,
    beside: Mapping[str, bytes],
    diagnostics: Sequence[Diagnostic],
    *,
    command: str = "",
    crates: Sequence[tuple[str, float]] = (),
) -> None:
    """Store a driver and the files ``beside`` it, its PDB first; raises OSError."""
    place = _place(key)
    if place.is_dir():
        cache.remove(place)  # was not whole, or `load` would have found it
    with cache.new_folder(place) as folder:
        (folder / f"{name}.sys").write_bytes(image)
        for other, content in beside.items():
            (folder / other).write_bytes(content)
        saved = {
            "name": name,
            "sys": f"{name}.sys",
            "pdb": next(iter(beside)),
            "size": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
            "diagnostics": [fields(each) for each in diagnostics],
            "command": command,
            "crates": [list(each) for each in crates],
        }
        (folder / _RESULT).write_text(json.dumps(saved), encoding="utf-8")


def forget(key: str) -> None:
    """Delete what is stored under ``key``."""
    cache.remove(_place(key))


def prune(keep: int = KEEP) -> None:
    """Delete the drivers that were not used for longest until the rest fits ``keep`` bytes."""
    root = cache.cache_root() / "drivers"
    found = []
    with contextlib.suppress(OSError):
        cache.clean(root)
        for place in root.iterdir():
            with contextlib.suppress(OSError):
                found.append((place.stat().st_mtime, cache.size_of(place), place))
    total = sum(size for _time, size, _place in found)
    for _time, size, place in sorted(found):
        if total <= keep:
            return
        cache.remove(place)
        total -= size


def count() -> int:
    """How many drivers are stored."""
    try:
        return sum(1 for _place in (cache.cache_root() / "drivers").iterdir())
    except OSError:
        return 0


def _place(key: str) -> Path:
    return cache.cache_root() / "drivers" / key[:40]
