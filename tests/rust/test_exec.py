"""Threads, DPCs, timers, work items and processors of the framework, by safe drivers."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.sources import build_text

DRIVERS = Path(__file__).parent / "drivers"


def _build(name: str) -> Path:
    return build_text(name, (DRIVERS / f"{name}.rs").read_text(encoding="utf-8")).sys


@pytest.fixture(scope="module")
def everything() -> Path:
    return _build("exec")


_LINES = """\
sum 6
id true
running true false
thread's closure dropped at PASSIVE_LEVEL
thread's value dropped at PASSIVE_LEVEL
joined by drop 1
priority 8 16
priority 8 31 31
token false false
waits true
token true true
worker false 3
ticking 2
worker dropped
queued true false
ran 0
ran 1
cancelled true false
dpc's closure dropped at PASSIVE_LEVEL
ran 2
under a lock true
set false true
expired false false
ticks 1 false false
periodic Some(STATUS_INVALID_PARAMETER (0xC000000D))
cancelled true false
ticks 4
timer's closure dropped at PASSIVE_LEVEL
plain dropped
queued true false
again true false
runs 2
work item's closure dropped at PASSIVE_LEVEL
runs 3
from a dpc 1
processors 1
none true
stall Some(STATUS_INVALID_PARAMETER (0xC000000D))
beats
bye true
module dropped at PASSIVE_LEVEL
""".splitlines()


@pytest.fixture(scope="module")
def stress() -> Path:
    return _build("exec_stress")


def test_each_does_what_it_says(everything: Path) -> None:
    """Also: closures are dropped at PASSIVE, and unloading ends what still runs."""
    with kernellab.connect("sim", processors=1) as target:
        driver = target.load(everything)
        driver.unload()
        assert list(driver.log.lines) == _LINES
        assert target.violations == []


#: Lines whose numbers depend on what other processors do meanwhile.
_OPEN = ("ran ", "ticks ", "queued ", "again ", "processors ")


def test_each_does_it_on_four_processors(everything: Path) -> None:
    with kernellab.connect("sim", processors=4) as target:
        driver = target.load(everything)
        driver.unload()
        lines = [line for line in driver.log.lines if not line.startswith(_OPEN)]
        assert lines == [line for line in _LINES if not line.startswith(_OPEN)]
        assert "processors 4" in driver.log.lines
        assert target.violations == []


_SEEDS = [pytest.param(seed, marks=[pytest.mark.slow] if seed > 3 else []) for seed in range(20)]


@pytest.mark.parametrize("seed", _SEEDS)
def test_used_and_dropped_by_several_threads(stress: Path, seed: int) -> None:
    """Each success of queue() is one run, a work item runs once at a time, and nothing runs on."""
    with kernellab.connect("sim", processors=(2, 4, 1)[seed % 3], seed=seed) as target:
        driver = target.load(stress)
        driver.unload()
        assert list(driver.log.lines) == ["dpcs true", "works true", "dropped true"]
        assert target.violations == []
