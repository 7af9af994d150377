"""Locks, events and the like of the framework, used by several threads."""

from __future__ import annotations

from pathlib import Path

import pytest

import kernellab
from kernellab.errors import Bugcheck
from kernellab.sources import build_text
from tests.drivers import driver_source

SOURCE = Path(__file__).parent / "drivers" / "sync.rs"


@pytest.fixture(scope="module", params=["debug", "release"])
def sync(request: pytest.FixtureRequest) -> Path:
    text = SOURCE.read_text(encoding="utf-8")
    return build_text("sync", text, release=request.param == "release").sys


@pytest.mark.parametrize(("seed", "processors"), [(0, 1), (1, 2), (2, 2), (3, 2), (4, 4), (5, 4)])
def test_all_types(sync: Path, seed: int, processors: int) -> None:
    with kernellab.connect("sim", seed=seed, processors=processors) as target:
        driver = target.load(sync)
        driver.unload()
        assert driver.log.lines == [
            "spin (60, 60) (60, (60, 60)) PASSIVE_LEVEL",
            "mutex 30 (30, 30)",
            "readers (20, 20) (20, 20) (20, 20) 20 1",
            "events false true true",
            "any 2 0",
            "semaphore 2",
            "once 11 1 true Some(5)",
            "rundown true true",
            "more (20, 20) true PASSIVE_LEVEL",
        ]
        assert target.violations == []


MISUSE = {
    "Mutex::lock may be called at APC_LEVEL and below; the IRQL is DISPATCH_LEVEL": """
        static LOCK: SpinLock<()> = SpinLock::new(());
        static VALUE: Mutex<u32> = Mutex::new(0);
        let _held = LOCK.lock();
        *VALUE.lock() += 1;
    """,
    "wait may be called at APC_LEVEL and below; the IRQL is DISPATCH_LEVEL": """
        let event = Event::try_new(EventKind::Notification, true)?;
        let _raised = irql::raise(Irql::DISPATCH);
        event.wait();
    """,
    "exec::sleep may be called at APC_LEVEL and below; the IRQL is DISPATCH_LEVEL": """
        let value = SpinLock::new(0);
        let _held = value.lock();
        windows_kernel_rs::exec::sleep(core::time::Duration::from_millis(1));
    """,
    "SpinLock::lock may be called at DISPATCH_LEVEL and below; the IRQL is IRQL 5": """
        static LOCK: SpinLock<()> = SpinLock::new(());
        let _raised = irql::raise(Irql::from_raw(5));
        drop(LOCK.lock());
    """,
    "SpinLockGuard is dropped at PASSIVE_LEVEL, it was made at DISPATCH_LEVEL": """
        let (one, other) = (SpinLock::new(1), SpinLock::new(2));
        let first = one.lock();
        let second = other.lock();
        drop(first);
        drop(second);
    """,
    "Resource::read: this thread holds the resource to write": """
        let resource = Resource::try_new(1)?;
        let _held = resource.write();
        let _again = resource.read();
    """,
}


@pytest.mark.parametrize("message", MISUSE)
def test_misuse_is_named_in_debug_builds(message: str) -> None:
    extra = "use windows_kernel_rs::{irql::{self, Irql}, sync::*};"
    path = build_text("misuse", driver_source(MISUSE[message], extra=extra)).sys
    with kernellab.connect("sim") as target:
        driver = target.prepare(path)
        with pytest.raises(Bugcheck) as caught:
            target.run(driver)
        assert caught.value.code == 0xE2
        text = "".join(record.text for record in driver.log)
        assert message in text
        # The panic names the driver's line, but where a guard is dropped: that has no caller.
        assert ("panicked at cell:" in text) == ("is dropped" not in text)
        assert any(frame.file == "cell" for frame in caught.value.frames)


def test_release_builds_have_no_checks_and_end_at_the_right_level() -> None:
    """Guards dropped out of order: the lock was held too low for a moment, nothing stays raised."""
    (body,) = (text for message, text in MISUSE.items() if "is dropped" in message)
    extra = "use windows_kernel_rs::{irql, sync::*};"
    source = driver_source(f'{body} println!("{{}}", irql::current());', extra=extra)
    path = build_text("misuse", source, release=True).sys
    with kernellab.connect("sim") as target:
        driver = target.load(path)
        assert driver.log.lines == ["PASSIVE_LEVEL"]
