"""Rules about IRQLs, locks, stacks and time: each broken by a driver, and not by a similar one."""

from __future__ import annotations

from tests.target.sim.rules import Check

DPC = """
unsafe extern "system" fn routine(_: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
    unsafe { BODY }
}
"""


def test_irql_too_high(breaks: Check) -> None:
    """WDK: "ZwClose function (wdm.h)": PASSIVE_LEVEL."""
    found = breaks(
        "let old = KfRaiseIrql(if bad() { 2 } else { 0 });\n"
        "let s = name(&DEVICE); RtlEqualUnicodeString(&s, &s, 1); // @bad\n"
        "KeLowerIrql(old);"
    )
    assert found.only.rule == "irql-too-high" and found.shows()
    assert "RtlEqualUnicodeString was called at IRQL DISPATCH_LEVEL (2)" in found.only.message


def test_paged_pool_at_dispatch_level(breaks: Check) -> None:
    """ "Bug Check 0xC4", 0x01 and 0x11."""
    found = breaks(
        "let old = KfRaiseIrql(2);\n"
        "let p = ExAllocatePool2(if bad() { 256 } else { 64 }, 24, TAG); // @bad\n"
        "KeLowerIrql(old); ExFreePoolWithTag(p, TAG);"
    )
    assert found.only.rule == "irql-too-high" and found.shows()
    assert "24 bytes of paged pool were allocated at IRQL DISPATCH_LEVEL (2)" in found.only.message


def test_irql_too_low(breaks: Check) -> None:
    """WDK: "KeAcquireSpinLockAtDpcLevel function (wdm.h)"."""
    found = breaks(
        "let old = KfRaiseIrql(if bad() { 0 } else { 2 });\n"
        "KeAcquireSpinLockAtDpcLevel(lock(0)); // @bad\n"
        "if bad() { KeReleaseSpinLock(lock(0), 0); } else {\n"
        "KeReleaseSpinLockFromDpcLevel(lock(0)); KeLowerIrql(old); }"
    )
    assert found.only.rule == "irql-too-low" and found.shows()


def test_irql_not_restored(breaks: Check) -> None:
    """Windows drivers: "Managing Hardware Priorities"."""
    found = breaks(io="if bad() { KfRaiseIrql(2); } complete(irp, 0, 0)")
    assert found.only.rule == "irql-not-restored"
    assert "a dispatch routine returned at IRQL DISPATCH_LEVEL (2)" in found.only.message


def test_lock_order(breaks: Check) -> None:
    """Windows drivers: "Deadlock Detection"; the two orders never meet in this run."""
    found = breaks(
        "let old = KeAcquireSpinLockRaiseToDpc(lock(0)); // @one\n"
        "KeAcquireSpinLockAtDpcLevel(lock(1)); // @two\n"
        "KeReleaseSpinLockFromDpcLevel(lock(1)); KeReleaseSpinLock(lock(0), old);\n"
        "let (a, b) = if bad() { (1, 0) } else { (0, 1) };\n"
        "let old = KeAcquireSpinLockRaiseToDpc(lock(a));\n"
        "KeAcquireSpinLockAtDpcLevel(lock(b)); // @bad\n"
        "KeReleaseSpinLockFromDpcLevel(lock(b)); KeReleaseSpinLock(lock(a), old);"
    )
    assert found.only.rule == "lock-order" and found.shows()
    assert found.related("one").startswith("the other order")
    assert found.related("two").startswith("and then")


def test_lock_order_of_three_and_of_other_kinds(breaks: Check) -> None:
    """A circle of three; an attempt that does not wait cannot deadlock."""
    found = breaks(
        "let f = pool(size_of::<FAST_MUTEX>() * 3).cast::<FAST_MUTEX>();\n"
        "for n in 0..3 { ExInitializeFastMutex(f.add(n)); }\n"
        "for (a, b) in [(0, 1), (1, 2)] { ExAcquireFastMutex(f.add(a));"
        "ExAcquireFastMutex(f.add(b)); ExReleaseFastMutex(f.add(b)); ExReleaseFastMutex(f.add(a));"
        "}\n"
        "ExAcquireFastMutex(f.add(2));\n"
        "if bad() { ExAcquireFastMutex(f); } else { ExTryToAcquireFastMutex(f); } // @bad\n"
        "ExReleaseFastMutex(f); ExReleaseFastMutex(f.add(2)); ExFreePoolWithTag(f.cast(), TAG);"
    )
    assert found.only.rule == "lock-order" and found.shows()
    assert "fast mutex" in found.only.message and "by way of 1 more" in found.only.message


def test_lock_held_on_return(breaks: Check) -> None:
    """Windows drivers: "Introduction to Spin Locks"."""
    found = breaks(
        io="let old = KeAcquireSpinLockRaiseToDpc(lock(0)); // @bad\n"
        "if bad() { KeLowerIrql(old); } else { KeReleaseSpinLock(lock(0), old); }\n"
        "complete(irp, 0, 0)"
    )
    assert found.only.rule == "lock-held-on-return"
    assert "a dispatch routine returned while it held the spin lock" in found.only.message
    assert found.related("bad") == "the spin lock was taken here"


def test_lock_of_another(breaks: Check) -> None:
    """A thread gives back what DriverEntry took."""
    found = breaks(
        "KeInitializeEvent(event(), 0, 0); let t = spawn(worker);\n"
        "let old = KeAcquireSpinLockRaiseToDpc(lock(0)); // @bad\n"
        "if bad() { KeLowerIrql(old); } else { KeReleaseSpinLock(lock(0), old); }\n"
        "KeSetEvent(event(), 0, 0); join(t);",
        extra="""unsafe extern "system" fn worker(_: *mut c_void) { unsafe {
            KeWaitForSingleObject(event().cast(), 0, 0, 0, null());
            if !bad() { KeAcquireSpinLockRaiseToDpc(lock(0)); } else { KfRaiseIrql(2); }
            KeReleaseSpinLock(lock(0), 0);
        } }""",
    )
    assert found.only.rule == "lock-wrong-owner"
    assert found.related("bad") == "the spin lock was taken here"


def test_lock_taken_twice_shows_the_first_time(breaks: Check) -> None:
    """ "Bug Check 0xF: SPIN_LOCK_ALREADY_OWNED"."""
    found = breaks(
        "let old = KeAcquireSpinLockRaiseToDpc(lock(0)); // @first\n"
        "if bad() { KeAcquireSpinLockAtDpcLevel(lock(0)); }\n"
        "KeReleaseSpinLock(lock(0), old);"
    )
    event = found.target.bugcheck
    assert event is not None and event.name == "SPIN_LOCK_ALREADY_OWNED"
    assert found.line("first") in [f.line for s in event.related for f in s.frames]


def test_kernel_stack(breaks: Check) -> None:
    """Windows drivers: "Using the Kernel Stack"."""
    found = breaks(
        "if bad() { core::hint::black_box(large::<22000>()); } else {"
        "core::hint::black_box(large::<10000>()); }",
        extra="#[inline(never)] fn large<const N: usize>() -> u8 { let mut a = [1_u8; N]; "
        "core::hint::black_box(&mut a)[N - 1] }",
    )
    assert found.only.rule == "kernel-stack"
    assert "DriverEntry left" in found.only.message and "24,576" in found.only.message


def test_stall_too_long(breaks: Check) -> None:
    """WDK: "KeStallExecutionProcessor function (ntifs.h)"."""
    found = breaks("KeStallExecutionProcessor(if bad() { 51 } else { 50 }); // @bad")
    assert found.only.rule == "stall-too-long" and found.shows()


def test_dpc_too_long(breaks: Check) -> None:
    """Windows drivers: "Guidelines for Writing DPC Routines"."""
    found = breaks(
        "KeInitializeDpc(dpc(), Some(routine), null_mut());"
        "KeInsertQueueDpc(dpc(), null_mut(), null_mut());",
        extra=DPC.replace(
            "BODY", "for _ in 0..if bad() { 40 } else { 10 } { KeStallExecutionProcessor(50); }"
        ),
    )
    assert found.only.rule == "dpc-too-long"
    assert "a DPC ran for 2," in found.only.message


def test_raised_too_long(breaks: Check) -> None:
    """Windows drivers: "Introduction to Spin Locks"."""
    found = breaks(
        "let old = KfRaiseIrql(2);\n"
        "for _ in 0..if bad() { 40 } else { 10 } { KeStallExecutionProcessor(50); }\n"
        "KeLowerIrql(old); // @bad"
    )
    assert found.only.rule == "raised-too-long" and found.shows()


def test_watchdog(breaks: Check) -> None:
    """ "Bug Check 0x133: DPC_WATCHDOG_VIOLATION": one DPC of more than 20 s."""
    found = breaks(
        "KeInitializeDpc(dpc(), Some(routine), null_mut());"
        "KeInsertQueueDpc(dpc(), null_mut(), null_mut());",
        extra=DPC.replace(
            "BODY", "if bad() { loop { KeStallExecutionProcessor(1_000_000); } } // @bad\n"
        ),
    )
    event = found.target.bugcheck
    assert event is not None and event.name == "DPC_WATCHDOG_VIOLATION"
    assert [int(p, 16) for p in event.parameters] == [0, 0x501, 0x500, 0]
    assert found.line() in [f.line for f in event.frames]


def test_watchdog_of_a_loop_without_calls(breaks: Check) -> None:
    """ "Bug Check 0x133", 0: the time limit finds it, since no virtual time passes."""
    found = breaks(
        "KeInitializeDpc(dpc(), Some(routine), null_mut());"
        "KeInsertQueueDpc(dpc(), null_mut(), null_mut());",
        extra=DPC.replace(
            "BODY",
            "for n in 0..1000u32 { core::hint::black_box(n); }\n"
            "while bad() { core::hint::spin_loop(); } // @bad\n",
        ),
        timeout=0.5,
    )
    event = found.target.bugcheck
    assert event is not None and event.name == "DPC_WATCHDOG_VIOLATION"
    assert [int(p, 16) for p in event.parameters] == [0, 0x501, 0x500, 0]
    assert found.line() in [f.line for f in event.frames]


def test_watchdog_of_a_raised_irql(breaks: Check) -> None:
    """ "Bug Check 0x133", 1: two minutes at DISPATCH_LEVEL."""
    found = breaks(
        "let old = KfRaiseIrql(2); while bad() { KeStallExecutionProcessor(1_000_000); }"
        "KeLowerIrql(old);"
    )
    event = found.target.bugcheck
    assert event is not None and event.name == "DPC_WATCHDOG_VIOLATION"
    assert [int(p, 16) for p in event.parameters] == [1, 0x1E00, 0, 0]


def test_lock_misuse(breaks: Check) -> None:
    """WDK: "ExReleasePushLockExclusive", "ExReleaseRundownProtection", "KeLeaveCriticalRegion"."""
    found = breaks(
        "KeEnterCriticalRegion(); let p = pool(8); ExInitializePushLock(p.cast());\n"
        "if !bad() { ExAcquirePushLockExclusiveEx(p.cast(), 0); }\n"
        "ExReleasePushLockExclusiveEx(p.cast(), 0);\n"
        "KeLeaveCriticalRegion(); if bad() { KeLeaveCriticalRegion(); }\n"
        "ExInitializeRundownProtection(p.cast());\n"
        "if !bad() { ExAcquireRundownProtection(p.cast()); }\n"
        "ExReleaseRundownProtection(p.cast()); ExFreePoolWithTag(p.cast(), TAG);"
    )
    assert [v.rule for v in found.violations] == [
        *("lock-misuse", "apcs-not-disabled", "rundown-misuse")
    ]
