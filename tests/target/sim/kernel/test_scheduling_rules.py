"""What NT promises about who runs when, tried by drivers that would notice otherwise."""

from __future__ import annotations

from tests.target.sim.execution import Build, outcomes, run

_SPIN = """
fn busy(rounds: u32) { for _ in 0..rounds { core::hint::spin_loop(); } }
"""


def test_a_thread_of_higher_priority_runs_at_once(build_driver: Build) -> None:
    """WDK: "Thread Scheduling": a ready thread preempts one of lower priority."""
    found = run(
        build_driver,
        "preempt",
        """KeInitializeEvent(obj(0), 1, 0);
        let t = spawn(high, 0);
        KeSetPriorityThread(t as _, 12);
        for n in 0..3 { println!("low {n}"); KeSetEvent(obj(0), 0, 0); }
        join(t);""",
        """unsafe extern "system" fn high(_: *mut c_void) {
            for n in 0..3 { wait(obj::<KEVENT>(0)); println!("high {n}"); } }""",
        processors=1,
    )
    assert found.lines == ["low 0", "high 0", "low 1", "high 1", "low 2", "high 2", "bye"]


def test_lower_priorities_starve_and_equal_ones_share(build_driver: Build) -> None:
    """WDK: "Thread Scheduling": on one processor, for as long as the higher one can run."""
    found = run(
        build_driver,
        "starve",
        """let me = KeGetCurrentThread();
        KeSetPriorityThread(me, 20);
        let (low, a, b) = (spawn(low, 0), spawn(equal, 0), spawn(equal, 1));
        KeSetPriorityThread(low as _, 9);
        KeSetPriorityThread(a as _, 12); KeSetPriorityThread(b as _, 12);
        join(a); join(b);
        println!("low {}", COUNT.load(Ordering::SeqCst));
        println!("shared {}", FLAG.load(Ordering::SeqCst) > 2);
        join(low);
        println!("low {}", COUNT.load(Ordering::SeqCst));""",
        _SPIN
        + """unsafe extern "system" fn low(_: *mut c_void) { COUNT.fetch_add(1, Ordering::SeqCst); }
        static LAST: AtomicUsize = AtomicUsize::new(9);
        unsafe extern "system" fn equal(n: *mut c_void) {
            for _ in 0..400 {
                busy(200);
                if LAST.swap(n as usize, Ordering::SeqCst) != n as usize {
                    FLAG.fetch_add(1, Ordering::SeqCst);
                }
            }
        }""",
        processors=1,
    )
    assert found.lines == ["low 0", "shared true", "low 1", "bye"]


def test_a_dpc_interrupts_another_processor_below_dispatch_level_only(build_driver: Build) -> None:
    """WDK: "Introduction to DPC Objects", "Managing Hardware Priorities"."""
    for seed in range(4):
        found = run(
            build_driver,
            "interrupt",
            """KeInitializeDpc(obj(0), Some(routine), null());
            KeSetTargetProcessorDpc(obj(0), 1);
            KeSetSystemAffinityThread(1);
            let t = spawn(worker, 0);
            while FLAG.load(Ordering::SeqCst) == 0 { core::hint::spin_loop(); }
            KeInsertQueueDpc(obj(0), null(), null());
            join(t);
            println!("{}", COUNT.load(Ordering::SeqCst));""",
            _SPIN
            + """unsafe extern "system" fn routine(_: *mut KDPC, _: *mut c_void, _: *mut c_void,
                _: *mut c_void) { COUNT.fetch_add(1, Ordering::SeqCst); }
            unsafe extern "system" fn worker(_: *mut c_void) { unsafe {
                KeSetSystemAffinityThread(2);
                let old = KfRaiseIrql(2);
                FLAG.store(1, Ordering::SeqCst);
                busy(5000);
                assert!(COUNT.load(Ordering::SeqCst) == 0);
                KeLowerIrql(old);
                while COUNT.load(Ordering::SeqCst) == 0 { core::hint::spin_loop(); }
            } }""",
            seed=seed,
        )
        assert found.lines == ["1", "bye"]


def test_waiting_for_all_takes_nothing_until_it_can_take_everything(build_driver: Build) -> None:
    """WDK: "KeWaitForMultipleObjects function (wdm.h)", WaitAll."""
    found = run(
        build_driver,
        "waitall",
        """for n in 0..2 { KeInitializeEvent(obj(n), 1, 0); }
        let t = spawn(both, 0); sleep(1);
        KeSetEvent(obj(0), 0, 0); sleep(1);
        println!("free {} {:#x}", KeReadStateEvent(obj(0)), wait_ms(obj::<KEVENT>(0), 0));
        KeSetEvent(obj(1), 0, 0); sleep(1);
        println!("still there {}", KeReadStateEvent(obj(1)));
        KeSetEvent(obj(0), 0, 0);
        join(t);
        println!("taken {} {}", KeReadStateEvent(obj(0)), KeReadStateEvent(obj(1)));
        KeSetEvent(obj(1), 0, 0);
        let objects: [*const c_void; 2] = [obj(0), obj(1)];
        println!("any {}", KeWaitForMultipleObjects(2, objects.as_ptr(), 1, 0, 0, 0, null(),
            null_mut()));""",
        """unsafe extern "system" fn both(_: *mut c_void) { unsafe {
            let objects: [*const c_void; 2] = [obj(0), obj(1)];
            println!("all {}", KeWaitForMultipleObjects(2, objects.as_ptr(), 0, 0, 0, 0, null(),
                null_mut()));
        } }""",
    )
    assert found.lines == ["free 1 0x0", "still there 1", "all 0", "taken 0 0", "any 1", "bye"]


def test_a_time_out_that_races_a_signal_loses_neither(build_driver: Build) -> None:
    """WDK: "KeWaitForSingleObject function (wdm.h)": who is told of a time-out took nothing."""
    seen = set()
    for rounds in (36_800, 37_800):
        for lines in outcomes(
            build_driver,
            f"timeoutrace{rounds}",
            """KeInitializeEvent(obj(0), 1, 0);
            let t = spawn(setter, 0);
            let timeout: i64 = -400;
            let status = KeWaitForSingleObject(obj(0), 0, 0, 0, &raw const timeout);
            join(t);
            println!("{status:#x} {}", KeReadStateEvent(obj(0)));""",
            _SPIN
            + f"""unsafe extern "system" fn setter(_: *mut c_void) {{ unsafe {{
                busy({rounds}); KeSetEvent(obj(0), 0, 0); }} }}""",
            seeds=range(10),
        ):
            assert lines[0] in ("0x0 0", "0x102 1")
            seen.add(lines[0])
    assert len(seen) == 2, "who is first depends on the time and the seed"


def test_a_cancelled_timer_never_calls_and_another_calls_once(build_driver: Build) -> None:
    """WDK: "KeCancelTimer function (wdm.h)": TRUE says that its DPC will not run."""
    seen = set()
    for rounds in (9_000, 25_000):
        for lines in outcomes(
            build_driver,
            f"cancelrace{rounds}",
            f"""KeInitializeDpc(obj(1), Some(routine), null());
            KeInitializeTimer(obj(0));
            KeSetTimer(obj(0), -300, obj(1));
            let t = spawn(other, 0);
            busy({rounds});
            let cancelled = KeCancelTimer(obj(0));
            KeFlushQueuedDpcs();
            sleep(1); join(t);
            println!("{{cancelled}} {{}} {{}}", COUNT.load(Ordering::SeqCst),
                KeReadStateTimer(obj(0)));""",
            _SPIN
            + """unsafe extern "system" fn routine(_: *mut KDPC, _: *mut c_void, _: *mut c_void,
                _: *mut c_void) { COUNT.fetch_add(1, Ordering::SeqCst); }
            unsafe extern "system" fn other(_: *mut c_void) { busy(9000); }""",
            seeds=range(10),
        ):
            assert lines[0] in ("1 0 0", "0 1 1")
            seen.add(lines[0])
    assert len(seen) == 2


def test_a_resource_is_never_shared_with_a_writer(build_driver: Build) -> None:
    """WDK: "Introduction to ERESOURCE Routines": on any interleaving."""
    for lines in outcomes(
        build_driver,
        "resourcerace",
        """ExInitializeResourceLite(obj(0));
        let t = [spawn(writer, 0), spawn(reader, 0), spawn(writer, 0), spawn(reader, 0)];
        for t in t { join(t); }
        println!("{} {}", COUNT.load(Ordering::SeqCst), FLAG.load(Ordering::SeqCst));
        ExDeleteResourceLite(obj(0));""",
        _SPIN
        + """static INSIDE: AtomicUsize = AtomicUsize::new(0);
        unsafe extern "system" fn writer(_: *mut c_void) { unsafe {
            for _ in 0..20 {
                KeEnterCriticalRegion();
                ExAcquireResourceExclusiveLite(obj(0), 1);
                if INSIDE.swap(100, Ordering::SeqCst) != 0 { FLAG.fetch_add(1, Ordering::SeqCst); }
                let value = COUNT.load(Ordering::Relaxed); busy(30);
                COUNT.store(value + 1, Ordering::Relaxed);
                INSIDE.store(0, Ordering::SeqCst);
                ExReleaseResourceLite(obj(0));
                KeLeaveCriticalRegion();
            }
        } }
        unsafe extern "system" fn reader(_: *mut c_void) { unsafe {
            for _ in 0..20 {
                KeEnterCriticalRegion();
                ExAcquireResourceSharedLite(obj(0), 1);
                if INSIDE.fetch_add(1, Ordering::SeqCst) >= 100 {
                    FLAG.fetch_add(1, Ordering::SeqCst);
                }
                busy(30);
                INSIDE.fetch_sub(1, Ordering::SeqCst);
                ExReleaseResourceLite(obj(0));
                KeLeaveCriticalRegion();
            }
        } }""",
    ):
        assert lines == ["40 0", "bye"]


def test_producers_and_consumers_lose_nothing(build_driver: Build) -> None:
    """WDK: "Semaphore Objects", "ExInterlockedInsertTailList function (wdm.h)"."""
    for lines in outcomes(
        build_driver,
        "producers",
        """let head: *mut LIST_ENTRY = obj(0); (*head).Flink = head; (*head).Blink = head;
        KeInitializeSemaphore(obj(1), 0, 1000);
        let t = [spawn(producer, 0), spawn(consumer, 0), spawn(producer, 1), spawn(consumer, 0)];
        for t in t { join(t); }
        println!("{} {}", COUNT.load(Ordering::SeqCst), (*head).Flink == head);""",
        """#[repr(C)] struct Item { link: LIST_ENTRY, value: u32 }
        static mut ITEMS: core::mem::MaybeUninit<[[Item; 20]; 2]> =
            core::mem::MaybeUninit::zeroed();
        unsafe extern "system" fn producer(n: *mut c_void) { unsafe {
            for i in 0..20 {
                let items = (&raw mut ITEMS).cast::<[Item; 20]>().add(n as usize).cast::<Item>();
                let item = items.add(i);
                (*item).value = 1 + i as u32;
                ExInterlockedInsertTailList(obj(0), item.cast(), obj(2));
                KeReleaseSemaphore(obj(1), 0, 1, 0);
            }
        } }
        unsafe extern "system" fn consumer(_: *mut c_void) { unsafe {
            for _ in 0..20 {
                wait(obj::<KSEMAPHORE>(1));
                let item = ExInterlockedRemoveHeadList(obj(0), obj(2)).cast::<Item>();
                COUNT.fetch_add((*item).value, Ordering::SeqCst);
            }
        } }""",
        seeds=range(6),
    ):
        assert lines == ["420 true", "bye"]
