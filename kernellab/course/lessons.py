"""The lessons: notebooks with a number, in the package or the checkout."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import UsageError
from .exercise import Exercise, of_lesson

_NAME: Final = re.compile(r"(\d\d)-[a-z0-9-]+\.ipynb")
_TITLE: Final = re.compile(r"^#\s+(?:\d+\.\s*)?(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Lesson:
    """A lesson: its number, title and notebook."""

    number: int
    title: str
    path: Path

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """Its exercises, in order."""
        return of_lesson(self.number)


def folder() -> Path:
    """Where the lessons are: in the package when installed, else the checkout's ``notebooks/``.

    Raises UsageError where they are in neither place.
    """
    package = Path(__file__).resolve().parent.parent
    for place in (package / "_notebooks", package.parent / "notebooks"):
        if place.is_dir():
            return place
    raise UsageError("the lessons are missing from the installation: install kernellab again")


def lessons() -> list[Lesson]:
    """All lessons, in order."""
    found = []
    for path in sorted(folder().glob("*.ipynb")):
        match = _NAME.fullmatch(path.name)
        if match:
            found.append(Lesson(int(match[1]), _title(path), path))
    return found


def lesson(number: int) -> Lesson:
    """The lesson ``number``; UsageError where there is none."""
    every = lessons()
    for each in every:
        if each.number == number:
            return each
    raise UsageError(f"there is no lesson {number}: they go from 1 to {every[-1].number}")


def copy(number: int, into: Path) -> Path:
    """Copy a lesson to the folder ``into``, to be worked on; returns the copy.

    Raises UsageError where a file of that name is there: nobody's work is overwritten.
    """
    source = lesson(number).path
    target = into / source.name
    try:
        into.mkdir(parents=True, exist_ok=True)
        with target.open("xb"):
            pass
        shutil.copyfile(source, target)
    except FileExistsError:
        raise UsageError(
            f"{target} is there already: rename it, or name another folder with --to"
        ) from None
    except OSError as error:
        raise UsageError(f"cannot copy the lesson to {into}: {error.strerror}") from error
    return target


def _title(path: Path) -> str:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        match = _TITLE.search("".join(cell["source"]))
        if cell["cell_type"] == "markdown" and match:
            return match[1].strip()
    return path.stem
