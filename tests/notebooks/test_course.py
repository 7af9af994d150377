"""Every lesson runs from top to bottom, and the first one shows what it promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_lesson_is_committed_clean(path: Path) -> None:
    """Without outputs and counts, so that diffs show what an author changed."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.fixture(scope="module")
def executed() -> dict[str, Any]:
    """The lessons as executed notebooks, by name."""
    done = {}
    for path in LESSONS:
        notebook = nbformat.read(path, as_version=4)
        nbclient.NotebookClient(
            notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}}
        ).execute()
        done[path.stem] = notebook
    return done


def shown(notebook: Any, beginning: str) -> str:
    """All text that the cell which begins so shows."""
    cell = next(c for c in notebook.cells if c.source.startswith(beginning))
    return "\n".join(
        o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in cell.outputs
    )


def test_first_lesson(executed: dict[str, Any]) -> None:
    lesson = executed["01-hello-driver"]
    hello = shown(lesson, "%%rustdriver hello")
    assert hello.index("Hello, world!") < hello.index("Bye bye!")
    assert "build" in hello
    assert "first line" in hello
    assert "begins with b'MZ'" in shown(lesson, "data = hello.image")
    assert "Services\\settings" in shown(lesson, "%%rustdriver settings")
    assert "100 % safe: %s %n %x" in shown(lesson, "%%rustdriver printing")
    assert "found 25 primes" in shown(lesson, "primes.unload()")
    leak = shown(lesson, "leaky.unload()")
    assert "leak-pool" in leak
    assert "cell:10" in leak
    assert "STATUS_NOT_SUPPORTED" in shown(lesson, "%%rustdriver refused")
    panics = shown(lesson, "%%rustdriver panics")
    assert "panicked at cell:10" in panics
    assert "> 10 |" in panics
    assert "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED" in shown(lesson, "print(null.bugcheck")
    alive = shown(lesson, "%%rustdriver alive")
    assert "rebooted" in alive
    assert "everything works" in alive


def test_the_saved_notebook_shows_the_log_without_widgets(executed: dict[str, Any]) -> None:
    """What a code host or an export has: text and HTML, finished, no script."""
    cell = next(
        c for c in executed["01-hello-driver"].cells if c.source.startswith("%%rustdriver hello")
    )
    html = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
    assert "Hello, world!" in html
    assert "Bye bye!" in html
    assert "<script" not in html
