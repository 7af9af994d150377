"""The drivers that a notebook's cells describe, as a run from top to bottom would leave them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from ..cell.options import parse_file_magic, parse_magic
from ..cell.source import CellSource, cell_source
from ..errors import UsageError

_DRIVER, _FILE, _FILE_LINE = "%%rustdriver", "%%rustfile", "%rustfile"


@dataclass(frozen=True, slots=True)
class NotebookDriver:
    """One driver of a notebook: its last cell of that name, and its files at that place.

    ``cell`` is the cell's number among the notebook's code cells, from 1; ``modules`` are the
    further files by path; ``dependencies`` what ``--dep`` gave; ``release`` whether it was
    built so.
    """

    name: str
    cell: int
    source: CellSource = field(repr=False)
    modules: Mapping[str, CellSource] = field(repr=False)
    dependencies: tuple[str, ...]
    release: bool


def read_drivers(path: Path) -> dict[str, NotebookDriver]:
    """The drivers in the notebook at ``path``, by name, in the order of their first cells.

    Raises UsageError for a file that cannot be read, is no notebook, or has a magic's line that
    is not understood.
    """
    try:
        # As it stands: an older form is brought up to this one while it is read.
        notebook: Any = nbformat.read(path, as_version=4)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # nbformat lets through what its parsers raise
        raise UsageError(f"{path} is not a notebook") from error
    drivers: dict[str, NotebookDriver] = {}
    files: dict[str, dict[str, CellSource]] = {}
    number = 0
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        number += 1
        try:
            _read_cell(number, str(cell.source), drivers, files)
        except UsageError as error:
            raise UsageError(f"{path}, code cell {number}: {error}") from None
    return drivers


def _read_cell(
    number: int,
    text: str,
    drivers: dict[str, NotebookDriver],
    files: dict[str, dict[str, CellSource]],
) -> None:
    first, _, body = text.lstrip("\n").partition("\n")
    magic, _, line = first.partition(" ")
    # IPython ends a cell with a newline; a notebook's file does not.
    body = body if body.endswith("\n") else body + "\n"
    if magic == _DRIVER:
        options = parse_magic(line)
        drivers[options.name] = NotebookDriver(
            options.name,
            number,
            cell_source(options.name, line, body),
            dict(files.get(options.name, {})),
            tuple(options.dep),
            options.release,
        )
    elif magic == _FILE:
        given = parse_file_magic(line)
        if given.path:
            source = cell_source(given.name, line, body, "rustfile")
            files.setdefault(given.name, {})[given.path] = source
    else:
        for each in text.splitlines():
            if each.startswith(f"{_FILE_LINE} ") and "--remove" in each:
                given = parse_file_magic(each.removeprefix(_FILE_LINE))
                files.get(given.name, {}).pop(given.path, None)
