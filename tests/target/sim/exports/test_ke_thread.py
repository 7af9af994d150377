"""Priorities, affinities, processors, stacks, floating point and time."""

from __future__ import annotations

import pytest

import kernellab
from kernellab.errors import Bugcheck
from kernellab.sources import build_text
from tests.drivers import driver_source
from tests.target.sim.execution import Build, prelude, run
from tests.target.sim.exports.conftest import Guest


def test_priorities(build_driver: Build) -> None:
    """WDK: "KeSetPriorityThread function (wdm.h)", "KeSetBasePriorityThread function (ntddk.h)"."""
    found = run(
        build_driver,
        "priorities",
        """let me = KeGetCurrentThread();
        println!("{} {}", KeSetPriorityThread(me, 16), KeQueryPriorityThread(me));
        KeSetPriorityThread(me, 8);
        let t = spawn(worker, 0);
        KeSetPriorityThread(t as _, 12);
        println!("main");
        join(t);
        println!("{} {} {}", KeSetBasePriorityThread(me, 3), KeSetBasePriorityThread(me, -20),
            KeQueryPriorityThread(me));
        KeSetBasePriorityThread(me, 0);
        println!("{} {}", PsIsSystemThread(me as _), IoIsSystemThread(me as _));""",
        'unsafe extern "system" fn worker(c: *mut c_void) { println!("worker"); }',
        processors=1,
    )
    assert found.lines == ["8 16", "worker", "main", "0 3 1", "1 1", "bye"]


def test_affinity_moves_the_thread_at_once(build_driver: Build) -> None:
    """WDK: "KeSetSystemAffinityThreadEx function (wdm.h)", "KeRevertToUserAffinityThreadEx …"."""
    found = run(
        build_driver,
        "affinity",
        """let on = || KeGetCurrentProcessorNumberEx(null_mut());
        for n in [3, 0, 2, 1] { KeSetSystemAffinityThread(1 << n); println!("{n} {}", on()); }
        let old = KeSetSystemAffinityThreadEx(4);
        println!("{old} {}", on());
        KeRevertToUserAffinityThreadEx(old); println!("{}", on());
        KeRevertToUserAffinityThread();
        println!("{}", KeSetSystemAffinityThreadEx(0xFF));
        let irql = KfRaiseIrql(2);
        let here = on();
        KeSetSystemAffinityThread(1 << (here ^ 1));
        let still = on() == here;
        KeLowerIrql(irql);
        println!("{still} {}", on() == here ^ 1);
        KeRevertToUserAffinityThreadEx(0);
        println!("{} {:#x} {} {}", KeQueryActiveProcessorCount(null_mut()),
            KeQueryActiveProcessors(), KeQueryActiveProcessorCountEx(0xFFFF),
            KeQueryMaximumProcessorCountEx(1));
        let mut number: PROCESSOR_NUMBER = core::mem::zeroed();
        println!("{:#x} {} {}", KeGetProcessorNumberFromIndex(4, &mut number),
            KeGetProcessorNumberFromIndex(3, &mut number), KeGetProcessorIndexFromNumber(&number));
        let mut before: GROUP_AFFINITY = core::mem::zeroed();
        let one = GROUP_AFFINITY { Mask: 2, Group: 0, Reserved: [0; 3] };
        KeSetSystemGroupAffinityThread(&one, &mut before);
        println!("{} {}", on(), before.Mask);
        KeRevertToUserGroupAffinityThread(&before);
        println!("{} {} {}", KeQueryActiveGroupCount(), KeQueryMaximumGroupCount(),
            KeQueryGroupAffinity(0));""",
        processors=4,
    )
    assert found.lines == [
        *("3 3", "0 0", "2 2", "1 1", "2 2", "1", "0", "true true", "4 0xf 4 0"),
        *("0xc000000d 0 3", "1 0", "1 1 15", "bye"),
    ]
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "nowhere", "KeSetSystemAffinityThread(0x100);")
    assert caught.value.name == "INVALID_AFFINITY_SET"


def test_a_callout_gets_the_stack_it_asks_for(build_driver: Build) -> None:
    """WDK: "KeExpandKernelStackAndCallout function (ntddk.h)"."""
    found = run(
        build_driver,
        "expand",
        """let deep = cast(deep as *const ());
        println!("{:#x}", KeExpandKernelStackAndCallout(deep, 3 as *const c_void, 0xC000));
        let (mut low, mut high) = (0, 0);
        IoGetStackLimits(&mut low, &mut high);
        println!("{:#x} {}", high - low, COUNT.load(Ordering::SeqCst));
        println!("{:#x}", KeExpandKernelStackAndCallout(deep, null(), 0x100000));
        println!("{:#x}", KeExpandKernelStackAndCalloutEx(cast(flat as *const ()), null(), 0x1000,
            1, null()));
        println!("{}", COUNT.load(Ordering::SeqCst));""",
        """unsafe extern "system" fn flat(c: *const c_void) {
            COUNT.fetch_add(1, Ordering::SeqCst); }
        unsafe extern "system" fn deep(c: *const c_void) { unsafe {
            let mut room = [0u8; 0xB000];
            for n in (0..room.len()).rev() { core::ptr::write_volatile(&raw mut room[n], 1); }
            COUNT.fetch_add(c as u32 + room[5] as u32, Ordering::SeqCst);
        } }""",
    )
    assert found.lines == ["0x0", "0x6000 4", "0xc00000f1", "0x0", "5", "bye"]


def test_floating_point_state_comes_back(build_driver: Build) -> None:
    """WDK: "KeSaveExtendedProcessorState function (wdm.h)", "Bug Check 0xE7"."""
    found = run(
        build_driver,
        "floats",
        """use core::arch::asm;
        let mut value: u64 = 0x1234;
        asm!("movq xmm7, {v}", v = in(reg) value, out("xmm7") _);
        println!("{}", KeSaveExtendedProcessorState(3, obj(0)));
        asm!("xorps xmm7, xmm7", out("xmm7") _);
        KeRestoreExtendedProcessorState(obj(0));
        asm!("movq {v}, xmm7", v = out(reg) value);
        println!("{value:#x}");
        let saved: *mut KFLOATING_SAVE = obj(1);
        let mut control: u16 = 0;
        asm!("fldcw [{c}]", c = in(reg) &0x37Fu16);
        println!("{:#x}", FLOATS.0(saved));
        asm!("fnstcw [{c}]", c = in(reg) &mut control);
        println!("fresh {control:#x}");
        FLOATS.1(saved);
        asm!("fnstcw [{c}]", c = in(reg) &mut control);
        println!("back {control:#x}");""",
        """type Float = unsafe extern "system" fn(*mut KFLOATING_SAVE) -> NTSTATUS;
        struct Lazy;
        impl core::ops::Deref for Lazy { type Target = (Float, Float);
            fn deref(&self) -> &(Float, Float) { unsafe {
                static mut PAIR: Option<(Float, Float)> = None;
                if (*(&raw const PAIR)).is_none() {
                    PAIR = Some((core::mem::transmute(find("KeSaveFloatingPointState")),
                        core::mem::transmute(find("KeRestoreFloatingPointState"))));
                }
                (*(&raw const PAIR)).as_ref().unwrap()
            } } }
        static FLOATS: Lazy = Lazy;
        fn find(name: &str) -> *mut c_void { unsafe {
            let mut text = [0u16; 64];
            for (n, b) in name.bytes().enumerate() { text[n] = b as u16; }
            let mut string: UNICODE_STRING = core::mem::zeroed();
            RtlInitUnicodeString(&mut string, text.as_ptr());
            MmGetSystemRoutineAddress(&string)
        } }""",
    )
    assert found.lines == ["0", "0x1234", "0x0", "fresh 0x27f", "back 0x37f", "bye"]
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "badfloat", "KeSaveExtendedProcessorState(3, obj(0)); KfRaiseIrql(2); "
            "KeRestoreExtendedProcessorState(obj(0));")  # fmt: skip
    assert caught.value.name == "INVALID_FLOATING_POINT_STATE"
    assert caught.value.parameters[:3] == (1, 0, 2)


def test_time_goes_on_in_ticks(build_driver: Build) -> None:
    """WDK: "KeQueryTickCount macro (wdm.h)", "KeQueryTimeIncrement function (wdm.h)"."""
    found = run(
        build_driver,
        "ticks",
        """let step = KeQueryTimeIncrement() as i64;
        let (ticks, system) = (KeQueryTickCount(), KeQuerySystemTime());
        sleep(100);
        println!("{step} {} {}", KeQueryTickCount() - ticks,
            (KeQuerySystemTime() - system) / step);
        let before = KeQueryTickCount();
        let mut rounds = 0;
        while KeQueryTickCount() == before { rounds += 1; core::hint::spin_loop(); }
        println!("{}", rounds > 1000);
        println!("{}", KeQueryInterruptTime() as i64 % step);
        println!("{}", KeQueryUnbiasedInterruptTime() == KeQueryInterruptTime());
        let (mut a, mut b) = (0u64, 0i64);
        let now = KeQueryInterruptTimePrecise(&mut a);
        println!("{} {}", now == a, now >= KeQueryInterruptTime());
        KeQuerySystemTimePrecise(&mut b);
        println!("{}", b - KeQuerySystemTime() < step);
        let (mut local, mut back) = (0i64, 0i64);
        ExSystemTimeToLocalTime(&b, &mut local); ExLocalTimeToSystemTime(&local, &mut back);
        println!("{}", b == back);
        let shared = 0xFFFFF78000000000u64 as *const KUSER_SHARED_DATA;
        println!("{}.{}.{}", (*shared).NtMajorVersion, (*shared).NtMinorVersion,
            (*shared).NtBuildNumber);""",
    )
    assert found.lines == [
        *("156250 6 6", "true", "0", "true", "true true", "true", "true", "10.0.19045", "bye"),
    ]
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "poke", "*(0xFFFFF78000000014u64 as *mut u32) = 1;")
    assert caught.value.name == "ATTEMPTED_WRITE_TO_READONLY_MEMORY"


def test_the_rest_of_processors_and_time(guest: Guest) -> None:
    """WDK: "KeQueryMaximumProcessorCount function (wdm.h)", "ExQueryTimerResolution …"."""
    assert guest.call("KeQueryMaximumProcessorCount") == 2
    assert guest.k.memory.u32(guest.k.stub_of("KeNumberProcessors")) == 2
    assert guest.call("KeGetCurrentProcessorNumber") in (0, 1)
    counter = guest.put(bytes(8))
    time = guest.call("KeQueryUnbiasedInterruptTimePrecise", counter)
    assert time == guest.k.memory.u64(counter) > 0
    times = [guest.put(bytes(4)) for _ in range(3)]
    guest.call("ExQueryTimerResolution", *times)
    assert [guest.k.memory.u32(t) for t in times] == [156_250] * 3


def test_threads_and_work_items_keep_the_driver_loaded() -> None:
    """WDK: "IoCreateSystemThread function (wdm.h)", "IoInitializeWorkItem function (wdm.h)".

    Both reference the driver object: DriverUnload runs, the image goes when they are through.
    """
    source = driver_source(
        """unsafe {
            let object = driver.as_raw().cast_mut();
            let mut handle: HANDLE = null_mut();
            let status = IoCreateSystemThread(object.cast(), &mut handle, 0x1FFFFF, null(),
                null_mut(), null_mut(), Some(thread), 3 as *mut c_void);
            println!("{status} {}", ZwClose(handle));
            assert!(IoSizeofWorkItem() <= 256);
            IoInitializeWorkItem(object.cast(), obj::<c_void>(0) as _);
            IoQueueWorkItemEx(obj::<c_void>(0) as _, Some(work), 1, null());
        }""",
        extra=prelude(
            """unsafe extern "system" fn thread(context: *mut c_void) {
                sleep(2_000); println!("thread {}", context as usize); }
            unsafe extern "system" fn work(_: *mut c_void, _: *mut c_void, item: isize) {
                sleep(1_000); println!("work"); unsafe { IoUninitializeWorkItem(item) }; }"""
        ),
    )
    image = build_text("held", source.replace("fn init(_:", "fn init(driver:")).sys
    with kernellab.connect("sim") as target:
        driver = target.load(image)
        driver.unload()
        assert list(driver.log.lines) == ["0 0", "bye", "work", "thread 3"]
        assert target.violations == []
