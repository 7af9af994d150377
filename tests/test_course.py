"""Checks, progress and ``kernellab course``, apart from any lesson."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from kernellab.course import Trial, check, lessons, progress
from kernellab.course.exercise import NotYetError, find
from kernellab.errors import Bugcheck, KernelLabError, NtStatusError, UsageError
from kernellab.workbench import workbench
from tests.test_cli import kernellab


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kept" / "progress.json"
    monkeypatch.setenv("KERNELLAB_PROGRESS", str(path))
    return path


def test_progress_is_kept_and_forgotten(own_progress: Path) -> None:
    assert progress.solved() == frozenset()
    for number in ("2.1", "1.3", "2.1"):
        progress.remember(number)
    assert progress.solved() == {"1.3", "2.1"}
    assert [path.name for path in own_progress.parent.iterdir()] == [own_progress.name]
    progress.forget()
    progress.forget()
    assert progress.solved() == frozenset()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"solved": 3}', "\xff"])
def test_damaged_progress_counts_as_none(own_progress: Path, text: str) -> None:
    own_progress.parent.mkdir()
    own_progress.write_text(text, encoding="latin-1")
    assert progress.solved() == frozenset()
    progress.remember("1.1")
    assert progress.solved() == {"1.1"}


def test_progress_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERNELLAB_PROGRESS", str(tmp_path / "file" / "progress.json"))
    progress.remember("1.1")
    assert progress.solved() == frozenset()


def test_an_exercise_whose_cell_never_ran_says_so() -> None:
    result = check("1.1")
    assert not result
    assert "%%rustdriver ex11_first" in result.hint
    assert "not yet" in str(result) and "not yet" in result._repr_html_()
    with pytest.raises(AssertionError, match="not yet"):
        check("1.1", strict=True)
    assert progress.solved() == frozenset()


@pytest.mark.parametrize("number", ["1.9", "99.1", "one", "", "1"])
def test_no_such_exercise(number: str) -> None:
    with pytest.raises(UsageError, match="there is no exercise"):
        check(number)


def test_a_missing_answer_is_a_hint() -> None:
    trial = Trial(None)
    with pytest.raises(NotYetError, match="your answer"):
        _ = trial.value
    assert Trial(None, (3,)).value == 3


@pytest.mark.parametrize("value", [12, "12"])
def test_the_number_of_a_line_may_be_text(value: object) -> None:
    assert Trial(None, (value,)).line == 12


@pytest.mark.parametrize("values", [(), ("twelve",), (None,)])
def test_what_is_no_line_is_a_hint(values: tuple[object, ...]) -> None:
    with pytest.raises(NotYetError, match="after the exercise's"):
        _ = Trial(None, values).line


def test_a_cell_that_does_not_build_is_not_judged_by_what_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workbench(), "does_not_build", lambda name: name == "ex11_first")
    assert "does not build" in check("1.1").hint
    assert "does not build" not in check("1.2").hint


def test_the_number_may_be_written_without_quotes() -> None:
    assert check(1.1).number == "1.1"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (Bugcheck("The driver stopped", code=0xE2, name="X"), "panicked at cell:3:5: oops"),
        (Bugcheck("It read address 0", code=0x7E, name="X"), "It read address 0"),
        (NtStatusError("there is no device A", status=0xC0000034, name="X"), "keep the device"),
        (KernelLabError("it went wrong"), "While it was tried: it went wrong"),
    ],
)
def test_what_goes_wrong_while_a_driver_is_tried_is_told(
    error: KernelLabError, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = SimpleNamespace(log=SimpleNamespace(lines=["hello", "panicked at cell:3:5: oops"]))

    def fails(_: Trial) -> None:
        raise error

    monkeypatch.setattr(workbench(), "driver", lambda _: driver)
    exercise = replace(find("1.1"), check=fails)
    module = import_module("kernellab.course.check")  # the package's name of it is the function
    monkeypatch.setattr(module, "find", lambda _: exercise)
    assert hint in check("1.1").hint


def test_every_lesson_has_a_number_and_a_title() -> None:
    found = lessons()
    assert [each.number for each in found] == list(range(1, len(found) + 1))
    assert found[0].title == "Hello, driver"
    assert all(find(e.number) is e for each in found for e in each.exercises)


def test_the_list_shows_what_is_solved(tmp_path: Path) -> None:
    progress.remember("1.2")
    ran = kernellab("course", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Hello, driver" in ran.stdout and "○●○ 1 of 3" in ran.stdout
    assert kernellab("course", "--forget", cwd=tmp_path).returncode == 0
    assert "○○○ 0 of 3" in kernellab("course", cwd=tmp_path).stdout


def test_a_lesson_is_copied_and_never_overwritten(tmp_path: Path) -> None:
    ran = kernellab("course", "1", "--to", "work", cwd=tmp_path)
    copy = tmp_path / "work" / "01-hello-driver.ipynb"
    assert ran.returncode == 0 and str(Path("work") / copy.name) in ran.stdout
    copy.write_text("mine")
    again = kernellab("course", "1", "--to", "work", cwd=tmp_path)
    assert again.returncode == 2 and "is there already" in again.stderr
    assert copy.read_text() == "mine"
    assert kernellab("course", "99", cwd=tmp_path).returncode == 2
    (tmp_path / "file").write_text("")
    assert kernellab("course", "1", "--to", "file", cwd=tmp_path).returncode == 2
