"""Snapshots: the same future from the same moment, after anything that happened in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import Bugcheck, TargetLost, UsageError
from kernellab.lab import Target
from tests.target.sim.kernel.test_scheduler import _EXTRA

_TICKER = """
unsafe extern "system" fn routine(_: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    COUNT.fetch_add(1, Ordering::SeqCst);
    unsafe { KeSetEvent(event(), 0, 0); }
}
unsafe extern "system" fn worker(_: *mut c_void) {
    let mut kept = alloc::vec::Vec::new();
    while COUNT.load(Ordering::SeqCst) < 1000 {
        unsafe { KeWaitForSingleObject(event().cast(), 0, 0, 0, core::ptr::null()); }
        kept.push(unsafe { KeGetCurrentProcessorNumberEx(core::ptr::null_mut()) });
        println!("tick {} of {}", COUNT.load(Ordering::SeqCst), kept.len());
        if COUNT.load(Ordering::SeqCst) == 7 { unsafe { core::ptr::null::<u8>().read_volatile() }; }
    }
}
extern crate alloc;
"""


@pytest.fixture(scope="module")
def ticker(build_driver: Callable[..., BuildResult]) -> Path:
    body = """unsafe { KeInitializeDpc(dpc(), Some(routine), core::ptr::null_mut());
        KeInitializeTimerEx(timer(), 1); KeInitializeEvent(event(), 1, 0);
        KeSetTimerEx(timer(), -10_000_000, 1000, dpc()); spawn(worker, 0); }"""
    extra = _EXTRA + _TICKER.replace(
        "KeGetCurrentProcessorNumberEx(core::ptr::null_mut())", "KeGetCurrentIrql()"
    )
    return build_driver("ticker", body, extra=extra).sys


@pytest.fixture
def target() -> Iterator[Target]:
    with kernellab.connect("sim", seed=5) as machine:
        yield machine


def _future(target: Target, ticker: kernellab.Driver, seconds: float) -> list[tuple[str, float]]:
    before = len(ticker.log)
    target.sleep(seconds)
    return [(record.text, record.time) for record in list(ticker.log)[before:]]


def test_the_same_future_again_and_again(target: Target, ticker: Path) -> None:
    driver = target.load(ticker)
    target.sleep(2.5)
    snapshot = target.snapshot()
    first = _future(target, driver, 3)
    assert [text for text, _time in first] == [f"tick {n} of {n}\n" for n in (3, 4, 5)]
    for _ in range(3):
        snapshot.restore()
        assert target.status()["time"] == pytest.approx(2.5, abs=0.01)
        assert _future(target, driver, 3) == first


def test_a_machine_that_bug_checked_runs_again(target: Target, ticker: Path) -> None:
    driver = target.load(ticker)
    target.sleep(2.5)
    snapshot = target.snapshot()
    for _ in range(2):
        with pytest.raises(Bugcheck):
            target.sleep(10)
        assert driver.state == "bug check" and target.stopped
        snapshot.restore()
        assert (driver.state, target.stopped, target.bugcheck) == ("running", "", None)
    assert len(_future(target, driver, 2)) == 2


def test_drivers_that_came_and_went_in_between(target: Target, ticker: Path, hello: Path) -> None:
    other = target.load(hello)
    snapshot = target.snapshot()
    driver = target.load(ticker)
    other.unload()
    target.sleep(1.5)
    pool = target.status()["pool"]
    snapshot.restore()
    assert (driver.state, other.state) == ("gone", "running")
    assert [d["name"] for d in target.status()["drivers"]] == ["hello"]
    other.unload()
    assert other.log.lines[-1] == "bye"
    target.load(hello)
    driver = target.load(ticker)
    target.sleep(1.5)
    assert target.status()["pool"] == pool
    assert driver.log.lines[-1].startswith("tick 1")


def test_another_driver_comes_to_where_one_was(
    target: Target, build_driver: Callable[..., BuildResult]
) -> None:
    """Its code runs, not what the CPU has translated of the one that was unloaded before."""
    snapshot = target.snapshot()
    for name in ("one", "two", "three"):
        image = build_driver(name, f'println!("{{}}", "{name}".len() + {len(name)});').sys
        driver = target.load(image)
        driver.unload()
        assert driver.log.lines == [str(2 * len(name)), "bye"]
        snapshot.restore()


def test_two_snapshots_in_any_order(target: Target, ticker: Path) -> None:
    driver = target.load(ticker)
    early = target.snapshot()
    target.sleep(1.5)
    late = target.snapshot()
    late_future = _future(target, driver, 1)
    early.restore()
    early_future = _future(target, driver, 1)
    late.restore()
    assert _future(target, driver, 1) == late_future
    early.restore()
    assert _future(target, driver, 1) == early_future
    assert early_future != late_future
    late.forget()
    with pytest.raises(TargetLost):
        late.restore()
    early.restore()


def test_a_later_snapshot_takes_nothing_from_an_earlier_one(
    target: Target, ticker: Path, hello: Path
) -> None:
    """What the host wrote between the two, page tables say, was not brought back."""
    early = target.snapshot()
    target.load(hello)
    late = target.snapshot()
    for snapshot in (early, late, early):
        snapshot.restore()
        driver = target.load(ticker)
        target.sleep(1.5)
        assert driver.log.lines[-1] == "tick 1 of 1"


def test_the_shared_page_has_the_time_of_the_snapshot(
    target: Target, build_driver: Callable[..., BuildResult]
) -> None:
    """Inline KeQueryTickCount reads what the kernel wrote at the last clock interrupt."""
    body = 'println!("{}", unsafe { windows_kernel_rs::sys::KeQueryTickCount() });'
    image = build_driver("ticks", body).sys
    snapshot = target.snapshot()
    for _ in range(2):
        driver = target.load(image)
        assert driver.log.lines[0] == "0"
        target.sleep(10)
        snapshot.restore()


def test_memory_comes_back_byte_for_byte(target: Target, ticker: Path) -> None:
    """A driver's own data, its stacks and pool, and freed memory that was used again."""
    driver = target.load(ticker)
    target.sleep(0.5)
    snapshot = target.snapshot()
    futures = set()
    for _ in range(4):
        futures.add(tuple(_future(target, driver, 6.1)))
        snapshot.restore()
    assert len(futures) == 1


def test_a_reboot_ends_a_snapshot(target: Target) -> None:
    snapshot = target.snapshot()
    target.reboot()
    with pytest.raises(TargetLost, match="rebooted"):
        snapshot.restore()
    with pytest.raises(UsageError, match="no snapshot"):
        target.call("restore", snapshot=99)
