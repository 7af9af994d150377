"""Run lessons and keep what they show: ``python tools/lessons.py [NUMBER ...]``, all unless named.

What differs from run to run is taken out of what is kept (widgets, times, the panes' identifiers),
so that a lesson's file changes only where what it shows does.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import nbclient
import nbformat

ROOT: Final = Path(__file__).parents[1]
NOTEBOOKS: Final = ROOT / "notebooks"

_WIDGET: Final = "application/vnd.jupyter.widget-view+json"
_PANE: Final = re.compile(r"kernellab-[0-9a-f]{12}")
_TIME: Final = r"\d+(?:\.\d+)? (?:ms|s|µs)"
_TIMINGS: Final = re.compile(rf"(?:build|load|first line|unload) {_TIME}(?: · )?")


def execute(path: Path, timeout: int = 120) -> Any:
    """The lesson after a run from top to bottom on a kernel of its own, in a folder of its own.

    Raises nbclient's CellExecutionError where a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    # A pane's saved form follows when its log was quiet for a second: the last ones' too.
    notebook.cells.append(nbformat.v4.new_code_cell("import time; time.sleep(1.5)"))
    with tempfile.TemporaryDirectory() as folder:
        # Solving exercises here is not the user's own progress.
        environment = {**os.environ, "KERNELLAB_PROGRESS": str(Path(folder) / "progress.json")}
        client = nbclient.NotebookClient(
            notebook,
            timeout=timeout,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=environment)
    notebook.cells.pop()
    return notebook


def clean(notebook: Any) -> Any:
    """``notebook`` with what it shows as it is kept."""
    notebook.metadata.pop("widgets", None)
    panes: dict[str, str] = {}
    for number, cell in enumerate(_code(notebook), 1):
        cell.execution_count = number
        cell.metadata.pop("execution", None)
        cell.outputs = _joined(
            [each for each in cell.outputs if _WIDGET not in each.get("data", {})]
        )
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
            for data, key in _texts(output):
                text = data[key] if isinstance(data[key], str) else "".join(data[key])
                data[key] = _steady(text, panes)
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """``outputs`` with what a stream wrote in one piece: how it is cut depends on time."""
    joined: list[Any] = []
    for each in outputs:
        if joined and "name" in each and each.get("name") == joined[-1].get("name"):
            joined[-1].text += each.text
        else:
            joined.append(each)
    return joined


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _texts(output: Any) -> Iterator[tuple[Any, str]]:
    if "text" in output:
        yield output, "text"
    for kind in output.get("data", {}):
        if kind.startswith("text/") or kind == "image/svg+xml":
            yield output.data, kind


def _steady(text: str, panes: dict[str, str]) -> str:
    text = _PANE.sub(
        lambda match: panes.setdefault(match[0], f"kernellab-{len(panes) + 1:012x}"), text
    )
    return _TIMINGS.sub("", text).replace(" · \n", "\n")


def main(arguments: Sequence[str]) -> int:
    """Run the lessons with the numbers given, or all, and write them."""
    wanted = {int(each) for each in arguments}
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]-*.ipynb")):
        if not wanted or int(path.name[:2]) in wanted:
            begin = time.monotonic()
            nbformat.write(clean(execute(path)), path)
            print(f"{path.name}: {time.monotonic() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
