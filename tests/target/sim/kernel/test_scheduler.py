"""Threads, processors, DPCs and timers, by drivers on the simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import kernellab
from kernellab.build import BuildResult
from kernellab.errors import Bugcheck, TargetTimeout
from tests.target.sim.seeds import lines as lines_of

Build = Callable[..., BuildResult]

_EXTRA = """
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering};
use windows_kernel_rs::sys::*;

static COUNT: AtomicU32 = AtomicU32::new(0);
static mut EVENT: core::mem::MaybeUninit<KEVENT> = core::mem::MaybeUninit::zeroed();
static mut LOCK: usize = 0;
static mut DPC: core::mem::MaybeUninit<KDPC> = core::mem::MaybeUninit::zeroed();
static mut TIMER: core::mem::MaybeUninit<KTIMER> = core::mem::MaybeUninit::zeroed();

#[allow(dead_code)]
fn event() -> *mut KEVENT { (&raw mut EVENT).cast() }
#[allow(dead_code)]
fn dpc() -> *mut KDPC { (&raw mut DPC).cast() }
#[allow(dead_code)]
fn timer() -> *mut KTIMER { (&raw mut TIMER).cast() }

#[allow(dead_code)]
fn spawn(routine: unsafe extern "system" fn(*mut c_void), context: usize) -> *mut c_void {
    let mut handle: HANDLE = core::ptr::null_mut();
    let mut object = core::ptr::null_mut();
    unsafe {
        let status = PsCreateSystemThread(&mut handle, 0x1FFFFF, core::ptr::null(),
            core::ptr::null_mut(), core::ptr::null_mut(), Some(routine), context as *mut c_void);
        assert!(status == 0);
        let status = ObReferenceObjectByHandle(handle, 0x1FFFFF, 0, 0,
            &mut object, core::ptr::null_mut());
        assert!(status == 0);
        ZwClose(handle);
    }
    object
}

#[allow(dead_code)]
fn join(thread: *mut c_void) {
    unsafe {
        KeWaitForSingleObject(thread, 0, 0, 0, core::ptr::null());
        ObfDereferenceObject(thread);
    }
}
"""


def run(build: Build, name: str, body: str, extra: str = "", **options: Any) -> list[str]:
    image = build(name, f"unsafe {{ {body} }}", extra=_EXTRA + extra).sys
    with kernellab.connect("sim", **options) as target:
        driver = target.load(image)
        driver.unload()
        return list(driver.log.lines)


def test_thread_runs_and_can_be_joined(build_driver: Build) -> None:
    """WDK: "PsCreateSystemThread function (wdm.h)"; a thread's object is signalled at its end."""
    lines = run(
        build_driver,
        "join",
        'let t = spawn(worker, 7); join(t); println!("joined {}", COUNT.load(Ordering::SeqCst));',
        """unsafe extern "system" fn worker(context: *mut c_void) {
            println!("worker {}", context as usize);
            COUNT.fetch_add(1, Ordering::SeqCst);
        }""",
    )
    assert lines == ["worker 7", "joined 1", "bye"]


def test_two_threads_take_turns(build_driver: Build) -> None:
    """WDK: "KeSetEvent function (wdm.h)": a synchronization event wakes one waiter."""
    lines = run(
        build_driver,
        "pingpong",
        """KeInitializeEvent(event(), 1, 0);
        let t = spawn(worker, 0);
        for i in 0..3 { println!("ping {i}"); KeSetEvent(event(), 0, 0);
            let mut d: i64 = -10_000; KeDelayExecutionThread(0, 0, &raw mut d as _); }
        join(t);""",
        """unsafe extern "system" fn worker(_: *mut c_void) {
            for i in 0..3 { unsafe { KeWaitForSingleObject(event().cast(), 0, 0, 0,
                core::ptr::null()); } println!("pong {i}"); }
        }""",
    )
    assert lines == ["ping 0", "pong 0", "ping 1", "pong 1", "ping 2", "pong 2", "bye"]


def test_sleeping_takes_virtual_time_only(build_driver: Build) -> None:
    """WDK: "KeDelayExecutionThread function (wdm.h)"."""
    image = build_driver(
        "sleeper",
        """unsafe { let mut d: i64 = -36_000_000_000; println!("a");
        KeDelayExecutionThread(0, 0, &raw mut d as _); println!("b"); }""",
        extra=_EXTRA,
    ).sys
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        assert driver.log[1].time - driver.log[0].time == pytest.approx(3600, abs=0.001)


_RACE = """unsafe extern "system" fn worker(_: *mut c_void) {
    for _ in 0..2000 {
        let value = COUNT.load(Ordering::Relaxed);
        COUNT.store(value + 1, Ordering::Relaxed);
    }
}"""


@pytest.mark.seeds(allowed=lambda found: 2000 <= int(lines_of(found)[0]) <= 4000)
def test_an_unprotected_counter_loses_updates_and_the_seed_decides(build_driver: Build) -> None:
    body = """let a = spawn(worker, 0); let b = spawn(worker, 0); join(a); join(b);
        println!("{}", COUNT.load(Ordering::SeqCst));"""
    results = {}
    for seed in range(4):
        results[seed] = int(run(build_driver, "race", body, _RACE, seed=seed)[0])
    assert min(results.values()) < 4000
    assert len(set(results.values())) > 1


@pytest.mark.seeds(allowed=lambda found: lines_of(found) == ["4000", "bye"])
def test_a_spin_lock_keeps_the_counter_exact(build_driver: Build) -> None:
    """WDK: "Introduction to Spin Locks"."""
    worker = _RACE.replace(
        "let value", "let irql = unsafe { KeAcquireSpinLockRaiseToDpc(&raw mut LOCK) }; let value"
    ).replace("Relaxed);\n    }", "Relaxed);\n unsafe { KeReleaseSpinLock(&raw mut LOCK, irql) };}")
    body = """let a = spawn(worker, 0); let b = spawn(worker, 0); join(a); join(b);
        println!("{}", COUNT.load(Ordering::SeqCst));"""
    assert run(build_driver, "locked", body, worker)[0] == "4000"


def test_a_dpc_runs_as_soon_as_the_irql_is_low(build_driver: Build) -> None:
    """WDK: "Introduction to DPC Objects"; "KeInsertQueueDpc function (wdm.h)"."""
    lines = run(
        build_driver,
        "dpc",
        """KeInitializeDpc(dpc(), Some(routine), 5 as *mut c_void);
        let old = KfRaiseIrql(2);
        assert!(KeInsertQueueDpc(dpc(), 1 as _, 2 as _) != 0);
        assert!(KeInsertQueueDpc(dpc(), 1 as _, 2 as _) == 0);
        println!("raised"); KeLowerIrql(old); println!("lowered");""",
        """unsafe extern "system" fn routine(_: *mut KDPC, c: *mut c_void, a: *mut c_void,
            b: *mut c_void) {
            println!("dpc {} {} {} at {}", c as usize, a as usize, b as usize,
                unsafe { KeGetCurrentIrql() });
        }""",
        processors=1,
    )
    assert lines == ["raised", "dpc 5 1 2 at 2", "lowered", "bye"]


def test_a_periodic_timer(build_driver: Build) -> None:
    """WDK: "KeSetTimerEx function (wdm.h)"."""
    lines = run(
        build_driver,
        "ticks",
        """KeInitializeDpc(dpc(), Some(routine), core::ptr::null_mut());
        KeInitializeTimerEx(timer(), 1);
        KeSetTimerEx(timer(), -10_000_000, 500, dpc());
        for _ in 0..3 { KeWaitForSingleObject(timer().cast(), 0, 0, 0, core::ptr::null()); }
        assert!(KeCancelTimer(timer()) != 0);
        println!("{} ticks", COUNT.load(Ordering::SeqCst));""",
        """unsafe extern "system" fn routine(_: *mut KDPC, _: *mut c_void, _: *mut c_void,
            _: *mut c_void) { COUNT.fetch_add(1, Ordering::SeqCst); }""",
        processors=1,
    )
    assert lines == ["3 ticks", "bye"]


def test_polling_a_flag_that_a_timer_sets_ends(build_driver: Build) -> None:
    lines = run(
        build_driver,
        "poll",
        """KeInitializeDpc(dpc(), Some(routine), core::ptr::null_mut());
        KeInitializeTimer(timer());
        KeSetTimer(timer(), -1_000, dpc());
        while COUNT.load(Ordering::Relaxed) == 0 { core::hint::spin_loop(); }
        println!("seen");""",
        """unsafe extern "system" fn routine(_: *mut KDPC, _: *mut c_void, _: *mut c_void,
            _: *mut c_void) { COUNT.fetch_add(1, Ordering::SeqCst); }""",
    )
    assert lines == ["seen", "bye"]


def test_waiting_for_what_never_comes_is_named(build_driver: Build) -> None:
    with pytest.raises(TargetTimeout, match="waits for ever for the notification event"):
        run(
            build_driver,
            "forever",
            """KeInitializeEvent(event(), 0, 0);
            KeWaitForSingleObject(event().cast(), 0, 0, 0, core::ptr::null());""",
        )


def test_waiting_at_dispatch_level_is_a_bug_check(build_driver: Build) -> None:
    """WDK: "KeWaitForSingleObject function (wdm.h)"."""
    with pytest.raises(Bugcheck) as caught:
        run(
            build_driver,
            "raised",
            """KeInitializeEvent(event(), 0, 0); KfRaiseIrql(2);
            KeWaitForSingleObject(event().cast(), 0, 0, 0, core::ptr::null());""",
        )
    assert caught.value.name == "IRQL_NOT_LESS_OR_EQUAL"


_IPI = """
static SEEN: AtomicU32 = AtomicU32::new(0);
static TOGETHER: AtomicU32 = AtomicU32::new(0);
static STOP: AtomicU32 = AtomicU32::new(0);
unsafe extern "system" fn everywhere(context: usize) -> usize {
    unsafe {
        let number = KeGetCurrentProcessorNumberEx(core::ptr::null_mut());
        SEEN.fetch_add(1 << (8 * number), Ordering::Relaxed);
        COUNT.fetch_add(1, Ordering::Relaxed);
        // All processors run it at the same time: each sees the others come.
        while COUNT.load(Ordering::Relaxed) % 2 != 0 { core::hint::spin_loop(); }
        TOGETHER.fetch_add(u32::from(KeGetCurrentIrql()) , Ordering::Relaxed);
        context + number as usize
    }
}
unsafe extern "system" fn busy(context: *mut c_void) {
    unsafe {
        KeSetSystemAffinityThread(1 << context as usize);
        while STOP.load(Ordering::Relaxed) == 0 { core::hint::spin_loop(); }
    }
}
unsafe extern "system" fn caller(_: *mut c_void) {
    unsafe { for _ in 0..3 { KeIpiGenericCall(Some(everywhere), 0); } }
}
"""


@pytest.mark.parametrize("seed", [0, 1])
def test_a_routine_runs_on_all_processors_at_once(build_driver: Build, seed: int) -> None:
    """WDK: "KeIpiGenericCall function (wdm.h)": at IPI_LEVEL (14), between the instructions of
    whatever runs there; the result is that of the caller's processor.
    """
    lines = run(
        build_driver,
        "ipi",
        """
        let other = spawn(busy, 1);
        KeSetSystemAffinityThread(1);
        let result = KeIpiGenericCall(Some(everywhere), 100);
        println!("{} {:#x} {} {}", result, SEEN.load(Ordering::Relaxed),
            TOGETHER.load(Ordering::Relaxed), KeGetCurrentIrql());
        let mut old = 0;
        old = KfRaiseIrql(2);
        KeIpiGenericCall(Some(everywhere), 0);
        println!("{} {}", KeGetCurrentIrql(), COUNT.load(Ordering::Relaxed));
        KeLowerIrql(old);
        STOP.store(1, Ordering::Relaxed);
        join(other);
        KeRevertToUserAffinityThread();
        let (one, two) = (spawn(caller, 0), spawn(caller, 0));
        join(one);
        join(two);
        println!("{} {:#x}", COUNT.load(Ordering::Relaxed), SEEN.load(Ordering::Relaxed));
        """,
        _IPI,
        seed=seed,
    )
    assert lines[:3] == ["100 0x101 28 0", "2 4", "16 0x808"]


_PARALLEL = """
unsafe extern "system" fn work(context: *mut c_void) {
    unsafe {
        let context = context as usize;
        KeSetSystemAffinityThread(1 << (context & 1));
        // Both have begun: from here on two processors are busy.
        COUNT.fetch_add(1, Ordering::Relaxed);
        while COUNT.load(Ordering::Relaxed) < 2 { KeGetCurrentIrql(); }
        let begin = KeQueryPerformanceCounter(core::ptr::null_mut());
        for _ in 0..2000 {
            if context & 2 == 0 { KeGetCurrentIrql(); } else { KeStallExecutionProcessor(10); }
        }
        let end = KeQueryPerformanceCounter(core::ptr::null_mut());
        let took = (end - begin) / 10;
        println!("{} {}", context, took);
    }
}
"""


def _share_the_time(lines: list[str]) -> bool:
    """A call counts half while both are busy, and the seed decides whose turn it is how often."""
    took = {int(number): int(time) for number, time in (line.split() for line in lines[:2])}
    return all(
        20000 <= time <= 26000 if number & 2 else 1000 <= time <= 3500
        for number, time in took.items()
    )


@pytest.mark.seeds(allowed=lambda found: _share_the_time(lines_of(found)))
@pytest.mark.parametrize("kind", [0, 2])
def test_two_busy_processors_share_the_time(build_driver: Build, kind: int) -> None:
    """What two processors do takes place at the same time: 2,000 calls of 1 us on each take about
    2 ms, not 4, and so do stalls, each of which lasts as long as it was asked to.
    """
    lines = run(
        build_driver,
        f"parallel{kind}",
        f"let (a, b) = (spawn(work, {kind}), spawn(work, {kind + 1})); join(a); join(b);",
        _PARALLEL,
    )
    assert _share_the_time(lines), lines
