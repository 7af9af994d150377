"""`kernellab new` and `kernellab export`: out of the notebook to plain crates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from kernellab.authoring import export_notebook, new_crate
from kernellab.build import build_folder, find_toolchain, image
from kernellab.errors import UsageError
from kernellab.notebook import read_drivers
from kernellab.sources import build_text
from tests.drivers import driver_source
from tests.rust.test_written_crate import plain_cargo
from tests.test_cli import kernellab

MAIN = driver_source('panic!("{}", wire::LIMIT);').replace(
    "use windows_kernel_rs", "mod wire;\nuse windows_kernel_rs", 1
)
WIRE = "pub const LIMIT: usize = if file!().len() == 7 { 64 } else { 0 };\n"


def notebook(path: Path, *cells: str) -> Path:
    cells_of = [nbformat.v4.new_code_cell(each) for each in cells]
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("%%rustdriver no"), *cells_of]
    )
    nbformat.write(book, path)
    return path


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    return notebook(
        tmp_path / "lesson.ipynb",
        "%load_ext kernellab",
        f"%%rustdriver echo\n{driver_source('')}",
        f"%%rustfile echo wire.rs\n{WIRE}",
        f"%%rustfile other wire.rs\n{WIRE}",
        f"%%rustdriver echo --release\n{MAIN.rstrip()}",
        "%rustfile other wire.rs --remove\necho.unload()",
        f"%%rustdriver other\n{driver_source('')}",
    )


def test_the_last_cell_of_a_name_counts_with_its_files(lesson: Path) -> None:
    drivers = read_drivers(lesson)
    assert list(drivers) == ["echo", "other"]
    assert (drivers["echo"].cell, drivers["echo"].release) == (5, True)
    assert drivers["echo"].modules["wire.rs"].text == "\n" + WIRE
    assert drivers["other"].modules == {}


@pytest.mark.parametrize("release", [False, True])
def test_an_exported_crate_is_the_notebooks_driver(
    lesson: Path, tmp_path: Path, release: bool
) -> None:
    """The same bytes from the cell, from plain cargo, and from kernellab in the folder."""
    [(driver, place)] = export_notebook(lesson, tmp_path / "out", ["echo"])
    modules = {path: each.text for path, each in driver.modules.items()}
    cell = build_text("echo", driver.source.text, modules=modules, release=release)
    ours = cell.sys.read_bytes()
    plain_cargo(place, find_toolchain(), *(["--release"] if release else []))
    folder = place / "target" / "x86_64-pc-windows-msvc" / ("release" if release else "debug")
    theirs, pdb = (folder / "echo.dll").read_bytes(), (folder / "echo.pdb").read_bytes()
    # But for the stamp, which lld derives from the names of rustc's temporary files.
    assert image.stamp(theirs, pdb)[0] == ours
    assert build_folder(place, release=release).sha256 == cell.sha256


def test_a_bug_check_in_an_exported_crate_names_its_lines(lesson: Path, tmp_path: Path) -> None:
    [(_, place)] = export_notebook(lesson, tmp_path / "out", ["echo"])
    ran = kernellab("run", place, cwd=tmp_path)
    assert ran.returncode == 4, ran.stderr
    assert "panicked at cell:" in ran.stdout + ran.stderr


def test_export_from_the_command_line(lesson: Path, tmp_path: Path) -> None:
    ran = kernellab("export", lesson, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "echo, from code cell 5, 2 files" in ran.stdout
    assert (tmp_path / "lesson" / "other" / "src" / "lib.rs").is_file()
    again = kernellab("export", lesson, cwd=tmp_path)
    assert again.returncode == 2 and "is there already" in again.stderr


def test_a_new_crate_runs(tmp_path: Path) -> None:
    made = kernellab("new", "mine", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "kernellab run mine" in made.stdout
    ran = kernellab("run", "mine", cwd=tmp_path)
    assert ran.returncode == 0 and "Hello, world!" in ran.stdout
    assert "in `src/`" in (tmp_path / "mine" / "README.md").read_text()


def test_new_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        new_crate("hello", tmp_path / "file")
    with pytest.raises(UsageError, match="is there already"):
        new_crate("hello", tmp_path)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(UsageError, match="cannot be a driver's name"):
        new_crate("../evil", tmp_path / "evil")
    assert not (tmp_path / "evil").exists()


def test_notebooks_that_cannot_be_exported(lesson: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has echo, other, not nobody"):
        export_notebook(lesson, tmp_path / "out", ["nobody", "echo"])
    with pytest.raises(UsageError, match="no %%rustdriver cell"):
        export_notebook(notebook(tmp_path / "empty.ipynb", "1 + 1"))
    with pytest.raises(UsageError, match="cannot read"):
        export_notebook(tmp_path / "none.ipynb")
    (tmp_path / "text.ipynb").write_text("no JSON")
    with pytest.raises(UsageError, match="is not a notebook"):
        export_notebook(tmp_path / "text.ipynb")
    bad = notebook(tmp_path / "bad.ipynb", "1", "%%rustdriver echo --nonsense\nfn f() {}")
    with pytest.raises(UsageError, match=r"code cell 2.*nonsense"):
        export_notebook(bad)
    assert not (tmp_path / "out").exists()


def test_the_command_line_starts_without_notebook_libraries() -> None:
    code = "import sys, kernellab.cli; print('nbformat' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
