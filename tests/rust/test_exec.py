"""Threads, DPCs, timers, work items and processors of the framework, by safe drivers."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck, NtStatusError
from kernellab.sources import build_text

DRIVERS = Path(__file__).parent / "drivers"


def _build(name: str, *, release: bool = False) -> Path:
    source = (DRIVERS / f"{name}.rs").read_text(encoding="utf-8")
    return build_text(name, source, release=release).sys


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


@pytest.fixture(scope="module", params=["debug", "release"])
def hazards(request: pytest.FixtureRequest) -> Path:
    return _build("exec_hazards", release=request.param == "release")


def test_values_that_their_own_threads_drop(hazards: Path) -> None:
    """A thread that would wait for itself is told, or does not wait; nothing is dropped twice."""
    joined = "join Some(STATUS_POSSIBLE_DEADLOCK (0xC0000194))"
    dropped = " dropped at PASSIVE_LEVEL"
    expected = {
        0: [joined, "value" + dropped, "bye"],
        1: ["goes on", "value" + dropped, "bye"],
        2: ["run 1", "queued true", "goes on", "closure" + dropped, "bye"],
    }
    with kernellab.connect("sim") as target:
        for case, lines in expected.items():
            driver = target.load(hazards, parameters={"Case": case})
            driver.unload()
            assert list(driver.log.lines) == lines
        assert target.violations == []


#: By the case of exec_hazards: what is dropped.
_DROPS = {
    3: "exec::Dpc",  # by its own closure
    4: "exec::Timer",  # by its own closure
    5: "exec::Dpc",
    6: "exec::Timer",
    7: "exec::WorkItem",
    8: "exec::JoinHandle",
}


@pytest.mark.parametrize("case", _DROPS)
def test_what_is_dropped_where_it_cannot_wait_is_named(hazards: Path, case: int) -> None:
    """In release builds as well: going on would free what still runs."""
    with kernellab.connect("sim") as target:
        with pytest.raises(Bugcheck) as caught:
            target.load(hazards, parameters={"Case": case})
        driver = target.drivers["exec_hazards"]
        assert caught.value.code == 0xE2
        assert f"{_DROPS[case]} is dropped at DISPATCH_LEVEL" in "".join(driver.log.lines)
        assert any(frame.file == "cell" for frame in caught.value.frames)


def test_the_image_stays_for_what_is_forgotten(hazards: Path) -> None:
    """core::mem::forget is safe to call: what runs goes on in the driver's code, which is there."""
    with kernellab.connect("sim") as target:
        driver = target.load(hazards, parameters={"Case": 9})
        driver.unload()
        assert list(driver.log.lines) == ["bye", "forgotten work item", "forgotten thread"]
        assert {each.rule for each in target.violations} == {
            *("leak-pool", "leak-reference", "leak-work-item")
        }


def test_what_a_failing_entry_began_ends(hazards: Path) -> None:
    with kernellab.connect("sim") as target:
        with pytest.raises(NtStatusError, match="STATUS_DEVICE_NOT_READY"):
            target.load(hazards, parameters={"Case": 10})
        assert list(target.drivers["exec_hazards"].log.lines) == ["told to stop"]
        assert target.violations == []
