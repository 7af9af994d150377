//! `lock_at_dispatch` leaves the IRQL as it is, so it wants to see what raised it, and for as long.
#![forbid(unsafe_code)]
use windows_kernel_rs::irql::{self, Irql};
use windows_kernel_rs::sync::{SpinLock, SpinLockGuard};

pub fn late(lock: &SpinLock<u32>) -> Option<u32> {
    let raised = irql::raise(Irql::DISPATCH);
    let guard = lock.lock_at_dispatch(raised.at_dispatch()?);
    drop(raised); //~ E0505
    Some(*guard)
}

pub fn nested(one: &SpinLock<u32>, other: &SpinLock<u32>) -> u32 {
    let outer = one.lock();
    let inner = other.lock_at_dispatch(SpinLockGuard::at_dispatch(&outer));
    drop(outer); //~ E0505
    *inner
}
