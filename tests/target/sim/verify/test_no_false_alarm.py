"""Drivers that are right break no rule: the course's, the template's, those of other tests."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from kernellab.cell.options import parse_magic
from kernellab.lab import Target
from kernellab.sources import build_path, build_text

ROOT = Path(__file__).parents[4]
DRIVERS = Path(__file__).parents[1] / "drivers"

#: What a lesson does wrong on purpose.
_TAUGHT = {"leaky": {"leak-pool"}}


def cells() -> list[tuple[str, str]]:
    """Each driver of the course that is not meant to fail: its name and its text."""
    found = []
    for path in sorted(ROOT.joinpath("notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            line, _, text = cell.source.partition("\n")
            if cell.cell_type == "code" and line.startswith("%%rustdriver "):
                options = parse_magic(line.removeprefix("%%rustdriver "))
                if not options.allow_failure and not options.dep and not options.no_run:
                    found.append((options.name, text))
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


def test_the_course(machine: Target) -> None:
    drivers = cells()
    assert {"hello", "primes", "leaky"} <= {name for name, _ in drivers}
    for name, text in drivers:
        assert found_in(machine, build_text(name, text).sys, name) == _TAUGHT.get(name, set()), name


@pytest.mark.parametrize("release", [False, True], ids=["debug", "release"])
def test_the_template(machine: Target, release: bool) -> None:
    image = build_path(ROOT / "rust-template" / "driver", release=release).sys
    assert found_in(machine, image, "template") == set()


@pytest.mark.parametrize("name", ["devices", "methods", "pending", "stack"])
def test_drivers_with_devices(machine: Target, name: str) -> None:
    assert found_in(machine, build_path(DRIVERS / f"{name}.rs").sys, name) == set()
