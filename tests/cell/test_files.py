"""``%%rustfile``: drivers of several files, in a real IPython kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drivers import driver_source
from tests.kernel import Notebook

MAIN = driver_source('wire::frame::greet("files");').replace(
    "use windows_kernel_rs", "mod wire;\nuse windows_kernel_rs", 1
)
WIRE = "pub mod frame;\n"
FRAME = """\
use windows_kernel_rs::println;

pub fn greet(name: &str) {
    println!("hello from {name}");
}
"""


@pytest.fixture(scope="module")
def notebook() -> Iterator[Notebook]:
    notebook = Notebook()
    yield notebook
    notebook.close()


@pytest.fixture
def several(notebook: Notebook) -> Notebook:
    notebook.run_ok(f"%%rustfile several wire.rs\n{WIRE}")
    notebook.run_ok(f"%%rustfile several wire/frame.rs\n{FRAME}")
    return notebook


def test_a_driver_of_three_files_runs(several: Notebook) -> None:
    listed = several.run("%rustfile several")
    assert "wire.rs: 2 lines" in listed.text and "wire/frame.rs: 6 lines" in listed.text
    several.run_ok(f"%%rustdriver several\n{MAIN}")
    assert several.value("several.log.lines") == "['hello from files']"


def test_a_changed_file_is_built_when_the_driver_runs_next(several: Notebook) -> None:
    several.run_ok(f"%%rustfile several wire/frame.rs\n{FRAME.replace('hello', 'good day')}")
    several.run_ok(f"%%rustdriver several\n{MAIN}")
    assert several.value("several.log.lines") == "['good day from files']"


def test_an_error_names_the_file_and_the_line_of_its_cell(several: Notebook) -> None:
    several.run_ok(f"%%rustfile several wire/frame.rs\n{FRAME.replace('{name}', '{nome}')}")
    result = several.run(f"%%rustdriver several\n{MAIN}")
    assert result.name == "BuildError"
    assert "wire/frame.rs:5" in result.traceback


def test_a_bug_check_shows_the_line_in_the_file(several: Notebook) -> None:
    bad = FRAME.replace("println!", 'if name != "" { panic!("no {name}"); }\n    println!')
    several.run_ok(f"%%rustfile several wire/frame.rs\n{bad}")
    result = several.run(f"%%rustdriver several --allow-failure\n{MAIN}")
    assert "Line 5 of your code (wire/frame.rs)" in result.html
    assert "→ 5 │     if name != " in result.html
    assert "> 5 |     if name != " in result.text
    assert "Look at line 5 of wire/frame.rs" in result.text


def test_a_file_that_is_taken_away_is_missed(several: Notebook) -> None:
    several.run_ok(f"%%rustdriver several\n{MAIN}")
    several.run_ok("%rustfile several wire/frame.rs --remove")
    result = several.run(f"%%rustdriver several\n{MAIN}")
    assert result.name == "BuildError" and "frame" in result.traceback
    result = several.run(f"%%rustdriver alone\n{MAIN}")  # another driver does not see them
    assert result.name == "BuildError" and "wire" in result.traceback


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("%%rustfile\nfn f() {}", "NAME"),
        ("%%rustfile several ../evil.rs\nfn f() {}", "cannot be a file of a driver"),
        ("%%rustfile several Cargo.toml\n[package]", "cannot be a file of a driver"),
        ("%%rustfile a/b proto.rs\nfn f() {}", "cannot be a driver's name"),
        ("%rustfile several nothing.rs --remove", "has no file 'nothing.rs'"),
        ("%rustfile several proto.rs", "usage: %%rustfile"),
        ("%rustfile --help", "usage: %%rustfile"),
    ],
)
def test_a_mistake_is_a_usage_error(notebook: Notebook, cell: str, says: str) -> None:
    result = notebook.run(cell)
    assert (result.status, result.name) == ("error", "UsageError")
    assert says in result.traceback
