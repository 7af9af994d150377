//! The kernel's locks for unit tests, so that guards, bounds and memory can be tried by several
//! threads, and under Miri.

#![allow(non_snake_case)]

use core::sync::atomic::{AtomicUsize, Ordering};
use std::thread::yield_now;

use crate::irql::raw::{KeGetCurrentIrql, KeLowerIrql, KfRaiseIrql};

const EXCLUSIVE: usize = 1;
const SHARED: usize = 2;

unsafe fn word<'a>(lock: *mut usize) -> &'a AtomicUsize {
    // SAFETY: a lock's word, which only these routines use.
    unsafe { AtomicUsize::from_ptr(lock) }
}

pub unsafe fn KeAcquireSpinLockAtDpcLevel(lock: *mut usize) {
    // SAFETY: passed on to the caller.
    while unsafe { KeTryToAcquireSpinLockAtDpcLevel(lock) } == 0 {
        yield_now();
    }
}

pub unsafe fn KeTryToAcquireSpinLockAtDpcLevel(lock: *mut usize) -> u8 {
    // SAFETY: passed on to the caller.
    unsafe {
        assert_eq!(KeGetCurrentIrql(), 2);
        word(lock).compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok().into()
    }
}

pub unsafe fn KeAcquireSpinLockRaiseToDpc(lock: *mut usize) -> u8 {
    // SAFETY: passed on to the caller.
    unsafe {
        let old = KfRaiseIrql(2);
        KeAcquireSpinLockAtDpcLevel(lock);
        old
    }
}

pub unsafe fn KeReleaseSpinLockFromDpcLevel(lock: *mut usize) {
    // SAFETY: passed on to the caller.
    assert_eq!(unsafe { word(lock) }.swap(0, Ordering::Release), 1);
}

pub unsafe fn KeReleaseSpinLock(lock: *mut usize, irql: u8) {
    // SAFETY: passed on to the caller.
    unsafe {
        KeReleaseSpinLockFromDpcLevel(lock);
        KeLowerIrql(irql);
    }
}

std::thread_local!(static REGIONS: core::cell::Cell<u32> = const { core::cell::Cell::new(0) });

pub unsafe fn KeEnterCriticalRegion() {
    REGIONS.set(REGIONS.get() + 1);
}

pub unsafe fn KeLeaveCriticalRegion() {
    REGIONS.set(REGIONS.get().checked_sub(1).expect("in a critical region"));
}

pub unsafe fn ExAcquirePushLockExclusiveEx(lock: *mut usize, _: u32) {
    assert_ne!(REGIONS.get(), 0);
    // SAFETY: passed on to the caller.
    let word = unsafe { word(lock) };
    while word.compare_exchange(0, EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed).is_err() {
        yield_now();
    }
}

pub unsafe fn ExAcquirePushLockSharedEx(lock: *mut usize, _: u32) {
    assert_ne!(REGIONS.get(), 0);
    // SAFETY: passed on to the caller.
    let word = unsafe { word(lock) };
    loop {
        let now = word.load(Ordering::Relaxed) & !EXCLUSIVE;
        let more = word.compare_exchange(now, now + SHARED, Ordering::Acquire, Ordering::Relaxed);
        if more.is_ok() {
            break;
        }
        yield_now();
    }
}

pub unsafe fn ExReleasePushLockExclusiveEx(lock: *mut usize, _: u32) {
    // SAFETY: passed on to the caller.
    assert_eq!(unsafe { word(lock) }.swap(0, Ordering::Release), EXCLUSIVE);
}

pub unsafe fn ExReleasePushLockSharedEx(lock: *mut usize, _: u32) {
    // SAFETY: passed on to the caller.
    assert!(unsafe { word(lock) }.fetch_sub(SHARED, Ordering::Release) >= SHARED);
}
