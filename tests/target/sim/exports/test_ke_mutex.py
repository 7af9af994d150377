"""Mutexes, semaphores and pulsed events, by drivers on the simulator."""

from __future__ import annotations

import pytest

from kernellab.errors import Bugcheck
from tests.target.sim.execution import Build, run


def test_a_mutex_is_owned_recursively_and_holds_off_apcs(build_driver: Build) -> None:
    """WDK: "KeReleaseMutex function (wdm.h)", "Mutex Objects", "KeAreApcsDisabled function"."""
    found = run(
        build_driver,
        "mutex",
        """let m: *mut KMUTANT = obj(0);
        KeInitializeMutex(m, 0);
        println!("free {} apcs {}", KeReadStateMutex(m), KeAreApcsDisabled());
        println!("{} {}", wait(m), KeWaitForMutexObject(m, 0, 0, 0, null()));
        println!("owned {} apcs {}", KeReadStateMutex(m), KeAreApcsDisabled());
        let t = spawn(other, 0);
        sleep(5);
        println!("release {}", KeReleaseMutex(m, 0));
        sleep(5);
        println!("release {} apcs {}", KeReleaseMutex(m, 0), KeAreApcsDisabled());
        join(t);
        println!("free {}", KeReadStateMutex(m));""",
        """unsafe extern "system" fn other(_: *mut c_void) { unsafe {
            println!("other timed out {:#x}", wait_ms(obj::<KMUTANT>(0), 1));
            println!("other got {}", wait(obj::<KMUTANT>(0)));
            KeReleaseMutex(obj(0), 0);
        } }""",
        processors=1,
    )
    assert found.lines == [
        *("free 1 apcs 0", "0 0", "owned -1 apcs 1", "other timed out 0x102"),
        *("release -1", "release 0 apcs 0", "other got 0", "free 1", "bye"),
    ]
    assert not found.rules


def test_releasing_a_mutex_of_another_raises(build_driver: Build) -> None:
    """WDK: "KeReleaseMutex function (wdm.h)": STATUS_MUTANT_NOT_OWNED."""
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "notmine", "KeInitializeMutex(obj(0), 0); KeReleaseMutex(obj(0), 0);")
    assert caught.value.name == "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"
    assert caught.value.parameters[0] == 0xC0000046


def test_a_thread_that_ends_with_a_mutex(build_driver: Build) -> None:
    """WDK: "Bug Check 0x4000008A: THREAD_TERMINATE_HELD_MUTEX"."""
    extra = """unsafe extern "system" fn owner(_: *mut c_void) { wait(obj::<KMUTANT>(0)); END }"""
    ends = {"returns": "", "terminates": "unsafe { PsTerminateSystemThread(0); }"}
    for name, end in ends.items():
        with pytest.raises(Bugcheck) as caught:
            run(build_driver, name, "KeInitializeMutex(obj(0), 0); join(spawn(owner, 0));",
                extra.replace("END", end))  # fmt: skip
        assert caught.value.name == "THREAD_TERMINATE_HELD_MUTEX"
        assert caught.value.parameters[1]


def test_an_abandoned_mutant_goes_to_who_waits(build_driver: Build) -> None:
    """WDK: "KeWaitForSingleObject function (wdm.h)": STATUS_ABANDONED, once."""
    found = run(
        build_driver,
        "abandoned",
        """KeInitializeMutant(obj(0), 0);
        join(spawn(owner, 0));
        println!("{:#x}", wait(obj::<KMUTANT>(0)));
        KeReleaseMutant(obj(0), 0, 0, 0);
        println!("{:#x}", wait(obj::<KMUTANT>(0)));
        KeReleaseMutant(obj(0), 0, 0, 0);
        KeInitializeMutant(obj(1), 1);
        println!("{}", KeReadStateMutant(obj(1)));
        KeReleaseMutant(obj(1), 0, 0, 0);""",
        """unsafe extern "system" fn owner(_: *mut c_void) { wait(obj::<KMUTANT>(0)); }""",
    )
    assert found.lines == ["0x80", "0x0", "0", "bye"]


@pytest.mark.seeds(any_order=True)
def test_a_semaphore_counts_and_has_a_limit(build_driver: Build) -> None:
    """WDK: "KeReleaseSemaphore function (wdm.h)", "Semaphore Objects"."""
    body = """let s: *mut KSEMAPHORE = obj(0);
        KeInitializeSemaphore(s, 1, 3);
        println!("{} {:#x} {}", wait(s), wait_ms(s, 0), KeReadStateSemaphore(s));
        let t = [spawn(worker, 1), spawn(worker, 2)];
        sleep(1);
        println!("before {}", KeReleaseSemaphore(s, 0, 2, 0));
        join(t[0]); join(t[1]);
        println!("{} {}", KeReleaseSemaphore(s, 0, 3, 0), KeReadStateSemaphore(s));
        LAST"""
    worker = """unsafe extern "system" fn worker(c: *mut c_void) {
            println!("got {}", wait(obj::<KSEMAPHORE>(0))); }"""
    found = run(build_driver, "semaphore", body.replace("LAST", ""), worker, processors=1)
    assert found.lines == ["0 0x102 0", "before 0", "got 0", "got 0", "0 3", "bye"]
    with pytest.raises(Bugcheck) as caught:
        last = "KeReleaseSemaphore(s, 0, 1, 0);"
        run(build_driver, "toomany", body.replace("LAST", last), worker)
    assert caught.value.parameters[0] == 0xC0000047


def test_a_pulse_reaches_only_who_waits_now(build_driver: Build) -> None:
    """WDK: "KePulseEvent function (ntifs.h)"."""
    found = run(
        build_driver,
        "pulse",
        """KeInitializeEvent(obj(0), 0, 0);
        let t = [spawn(worker, 1), spawn(worker, 2)];
        sleep(1);
        println!("pulse {} then {}", KePulseEvent(obj(0), 0, 0), KeReadStateEvent(obj(0)));
        join(t[0]); join(t[1]);
        println!("{:#x}", wait_ms(obj::<KEVENT>(0), 1));""",
        """unsafe extern "system" fn worker(c: *mut c_void) { wait(obj::<KEVENT>(0)); }""",
    )
    assert found.lines == ["pulse 0 then 0", "0x102", "bye"]


def test_a_signal_that_is_followed_by_a_wait_keeps_the_irql_between(build_driver: Build) -> None:
    """WDK: "KeSetEvent function (wdm.h)", Wait; "KeReleaseSemaphore function (wdm.h)"."""
    found = run(
        build_driver,
        "keepirql",
        """KeInitializeEvent(obj(0), 1, 0); KeInitializeEvent(obj(1), 1, 0);
        let t = spawn(worker, 0);
        KeSetEvent(obj(0), 0, 1); let between = irql();
        println!("{} between {between} after {}", wait(obj::<KEVENT>(1)), irql());
        join(t);""",
        """unsafe extern "system" fn worker(c: *mut c_void) { unsafe {
            wait(obj::<KEVENT>(0)); KeSetEvent(obj(1), 0, 0); } }""",
        processors=1,
    )
    assert found.lines == ["0 between 2 after 0", "bye"]


def test_regions_are_counted(build_driver: Build) -> None:
    """WDK: "Critical Regions and Guarded Regions", "KeAreAllApcsDisabled function (ntddk.h)"."""
    found = run(
        build_driver,
        "regions",
        """let show = |what: &str| println!("{what} {} {}", KeAreApcsDisabled(),
            KeAreAllApcsDisabled());
        show("none");
        KeEnterCriticalRegion(); KeEnterCriticalRegion(); show("critical");
        KeLeaveCriticalRegion(); show("critical");
        KeLeaveCriticalRegion(); show("none");
        KeEnterGuardedRegion(); show("guarded"); KeLeaveGuardedRegion(); show("none");
        let old = KfRaiseIrql(1); show("APC_LEVEL"); KeLowerIrql(old);
        KeLeaveCriticalRegion();""",
    )
    assert found.lines == [
        *("none 0 0", "critical 1 0", "critical 1 0", "none 0 0", "guarded 1 1", "none 0 0"),
        *("APC_LEVEL 0 1", "bye"),
    ]
    assert found.rules == ["apcs-not-disabled"]
