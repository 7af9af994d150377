"""Fast and guarded mutexes, push locks, executive resources, run-down protection."""

from __future__ import annotations

import pytest

from kernellab.errors import Bugcheck, TargetTimeout
from tests.target.sim.execution import Build, run
from tests.target.sim.exports.conftest import Guest


def test_fast_and_guarded_mutexes(build_driver: Build) -> None:
    """WDK: "Fast Mutexes and Guarded Mutexes", "ExTryToAcquireFastMutex function (wdm.h)"."""
    found = run(
        build_driver,
        "fastmutex",
        """let m: *mut FAST_MUTEX = obj(0);
        ExInitializeFastMutex(m);
        let t = spawn(worker, 0);
        ExAcquireFastMutex(m);
        println!("held at {}", irql());
        KeDelayExecutionThread(0, 0, &raw const SHORT);
        println!("try by other gave {}", COUNT.load(Ordering::SeqCst));
        ExReleaseFastMutex(m);
        println!("free at {}", irql());
        join(t);
        KeEnterCriticalRegion();
        ExAcquireFastMutexUnsafe(m); println!("unsafe at {}", irql()); ExReleaseFastMutexUnsafe(m);
        KeLeaveCriticalRegion();
        let g: *mut FAST_MUTEX = obj(1);
        KeInitializeGuardedMutex(g);
        KeAcquireGuardedMutex(g); println!("guarded {} {}", irql(), KeAreAllApcsDisabled());
        KeReleaseGuardedMutex(g); println!("left {}", KeAreAllApcsDisabled());
        println!("{}", KeTryToAcquireGuardedMutex(g)); KeReleaseGuardedMutex(g);""",
        """static SHORT: i64 = -10_000;
        unsafe extern "system" fn worker(_: *mut c_void) { unsafe {
            COUNT.store(ExTryToAcquireFastMutex(obj(0)) as u32 + 100 * irql() as u32,
                Ordering::SeqCst);
            ExAcquireFastMutex(obj(0));
            println!("other has it at {}", irql());
            ExReleaseFastMutex(obj(0));
            assert!(irql() == 0);
        } }""",
        processors=1,
    )
    assert found.lines == [
        *("held at 1", "try by other gave 0", "free at 0", "other has it at 1", "unsafe at 0"),
        *("guarded 0 1", "left 0", "1", "bye"),
    ]
    assert not found.rules


def test_misused_fast_mutexes(build_driver: Build) -> None:
    """WDK: "Bug Check 0xBF: MUTEX_ALREADY_OWNED", "Bug Check 0x11: THREAD_NOT_MUTEX_OWNER"."""
    start = "let m: *mut FAST_MUTEX = obj(0); ExInitializeFastMutex(m);"
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "twice", f"{start} ExAcquireFastMutex(m); ExAcquireFastMutex(m);")
    assert caught.value.name == "MUTEX_ALREADY_OWNED"
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "nobodys", f"{start} let o = KfRaiseIrql(1); ExReleaseFastMutex(m);")
    assert caught.value.name == "THREAD_NOT_MUTEX_OWNER"
    with pytest.raises(TargetTimeout, match="never initialized"):
        run(build_driver, "zeroed", "ExAcquireFastMutex(obj(0));")
    found = run(
        build_driver,
        "others",
        f"{start} join(spawn(owner, 0)); let o = KfRaiseIrql(1); ExReleaseFastMutex(m);",
        """unsafe extern "system" fn owner(_: *mut c_void) { unsafe {
            ExAcquireFastMutex(obj(0)); KeLowerIrql(0); } }""",
    )
    assert found.rules == ["lock-held-on-return", "lock-misuse"]


def test_push_locks(build_driver: Build) -> None:
    """WDK: "ExAcquirePushLockShared macro (wdm.h)", "ExAcquirePushLockExclusive macro (wdm.h)"."""
    found = run(
        build_driver,
        "pushlock",
        """let l: *mut usize = obj(0);
        ExInitializePushLock(l);
        KeEnterCriticalRegion();
        ExAcquirePushLockSharedEx(l, 0);
        let r = spawn(reader, 1); sleep(1);
        let w = spawn(writer, 0); sleep(1);
        let late = spawn(reader, 2); sleep(1);
        println!("release");
        ExReleasePushLockSharedEx(l, 0);
        join(r); join(w); join(late);
        println!("word {}", *l);
        KeLeaveCriticalRegion();""",
        """unsafe extern "system" fn reader(n: *mut c_void) { unsafe {
            KeEnterCriticalRegion();
            ExAcquirePushLockSharedEx(obj(0), 0); println!("reader {}", n as usize);
            ExReleasePushLockSharedEx(obj(0), 0);
            KeLeaveCriticalRegion();
        } }
        unsafe extern "system" fn writer(_: *mut c_void) { unsafe {
            KeEnterCriticalRegion();
            ExAcquirePushLockExclusiveEx(obj(0), 0); println!("writer");
            ExReleasePushLockExclusiveEx(obj(0), 0);
            KeLeaveCriticalRegion();
        } }""",
        processors=1,
    )
    assert found.lines == ["reader 1", "release", "writer", "reader 2", "word 0", "bye"]
    assert not found.rules
    found = run(build_driver, "unheld", "ExReleasePushLockSharedEx(obj(0), 0);")
    assert found.rules == ["lock-misuse"]
    with pytest.raises(TargetTimeout, match=r"push lock at .* which it holds itself"):
        run(
            build_driver,
            "itself",
            "ExAcquirePushLockSharedEx(obj(0), 0); ExAcquirePushLockExclusiveEx(obj(0), 0);",
        )


_RESOURCE_THREADS = """
unsafe extern "system" fn reader(n: *mut c_void) { unsafe {
    KeEnterCriticalRegion();
    ExAcquireResourceSharedLite(obj(0), 1); println!("reader {}", n as usize);
    ExReleaseResourceLite(obj(0));
    KeLeaveCriticalRegion();
} }
unsafe extern "system" fn starver(n: *mut c_void) { unsafe {
    KeEnterCriticalRegion();
    ExAcquireSharedStarveExclusive(obj(0), 1); println!("starver");
    ExReleaseResourceLite(obj(0));
    KeLeaveCriticalRegion();
} }
unsafe extern "system" fn writer(_: *mut c_void) { unsafe {
    KeEnterCriticalRegion();
    ExAcquireResourceExclusiveLite(obj(0), 1);
    println!("writer, {} readers wait", ExGetSharedWaiterCount(obj(0)));
    ExReleaseResourceLite(obj(0));
    KeLeaveCriticalRegion();
} }
"""


def test_who_gets_a_resource_next(build_driver: Build) -> None:
    """WDK: "ExAcquireResourceSharedLite function (wdm.h)", "ExAcquireSharedStarveExclusive …"."""
    found = run(
        build_driver,
        "resource",
        """let r: *mut ERESOURCE = obj(0);
        assert!(ExInitializeResourceLite(r) == 0);
        KeEnterCriticalRegion();
        println!("{}", ExAcquireResourceSharedLite(r, 0));
        let w = spawn(writer, 0); sleep(1);
        println!("{} writers wait", ExGetExclusiveWaiterCount(r));
        let a = spawn(reader, 1); sleep(1);
        let s = spawn(starver, 0); sleep(1);
        println!("again {}", ExAcquireResourceSharedLite(r, 0));
        println!("{} times, exclusive {}", ExIsResourceAcquiredSharedLite(r),
            ExIsResourceAcquiredExclusiveLite(r));
        println!("{}", ExAcquireSharedWaitForExclusive(r, 0));
        ExReleaseResourceLite(r); ExReleaseResourceLite(r);
        join(w); join(a); join(s);
        println!("{} {}", ExAcquireResourceExclusiveLite(r, 1),
            ExAcquireResourceExclusiveLite(r, 0));
        println!("{}", ExIsResourceAcquiredExclusiveLite(r));
        ExReleaseResourceLite(r);
        let b = spawn(reader, 2); sleep(1);
        ExConvertExclusiveToSharedLite(r);
        println!("converted {}", ExIsResourceAcquiredExclusiveLite(r)); sleep(1);
        ExSetResourceOwnerPointer(r, 0x7003 as _);
        println!("given away {}", ExIsResourceAcquiredSharedLite(r));
        ExReleaseResourceForThreadLite(r, 0x7003);
        join(b);
        KeLeaveCriticalRegion();
        println!("{}", ExDeleteResourceLite(r));""",
        _RESOURCE_THREADS,
        processors=1,
    )
    assert found.lines == [
        *("1", "1 writers wait", "starver", "again 1", "2 times, exclusive 0", "0"),
        *("writer, 1 readers wait", "reader 1", "1 1", "1", "converted 0", "reader 2"),
        *("given away 0", "0", "bye"),
    ]
    assert not found.rules


def test_misused_resources(build_driver: Build) -> None:
    """WDK: "Bug Check 0xE3: RESOURCE_NOT_OWNED"; Driver Verifier: uninitialized resources."""
    with pytest.raises(Bugcheck) as caught:
        run(build_driver, "e3", "ExInitializeResourceLite(obj(0)); ExReleaseResourceLite(obj(0));")
    assert caught.value.name == "RESOURCE_NOT_OWNED"
    found = run(
        build_driver,
        "rawres",
        """KeEnterCriticalRegion(); ExAcquireResourceExclusiveLite(obj(0), 1);
        ExDeleteResourceLite(obj(0)); KeLeaveCriticalRegion();""",
    )
    assert found.rules == ["lock-misuse", "lock-misuse"]


def test_rundown_protection(build_driver: Build) -> None:
    """WDK: "Run-Down Protection", "ExWaitForRundownProtectionRelease function (wdm.h)"."""
    found = run(
        build_driver,
        "rundown",
        """let r: *mut EX_RUNDOWN_REF = obj(0);
        ExInitializeRundownProtection(r);
        println!("{} {}", ExAcquireRundownProtection(r), ExAcquireRundownProtectionEx(r, 2));
        let t = spawn(owner, 0); sleep(1);
        println!("refused {}", ExAcquireRundownProtection(r));
        ExReleaseRundownProtectionEx(r, 2); sleep(1);
        println!("last one");
        ExReleaseRundownProtection(r);
        join(t);
        ExWaitForRundownProtectionRelease(r);
        ExRundownCompleted(r);
        println!("refused {}", ExAcquireRundownProtection(r));
        ExReInitializeRundownProtection(r);
        println!("{}", ExAcquireRundownProtection(r));
        ExReleaseRundownProtection(r);
        ExReleaseRundownProtection(r);
        let c = ExAllocateCacheAwareRundownProtection(NonPagedPoolNx, 0x6e757230);
        println!("{}", ExAcquireRundownProtectionCacheAware(c));
        ExReleaseRundownProtectionCacheAware(c);
        ExWaitForRundownProtectionReleaseCacheAware(c);
        println!("{}", ExAcquireRundownProtectionCacheAware(c));
        ExFreeCacheAwareRundownProtection(c);""",
        """unsafe extern "system" fn owner(_: *mut c_void) { unsafe {
            ExWaitForRundownProtectionRelease(obj(0)); println!("run down"); } }""",
        processors=1,
    )
    assert found.lines == [
        *("1 1", "refused 0", "last one", "run down", "refused 0", "1", "1", "0", "bye"),
    ]
    assert found.rules == ["rundown-misuse"]


def test_the_rest_of_resources_and_mutexes(guest: Guest) -> None:
    """WDK: "ExReleaseResourceAndLeaveCriticalRegion function (ntddk.h)" and their neighbours."""
    resource = guest.put(bytes(104))
    guest.call("ExInitializeResourceLite", resource)
    for routine, exclusive in (
        ("ExEnterCriticalRegionAndAcquireResourceShared", 0),
        ("ExEnterCriticalRegionAndAcquireResourceExclusive", 1),
    ):
        guest.call(routine, resource)
        assert guest.call("KeAreApcsDisabled") == 1
        assert guest.call("ExIsResourceAcquiredSharedLite", resource) == 1
        assert guest.call("ExIsResourceAcquiredExclusiveLite", resource) == exclusive
        guest.call("ExReleaseResourceAndLeaveCriticalRegion", resource)
        assert guest.call("KeAreApcsDisabled") == 0
        assert guest.call("ExIsResourceAcquiredSharedLite", resource) == 0
    assert guest.call("ExReinitializeResourceLite", resource) == 0
    assert guest.call("ExDeleteResourceLite", resource) == 0
    mutex = guest.put(bytes(56))
    guest.call("KeInitializeGuardedMutex", mutex)
    guest.call("KeEnterGuardedRegion")
    guest.call("KeAcquireGuardedMutexUnsafe", mutex)
    assert guest.call("KeTryToAcquireGuardedMutex", mutex) == 0
    guest.call("KeReleaseGuardedMutexUnsafe", mutex)
    guest.call("KeLeaveGuardedRegion")
    assert guest.call("KeAreAllApcsDisabled") == 0


def test_cache_aware_rundown_protection_in_own_memory(guest: Guest) -> None:
    """WDK: "ExInitializeRundownProtectionCacheAware function (wdm.h)"."""
    size = guest.call("ExSizeOfRundownProtectionCacheAware")
    ref = guest.put(b"\xff" * size)
    guest.call("ExInitializeRundownProtectionCacheAware", ref, size)
    assert guest.call("ExAcquireRundownProtectionCacheAware", ref) == 1
    guest.call("ExReleaseRundownProtectionCacheAware", ref)
    guest.call("ExRundownCompletedCacheAware", ref)
    assert guest.call("ExAcquireRundownProtectionCacheAware", ref) == 0
    guest.call("ExReInitializeRundownProtectionCacheAware", ref)
    assert guest.call("ExAcquireRundownProtectionCacheAware", ref) == 1
