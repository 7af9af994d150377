"""The whole log in a file beside the notebook, where the notebook keeps only its ends."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from kernellab.pane.log import LogPane
from kernellab.pane.log_file import FOLDER, LogFile
from kernellab.pane.rows import Rows
from kernellab.pane.show import new_pane, show
from kernellab.protocol import DbgPrint, State
from tests.pane.helpers import HOSTILE, FrontEnd, harmless, printed

COUNT = 6_000


class Saved:
    """IPython's ``display``, of which only the last saved form is kept."""

    def __call__(self, bundle: dict[str, Any], **_: Any) -> None:
        if "text/html" in bundle:
            self.text, self.html = bundle["text/plain"], bundle["text/html"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def lines(count: int, text: str = "line {} of the log\n") -> list[DbgPrint]:
    return [printed(text.format(n), time=n * 1e-6) for n in range(count)]


def run(events: list[DbgPrint], name: str = "hello", *, log_file: bool = True) -> Saved:
    saved = Saved()
    pane = new_pane(name, source="", log_file=log_file)
    show(pane, saved)
    pane.add(events)
    pane.add([State(driver="hello", state="unloaded")])
    pane.set_state("unloaded")
    pane.finish()
    assert isinstance(pane, LogPane)
    pane.close()
    return saved


def test_a_short_log_has_no_file(folder: Path, front_ends: list[FrontEnd]) -> None:
    saved = run(lines(20))
    assert list(folder.iterdir()) == []
    assert FOLDER not in saved.html + saved.text


def test_a_long_log_is_kept_whole(folder: Path, front_ends: list[FrontEnd]) -> None:
    saved = run(lines(COUNT))
    path = folder / FOLDER / "hello.log"
    assert [p.name for p in (folder / FOLDER).iterdir()] == ["hello.log"], "no temporary file stays"
    kept = path.read_bytes().decode().split("\n")
    assert kept[0] == "    0.000000  line 0 of the log"
    assert kept[-2:] == ["    0.005999  — hello unloaded", ""]
    assert len(kept) == COUNT + 2
    assert ": the whole log is in kernellab-logs/hello.log …" in saved.text
    link = re.search(r'<em>… [\d,]+ lines are not kept .*<a href="([^"]*)">([^<]*)</a> …</em>',
                     saved.html)  # fmt: skip
    assert link is not None and link.groups() == ("kernellab-logs/hello.log",) * 2


def test_the_next_run_takes_the_old_ones_place(folder: Path, front_ends: list[FrontEnd]) -> None:
    run(lines(COUNT))
    run(lines(COUNT, "again {} of the log, a longer one\n"))
    kept = (folder / FOLDER / "hello.log").read_text(encoding="utf-8")
    assert "again 0 of" in kept and "\n    0.000001  line 1" not in kept


def test_it_can_be_switched_off(folder: Path, front_ends: list[FrontEnd]) -> None:
    saved = run(lines(COUNT), log_file=False)
    assert list(folder.iterdir()) == []
    assert "lines are not kept in the notebook …" in saved.text


def test_beside_the_notebook_and_named_after_it(
    folder: Path, front_ends: list[FrontEnd], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder / "course & more"
    home.mkdir()
    (home / "my <lab> #1.ipynb").touch()
    monkeypatch.setenv("JPY_SESSION_NAME", str(home / "my <lab> #1.ipynb"))
    saved = run(lines(COUNT))
    assert [p.name for p in (home / FOLDER).iterdir()] == ["my _lab_ _1-hello.log"]
    assert 'href="kernellab-logs/my%20_lab_%20_1-hello.log"' in saved.html
    # A session that is no notebook's: a console, or one that was moved away.
    monkeypatch.setenv("JPY_SESSION_NAME", str(home / "gone.ipynb"))
    assert LogFile("hello").path == folder / FOLDER / "hello.log"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../../etc/passwd", "_.._etc_passwd.log"),
        ("con", "_con.log"),
        ("COM1.x", "_COM1.x.log"),
        ("a\x00b\n\u202e", "a_b__.log"),
        ("...", "log.log"),
        ("x" * 300, "x" * 80 + ".log"),
    ],
)
def test_a_name_stays_a_name(folder: Path, name: str, file: str) -> None:
    assert LogFile(name).path == folder / FOLDER / file
    LogFile(name).write(["text"])
    assert [p.name for p in (folder / FOLDER).iterdir()] == [file]


def test_hostile_text_is_as_harmless_as_in_the_pane(
    folder: Path, front_ends: list[FrontEnd]
) -> None:
    run([*map(printed, (text + "\n" for text in HOSTILE.values())), *lines(COUNT)])
    kept = (folder / FOLDER / "hello.log").read_bytes().decode()
    harmless(kept)
    assert "␛[31mred␛[0m" in kept


def test_a_folder_that_cannot_be_written_to_is_told(
    folder: Path, front_ends: list[FrontEnd]
) -> None:
    (folder / FOLDER).write_text("the user's own file")
    saved = run(lines(COUNT))
    assert (folder / FOLDER).read_text() == "the user's own file"
    assert "not kept in the notebook, nor in kernellab-logs/hello.log: " in saved.text
    assert "nor in kernellab-logs/hello.log: " in saved.html and "<a " not in saved.html


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege on Windows")
def test_no_link_is_followed(folder: Path, front_ends: list[FrontEnd]) -> None:
    outside = folder / "outside"
    outside.mkdir()
    (folder / FOLDER).symlink_to(outside)
    saved = run(lines(COUNT))
    assert list(outside.iterdir()) == []
    assert "nor in kernellab-logs/hello.log: " in saved.text
    (folder / FOLDER).unlink()
    (folder / FOLDER).mkdir()
    target = outside / "precious"
    target.write_text("as it was")
    (folder / FOLDER / "hello.log").symlink_to(target)
    run(lines(COUNT))
    assert target.read_text() == "as it was"
    assert not (folder / FOLDER / "hello.log").is_symlink()


def test_a_write_that_fails_leaves_the_older_file(folder: Path) -> None:
    file = LogFile("hello")
    file.write(["older"])

    def broken() -> Any:
        yield "half"
        raise OSError(28, "No space left on device")

    file.write(broken())
    assert file.problem == "No space left on device"
    assert [p.read_text() for p in (folder / FOLDER).iterdir()] == ["older"]


def test_rows_let_go_are_counted_and_long_lines_are_whole(folder: Path) -> None:
    pane = LogPane("hello", source="", log_file=LogFile("hello"))
    pane._rows = Rows("", capacity=2_000)
    pane.add(lines(4_000))
    pane.add(
        [printed("y" * 9_000 + "\n", level=1, component=101), *lines(1), *lines(4_000)[:1_000]]
    )
    pane.add([printed("z" * 120_000 + "\n")])
    pane.keep_log()
    kept = LogFile("hello").path.read_text(encoding="utf-8").splitlines()
    base = pane.rows().base
    assert kept[0] == f"… {base:,} lines before these were let go …"
    assert "    0.001000  [WARNING] " + "y" * 9_000 in kept
    assert kept[-1].endswith("  " + "z" * 120_000)
