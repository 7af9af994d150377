"""A cell with ``--target wine`` in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kernellab.lab import Target
from tests.drivers import BODY_LINE, driver_source
from tests.kernel import Notebook


@pytest.fixture(scope="module")
def notebook(wine: Target) -> Iterator[Notebook]:
    kernel = Notebook()
    yield kernel
    kernel.close()


def cell(name: str, body: str) -> str:
    return f"%%rustdriver {name} --target wine\n{driver_source(body)}"


def test_a_cell_runs_again_and_a_crash_is_shown_at_its_line(notebook: Notebook) -> None:
    result = notebook.run(cell("onwine", 'println!("in Wine");'))
    assert result.status == "ok", result.traceback
    assert "in Wine" in result.text
    assert notebook.value("f'{onwine.state} on {onwine.target.name}'") == "running on wine"
    again = notebook.run(cell("onwine", 'println!("in Wine again");'))
    assert again.status == "ok", again.traceback
    assert "in Wine again" in again.text
    crash = notebook.run(cell("onwine", 'panic!("gone");'))
    assert f"cell:{BODY_LINE + 1}" in crash.text + crash.traceback
    after = notebook.run(cell("onwine", 'println!("up again");'))
    assert after.status == "ok", after.traceback
    assert "up again" in after.text
