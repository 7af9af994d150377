"""An assignment made of a lesson, from its release to its grade, in nbgrader itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from kernellab.course.lessons import lesson
from kernellab.course.nbgrader import make_assignment
from kernellab.errors import UsageError

pytest.importorskip("nbgrader", reason="nbgrader's exchange needs a POSIX system")


def nbgrader(course: Path, *arguments: str) -> str:
    """One of nbgrader's commands, in the course's folder; what it says."""
    home = course.parent / "home"
    home.mkdir(exist_ok=True)
    # It looks for programs of its own on the PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}
    environment["JUPYTER_DATA_DIR"] = str(home)
    environment["KERNELLAB_PROGRESS"] = str(home / "progress.json")
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env={**environment, "USER": "student", "LOGNAME": "student"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def solution(number: str) -> str:
    """The folded solution of an exercise, as its lesson has it."""
    notebook: Any = nbformat.read(lesson(int(number.partition(".")[0])).path, as_version=4)
    cells = notebook.cells
    at = next(i for i, cell in enumerate(cells) if cell.source.startswith(f'check("{number}"'))
    found = re.search(r"```rust\n(.*?)```", cells[at + 1].source, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_an_assignment_is_released_submitted_and_graded(tmp_path: Path) -> None:
    course = tmp_path / "course"
    source = make_assignment(1, course)
    with (course / "nbgrader_config.py").open("a") as config:
        config.write(f"c.Exchange.root = {str(tmp_path / 'exchange')!r}\n")
        config.write(f"c.Exchange.cache = {str(tmp_path / 'cache')!r}\n")
    (tmp_path / "exchange").mkdir(mode=0o777)
    (tmp_path / "exchange").chmod(0o777)

    nbgrader(course, "generate_assignment", "lesson01", "--create")
    released = (course / "release" / "lesson01" / source.name).read_text()
    assert "your code here" in released and 'my first driver\\");' not in released
    nbgrader(course, "release_assignment", "lesson01")

    desk = tmp_path / "desk"
    desk.mkdir()
    (desk / "nbgrader_config.py").write_text((course / "nbgrader_config.py").read_text())
    nbgrader(desk, "fetch_assignment", "lesson01")
    work = desk / "lesson01" / source.name
    notebook: Any = nbformat.read(work, as_version=4)
    first = next(cell for cell in notebook.cells if "ex11_first" in cell.source)
    first.source = first.source.partition("\n")[0] + "\n" + solution("1.1")
    nbformat.write(notebook, work)
    nbgrader(desk, "submit", "lesson01")

    nbgrader(course, "collect", "lesson01")
    nbgrader(course, "autograde", "lesson01", "--create")
    nbgrader(course, "export", "--to", "grades.csv")
    lines = (course / "grades.csv").read_text().splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (float(row["score"]), float(row["max_score"])) == (1.0, 3.0)


def test_an_assignment_is_not_overwritten(tmp_path: Path) -> None:
    path = make_assignment(1, tmp_path)
    text = path.read_text()
    assert "Solution" not in text and 'check(\\"1.1\\", strict=True)' in text
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        make_assignment(1, tmp_path)
    assert path.read_text() == "mine"
    with pytest.raises(UsageError, match="there is no lesson 99"):
        make_assignment(99, tmp_path)
