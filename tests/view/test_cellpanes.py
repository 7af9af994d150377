"""Panes that are not on the page any more: they are let go of, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kernellab.cell.source import Place
from kernellab.view.cellpanes import CellPanes
from tests.drivers import driver_source
from tests.kernel import Notebook, Result


class Run:
    def __init__(self, size: int = 0, *, retired: bool = True) -> None:
        self.size, self.retired, self.left = size, retired, False

    def held(self) -> int:
        return self.size

    def leave(self) -> None:
        self.left = True


def test_a_cell_that_is_run_again_has_lost_its_panes() -> None:
    panes, runs = CellPanes(), [Run() for _ in range(5)]
    panes.add(Place("a", "1"), runs[0])
    panes.add(Place("a", "1"), runs[1])  # a second one of the same execution
    panes.add(Place("b", "2"), runs[2])
    assert not any(run.left for run in runs)
    panes.add(Place("a", "3"), runs[3])
    assert [run.left for run in runs] == [True, True, False, False, False]
    panes.add(Place("a", "4"), runs[4])
    assert [run.left for run in runs] == [True, True, False, True, False]


def test_where_no_cell_is_named_all_stay_up_to_a_size() -> None:
    panes = CellPanes(most=25)
    runs = [Run(10), Run(10, retired=False), Run(10), Run(10), Run(100, retired=False)]
    for run in runs:
        panes.add(Place(), run)
    panes.trim()
    assert [run.left for run in runs] == [True, False, False, False, False]
    panes.trim()
    assert [run.left for run in runs] == [True, False, False, False, False]


@pytest.fixture
def notebook() -> Iterator[Notebook]:
    made = Notebook()
    yield made
    made.close()


def run_in(notebook: Notebook, cell: str, code: str) -> Result:
    """Run ``code`` as a front end does that says which cell it is."""
    message = notebook.client.session.msg("execute_request", {
        "code": code, "silent": False, "store_history": True, "user_expressions": {},
        "allow_stdin": False, "stop_on_error": True,
    }, metadata={"cellId": cell})  # fmt: skip
    notebook.client.shell_channel.send(message)
    ident: str = message["header"]["msg_id"]
    return notebook.finish(ident)


#: Widgets of panes; of all rows that some pane holds, how many.
COUNT = """
import gc
from ipywidgets.widgets.widget import _instances
from kernellab.pane.rows import Rows
gc.collect()
print(sum(type(w).__name__ == "LogWidget" for w in _instances.values()), len(_instances),
      sum(len(r) for r in gc.get_objects() if isinstance(r, Rows)))
"""


def counted(notebook: Notebook) -> list[int]:
    return [int(word) for word in notebook.run_ok(COUNT).text.split()]


def magic(body: str, name: str = "hello") -> str:
    return f"%%rustdriver {name}\n{driver_source(body)}"


def test_reruns_keep_one_pane(notebook: Notebook) -> None:
    body = 'for n in 0..500 { println!("line {n}"); }'
    assert run_in(notebook, "one", magic(body)).status == "ok"
    first = counted(notebook)
    for _ in range(4):
        shown: list[dict[str, Any]] = run_in(notebook, "one", magic(body)).outputs
        assert "hello: running" in shown[0]["text/plain"]
    assert counted(notebook) == first
    assert first[0] == 1 and first[2] >= 500
    # What does not build is in the cell now; the driver goes on, and so does what follows.
    assert run_in(notebook, "one", magic("oops")).name == "BuildError"
    assert notebook.value("hello.state") == "running"
    assert run_in(notebook, "one", magic(body)).status == "ok"
    assert counted(notebook) == first


def test_the_pane_of_another_cell_stays(notebook: Notebook) -> None:
    run_in(notebook, "one", magic('println!("of the first cell");'))
    run_in(notebook, "two", magic('println!("of the second cell");'))
    assert counted(notebook)[0] == 2
    texts = [each.get("text/plain", "") for each in notebook.shown.values()]
    assert any("of the first cell" in text and "hello unloaded" in text for text in texts)
    # A cell that has another driver now: the one it had is loaded still.
    run_in(notebook, "two", magic('println!("of another");', "other"))
    assert counted(notebook)[0] == 2
    assert notebook.value("hello.state, other.state") == "running running"
    assert notebook.run_ok("hello.unload()").status == "ok"
