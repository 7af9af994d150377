//! What is unsafe stays out of a driver that forbids it.
#![forbid(unsafe_code)]
use windows_kernel_rs::Driver;

pub fn make() -> Driver {
    unsafe { Driver::from_raw(core::ptr::null_mut()) } //~ unsafe_code
}
