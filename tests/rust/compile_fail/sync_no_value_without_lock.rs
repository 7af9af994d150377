//! The value is reached through the lock only.
#![forbid(unsafe_code)]
use windows_kernel_rs::sync::Mutex;

pub static COUNT: Mutex<u32> = Mutex::new(0);

pub fn count() -> u32 {
    COUNT.value //~ E0616
}
