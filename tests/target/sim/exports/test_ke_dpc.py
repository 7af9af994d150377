"""DPCs of all kinds, timers with callbacks, work items."""

from __future__ import annotations

import pytest

import kernellab
from kernellab.errors import Bugcheck
from kernellab.sources import build_text
from tests.target.sim.execution import Build, outcomes, run

_DPC = """unsafe extern "system" fn routine(d: *mut KDPC, c: *mut c_void, a: *mut c_void,
    b: *mut c_void) { unsafe {
    println!("dpc {} irql {} on {}", c as usize, irql(), KeGetCurrentProcessorNumberEx(null_mut()));
} }
"""


def test_dpcs_have_targets_and_importance(build_driver: Build) -> None:
    """WDK: "KeSetTargetProcessorDpcEx function (wdm.h)", "Organization of DPC Queues"."""
    found = run(
        build_driver,
        "targets",
        """for n in 0..3 { KeInitializeDpc(obj(n), Some(routine), n as *const c_void);
            KeSetTargetProcessorDpc(obj(n), 1); }
        KeSetImportanceDpc(obj(2), 2);
        let old = KeSetSystemAffinityThreadEx(2);
        let irql = KfRaiseIrql(2);
        for n in 0..3 { KeInsertQueueDpc(obj(n), null(), null()); }
        println!("queued {} removed {}", KeRemoveQueueDpc(obj(0)), KeRemoveQueueDpc(obj(0)));
        KeInsertQueueDpc(obj(0), null(), null());
        KeLowerIrql(irql);
        KeFlushQueuedDpcs();
        let mut number = PROCESSOR_NUMBER { Group: 0, Number: 9, Reserved: 0 };
        println!("{:#x}", KeSetTargetProcessorDpcEx(obj(0), &number));
        number.Number = 0;
        println!("{:#x}", KeSetTargetProcessorDpcEx(obj(0), &number));
        KeInsertQueueDpc(obj(0), null(), null());
        KeFlushQueuedDpcs();
        println!("flushed");
        KeRevertToUserAffinityThreadEx(old);""",
        _DPC,
    )
    assert found.lines == [
        *("queued 1 removed 0", "dpc 2 irql 2 on 1", "dpc 1 irql 2 on 1", "dpc 0 irql 2 on 1"),
        *("0xc000000d", "0x0", "dpc 0 irql 2 on 0", "flushed", "bye"),
    ]
    assert not found.rules
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "notarget", "KeInitializeDpc(obj(0), Some(routine), null()); "
            "KeSetTargetProcessorDpc(obj(0), 7);", _DPC)  # fmt: skip
    assert caught.value.name == "TIMER_OR_DPC_INVALID"
    assert (caught.value.parameters[0], *caught.value.parameters[2:]) == (3, 7, 2)


def test_threaded_dpcs_run_at_passive_level_before_other_threads(build_driver: Build) -> None:
    """WDK: "Introduction to Threaded DPCs", "KeInitializeThreadedDpc function (wdm.h)"."""
    found = run(
        build_driver,
        "threaded",
        """KeInitializeThreadedDpc(obj(0), Some(routine), 7 as *const c_void);
        let old = KfRaiseIrql(2);
        println!("{} {}", KeInsertQueueDpc(obj(0), null(), null()),
            KeInsertQueueDpc(obj(0), null(), null()));
        KeLowerIrql(old);
        println!("after");
        KeInsertQueueDpc(obj(0), null(), null());
        KeFlushQueuedDpcs();
        println!("flushed");""",
        _DPC,
        processors=1,
    )
    assert found.lines == [
        *("1 0", "dpc 7 irql 0 on 0", "after", "dpc 7 irql 0 on 0", "flushed", "bye"),
    ]


def test_flushing_waits_for_every_processor(build_driver: Build) -> None:
    """WDK: "KeFlushQueuedDpcs function (wdm.h)": whatever the interleaving."""
    for lines in outcomes(
        build_driver,
        "flush",
        """let count = KeQueryActiveProcessorCount(null_mut());
        for n in 0..count { KeInitializeDpc(obj(n as usize), Some(routine), null());
            KeSetTargetProcessorDpc(obj(n as usize), n as i8);
            KeInsertQueueDpc(obj(n as usize), null(), null()); }
        KeFlushQueuedDpcs();
        println!("{}", COUNT.load(Ordering::SeqCst) == count);""",
        """unsafe extern "system" fn routine(d: *mut KDPC, c: *mut c_void, a: *mut c_void,
            b: *mut c_void) {
            for _ in 0..3000 { core::hint::spin_loop(); }
            COUNT.fetch_add(1, Ordering::SeqCst);
        }""",
    ):
        assert lines == ["true", "bye"]


_EX = """unsafe extern "system" fn tick(t: usize, c: *const c_void) {
    COUNT.fetch_add(1, Ordering::SeqCst);
    FLAG.store((irql() as usize) << 8 | c as usize, Ordering::SeqCst);
}
unsafe extern "system" fn gone(c: *const c_void) { println!("gone {}", c as usize); }
"""


def test_ex_timers(build_driver: Build) -> None:
    """WDK: "ExXxxTimer Routines and EX_TIMER Objects", "ExDeleteTimer function (wdm.h)"."""
    found = run(
        build_driver,
        "extimer",
        """let t = ExAllocateTimer(cast(tick as *const ()), 5 as *const c_void, 0);
        println!("{}", ExSetTimer(t, -10_000, 0, null()));
        println!("{:#x} then {:#x}", wait(t as *mut c_void), wait_ms(t as *mut c_void, 5));
        println!("{} {:#x}", COUNT.load(Ordering::SeqCst), FLAG.load(Ordering::SeqCst));
        println!("{} {}", ExSetTimer(t, -100_000, 20_000, null()), ExSetTimer(t, -20_000, 20_000,
            null()));
        sleep(7);
        println!("{} ticks", COUNT.load(Ordering::SeqCst) - 1);
        println!("{} {}", ExCancelTimer(t, null()), ExCancelTimer(t, null()));
        let mut p: EXT_DELETE_PARAMETERS = core::mem::zeroed();
        p.DeleteCallback = cast(gone as *const ());
        p.DeleteContext = 9 as *mut c_void;
        ExSetTimer(t, -1_000_000, 0, null());
        println!("{}", ExDeleteTimer(t, 1, 1, &p));
        let n = ExAllocateTimer(None, null(), 0x8000_0000);
        ExSetTimer(n, -10_000, 0, null());
        println!("{:#x} {:#x}", wait(n as *mut c_void), wait_ms(n as *mut c_void, 0));
        ExSetTimer(n, -10_000, 0, null());
        println!("{}", ExDeleteTimer(n, 0, 0, &p));
        sleep(2);""",
        _EX,
        processors=1,
    )
    assert found.lines == [
        *("0", "0x0 then 0x102", "1 0x205", "0 1", "3 ticks", "1 0", "gone 9", "1", "0x0 0x0"),
        *("0", "gone 9", "bye"),
    ]
    assert not found.rules
    for body in ("ExDeleteTimer(t, 0, 1, null());", "ExDeleteTimer(t, 1, 0, null()); "
                 "ExCancelTimer(t, null());"):  # fmt: skip
        with pytest.raises(Bugcheck) as caught:
            start = "let t = ExAllocateTimer(cast(tick as *const ()), null(), 0);"
            run(build_driver, f"badex{len(body)}", f"{start} {body}", _EX)
        assert caught.value.name == "TIMER_OR_DPC_INVALID"


def test_deleting_a_timer_waits_for_its_callback(build_driver: Build) -> None:
    """WDK: "Deleting a System-Allocated Timer Object": on any interleaving."""
    seen = set()
    for lines in outcomes(
        build_driver,
        "exrace",
        """let t = ExAllocateTimer(cast(slow as *const ()), null(), 0);
        ExSetTimer(t, -50, 0, null());
        let n = KeQueryPerformanceCounter(null_mut());
        while KeQueryPerformanceCounter(null_mut()) < n + 45 + (n & 7) { }
        let cancelled = ExDeleteTimer(t, 1, 1, null());
        println!("{cancelled} {} {}", COUNT.load(Ordering::SeqCst),
            FLAG.load(Ordering::SeqCst));""",
        """unsafe extern "system" fn slow(t: usize, c: *const c_void) {
            COUNT.fetch_add(1, Ordering::SeqCst);
            for _ in 0..4000 { core::hint::spin_loop(); }
            FLAG.fetch_add(1, Ordering::SeqCst);
        }""",
    ):
        assert lines[0] in ("1 0 0", "0 1 1")
        seen.add(lines[0])
    assert "0 1 1" in seen


def test_a_coalescable_timer(build_driver: Build) -> None:
    """WDK: "KeSetCoalescableTimer function (wdm.h)"."""
    found = run(
        build_driver,
        "coalesce",
        """KeInitializeTimerEx(obj(0), 1);
        println!("{}", KeSetCoalescableTimer(obj(0), -10_000, 2, 1, null()));
        println!("{} {}", wait(obj::<KTIMER>(0)), wait(obj::<KTIMER>(0)));
        println!("{} {}", KeCancelTimer(obj(0)), KeReadStateTimer(obj(0)));""",
    )
    assert found.lines == ["0", "0 0", "1 0", "bye"]


_WORK = """unsafe extern "system" fn work(c: *mut c_void) { unsafe {
    println!("work {} at {} priority {}", c as usize, irql(),
        KeQueryPriorityThread(KeGetCurrentThread()));
    KeSetEvent(obj(8), 0, 0);
} }
"""


def test_work_items(build_driver: Build) -> None:
    """WDK: "System Worker Threads", "ExQueueWorkItem function (wdm.h)"."""
    found = run(
        build_driver,
        "exwork",
        """KeInitializeEvent(obj(8), 1, 0);
        let item: *mut WORK_QUEUE_ITEM = obj(0);
        for (n, queue) in [(1usize, 0), (2, 1), (3, 2), (4, 32 + 5)] {
            ExInitializeWorkItem(item, Some(work), n as *mut c_void);
            let old = KfRaiseIrql(2); ExQueueWorkItem(item, queue); KeLowerIrql(old);
            wait(obj::<KEVENT>(8));
        }""",
        _WORK,
    )
    assert found.lines == [
        *("work 1 at 0 priority 13", "work 2 at 0 priority 12", "work 3 at 0 priority 15"),
        *("work 4 at 0 priority 5", "bye"),
    ]


@pytest.mark.parametrize(
    ("name", "routine", "body"),
    [
        ("WORKER_INVALID", "", "ExQueueWorkItem(obj(0), 1);"),
        ("WORKER_INVALID", "", "KeLowerIrql(old); sleep(1); ExQueueWorkItem(obj(0), 9);"),
        ("WORKER_THREAD_RETURNED_AT_BAD_IRQL", "KfRaiseIrql(1);", ""),
        ("APC_INDEX_MISMATCH", "KeEnterCriticalRegion();", ""),
        ("ACTIVE_EX_WORKER_THREAD_TERMINATION", "PsTerminateSystemThread(0);", ""),
    ],
)
def test_misused_work_items(build_driver: Build, name: str, routine: str, body: str) -> None:
    """WDK: the pages "Bug Check 0xE4", "0xE1", "0x1" and "0xE9"."""
    with pytest.raises(Bugcheck) as caught:
        run(
            build_driver,
            f"work{len(routine)}x{len(body)}",
            f"""ExInitializeWorkItem(obj(0), Some(work), null_mut());
            let old = KfRaiseIrql(2); ExQueueWorkItem(obj(0), 1); {body}
            KeLowerIrql(old); sleep(1);""",
            f'unsafe extern "system" fn work(c: *mut c_void) {{ unsafe {{ {routine} }} }}',
            processors=1,
        )
    assert caught.value.name == name


def test_io_work_items_keep_device_and_driver(build_driver: Build) -> None:
    """WDK: "IoQueueWorkItem function (wdm.h)", "IoQueueWorkItemEx …", "IoAllocateWorkItem …"."""
    source = """
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use windows_kernel_rs::println;
use windows_kernel_rs::sys::*;

static mut OWN: [u64; 64] = [0; 64];
static mut ITEMS: [PIO_WORKITEM; 2] = [0; 2];

unsafe extern "system" fn plain(device: *const DEVICE_OBJECT, context: *const c_void) {
    unsafe { println!("plain {} type {}", context as usize, (*device).Type); }
}
unsafe extern "system" fn extended(object: *const c_void, context: *const c_void,
    item: PIO_WORKITEM) {
    unsafe {
        let interval: i64 = -100_000;
        KeDelayExecutionThread(0, 0, &raw const interval);
        println!("extended {} type {}", context as usize,
            (*(object as *const DEVICE_OBJECT)).Type);
        IoFreeWorkItem(item);
    }
}
unsafe extern "system" fn unload(driver: *mut DRIVER_OBJECT) {
    unsafe {
        let old = KfRaiseIrql(2);
        IoQueueWorkItemEx(ITEMS[1], core::mem::transmute(extended as *const ()), 1,
            2 as *const c_void);
        println!("again {}", IoTryQueueWorkItem(ITEMS[1],
            core::mem::transmute(extended as *const ()), 1, null()));
        KeLowerIrql(old);
        IoDeleteDevice((*driver).DeviceObject);
        println!("unload");
    }
}
#[unsafe(no_mangle)]
unsafe extern "system" fn DriverEntry(driver: *mut DRIVER_OBJECT, _: *mut UNICODE_STRING)
    -> NTSTATUS {
    unsafe {
        (*driver).DriverUnload = core::mem::transmute(unload as *const ());
        let mut device: *mut DEVICE_OBJECT = null_mut();
        let status = IoCreateDevice(driver, 0, null(), 0x22, 0, 0, &mut device);
        if status != 0 { return status; }
        for n in 0..2 { ITEMS[n] = IoAllocateWorkItem(device); }
        let own = (&raw mut OWN) as PIO_WORKITEM;
        IoInitializeWorkItem(device.cast(), own);
        IoQueueWorkItem(own, core::mem::transmute(plain as *const ()), 1, 0 as *const c_void);
        let interval: i64 = -10_000;
        KeDelayExecutionThread(0, 0, &raw const interval);
        IoUninitializeWorkItem(own);
        println!("{}", IoSizeofWorkItem() >= 32);
        IoQueueWorkItem(ITEMS[0], core::mem::transmute(plain as *const ()), 1,
            1 as *const c_void);
        let interval: i64 = -10_000;
        KeDelayExecutionThread(0, 0, &raw const interval);
        IoFreeWorkItem(ITEMS[0]);
    }
    0
}
"""
    image = build_text("iowork", source).sys
    with kernellab.connect("sim", processors=1) as target:
        driver = target.load(image)
        driver.unload()
        assert list(driver.log.lines) == [
            *("plain 0 type 3", "true", "plain 1 type 3", "again 0", "unload", "extended 2 type 3"),
        ]
        assert not target.violations
