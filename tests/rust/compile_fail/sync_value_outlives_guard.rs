//! A reference to the value ends with the guard.
#![forbid(unsafe_code)]
use windows_kernel_rs::sync::SpinLock;

pub fn late(lock: &SpinLock<[u32; 2]>) -> u32 {
    let guard = lock.lock();
    let first = &guard[0];
    drop(guard); //~ E0505
    *first
}
