//! Who took the lock to read does not write.
#![forbid(unsafe_code)]
use windows_kernel_rs::sync::RwLock;

pub fn change(limits: &RwLock<(u32, u32)>) {
    let mut limits = limits.read();
    limits.0 = 1; //~ E0594
}
