"""Queued and reader/writer spin locks, and what is done while one is free: ExInterlocked…."""

from __future__ import annotations

import pytest

from kernellab.errors import Bugcheck
from tests.target.sim.execution import Build, outcomes, run
from tests.target.sim.exports.conftest import Guest


def test_queued_spin_locks_exclude_and_raise_the_irql(build_driver: Build) -> None:
    """WDK: "Queued Spin Locks"; "KeAcquireInStackQueuedSpinLock function (wdm.h)"."""
    for lines in outcomes(
        build_driver,
        "queued",
        """let t = [spawn(worker, 0), spawn(worker, 0), spawn(worker, 0)];
        for t in t { join(t); }
        println!("{} {}", COUNT.load(Ordering::SeqCst), irql());""",
        """unsafe extern "system" fn worker(_: *mut c_void) { unsafe {
            for _ in 0..100 {
                let mut handle: KLOCK_QUEUE_HANDLE = core::mem::zeroed();
                KeAcquireInStackQueuedSpinLock(obj(0), &mut handle);
                let value = COUNT.load(Ordering::Relaxed);
                COUNT.store(value + irql() as u32 - 1, Ordering::Relaxed);
                KeReleaseInStackQueuedSpinLock(&handle);
            }
        } }""",
        seeds=range(6),
    ):
        assert lines == ["300 0", "bye"]


def test_a_reader_writer_lock_never_shows_half_a_write(build_driver: Build) -> None:
    """WDK: "Reader/Writer Spin Locks"; "ExAcquireSpinLockExclusive function (wdm.h)"."""
    totals = set()
    for lines in outcomes(
        build_driver,
        "rwlock",
        """let t = [spawn(writer, 0), spawn(reader, 0), spawn(reader, 0)];
        for t in t { join(t); }
        println!("{} {}", FLAG.load(Ordering::SeqCst), COUNT.load(Ordering::SeqCst));""",
        """static A: AtomicU32 = AtomicU32::new(0);
        static B: AtomicU32 = AtomicU32::new(0);
        unsafe extern "system" fn writer(_: *mut c_void) { unsafe {
            for _ in 0..50 {
                let old = ExAcquireSpinLockExclusive(obj(0));
                A.store(A.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                for _ in 0..20 { core::hint::spin_loop(); }
                B.store(B.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                ExReleaseSpinLockExclusive(obj(0), old);
            }
        } }
        unsafe extern "system" fn reader(_: *mut c_void) { unsafe {
            for _ in 0..50 {
                let old = ExAcquireSpinLockShared(obj(0));
                let a = A.load(Ordering::Relaxed);
                let b = B.load(Ordering::Relaxed);
                if a != b { FLAG.fetch_add(1, Ordering::SeqCst); }
                COUNT.fetch_add(a, Ordering::SeqCst);
                ExReleaseSpinLockShared(obj(0), old);
            }
        } }""",
    ):
        torn, total = lines[0].split()
        assert torn == "0"
        totals.add(total)
    assert len(totals) > 3, "the seeds give different interleavings"


def test_the_rest_of_the_spin_lock_routines(build_driver: Build) -> None:
    """WDK: "KeTryToAcquireSpinLockAtDpcLevel function (wdm.h)" and their neighbours."""
    found = run(
        build_driver,
        "spinrest",
        """let l: *mut usize = obj(0); let rw: *mut i32 = obj(1);
        let old = KeAcquireSpinLockForDpc(l);
        println!("{old} {} {} {}", irql(), KeTestSpinLock(l), KeTryToAcquireSpinLockAtDpcLevel(l));
        KeReleaseSpinLockForDpc(l, old);
        println!("{} {}", irql(), KeTestSpinLock(l));
        let old = KeRaiseIrqlToDpcLevel();
        println!("{}", KeTryToAcquireSpinLockAtDpcLevel(l)); KeReleaseSpinLockFromDpcLevel(l);
        let mut h: KLOCK_QUEUE_HANDLE = core::mem::zeroed();
        KeAcquireInStackQueuedSpinLockAtDpcLevel(l, &mut h);
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&h);
        KeAcquireInStackQueuedSpinLockForDpc(l, &mut h);
        KeReleaseInStackQueuedSpinLockForDpc(&h);
        ExAcquireSpinLockSharedAtDpcLevel(rw);
        println!("{} {}", ExTryAcquireSpinLockSharedAtDpcLevel(rw),
            ExTryConvertSharedSpinLockExclusive(rw));
        ExReleaseSpinLockSharedFromDpcLevel(rw);
        println!("{}", ExTryConvertSharedSpinLockExclusive(rw));
        println!("{} {}", ExTryAcquireSpinLockSharedAtDpcLevel(rw),
            ExTryAcquireSpinLockExclusiveAtDpcLevel(rw));
        ExReleaseSpinLockExclusiveFromDpcLevel(rw);
        println!("{}", ExTryAcquireSpinLockExclusiveAtDpcLevel(rw));
        ExReleaseSpinLockExclusiveFromDpcLevel(rw);
        ExAcquireSpinLockExclusiveAtDpcLevel(rw);
        ExReleaseSpinLockExclusiveFromDpcLevel(rw);
        KeLowerIrql(old);""",
    )
    assert found.lines == ["0 2 0 0", "0 1", "1", "1 0", "1", "0 0", "1", "bye"]
    assert not found.rules


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("KeAcquireInStackQueuedSpinLock(obj(0), obj(1)); "
         "KeAcquireInStackQueuedSpinLock(obj(0), obj(2));", "SPIN_LOCK_ALREADY_OWNED"),
        ("KeReleaseInStackQueuedSpinLock(obj(1));", "SPIN_LOCK_NOT_OWNED"),
        ("let o = ExAcquireSpinLockExclusive(obj(0)); ExAcquireSpinLockSharedAtDpcLevel(obj(0));",
         "SPIN_LOCK_ALREADY_OWNED"),
        ("let o = ExAcquireSpinLockExclusive(obj(0)); ExReleaseSpinLockShared(obj(0), o);",
         "SPIN_LOCK_NOT_OWNED"),
        ("KfRaiseIrql(2); KeAcquireSpinLockAtDpcLevel(obj(0)); "
         "ExInterlockedAddUlong(obj(1), 1, obj(0));", "SPIN_LOCK_ALREADY_OWNED"),
    ],
)  # fmt: skip
def test_misused_spin_locks(build_driver: Build, body: str, name: str) -> None:
    """WDK: "Bug Check 0xF: SPIN_LOCK_ALREADY_OWNED", "Bug Check 0x10: SPIN_LOCK_NOT_OWNED"."""
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, f"spin{len(body)}", body)
    assert caught.value.name == name


def test_interlocked_lists_and_numbers(guest: Guest) -> None:
    """WDK: "ExInterlockedInsertHeadList function (wdm.h)" and their neighbours."""
    m = guest.k.memory
    lock, head = guest.put(bytes(8)), guest.room(16)
    m.set_u64(head, head)
    m.set_u64(head + 8, head)
    a, b, c = (guest.put(bytes(16)) for _ in range(3))
    call = guest.call
    assert call("ExInterlockedRemoveHeadList", head, lock) == 0
    assert call("ExInterlockedInsertTailList", head, b, lock) == 0
    assert call("ExInterlockedInsertTailList", head, c, lock) == b
    assert call("ExInterlockedInsertHeadList", head, a, lock) == b
    assert [call("ExInterlockedRemoveHeadList", head, lock) for _ in range(4)] == [a, b, c, 0]
    single = guest.put(bytes(8))
    assert call("ExInterlockedPushEntryList", single, a, lock) == 0
    assert call("ExInterlockedPushEntryList", single, b, lock) == a
    assert [call("ExInterlockedPopEntryList", single, lock) for _ in range(3)] == [b, a, 0]
    number = guest.put((0xFFFFFFFF).to_bytes(8, "little"))
    assert call("ExInterlockedAddUlong", number, 2, lock) == 0xFFFFFFFF
    assert m.u64(number) == 1, "32 bits wrap around, and their neighbours stay"
    assert call("ExInterlockedAddLargeInteger", number, 1 << 40, lock) == 1
    assert m.u64(number) == (1 << 40) + 1
    assert m.u64(lock) == 0


def test_a_list_that_was_damaged_is_a_bug_check(build_driver: Build) -> None:
    """WDK: "Bug Check 0x139: KERNEL_SECURITY_CHECK_FAILURE", 3: a LIST_ENTRY was corrupted."""
    with pytest.raises(Bugcheck) as caught:
        run(
            build_driver,
            "badlist",
            """let head: *mut LIST_ENTRY = obj(0); (*head).Flink = head; (*head).Blink = head;
            let e: *mut LIST_ENTRY = obj(1);
            ExInterlockedInsertTailList(head, e, obj(2)); (*e).Blink = e;
            ExInterlockedRemoveHeadList(head, obj(2));""",
        )
    assert (caught.value.name, caught.value.parameters[0]) == ("KERNEL_SECURITY_CHECK_FAILURE", 3)


def test_sequenced_lists(guest: Guest) -> None:
    """WDK: "ExInterlockedPushEntrySList function (wdm.h)", "ExQueryDepthSList function (wdm.h)"."""
    head = guest.room(16)
    a, b, c = (guest.put(bytes(16)) for _ in range(3))
    call = guest.call
    call("InitializeSListHead", head)
    assert call("ExpInterlockedPopEntrySList", head) == 0
    assert [call("ExpInterlockedPushEntrySList", head, e) for e in (a, b, c)] == [0, a, b]
    assert call("ExQueryDepthSList", head) == 3
    assert call("ExpInterlockedPopEntrySList", head) == c
    assert call("ExpInterlockedFlushSList", head) == b
    assert guest.k.memory.u64(b) == a, "the flushed entries are still linked"
    assert call("ExQueryDepthSList", head) == 0
    with pytest.raises(Exception, match="SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"):
        call("ExpInterlockedPushEntrySList", head, a + 8)
