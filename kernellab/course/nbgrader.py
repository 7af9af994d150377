"""A lesson's exercises as an assignment for nbgrader.

nbgrader finds in a cell's metadata what it is: an exercise's cell is the student's to change, a
check's cell is locked and gives points where it raises nothing (nbgrader, "Creating and grading
assignments"). In the assignment each ``check("2.1")`` is ``check("2.1", strict=True)``, and the
folded solutions are left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import nbformat

from ..errors import UsageError
from .exercise import find
from .lessons import lesson

#: A check in a lesson; what follows the number is kept.
CHECK: Final = re.compile(r'^check\("(\d+\.\d+)"', re.MULTILINE)
#: A folded solution's cell.
SOLUTION: Final = re.compile(r"^<details>\s*<summary>.*?[Ss]olution", re.MULTILINE)

_CONFIG: Final = """\
# Made by `kernellab course --nbgrader`.
c = get_config()
c.CourseDirectory.course_id = "kernel-drivers"
# What a student begins with stands in the cells as it is: nothing has to be cleared.
c.GenerateAssignment.preprocessors = [
    "nbgrader.preprocessors.IncludeHeaderFooter",
    "nbgrader.preprocessors.LockCells",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.CheckCellMetadata",
    "nbgrader.preprocessors.ComputeChecksums",
    "nbgrader.preprocessors.SaveCells",
]
c.ExecutePreprocessor.timeout = 120
"""


def make_assignment(number: int, course: Path) -> Path:
    """Write lesson ``number`` to ``course/source/lessonNN``; returns the notebook.

    A configuration is written to the course's folder where it has none. Raises UsageError where
    the lesson has no exercises or the assignment is there already.
    """
    source = lesson(number)
    notebook: Any = nbformat.read(source.path, as_version=4)
    if not source.exercises:
        raise UsageError(f"lesson {number} has no exercises")
    name = f"lesson{number:02}"
    target = course / "source" / name / source.path.name
    if target.exists():
        raise UsageError(f"{target} is there already: delete it to make it anew")
    notebook.cells = [each for each in notebook.cells if not SOLUTION.search(each.source)]
    previous: Any = None
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{index}"
        if cell.cell_type != "code":
            continue
        cell.outputs, cell.execution_count = [], None
        match = CHECK.search(cell.source)
        if match:
            _check_cell(cell, match[1])
            if previous is not None:
                _mark(previous, f"exercise-{match[1]}", solution=True)
        previous = cell
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
        config = course / "nbgrader_config.py"
        if not config.exists():
            config.write_text(_CONFIG, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write the assignment to {course}: {error.strerror}") from error
    return target


def _check_cell(cell: Any, number: str) -> None:
    cell.source = re.sub(
        rf'^check\("{re.escape(number)}"(.*)\)\s*$',
        rf'check("{number}"\1, strict=True)',
        cell.source,
        flags=re.MULTILINE,
    )
    _mark(cell, f"check-{number}", points=find(number).points)


def _mark(cell: Any, name: str, *, solution: bool = False, points: int | None = None) -> None:
    """What nbgrader is to know of the cell (its metadata, schema 3)."""
    cell.metadata["nbgrader"] = {
        "grade": points is not None,
        "grade_id": name.replace(".", "-"),
        "locked": not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
        **({"points": points} if points is not None else {}),
    }
