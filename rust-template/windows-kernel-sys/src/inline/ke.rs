//! IRQL, locks and time (`wdm.h`).

use core::mem::offset_of;
use core::ptr;

use crate::base::*;
use crate::ntoskrnl::*;

use super::constants::*;
use super::exports::*;

/// `KeRaiseIrql`
///
/// # Safety
/// `irql` is not below the current IRQL, and is lowered again on this processor.
#[inline]
#[must_use]
pub unsafe fn KeRaiseIrql(irql: KIRQL) -> KIRQL {
    // SAFETY: passed on to the caller.
    unsafe { KfRaiseIrql(irql) }
}

/// `KeInitializeSpinLock`. IRQL: any.
///
/// # Safety
/// `lock` may be written, and is in memory that is never paged out while the lock is used.
#[inline]
pub unsafe fn KeInitializeSpinLock(lock: *mut KSPIN_LOCK) {
    // SAFETY: the caller's promise.
    unsafe { ptr::write_volatile(lock, 0) }
}

/// `KeAcquireSpinLock`: returns the old IRQL. IRQL <= DISPATCH.
///
/// # Safety
/// `lock` is initialized and not held by this processor.
#[inline]
#[must_use]
pub unsafe fn KeAcquireSpinLock(lock: *mut KSPIN_LOCK) -> KIRQL {
    // SAFETY: passed on to the caller.
    unsafe { KeAcquireSpinLockRaiseToDpc(lock) }
}

/// `ExInitializeFastMutex`. IRQL <= DISPATCH.
///
/// # Safety
/// `mutex` may be written, and is in nonpaged memory.
#[inline]
pub unsafe fn ExInitializeFastMutex(mutex: *mut FAST_MUTEX) {
    // SAFETY: the caller's promise.
    unsafe {
        (*mutex).Count = FM_LOCK_BIT as i32;
        (*mutex).Owner = ptr::null_mut();
        (*mutex).Contention = 0;
        KeInitializeEvent(&raw mut (*mutex).Event, SynchronizationEvent, FALSE);
    }
}

/// `ExInitializeWorkItem`
///
/// # Safety
/// `item` may be written; `routine` and `context` stay valid until it has run.
#[inline]
pub unsafe fn ExInitializeWorkItem(
    item: *mut WORK_QUEUE_ITEM,
    routine: PWORKER_THREAD_ROUTINE,
    context: PVOID,
) {
    // SAFETY: the caller's promise.
    unsafe {
        (*item).WorkerRoutine = routine;
        (*item).Parameter = context;
        (*item).List.Flink = ptr::null_mut();
    }
}

/// `KeWaitForMutexObject`: another name for `KeWaitForSingleObject`. IRQL <= APC, or DISPATCH
/// with a time-out of zero.
///
/// # Safety
/// `mutex` is an initialized mutex.
#[inline]
pub unsafe fn KeWaitForMutexObject(
    mutex: *mut KMUTANT,
    reason: KWAIT_REASON,
    mode: KPROCESSOR_MODE,
    alertable: BOOLEAN,
    timeout: *const i64,
) -> NTSTATUS {
    // SAFETY: passed on to the caller.
    unsafe { KeWaitForSingleObject(mutex.cast(), reason, mode, alertable, timeout) }
}

/// `KeGetCurrentProcessorNumber`. IRQL: any.
#[inline]
#[must_use]
pub fn KeGetCurrentProcessorNumber() -> u32 {
    // SAFETY: the number may be left out.
    unsafe { KeGetCurrentProcessorNumberEx(ptr::null_mut()) }
}

/// `PsGetCurrentProcess`. IRQL <= DISPATCH.
#[inline]
#[must_use]
pub fn PsGetCurrentProcess() -> PEPROCESS {
    // SAFETY: it has no precondition.
    unsafe { IoGetCurrentProcess() }
}

/// Reads 64 bits of the page that the kernel shares with programs.
fn shared(offset: usize) -> i64 {
    // SAFETY: the page is mapped in every process, and these fields are aligned for one read
    // of 64 bits but the system time, which x86-64 reads at once too.
    unsafe { ptr::read_unaligned((KI_USER_SHARED_DATA + offset) as *const i64) }
}

/// `KeQuerySystemTime`: 100 ns since 1601, UTC. IRQL: any.
#[inline]
#[must_use]
pub fn KeQuerySystemTime() -> i64 {
    shared(offset_of!(KUSER_SHARED_DATA, SystemTime))
}

/// `KeQueryInterruptTime`: 100 ns since the start. IRQL: any.
#[inline]
#[must_use]
pub fn KeQueryInterruptTime() -> u64 {
    shared(offset_of!(KUSER_SHARED_DATA, InterruptTime)) as u64
}

/// `KeQueryTickCount`: timer interrupts since the start. IRQL: any.
#[inline]
#[must_use]
pub fn KeQueryTickCount() -> i64 {
    shared(offset_of!(KUSER_SHARED_DATA, Anonymous4.TickCount))
}

/// `KeSaveFloatingPointState`: nothing to do on x86-64.
#[inline]
#[must_use]
pub const fn KeSaveFloatingPointState() -> NTSTATUS {
    STATUS_SUCCESS
}

/// `KeRestoreFloatingPointState`: nothing to do on x86-64.
#[inline]
#[must_use]
pub const fn KeRestoreFloatingPointState() -> NTSTATUS {
    STATUS_SUCCESS
}
