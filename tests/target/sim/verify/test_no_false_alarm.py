"""Drivers that are right break no rule: the course's, the template's, those of other tests."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from kernellab.cell.options import parse_file_magic, parse_magic
from kernellab.errors import BuildError
from kernellab.lab import Target
from kernellab.sources import build_path, build_text

ROOT = Path(__file__).parents[4]
DRIVERS = Path(__file__).parents[1] / "drivers"

#: What lessons do wrong on purpose, their drivers and the starters of exercises.
_TAUGHT = {
    "leaky": {"leak-pool"},
    "cycle": {"leak-pool"},
    "slack": {"pool-overrun"},
    "ex23_window": {"leak-pool"},
    "bank": {"lock-order"},
    "ex73_order": {"lock-order"},
    "forgetful": {"leak-reference", "leak-callback", "leak-pool"},
    "sloppy": {"irql-not-restored", "pool-executable", "format-string", "leak-pool"},
    "ex133_two": {"irql-not-restored", "leak-pool"},
}

LESSONS = sorted(ROOT.joinpath("notebooks").glob("[0-9][0-9]-*.ipynb"))


def cells(path: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Each driver of a lesson that is not meant to fail: its name, its text, its files."""
    found = []
    files: dict[str, dict[str, str]] = {}
    for cell in nbformat.read(path, as_version=4).cells:
        line, _, text = cell.source.partition("\n")
        if cell.cell_type == "code" and line.startswith("%%rustfile "):
            given = parse_file_magic(line.removeprefix("%%rustfile "))
            files.setdefault(given.name, {})[given.path] = text
        if cell.cell_type == "code" and line.startswith("%%rustdriver "):
            options = parse_magic(line.removeprefix("%%rustdriver "))
            others = (options.allow_failure, options.dep, options.no_run, options.test)
            if not any(others):
                found.append((options.name, text, dict(files.get(options.name, {}))))
    return found


def found_in(target: Target, image: Path, name: str) -> set[str]:
    target.reboot()
    target.drivers.clear()
    target.violations.clear()
    driver = target.load(image, name=name)
    target.sleep(1)
    driver.unload()
    target.sleep(1)
    return {violation.rule for violation in target.violations}


@pytest.mark.seeds(never="lessons show races: other seeds have other results")
@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_course(machine: Target, path: Path) -> None:
    for name, text, modules in cells(path):
        try:
            image = build_text(name, text, modules=modules).sys
        except BuildError as error:
            if "could not be downloaded" in str(error):
                pytest.skip("no network for the crates that this lesson names")
            raise
        assert found_in(machine, image, name) == _TAUGHT.get(name, set()), name


@pytest.mark.parametrize("release", [False, True], ids=["debug", "release"])
def test_the_template(machine: Target, release: bool) -> None:
    image = build_path(ROOT / "rust-template" / "driver", release=release).sys
    assert found_in(machine, image, "template") == set()


@pytest.mark.parametrize("name", ["devices", "methods", "pending", "stack"])
def test_drivers_with_devices(machine: Target, name: str) -> None:
    assert found_in(machine, build_path(DRIVERS / f"{name}.rs").sys, name) == set()
